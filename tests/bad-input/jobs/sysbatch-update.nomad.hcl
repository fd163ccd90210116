job "sweep" {
  type        = "sysbatch"
  datacenters = ["dc1"]

  update {
    max_parallel = 1
  }

  group "sweep" {
    task "sweep" {
      driver = "docker"
    }
  }
}
