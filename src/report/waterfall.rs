//! The failover waterfall: for every kind of run, how long each stage of replacement took, one after the other.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::analysis::ensemble::{Case, Ensemble};
use crate::measure::failover::STAGES;
use crate::report::chart::{DRAWS, legend};
use crate::report::json::stages;
use crate::report::style::{self, FONT, GRID, INK, SIZE};
use crate::report::text::number;

/// One bar: a fault in one kind of run.
struct Bar {
    label: String,
    /// Median seconds per stage, over the critical paths of the runs.
    seconds: [f64; STAGES.len()],
}

/// The chart, or `None` when no fault lost an allocation.
pub fn waterfall(ensemble: &Ensemble) -> Option<String> {
    let bars: Vec<Bar> = ensemble.cases.iter().flat_map(|case| bars(ensemble, case)).collect();
    let longest = bars.iter().map(|bar| bar.seconds.iter().sum::<f64>()).fold(0.0, f64::max);
    if longest <= 0.0 {
        return None;
    }
    let height = 120 + 58 * bars.len() as u32;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SIZE.0, height)).into_drawing_area();
        root.fill(&WHITE).expect(DRAWS);
        let bold = (FONT, 19, FontStyle::Bold).into_font().color(&INK);
        root.draw(&Text::new("From the fault to the first good request", (24, 14), bold)).expect(DRAWS);
        let note = format!("{}, allocation restored last, median over runs", ensemble.spec.name);
        root.draw(&Text::new(note, (24, 36), (FONT, 13).into_font().color(&INK.mix(0.7)))).expect(DRAWS);
        let rows = bars.len() as f64;
        let mut chart = ChartBuilder::on(&root)
            .margin_top(62)
            .margin_right(70)
            .x_label_area_size(40)
            .y_label_area_size(250)
            .build_cartesian_2d(0.0..longest, 0.0..rows)
            .expect(DRAWS);
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(WHITE.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_desc("seconds since the fault")
            .x_label_formatter(&style::tick)
            .label_style((FONT, 14).into_font().color(&INK))
            .draw()
            .expect(DRAWS);
        for (row, bar) in bars.iter().enumerate() {
            let top = rows - row as f64;
            let mut from = 0.0;
            for (index, seconds) in bar.seconds.iter().enumerate().filter(|(_, seconds)| **seconds > 0.0) {
                let corners = [(from, top - 0.8), (from + seconds, top - 0.2)];
                chart.draw_series([Rectangle::new(corners, style::colour(index).filled())]).expect(DRAWS);
                if seconds / longest > 0.07 {
                    let white = (FONT, 13).into_font().color(&WHITE).pos(Pos::new(HPos::Center, VPos::Center));
                    let text = format!("{} s", number(*seconds));
                    chart.draw_series([Text::new(text, (from + seconds / 2.0, top - 0.5), white)]).expect(DRAWS);
                }
                from += seconds;
            }
            let total = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
            let text = format!(" {} s", number(from));
            chart.draw_series([Text::new(text, (from, top - 0.5), total)]).expect(DRAWS);
            let name = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
            let plot = f64::from(height) - 62.0 - 40.0;
            let y = 62.0 + plot * (row as f64 + 0.5) / rows;
            root.draw(&Text::new(bar.label.clone(), (238, y as i32), name)).expect(DRAWS);
        }
        let entries: Vec<(String, RGBColor)> =
            STAGES.iter().enumerate().map(|(index, stage)| ((*stage).to_owned(), style::colour(index))).collect();
        legend(&root, &entries);
        root.present().expect(DRAWS);
    }
    Some(svg)
}

fn bars(ensemble: &Ensemble, case: &Case) -> Vec<Bar> {
    let faults = case.members.iter().map(|&member| ensemble.runs[member].failovers.len()).max().unwrap_or(0);
    (0..faults)
        .filter_map(|fault| {
            let all: Vec<_> =
                case.members.iter().filter_map(|&member| ensemble.runs[member].failovers.get(fault)).collect();
            let first = all.first()?;
            let mut seconds = [0.0; STAGES.len()];
            for (index, stage) in seconds.iter_mut().enumerate() {
                let mut spans: Vec<f64> =
                    all.iter().filter_map(|failover| stages(failover).get(index)?.ms).map(|ms| ms / 1e3).collect();
                spans.sort_by(f64::total_cmp);
                *stage = spans.get(spans.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
            }
            let runs = if case.members.len() == 1 { "run" } else { "runs" };
            let label = format!("{} ({} {runs})", first.case, case.members.len());
            seconds.iter().any(|&span| span > 0.0).then_some(Bar { label, seconds })
        })
        .collect()
}
