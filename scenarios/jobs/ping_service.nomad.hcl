# The reference system's smallest service: it answers /ping from any datacenter.
variable "datacenters" {
  default = ["public-services", "private-services", "content-connector", "backoffice"]
}

job "ping_service" {
  datacenters = var.datacenters
  type        = "service"

  group "ping_service_group" {
    count = 4

    network {
      port "http" {
        to = 8080
      }
    }

    restart {
      attempts = 10
      interval = "5m"
      delay    = "25s"
      mode     = "delay"
    }

    ephemeral_disk {
      size = 50
    }

    service {
      name = "ping-service"
      port = "http"
      tags = ["urlprefix-/ping"]

      check {
        type     = "http"
        path     = "/ping"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "ping_service_task" {
      driver = "docker"

      config {
        image = "example/ping_service:1"
        ports = ["http"]
      }

      resources {
        cpu    = 100
        memory = 20
      }
    }
  }
}
