use cossim::analysis::run::*;
use std::sync::Arc;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let loaded = cossim::scenario::load(std::path::Path::new(&args[1]), &args[3..].to_vec());
    print!("{}", loaded.sources.render(&loaded.findings, false));
    let lowered = loaded.lowered.expect("loads");
    let spec = Arc::new(lowered.world);
    let t = std::time::Instant::now();
    let out = run(&spec, &[], args[2].parse().unwrap(), &Shared::default(), &Progress::default()).unwrap();
    let wall = t.elapsed().as_secs_f64();
    println!(
        "events {} digest {:016x} wall {:.2}s speed {:.0}x",
        out.events,
        out.digest,
        wall,
        out.simulated.as_secs_f64() / wall
    );
    if std::env::var("SLOW").is_ok() {
        for p in &out.placements {
            let wait = p.running_at.map(|r| r.since(p.placed_at).as_secs_f64());
            if wait.is_none_or(|w| w > 20.0) && p.placed_at.as_secs_f64() > 60.0 {
                println!(
                    "{} {}[{}] on {} placed {:.1} running {:?} prev {:?} ended {:?}",
                    p.instance.alloc,
                    p.job_name,
                    p.index,
                    spec.machines[p.machine].name,
                    p.placed_at.as_secs_f64(),
                    p.running_at.map(|r| r.as_secs_f64()),
                    p.previous,
                    p.ended
                );
            }
        }
    }
    let ens = cossim::analysis::ensemble::Ensemble::new(&spec, String::new(), vec![out], vec![]);
    println!("{}", cossim::report::text::render(&ens));
}
