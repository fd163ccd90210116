//! One selection in the words of the scenario: JSON, and the cells of `placements.csv`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::summary::Refusals;
use crate::base::id::Id as _;
use crate::measure::reasons::{CLASS_INELIGIBLE, Why};
use crate::model::node::NodeId;
use crate::model::topology::RegionId;
use crate::world::spec::{MachineId, MachineRole, WorldSpec};

/// One pass over the nodes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pass {
    /// Whether others could be pushed out.
    pub preempts: bool,
    /// Nodes it could choose from: ready, and in a datacenter of the job.
    pub nodes: u32,
    /// Nodes it never came to.
    pub unseen: u32,
    /// Candidates after which it stops; absent if it looks at every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The machine that was tried alone first, or was the only one asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
    /// Machines on which an ancestor failed.
    pub penalised: Vec<String>,
    /// What kept the others from taking it.
    #[serde(flatten)]
    pub refusals: Refusals,
    /// Constraints behind `computed class ineligible`: those that ruled nodes out earlier in the attempt.
    pub class_reasons: Vec<String>,
    /// Nodes that could take it.
    pub candidates: u32,
    /// The five best of them, best first.
    pub best: Vec<Candidate>,
}

/// A node that could take the group. A scorer that had nothing to say is absent, and not part of the mean.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Candidate {
    /// Its machine.
    pub machine: String,
    /// Its zone.
    pub zone: String,
    /// Its node class; empty if it has none.
    pub class: String,
    /// Its place in the order candidates were met, from 1.
    pub met: u32,
    /// Whether it won.
    pub chosen: bool,
    /// Mean of its scores.
    pub score: f64,
    /// Its single scores by Nomad's names.
    pub scores: BTreeMap<&'static str, f64>,
}

/// Nomad's scorers, in the order they are added up.
pub const SCORERS: [&str; 6] =
    ["binpack", "job-anti-affinity", "node-reschedule-penalty", "node-affinity", "allocation-spread", "preemption"];

/// The machine of a node.
pub fn machine(spec: &WorldSpec, region: RegionId, node: NodeId) -> MachineId {
    spec.regions[region].clients[node.index()]
}

/// The name of a node's machine.
pub fn machine_name(spec: &WorldSpec, region: RegionId, node: NodeId) -> String {
    spec.machines[machine(spec, region, node)].name.to_string()
}

/// The node class of a machine; empty if it has none.
pub fn class(spec: &WorldSpec, machine: MachineId) -> String {
    match &spec.machines[machine].role {
        MachineRole::Client(node) => node.class.to_string(),
        MachineRole::NomadServer | MachineRole::ConsulServer => String::new(),
    }
}

/// The passes over the nodes behind a decision: the last one, and the one before it if that pushed nobody out.
pub fn passes(spec: &WorldSpec, region: RegionId, why: &Why) -> Vec<Pass> {
    let selections = why.first_pass().into_iter().chain([why.selection()]);
    let mut passes: Vec<Pass> = selections.map(|selection| pass(spec, region, selection)).collect();
    for pass in &mut passes {
        if pass.refusals.constraint_filtered.contains_key(CLASS_INELIGIBLE) {
            pass.class_reasons = why.class_reasons().into_iter().map(str::to_owned).collect();
        }
    }
    passes
}

fn pass(spec: &WorldSpec, region: RegionId, selection: &crate::measure::reasons::Selection) -> Pass {
    let chosen = selection.chosen.as_ref().map(|chosen| chosen.node);
    let best = selection.best.iter().map(|candidate| {
        let scores = &candidate.scores;
        let machine = machine(spec, region, scores.node);
        let values = [
            Some(scores.fit),
            scores.job_anti_affinity,
            scores.reschedule_penalty,
            scores.affinity,
            scores.spread,
            scores.preemption,
        ];
        let named = SCORERS.into_iter().zip(values);
        Candidate {
            machine: spec.machines[machine].name.to_string(),
            zone: spec.zones[spec.machines[machine].zone].name.to_string(),
            class: class(spec, machine),
            met: candidate.met,
            chosen: chosen == Some(scores.node),
            score: finite(candidate.score),
            scores: named.filter_map(|(name, value)| Some((name, finite(value?)))).collect(),
        }
    });
    Pass {
        preempts: selection.preempts,
        nodes: selection.nodes,
        unseen: selection.unseen(),
        limit: selection.limit,
        preferred: selection.preferred.map(|node| machine_name(spec, region, node)),
        penalised: selection.penalty_nodes.iter().map(|node| machine_name(spec, region, *node)).collect(),
        refusals: Refusals::new(&selection.record),
        class_reasons: Vec::new(),
        candidates: selection.candidates,
        best: best.collect(),
    }
}

/// JSON has no infinities; a spread target of nothing makes one until 1.5.6.
fn finite(score: f64) -> f64 {
    score.clamp(f64::MIN, f64::MAX)
}

/// `2 missing drivers; 1 ${attr.cpu.arch} = arm64`, the largest count first.
pub fn counts(counts: &BTreeMap<String, u32>) -> String {
    let mut sorted: Vec<(&String, &u32)> = counts.iter().collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let texts: Vec<String> = sorted.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    texts.join("; ")
}

/// Cells of `placements.csv`: nodes looked at, not come to, filtered by constraint and class, exhausted by dimension
/// and class, candidates, and the best of them with their scores. Empty without an explanation.
pub fn cells(spec: &WorldSpec, region: RegionId, why: Option<&Why>) -> [String; CELLS.len()] {
    let Some(why) = why else { return Default::default() };
    let pass = pass(spec, region, why.selection());
    let best: Vec<String> = pass.best.iter().map(shown).collect();
    let refusals = &pass.refusals;
    [
        refusals.evaluated.to_string(),
        pass.unseen.to_string(),
        counts(&refusals.constraint_filtered),
        counts(&refusals.class_filtered),
        counts(&refusals.dimension_exhausted),
        counts(&refusals.class_exhausted),
        pass.candidates.to_string(),
        best.join("; "),
    ]
}

/// Their headings.
pub const CELLS: [&str; 8] = [
    "nodes_evaluated",
    "nodes_unseen",
    "filtered",
    "filtered_by_class",
    "exhausted",
    "exhausted_by_class",
    "candidates",
    "best",
];

/// `us-east-1/apps-3 0.71 (binpack 0.92, job-anti-affinity -0.5)`.
fn shown(candidate: &Candidate) -> String {
    let parts = SCORERS.iter().filter_map(|name| Some((name, candidate.scores.get(name)?)));
    let parts: Vec<String> = parts.map(|(name, score)| format!("{name} {}", rounded(*score))).collect();
    format!("{} {} ({})", candidate.machine, rounded(candidate.score), parts.join(", "))
}

/// Four decimals at most, no trailing zeros; what stands for an infinite score is told as one.
pub fn rounded(score: f64) -> String {
    if score.abs() > f64::MAX / 100.0 {
        return if score < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let text = format!("{score:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_largest_first() {
        let of = |pairs: &[(&str, u32)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(counts(&of(&[("cpu", 1), ("disk", 3), ("memory", 3)])), "3 disk; 3 memory; 1 cpu");
        assert_eq!(counts(&of(&[])), "");
    }

    #[test]
    fn scores_are_short() {
        for (score, expected) in [
            (0.5, "0.5"),
            (-0.000_01, "0"),
            (1.0, "1"),
            (-2.0 / 3.0, "-0.6667"),
            (f64::MIN, "-inf"),
            (f64::MIN / 6.0, "-inf"),
        ] {
            assert_eq!(rounded(score), expected);
        }
    }
}
