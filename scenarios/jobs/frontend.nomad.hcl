# What users see. Spread over the zones, so that losing one takes a third of it.
variable "count" {
  type    = number
  default = 60
}

job "frontend" {
  datacenters = ["private-services"]
  type        = "service"

  spread {
    attribute = "${attr.platform.aws.placement.availability-zone}"
  }

  update {
    max_parallel     = 5
    min_healthy_time = "10s"
    healthy_deadline = "3m"
    auto_revert      = true
  }

  group "frontend" {
    count = var.count

    network {
      port "http" {
        to = 8080
      }
    }

    service {
      name = "frontend"
      port = "http"
      tags = ["urlprefix-shop.example.com/"]

      check {
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
      }
    }

    restart {
      attempts = 2
      interval = "5m"
      delay    = "15s"
      mode     = "fail"
    }

    task "server" {
      driver = "docker"

      config {
        image = "shop/frontend:1.0"
        ports = ["http"]
      }

      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
