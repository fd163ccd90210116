//! The failover waterfall: for every kind of run, how long each stage of replacement took, one after the other; once
//! over all lost allocations and once over those that were restored last, or never, one of each run. Both are medians,
//! of different allocations: where runs differ, either may be the longer one. The figures stand beneath, because
//! stages of milliseconds and of minutes do not fit one axis.

use crate::analysis::across::Across;
use crate::analysis::ensemble::Ensemble;
use crate::analysis::recovery::{Recovery, recoveries};
use crate::base::time::{Duration, Time};
use crate::measure::failover::STAGES;
use crate::report::frame::{Anchor, Frame, Ink, PLAIN, SOFT, Scale, Sheet, sheet, width};
use crate::report::style::{self, Clock, INK, STAGE_WORDS};
use crate::report::text::{broken_up, plural, shortened, span};

/// A fault in one kind of run.
struct Row {
    /// The kind of run, in lines.
    label: Vec<String>,
    note: String,
    /// Milliseconds per stage, medians: over all lost allocations, and over those restored last, one of each run;
    /// infinite if the median falls on a stage that never ended.
    bars: [[Option<f64>; STAGES.len()]; 2],
}

const TOP: i32 = 122;
/// Height of a bar with the space around it.
const ROW: i32 = 46;
/// Height of two lines of figures.
const FIGURES: i32 = 40;
/// Height of a line of text, and the most characters of a label in one.
const LINE: i32 = 16;
const LABEL: usize = 30;
const TITLES: [&str; 2] = ["all lost allocations: medians", "last of each run, or never: medians"];
/// Left and right of the two plots, in pixels.
const PLOTS: [(i32, i32); 2] = [(236, 610), (690, 1_040)];

/// The chart, or `None` when no fault lost an allocation.
pub fn waterfall(ensemble: &Ensemble) -> Option<String> {
    let rows = rows(ensemble);
    let count = i32::try_from(rows.len()).ok().filter(|&count| count > 0)?;
    // Long labels make all rows higher.
    let lines = i32::try_from(rows.iter().map(|row| row.label.len()).max()?).ok()?;
    let row_height = ROW.max(LINE * (lines + 1) + 14);
    let figures_height = FIGURES.max(LINE * lines + 8);
    let bottom = TOP + row_height * count;
    let beneath = bottom + 78;
    let svg = sheet((beneath + 30 + figures_height * count) as u32, |sheet| {
        sheet.title(ensemble, None, "From the fault to the first good request");
        let legend = STAGE_WORDS.iter().enumerate().map(|(index, &word)| (word.to_owned(), style::colour(index)));
        sheet.legend(&legend.collect::<Vec<_>>());
        for (side, (&(left, right), title)) in PLOTS.iter().zip(TITLES).enumerate() {
            let longest = rows.iter().map(|row| total(&row.bars[side]).0).fold(1.0, f64::max);
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
                bar(sheet, &frame, TOP + row_height * position + (row_height - ROW) / 2, &row.bars[side]);
            }
        }
        for (position, row) in (0..).zip(&rows) {
            let middle = TOP + row_height * position + row_height / 2;
            let mut y = middle - LINE * row.label.len() as i32 / 2;
            for line in &row.label {
                sheet.text((224, y), line, PLAIN, Anchor::End);
                y += LINE;
            }
            sheet.text((224, y), &row.note, SOFT, Anchor::End);
        }
        figures(sheet, beneath, figures_height, &rows);
        sheet.text((24, beneath - 6), "– : not reached, or not a service", SOFT, Anchor::Start);
        if rows.iter().flat_map(|row| &row.bars).any(|bar| total(bar).1) {
            let y = beneath + 18 + figures_height * count;
            let note = "never: at least half of these waits had not ended when their run did";
            sheet.text((24, y), note, SOFT, Anchor::Start);
        }
    });
    Some(svg)
}

/// One stacked bar, its total at its end.
fn bar(sheet: &Sheet, frame: &Frame, top: i32, stages: &[Option<f64>; STAGES.len()]) {
    let mut passed = 0.0;
    let at = |ms: f64| frame.x(Time::ZERO + Duration::from_secs_f64(ms / 1e3));
    let (above, below) = (top + 9, top + ROW - 9);
    let mut edge = frame.left;
    let (_, never) = total(stages);
    for (index, ms) in stages.iter().enumerate().filter_map(|(index, ms)| Some((index, (*ms)?))) {
        // What follows a stage that never ends has no place on the axis.
        if ms.is_infinite() {
            break;
        }
        passed += ms;
        let right = at(passed);
        if right > edge {
            sheet.fill((edge, above), (right, below), style::colour(index));
            let text = span(ms);
            if width(&text, 13) + 8 < right - edge {
                let ink = Ink { size: 13, colour: style::text_on(style::colour(index)), bold: true };
                sheet.text((i32::midpoint(edge, right), i32::midpoint(above, below)), &text, ink, Anchor::Middle);
            }
        }
        edge = right;
    }
    let ink = Ink { size: 13, colour: INK, bold: true };
    let end = if never { "never".to_owned() } else { span(passed) };
    sheet.text((edge + 7, i32::midpoint(above, below)), &end, ink, Anchor::Start);
}

/// The table beneath: a row per bar, a column per stage.
fn figures(sheet: &Sheet, top: i32, height: i32, rows: &[Row]) {
    let column = |index: usize| 326 + 128 * index as i32 + 64;
    let bold = Ink { size: 12, colour: INK, bold: true };
    for (index, word) in STAGE_WORDS.iter().enumerate() {
        let x = column(index);
        sheet.fill((x - 60, top - 22), (x + 60, top - 18), style::colour(index));
        sheet.text((x, top - 6), word, bold, Anchor::Middle);
    }
    for (position, row) in (0..).zip(rows) {
        let y = top + 18 + height * position;
        for (at, line) in (0..).zip(&row.label) {
            sheet.text((24, y + LINE * at), line, PLAIN, Anchor::Start);
        }
        for (line, (bar, name)) in (0..).zip(row.bars.iter().zip(["all", "last"])) {
            let y = y + LINE * line;
            sheet.text((310, y), name, SOFT, Anchor::End);
            for (index, ms) in bar.iter().enumerate() {
                let shown = |ms: f64| if ms.is_infinite() { "never".to_owned() } else { span(ms) };
                sheet.text((column(index), y), &ms.map_or("–".to_owned(), shown), PLAIN, Anchor::Middle);
            }
        }
    }
}

/// How long the stages took that ended, before the first that did not, and whether there is such a one.
fn total(stages: &[Option<f64>; STAGES.len()]) -> (f64, bool) {
    let ended = stages.iter().flatten().take_while(|ms| ms.is_finite()).sum();
    (ended, stages.iter().flatten().any(|ms| ms.is_infinite()))
}

/// The faults that lost allocations, in order, and within each the kinds of runs.
fn rows(ensemble: &Ensemble) -> Vec<Row> {
    let row = |recovery: &Recovery| {
        let median = |stages: &[Across; STAGES.len()]| {
            std::array::from_fn(|index| match stages[index].figure("p50") {
                Some(median) => Some(median.value),
                None => stages[index].unended.map(|_| f64::INFINITY),
            })
        };
        let what = shortened(&ensemble.spec.timeline[recovery.entry].label, 24);
        let note = format!("{what}, {}", plural(recovery.members.len(), "run"));
        Row { label: broken_up(&recovery.case, LABEL), note, bars: [median(&recovery.stages), median(&recovery.last)] }
    };
    recoveries(ensemble).iter().map(row).filter(|row| total(&row.bars[0]) > (0.0, false)).collect()
}
