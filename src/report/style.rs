//! How charts look: one width, one palette, one clock, one way to name faults.

use plotters::prelude::*;

use crate::base::time::{Duration, Time};
use crate::measure::failover::{STAGES, is_fault};
use crate::world::spec::{Action, WorldSpec};

/// Width of a chart, in pixels.
pub const WIDTH: u32 = 1_120;

/// Colours that stay apart for most kinds of colour blindness (Okabe and Ito's set, darkened where text needs it).
pub const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(148, 148, 40),
    RGBColor(90, 90, 90),
];

/// What fails.
pub const BAD: RGBColor = RGBColor(192, 45, 45);
/// Text.
pub const INK: RGBColor = RGBColor(40, 44, 52);
/// Text that steps back: units, seeds, digests.
pub const FAINT: RGBColor = RGBColor(104, 109, 118);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(226, 229, 234);
/// The span of a fault.
pub const FAULT: RGBColor = RGBColor(252, 236, 228);

/// The typeface of all charts; the viewer's own sans-serif.
pub const FONT: &str = "sans-serif";

/// What each stage of a replacement ends with, in words; in the order of [`STAGES`].
pub const STAGE_WORDS: [&str; STAGES.len()] = [
    "node marked down",
    "replacement placed",
    "task running",
    "checks passing",
    "in a proxy's table",
    "first good request",
];

/// Colour of the n-th thing.
pub fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// The unit of a time axis: seconds for short runs, minutes for most, hours for long ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// Seconds per unit.
    pub seconds: f64,
    /// Its name.
    pub unit: &'static str,
}

impl Clock {
    /// The unit for a run this long.
    pub fn of(span: Duration) -> Self {
        match span.as_secs_f64() {
            ..=300.0 => Self { seconds: 1.0, unit: "seconds" },
            ..=18_000.0 => Self { seconds: 60.0, unit: "minutes" },
            _ => Self { seconds: 3_600.0, unit: "hours" },
        }
    }

    /// An instant on this clock.
    pub fn at(self, at: Time) -> f64 {
        at.as_secs_f64() / self.seconds
    }
}

/// An entry of the timeline as charts show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// When it strikes.
    pub from: Time,
    /// When it ends: the end of the run for one without an end, `from` for one that is over at once.
    pub until: Time,
    /// As in the timeline.
    pub label: String,
    /// A fault, not an operator's action.
    pub fault: bool,
}

/// The entries of the timeline, in order of time.
pub fn bands(spec: &WorldSpec) -> Vec<Band> {
    let end = Time::ZERO + spec.duration;
    let mut bands: Vec<Band> = spec
        .timeline
        .iter()
        .filter(|(_, entry)| entry.at < end)
        .map(|(_, entry)| {
            let fault = is_fault(&entry.action);
            let brief = !fault || matches!(entry.action, Action::ProcessRestart(_));
            let open = if brief { entry.at } else { end };
            let until = entry.lasts.map_or(open, |lasts| (entry.at + lasts).min(end));
            Band { from: entry.at, until, label: entry.label.to_string(), fault }
        })
        .collect();
    bands.sort_by_key(|band| band.from);
    bands
}

/// A number for an axis: no needless decimals.
pub fn tick(value: f64) -> String {
    crate::report::text::number(value)
}
