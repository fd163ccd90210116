//! How charts look: one width, one palette, one clock, one way to name faults.

use plotters::prelude::*;

use crate::base::time::{Duration, Time};
use crate::measure::failover::{STAGES, is_fault};
use crate::world::spec::{Action, WorldSpec};

/// Width of a chart, in pixels.
pub const WIDTH: u32 = 1_120;

/// Colours that stay apart for people who confuse red and green, or blue and yellow, and stand out from a white ground
/// by 3 to 1 at least. Near those that have the largest least distance (`OKLab`) of any two as seen with protanopia,
/// deuteranopia, tritanopia (Machado et al. 2009) and without.
pub const PALETTE: [RGBColor; 8] = [
    RGBColor(10, 95, 220),
    RGBColor(163, 68, 14),
    RGBColor(21, 108, 99),
    RGBColor(194, 24, 143),
    RGBColor(24, 151, 244),
    RGBColor(122, 10, 10),
    RGBColor(140, 148, 52),
    RGBColor(62, 62, 62),
];
/// The same for a dark ground; all bear black text.
pub const PALETTE_DARK: [RGBColor; 8] = [
    RGBColor(59, 142, 255),
    RGBColor(232, 173, 43),
    RGBColor(5, 213, 161),
    RGBColor(216, 132, 204),
    RGBColor(156, 234, 255),
    RGBColor(255, 90, 74),
    RGBColor(245, 229, 110),
    RGBColor(140, 140, 140),
];

/// What charts stand on.
pub const GROUND: RGBColor = RGBColor(255, 255, 255);
/// What fails.
pub const BAD: RGBColor = RGBColor(192, 45, 45);
/// Good requests: paler than the palette, so that failures stand out before them.
pub const GOOD: RGBColor = RGBColor(126, 200, 174);
/// Text.
pub const INK: RGBColor = RGBColor(40, 44, 52);
/// Text that steps back: units, seeds, digests.
pub const FAINT: RGBColor = RGBColor(98, 103, 112);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(226, 229, 234);
/// The span of a fault.
pub const FAULT: RGBColor = RGBColor(252, 236, 228);

/// Every colour but the palette: its name, and how it is on a light and on a dark ground. The last ones are the page's.
pub const TONES: [(&str, RGBColor, RGBColor); 11] = [
    ("ground", GROUND, RGBColor(24, 27, 33)),
    ("bad", BAD, RGBColor(255, 123, 114)),
    ("good", GOOD, RGBColor(47, 133, 106)),
    ("ink", INK, RGBColor(230, 232, 236)),
    ("faint", FAINT, RGBColor(160, 166, 176)),
    ("grid", GRID, RGBColor(52, 57, 66)),
    ("fault", FAULT, RGBColor(66, 41, 36)),
    ("page", RGBColor(246, 247, 249), RGBColor(15, 17, 21)),
    ("ok", RGBColor(20, 108, 67), RGBColor(94, 207, 150)),
    ("link", RGBColor(10, 90, 200), RGBColor(120, 175, 255)),
    ("edge", RGBColor(120, 126, 136), RGBColor(120, 126, 138)),
];

/// The text that is easier to read on this colour: black or white.
pub fn text_on(colour: RGBColor) -> RGBColor {
    if contrast(colour, WHITE) >= contrast(colour, BLACK) { WHITE } else { BLACK }
}

/// Contrast of two colours, 1 to 21 (WCAG 2.1, 1.4.3).
pub fn contrast(one: RGBColor, other: RGBColor) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Relative luminance of a colour, 0 to 1.
fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { libm::pow((part + 0.055) / 1.055, 2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

/// A colour as CSS and SVG write it.
pub fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// So much of one colour on the ground of another.
pub fn mixed(RGBColor(r, g, b): RGBColor, share: f64, RGBColor(s, h, c): RGBColor) -> RGBColor {
    let mix = |one: u8, other: u8| libm::rint(f64::from(one) * share + f64::from(other) * (1.0 - share)) as u8;
    RGBColor(mix(r, s), mix(g, h), mix(b, c))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: &str, one: RGBColor, other: RGBColor, least: f64) {
        let found = contrast(one, other);
        assert!(found >= least, "{what}: {} on {} has a contrast of {found:.2}", hex(one), hex(other));
    }

    fn tone(name: &str) -> [RGBColor; 2] {
        TONES.iter().find(|(other, ..)| *other == name).map(|&(_, light, dark)| [light, dark]).unwrap()
    }

    /// WCAG 2.1 AA: 4.5 for text, 3 for shapes.
    #[test]
    fn text_and_lines_can_be_read_on_both_grounds() {
        for theme in 0..2 {
            for text in ["ink", "faint", "bad", "ok", "link"] {
                for ground in ["ground", "page", "fault"] {
                    check(text, tone(text)[theme], tone(ground)[theme], 4.5);
                }
            }
            for colour in [PALETTE, PALETTE_DARK][theme] {
                check("a line", colour, tone("ground")[theme], 3.0);
                check("text on a bar", text_on(colour), colour, 4.5);
            }
            check("an edge", tone("edge")[theme], tone("ground")[theme], 3.0);
        }
        for colour in PALETTE_DARK {
            check("text on a bar in the dark", BLACK, colour, 4.5);
        }
    }

    #[test]
    fn every_colour_of_a_chart_can_be_told_from_the_others() {
        let mut all: Vec<String> = PALETTE.into_iter().chain(TONES.map(|(_, light, _)| light)).map(hex).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "the dark theme finds colours by their light ones");
    }
}
