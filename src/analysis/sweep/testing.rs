//! Sweeps of made-up figures, for tests.

use crate::analysis::judge::judgement;
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::plan::{Checked, Plan};
use crate::analysis::sweep::table::Swept;
use crate::analysis::sweep::work::Row;
use crate::scenario::vary;

/// A scenario with the measures `failover.replace max`, `failover.healthy max` and `placement.queued final`, all
/// expected to stay below a bound.
const SCENARIO: &str = include_str!("../../../scenarios/sweep-heartbeat.ron");

/// A sweep of these dimensions, with so many seeds, in which every measure of a run comes to `figure` of the numbers of
/// its point and its seed, in the unit of the measure.
pub(crate) fn swept(design: Design, vary: &[&str], seeds: u64, figure: impl Fn(&[f64], u64) -> Option<f64>) -> Swept {
    let sweep = plan(design, vary, seeds).check(Some(1)).unwrap_or_else(|error| panic!("no mistakes: {error:?}"));
    let rows = (0..sweep.runs()).map(|run| row(&sweep, run, &figure)).collect();
    Swept { sweep, digest: "ab".repeat(8), rows }
}

/// The plan of such a sweep, unchecked.
pub(crate) fn plan(design: Design, vary: &[&str], seeds: u64) -> Plan {
    Plan {
        file: "s.ron".to_owned(),
        text: SCENARIO.to_owned(),
        files: crate::base::ordered::OrdMap::new(),
        edits: Vec::new(),
        vary: vary.iter().map(|text| (*text).to_owned()).collect(),
        design,
        design_seed: 0,
        seeds: (1..=seeds).collect(),
        measures: Vec::new(),
    }
}

fn row(sweep: &Checked, run: usize, figure: impl Fn(&[f64], u64) -> Option<f64>) -> Row {
    let (point, seed) = sweep.place(run);
    let numbers: Vec<f64> = sweep.layout.values[point].iter().filter_map(|value| vary::number(value)).collect();
    let value = figure(&numbers, seed);
    Row {
        values: vec![value; sweep.readings.measures.len()],
        judgements: sweep.readings.expectations.iter().map(|(_, of, _)| judgement(of, value)).collect(),
        violations: 0,
        digest: run as u64,
        events: 1,
    }
}
