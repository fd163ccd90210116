//! `report.html`: one page that tells a result folder, on its own and without a network.
//!
//! The page is made of the folder's other files and of nothing else, when a run writes it as well as when `cossim
//! report` makes it again; so both give the same bytes. Every table and the drawn charts are there without a script;
//! with one, charts can be zoomed (uPlot, see `src/report/vendor`). All text of the scenario is escaped, and the page
//! forbids itself to load anything.
//!
//! It stays below [`SIZE_MAX`] bytes: tables have allowances, long series are thinned, and of many kinds of runs only
//! the first ones are shown; the page says so where it leaves something out.

mod held;
mod markup;
mod one_run;
mod overall;
mod plots;
mod record;
mod rests;
mod theme;

use crate::report::escape::escaped;
use held::{Ground, Shares};
use record::{Record, Shown};

use crate::analysis::summary::checksums::Difference;
use crate::analysis::summary::read::Flaw;
use crate::analysis::summary::sensitivity::OtherScenario;
use crate::report::text::plural;

/// The page is smaller than this, in bytes.
pub const SIZE_MAX: usize = 1_000_000;

/// Why a folder cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Its summary is not one of this cossim's.
    #[error("`summary.json` {0}")]
    Summary(#[from] Flaw),
    /// Somebody changed a file.
    #[error("`{file}` is not what its run wrote: {what}")]
    Edited {
        /// Its name.
        file: String,
        /// What shows it.
        what: Difference,
    },
    /// Its sensitivity analysis is not one of this cossim's.
    #[error("`sensitivity.json` {0}")]
    Sensitivity(Flaw),
    /// Its sensitivity analysis is of something else.
    #[error("`sensitivity.json` does not belong there: {0}")]
    Apart(OtherScenario),
    /// There is no such file.
    #[error("`{file}` is missing")]
    Missing {
        /// Its name.
        file: String,
    },
    /// It is not what cossim writes.
    #[error("`{file}` is damaged: {reason}")]
    Damaged {
        /// Its name.
        file: String,
        /// What is wrong.
        reason: String,
    },
}

impl PageError {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Summary(flaw) => flaw.hint(),
            Self::Sensitivity(_) | Self::Apart(_) => {
                "remove the file from the folder, or replace it: `cossim report DIR --sensitivity` takes the folder of a \
                 finished sensitivity analysis"
            }
            Self::Edited { .. } => "run the scenario again; reports are not meant to be edited",
            Self::Missing { .. } | Self::Damaged { .. } => {
                "run the scenario again; `cossim run` writes all files of a report"
            }
        }
    }
}

/// Fingerprint of the scenario of a folder with these files.
pub fn scenario_digest(files: &[(String, Vec<u8>)]) -> Result<String, PageError> {
    Ok(record::summary(files)?.scenario_digest)
}

/// The page of a folder with these files, by name.
pub fn page(files: &[(String, Vec<u8>)]) -> Result<String, PageError> {
    let record = Record::read(files)?;
    let ground = Ground::new(&record);
    let shares: Vec<Shares> = record.shown.iter().map(|run| ground.shares(run, record.end_s())).collect();
    let (mut plots, thinned) = plots::plots(&record, &ground, &shares);
    let (before, after) = (before(&record), after(&record));
    let fixed = [&before, &after, SCRIPT, PLOTTER, PLOTTER_LICENSE].iter().map(|part| part.len()).sum::<usize>();
    let mut room = SIZE_MAX - RESERVE - fixed;
    let mut sections = String::new();
    let mut told = 0;
    for (at, (run, shares)) in record.shown.iter().zip(&shares).enumerate() {
        let section = |brief| one_run::section(&record, run, &ground, shares, brief);
        let fits = |section: &String| section.len() + plots.json_of(at).len() < room;
        let Some(section) = [false, true].into_iter().map(section).find(fits) else { break };
        room -= section.len() + plots.json_of(at).len();
        sections.push_str(&section);
        told += 1;
    }
    plots.keep(told);
    let notes = notes(&record.shown[told..], thinned);
    let data = plots.json();
    let page = format!(
        "{before}<h2 id=\"runs\">Run by run</h2>\n{ABOUT_RUNS}{notes}<div id=\"chooser\"></div>\n{sections}{after}\
         <script type=\"application/json\" id=\"plots\">{data}</script>\n\
         <script>/*!\n{PLOTTER_LICENSE}\n*/\n{PLOTTER}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    assert!(page.len() < SIZE_MAX, "the parts of the page keep to their allowances");
    Ok(page)
}

/// What the page leaves out of its runs.
fn notes(untold: &[Shown], thinned: usize) -> String {
    let mut notes = Vec::new();
    if thinned > 1 {
        notes.push(format!(
            "<p class=\"note\">Points one can hover over stand for up to {thinned} buckets each: the mean of rates, the \
             highest of percentiles, the last of levels. series.csv has every bucket.</p>\n"
        ));
    }
    if !untold.is_empty() {
        let seeds = crate::report::frame::seeds(untold.iter().map(|run| run.seed));
        notes.push(format!(
            "<p class=\"note\">{} of other kinds are left out to keep this page small, seeds {seeds}; the folder has \
             their charts.</p>\n",
            plural(untold.len(), "run")
        ));
    }
    notes.concat()
}

/// The page down to the single runs.
fn before(record: &Record) -> String {
    let summary = &record.summary;
    let name = escaped(&crate::report::text::shortened(&summary.scenario, 200));
    let style = [theme::css().as_str(), STYLE, PLOTTER_STYLE].join("\n");
    let sections = SECTIONS.map(|(id, title)| format!("<a href=\"#{id}\">{title}</a> ")).concat();
    let verdict = if summary.passed { "pass" } else { "fail" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{name}: {verdict} – cossim report</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">To the report</a>\n\
         <header><div class=\"brand\">cossim report<span id=\"theme\"></span></div><h1>{name}</h1>\n{}\
         <nav aria-label=\"Sections\">{sections}</nav></header>\n<main id=\"main\">\n\
         <h2 id=\"expectations\">Expectations</h2>\n{}{}\
         <h2 id=\"faults\">What the faults did</h2>\n{}\
         <h2 id=\"requests\">What users saw</h2>\n{}\
         <h2 id=\"timeline\">Timeline</h2>\n{}",
        overall::verdict(record),
        overall::expectations(summary),
        overall::stopping(summary),
        overall::faults(record),
        overall::requests(summary),
        overall::timeline(record),
    )
}

/// The page after the single runs, without its scripts.
fn after(record: &Record) -> String {
    let summary = &record.summary;
    format!(
        "<h2 id=\"metrics\">Metrics</h2>\n{}{}<h2 id=\"sensitivity\">Sensitivity</h2>\n{}<h2 id=\"laws\">Laws and seeds</h2>\n{}{}\
         <h2 id=\"scenario\">Scenario</h2>\n{}</main>\n\
         <footer><p>cossim {} · scenario digest {} · the same scenario, seeds and version give the same bytes.</p>\
         <p>Beside this page: summary.json, metrics.csv, series.csv, failovers.csv, placements.csv, machines.csv, \
         timeline.csv, checksums.txt and the charts. Charts one can zoom: uPlot 1.6.32, MIT licence, © 2022 Leon Sorokin.</p></footer>\n",
        overall::metrics(summary),
        overall::modes(summary),
        rests::sensitivity(record),
        overall::laws(summary),
        overall::runs(summary),
        overall::scenario(record),
        escaped(&summary.cossim),
        escaped(&summary.scenario_digest),
    )
}

const SECTIONS: [(&str, &str); 9] = [
    ("expectations", "Expectations"),
    ("faults", "Faults"),
    ("requests", "Requests"),
    ("timeline", "Timeline"),
    ("runs", "Run by run"),
    ("metrics", "Metrics"),
    ("sensitivity", "Sensitivity"),
    ("laws", "Laws and seeds"),
    ("scenario", "Scenario"),
];

const ABOUT_RUNS: &str = "<p>One run of each kind: the first, and the first of every kind that differs in what its faults \
hit.</p>\n<p class=\"live-only note\">Drag across a chart to zoom all charts of the run, double-click to see all of it \
again. With the keyboard: Tab to a chart, arrows to move, + and − to zoom, 0 to see all.</p>\n";

/// Bytes for what stands between the parts.
const RESERVE: usize = 4_000;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const PLOTTER: &str = include_str!("../vendor/uPlot.iife.min.js");
const PLOTTER_STYLE: &str = include_str!("../vendor/uPlot.min.css");
const PLOTTER_LICENSE: &str = include_str!("../vendor/LICENSE");

#[cfg(test)]
mod page_tests;
