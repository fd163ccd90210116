//! Charts of a sweep: lines with intervals, heat maps, scatter plots, and bars of what matters.

use plotters::style::RGBColor;

use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::table::{Estimate, Swept};
use crate::report::frame::{Anchor, Ink, PLAIN, SOFT, Sheet, seeds, sheet, ticks, width};
use crate::report::style::{self, BAD, FAINT, GRID, INK};
use crate::report::sweep::text::design;
use crate::scenario::vary;

/// More series are no longer told apart.
const SERIES_MAX: usize = 8;
/// More rows or columns of a heat map are too thin.
const CELLS_MAX: usize = 40;
/// Panels beside each other, and rows of them.
const PANELS: (usize, usize) = (3, 3);

/// All charts of a sweep, by file name.
pub fn charts(swept: &Swept, findings: &Findings) -> Vec<(String, String)> {
    let mut charts = Vec::new();
    for (measure, objective) in swept.sweep.readings.measures.iter().enumerate() {
        let slug = slug(&objective.measured());
        let mut add = |kind: &str, svg: Option<String>| {
            charts.extend(svg.map(|svg| (format!("{kind}-{}-{slug}.svg", measure + 1), svg)));
        };
        match swept.sweep.plan.design {
            Design::Grid | Design::List => {
                add("lines", lines(swept, measure));
                add("heat", heat(swept, measure));
            }
            Design::Latin { .. } | Design::Morris { .. } | Design::Sobol { .. } => {
                add("scatter", scatter(swept, measure));
            }
        }
        add("effects", effects(swept, findings, measure));
        add("shares", shares(swept, findings, measure));
    }
    charts
}

/// Whether [`charts`] gives files names like this.
pub fn is_chart(name: &str) -> bool {
    let stem = name.strip_suffix(".svg").unwrap_or("");
    let kinds = ["lines-", "heat-", "scatter-", "effects-", "shares-"];
    kinds.iter().any(|kind| stem.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
}

/// Letters, digits and single dashes.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches('-').chars().take(80).collect()
}

/// A rectangle with two linear axes.
#[derive(Debug, Clone, Copy)]
struct Plane {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
    x: (f64, f64),
    y: (f64, f64),
}

impl Plane {
    fn x(&self, value: f64) -> i32 {
        self.left + pixels((value - self.x.0) / (self.x.1 - self.x.0) * f64::from(self.right - self.left))
    }

    fn y(&self, value: f64) -> i32 {
        self.bottom - pixels((value - self.y.0) / (self.y.1 - self.y.0) * f64::from(self.bottom - self.top))
    }

    /// Horizontal lines with their values, and the ground line.
    fn levels(&self, sheet: &Sheet) {
        for level in ticks(self.y.0, self.y.1, (self.bottom - self.top) / 40) {
            let y = self.y(level);
            sheet.path(vec![(self.left, y), (self.right, y)], GRID, 1);
            sheet.text((self.left - 8, y), &style::tick(level), PLAIN, Anchor::End);
        }
        sheet.path(vec![(self.left, self.bottom), (self.right, self.bottom)], FAINT, 1);
    }

    /// A value on the horizontal axis.
    fn mark(&self, sheet: &Sheet, value: f64, label: &str) {
        let x = self.x(value);
        sheet.path(vec![(x, self.bottom), (x, self.bottom + 5)], FAINT, 1);
        sheet.text((x, self.bottom + 16), label, PLAIN, Anchor::Middle);
    }
}

/// One dimension against the measure, a line for each value of the next one, averaged over what else varies.
fn lines(swept: &Swept, measure: usize) -> Option<String> {
    let mut varying = varying(swept);
    // A number belongs on the axis, a name beside a line.
    if let Some(number) = varying.iter().position(|&dimension| swept.numbers(dimension).is_some()) {
        varying[..=number].rotate_right(1);
    }
    let &across = varying.first()?;
    let stations = swept.levels(across);
    let beside = varying.get(1).copied().filter(|&dimension| {
        matches!(swept.sweep.plan.design, Design::Grid) && swept.levels(dimension).len() <= SERIES_MAX
    });
    let names = beside.map_or_else(|| vec![String::new()], |dimension| swept.levels(dimension));
    let series: Vec<Vec<Estimate>> = names
        .iter()
        .map(|name| {
            let at = |station: &String| {
                let here = |&point: &usize| {
                    swept.value(point, across) == station
                        && beside.is_none_or(|dimension| swept.value(point, dimension) == name)
                };
                swept.estimate_over(&(0..swept.points()).filter(here).collect::<Vec<_>>(), measure)
            };
            stations.iter().map(at).collect()
        })
        .collect();
    let places = places(swept, across, &stations);
    let y = extent(series.iter().flatten())?;
    let first = *places.first()?;
    let x = (first, places.last().copied().filter(|last| *last > first).unwrap_or(first + 1.0));
    let plane = Plane { left: 96, top: 96, right: style::WIDTH as i32 - 40, bottom: 420, x, y };
    Some(sheet(480, |sheet| {
        title(swept, measure, sheet);
        if let Some(dimension) = beside {
            let label = |name: &String| short_path(&swept.sweep.dimensions[dimension].path) + " " + name;
            let entries: Vec<_> = names.iter().enumerate().map(|(i, name)| (label(name), style::colour(i))).collect();
            legend(sheet, &entries);
        }
        plane.levels(sheet);
        let room = (plane.right - plane.left) / stations.len().max(1) as i32;
        let widest = stations.iter().map(|station| width(station, 13) + 10).max().unwrap_or(1);
        let every = (widest / room.max(1) + 1) as usize;
        for (station, place) in stations.iter().zip(&places).step_by(every) {
            plane.mark(sheet, *place, station);
        }
        let middle = i32::midpoint(plane.left, plane.right);
        sheet.text((middle, plane.bottom + 38), &swept.sweep.dimensions[across].path, SOFT, Anchor::Middle);
        for (index, estimates) in series.iter().enumerate() {
            // Intervals of lines that share their stations stand beside each other.
            let shift = 5 * index as i32 - 5 * (series.len() as i32 - 1) / 2;
            line(sheet, &plane, &places, estimates, style::colour(index), shift);
        }
    }))
}

fn line(sheet: &Sheet, plane: &Plane, places: &[f64], estimates: &[Estimate], colour: RGBColor, shift: i32) {
    let known: Vec<(i32, &Estimate, f64)> = places
        .iter()
        .zip(estimates)
        .filter_map(|(&place, estimate)| Some((plane.x(place), estimate, estimate.mean?)))
        .collect();
    if known.len() > 1 {
        sheet.path(known.iter().map(|&(x, _, mean)| (x, plane.y(mean))).collect(), colour, 2);
    }
    for (x, estimate, mean) in known {
        let (x, y) = (x + shift, plane.y(mean));
        if let Some((low, high)) = estimate.interval {
            let (low, high) = (plane.y(low), plane.y(high));
            sheet.path(vec![(x, low), (x, high)], colour, 1);
            sheet.path(vec![(x - 3, low), (x + 3, low)], colour, 1);
            sheet.path(vec![(x - 3, high), (x + 3, high)], colour, 1);
        }
        let colour = if estimate.never > 0 { BAD } else { colour };
        sheet.fill((x - 3, y - 3), (x + 3, y + 3), colour);
        if estimate.never > 0 {
            sheet.text((x + 8, y - 8), &format!("{} never", estimate.never), ink(BAD), Anchor::Start);
        }
    }
}

/// Two dimensions against the measure as colour, averaged over what else varies.
fn heat(swept: &Swept, measure: usize) -> Option<String> {
    let varying = varying(swept);
    let [across, up] = varying.get(..2)? else { return None };
    let (columns, rows) = (swept.levels(*across), swept.levels(*up));
    if !matches!(swept.sweep.plan.design, Design::Grid) || columns.len() > CELLS_MAX || rows.len() > CELLS_MAX {
        return None;
    }
    let cell = |column: &String, row: &String| {
        let here = |&point: &usize| swept.value(point, *across) == column && swept.value(point, *up) == row;
        (0..swept.points()).filter(here).collect::<Vec<usize>>()
    };
    let cells: Vec<Vec<Vec<usize>>> =
        rows.iter().map(|row| columns.iter().map(|column| cell(column, row)).collect()).collect();
    let means = cells.iter().flatten().filter_map(|points| swept.estimate_over(points, measure).mean);
    let (low, high) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    let label = rows.iter().map(|row| width(row, 13)).max().unwrap_or(0);
    let (left, top, right) = (60 + label, 96, style::WIDTH as i32 - 40);
    let (wide, tall) = ((right - left) / columns.len() as i32, (360 / rows.len() as i32).clamp(16, 64));
    let bottom = top + tall * rows.len() as i32;
    Some(sheet((bottom + 80) as u32, |sheet| {
        title(swept, measure, sheet);
        sheet.text((24, top - 16), &swept.sweep.dimensions[*up].path, SOFT, Anchor::Start);
        for (row, cells) in cells.iter().enumerate() {
            // The first value lies at the bottom, as on an axis.
            let y = bottom - tall * (row as i32 + 1);
            sheet.text((left - 8, y + tall / 2), &rows[row], PLAIN, Anchor::End);
            for (column, points) in cells.iter().enumerate() {
                let (from, to) =
                    ((left + wide * column as i32, y), (left + wide * (column as i32 + 1) - 2, y + tall - 2));
                draw_cell(swept, measure, sheet, points, (from, to), (low, high));
            }
        }
        let every = (columns.iter().map(|c| width(c, 13) + 10).max().unwrap_or(1) / wide.max(1) + 1) as usize;
        for (column, name) in columns.iter().enumerate().step_by(every) {
            let x = left + wide * column as i32 + wide / 2;
            sheet.text((x, bottom + 14), name, PLAIN, Anchor::Middle);
        }
        let middle = i32::midpoint(left, right);
        sheet.text((middle, bottom + 36), &swept.sweep.dimensions[*across].path, SOFT, Anchor::Middle);
        sheet.text((24, bottom + 62), "red edge: an expectation of this measure is not met", SOFT, Anchor::Start);
    }))
}

type Corners = ((i32, i32), (i32, i32));

fn draw_cell(swept: &Swept, measure: usize, sheet: &Sheet, points: &[usize], (from, to): Corners, range: (f64, f64)) {
    let estimate = swept.estimate_over(points, measure);
    let share = estimate.mean.map(|mean| if range.1 > range.0 { (mean - range.0) / (range.1 - range.0) } else { 0.5 });
    let unmet = (0..swept.sweep.readings.expectations.len())
        .filter(|&expectation| swept.sweep.readings.expectations[expectation].2 == measure)
        .any(|expectation| points.iter().any(|&point| !swept.held(point, expectation).met));
    if unmet {
        sheet.fill(from, to, BAD);
    }
    let inset = if unmet { 3 } else { 0 };
    let ground = share.map_or(GRID, ramp);
    sheet.fill((from.0 + inset, from.1 + inset), (to.0 - inset, to.1 - inset), ground);
    let text = match estimate.mean {
        Some(mean) => swept.sweep.readings.measures[measure].show(four(mean)),
        None if estimate.never > 0 => "never".to_owned(),
        None => "no data".to_owned(),
    };
    if width(&text, 12) < to.0 - from.0 - 4 {
        let colour = if share.is_some_and(|share| share > 0.55) { plotters::style::WHITE } else { INK };
        let middle = (i32::midpoint(from.0, to.0), i32::midpoint(from.1, to.1));
        sheet.text(middle, &text, Ink { size: 12, colour, bold: false }, Anchor::Middle);
    }
}

/// From light to dark blue, even in lightness.
fn ramp(share: f64) -> RGBColor {
    let mix = |from: f64, to: f64| (from + (to - from) * share) as u8;
    RGBColor(mix(236.0, 8.0), mix(244.0, 64.0), mix(250.0, 129.0))
}

/// Every dimension that is a number against the measure, a panel each.
fn scatter(swept: &Swept, measure: usize) -> Option<String> {
    let estimates: Vec<Estimate> = (0..swept.points()).map(|point| swept.estimate(point, measure)).collect();
    let means: Vec<Estimate> = estimates.iter().map(|estimate| Estimate { interval: None, ..*estimate }).collect();
    let y = extent(means.iter())?;
    let panels: Vec<(usize, Vec<f64>)> =
        varying(swept).into_iter().filter_map(|d| Some((d, swept.numbers(d)?))).take(PANELS.0 * PANELS.1).collect();
    let tall = 260;
    let rows = panels.len().div_ceil(PANELS.0) as i32;
    if panels.is_empty() {
        return None;
    }
    let wide = (style::WIDTH as i32 - 40) / PANELS.0 as i32;
    let expectations: Vec<usize> = (0..swept.sweep.readings.expectations.len())
        .filter(|&expectation| swept.sweep.readings.expectations[expectation].2 == measure)
        .collect();
    Some(sheet((80 + tall * rows) as u32, |sheet| {
        title(swept, measure, sheet);
        if !expectations.is_empty() {
            let entries = [("met".to_owned(), style::colour(0)), ("not met".to_owned(), BAD)];
            legend(sheet, &entries);
        }
        for (index, (dimension, numbers)) in panels.iter().enumerate() {
            let (column, row) = ((index % PANELS.0) as i32, (index / PANELS.0) as i32);
            let (left, top) = (24 + wide * column + 56, 80 + tall * row);
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let plane = Plane { left, top, right: left + wide - 80, bottom: top + tall - 60, x: (low, high), y };
            plane.levels(sheet);
            for tick in ticks(low, high, 5) {
                plane.mark(sheet, tick, &style::tick(tick));
            }
            let unit = vary::unit(swept.value(0, *dimension));
            let name = format!("{} {unit}", swept.sweep.dimensions[*dimension].path);
            sheet.text((i32::midpoint(plane.left, plane.right), plane.bottom + 36), name.trim(), SOFT, Anchor::Middle);
            for (point, (estimate, number)) in estimates.iter().zip(numbers).enumerate() {
                let Some(mean) = estimate.mean else { continue };
                let met = expectations.iter().all(|&expectation| swept.held(point, expectation).met);
                let (x, y) = (plane.x(*number), plane.y(mean));
                sheet.fill((x - 2, y - 2), (x + 2, y + 2), if met { style::colour(0) } else { BAD });
            }
        }
    }))
}

/// Mean absolute effects.
fn effects(swept: &Swept, findings: &Findings, measure: usize) -> Option<String> {
    let screening = findings.screenings.iter().find(|screening| screening.measure == measure)?;
    let rows: Vec<Bars> = screening
        .effects
        .iter()
        .enumerate()
        .filter_map(|(dimension, effect)| Some((dimension, (*effect)?)))
        .map(|(dimension, effect)| Bars {
            name: swept.sweep.dimensions[dimension].path.clone(),
            bars: vec![(effect.mean_absolute, effect.interval), (effect.deviation, None)],
        })
        .collect();
    let unit = swept.sweep.readings.measures[measure].unit();
    let names = [format!("mu*: mean absolute effect over the range [{unit}]"), "sigma: how much it varies".to_owned()];
    bars(swept, measure, rows, names)
}

/// Shares of the variance.
fn shares(swept: &Swept, findings: &Findings, measure: usize) -> Option<String> {
    let shares = findings.shares.iter().find(|shares| shares.measure == measure)?;
    let percent = |share: crate::analysis::sensitivity::sobol::Share| {
        (100.0 * share.value, share.interval.map(|(low, high)| (100.0 * low, 100.0 * high)))
    };
    let rows: Vec<Bars> = shares
        .indices
        .iter()
        .flatten()
        .zip(&swept.sweep.dimensions)
        .map(|(index, d)| Bars { name: d.path.clone(), bars: vec![percent(index.first), percent(index.total)] })
        .collect();
    bars(swept, measure, rows, ["alone [% of variance]".to_owned(), "with others [% of variance]".to_owned()])
}

/// Bars of one input.
struct Bars {
    name: String,
    bars: Vec<(f64, Option<(f64, f64)>)>,
}

fn bars(swept: &Swept, measure: usize, mut rows: Vec<Bars>, names: [String; 2]) -> Option<String> {
    let longest = |row: &Bars| row.bars.iter().map(|(value, _)| *value).fold(0.0, f64::max);
    rows.sort_by(|a, b| longest(b).total_cmp(&longest(a)));
    let ends = rows.iter().flat_map(|row| &row.bars).map(|(value, interval)| interval.map_or(*value, |(_, high)| high));
    let most = ends.fold(0.0, f64::max);
    if rows.is_empty() || most <= 0.0 {
        return None;
    }
    let label = rows.iter().map(|row| width(&row.name, 13)).max().unwrap_or(0).min(500);
    let (left, top, tall) = (40 + label, 90, 44);
    let bottom = top + tall * rows.len() as i32;
    let plane = Plane { left, top, right: style::WIDTH as i32 - 40, bottom, x: (0.0, most), y: (0.0, 1.0) };
    Some(sheet((bottom + 50) as u32, |sheet| {
        title(swept, measure, sheet);
        let entries: Vec<_> = names.into_iter().enumerate().map(|(i, name)| (name, style::colour(i))).collect();
        legend(sheet, &entries);
        for tick in ticks(0.0, most, 8) {
            sheet.path(vec![(plane.x(tick), top), (plane.x(tick), bottom)], GRID, 1);
            plane.mark(sheet, tick, &style::tick(tick));
        }
        for (row, bars) in rows.iter().enumerate() {
            let y = top + tall * row as i32;
            sheet.text((left - 8, y + tall / 2), &bars.name, PLAIN, Anchor::End);
            for (index, (value, interval)) in bars.bars.iter().enumerate() {
                let y = y + 6 + 17 * index as i32;
                sheet.fill((left, y), (plane.x(value.max(0.0)), y + 13), style::colour(index));
                if let Some((low, high)) = interval {
                    sheet.path(vec![(plane.x(low.max(0.0)), y + 6), (plane.x(high.max(0.0)), y + 6)], INK, 1);
                }
            }
        }
    }))
}

fn title(swept: &Swept, measure: usize, sheet: &Sheet) {
    let objective = &swept.sweep.readings.measures[measure];
    let name = match objective.unit() {
        "" => objective.measured(),
        unit => format!("{} [{unit}]", objective.measured()),
    };
    sheet.text((24, 22), &name, Ink { size: 19, colour: INK, bold: true }, Anchor::Start);
    let of = seeds(swept.sweep.plan.seeds.iter().copied());
    let (scenario, version) = (&swept.sweep.name, env!("CARGO_PKG_VERSION"));
    let digest = &swept.digest;
    let note =
        format!("{scenario}  ·  {}  ·  seeds {of}  ·  sweep digest {digest}  ·  cossim {version}", design(swept));
    sheet.text((24, 43), &note, SOFT, Anchor::Start);
}

/// Names of colours below the title.
fn legend(sheet: &Sheet, entries: &[(String, RGBColor)]) {
    let mut x = 24;
    for (label, colour) in entries {
        if x + width(label, 13) + 34 > style::WIDTH as i32 {
            return;
        }
        sheet.fill((x, 60), (x + 13, 73), *colour);
        sheet.text((x + 19, 66), label, PLAIN, Anchor::Start);
        x += width(label, 13) + 40;
    }
}

/// Dimensions with at least two values, in order.
fn varying(swept: &Swept) -> Vec<usize> {
    (0..swept.sweep.dimensions.len()).filter(|&dimension| swept.levels(dimension).len() > 1).collect()
}

/// Where the levels of a dimension stand on an axis: at their numbers, or one after the other.
fn places(swept: &Swept, dimension: usize, levels: &[String]) -> Vec<f64> {
    let numbers: Option<Vec<f64>> = levels.iter().map(|level| vary::number(level)).collect();
    match swept.numbers(dimension).and(numbers) {
        Some(numbers) => numbers,
        None => (0..levels.len()).map(|index| index as f64).collect(),
    }
}

/// The range of an axis that holds all of these, with their intervals; from zero unless they are far from it.
fn extent<'a>(estimates: impl Iterator<Item = &'a Estimate>) -> Option<(f64, f64)> {
    let ends = estimates.filter_map(|estimate| {
        let mean = estimate.mean?;
        let (low, high) = estimate.interval.unwrap_or((mean, mean));
        Some((low.min(mean), high.max(mean)))
    });
    let (low, high) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
    let (low, high) = if low > 0.0 && high - low > 0.25 * high { (0.0, high) } else { (low, high) };
    let room = if high > low { 0.04 * (high - low) } else { 0.5 * high.abs().max(1.0) };
    Some((if low.abs() < 1e-12 { 0.0 } else { low - room }, high + room))
}

/// The last step of a path with what stands before it, where that is short.
fn short_path(path: &str) -> String {
    path.rsplit('.').next().unwrap_or(path).to_owned()
}

/// Four significant digits; a cell has no room for more.
fn four(value: f64) -> f64 {
    format!("{value:.3e}").parse().expect("a formatted number is a number")
}

const fn ink(colour: RGBColor) -> Ink {
    Ink { size: 12, colour, bold: false }
}

fn pixels(x: f64) -> i32 {
    libm::rint(x.clamp(-1e6, 1e6)) as i32
}
