//! The scenarios of a million containers and more, scaled down to fewer jobs on as many machines: what a placement
//! costs, and so the rate and the shape of the curve, does not depend on how many jobs there are. At full size,
//! `cossim run scenarios/c1m.ron` and `scenarios/c2m.ron` judge themselves.

use std::path::Path;
use std::sync::Arc;

use cossim::analysis::batch::Wish;
use cossim::analysis::ensemble::{Plan, run_all};
use cossim::scenario;

/// So many of the scenario's jobs, a thousand containers each, are placed at `rate` per second and in a straight line.
fn check(name: &str, jobs: u32, duration: &str, rate: f64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.ron"));
    let edits = [format!("jobs.0.copies={jobs}"), format!("duration={duration}"), "expect=[]".to_owned()];
    let loaded = scenario::load(&path, &edits);
    let shown = loaded.sources.render(&loaded.findings, false);
    let spec = Arc::new(loaded.lowered.unwrap_or_else(|| panic!("{shown}")).world);
    let plan = Plan { spec, windows: Vec::new(), seeds: vec![1], threads: Some(1), explains: false };
    let outcome = run_all(&plan, |_| Wish::GoOn).expect("virtual time does not stand still").remove(0);
    let broken = outcome.invariants.iter().find(|law| law.violations > 0);
    assert!(broken.is_none(), "{name}: {broken:?}");
    assert_eq!(outcome.placements.len(), jobs as usize * 1_000, "{name}");
    assert!(outcome.placements.iter().all(|row| row.running_at.is_some() && row.ended.is_none()), "{name}");
    let mut placed: Vec<f64> = outcome.placements.iter().map(|row| row.placed_at.as_secs_f64()).collect();
    placed.sort_by(f64::total_cmp);
    let at = |tenths: usize| placed[placed.len() * tenths / 10];
    let found = placed.len() as f64 * 0.8 / (at(9) - at(1));
    assert!((found / rate - 1.0).abs() < RATE_TOLERANCE, "{name}: {found:.0} placements per second, not {rate}");
    for tenths in 2..9 {
        let straight = at(1) + (at(9) - at(1)) * (tenths - 1) as f64 / 8.0;
        let off = (at(tenths) - straight).abs() / (at(9) - at(1));
        assert!(off < LINE_TOLERANCE, "{name}: at {tenths} tenths the curve is {off:.3} of its span off the line");
    }
}

/// Plans place a thousand at once, so a short curve has coarse steps.
const RATE_TOLERANCE: f64 = 0.1;
const LINE_TOLERANCE: f64 = 0.1;

#[test]
fn a_million_containers_are_placed_in_a_straight_line() {
    check("c1m", 40, "50s", 3_750.0);
}

#[test]
fn two_million_containers_are_placed_in_a_straight_line() {
    check("c2m", 24, "55s", 1_499.0);
}
