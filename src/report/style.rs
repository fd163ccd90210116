//! How charts look: one size, one palette, one way to draw axes and faults.

use plotters::prelude::*;

use crate::base::time::Time;
use crate::world::spec::WorldSpec;

/// Width and height of a chart, in pixels.
pub const SIZE: (u32, u32) = (1_120, 420);

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

/// What goes well.
pub const GOOD: RGBColor = RGBColor(0, 158, 115);
/// What fails.
pub const BAD: RGBColor = RGBColor(192, 45, 45);
/// Text.
pub const INK: RGBColor = RGBColor(40, 44, 52);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(226, 229, 234);
/// The span of a fault.
pub const FAULT: RGBColor = RGBColor(250, 226, 214);

/// The typeface of all charts; the viewer's own sans-serif.
pub const FONT: &str = "sans-serif";

/// Colour of the n-th thing.
pub fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// Minutes since the start, for axes.
pub fn minutes(at: Time) -> f64 {
    at.as_secs_f64() / 60.0
}

/// Spans of the faults in minutes, with their labels; one without an end lasts to the end of the run.
pub fn faults(spec: &WorldSpec) -> Vec<(f64, f64, String)> {
    let end = Time::ZERO + spec.duration;
    spec.timeline
        .iter()
        .filter(|(_, entry)| crate::measure::failover::is_fault(&entry.action) && entry.at < end)
        .map(|(_, entry)| {
            let until = entry.lasts.map_or(end, |lasts| (entry.at + lasts).min(end));
            (minutes(entry.at), minutes(until), entry.label.to_string())
        })
        .collect()
}

/// A number for an axis: no needless decimals.
pub fn tick(value: &f64) -> String {
    crate::report::text::number(*value)
}
