//! A comparison for people: the verdict first, then what moved, then what could not have been seen.

use super::{Account, change, decision, detectable, interval, moved, percent, probability, told, value};
use crate::analysis::compare::{Exact, Power, Row, Side, Verdict, listed};
use crate::report::text::{align, grouped, line, section};

/// Figures without evidence that are listed, and as many of what else has none; the JSON has all.
const SILENT_MAX: usize = 12;
/// Seeds whose first changed decision is shown.
const SEEDS_MAX: usize = 5;

/// The whole text, ending in a newline.
pub fn render(account: &Account) -> String {
    let mut out = String::new();
    let comparison = &account.comparison;
    line(&mut out, &format!("{}  {}: {}", account.word().to_uppercase(), comparison.head.scenario, account.counts()));
    line(&mut out, &format!("base  {}", side(&account.base, &comparison.base)));
    line(&mut out, &format!("head  {}", side(&account.head, &comparison.head)));
    let Power { tested, able } = comparison.power;
    let able =
        if able == tested { String::new() } else { format!(", {able} of them in seeds enough to show anything") };
    let tested = format!("{tested} figures tested together at {} (Holm){able}", percent(comparison.level));
    let tested = if comparison.identical { "nothing to test".to_owned() } else { tested };
    line(&mut out, &format!("seeds {}, paired; {tested}", listed(&comparison.seeds)));
    for caveat in account.caveats() {
        line(&mut out, &format!("note  {caveat}"));
    }
    for (verdict, title) in [
        (Verdict::Regression, "regressions"),
        (Verdict::Improvement, "improvements"),
        (Verdict::Moved, "moved, and neither way is worse"),
        (Verdict::Tolerated, "changed by no more than is tolerated"),
    ] {
        changed(account, verdict, title, &mut out);
    }
    silent(account, &mut out);
    decisions(account, &mut out);
    out
}

fn side(named: &str, side: &Side) -> String {
    let set = if side.set.is_empty() { String::new() } else { format!(", set {}", side.set.join(" ")) };
    format!("{named} ({}{set}, cossim {}, scenario digest {})", side.file, side.cossim, side.scenario_digest)
}

fn changed(account: &Account, verdict: Verdict, title: &str, out: &mut String) {
    let rows = account.rows(verdict);
    let exact: Vec<_> = account.exact(verdict).collect();
    if rows.is_empty() && exact.is_empty() {
        return;
    }
    section(out, title);
    for exact in exact {
        line(out, &format!("  {}: {} → {}", exact.what, exact.base, exact.head));
    }
    let header = ["figure", "base", "head", "change", "95 %", "seeds that moved", "p", "tolerated"];
    let mut table = vec![header.map(str::to_owned)];
    for row in rows {
        let tolerated = value(row.tolerance, &row.unit);
        let (base, head) = (value(row.base, &row.unit), value(row.head, &row.unit));
        table.push([told(row), base, head, change(row), interval(row), moved(row), probability(row), tolerated]);
    }
    if table.len() > 1 {
        align(&table, &[false, true, true, true, true, true, true, true], out);
    }
}

/// What changed without being significant, and how large a change would have been seen.
fn silent(account: &Account, out: &mut String) {
    let rows: Vec<&Row> = account.rows(Verdict::NoEvidence);
    let exact: Vec<&Exact> = account.exact(Verdict::NoEvidence).collect();
    if rows.is_empty() && exact.is_empty() {
        return;
    }
    section(out, "no evidence of a change");
    for exact in exact.iter().take(SILENT_MAX) {
        line(out, &format!("  {}: {} → {}", exact.what, exact.base, exact.head));
    }
    if exact.len() > SILENT_MAX {
        line(out, &format!("  and {} more; `--format json` has them all", exact.len() - SILENT_MAX));
    }
    if rows.is_empty() {
        return;
    }
    let header = ["figure", "base", "change", "95 %", "seeds that moved", "p", "would have shown"];
    let mut table = vec![header.map(str::to_owned)];
    for row in rows.iter().take(SILENT_MAX) {
        let base = value(row.base, &row.unit);
        table.push([told(row), base, change(row), interval(row), moved(row), probability(row), detectable(row)]);
    }
    align(&table, &[false, true, true, true, true, true, true], out);
    if rows.len() > SILENT_MAX {
        line(out, &format!("  and {} more; `--format json` has them all", rows.len() - SILENT_MAX));
    }
}

fn decisions(account: &Account, out: &mut String) {
    let Ok(all) = &account.decisions else { return };
    if all.is_empty() {
        return;
    }
    let first = account.first_changes();
    section(out, &format!("placement decisions: {} differ, in {} seeds", grouped(all.len() as u64), first.len()));
    for (count, changed) in first.iter().take(SEEDS_MAX) {
        line(out, &format!("  seed {}: {count} differ, first {}", changed.seed, decision(changed)));
    }
    if first.len() > SEEDS_MAX {
        line(out, &format!("  and in {} more seeds; `--format json` has them all", first.len() - SEEDS_MAX));
    }
    if let Some(commands) = account.how_to_explain() {
        line(out, "  these results know scores alone; what ruled machines out and who else was best is told by");
        commands.iter().for_each(|command| line(out, &format!("    {command}")));
    }
}
