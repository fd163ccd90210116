//! The failover waterfall: for every kind of run, how long each stage of replacement took, one after the other; once
//! for
//! a typical allocation and once for the one that was restored last. The figures stand beneath, because stages of
//! milliseconds and of minutes do not fit one axis.

use plotters::prelude::*;

use crate::analysis::ensemble::Ensemble;
use crate::analysis::summary::Stage;
use crate::analysis::summary::make::stages;
use crate::base::time::{Duration, Time};
use crate::measure::failover::{Failover, STAGES};
use crate::report::frame::{Anchor, Frame, Ink, PLAIN, SOFT, Scale, Sheet, sheet, width};
use crate::report::style::{self, Clock, INK, STAGE_WORDS};
use crate::report::text::{shortened, span};

/// A fault in one kind of run.
struct Row {
    label: String,
    note: String,
    /// Milliseconds per stage: the median over allocations, and the allocation restored last; medians over runs.
    bars: [[Option<f64>; STAGES.len()]; 2],
}

const TOP: i32 = 112;
const ROW: i32 = 46;
const TITLES: [&str; 2] = ["typical: median of each stage", "worst: the allocation restored last"];
/// Left and right of the two plots, in pixels.
const PLOTS: [(i32, i32); 2] = [(236, 610), (690, 1_040)];

/// The chart, or `None` when no fault lost an allocation.
pub fn waterfall(ensemble: &Ensemble) -> Option<String> {
    let rows = rows(ensemble);
    let count = i32::try_from(rows.len()).ok().filter(|&count| count > 0)?;
    let bottom = TOP + ROW * count;
    let beneath = bottom + 78;
    let svg = sheet((beneath + 30 + 40 * count) as u32, |sheet| {
        sheet.title(ensemble, None, "From the fault to the first good request");
        let legend = STAGE_WORDS.iter().enumerate().map(|(index, &word)| (word.to_owned(), style::colour(index)));
        let mut x = 24;
        for (label, colour) in legend {
            sheet.fill((x, 63), (x + 13, 76), colour);
            sheet.text((x + 19, 69), &label, PLAIN, Anchor::Start);
            x += width(&label, 13) + 46;
        }
        for (side, (&(left, right), title)) in PLOTS.iter().zip(TITLES).enumerate() {
            let longest = rows.iter().map(|row| total(&row.bars[side])).fold(1.0, f64::max);
            let length = Duration::from_secs_f64(longest / 1e3);
            let clock = match longest {
                ..=600_000.0 => Clock { seconds: 1.0, unit: "seconds since the fault" },
                _ => Clock { seconds: 60.0, unit: "minutes since the fault" },
            };
            let frame = Frame {
                left,
                top: TOP,
                right,
                bottom,
                span: (Time::ZERO, Time::ZERO + length),
                clock,
                scale: Scale::Linear(1.0),
            };
            sheet.text((left, TOP - 14), title, Ink { size: 13, colour: INK, bold: true }, Anchor::Start);
            frame.axes(sheet, None);
            for (position, row) in (0..).zip(&rows) {
                bar(sheet, &frame, TOP + ROW * position, &row.bars[side]);
            }
        }
        for (position, row) in (0..).zip(&rows) {
            let middle = TOP + ROW * position + ROW / 2;
            sheet.text((224, middle - 8), &row.label, PLAIN, Anchor::End);
            sheet.text((224, middle + 8), &row.note, SOFT, Anchor::End);
        }
        figures(sheet, beneath, &rows);
        sheet.text((24, beneath - 6), "– : not reached, or not a service", SOFT, Anchor::Start);
    });
    Some(svg)
}

/// One stacked bar, its total at its end.
fn bar(sheet: &Sheet, frame: &Frame, top: i32, stages: &[Option<f64>; STAGES.len()]) {
    let mut passed = 0.0;
    let at = |ms: f64| frame.x(Time::ZERO + Duration::from_secs_f64(ms / 1e3));
    let (above, below) = (top + 9, top + ROW - 9);
    let mut edge = frame.left;
    for (index, ms) in stages.iter().enumerate().filter_map(|(index, ms)| Some((index, (*ms)?))) {
        passed += ms;
        let right = at(passed);
        if right > edge {
            sheet.fill((edge, above), (right, below), style::colour(index));
            let text = span(ms);
            if width(&text, 13) + 8 < right - edge {
                let white = Ink { size: 13, colour: WHITE, bold: true };
                sheet.text((i32::midpoint(edge, right), i32::midpoint(above, below)), &text, white, Anchor::Middle);
            }
        }
        edge = right;
    }
    let ink = Ink { size: 13, colour: INK, bold: true };
    sheet.text((edge + 7, i32::midpoint(above, below)), &span(passed), ink, Anchor::Start);
}

/// The table beneath: a row per bar, a column per stage.
fn figures(sheet: &Sheet, top: i32, rows: &[Row]) {
    let column = |index: usize| 330 + 118 * index as i32 + 60;
    let bold = Ink { size: 12, colour: INK, bold: true };
    for (index, word) in STAGE_WORDS.iter().enumerate() {
        let x = column(index);
        sheet.fill((x - 56, top - 20), (x + 56, top - 16), style::colour(index));
        sheet.text((x, top - 6), word, bold, Anchor::Middle);
    }
    for (position, row) in (0..).zip(rows) {
        let y = top + 18 + 40 * position;
        sheet.text((24, y), &row.label, PLAIN, Anchor::Start);
        for (line, (bar, name)) in (0..).zip(row.bars.iter().zip(["typical", "worst"])) {
            let y = y + 16 * line;
            sheet.text((320, y), name, SOFT, Anchor::End);
            for (index, ms) in bar.iter().enumerate() {
                sheet.text((column(index), y), &ms.map_or("–".to_owned(), span), PLAIN, Anchor::Middle);
            }
        }
    }
}

fn total(stages: &[Option<f64>; STAGES.len()]) -> f64 {
    stages.iter().flatten().sum()
}

/// The faults that lost allocations, in order, and within each the kinds of runs.
fn rows(ensemble: &Ensemble) -> Vec<Row> {
    let faults = ensemble.runs.iter().map(|run| run.failovers.len()).max().unwrap_or(0);
    let mut rows = Vec::new();
    for fault in 0..faults {
        let all: Vec<&Failover> = ensemble.runs.iter().filter_map(|run| run.failovers.get(fault)).collect();
        let mut cases: Vec<&str> = all.iter().map(|failover| failover.case.as_str()).collect();
        cases.sort_unstable();
        cases.dedup();
        for case in cases {
            let of_case: Vec<Vec<Stage>> = all.iter().filter(|f| f.case == case).map(|f| stages(f)).collect();
            let median_of = |index: usize, pick: fn(&Stage) -> Option<f64>| {
                median(of_case.iter().filter_map(|stages| pick(stages.get(index)?)).collect())
            };
            let typical = std::array::from_fn(|index| median_of(index, |stage| stage.p50_ms));
            let worst = std::array::from_fn(|index| median_of(index, |stage| stage.ms));
            if total(&typical) > 0.0 {
                let what = all.first().map_or("", |failover| &*ensemble.spec.timeline[failover.entry].label);
                let runs = if of_case.len() == 1 { "run" } else { "runs" };
                let note = format!("{}, {} {runs}", shortened(what, 24), of_case.len());
                rows.push(Row { label: shortened(case, 30), note, bars: [typical, worst] });
            }
        }
    }
    rows
}

/// The middle one; the lower of two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}
