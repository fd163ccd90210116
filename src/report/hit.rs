//! Whom a fault hit, as the text says it.

use crate::analysis::ensemble::Ensemble;
use crate::analysis::hit;
use crate::base::ordered::OrdMap;
use crate::report::frame::seeds;
use crate::report::text::{line, plural};

/// Machines that are named, and lines of them.
const NAMED_MAX: usize = 3;

/// What one of the faults of each run hit, and a warning of runs in which it hit nobody.
pub(super) fn hit(ensemble: &Ensemble, fault: usize, out: &mut String) {
    let mut by_machines: OrdMap<Vec<String>, Vec<u64>> = OrdMap::new();
    let (mut nobody, mut why) = (Vec::new(), String::new());
    for run in &ensemble.runs {
        let Some(failover) = run.failovers.get(fault) else { continue };
        match hit::machines(&ensemble.spec, failover) {
            None => {}
            Some(machines) if machines.is_empty() => {
                nobody.push(run.seed);
                why = hit::why_nobody(&ensemble.spec, failover);
            }
            Some(machines) => by_machines.entry(machines).or_default().push(run.seed),
        }
    }
    let is_alike = by_machines.len() + usize::from(!nobody.is_empty()) == 1;
    let of = |all: &[u64]| match all {
        _ if is_alike => String::new(),
        [only] => format!(" (seed {only})"),
        several => format!(" (seeds {})", seeds(several.iter().copied())),
    };
    if !nobody.is_empty() {
        line(out, &format!("  hit nobody{}: {why}", of(&nobody)));
    }
    let mut by_machines: Vec<(&Vec<String>, &Vec<u64>)> = by_machines.iter().collect();
    by_machines.sort_by_key(|(_, all)| std::cmp::Reverse(all.len()));
    for (machines, all) in by_machines.iter().take(NAMED_MAX) {
        let named = machines.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match machines.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line(out, &format!("  hit: {named}{more}{}", of(all)));
    }
    let others: usize = by_machines.iter().skip(NAMED_MAX).map(|(_, all)| all.len()).sum();
    if others > 0 {
        line(out, &format!("  hit others in {}: failovers.csv names them", plural(others, "run")));
    }
}
