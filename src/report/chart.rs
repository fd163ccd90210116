//! Charts over time of one run: requests, latency, allocations by zone. Each shows the whole run and, beside it, the
//! minutes around the first fault.

use plotters::prelude::*;

use crate::analysis::ensemble::Ensemble;
use crate::base::time::{Duration, Time};
use crate::measure::outcome::Outcome;
use crate::measure::series::Series;
use crate::report::frame::{Anchor, Frame, SOFT, Scale, sheet};
use crate::report::style::{self, BAD, Band, Clock, GOOD};
use crate::world::spec::WorldSpec;

/// Shown around the first fault: this long before it.
const BEFORE: Duration = Duration::from_secs(30);
/// And this long after it.
const AFTER: Duration = Duration::from_secs(150);
/// Where the whole run ends and the minutes around the fault begin, in pixels.
const SPLIT: (i32, i32) = (700, 772);
/// The first pixel of the plots and the last.
const EDGES: (i32, i32) = (64, 1_096);

/// The colour of the edge of good requests, in the palette.
const SERVED: usize = 2;

/// A named line.
struct Line<'a> {
    label: String,
    series: &'a Series,
    colour: RGBColor,
}

/// Good and failed requests per second, stacked; failed ones again below, to their own scale.
pub fn requests(ensemble: &Ensemble, run: &Outcome) -> Option<String> {
    let good = rates(run, "requests.good", |position| if position == 0 { GOOD } else { style::colour(position - 1) });
    let failed = rates(run, "requests.failed", |_| BAD);
    let layers: Vec<&Line> = good.iter().chain(&failed).collect();
    let top = most(&stack(&layers, layers.len()))?;
    let failures: Vec<&Line> = failed.iter().collect();
    let worst = most(&stack(&failures, failures.len())).unwrap_or(1.0);
    let svg = sheet(610, |sheet| {
        sheet.title(ensemble, Some(run), "Requests");
        let one = good.len() == 1;
        let mut entries: Vec<(String, RGBColor)> = good
            .iter()
            .map(|line| (if one { "good".to_owned() } else { format!("{}: good", line.label) }, line.colour))
            .collect();
        entries.push(("failed".to_owned(), BAD));
        sheet.legend(&entries);
        let served = stack(&layers, good.len());
        let served: Vec<(Time, Option<f64>)> = good.first().map_or(Vec::new(), |line| {
            served.into_iter().enumerate().map(|(bucket, sum)| (middle(line.series, bucket), Some(sum))).collect()
        });
        for frame in beside(&ensemble.spec, (144, 340), Scale::Linear(top * 1.08)) {
            let bands = style::bands(&ensemble.spec);
            frame.faults(sheet, &bands, true);
            frame.axes(sheet, Some("requests per second"));
            for count in 1..=layers.len() {
                frame.area(sheet, &between(&layers, count), layers[count - 1].colour);
            }
            // The pale surface has an edge that can be seen.
            frame.line(sheet, &served, style::colour(SERVED), 2);
        }
        for frame in beside(&ensemble.spec, (438, 556), Scale::Linear(worst * 1.08)) {
            frame.faults(sheet, &style::bands(&ensemble.spec), false);
            frame.axes(sheet, Some("failed requests per second"));
            for count in 1..=failures.len() {
                frame.area(sheet, &between(&failures, count), BAD);
            }
        }
    });
    Some(svg)
}

/// Percentiles of the latency of good requests.
pub fn latency(ensemble: &Ensemble, run: &Outcome) -> Option<String> {
    let lines: Vec<Line> = run
        .series
        .iter()
        .filter(|series| series.name.starts_with("request.latency"))
        .enumerate()
        .map(|(index, series)| {
            let label = series.name.replace("request.latency{traffic=", "").replace('}', "");
            Line { label, series, colour: style::colour(index) }
        })
        .collect();
    lines_over_time(ensemble, run, "Latency of good requests", "milliseconds, of the requests of 5 s", &lines)
}

/// Allocations by zone, a frame for each region: a small region beside a large one has an axis of its own. Allocations
/// move over minutes, so the seconds around the fault would show nothing more.
pub fn zones(ensemble: &Ensemble, run: &Outcome) -> Option<String> {
    let zones: Vec<(&str, &str, &Series)> = run
        .series
        .iter()
        .filter_map(|series| {
            let (region, zone) = labelled(&series.name, "zone")?.1.split_once('/')?;
            Some((region, zone, series))
        })
        .collect();
    let (regions, names) = (unique(zones.iter().map(|zone| zone.0)), unique(zones.iter().map(|zone| zone.1)));
    let most = |region: &str| {
        let of = zones.iter().filter(|zone| zone.0 == region);
        of.flat_map(|zone| zone.2.values.iter().flatten()).copied().fold(0.0, f64::max)
    };
    if regions.iter().all(|region| most(region) <= 0.0) {
        return None;
    }
    let (first, height, pitch) = (144, 190, 288);
    let svg = sheet((first + pitch * regions.len() as i32 - 42) as u32, |sheet| {
        sheet.title(ensemble, Some(run), "Allocations by zone");
        let entry = |(index, name): (usize, &&str)| (format!("zone {name}"), style::colour(index));
        sheet.legend(&names.iter().enumerate().map(entry).collect::<Vec<_>>());
        for (position, region) in (0..).zip(&regions) {
            let top = first + pitch * position;
            let scale = Scale::Linear(most(region).max(1.0) * 1.08);
            let frame = whole(&ensemble.spec, (top, top + height), scale);
            frame.faults(sheet, &style::bands(&ensemble.spec), true);
            frame.axes(sheet, Some(&format!("{region}: allocations that hold resources")));
            for (_, name, series) in zones.iter().filter(|zone| zone.0 == *region) {
                let index = names.iter().position(|other| other == name).unwrap_or(0);
                // Of lines that coincide, those behind are thicker.
                let before = zones.iter().filter(|zone| zone.0 == *region && zone.2.values == series.values);
                let hidden_by = before.skip_while(|zone| zone.1 != *name).count().saturating_sub(1);
                let thickness = 2 + 3 * u32::try_from(hidden_by).unwrap_or(0).min(4);
                frame.line(sheet, &points(series), style::colour(index), thickness);
            }
        }
    });
    Some(svg)
}

fn lines_over_time(ensemble: &Ensemble, run: &Outcome, name: &str, unit: &str, lines: &[Line]) -> Option<String> {
    let values = || lines.iter().flat_map(|line| line.series.values.iter().flatten()).copied().filter(|&v| v > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if high <= 0.0 {
        return None;
    }
    // Latency that spans more than a decade and a half is unreadable on a linear axis.
    let wide = high / low > 30.0;
    let scale = if wide { Scale::Log(low / 1.2, high * 1.2) } else { Scale::Linear(high * 1.08) };
    let svg = sheet(452, |sheet| {
        sheet.title(ensemble, Some(run), name);
        sheet.legend(&lines.iter().map(|line| (line.label.clone(), line.colour)).collect::<Vec<_>>());
        for frame in beside(&ensemble.spec, (144, 398), scale) {
            frame.faults(sheet, &style::bands(&ensemble.spec), true);
            frame.axes(sheet, Some(unit));
            for line in lines {
                frame.line(sheet, &points(line.series), line.colour, 2);
            }
        }
        if wide {
            sheet.text((EDGES.1, 68), "logarithmic scale", SOFT, Anchor::End);
        }
    });
    Some(svg)
}

/// Each once, in the order they are met.
fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// The frame of the whole run.
fn whole(spec: &WorldSpec, (top, bottom): (i32, i32), scale: Scale) -> Frame {
    let span = (Time::ZERO, Time::ZERO + spec.duration);
    Frame { left: EDGES.0, top, right: EDGES.1, bottom, span, clock: Clock::of(spec.duration), scale }
}

/// The frame of the whole run and, if it has a fault, beside it that of the minutes around the first one.
fn beside(spec: &WorldSpec, (top, bottom): (i32, i32), scale: Scale) -> Vec<Frame> {
    let whole = whole(spec, (top, bottom), scale);
    let Some(first) = style::bands(spec).into_iter().find(|band: &Band| band.fault) else { return vec![whole] };
    let from = Time::from_nanos(first.from.as_nanos().saturating_sub(BEFORE.as_nanos()));
    let near = (from, (first.from + AFTER).min(whole.span.1));
    if near.1.since(near.0).as_secs_f64() > 0.5 * spec.duration.as_secs_f64() {
        return vec![whole];
    }
    let clock = Clock { seconds: 1.0, unit: "seconds, around the first fault" };
    vec![Frame { right: SPLIT.0, ..whole }, Frame { left: SPLIT.1, span: near, clock, ..whole }]
}

/// The lines of one kind, one per traffic source.
fn rates<'a>(run: &'a Outcome, kind: &str, colour: impl Fn(usize) -> RGBColor) -> Vec<Line<'a>> {
    run.series
        .iter()
        .filter_map(|series| {
            let (found, traffic) = labelled(&series.name, "traffic")?;
            (found == kind).then_some((traffic, series))
        })
        .enumerate()
        .map(|(index, (traffic, series))| Line { label: traffic.to_owned(), series, colour: colour(index) })
        .collect()
}

/// The middle of every bucket and its value.
fn points(series: &Series) -> Vec<(Time, Option<f64>)> {
    series.values.iter().enumerate().map(|(bucket, &value)| (middle(series, bucket), value)).collect()
}

fn middle(series: &Series, bucket: usize) -> Time {
    let width = series.width.as_nanos();
    Time::from_nanos(width * bucket as u64 + width / 2)
}

/// The sums of the first `count` lines.
fn stack(lines: &[&Line], count: usize) -> Vec<f64> {
    let buckets = lines.first().map_or(0, |line| line.series.values.len());
    let value = |line: &Line, bucket: usize| line.series.values.get(bucket).copied().flatten().unwrap_or(0.0);
    (0..buckets).map(|bucket| lines.iter().take(count).map(|line| value(line, bucket)).sum()).collect()
}

/// The `count`-th layer of a stack.
fn between(lines: &[&Line], count: usize) -> Vec<(Time, f64, f64)> {
    let Some(series) = lines.first().map(|line| line.series) else { return Vec::new() };
    let (lower, upper) = (stack(lines, count - 1), stack(lines, count));
    lower.into_iter().zip(upper).enumerate().map(|(bucket, (low, high))| (middle(series, bucket), low, high)).collect()
}

/// The largest, if it is above zero.
fn most(values: &[f64]) -> Option<f64> {
    Some(values.iter().copied().fold(0.0, f64::max)).filter(|&most| most > 0.0)
}

/// Splits `name{label=value}…`.
fn labelled<'a>(text: &'a str, label: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = text.split_once('{')?;
    let value = rest.strip_prefix(label)?.strip_prefix('=')?.split('}').next()?;
    Some((name, value))
}
