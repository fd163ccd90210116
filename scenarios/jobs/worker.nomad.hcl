# Background work without a port: it only has to be somewhere.
job "worker" {
  datacenters = ["private-services"]
  type        = "service"

  group "worker" {
    count = 100

    task "worker" {
      driver = "docker"

      config {
        image = "shop/worker:1.0"
      }

      resources {
        cpu    = 600
        memory = 512
      }
    }
  }
}
