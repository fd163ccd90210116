//! Work that waits for a place, and why.

use std::collections::BTreeMap;

use crate::analysis::ensemble::Ensemble;
use crate::analysis::summary::Refusals;
use crate::analysis::summary::make::rejections;
use crate::base::ordered::OrdMap;
use crate::model::topology::RegionId;
use crate::report::frame::seeds;
use crate::report::text::{align, grouped, line, plural, section};

/// Groups that are told of; the others are in the files.
const GROUPS_MAX: usize = 8;

/// A group that waits in some runs.
struct Waiting {
    /// Most allocations wanted.
    wanted: u32,
    /// Why, in the first of the runs.
    why: String,
    seeds: Vec<u64>,
}

/// Groups that still waited when their run ended, with what kept nodes from taking them.
pub(super) fn unplaced(ensemble: &Ensemble, out: &mut String) {
    let mut all: OrdMap<(RegionId, &str, &str), Waiting> = OrdMap::new();
    for run in &ensemble.runs {
        for group in run.unplaced.iter().filter(|group| group.queued > 0) {
            let first = || {
                let (refusals, rejected) = (Refusals::new(&group.record), &group.rejections);
                let why = reasons(&refusals, rejected.plans, &rejections(rejected));
                Waiting { wanted: 0, why, seeds: Vec::new() }
            };
            let waiting = all.entry((group.region, &group.job, &group.group)).or_insert_with(first);
            waiting.wanted = waiting.wanted.max(group.queued);
            waiting.seeds.push(run.seed);
        }
    }
    if all.is_empty() {
        return;
    }
    section(out, "without a place when the run ended");
    let mut rows = vec![["group", "region", "wanted", "what kept nodes from taking it", "seeds"].map(str::to_owned)];
    let more = all.len().saturating_sub(GROUPS_MAX);
    for ((region, job, group), Waiting { wanted, why, seeds: of }) in all.into_iter().take(GROUPS_MAX) {
        let region = ensemble.spec.regions[region].name.to_string();
        rows.push([format!("{job}.{group}"), region, grouped(wanted.into()), why, seeds(of.into_iter())]);
    }
    align(&rows, &[false, false, true, false, false], out);
    if more > 0 {
        line(out, &format!("  and {more} more groups: `unplaced` in summary.json"));
    }
}

/// Why nodes could not take a group, or why they rejected the plans that chose them, in a few words.
pub(super) fn reasons(refusals: &Refusals, plans: u32, rejections: &BTreeMap<String, u32>) -> String {
    let ruled = refusals.constraint_filtered.iter().map(|(reason, count)| format!("{count} × {reason}"));
    let full = refusals.dimension_exhausted.iter().map(|(reason, count)| format!("{count} × {reason} exhausted"));
    let counted: Vec<String> = rejections.iter().map(|(reason, count)| format!("{count} × {reason}")).collect();
    let rejected = (plans > 0).then(|| format!("{} rejected ({})", plural(plans as usize, "plan"), counted.join(", ")));
    let reasons: Vec<String> = ruled.chain(full).chain(rejected).collect();
    match (reasons.is_empty(), refusals.nodes_available.values().sum::<u32>()) {
        (false, _) => reasons.join("; "),
        (true, 0) => "no ready node in the job's datacenters".to_owned(),
        (true, _) => "not said".to_owned(),
    }
}
