//! A comparison as annotations of a GitHub workflow: commands on stdout that mark the scenario file.

use std::fmt::Write as _;

use super::{Account, change, interval, moved, name, probability};
use crate::analysis::compare::{Exact, Verdict};

/// Annotations of one level that are written; GitHub shows ten of each per step.
const ANNOTATIONS_MAX: usize = 10;

/// The commands, one a line: what it comes to first. What makes the gate fail is an error, and said once.
pub fn render(account: &Account) -> String {
    let said = ("cossim".to_owned(), format!("{}: {}", account.word(), account.counts()));
    let why = account.why_undecided().into_iter().filter(|_| account.is_undecided());
    let why = why.map(|why| ("cossim: undecided".to_owned(), why));
    let alone = account.of_head_alone().into_iter().filter(|_| account.fails(Verdict::Moved));
    let alone = alone.map(|alone| ("cossim: difference".to_owned(), alone));
    let mut errors: Vec<(String, String)> = why.chain(told(account, Verdict::Regression)).chain(alone).collect();
    // Laws that nobody checks any more and expectations that fare otherwise; figures of neither kind are many.
    let moved = account.exact(Verdict::Moved).map(|exact| titled(Verdict::Moved, fared(exact)));
    let mut notices = vec![said];
    if account.fails(Verdict::Moved) {
        errors.extend(told(account, Verdict::Moved).chain(told(account, Verdict::Improvement)));
    } else {
        notices.extend(moved.chain(told(account, Verdict::Improvement)));
    }
    let is_said = |caveat: &String| errors.iter().any(|(_, error)| error == caveat);
    let caveats = account.caveats().into_iter().filter(|caveat| !is_said(caveat));
    let warnings = caveats.map(|caveat| ("cossim".to_owned(), caveat)).collect();
    let file = property(&account.comparison.head.file);
    [level("notice", &file, notices), level("error", &file, errors), level("warning", &file, warnings)].concat()
}

/// What came to this, each with its title.
fn told(account: &Account, verdict: Verdict) -> impl Iterator<Item = (String, String)> {
    let exact = account.exact(verdict).map(fared);
    let own = account.rows(verdict).into_iter().filter(|row| row.same_as.is_none());
    let figures = own.map(|row| {
        let (name, change, interval, p, moved) = (name(row), change(row), interval(row), probability(row), moved(row));
        format!("{name}: {change}, 95 % interval {interval}, p {p}, moved in {moved} seeds")
    });
    exact.chain(figures).map(move |message| titled(verdict, message))
}

fn fared(exact: &Exact) -> String {
    format!("{}: {} → {}", exact.what, exact.base, exact.head)
}

/// A message with its title.
fn titled(verdict: Verdict, message: String) -> (String, String) {
    (format!("cossim: {}", verdict.name()), message)
}

/// Annotations of one level; of more than are shown, the last one says how many are not.
fn level(level: &str, file: &str, mut all: Vec<(String, String)>) -> String {
    if all.len() > ANNOTATIONS_MAX {
        let left_out = all.split_off(ANNOTATIONS_MAX - 1).len();
        all.push(("cossim".to_owned(), format!("{left_out} more are not annotated; `--format markdown` has them all")));
    }
    let mut out = String::new();
    for (title, message) in all {
        let _ = writeln!(out, "::{level} file={file},title={}::{}", property(&title), data(&message));
    }
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
