//! A comparison for the summary of a build or a comment on a change.
//!
//! Names of metrics, edits of a scenario and texts of expectations can hold any character; none of them is markup here.

use std::fmt::Write as _;

use super::{Account, change, decision, detectable, interval, moved, name, percent, probability, value};
use crate::analysis::compare::{Exact, Power, Row, Verdict, listed};

/// Changed decisions that are listed.
const DECISIONS_MAX: usize = 10;

/// The text, ending in a newline.
pub fn render(account: &Account) -> String {
    let comparison = &account.comparison;
    let mut out = String::new();
    let mut add = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    add(format!("## cossim: {}: {}\n", prose(&comparison.head.scenario), account.word()));
    add(format!("{}; seeds {}, paired.", account.counts(), listed(&comparison.seeds)));
    add(format!(
        "Base {} (scenario digest {}, cossim {}), head {} (scenario digest {}, cossim {}).",
        code(&account.base),
        code(&comparison.base.scenario_digest),
        prose(&comparison.base.cossim),
        code(&account.head),
        code(&comparison.head.scenario_digest),
        prose(&comparison.head.cossim),
    ));
    for caveat in account.caveats() {
        add(format!("\n> {}", prose(&caveat)));
    }
    for (verdict, title) in [
        (Verdict::Regression, "Regressions"),
        (Verdict::Improvement, "Improvements"),
        (Verdict::Moved, "Moved, and neither way is worse"),
        (Verdict::Tolerated, "Changed by no more than is tolerated"),
    ] {
        let rows = account.rows(verdict);
        let exact: Vec<_> = account.exact(verdict).collect();
        if !rows.is_empty() || !exact.is_empty() {
            add(format!("\n### {title}\n"));
        }
        for exact in exact {
            add(fared(exact));
        }
        if !rows.is_empty() {
            add(table(&rows));
        }
    }
    let silent = account.rows(Verdict::NoEvidence);
    let exact: Vec<_> = account.exact(Verdict::NoEvidence).collect();
    if !exact.is_empty() {
        let count = exact.len();
        add(format!(
            "\n<details><summary>In other numbers of seeds, without evidence of a change: {count}</summary>\n"
        ));
        for exact in exact {
            add(fared(exact));
        }
        add("\n</details>".to_owned());
    }
    if !silent.is_empty() {
        let level = percent(comparison.level);
        add(format!("\n<details><summary>{} figures without evidence of a change</summary>\n", silent.len()));
        let Power { tested, able } = comparison.power;
        let tested = format!("{tested} figures were tested together at {level} (Wilcoxon, Holm)");
        add(format!("{tested}; {able} of them differ in seeds enough to show anything.\n"));
        add(table(&silent));
        add("\n</details>".to_owned());
    }
    if let Some(changed) = account.decisions.as_ref().ok().filter(|changed| !changed.is_empty()) {
        add(format!("\n<details><summary>{} placement decisions differ</summary>\n", changed.len()));
        for (count, changed) in account.first_changes().into_iter().take(DECISIONS_MAX) {
            add(format!("- seed {}: {count} differ, first {}", changed.seed, prose(&decision(changed))));
        }
        if let Some(commands) = account.how_to_explain() {
            let commands = commands.join("\n");
            let fence = "`".repeat(backticks(&commands).max(2) + 1);
            add(format!("\nWhat ruled machines out and who else was best:\n\n{fence}\n{commands}\n{fence}"));
        }
        add("\n</details>".to_owned());
    }
    out
}

/// One that has no figures, in a list.
fn fared(exact: &Exact) -> String {
    format!("- {}: {} → {}", code(&exact.what), prose(&exact.base), prose(&exact.head))
}

fn table(rows: &[&Row]) -> String {
    let mut out = String::from(
        "| figure | base | head | change | 95 % interval | seeds that moved | p | would have shown |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    );
    for row in rows {
        let (base, head) = (value(row.base, &row.unit), value(row.head, &row.unit));
        let (change, interval, moved, p, shown) =
            (change(row), interval(row), moved(row), probability(row), detectable(row));
        let same = row.same_as.as_ref().map(|other| format!(", the same as {}", code(other))).unwrap_or_default();
        let cells = [format!("{}{same}", code(&name(row))), base, head, change, interval, moved, p, shown];
        let _ = write!(out, "\n| {} |", cells.map(|text| text.replace('|', "\\|")).join(" | "));
    }
    out
}

/// The longest row of backticks in a text.
fn backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A text in which nothing is markup, as code: more backticks around it than are in it.
fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let fence = "`".repeat(backticks(&text) + 1);
    // One space at either end is no part of the code.
    let space = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// A text in which nothing is markup but code between two backticks.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let mut out = String::new();
    for (number, part) in parts.iter().enumerate() {
        let (within, closed) = (number % 2 == 1, number + 1 < parts.len());
        if within && closed {
            out.push_str(&code(part));
            continue;
        }
        if within {
            out.push_str("\\`");
        }
        for c in part.chars() {
            match c {
                '\n' | '\r' => out.push(' '),
                '\\' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '#' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
    }
    out
}
