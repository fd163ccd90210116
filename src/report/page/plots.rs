//! The figures behind the charts one can zoom, as data for the page's script.

use serde::Serialize;

use crate::base::time::Duration;
use crate::report::page::held::{Ground, Shares};
use crate::report::page::record::{Record, Series, Shown};
use crate::report::style::Clock;
use crate::report::text::shortened;

/// Most points of a line; a longer one is thinned.
const POINTS_MAX: usize = 720;

/// Most entries of the timeline that are marked in the charts.
const BANDS_MAX: usize = 100;

/// What the script gets.
#[derive(Debug, Serialize)]
pub(super) struct Plots {
    /// Length of the runs in seconds.
    end: f64,
    /// Seconds per unit of the time axis.
    per_unit: f64,
    /// From, until, what, and 1 for faults.
    bands: Vec<(f64, f64, String, u8)>,
    runs: Vec<Run>,
}

/// The charts of one run.
#[derive(Debug, Serialize)]
struct Run {
    seed: u64,
    plots: Vec<Plot>,
}

/// One chart.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    /// The figure it belongs to.
    of: &'static str,
    title: String,
    unit: &'static str,
    /// Whether the axis is logarithmic.
    log: bool,
    /// Top of the axis, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<f64>,
    /// Middle of the first point in seconds, and seconds to the next.
    first: f64,
    step: f64,
    lines: Vec<Line>,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    /// Number of a colour, or `bad`.
    colour: String,
    values: Vec<Option<f64>>,
}

/// How several buckets become one.
#[derive(Debug, Clone, Copy)]
enum Join {
    Mean,
    Highest,
    Last,
}

/// All charts of the runs that are shown, and how many buckets a point stands for at most.
pub(super) fn plots(record: &Record, ground: &Ground, shares: &[Shares]) -> (Plots, usize) {
    let mut thinned = 1;
    let runs = record
        .shown
        .iter()
        .zip(shares)
        .map(|(run, shares)| Run { seed: run.seed, plots: of_run(record, run, ground, shares, &mut thinned) });
    let runs = runs.collect();
    let end = record.end_s();
    let entries = record.timeline.iter().filter(|entry| entry.kind != "warm-up");
    let bands = entries
        .take(BANDS_MAX)
        .map(|entry| (entry.from_s, entry.until_s, shortened(&entry.what, 80), u8::from(entry.kind == "fault")));
    let per_unit = Clock::of(Duration::from_secs_f64(end)).seconds;
    (Plots { end, per_unit, bands: bands.collect(), runs }, thinned)
}

impl Plots {
    /// JSON that ends no script element.
    pub(super) fn json(&self) -> String {
        json(self)
    }

    /// The part of one run.
    pub(super) fn json_of(&self, run: usize) -> String {
        json(&self.runs[run])
    }

    /// Leaves out the runs from this one on.
    pub(super) fn keep(&mut self, runs: usize) {
        self.runs.truncate(runs);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a tree of strings and finite numbers").replace('<', "\\u003c")
}

fn of_run(record: &Record, run: &Shown, ground: &Ground, shares: &Shares, thinned: &mut usize) -> Vec<Plot> {
    let mut plots = Vec::new();
    let kinds = [
        ("requests", "Good requests", "requests per second", "requests.good{traffic=", Join::Mean),
        ("requests", "Failed requests", "requests per second", "requests.failed{traffic=", Join::Mean),
        ("latency", "Latency of good requests", "ms", "request.latency{traffic=", Join::Highest),
        ("zones", "Allocations that hold resources, by zone", "allocations", "allocations{zone=", Join::Last),
    ];
    for (of, title, unit, prefix, join) in kinds {
        let series: Vec<&Series> = run.series.iter().filter(|series| series.name.starts_with(prefix)).collect();
        let lines = series.len();
        let colour = |index: usize| match (of, title.starts_with("Failed"), lines) {
            ("requests", true, 1) => "bad".to_owned(),
            ("requests", false, 1) => "2".to_owned(),
            _ => index.to_string(),
        };
        let name = |series: &Series| series.name[prefix.len()..].replacen('}', "", 1);
        let named: Vec<(String, String, &Series)> =
            series.into_iter().enumerate().map(|(index, series)| (name(series), colour(index), series)).collect();
        plots.extend(over_buckets(record.end_s(), (of, title, unit), &named, join, thinned));
    }
    for (dimension, (of, title)) in
        [("cpu", "Processor held, of what the zone has"), ("memory", "Memory held, of what the zone has")]
            .into_iter()
            .enumerate()
    {
        let lines = ground.zones.iter().zip(&shares.values).enumerate().map(|(index, (zone, values))| Line {
            name: zone.name.clone(),
            colour: index.to_string(),
            values: values[dimension].iter().map(|&value| Some(short(value))).collect(),
        });
        let lines: Vec<Line> = lines.collect();
        if !lines.is_empty() {
            let (first, step) = (shares.step_s, shares.step_s);
            plots.push(Plot {
                of,
                title: title.to_owned(),
                unit: "%",
                log: false,
                top: Some(100.0),
                first,
                step,
                lines,
            });
        }
    }
    plots
}

fn over_buckets(
    end_s: f64,
    (of, title, unit): (&'static str, &str, &'static str),
    series: &[(String, String, &Series)],
    join: Join,
    thinned: &mut usize,
) -> Option<Plot> {
    let points = || series.iter().flat_map(|(_, _, series)| &series.values);
    // The width of a bucket is the least distance of two starts.
    let starts = series.iter().flat_map(|(_, _, series)| series.values.windows(2).map(|pair| pair[1].0 - pair[0].0));
    let width = starts.filter(|&width| width > 0.0).fold(f64::INFINITY, f64::min);
    if !width.is_finite() || end_s <= 0.0 {
        return None;
    }
    let buckets = libm::ceil(end_s / width) as usize;
    let joined = buckets.div_ceil(POINTS_MAX).max(1);
    *thinned = joined.max(*thinned);
    let line = |(name, colour, series): &(String, String, &Series)| {
        let mut found: Vec<Vec<f64>> = vec![Vec::new(); buckets.div_ceil(joined)];
        for &(from, value) in &series.values {
            let at = libm::rint(from / width).max(0.0) as usize / joined;
            if let Some(point) = found.get_mut(at) {
                point.push(value);
            }
        }
        let one = |values: Vec<f64>| match join {
            Join::Mean => (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
            Join::Highest => values.into_iter().reduce(f64::max),
            Join::Last => values.last().copied(),
        };
        let values = found.into_iter().map(|values| one(values).map(short)).collect();
        Line { name: name.clone(), colour: colour.clone(), values }
    };
    let positive = || points().map(|&(_, value)| value).filter(|&value| value > 0.0);
    let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
    // As in the drawn charts: latency over more than a decade and a half is unreadable on a linear axis.
    let log = unit == "ms" && high / low > 30.0;
    let step = width * joined as f64;
    // A level is that at the end of its bucket.
    let first = if matches!(join, Join::Last) { step } else { step / 2.0 };
    let (title, lines) = (title.to_owned(), series.iter().map(line).collect());
    Some(Plot { of, title, unit, log, top: None, first, step, lines })
}

/// Four significant digits: more than a screen has.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse::<f64>().expect("a formatted number is a number") + 0.0
}
