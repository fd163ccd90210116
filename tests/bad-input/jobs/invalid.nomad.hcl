job "invalid" {
  region      = "atlantis"
  datacenters = ["dc1"]

  group "g" {
    count = 1000000000000
  }
}
