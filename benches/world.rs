//! A whole world: events per second, speed against real time, and how cost grows with nodes, allocations and requests.
//!
//! `cargo bench --bench world` prints one line per size, four times as large each, and for each dimension the exponent e
//! in `cost ~ size^e` (CPU time per simulated second, from the smallest to the largest size). `-- --test` runs everything
//! once, tiny; `-- nodes` runs the dimensions whose name contains that text.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::sync::Arc;

use cossim::analysis::run::{Progress, Shared, run};
use cossim::base::math;
use cossim::scenario::load_text;
use cossim::scenario::lower::Files;
use cossim::world::spec::WorldSpec;

/// What is varied; the rest stays at the smallest size.
#[derive(Clone, Copy)]
struct Size {
    nodes: u32,
    allocs: u32,
    requests_per_second: u32,
    duration: &'static str,
}

type Growth = fn(Size, u32) -> Size;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let tiny = args.iter().any(|arg| arg == "--test");
    let wanted = |name: &str| args.iter().all(|arg| arg == "--test" || name.contains(arg.as_str()));
    let (base, steps) = if tiny {
        (Size { nodes: 9, allocs: 6, requests_per_second: 10, duration: "1m" }, 1)
    } else {
        (Size { nodes: 60, allocs: 250, requests_per_second: 100, duration: "10m" }, 2)
    };
    let dimensions: [(&str, Growth); 3] = [
        ("nodes", |size, by| Size { nodes: size.nodes * by, ..size }),
        ("allocs", |size, by| Size { nodes: size.nodes * 4, allocs: size.allocs * by, ..size }),
        ("requests", |size, by| Size { requests_per_second: size.requests_per_second * by, ..size }),
    ];
    println!(
        "{:10} {:>6} {:>6} {:>6} {:>12} {:>10} {:>10}",
        "varied", "nodes", "allocs", "rps", "events", "Mev/s", "x real"
    );
    for (name, grow) in dimensions.into_iter().filter(|(name, _)| wanted(name)) {
        let costs: Vec<f64> = (0..=steps).map(|step| measure(name, grow(base, 4_u32.pow(step)))).collect();
        if let (Some(first), Some(last)) = (costs.first(), costs.last()) {
            let exponent = math::ln(last / first) / math::ln(f64::from(4_u32.pow(steps)));
            println!("{name:10} cost grows with exponent {exponent:.2}");
        }
    }
}

/// Prints a line; returns CPU seconds per simulated second.
fn measure(name: &str, size: Size) -> f64 {
    let spec = world(size);
    let begun = cpu_seconds();
    let outcome = run(&spec, &[], 1, &Shared::default(), &Progress::default()).expect("the world does not stand still");
    let cost = cpu_seconds() - begun;
    let simulated = outcome.simulated.as_secs_f64();
    println!(
        "{name:10} {:>6} {:>6} {:>6} {:>12} {:>10.2} {:>10.0}",
        size.nodes,
        size.allocs,
        size.requests_per_second,
        outcome.events,
        outcome.events as f64 / cost / 1e6,
        simulated / cost
    );
    cost / simulated
}

/// One region of three zones, a job behind a proxy per ingress machine.
fn world(size: Size) -> Arc<WorldSpec> {
    let Size { nodes, allocs, requests_per_second, duration } = size;
    let text = format!(
        r#"Scenario(
    name: "bench", seeds: 1, duration: "{duration}",
    regions: [Region(name: "r1", zones: ["a", "b", "c"],
        nomad: Servers(count: 3, instance: "m5.large"), consul: Servers(count: 3, instance: "t3.medium"),
        clients: [Clients(datacenter: "edge", count: 3, instance: "c5.large"),
                  Clients(datacenter: "work", count: {nodes}, instance: "m5.4xlarge")])],
    network: Preset("aws"),
    jobs: [File("proxy.hcl"), FileWith(path: "web.hcl", counts: {{"web": {allocs}}})],
    services: [Service(name: "web", concurrency: 8, service_time: Exponential("5ms"), start: "1s")],
    ingress: [Ingress(job: "fabio", region: "r1", port: "lb", balancer: Alb(interval: "15s", timeout: "3s", healthy: 2))],
    traffic: [Traffic(name: "users", to: "web.example.com/", region: "r1", rate: "{requests_per_second}/s", timeout: "2s")],
)"#
    );
    let loaded = load_text("bench.ron", &text, &[], &Jobs);
    let Some(lowered) = loaded.lowered else { panic!("{}", loaded.sources.render(&loaded.findings, false)) };
    Arc::new(lowered.world)
}

struct Jobs;

impl Files for Jobs {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        let text = if path == "proxy.hcl" { PROXY } else { WEB };
        Ok((path.to_owned(), text.to_owned()))
    }
}

/// CPU time of this thread if the system tells (Linux), otherwise the wall clock.
fn cpu_seconds() -> f64 {
    let schedstat = || -> Option<u64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    };
    let since = |then: std::time::SystemTime| then.elapsed().map_or(0.0, |elapsed| elapsed.as_secs_f64());
    schedstat().map_or_else(|| since(std::time::UNIX_EPOCH), |nanos| nanos as f64 / 1e9)
}

const PROXY: &str = r#"
job "fabio" {
  datacenters = ["edge"]
  type        = "system"
  group "fabio" {
    network {
      port "lb" { static = 9999 }
      port "ui" { static = 9998 }
    }
    task "fabio" { driver = "exec" }
  }
}"#;
const WEB: &str = r#"
job "web" {
  datacenters = ["work"]
  group "web" {
    network { port "http" { to = 8080 } }
    service {
      name = "web"
      port = "http"
      tags = ["urlprefix-web.example.com/"]
      check {
        type     = "http"
        path     = "/health"
        interval = "10s"
        timeout  = "2s"
      }
    }
    task "server" { driver = "docker" }
  }
}"#;
