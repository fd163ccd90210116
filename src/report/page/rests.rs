//! What all of it rests on: the assumed values, and what a sensitivity analysis found of them.

use std::fmt::Write as _;

use crate::analysis::summary::Summary;
use crate::analysis::summary::sensitivity::{Ends, Influence, Sensitivity};
use crate::report::escape::escaped;
use crate::report::page::markup::{Cell, Table, figure, head, text};
use crate::report::page::record::Record;
use crate::report::sensitivity::{analysed, found};
use crate::report::text::{number, quoted};

/// Assumed values, what was found of them, and what else was found.
pub(super) fn sensitivity(record: &Record) -> String {
    let summary = &record.summary;
    let mut out = assumed(summary, record.sensitivity.as_ref());
    match &record.sensitivity {
        None => out.push_str(&how(summary)),
        Some(analysis) => {
            let about = format!("What the results depend on ({}):", analysed(analysis));
            write!(out, "<p>{}</p>\n<ul>", escaped(&about)).expect("a string takes every character");
            let mut room = SENTENCES_MAX;
            for sentence in analysis.sentences.iter().map(|sentence| escaped(sentence)) {
                let Some(left) = room.checked_sub(sentence.len()) else { break };
                room = left;
                write!(out, "<li>{sentence}</li>").expect("a string takes every character");
            }
            out.push_str("</ul>\n");
            out.push_str(&influences(analysis));
        }
    }
    out
}

/// Bytes of sentences that are shown; the most useful ones come first, and the file has all.
const SENTENCES_MAX: usize = 15_000;

fn assumed(summary: &Summary, analysis: Option<&Sensitivity>) -> String {
    if summary.assumed.is_empty() {
        return "<p>None of the values that scenarios can change is assumed here: each is measured, published, a default \
                of the product, or stated by the scenario.</p>\n"
            .to_owned();
    }
    let columns = ["parameter", "value", "why", "cannot be ruled out", "sensitivity found"];
    let columns = if analysis.is_some() { &columns[..] } else { &columns[..4] };
    let mut table = Table::new("Assumed values that all of this rests on", columns, 20_000, "summary.json");
    for value in &summary.assumed {
        let why = if value.why.is_empty() { "the scenario says so" } else { &*value.why };
        let mut row = vec![head(&*value.path), text(&*value.value), text(why), text(&*value.plausible)];
        row.extend(analysis.map(|analysis| text(found(analysis, &value.path))));
        table.row(&row);
    }
    table.finish()
}

fn how(summary: &Summary) -> String {
    let edits = summary.set.iter().map(|edit| format!(" --set {}", quoted(edit))).collect::<Vec<_>>().concat();
    format!(
        "<p class=\"note\">How much depends on them was not given to this report. <code>cossim sensitivity {}{}</code> \
         finds it, and <code>cossim report</code> with <code>--sensitivity</code> and its folder shows it here.</p>\n",
        escaped(&quoted(&summary.file)),
        escaped(&edits),
    )
}

fn influences(analysis: &Sensitivity) -> String {
    let columns = ["measure", "value varied", "over", "#effect over that range", "#share of the variance, %"];
    let caption = "Mean absolute effect (Morris), and total share of the variance (Sobol) with its 95 % interval";
    let mut table = Table::new(caption, &columns, 20_000, "sensitivity.json");
    let mut all: Vec<&Influence> = analysis.influences.iter().collect();
    all.sort_by(|a, b| a.measure.cmp(&b.measure).then_with(|| b.by_weight(a)));
    for one in all {
        let varied = analysis.varied.iter().find(|varied| varied.path == one.path);
        let over = varied.map_or("", |varied| &*varied.values);
        let share = match (one.share, one.share_ci95) {
            (None, _) => figure("–"),
            (Some(share), None) => figure(number(share)),
            (Some(share), Some([low, high])) => {
                Cell::Sure(number(share), format!("{} … {}", number(low), number(high)))
            }
        };
        let effect = one.effect.map_or("–".to_owned(), |effect| format!("{} {}", number(effect), one.unit));
        let effect = match one.ends {
            Some(Ends { turned, moves }) => {
                figure(format!("{effect}; decides whether it ends at all ({turned} of {moves} moves)"))
            }
            None => figure(effect),
        };
        table.row(&[head(&*one.measure), text(&*one.path), text(over), effect, share]);
    }
    if table.is_empty() { String::new() } else { table.finish() }
}
