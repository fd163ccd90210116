//! A comparison for the summary of a build or a comment on a change.

use std::fmt::Write as _;

use super::{Account, change, decision, detectable, interval, name, percent, probability, value};
use crate::analysis::compare::{Power, Row, Verdict, listed};

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
    add(format!("## cossim: {}: {}\n", cell(&comparison.head.scenario), account.word()));
    add(format!("{}; seeds {}, paired.", account.counts(), listed(&comparison.seeds)));
    add(format!(
        "Base `{}` (scenario digest `{}`, cossim {}), head `{}` (scenario digest `{}`, cossim {}).",
        account.base,
        comparison.base.scenario_digest,
        comparison.base.cossim,
        account.head,
        comparison.head.scenario_digest,
        comparison.head.cossim,
    ));
    for caveat in account.caveats() {
        add(format!("\n> {}", cell(&caveat)));
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
            add(format!("- `{}`: {} → {}", exact.what, exact.base, exact.head));
        }
        if !rows.is_empty() {
            add(table(&rows));
        }
    }
    let silent = account.rows(Verdict::NoEvidence);
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
            add(format!("- seed {}: {count} differ, first {}", changed.seed, cell(&decision(changed))));
        }
        if let Some(commands) = account.how_to_explain() {
            add(format!("\nWhat ruled machines out and who else was best:\n\n```\n{}\n```", commands.join("\n")));
        }
        add("\n</details>".to_owned());
    }
    out
}

fn table(rows: &[&Row]) -> String {
    let mut out = String::from(
        "| figure | base | head | median change | 95 % interval | p | would have shown |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    );
    for row in rows {
        let (base, head) = (value(row.base, &row.unit), value(row.head, &row.unit));
        let (change, interval, p, shown) = (change(row), interval(row), probability(row), detectable(row));
        let _ = write!(out, "\n| `{}` | {base} | {head} | {change} | {interval} | {p} | {shown} |", cell(&name(row)));
    }
    out
}

/// Text that breaks no table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}
