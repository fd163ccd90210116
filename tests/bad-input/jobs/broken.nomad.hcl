job "broken" {
  group "g" {
    count = = 1
  }
}
