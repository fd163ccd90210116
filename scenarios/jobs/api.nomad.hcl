# Serves what the frontend shows, on a path of its own.
job "api" {
  datacenters = ["private-services"]
  type        = "service"

  spread {
    attribute = "${attr.platform.aws.placement.availability-zone}"
  }

  group "api" {
    count = 40

    network {
      port "http" {
        to = 8080
      }
    }

    service {
      name = "api"
      port = "http"
      tags = ["urlprefix-shop.example.com/api"]

      check {
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "server" {
      driver = "docker"

      config {
        image = "shop/api:1.0"
        ports = ["http"]
      }

      resources {
        cpu    = 1000
        memory = 512
      }
    }
  }
}
