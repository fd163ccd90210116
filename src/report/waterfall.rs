//! The failover waterfall: for every kind of run, how long each stage of replacement took, one after the other; once
//! for a typical allocation and once for the one that was restored last. The figures stand beneath, because stages of
//! milliseconds and of minutes do not fit one axis.

use crate::analysis::across::Across;
use crate::analysis::ensemble::Ensemble;
use crate::analysis::recovery::{Recovery, recoveries};
use crate::base::time::{Duration, Time};
use crate::measure::failover::STAGES;
use crate::report::frame::{Anchor, Frame, Ink, PLAIN, SOFT, Scale, Sheet, sheet, width};
use crate::report::style::{self, Clock, INK, STAGE_WORDS};
use crate::report::text::{plural, shortened, span};

/// A fault in one kind of run.
struct Row {
    label: String,
    note: String,
    /// Milliseconds per stage, medians: over all lost allocations, and over those restored last, one of each run.
    bars: [[Option<f64>; STAGES.len()]; 2],
}

const TOP: i32 = 122;
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
        sheet.legend(&legend.collect::<Vec<_>>());
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
                let ink = Ink { size: 13, colour: style::text_on(style::colour(index)), bold: true };
                sheet.text((i32::midpoint(edge, right), i32::midpoint(above, below)), &text, ink, Anchor::Middle);
            }
        }
        edge = right;
    }
    let ink = Ink { size: 13, colour: INK, bold: true };
    sheet.text((edge + 7, i32::midpoint(above, below)), &span(passed), ink, Anchor::Start);
}

/// The table beneath: a row per bar, a column per stage.
fn figures(sheet: &Sheet, top: i32, rows: &[Row]) {
    let column = |index: usize| 326 + 128 * index as i32 + 64;
    let bold = Ink { size: 12, colour: INK, bold: true };
    for (index, word) in STAGE_WORDS.iter().enumerate() {
        let x = column(index);
        sheet.fill((x - 60, top - 22), (x + 60, top - 18), style::colour(index));
        sheet.text((x, top - 6), word, bold, Anchor::Middle);
    }
    for (position, row) in (0..).zip(rows) {
        let y = top + 18 + 40 * position;
        sheet.text((24, y), &row.label, PLAIN, Anchor::Start);
        for (line, (bar, name)) in (0..).zip(row.bars.iter().zip(["typical", "worst"])) {
            let y = y + 16 * line;
            sheet.text((310, y), name, SOFT, Anchor::End);
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
    let row = |recovery: &Recovery| {
        let median = |stages: &[Across; STAGES.len()]| {
            std::array::from_fn(|index| stages[index].figure("p50").map(|median| median.value))
        };
        let what = shortened(&ensemble.spec.timeline[recovery.entry].label, 24);
        let note = format!("{what}, {}", plural(recovery.members.len(), "run"));
        Row { label: shortened(&recovery.case, 30), note, bars: [median(&recovery.stages), median(&recovery.last)] }
    };
    recoveries(ensemble).iter().map(row).filter(|row| total(&row.bars[0]) > 0.0).collect()
}
