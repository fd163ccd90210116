//! `cossim explain`: one decision of a finished run. The report says which run it was; the run is repeated up to the
//! decision, and checked against what the report says came of it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Exit;
use super::Explain;
use super::interrupt;
use super::output::Output;
use super::run::load;
use crate::analysis::explain::{Subject, digest, explain};
use crate::analysis::run::RunError;
use crate::analysis::summary::read::{Flaw, Writer, read};
use crate::base::id::Id as _;
use crate::model::alloc::AllocId;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::report::explain::Account;
use crate::scenario::suggest;
use crate::world::event::Instance;
use crate::world::naming::is_of;
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
    /// Somebody changed a file of it.
    #[error("error[E096]: `{}` is not what its run wrote: {what}\nhint: run the scenario again", path.display())]
    Edited { path: PathBuf, what: String },
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
    /// Seeds and groups that were left short in them, children of jobs among them.
    short: Vec<(u64, String)>,
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
    let short = report.short.iter().filter(|(of, _)| of == seed).map(|(_, name)| &**name).collect::<Vec<_>>();
    let (subject, row) = find(wish, &spec, &rows, &short)?;
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
            Some(row) => whose_fault(&report, (&spec, *seed, digest), row.alloc.clone() + " was not placed", output),
            None => Err(never_refused(&wish.name, &rows)),
        };
    };
    if let Some(again) = story.digest.map(|digest| format!("{digest:016x}")).filter(|again| again != digest) {
        return Ok(broken(&differs(&again, digest), output));
    }
    if let Some(difference) = difference(&account, row) {
        return whose_fault(&report, (&spec, *seed, digest), difference, output);
    }
    output.data(&if wish.json { account.json() } else { account.text() });
    Ok(Exit::Fine)
}

fn broken(what: &str, output: &mut Output) -> Exit {
    output.say(&format!("cossim broke its own promise: {what}\nplease report this with the scenario and the seed"));
    Exit::Broken
}

/// The report and the repeated run disagree: if the whole run comes to the digest of the report, somebody edited the
/// report, and else the promise is ours.
fn whose_fault(
    report: &Report,
    (spec, seed, told): (&Arc<WorldSpec>, u64, &str),
    difference: String,
    output: &mut Output,
) -> Result<Exit, Obstacle> {
    match digest(spec, seed, &interrupt::requested).map(|digest| format!("{digest:016x}")) {
        Ok(again) if again == told => {
            Err(Obstacle::Edited { path: report.folder.join("placements.csv"), what: difference })
        }
        Ok(again) => Ok(broken(&differs(&again, told), output)),
        Err(RunError::Interrupted) => Ok(Exit::Interrupted),
        Err(error) => Ok(broken(&error.to_string(), output)),
    }
}

fn differs(again: &str, told: &str) -> String {
    format!("the run came to digest {again} instead of {told}")
}

/// What came out otherwise than a row says.
fn difference(account: &Account, row: Option<&Row>) -> Option<String> {
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
        "it was not wanted in this run, or no evaluation of it had ended".to_owned()
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
        let path = folder.to_owned();
        let summary = read(folder, Writer::This).map_err(|error| match error.flaw {
            Flaw::Version { found } => Obstacle::Version { path, version: found },
            Flaw::Edited(difference) => Obstacle::Edited { path: error.path, what: difference.to_string() },
            flaw => {
                let file = error.path.file_name().map_or("".into(), std::ffi::OsStr::to_string_lossy);
                Obstacle::NoReport { path, reason: format!("`{file}` {flaw}") }
            }
        })?;
        let short = summary
            .runs
            .iter()
            .flat_map(|run| run.unplaced.iter().map(|group| (run.seed, format!("{}.{}", group.job, group.group))));
        Ok(Self {
            short: short.collect(),
            folder: folder.to_owned(),
            file: summary.file.into(),
            edits: summary.set,
            scenario_digest: summary.scenario_digest,
            runs: summary.runs.into_iter().map(|run| (run.seed, run.digest)).collect(),
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
fn find<'r>(
    wish: &Explain,
    spec: &WorldSpec,
    rows: &'r [Row],
    short: &[&str],
) -> Result<(Subject, Option<&'r Row>), Obstacle> {
    let regions = || spec.regions.iter().map(|(_, region)| &*region.name);
    if let Some(unknown) = wish.region.as_deref().filter(|region| regions().all(|known| known != *region)) {
        let what = format!("there is no region `{unknown}`");
        return Err(Obstacle::Unknown { what, hint: suggest::hint(unknown, regions().collect::<Vec<_>>()) });
    }
    let here = |region: &str| wish.region.as_deref().is_none_or(|wanted| wanted == region);
    let number = |name: &str| RegionId::from_index(regions().position(|region| region == name).unwrap_or_default());
    let groups = groups(spec);
    let is_meant = |row: &&Row| {
        let child = || groups.iter().any(|group| group.has_child(&row.name, &wish.name));
        here(&row.region) && (row.alloc == wish.name || row.name == wish.name || child())
    };
    let found: Vec<&Row> = rows.iter().filter(is_meant).collect();
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
    if let Some((group, number)) = wish.name.split_once('[') {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !number.strip_suffix(']').is_some_and(is_number) {
            let what = format!("`{}` is the name of no allocation: a number and `]` follow the `[`", wish.name);
            return Err(Obstacle::Unknown { what, hint: format!("as in `{group}[0]`; `{group}` alone is the group") });
        }
    }
    let group_name = wish.name.split('[').next().unwrap_or(&wish.name);
    let region_name = |region: RegionId| &*spec.regions[region].name;
    let is_meant = |group: &&Known| group.full == group_name || group.child(group_name).is_some();
    let wanted: Vec<&Known> = groups.iter().filter(is_meant).filter(|group| here(region_name(group.region))).collect();
    if let Some(group) = wanted.first() {
        only_region(&wish.name, wanted.iter().map(|group| region_name(group.region)))?;
        never_given_out(wish, &wanted, spec)?;
        let job = group.child(group_name).map_or_else(|| Arc::clone(&group.job), Arc::from);
        let (region, name) = (group.region, Arc::clone(&group.name));
        return Ok((Subject::Refused { region, job, group: name }, None));
    }
    let mut known: Vec<&str> =
        rows.iter().map(|row| &*row.name).chain(groups.iter().map(|group| &*group.full)).collect();
    known.extend(short);
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
    /// Instances as registered; one for each node of a system job has the number 0.
    count: u32,
}

impl Known {
    /// The name of a child, if this is a group of one: `etl/periodic-1704067260` of `etl/periodic-1704067260.work`.
    fn child<'a>(&self, name: &'a str) -> Option<&'a str> {
        let child = name.strip_suffix(&*self.name)?.strip_suffix('.')?;
        (child != &*self.job && is_of(child, &self.job)).then_some(child)
    }

    /// Whether an allocation of a child is meant by the name it would have in the parent.
    fn has_child(&self, alloc: &str, wish: &str) -> bool {
        let number = wish.strip_prefix(&*self.full).filter(|number| number.starts_with('['));
        number.and_then(|number| alloc.strip_suffix(number)).is_some_and(|name| self.child(name).is_some())
    }
}

/// A number that the group never had enough instances for is a mistake; one that it had was refused, or may have been.
fn never_given_out(wish: &Explain, groups: &[&Known], spec: &WorldSpec) -> Result<(), Obstacle> {
    let Some((group, number)) = wish.name.split_once('[') else { return Ok(()) };
    let number = number.strip_suffix(']').and_then(|number| number.parse::<u32>().ok());
    let scaled = spec.timeline.iter().filter_map(|(_, entry)| match &entry.action {
        Action::ScaleJob { region, job, group, count } => Some((region, job, group, *count)),
        _ => None,
    });
    let scaled = scaled.filter(|(region, job, group, _)| {
        groups.iter().any(|known| (known.region, &known.job, &known.name) == (**region, *job, *group))
    });
    let most = groups.iter().map(|known| known.count).chain(scaled.map(|(.., count)| count)).max().unwrap_or(0);
    if number.is_some_and(|number| number < most) {
        return Ok(());
    }
    let what = format!("`{}` was never given out: `{group}` has {most} instances at most", wish.name);
    let hint = match most {
        0 => "it is never wanted in this scenario".to_owned(),
        most => format!("its numbers are 0 to {}, as `{group}[0]`", most - 1),
    };
    Err(Obstacle::Unknown { what, hint })
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
            let group = &job.groups[at];
            let (name, count) = (Arc::clone(&group.name), group.count);
            Known { region, full: format!("{}.{name}", job.name), job: Arc::clone(&job.name), name, count }
        })
    };
    first.chain(later).flat_map(group).collect()
}
