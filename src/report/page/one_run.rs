//! What one run did: its charts, what its zones held, where its work stood, and what found no place.

use std::fmt::Write as _;

use crate::analysis::summary::Run;
use crate::base::ordered::OrdSet;
use crate::report::escape::escaped;
use crate::report::page::held::{Ground, Placed, Shares, Stand, percent};
use crate::report::page::markup::{Cell, Table, figure, head, text};
use crate::report::page::overall::{drawn, instant};
use crate::report::page::record::{Record, Shown};
use crate::report::text::{grouped, number, plural};
use crate::report::unplaced::reasons;

/// Most machines that are listed one by one.
const MACHINES_MAX: usize = 400;
/// Most machines that are drawn.
const CELLS_MAX: usize = 4_000;

/// Everything about one run. `brief` leaves out the machines, which take most room.
pub(super) fn section(record: &Record, shown: &Shown, ground: &Ground, shares: &Shares, brief: bool) -> String {
    let run = &record.summary.runs[shown.position];
    let kind = if run.case.is_empty() { String::new() } else { format!(": {}", run.case) };
    let mut out = format!(
        "<section class=\"run\" id=\"seed-{0}\" data-seed=\"{0}\"><h3>Seed {0}{1}</h3>\n",
        run.seed,
        escaped(&kind)
    );
    let of = format!("seed {}", run.seed);
    let charts = [
        ("requests", "requests", "Good and failed requests per second over the run and around the first fault"),
        ("latency", "latency", "Latency of good requests over the run and around the first fault"),
        ("leadership", "", "Who led each control plane, and when nobody did"),
        ("zones", "zones", "Allocations by zone over the run"),
    ];
    for (name, live, about) in charts {
        let file = if shown.position == 0 { name.to_owned() } else { format!("{name}-seed-{}", run.seed) };
        let Some(svg) = record.charts.get(&file) else { continue };
        let drawn = drawn(svg, &format!("{about}, {of}"));
        writeln!(out, "<div class=\"plot\" data-of=\"{live}\">{drawn}</div>").expect("a string takes every character");
    }
    out.push_str(&utilisation(record, ground, shares));
    let moments = moments(record);
    let stands: Vec<Stand> = moments.iter().map(|(_, at)| ground.stand(shown, *at)).collect();
    out.push_str(&matrix(ground, &moments, &stands));
    out.push_str(&cells(ground, &moments, &stands));
    if !brief {
        out.push_str(&machines(ground, &moments, &stands));
    }
    out.push_str(&unplaced(run));
    out.push_str("</section>\n");
    out
}

/// The instants at which placement is shown: before the first fault (without any, before the first thing operators do),
/// at its end, at the end of the run.
fn moments(record: &Record) -> Vec<(String, f64)> {
    let end = record.end_s();
    let mut moments = Vec::new();
    let operator = record.timeline.iter().find(|entry| entry.kind == "operator");
    if let Some(first) = record.faults().next().or(operator) {
        let what = if first.kind == "fault" { "fault" } else { "order" };
        moments.push((format!("{}, before the first {what}", instant(first.from_s)), first.from_s));
        if first.from_s < first.until_s && first.until_s < end {
            moments.push((format!("{}, as it ends", instant(first.until_s)), first.until_s));
        }
    }
    moments.push((format!("{}, the end", instant(end)), end));
    moments
}

/// What each zone gave away, as figures and as a line that needs no script.
fn utilisation(record: &Record, ground: &Ground, shares: &Shares) -> String {
    let columns =
        ["zone", "#machines", "resource", "#to give", "#mean, %", "#most, %", "#at the end, %", "over the run"];
    let caption = format!(
        "What allocations hold of each zone, looked at every {} s; means after the warm-up",
        number(shares.step_s)
    );
    let mut table = Table::new(&caption, &columns, 40_000, "placements.csv");
    let warm = libm::ceil(record.warmup_s() / shares.step_s) as usize;
    for (zone, values) in ground.zones.iter().zip(&shares.values) {
        let amounts = [("processor", "GHz"), ("memory", "GiB")];
        for (at, ((resource, unit), values)) in amounts.into_iter().zip(values).enumerate() {
            let (share, class) = if at == 0 { (1_000.0, "first") } else { (1_024.0, "") };
            let room = format!("{} {unit}", number(zone.room[at] as f64 / share));
            let after = values.get(warm.saturating_sub(1).min(values.len())..).unwrap_or_default();
            let mean = after.iter().sum::<f64>() / after.len().max(1) as f64;
            let most = values.iter().copied().fold(0.0, f64::max);
            let last = values.last().copied().unwrap_or(0.0);
            let heat = |value: f64| Cell::Heat(format!("{value:.1}"), value / 100.0);
            let (name, machines) = (head(&*zone.name), figure(zone.machines.to_string()));
            let line = Cell::Markup(sparkline(values));
            table.classed(
                class,
                &[name, machines, text(resource), figure(room), heat(mean), heat(most), heat(last), line],
            );
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!("<div class=\"plot\" data-of=\"cpu memory\"><h4>Utilisation by zone</h4>{}</div>\n", table.finish())
}

/// Percent over time, from 0 to 100.
fn sparkline(values: &[f64]) -> String {
    let x = |at: usize| at as f64 * 160.0 / values.len().max(2) as f64;
    let (mut path, mut last) = (String::from("M0 30"), f64::NAN);
    for (at, value) in values.iter().enumerate() {
        let y = 30.0 - 0.29 * value.min(100.0);
        // A line that does not move needs no point.
        if libm::fabs(y - last) > 0.05 || last.is_nan() {
            write!(path, "H{:.1}V{y:.1}", x(at)).expect("a string takes every character");
            last = y;
        }
    }
    format!("<svg class=\"spark\" viewBox=\"0 0 160 31\" aria-hidden=\"true\"><path d=\"{path}H160\"/></svg>")
}

/// Groups by zones, at each of the moments.
fn matrix(ground: &Ground, moments: &[(String, f64)], stands: &[Stand]) -> String {
    let mut out = String::new();
    let nowhere = Placed::default();
    let regions: OrdSet<&str> = ground.zones.iter().map(|zone| &*zone.region).collect();
    for region in regions {
        let zones: Vec<usize> = (0..ground.zones.len()).filter(|&zone| ground.zones[zone].region == region).collect();
        let mut columns = vec!["job and group".to_owned(), "when".to_owned()];
        columns.extend(zones.iter().map(|&zone| format!("#zone {}", ground.zones[zone].short)));
        columns.extend(["#all", "#machines", "#most on one machine"].map(str::to_owned));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut table = Table::new(&format!("Allocations by zone in {region}"), &columns, 40_000, "placements.csv");
        let groups: OrdSet<&(String, String)> =
            stands.iter().flat_map(|stand| stand.groups.keys().copied()).filter(|(of, _)| of == region).collect();
        for group in groups {
            for (at, ((when, _), stand)) in moments.iter().zip(stands).enumerate() {
                let placed = stand.groups.get(group).unwrap_or(&nowhere);
                let count = |zone: usize| placed.by_zone.get(zone).copied().unwrap_or_default();
                let all: u32 = zones.iter().map(|&zone| count(zone)).sum();
                let heat = |&zone: &usize| {
                    let share = percent(count(zone).into(), all.into()) / 100.0;
                    Cell::Heat(grouped(count(zone).into()), share)
                };
                let machines = placed.by_machine.len();
                let most = placed.by_machine.values().copied().max().unwrap_or_default();
                let mut row = vec![head(&*group.1), text(&**when)];
                row.extend(zones.iter().map(heat));
                row.extend([u64::from(all), machines as u64, most.into()].map(|count| figure(grouped(count))));
                table.classed(if at == 0 { "first" } else { "" }, &row);
            }
        }
        if !table.is_empty() {
            out.push_str(&table.finish());
        }
    }
    if out.is_empty() { out } else { format!("<h4>Placement by zone</h4>\n{out}") }
}

/// A square for every machine, the fuller the darker.
fn cells(ground: &Ground, moments: &[(String, f64)], stands: &[Stand]) -> String {
    if ground.clients.is_empty() || ground.clients.len() > CELLS_MAX {
        return String::new();
    }
    let side = 12;
    let mut out = String::from("<h4>Processor held, machine by machine</h4>\n<div class=\"maps\">");
    for ((when, _), stand) in moments.iter().zip(stands) {
        write!(out, "<figure class=\"map\"><figcaption>{}</figcaption>", escaped(when)).expect(TAKES);
        for (zone, of) in ground.zones.iter().enumerate() {
            let members = (0..ground.clients.len()).filter(|&client| ground.clients[client].0 == zone);
            let mut levels = vec![String::new(); 9];
            let mut count: usize = 0;
            for client in members {
                let room = ground.clients[client].1.cpu_mhz.unwrap_or_default();
                let share = percent(stand.held[client][0], room) / 100.0;
                let level = libm::rint(share.clamp(0.0, 1.0) * 8.0) as usize;
                let (x, y) = (count % 24 * side, count / 24 * side);
                write!(levels[level], "M{x} {y}h10v10h-10z").expect(TAKES);
                count += 1;
            }
            let high = (count.div_ceil(24).max(1)) * side;
            let name = format!("{}: {}", of.name, plural(count, "machine"));
            write!(
                out,
                "<p>{}</p><svg viewBox=\"-1 -1 {} {}\" role=\"img\" aria-label=\"{}\">",
                escaped(&of.name),
                24 * side + 1,
                high + 1,
                escaped(&name)
            )
            .expect(TAKES);
            for (level, path) in levels.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
                write!(out, "<path class=\"h{level}\" d=\"{path}\"/>").expect(TAKES);
            }
            out.push_str("</svg>");
        }
        out.push_str("</figure>");
    }
    out.push_str("</div>\n<p class=\"scale\" aria-hidden=\"true\">0 %");
    (0..9).for_each(|level| write!(out, "<span class=\"h{level}\"></span>").expect(TAKES));
    out.push_str("100 %</p>\n");
    out
}

/// Machines by groups, as figures.
fn machines(ground: &Ground, moments: &[(String, f64)], stands: &[Stand]) -> String {
    let Some(last) = stands.last() else { return String::new() };
    let mut groups: Vec<&(String, String)> = stands.iter().flat_map(|stand| stand.groups.keys().copied()).collect();
    groups.sort_unstable();
    groups.dedup();
    let short = |when: &str| when.split(',').next().unwrap_or(when).to_owned();
    let mut columns = vec!["machine".to_owned(), "zone".to_owned(), "instance".to_owned()];
    columns.extend(moments.iter().map(|(when, _)| format!("#processor, % at {}", short(when))));
    columns.push("allocations at the end".to_owned());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new("Client machines", &columns, 60_000, "placements.csv and machines.csv");
    for (client, (zone, machine)) in ground.clients.iter().enumerate().take(MACHINES_MAX) {
        let here = groups.iter().filter_map(|&group| {
            let count = last.groups.get(group)?.by_machine.get(&client)?;
            Some(format!("{} {}", grouped((*count).into()), group.1))
        });
        let here = here.collect::<Vec<_>>().join(", ");
        let mut row = vec![head(&*machine.name), text(&*ground.zones[*zone].short), text(&*machine.instance)];
        row.extend(stands.iter().map(|stand| {
            let share = percent(stand.held[client][0], machine.cpu_mhz.unwrap_or_default());
            Cell::Heat(format!("{share:.0}"), share / 100.0)
        }));
        row.push(text(here));
        table.row(&row);
    }
    let more = ground.clients.len().saturating_sub(MACHINES_MAX);
    let note = if more == 0 {
        String::new()
    } else {
        format!("<p class=\"note\">{more} more machines are in machines.csv.</p>")
    };
    format!("<details><summary>Machines and what stands on them</summary>{}{note}</details>\n", table.finish())
}

/// Work that found no place, and why.
fn unplaced(run: &Run) -> String {
    let mut out = String::from("<h4>Work without a place</h4>\n");
    if run.unplaced.is_empty() {
        out.push_str("<p>Every evaluation placed all that was wanted.</p>\n");
        return out;
    }
    let columns = [
        "job and group",
        "region",
        "#still wanted at the end",
        "#evaluations",
        "#first",
        "#last",
        "nodes looked at, the last time",
        "why they could not take it",
    ];
    let mut table = Table::new("Groups that evaluations left short", &columns, 40_000, "summary.json");
    for group in &run.unplaced {
        let name = format!("{}.{}", group.job, group.group);
        let counts = [group.queued, group.evaluations].map(|count| figure(grouped(count.into())));
        let [queued, evaluations] = counts;
        let times = [group.first_s, group.last_s].map(|at| figure(instant(at)));
        let [first, last] = times;
        let refusals = &group.refusals;
        let seen = if group.plans_rejected.is_some() && refusals.evaluated == 0 {
            "nodes were chosen".to_owned()
        } else {
            let (ruled_out, full) = (refusals.filtered, refusals.exhausted);
            format!("{} looked at, {ruled_out} ruled out, {full} without room", refusals.evaluated)
        };
        let why = reasons(refusals, group.plans_rejected.unwrap_or(0), &group.plan_rejections);
        let row = [head(name), text(&*group.region), queued, evaluations, first, last, text(seen), text(why)];
        table.row(&row);
    }
    out + &table.finish()
}

const TAKES: &str = "a string takes every character";
