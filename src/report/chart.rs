//! Charts over time of one run: requests, latency, allocations by zone, leadership.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::analysis::ensemble::Ensemble;
use crate::base::time::Time;
use crate::measure::outcome::Outcome;
use crate::measure::series::Series;
use crate::report::style::{self, BAD, FAULT, FONT, GOOD, GRID, INK, SIZE};
use crate::world::event::Group;
use crate::world::spec::WorldSpec;

/// Drawing into a string cannot fail but for a mistake of ours.
pub(crate) const DRAWS: &str = "an SVG in memory takes every shape";

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One line of a line chart.
struct Line<'a> {
    label: String,
    series: &'a Series,
    colour: RGBColor,
    filled: bool,
}

/// Good and failed requests per second.
pub fn requests(spec: &WorldSpec, run: &Outcome) -> Option<String> {
    let lines: Vec<Line> = run
        .series
        .iter()
        .filter_map(|series| {
            let (kind, traffic) = labelled(&series.name, "traffic")?;
            let (word, colour) = match kind {
                "requests.good" => ("good", GOOD),
                "requests.failed" => ("failed", BAD),
                _ => return None,
            };
            Some(Line { label: format!("{traffic}: {word}"), series, colour, filled: true })
        })
        .collect();
    line_chart(spec, run, "Requests", "requests per second", &lines)
}

/// Percentiles of the latency of good requests.
pub fn latency(spec: &WorldSpec, run: &Outcome) -> Option<String> {
    let lines: Vec<Line> = run
        .series
        .iter()
        .filter(|series| series.name.starts_with("request.latency"))
        .enumerate()
        .map(|(index, series)| {
            let label = series.name.replace("request.latency{traffic=", "").replace('}', "");
            Line { label, series, colour: style::colour(index), filled: false }
        })
        .collect();
    line_chart(spec, run, "Latency of good requests", "milliseconds", &lines)
}

/// Allocations by zone.
pub fn zones(spec: &WorldSpec, run: &Outcome) -> Option<String> {
    let lines: Vec<Line> = run
        .series
        .iter()
        .filter_map(|series| Some((labelled(&series.name, "zone")?.1, series)))
        .enumerate()
        .map(|(index, (zone, series))| Line {
            label: zone.to_owned(),
            series,
            colour: style::colour(index),
            filled: false,
        })
        .collect();
    line_chart(spec, run, "Allocations by zone", "allocations", &lines)
}

/// Who led each group, when.
pub fn leadership(ensemble: &Ensemble, run: &Outcome) -> String {
    let spec = &ensemble.spec;
    let mut groups: Vec<Group> = run.reigns.iter().map(|reign| reign.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let end = style::minutes(Time::ZERO + spec.duration);
    let height = 110 + 56 * groups.len().max(1) as u32;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SIZE.0, height)).into_drawing_area();
        title(&root, spec, run, "Leadership");
        let rows = groups.len() as f64;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(56)
            .margin_right(24)
            .x_label_area_size(40)
            .y_label_area_size(170)
            .build_cartesian_2d(0.0..end, 0.0..rows.max(1.0))
            .expect(DRAWS);
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc("minutes")
            .x_label_formatter(&style::tick)
            .label_style((FONT, 14).into_font().color(&INK))
            .draw()
            .expect(DRAWS);
        let bands = style::faults(spec);
        chart
            .draw_series(bands.iter().map(|&(from, to, _)| Rectangle::new([(from, 0.0), (to, rows)], FAULT.filled())))
            .expect(DRAWS);
        for (row, group) in groups.iter().enumerate() {
            let top = rows - row as f64;
            let servers = match group.system {
                crate::world::event::System::Nomad => &spec.regions[group.region].nomad,
                crate::world::event::System::Consul => &spec.regions[group.region].consul,
            };
            for reign in run.reigns.iter().filter(|reign| reign.group == *group) {
                let position = servers.iter().position(|&server| server == reign.machine).unwrap_or(0);
                let (from, to) = (style::minutes(reign.from), reign.until.map_or(end, style::minutes).min(end));
                let corners = [(from, top - 0.82), (to, top - 0.18)];
                let name = spec.machines[reign.machine].name.rsplit('/').next().unwrap_or("").to_owned();
                chart.draw_series([Rectangle::new(corners, style::colour(position).mix(0.85).filled())]).expect(DRAWS);
                if (to - from) / end > 0.08 {
                    let anchored = (FONT, 14).into_font().color(&WHITE).pos(Pos::new(HPos::Left, VPos::Center));
                    let place = (from + end * 0.008, top - 0.5);
                    chart.draw_series([Text::new(name, place, anchored)]).expect(DRAWS);
                }
            }
            let label = format!("{} {}", group.system.name(), spec.regions[group.region].name);
            let style = (FONT, 15).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
            let (left, plot) = (170 - 12, f64::from(height) - 56.0 - 40.0);
            let y = 56.0 + plot * (row as f64 + 0.5) / rows;
            root.draw(&Text::new(label, (left, y as i32), style)).expect(DRAWS);
        }
        root.present().expect(DRAWS);
    }
    svg
}

fn line_chart(spec: &WorldSpec, run: &Outcome, name: &str, unit: &str, lines: &[Line]) -> Option<String> {
    let most = lines.iter().flat_map(|line| line.series.values.iter().flatten()).copied().fold(0.0, f64::max);
    if lines.is_empty() || most <= 0.0 {
        return None;
    }
    let end = style::minutes(Time::ZERO + spec.duration);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        title(&root, spec, run, name);
        let mut chart = ChartBuilder::on(&root)
            .margin_top(56)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..most * 1.12)
            .expect(DRAWS);
        let bands = style::faults(spec);
        chart
            .draw_series(
                bands.iter().map(|&(from, to, _)| Rectangle::new([(from, 0.0), (to, most * 1.12)], FAULT.filled())),
            )
            .expect(DRAWS);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc("minutes")
            .y_desc(unit)
            .x_label_formatter(&style::tick)
            .y_label_formatter(&style::tick)
            .label_style((FONT, 14).into_font().color(&INK))
            .draw()
            .expect(DRAWS);
        for line in lines {
            let colour = line.colour;
            for piece in pieces(line.series) {
                if line.filled {
                    let area = AreaSeries::new(piece.iter().copied(), 0.0, colour.mix(0.12));
                    chart.draw_series(area).expect(DRAWS);
                }
                chart.draw_series(LineSeries::new(piece, colour.stroke_width(2))).expect(DRAWS);
            }
        }
        for (from, _, label) in &bands {
            let style = (FONT, 13).into_font().color(&BAD).pos(Pos::new(HPos::Left, VPos::Top));
            let place = (from + end * 0.004, most * 1.11);
            chart.draw_series([Text::new(label.clone(), place, style)]).expect(DRAWS);
        }
        let entries: Vec<(String, RGBColor)> = lines.iter().map(|line| (line.label.clone(), line.colour)).collect();
        legend(&root, &entries);
        root.present().expect(DRAWS);
    }
    Some(svg)
}

/// Runs of buckets that have a value, as points in minutes.
fn pieces(series: &Series) -> Vec<Vec<(f64, f64)>> {
    let width = series.width.as_secs_f64() / 60.0;
    let mut pieces = vec![Vec::new()];
    for (bucket, value) in series.values.iter().enumerate() {
        match (value, pieces.last_mut()) {
            (Some(value), Some(piece)) => piece.push(((bucket as f64 + 0.5) * width, *value)),
            (None, Some(piece)) if !piece.is_empty() => pieces.push(Vec::new()),
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// What the chart shows and of which run, at the top left.
pub(crate) fn title(root: &Canvas, spec: &WorldSpec, run: &Outcome, name: &str) {
    root.fill(&WHITE).expect(DRAWS);
    let bold = (FONT, 19, FontStyle::Bold).into_font().color(&INK);
    root.draw(&Text::new(name.to_owned(), (24, 14), bold)).expect(DRAWS);
    let note = format!("{}, seed {}, digest {:016x}", spec.name, run.seed, run.digest);
    root.draw(&Text::new(note, (24, 36), (FONT, 13).into_font().color(&INK.mix(0.7)))).expect(DRAWS);
}

/// Names of the lines, at the top right, from right to left.
pub(crate) fn legend(root: &Canvas, entries: &[(String, RGBColor)]) {
    let mut x = SIZE.0 as i32 - 24;
    for (label, colour) in entries.iter().rev() {
        x -= label.chars().count() as i32 * 8 + 30;
        if x < 420 {
            return;
        }
        root.draw(&Rectangle::new([(x, 20), (x + 14, 32)], colour.filled())).expect(DRAWS);
        let style = (FONT, 14).into_font().color(&INK);
        root.draw(&Text::new(label.clone(), (x + 20, 18), style)).expect(DRAWS);
    }
}

/// Splits `name{label=value}…`.
fn labelled<'a>(text: &'a str, label: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = text.split_once('{')?;
    let value = rest.strip_prefix(label)?.strip_prefix('=')?.split('}').next()?;
    Some((name, value))
}
