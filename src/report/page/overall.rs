//! What all runs say together: verdict, expectations, faults, requests, metrics, laws, and the scenario they ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::analysis::summary::{Estimate, Fault, Mode, Overall, Pooled, Recovery, Run, Summary};
use crate::measure::failover::STAGES;
use crate::report::escape::escaped;
use crate::report::frame::seeds;
use crate::report::page::markup::{Cell, Table, figure, head, text};
use crate::report::page::record::Record;
use crate::report::style::STAGE_WORDS;
use crate::report::text::{grouped, met_in_words, number, plural, quoted, span};

/// The verdict, and what was run.
pub(super) fn verdict(record: &Record) -> String {
    let summary = &record.summary;
    let unmet = summary.expectations.iter().filter(|expectation| !met(expectation)).count();
    let expected = match (summary.expectations.len(), unmet) {
        (0, _) => "No expectations".to_owned(),
        (all, 0) => {
            let idle = summary.expectations.iter().filter(|expectation| expectation.verdict == "not exercised").count();
            let words = met_in_words(all, idle);
            words[..1].to_uppercase() + &words[1..]
        }
        (all, unmet) => format!("{unmet} of {all} expectations not met"),
    };
    let laws = || summary.runs.iter().flat_map(|run| &run.invariants);
    let checks: u64 = laws().map(|law| law.checks).sum();
    let violations: u64 = laws().map(|law| law.violations).sum();
    let kinds = plural(summary.runs.first().map_or(0, |run| run.invariants.len()), "law");
    let events: u64 = summary.runs.iter().map(|run| run.events).sum();
    let (class, word, sign) = if summary.passed { ("ok", "Pass", "✓") } else { ("bad", "Fail", "✗") };
    let seed = match (failing(summary), &summary.asked_seeds) {
        (Some(seed), _) => format!(" --seed {seed}"),
        (None, Some(asked)) => format!(" {asked}"),
        (None, None) => String::new(),
    };
    let edits = summary.set.iter().map(|edit| format!(" --set {}", quoted(edit))).collect::<Vec<_>>().concat();
    let facts = [
        ("seeds", seeds(summary.runs.iter().map(|run| run.seed))),
        ("simulated", simulated(record.end_s(), record.warmup_s())),
        ("events", grouped(events)),
        ("cossim", summary.cossim.clone()),
        ("scenario digest", summary.scenario_digest.clone()),
    ];
    let fact = |(name, fact): &(&str, String)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(fact));
    let facts = facts.iter().map(fact).collect::<Vec<_>>().concat();
    let times = grouped(checks);
    format!(
        "<div class=\"verdict {class}\"><p class=\"word\"><span aria-hidden=\"true\">{sign}</span> {word}</p>\
         <p>{expected}; {kinds} checked {times} times, {violations} violations</p></div>\n\
         <dl class=\"facts\">{facts}</dl>\n<p class=\"again\">To run it again: <code>cossim run {}{}{seed}</code></p>\n",
        escaped(&quoted(&summary.file)),
        escaped(&edits),
    )
}

/// How long each run took, and what of it was not measured, if anything; in seconds.
pub(super) fn simulated(end: f64, warmup: f64) -> String {
    let unmeasured = if warmup > 0.0 { format!(", warm-up {}", instant(warmup)) } else { String::new() };
    format!("{} min each{unmeasured}", number(end / 60.0))
}

/// An expectation that nothing exercised is met only if it allows that.
fn met(expectation: &Overall) -> bool {
    expectation.verdict == "pass"
        || expectation.verdict == "not exercised" && expectation.text.trim_end().ends_with("if exercised")
}

/// The seed that is worth a look: of a broken law, or of the run furthest from an expectation that is not met.
fn failing(summary: &Summary) -> Option<u64> {
    let broken = summary.runs.iter().find(|run| run.invariants.iter().any(|law| law.violations > 0));
    let unmet = || {
        let (at, all) = summary.expectations.iter().enumerate().find(|(_, all)| !met(all))?;
        let fails = |run: &&Run| run.expectations.get(at).is_some_and(|one| one.verdict != "pass");
        let nearest = summary.runs.iter().filter(fails).find(|run| Some(run.seed) == all.nearest_seed);
        nearest.or_else(|| summary.runs.iter().find(fails))
    };
    broken.or_else(unmet).map(|run| run.seed)
}

/// Every expectation, and how each run fared.
pub(super) fn expectations(summary: &Summary) -> String {
    if summary.expectations.is_empty() {
        return "<p>The scenario states none.</p>\n".to_owned();
    }
    let columns = ["verdict", "expectation", "seen", "#passed", "#failed", "#not exercised"];
    let mut table = Table::new("Over all runs", &columns, 40_000, "summary.json");
    for (at, all) in summary.expectations.iter().enumerate() {
        let seen = summary.runs.iter().filter_map(|run| Some((run.expectations.get(at)?.observed.clone(), run.seed)));
        let worst = all.nearest_seed.and_then(|nearest| seen.clone().find(|(_, seed)| *seed == nearest));
        let seen = match worst {
            Some((observed, seed)) if summary.runs.len() > 1 => format!("at worst {observed} in seed {seed}"),
            _ => together(seen),
        };
        let counts = [all.passed, all.failed, all.not_exercised].map(|count| figure(count.to_string()));
        let verdict = Cell::Verdict(all.verdict.clone());
        let [passed, failed, idle] = counts;
        table.row(&[verdict, head(&*all.text), text(seen), passed, failed, idle]);
    }
    let mut each = Table::new("In each run", &["#seed", "verdict", "expectation", "seen"], 30_000, "summary.json");
    for run in &summary.runs {
        for one in &run.expectations {
            let (seed, verdict) = (figure(run.seed.to_string()), Cell::Verdict(one.verdict.clone()));
            each.row(&[seed, verdict, text(&*one.text), text(&*one.observed)]);
        }
    }
    let each = format!("<details><summary>Each run</summary>{}</details>\n", each.finish());
    table.finish() + if summary.runs.len() > 1 { &each } else { "" }
}

/// What was seen, each once, with its seeds.
fn together(seen: impl Iterator<Item = (String, u64)>) -> String {
    let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
    for (what, seed) in seen {
        match groups.iter_mut().find(|(other, _)| *other == what) {
            Some((_, all)) => all.push(seed),
            None => groups.push((what, vec![seed])),
        }
    }
    let one = |(what, all): &(String, Vec<u64>)| format!("{what} in {}", of_seeds(all));
    let more = if groups.len() > 4 { format!("; {} more", groups.len() - 4) } else { String::new() };
    groups.iter().take(4).map(one).collect::<Vec<_>>().join("; ") + &more
}

/// As `seed 3` or `seeds 1 2`.
fn of_seeds(all: &[u64]) -> String {
    format!("{} {}", if all.len() == 1 { "seed" } else { "seeds" }, seeds(all.iter().copied()))
}

/// The runs, one by one.
pub(super) fn runs(summary: &Summary) -> String {
    let columns = ["#seed", "kind of run", "#events", "run digest", "laws broken"];
    let mut table = Table::new("Runs", &columns, 30_000, "summary.json");
    for run in &summary.runs {
        let broken: Vec<&str> = run.invariants.iter().filter(|law| law.violations > 0).map(|law| &*law.name).collect();
        let broken = if broken.is_empty() { "none".to_owned() } else { broken.join(", ") };
        let kind = if run.case.is_empty() { "no fault" } else { &*run.case };
        let seed = Cell::Head(run.seed.to_string());
        table.row(&[seed, text(kind), figure(grouped(run.events)), text(&*run.digest), text(broken)]);
    }
    table.finish()
}

/// Faults and operator actions, with the span of each.
pub(super) fn timeline(record: &Record) -> String {
    let columns = ["#from", "#until", "kind", "what", "when in the run"];
    let mut table = Table::new("Timeline, in minutes:seconds", &columns, 40_000, "timeline.csv");
    let end = record.end_s().max(1e-9);
    for entry in &record.timeline {
        let left = 100.0 * (entry.from_s / end).clamp(0.0, 1.0);
        let wide = 100.0 * ((entry.until_s - entry.from_s) / end).clamp(0.0, 1.0);
        let class = match &*entry.kind {
            "fault" => "fault",
            "operator" => "operator",
            _ => "warm",
        };
        let bar = format!(
            "<span class=\"track\"><span class=\"{class}\" style=\"left:{left:.2}%;width:{wide:.2}%\"></span></span>"
        );
        let until = if entry.until_s > entry.from_s { instant(entry.until_s) } else { "at once".to_owned() };
        let (from, kind) = (figure(instant(entry.from_s)), text(&*entry.kind));
        table.row(&[from, figure(until), kind, head(&*entry.what), Cell::Markup(bar)]);
    }
    if table.is_empty() { "<p>Nothing happens in it.</p>\n".to_owned() } else { table.finish() }
}

/// What each fault did, by kind of run.
pub(super) fn faults(record: &Record) -> String {
    let summary = &record.summary;
    if summary.recoveries.is_empty() {
        return "<p>The scenario has no fault.</p>\n".to_owned();
    }
    let columns = [
        "fault",
        "kind of run",
        "seeds",
        "#allocations lost",
        "#not replaced",
        "leader elected after",
        "seconds below 95 % good",
        "longest gap between good answers",
    ];
    let caption = "What was lost, and for how long: from the least to the most of any run, where runs differ";
    let mut damage = Table::new(caption, &columns, 40_000, "failovers.csv");
    let columns: Vec<String> = ["fault", "kind of run", "of which"]
        .into_iter()
        .map(str::to_owned)
        .chain(STAGE_WORDS.iter().map(|word| format!("#{word}")))
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let caption = "Time each stage of the replacement took, from the end of the one before: medians, with 95 % intervals \
                   by resampling runs. Stages that had not ended with their run, begun or not, count as longer than all \
                   others";
    let mut stages = Table::new(caption, &columns, 40_000, "failovers.csv");
    for recovery in &summary.recoveries {
        let of_kind = |run: &&Run| recovery.seeds.contains(&run.seed);
        let fault = |run: &'_ Run| Some((run.seed, run.failovers.get(recovery.place)?.clone()));
        let of: Vec<(u64, Fault)> = summary.runs.iter().filter(of_kind).filter_map(fault).collect();
        if of.is_empty() {
            continue;
        }
        damage.row(&damage_row(recovery, &of));
        for (which, row) in stage_rows(recovery) {
            let names = [head(&*recovery.fault), text(&*recovery.case), text(which)];
            stages.row(&names.into_iter().chain(row).collect::<Vec<_>>());
        }
    }
    let waterfall = record.charts.get("waterfall").map_or(String::new(), |svg| {
        drawn(svg, "From the fault to the first good request, by kind of run; the tables below have the figures")
    });
    let stages = if stages.is_empty() { String::new() } else { stages.finish() };
    waterfall + &damage.finish() + &stages
}

fn damage_row(recovery: &Recovery, of: &[(u64, Fault)]) -> [Cell; 8] {
    let range = |pick: &dyn Fn(&Fault) -> Option<f64>, show: &dyn Fn(f64) -> String| {
        let found: Vec<f64> = of.iter().filter_map(|(_, fault)| pick(fault)).collect();
        let low = found.iter().copied().fold(f64::INFINITY, f64::min);
        let high = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match (show(low), show(high)) {
            _ if found.is_empty() => "–".to_owned(),
            (low, high) if low == high => low,
            (low, high) => format!("{low} … {high}"),
        }
    };
    let mut elections = BTreeSet::new();
    let mut sources = BTreeSet::new();
    for (_, fault) in of {
        elections.extend(fault.elections.iter().map(|one| (&one.system, &one.region)));
        sources.extend(fault.outages.keys());
    }
    let elected = |(system, region): (&String, &String)| {
        let election =
            |fault: &Fault| fault.elections.iter().find(|one| one.system == *system && one.region == *region).cloned();
        let hit: Vec<_> = of.iter().filter_map(|(_, fault)| election(fault)).collect();
        let never = hit.iter().filter(|election| election.elected_ms.is_none()).count();
        let after = match never {
            0 => range(&|fault| election(fault)?.elected_ms, &span),
            all if all == hit.len() => "never".to_owned(),
            some => format!("{}, never in {some} of {}", range(&|fault| election(fault)?.elected_ms, &span), hit.len()),
        };
        format!("{system} {region}: {after}")
    };
    let outage = |show: &dyn Fn(&String) -> String| {
        let one = |name: &&String| format!("{name}: {}", show(name));
        sources.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let seconds =
        |name: &String| range(&|fault: &Fault| Some(fault.outages.get(name)?.seconds as f64), &|s| format!("{s} s"));
    let gap = |name: &String| range(&|fault: &Fault| Some(fault.outages.get(name)?.gap_ms), &span);
    let elections: Vec<String> = elections.into_iter().map(elected).collect();
    [
        head(&*recovery.fault),
        text(&*recovery.case),
        text(seeds(of.iter().map(|(seed, _)| *seed))),
        figure(range(&|fault| Some(fault.lost as f64), &number)),
        figure(range(&|fault| Some(fault.unreplaced as f64), &number)),
        text(if elections.is_empty() { "no leader hit".to_owned() } else { elections.join("; ") }),
        text(outage(&seconds)),
        text(outage(&gap)),
    ]
}

/// The stages of all lost allocations and of those restored last; none if nothing was lost.
fn stage_rows(recovery: &Recovery) -> Vec<(&'static str, Vec<Cell>)> {
    if recovery.stages.is_empty() {
        return Vec::new();
    }
    let cell = |pooled: Option<&Pooled>| {
        let Some(pooled) = pooled else { return figure("–") };
        let median = pooled.figures.get("p50");
        let value = median.map_or("never".to_owned(), |median| span(median.value));
        let interval =
            median.and_then(|median| median.ci95).map(|[low, high]| format!("{} … {}", span(low), span(high)));
        let unended = pooled.unended.map(|unended| never(unended, pooled));
        match [interval, unended].into_iter().flatten().collect::<Vec<_>>() {
            none if none.is_empty() => figure(value),
            some => Cell::Sure(value, some.join("; ")),
        }
    };
    let row = |by_stage: &BTreeMap<String, Pooled>| STAGES.iter().map(|stage| cell(by_stage.get(*stage))).collect();
    vec![("all lost allocations", row(&recovery.stages)), ("those restored last, or never", row(&recovery.last))]
}

/// How many waits never ended, of all.
fn never(unended: u64, pooled: &Pooled) -> String {
    format!("{} of {} never", grouped(unended), grouped(pooled.samples.unwrap_or(0) + unended))
}

/// Success and latency of each traffic source, over all runs and by kind of run.
pub(super) fn requests(summary: &Summary) -> String {
    let mut out = String::new();
    let sources = summary.across_runs.keys().filter_map(|key| key.strip_prefix("request.success_ratio"));
    for labels in sources {
        let title = labels.trim_matches(['{', '}']).replace('=', " ").replace(',', ", ");
        let columns =
            ["runs", "#requests", "#good, %", "", "#p50, ms", "#p90, ms", "#p99, ms", "", "#longest, ms", "failed"];
        let caption = format!("Requests: {title}. Below a figure its 95 % interval, by resampling seeds");
        let mut table = Table::new(&caption, &columns, 30_000, "summary.json");
        let mut sets: Vec<(String, &BTreeMap<String, Pooled>)> = vec![("all runs".to_owned(), &summary.across_runs)];
        if summary.cases.len() > 1 {
            let name = |case: &crate::analysis::summary::Case| format!("{} ({})", case.case, of_seeds(&case.seeds));
            sets.extend(summary.cases.iter().map(|case| (name(case), &case.metrics)));
        }
        let estimate = |set: &'_ BTreeMap<String, Pooled>, family: &str, name: &str| -> Option<Estimate> {
            let found = set.get(&format!("{family}{labels}"))?.figures.get(name)?;
            Some(Estimate { value: found.value, ci95: found.ci95 })
        };
        let axis = |family: &str, name: &str| {
            let all = sets.iter().filter_map(|(_, set)| estimate(set, family, name));
            all.flat_map(|one| one.ci95.unwrap_or([one.value; 2]).into_iter().chain([one.value]))
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (ratio, latency) = ("request.success_ratio", "request.latency");
        for (name, set) in &sets {
            let cell = |family: &str, statistic: &str, show: fn(f64) -> String| {
                estimate(set, family, statistic).map_or(figure("–"), |one| sure(&one, show))
            };
            let strip = |family: &str, statistic: &str| {
                let drawn =
                    estimate(set, family, statistic).map_or(String::new(), |e| whisker(&e, axis(family, statistic)));
                Cell::Markup(drawn)
            };
            let samples = set.get(&format!("{ratio}{labels}")).and_then(|pooled| pooled.samples).unwrap_or(0);
            let milliseconds = ["p50", "p90", "p99"].map(|statistic| cell(latency, statistic, number));
            let [p50, p90, p99] = milliseconds;
            table.row(&[
                head(&**name),
                figure(grouped(samples)),
                cell(ratio, "value", nines),
                strip(ratio, "value"),
                p50,
                p90,
                p99,
                strip(latency, "p99"),
                cell(latency, "max", number),
                text(errors(set, labels)),
            ]);
        }
        write!(out, "<div class=\"requests\">{}</div>", table.finish()).expect("a string takes every character");
    }
    if out.is_empty() { "<p>The scenario has no traffic.</p>\n".to_owned() } else { out }
}

/// Failed requests by kind, most first.
fn errors(set: &BTreeMap<String, Pooled>, labels: &str) -> String {
    let rest = labels.trim_start_matches('{');
    let mut kinds: Vec<(u64, &str)> = set
        .iter()
        .filter_map(|(key, pooled)| {
            let (kind, others) = key.strip_prefix("request.errors{kind=")?.split_once(',')?;
            (others == rest).then_some((pooled.samples?, kind))
        })
        .filter(|(count, _)| *count > 0)
        .collect();
    kinds.sort_by(|a, b| b.cmp(a));
    let kinds: Vec<String> = kinds.into_iter().map(|(count, kind)| format!("{} × {kind}", grouped(count))).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

/// A figure and its interval.
fn sure(estimate: &Estimate, show: fn(f64) -> String) -> Cell {
    let value = show(estimate.value);
    match estimate.ci95.map(|[low, high]| (show(low), show(high))) {
        Some((low, high)) if low != high => Cell::Sure(value, format!("{low} … {high}")),
        _ => figure(value),
    }
}

/// The interval as a line, the figure as a dot on it, on an axis that all rows share.
fn whisker(estimate: &Estimate, (low, high): (f64, f64)) -> String {
    let at = |value: f64| if high > low { 4.0 + 92.0 * (value - low) / (high - low) } else { 50.0 };
    let [from, to] = estimate.ci95.unwrap_or([estimate.value; 2]).map(at);
    let dot = at(estimate.value);
    format!(
        "<svg class=\"whisker\" viewBox=\"0 0 100 12\" aria-hidden=\"true\"><path d=\"M{from:.1} 6H{to:.1}M{from:.1} \
         3v6M{to:.1} 3v6\"/><circle cx=\"{dot:.1}\" cy=\"6\" r=\"3\"/></svg>"
    )
}

/// Percent of success: the nines matter.
fn nines(percent: f64) -> String {
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Every metric that had samples, or waits that never ended.
pub(super) fn metrics(summary: &Summary) -> String {
    let columns =
        ["metric", "unit", "#runs", "#samples", "#mean or value", "#p50", "#p90", "#p99", "#max", "#at the end"];
    let caption = "Metrics over all runs. Below a figure its 95 % interval: by resampling seeds for percentiles and \
                   shares, by Student's t over seeds for levels and counts. Waits that had not ended with their run \
                   count as longer than all others";
    let mut table = Table::new(caption, &columns, 150_000, "summary.json");
    let mut silent = 0;
    for (key, pooled) in &summary.across_runs {
        if pooled.figures.is_empty() && pooled.unended.is_none() {
            silent += 1;
            continue;
        }
        let cell = |names: &[&str]| {
            let found = names.iter().find_map(|name| pooled.figures.get(*name));
            found.map_or(figure(""), |estimate| sure(estimate, number))
        };
        let quantile = |name: &str| match pooled.unended {
            Some(_) if !pooled.figures.contains_key(name) => figure("never"),
            Some(_) | None => cell(&[name]),
        };
        let samples = pooled.samples.map_or(String::new(), grouped);
        let samples = match pooled.unended {
            Some(unended) => Cell::Sure(samples, never(unended, pooled)),
            None => figure(samples),
        };
        let (runs, unit) = (figure(pooled.runs.to_string()), text(&*pooled.unit));
        let [p50, p90, p99, most] = ["p50", "p90", "p99", "max"].map(quantile);
        let (middle, end) = (cell(&["mean", "value"]), cell(&["final"]));
        table.row(&[head(&**key), unit, runs, samples, middle, p50, p90, p99, most, end]);
    }
    let note = match silent {
        0 => String::new(),
        silent => format!("<p class=\"note\">{} without samples.</p>\n", plural(silent, "metric")),
    };
    format!("<div class=\"filtered\">{}</div>{note}", table.finish())
}

/// Metrics that no one number sums up.
pub(super) fn modes(summary: &Summary) -> String {
    let columns = ["metric", "modes: share near the middle (lowest … highest)", "told apart by the kinds of runs"];
    let mut table = Table::new("Metrics of several modes", &columns, 15_000, "summary.json");
    for (key, pooled) in summary.across_runs.iter().filter(|(_, pooled)| pooled.modes.len() > 1) {
        let mode = |mode: &Mode| {
            let (low, middle, high) = (number(mode.low), number(mode.middle), number(mode.high));
            format!("{:.0} % near {middle} {} ({low} … {high})", mode.share, pooled.unit)
        };
        let modes = pooled.modes.iter().map(mode).collect::<Vec<_>>().join("; ");
        let explained = if pooled.explained_by_cases == Some(true) { "yes" } else { "no" };
        table.row(&[head(&**key), text(modes), text(explained)]);
    }
    if table.is_empty() { String::new() } else { table.finish() }
}

/// Why there are so many runs, if the scenario left that open.
pub(super) fn stopping(summary: &Summary) -> String {
    let Some(stopping) = &summary.stopping else { return String::new() };
    let (count, wanted) = (plural(summary.runs.len(), "seed"), number(stopping.half_width));
    let said = if stopping.known.iter().all(|known| known.seeds == 0) {
        format!("{count}, and no more: nothing was measured, as no seed exercises anything that is expected.")
    } else if stopping.reached {
        format!("{count} were enough: the 95 % interval of every mean reaches no further than {wanted} % of it.")
    } else {
        format!("{count}, as many as may be, were not enough for intervals of {wanted} % of every mean.")
    };
    let columns = ["expectation", "#seeds that exercise it", "#mean", "#half-width, % of the mean"];
    let mut table = Table::new("How well the means of what is expected are known", &columns, 10_000, "summary.json");
    let shown = |value: Option<f64>| figure(value.map_or("–".to_owned(), number));
    for known in &stopping.known {
        let seeds = figure(known.seeds.to_string());
        table.row(&[head(&*known.text), seeds, shown(known.mean), shown(known.half_width)]);
    }
    format!("<p>{said}</p>\n{}", if table.is_empty() { String::new() } else { table.finish() })
}

/// Every law, over all runs.
pub(super) fn laws(summary: &Summary) -> String {
    let columns = ["law", "#checks", "#violations", "first violation"];
    let mut table = Table::new("Laws watched, over all runs", &columns, 30_000, "summary.json");
    let mut laws: BTreeMap<&str, (u64, u64, Option<String>)> = BTreeMap::new();
    for run in &summary.runs {
        for law in &run.invariants {
            let all = laws.entry(&law.name).or_default();
            *all = (all.0 + law.checks, all.1 + law.violations, all.2.take());
            if all.2.is_none() {
                all.2 = law.first.as_ref().map(|first| format!("seed {}: {first}", run.seed));
            }
        }
    }
    for (name, (checks, violations, first)) in laws {
        let counts = [checks, violations].map(|count| figure(grouped(count)));
        let [checks, violations] = counts;
        table.row(&[head(name), checks, violations, text(first.unwrap_or_default())]);
    }
    table.finish()
}

/// The scenario as it was read, and what was changed in it.
pub(super) fn scenario(record: &Record) -> String {
    let summary = &record.summary;
    let mut out = String::new();
    if !summary.set.is_empty() {
        out.push_str("<p>Changed for these runs:</p><ul>");
        for edit in &summary.set {
            write!(out, "<li><code>--set {}</code></li>", escaped(edit)).expect("a string takes every character");
        }
        out.push_str("</ul>\n");
    }
    let Some(scenario) = &record.scenario else { return out };
    let whole = escaped(scenario);
    let end = if whole.len() <= SCENARIO_MAX {
        whole.len()
    } else {
        whole[..floor(&whole, SCENARIO_MAX)].rfind('\n').unwrap_or(0)
    };
    let cut = if end < whole.len() { "<p class=\"note\">The rest is in scenario.ron.</p>" } else { "" };
    writeln!(out, "<pre tabindex=\"0\"><code>{}</code></pre>{cut}", &whole[..end])
        .expect("a string takes every character");
    out
}

/// Bytes of the scenario that are shown.
const SCENARIO_MAX: usize = 100_000;

/// The last boundary of a character up to here.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A drawn chart, with a name for those who do not see it.
pub(super) fn drawn(svg: &str, name: &str) -> String {
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(name)), 1);
    // What plotters writes and browsers assume anyway.
    let svg = svg.replace(" opacity=\"1\"", "").replace(" stroke=\"none\"", "").replace(">\n", ">").replace("\n<", "<");
    format!("<div class=\"scroll drawn\" tabindex=\"0\">{svg}</div>\n")
}

/// Minutes and seconds, with hours if there are any.
pub(super) fn instant(seconds: f64) -> String {
    let tenths = libm::rint(seconds * 10.0).max(0.0) as u64;
    let (whole, part) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    let part = if part == 0 { String::new() } else { format!(".{part}") };
    if hours == 0 {
        format!("{minutes}:{seconds:02}{part}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}{part}")
    }
}
