//! The drawing surface of all charts: a sheet with a title, and frames with axes on it, in pixels.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::analysis::ensemble::Ensemble;
use crate::base::math;
use crate::base::time::{Duration, Time};
use crate::measure::outcome::Outcome;
use crate::report::style::{self, BAD, Band, Clock, FAINT, FAULT, FONT, GRID, INK};

/// Drawing into a string cannot fail but for a mistake of ours.
const DRAWS: &str = "an SVG in memory takes every shape";

/// A guess at the mean width of a letter, in pixels per pixel of size; only layout depends on it.
const GLYPH: f64 = 0.55;

/// A chart while it is drawn.
pub(crate) struct Sheet<'a> {
    root: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// It begins there.
    Start,
    /// It is centred on it.
    Middle,
    /// It ends there.
    End,
}

/// Size and colour of text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink {
    pub(crate) size: u32,
    pub(crate) colour: RGBColor,
    pub(crate) bold: bool,
}

/// Where names of colours stand, in pixels from the top.
const LEGEND: i32 = 68;

/// Axis labels and the like.
pub(crate) const PLAIN: Ink = Ink { size: 13, colour: INK, bold: false };
/// Units and notes.
pub(crate) const SOFT: Ink = Ink { size: 12, colour: FAINT, bold: false };

/// Draws a chart of this height; `draw` does everything but the white ground.
pub(crate) fn sheet(height: u32, draw: impl FnOnce(&Sheet)) -> String {
    let mut svg = String::new();
    {
        let sheet = Sheet { root: SVGBackend::with_string(&mut svg, (style::WIDTH, height)).into_drawing_area() };
        sheet.root.fill(&WHITE).expect(DRAWS);
        draw(&sheet);
        sheet.root.present().expect(DRAWS);
    }
    svg
}

impl Sheet<'_> {
    /// What the chart shows, and of what: enough to run it again. Without a run, of all runs.
    pub(crate) fn title(&self, ensemble: &Ensemble, run: Option<&Outcome>, name: &str) {
        self.text((24, 22), name, Ink { size: 19, colour: INK, bold: true }, Anchor::Start);
        let of = match run {
            Some(run) => format!("seed {}  ·  run digest {:016x}", run.seed, run.digest),
            None => format!("seeds {}", seeds(ensemble.runs.iter().map(|run| run.seed))),
        };
        let (scenario, digest, version) = (&ensemble.spec.name, &ensemble.scenario_digest, env!("CARGO_PKG_VERSION"));
        let note = format!("{scenario}  ·  {of}  ·  scenario digest {digest}  ·  cossim {version}");
        self.text((24, 43), &note, SOFT, Anchor::Start);
    }

    /// Names of colours below the title, from left to right; what finds no place in the row is counted.
    pub(crate) fn legend(&self, entries: &[(String, RGBColor)]) {
        let mut x = 24;
        for (index, (label, colour)) in entries.iter().enumerate() {
            let wide = width(label, 13) + 46;
            let left = entries.len() - index;
            if x + wide + if left > 1 { 80 } else { 0 } > style::WIDTH as i32 {
                self.text((x, LEGEND), &format!("and {left} more"), SOFT, Anchor::Start);
                return;
            }
            self.fill((x, LEGEND - 6), (x + 13, LEGEND + 7), *colour);
            self.text((x + 19, LEGEND), label, PLAIN, Anchor::Start);
            x += wide;
        }
    }

    /// One line of text, centred on its height.
    pub(crate) fn text(&self, at: (i32, i32), text: &str, ink: Ink, anchor: Anchor) {
        let across = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if ink.bold { FontStyle::Bold } else { FontStyle::Normal };
        // What plotters takes for a size is 1.24 times the size it writes.
        let font = (FONT, f64::from(ink.size) * 1.24, weight)
            .into_font()
            .color(&ink.colour)
            .pos(Pos::new(across, VPos::Center));
        self.root.draw(&Text::new(text.to_owned(), at, font)).expect(DRAWS);
    }

    /// A rectangle.
    pub(crate) fn fill(&self, from: (i32, i32), to: (i32, i32), colour: RGBColor) {
        self.root.draw(&Rectangle::new([from, to], colour.filled())).expect(DRAWS);
    }

    /// A line through points.
    pub(crate) fn path(&self, points: Vec<(i32, i32)>, colour: RGBColor, thickness: u32) {
        self.root.draw(&PathElement::new(points, colour.stroke_width(thickness))).expect(DRAWS);
    }
}

/// The vertical axis of a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// From zero to this.
    Linear(f64),
    /// From the first to the second, both above zero, by their ratio.
    Log(f64, f64),
}

/// A rectangle with axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) left: i32,
    pub(crate) top: i32,
    pub(crate) right: i32,
    pub(crate) bottom: i32,
    /// First and last instant.
    pub(crate) span: (Time, Time),
    pub(crate) clock: Clock,
    pub(crate) scale: Scale,
}

impl Frame {
    /// Where an instant stands, from left to right.
    pub(crate) fn x(&self, at: Time) -> i32 {
        let whole = self.span.1.since(self.span.0).as_secs_f64();
        let part = at.clamp(self.span.0, self.span.1).since(self.span.0).as_secs_f64();
        self.left + pixels(part / whole * f64::from(self.right - self.left))
    }

    /// Where a value stands, from bottom to top.
    pub(crate) fn y(&self, value: f64) -> i32 {
        let part = match self.scale {
            Scale::Linear(top) => value / top,
            Scale::Log(low, high) => math::ln(value.max(low) / low) / math::ln(high / low),
        };
        self.bottom - pixels(part.clamp(0.0, 1.0) * f64::from(self.bottom - self.top))
    }

    /// Shades the faults and names them above the frame, unless `named` is off (for a second frame below the first).
    pub(crate) fn faults(&self, sheet: &Sheet, bands: &[Band], named: bool) {
        let mut rows = [i32::MIN; 2];
        let seen = |band: &&Band| band.from < self.span.1 && band.until >= self.span.0;
        for band in bands.iter().filter(seen).filter(|band| band.fault) {
            sheet.fill((self.x(band.from), self.top), (self.x(band.until), self.bottom), FAULT);
        }
        for band in bands.iter().filter(seen).filter(|band| band.from >= self.span.0) {
            let x = self.x(band.from);
            let colour = if band.fault { BAD } else { FAINT };
            sheet.path(vec![(x, self.top - 4), (x, self.bottom)], colour, 1);
            let wide = width(&band.label, 12);
            let start = x.min(style::WIDTH as i32 - 16 - wide);
            let Some(row) = rows.iter().position(|&end| end < start).filter(|_| named) else { continue };
            rows[row] = start + wide + 10;
            let y = self.top - 12 - 14 * row as i32;
            sheet.text((start, y), &band.label, Ink { size: 12, colour, bold: false }, Anchor::Start);
        }
    }

    /// Grid, numbers and the clock's unit. `unit` says what the vertical axis counts, `None` if it counts nothing.
    pub(crate) fn axes(&self, sheet: &Sheet, unit: Option<&str>) {
        let levels = match (unit, self.scale) {
            (None, _) => Vec::new(),
            (Some(_), Scale::Linear(top)) => ticks(0.0, top, (self.bottom - self.top) / 30),
            (Some(_), Scale::Log(low, high)) => decades(low, high),
        };
        for level in levels {
            let y = self.y(level);
            sheet.path(vec![(self.left, y), (self.right, y)], GRID, 1);
            sheet.text((self.left - 8, y), &style::tick(level), PLAIN, Anchor::End);
        }
        if let Some(unit) = unit {
            // Above the two rows in which faults are named.
            sheet.text((self.left - 40, self.top - 43), unit, SOFT, Anchor::Start);
        }
        let (from, to) = (self.clock.at(self.span.0), self.clock.at(self.span.1));
        for tick in ticks(from, to, (self.right - self.left) / 80) {
            let x = self.x(Time::ZERO + Duration::from_secs_f64(tick * self.clock.seconds));
            sheet.path(vec![(x, self.bottom), (x, self.bottom + 5)], FAINT, 1);
            sheet.text((x, self.bottom + 16), &style::tick(tick), PLAIN, Anchor::Middle);
        }
        sheet.path(vec![(self.left, self.bottom), (self.right, self.bottom)], FAINT, 1);
        let middle = i32::midpoint(self.left, self.right);
        sheet.text((middle, self.bottom + 34), self.clock.unit, SOFT, Anchor::Middle);
    }

    /// A line of this many pixels through values over time; a gap where there is none.
    pub(crate) fn line(&self, sheet: &Sheet, points: &[(Time, Option<f64>)], colour: RGBColor, thickness: u32) {
        let inside = |at: Time| self.span.0 <= at && at <= self.span.1;
        for piece in points.split(|&(at, value)| value.is_none() || !inside(at)) {
            let path: Vec<(i32, i32)> =
                piece.iter().filter_map(|&(at, value)| Some((self.x(at), self.y(value?)))).collect();
            match path.as_slice() {
                [] => {}
                [(x, y)] => sheet.fill((x - 1, y - 1), (x + 1, y + 1), colour),
                _ => sheet.path(path, colour, thickness),
            }
        }
    }

    /// The surface between two lines, given as (instant, lower, upper).
    pub(crate) fn area(&self, sheet: &Sheet, points: &[(Time, f64, f64)], colour: RGBColor) {
        let inside = points.iter().filter(|(at, ..)| self.span.0 <= *at && *at <= self.span.1);
        let mut outline: Vec<(i32, i32)> = inside.clone().map(|&(at, _, upper)| (self.x(at), self.y(upper))).collect();
        outline.extend(inside.rev().map(|&(at, lower, _)| (self.x(at), self.y(lower))));
        if outline.len() > 2 {
            sheet.root.draw(&Polygon::new(outline, colour.filled())).expect(DRAWS);
        }
    }
}

/// About how wide a text is, in pixels.
pub(crate) fn width(text: &str, size: u32) -> i32 {
    pixels(text.chars().count() as f64 * f64::from(size) * GLYPH)
}

/// Seeds in few words: all of a few, first and last of many.
pub(crate) fn seeds(seeds: impl Iterator<Item = u64>) -> String {
    let all: Vec<String> = seeds.map(|seed| seed.to_string()).collect();
    match all.as_slice() {
        [first, .., last] if all.len() > 10 => format!("{first} … {last} ({} of them)", all.len()),
        _ => all.join(" "),
    }
}

/// Multiples of 1, 2 or 5 times a power of ten in a range, at most about `count` of them.
pub(crate) fn ticks(low: f64, high: f64, count: i32) -> Vec<f64> {
    let widest = (high - low) / f64::from(count.max(2));
    let mut power = 1e-6;
    let step = loop {
        if let Some(step) = [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|&step| step >= widest) {
            break step;
        }
        power *= 10.0;
        if power > 1e15 {
            break power;
        }
    };
    let first = libm::ceil(low / step - 1e-9) as i64;
    let last = libm::floor(high / step + 1e-9) as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// 1, 2 and 5 times the powers of ten in a range; only the powers over more than three decades.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let digits: &[f64] = if high / low > 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut power = 1e-6;
    let mut found = Vec::new();
    while power <= high {
        found.extend(digits.iter().map(|digit| digit * power).filter(|&level| low <= level && level <= high));
        power *= 10.0;
    }
    found
}

fn pixels(x: f64) -> i32 {
    libm::rint(x) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 450.0, 6), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(ticks(9.0, 14.0, 6), [9.0, 10.0, 11.0, 12.0, 13.0, 14.0]);
        assert_eq!(ticks(0.0, 40.0, 10), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]);
    }

    #[test]
    fn many_seeds_are_abbreviated() {
        assert_eq!(seeds([3, 4].into_iter()), "3 4");
        assert_eq!(seeds(1..=20), "1 … 20 (20 of them)");
    }
}
