# The ingress proxy: one on every machine of public-services, on fixed ports that the load balancer knows.
job "fabio" {
  datacenters = ["public-services"]
  type        = "system"

  update {
    max_parallel = 1
    stagger      = "5s"
  }

  group "fabio" {
    network {
      port "lb" {
        static = 9999
      }
      port "ui" {
        static = 9998
      }
    }

    task "fabio" {
      driver = "exec"

      config {
        command = "fabio"
      }

      resources {
        cpu    = 500
        memory = 128
      }
    }
  }
}
