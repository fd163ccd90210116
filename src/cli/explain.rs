//! `cossim explain`: one decision of a finished run. The report says which run it was; the run is repeated up to the
//! decision, and checked against what the report says came of it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::Exit;
use super::Explain;
use super::interrupt;
use super::output::Output;
use super::run::load;
use crate::analysis::explain::{Story, Subject, explain};
use crate::analysis::run::RunError;
use crate::base::id::Id as _;
use crate::model::alloc::AllocId;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::report::explain::Account;
use crate::scenario::suggest;
use crate::world::event::Instance;
use crate::world::spec::{Action, WorldSpec};

/// What stands in the way of an explanation.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    /// Nothing readable of ours is there.
    #[error("error[E092]: `{}` is no report of cossim's: {reason}\nhint: name the folder of a finished run with `--report`", path.display())]
    NoReport { path: PathBuf, reason: String },
    /// Another version may decide otherwise.
    #[error("error[E093]: `{}` was written by cossim {version}, and this is cossim {}\nhint: run the scenario again with this version", path.display(), env!("CARGO_PKG_VERSION"))]
    Version { path: PathBuf, version: String },
    /// The scenario is not what it was.
    #[error("error[E094]: `{}` is not the scenario of the report, or has changed since\nhint: run it again, or name the file with `--scenario`", path.display())]
    Changed { path: PathBuf },
    /// It has findings, which were said.
    #[error("hint: if `{}` has moved, name it with `--scenario`", path.display())]
    Scenario { path: PathBuf },
    /// No such seed, region or allocation.
    #[error("error[E095]: {what}\nhint: {hint}")]
    Unknown { what: String, hint: String },
}

/// What a report says of its runs.
struct Report {
    folder: PathBuf,
    file: PathBuf,
    edits: Vec<String>,
    scenario_digest: String,
    /// Seeds and digests.
    runs: Vec<(u64, String)>,
}

/// One row of `placements.csv`.
struct Row {
    region: String,
    alloc: String,
    name: String,
    machine: String,
    placed_s: f64,
}

pub(super) fn execute(wish: &Explain, output: &mut Output) -> Exit {
    interrupt::listen();
    match tell(wish, output) {
        Ok(exit) => exit,
        Err(obstacle) => {
            output.say(&obstacle.to_string());
            Exit::Wrong
        }
    }
}

fn tell(wish: &Explain, output: &mut Output) -> Result<Exit, Obstacle> {
    let report = Report::read(&wish.report.clone().map_or_else(only_report, Ok)?)?;
    let (seed, digest) = report.run(wish.seed)?;
    let path = wish.scenario.as_ref().unwrap_or(&report.file);
    let loaded = load(path, &report.edits, output).ok_or_else(|| Obstacle::Scenario { path: path.clone() })?;
    if loaded.digest != report.scenario_digest {
        return Err(Obstacle::Changed { path: path.clone() });
    }
    let spec = Arc::new(loaded.lowered.world);
    let rows = report.placements(*seed)?;
    let (subject, row) = find(wish, &spec, &rows)?;
    if std::io::stderr().is_terminal() {
        output.say(&format!("repeating seed {seed} up to the decision"));
    }
    let story = match explain(&spec, *seed, subject, &interrupt::requested) {
        Ok(story) => story,
        Err(RunError::Interrupted) => return Ok(Exit::Interrupted),
        Err(error) => return Ok(broken(&error.to_string(), output)),
    };
    let account = story.as_ref().and_then(Account::new);
    let Some((story, account)) = story.as_ref().zip(account) else {
        return match row {
            Some(row) => Ok(broken(&format!("`{}` of the report was not placed again", row.alloc), output)),
            None => Err(never_refused(&wish.name, &rows)),
        };
    };
    if let Some(difference) = difference(story, &account, row, digest) {
        return Ok(broken(&difference, output));
    }
    output.data(&if wish.json { account.json() } else { account.text() });
    Ok(Exit::Fine)
}

fn broken(what: &str, output: &mut Output) -> Exit {
    output.say(&format!("cossim broke its own promise: {what}\nplease report this with the scenario and the seed"));
    Exit::Broken
}

/// What came out otherwise than the report says.
fn difference(story: &Story, account: &Account, row: Option<&Row>, digest: &str) -> Option<String> {
    let again = story.digest.map(|digest| format!("{digest:016x}"));
    if let Some(again) = again.filter(|again| again != digest) {
        return Some(format!("the run came to digest {again} instead of {digest}"));
    }
    let (row, alloc) = (row?, account.alloc.as_ref()?);
    let same = row.machine == alloc.machine && (row.placed_s - alloc.placed_s).abs() < 1e-9;
    let (id, machine, placed) = (&row.alloc, &alloc.machine, alloc.placed_s);
    (!same).then(|| format!("{id} came to {machine} at {placed} s, instead of {} at {} s", row.machine, row.placed_s))
}

fn never_refused(name: &str, rows: &[Row]) -> Obstacle {
    let prefix = format!("{}[", name.split('[').next().unwrap_or(name));
    let mut names: Vec<&str> = rows.iter().map(|row| &*row.name).filter(|name| name.starts_with(&prefix)).collect();
    names.sort_unstable();
    names.dedup();
    let hint = if names.is_empty() {
        "it was never wanted in this run".to_owned()
    } else {
        format!("its allocations are {}", suggest::listed(names))
    };
    Obstacle::Unknown { what: format!("`{name}` was never refused a place in this run"), hint }
}

/// The only report in `reports/`.
fn only_report() -> Result<PathBuf, Obstacle> {
    let root = Path::new("reports");
    let entries = std::fs::read_dir(root).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut folders: Vec<PathBuf> = entries.unwrap_or_default();
    folders.retain(|folder| folder.join("summary.json").is_file());
    folders.sort();
    match folders.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Obstacle::NoReport { path: root.to_owned(), reason: "there is none in it".to_owned() }),
        several => {
            let names: Vec<String> = several.iter().map(|folder| folder.display().to_string()).collect();
            let reason = format!("there are several in it, {}", suggest::listed(names.iter().map(String::as_str)));
            Err(Obstacle::NoReport { path: root.to_owned(), reason })
        }
    }
}

impl Report {
    fn read(folder: &Path) -> Result<Self, Obstacle> {
        let refused = |reason: &dyn std::fmt::Display| Obstacle::NoReport {
            path: folder.to_owned(),
            reason: format!("`summary.json`: {reason}"),
        };
        let text = std::fs::read_to_string(folder.join("summary.json")).map_err(|error| refused(&error))?;
        let summary: Value = serde_json::from_str(&text).map_err(|error| refused(&error))?;
        let text = |key: &str| summary.get(key).and_then(Value::as_str);
        let version = text("cossim").ok_or_else(|| refused(&"it does not say which cossim wrote it"))?;
        if version != env!("CARGO_PKG_VERSION") {
            return Err(Obstacle::Version { path: folder.to_owned(), version: version.to_owned() });
        }
        let list = |key: &str| summary.get(key).and_then(Value::as_array).into_iter().flatten();
        let run = |run: &Value| Some((run.get("seed")?.as_u64()?, run.get("digest")?.as_str()?.to_owned()));
        let file = text("file").zip(text("scenario_digest"));
        let (file, scenario_digest) = file.ok_or_else(|| refused(&"it does not name its scenario"))?;
        Ok(Self {
            folder: folder.to_owned(),
            file: file.into(),
            edits: list("set").filter_map(|edit| Some(edit.as_str()?.to_owned())).collect(),
            scenario_digest: scenario_digest.to_owned(),
            runs: list("runs").filter_map(run).collect(),
        })
    }

    /// Seed and digest of the run that is meant.
    fn run(&self, seed: Option<u64>) -> Result<&(u64, String), Obstacle> {
        let found = self.runs.iter().find(|(of, _)| seed.is_none_or(|seed| seed == *of));
        found.ok_or_else(|| {
            let seeds: Vec<String> = self.runs.iter().map(|(seed, _)| seed.to_string()).collect();
            Obstacle::Unknown {
                what: format!("the report has no run of seed {}", seed.unwrap_or_default()),
                hint: format!("its seeds are {}", suggest::listed(seeds.iter().map(String::as_str))),
            }
        })
    }

    /// The rows of one run.
    fn placements(&self, seed: u64) -> Result<Vec<Row>, Obstacle> {
        let refused = |error: csv::Error| Obstacle::NoReport {
            path: self.folder.clone(),
            reason: format!("`placements.csv`: {error}"),
        };
        let mut reader = csv::Reader::from_path(self.folder.join("placements.csv")).map_err(refused)?;
        let headers = reader.headers().map_err(refused)?.clone();
        let column = |name: &str| headers.iter().position(|header| header == name).unwrap_or(usize::MAX);
        let [of, region, alloc, name, machine, placed] =
            ["seed", "region", "alloc", "name", "machine", "placed_s"].map(column);
        let mut rows = Vec::new();
        for record in reader.into_records() {
            let record = record.map_err(refused)?;
            let cell = |column: usize| record.get(column).unwrap_or_default().to_owned();
            if cell(of) == seed.to_string() {
                let placed_s = cell(placed).parse().unwrap_or(f64::NAN);
                let (region, alloc, name, machine) = (cell(region), cell(alloc), cell(name), cell(machine));
                rows.push(Row { region, alloc, name, machine, placed_s });
            }
        }
        Ok(rows)
    }
}

/// What is meant: an allocation of the report, with its row, or a group.
fn find<'r>(wish: &Explain, spec: &WorldSpec, rows: &'r [Row]) -> Result<(Subject, Option<&'r Row>), Obstacle> {
    let regions = || spec.regions.iter().map(|(_, region)| &*region.name);
    if let Some(unknown) = wish.region.as_deref().filter(|region| regions().all(|known| known != *region)) {
        let what = format!("there is no region `{unknown}`");
        return Err(Obstacle::Unknown { what, hint: suggest::hint(unknown, regions().collect::<Vec<_>>()) });
    }
    let here = |region: &str| wish.region.as_deref().is_none_or(|wanted| wanted == region);
    let number = |name: &str| RegionId::from_index(regions().position(|region| region == name).unwrap_or_default());
    let found: Vec<&Row> =
        rows.iter().filter(|row| here(&row.region) && (row.alloc == wish.name || row.name == wish.name)).collect();
    if let Some(last) = found.last() {
        only_region(&wish.name, found.iter().map(|row| &*row.region))?;
        let alloc = last.alloc.strip_prefix('a').and_then(|number| number.parse().ok());
        let alloc = alloc.ok_or_else(|| Obstacle::Unknown {
            what: format!("`placements.csv` has `{}` for an allocation's number", last.alloc),
            hint: "run the scenario again".to_owned(),
        })?;
        let instance = Instance { region: number(&last.region), alloc: AllocId(alloc) };
        return Ok((Subject::Placed(instance), Some(last)));
    }
    let group_name = wish.name.split('[').next().unwrap_or(&wish.name);
    let groups = groups(spec);
    let region_name = |region: RegionId| &*spec.regions[region].name;
    let wanted: Vec<&Known> =
        groups.iter().filter(|group| group.full == group_name && here(region_name(group.region))).collect();
    if let Some(group) = wanted.first() {
        only_region(&wish.name, wanted.iter().map(|group| region_name(group.region)))?;
        let (region, job, name) = (group.region, Arc::clone(&group.job), Arc::clone(&group.name));
        return Ok((Subject::Refused { region, job, group: name }, None));
    }
    let mut known: Vec<&str> =
        rows.iter().map(|row| &*row.name).chain(groups.iter().map(|group| &*group.full)).collect();
    known.sort_unstable();
    known.dedup();
    let what = format!("the run has no allocation or group `{}`", wish.name);
    Err(Obstacle::Unknown { what, hint: suggest::hint(&wish.name, known) })
}

/// One name may be used in several regions.
fn only_region<'a>(name: &str, mut regions: impl Iterator<Item = &'a str>) -> Result<(), Obstacle> {
    let Some(first) = regions.next() else { return Ok(()) };
    regions.find(|region| *region != first).map_or(Ok(()), |other| {
        let what = format!("`{name}` is in several regions, `{first}` and `{other}` among them");
        Err(Obstacle::Unknown { what, hint: "choose one with `--region`".to_owned() })
    })
}

/// A group of a job.
struct Known {
    region: RegionId,
    job: Arc<str>,
    name: Arc<str>,
    /// `<job>.<group>`.
    full: String,
}

/// Groups the scenario registers, at the start or later.
fn groups(spec: &WorldSpec) -> Vec<Known> {
    let first = spec.jobs.iter().map(|(_, job)| (job.region, &job.job));
    let later = spec.timeline.iter().filter_map(|(_, entry)| match &entry.action {
        Action::RegisterJob { region, job } => Some((*region, job)),
        _ => None,
    });
    let group = |(region, job): (RegionId, &Arc<Job>)| {
        let job = Arc::clone(job);
        (0..job.groups.len()).map(move |at| {
            let name = Arc::clone(&job.groups[at].name);
            Known { region, full: format!("{}.{name}", job.name), job: Arc::clone(&job.name), name }
        })
    };
    first.chain(later).flat_map(group).collect()
}
