//! What a result folder holds, read back: all that the page is made of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::analysis::summary::Summary;
use crate::analysis::summary::read::{FILE as SUMMARY, Writer, parse};
use crate::analysis::summary::sensitivity::{self, FILE as SENSITIVITY, Sensitivity};
use crate::base::ordered::{OrdMap, OrdSet};
use crate::report::page::PageError;

/// Everything the page tells.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) summary: Summary,
    /// The scenario as it was read, if it was kept.
    pub(super) scenario: Option<String>,
    /// What a sensitivity analysis of the scenario found, if it was given.
    pub(super) sensitivity: Option<Sensitivity>,
    pub(super) timeline: Vec<Entry>,
    pub(super) machines: Vec<Machine>,
    /// Regions and groups, `<job>.<group>`, of the allocations.
    pub(super) groups: Vec<(String, String)>,
    /// The runs that are shown one by one: the first, and the first of every other case.
    pub(super) shown: Vec<Shown>,
    /// The SVG files, by name without `.svg`.
    pub(super) charts: BTreeMap<String, String>,
}

/// A run that is shown.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its place in the summary.
    pub(super) position: usize,
    pub(super) seed: u64,
    pub(super) series: Vec<Series>,
    pub(super) allocs: Vec<Alloc>,
}

/// A series of a run.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// Start of a bucket in seconds, and its value.
    pub(super) values: Vec<(f64, f64)>,
}

/// A row of `timeline.csv`.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) from_s: f64,
    pub(super) until_s: f64,
    pub(super) what: String,
}

/// A row of `machines.csv`.
#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    #[serde(rename = "machine")]
    pub(super) name: String,
    pub(super) region: String,
    pub(super) zone: String,
    pub(super) role: String,
    pub(super) instance: String,
    pub(super) cpu_mhz: Option<u64>,
    pub(super) memory_mib: Option<u64>,
}

/// A row of `placements.csv`, as far as it is needed. There may be millions, so that names stand as places in lists.
#[derive(Debug)]
pub(super) struct Alloc {
    /// In [`Record::groups`].
    pub(super) group: usize,
    /// In [`Record::machines`], if a client of its machine's name is there.
    pub(super) machine: Option<usize>,
    pub(super) cpu_mhz: u64,
    pub(super) memory_mib: u64,
    pub(super) placed_s: f64,
    pub(super) ended_s: Option<f64>,
}

impl Alloc {
    /// Whether it holds its resources at an instant; at that of its end it no longer does.
    pub(super) fn holds(&self, at_s: f64) -> bool {
        self.placed_s < at_s && self.ended_s.is_none_or(|ended| ended >= at_s)
    }
}

/// An [`Alloc`] as it is written.
#[derive(Debug, Deserialize)]
struct Placement<'a> {
    seed: u64,
    region: &'a str,
    /// `<job>.<group>[<index>]`.
    name: &'a str,
    machine: &'a str,
    cpu_mhz: u64,
    memory_mib: u64,
    placed_s: f64,
    ended_s: Option<f64>,
}

/// A row of `series.csv`.
#[derive(Debug, Deserialize)]
struct Point {
    seed: u64,
    series: String,
    from_s: f64,
    value: f64,
}

impl Record {
    /// Reads the files of a folder.
    pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<Self, PageError> {
        let summary = summary(files)?;
        let mut shown = shown(&summary);
        values(files, &mut shown)?;
        let (mut timeline, mut machines) = (Vec::new(), Vec::new());
        rows(files, MACHINES, |machine: Machine| {
            machines.push(machine);
            Ok(())
        })?;
        let groups = allocs(files, &summary, &machines, &mut shown)?;
        rows(files, TIMELINE, |entry: Entry| {
            timeline.push(entry);
            Ok(())
        })?;
        let scenario = has(files, SCENARIO).then(|| text(files, SCENARIO).map(str::to_owned)).transpose()?;
        let sensitivity = has(files, SENSITIVITY).then(|| sensitivity(files, &summary)).transpose()?;
        Ok(Self { scenario, sensitivity, timeline, machines, groups, charts: charts(files)?, shown, summary })
    }

    /// Length of the runs in seconds; zero without any.
    pub(super) fn end_s(&self) -> f64 {
        self.summary.runs.first().map_or(0.0, |run| run.simulated_s)
    }

    /// Length of the warm-up in seconds.
    pub(super) fn warmup_s(&self) -> f64 {
        self.timeline.iter().find(|entry| entry.kind == "warm-up").map_or(0.0, |entry| entry.until_s)
    }

    /// Faults of the timeline.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Entry> {
        self.timeline.iter().filter(|entry| entry.kind == "fault")
    }
}

/// The files, by name.
const SERIES: &str = "series.csv";
const PLACEMENTS: &str = "placements.csv";
const TIMELINE: &str = "timeline.csv";
const MACHINES: &str = "machines.csv";
const SCENARIO: &str = "scenario.ron";

fn has(files: &[(String, Vec<u8>)], name: &str) -> bool {
    files.iter().any(|(known, _)| known == name)
}

fn text<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> Result<&'a str, PageError> {
    let found = files.iter().find(|(known, _)| known == name);
    let (_, bytes) = found.ok_or_else(|| PageError::Missing { file: name.to_owned() })?;
    std::str::from_utf8(bytes).map_err(|error| damaged(name, &error))
}

fn damaged(file: &str, reason: &dyn std::fmt::Display) -> PageError {
    PageError::Damaged { file: file.to_owned(), reason: reason.to_string() }
}

fn unknown(seed: u64) -> String {
    format!("it has rows of seed {seed}, which `{SUMMARY}` has not")
}

/// The summary of a folder.
pub(super) fn summary(files: &[(String, Vec<u8>)]) -> Result<Summary, PageError> {
    Ok(parse(text(files, SUMMARY)?, Writer::This)?)
}

/// The sensitivity analysis of a folder, which has to be of the same scenario.
fn sensitivity(files: &[(String, Vec<u8>)], summary: &Summary) -> Result<Sensitivity, PageError> {
    let found = sensitivity::parse(text(files, SENSITIVITY)?).map_err(PageError::Sensitivity)?;
    found.check(&summary.scenario_digest).map_err(PageError::Apart)?;
    Ok(found)
}

/// The first run and the first of every other case, in seed order.
fn shown(summary: &Summary) -> Vec<Shown> {
    let mut seeds: Vec<u64> = summary.cases.iter().filter_map(|case| case.seeds.first().copied()).collect();
    seeds.extend(summary.runs.first().map(|run| run.seed));
    let run = |(position, seed)| Shown { position, seed, series: Vec::new(), allocs: Vec::new() };
    let all = summary.runs.iter().map(|run| run.seed).enumerate();
    all.filter(|(_, seed)| seeds.contains(seed)).map(run).collect()
}

/// Reads the series of the runs that are shown.
fn values(files: &[(String, Vec<u8>)], shown: &mut [Shown]) -> Result<(), PageError> {
    rows(files, SERIES, |point: Point| {
        if !point.value.is_finite() || !point.from_s.is_finite() {
            return Err("it has a value that is no number".to_owned());
        }
        let Some(run) = shown.iter_mut().find(|run| run.seed == point.seed) else { return Ok(()) };
        let value = (point.from_s, point.value);
        match run.series.last_mut().filter(|series| series.name == point.series) {
            Some(series) => series.values.push(value),
            None => run.series.push(Series { name: point.series, values: vec![value] }),
        }
        Ok(())
    })
}

/// Reads the allocations of the runs that are shown; gives the groups they are of.
fn allocs(
    files: &[(String, Vec<u8>)],
    summary: &Summary,
    machines: &[Machine],
    shown: &mut [Shown],
) -> Result<Vec<(String, String)>, PageError> {
    let bad = |reason: &dyn std::fmt::Display| damaged(PLACEMENTS, reason);
    let runs: OrdMap<u64, usize> = shown.iter().enumerate().map(|(at, run)| (run.seed, at)).collect();
    let known: OrdSet<u64> = summary.runs.iter().map(|run| run.seed).collect();
    let clients = machines.iter().enumerate().filter(|(_, machine)| machine.role == "client");
    let clients: OrdMap<&str, usize> = clients.map(|(at, machine)| (&*machine.name, at)).collect();
    let mut groups = Vec::new();
    let mut places: OrdMap<String, OrdMap<String, usize>> = OrdMap::new();
    let mut reader = csv::Reader::from_reader(text(files, PLACEMENTS)?.as_bytes());
    let header = reader.headers().map_err(|error| bad(&error))?.clone();
    let mut cells = csv::StringRecord::new();
    while reader.read_record(&mut cells).map_err(|error| bad(&error))? {
        let row: Placement<'_> = cells.deserialize(Some(&header)).map_err(|error| bad(&error))?;
        let Some(&run) = runs.get(&row.seed) else {
            if known.contains(&row.seed) {
                continue;
            }
            return Err(bad(&unknown(row.seed)));
        };
        let name = row.name.rsplit_once('[').map_or(row.name, |(group, _)| group);
        let place = places.get(row.region).and_then(|of_region| of_region.get(name)).copied();
        let group = place.unwrap_or_else(|| {
            let next = groups.len();
            groups.push((row.region.to_owned(), name.to_owned()));
            places.entry(row.region.to_owned()).or_default().insert(name.to_owned(), next);
            next
        });
        let machine = clients.get(row.machine).copied();
        let Placement { cpu_mhz, memory_mib, placed_s, ended_s, .. } = row;
        shown[run].allocs.push(Alloc { group, machine, cpu_mhz, memory_mib, placed_s, ended_s });
    }
    Ok(groups)
}

/// Calls `take` with every row of a table.
fn rows<T: DeserializeOwned>(
    files: &[(String, Vec<u8>)],
    name: &str,
    mut take: impl FnMut(T) -> Result<(), String>,
) -> Result<(), PageError> {
    let mut reader = csv::Reader::from_reader(text(files, name)?.as_bytes());
    for row in reader.deserialize() {
        let row = row.map_err(|error| damaged(name, &error))?;
        take(row).map_err(|reason| damaged(name, &reason))?;
    }
    Ok(())
}

/// The SVG files. They become part of the page, so they have to be what cossim draws: shapes and words.
fn charts(files: &[(String, Vec<u8>)]) -> Result<BTreeMap<String, String>, PageError> {
    let mut charts = BTreeMap::new();
    for (name, _) in files {
        let Some(stem) = name.strip_suffix(".svg") else { continue };
        let svg = text(files, name)?.trim();
        let mut tags = svg.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or(rest));
        let drawn = ["svg", "rect", "text", "polyline", "polygon", "circle", "line", "path"];
        let plain = |tag: &str| {
            let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or("");
            drawn.contains(&name) && !tag.contains(" on")
        };
        if !svg.starts_with("<svg ") || !svg.ends_with("</svg>") || !tags.all(plain) {
            return Err(damaged(name, &"it is no chart of cossim's"));
        }
        charts.insert(stem.to_owned(), svg.to_owned());
    }
    Ok(charts)
}
