variable "team" {}

job "mail" {
  namespace   = var.team
  datacenters = ["dc1"]

  group "mail" {
    task "mail" {
      driver = "docker"
    }
  }
}
