//! A comparison as annotations of a GitHub workflow: commands on stdout that mark the scenario file.

use std::fmt::Write as _;

use super::{Account, change, interval, moved, name, probability};
use crate::analysis::compare::Verdict;

/// Annotations of one kind that are written; GitHub shows ten of each per step.
const ANNOTATIONS_MAX: usize = 10;

/// The commands, one a line.
pub fn render(account: &Account) -> String {
    let comparison = &account.comparison;
    let file = property(&comparison.head.file);
    let mut out = String::new();
    for (verdict, level) in [(Verdict::Regression, "error"), (Verdict::Improvement, "notice")] {
        let exact = account.exact(verdict).map(|exact| format!("{}: {} → {}", exact.what, exact.base, exact.head));
        let own = account.rows(verdict).into_iter().filter(|row| row.same_as.is_none());
        let figures = own.map(|row| {
            let (name, change, interval, p, moved) =
                (name(row), change(row), interval(row), probability(row), moved(row));
            format!("{name}: {change}, 95 % interval {interval}, p {p}, moved in {moved} seeds")
        });
        let title = property(&format!("cossim: {}", verdict.name()));
        for message in exact.chain(figures).take(ANNOTATIONS_MAX) {
            let _ = writeln!(out, "::{level} file={file},title={title}::{}", data(&message));
        }
    }
    for why in account.why_undecided().iter().filter(|_| comparison.undecided()) {
        let _ = writeln!(out, "::error file={file},title=cossim%3A undecided::{}", data(why));
    }
    for caveat in account.caveats().iter().take(ANNOTATIONS_MAX) {
        let _ = writeln!(out, "::warning file={file},title=cossim::{}", data(caveat));
    }
    let said = data(&format!("{}: {}", account.word(), account.counts()));
    let _ = writeln!(out, "::notice file={file},title=cossim::{said}");
    out
}

/// The message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
