//! `plan.json`, and the runs of a sweep while it goes on: one small file each, written beside its place and renamed, so
//! that a process can be killed at any time and several can work side by side without talking. A file says which run of
//! which sweep it is and carries a checksum of itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use crate::analysis::judge::Judgement;
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::plan::{Checked, Plan};
use crate::analysis::sweep::work::Row;

/// Name of the file that holds a plan.
pub const PLAN: &str = "plan.json";
/// The version of these formats.
const SCHEMA: u32 = 1;
/// Larger plans are not read.
const PLAN_MAX: u64 = 256 << 20;

/// Why files of a sweep cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system says no.
    #[error("cannot {verb} `{}`: {cause}", path.display())]
    File {
        /// Read or write.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Not a plan.
    #[error("`{}` is no plan of a sweep: {reason}", path.display())]
    NoPlan {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another version made it.
    #[error("`{}` was made by cossim {found}, and this is cossim {}", path.display(), env!("CARGO_PKG_VERSION"))]
    Version {
        /// Which.
        path: PathBuf,
        /// By which version.
        found: String,
    },
    /// The plan does not come to what it says it is.
    #[error("`{}` says it is sweep {said}, but comes to {found}: it was changed by hand", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
        /// What it says.
        said: String,
        /// What it is.
        found: String,
    },
    /// A run of another sweep.
    #[error("`{}` is a run of sweep {found}, not of {wanted}", path.display())]
    OtherSweep {
        /// Which.
        path: PathBuf,
        /// Of which sweep it is.
        found: String,
        /// Of which it should be.
        wanted: String,
    },
    /// A file that is not what was written.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// A place for a plan that holds results.
    #[error("`{}` is no place for a plan: it holds results (`{found}`)", path.display())]
    Results {
        /// Where.
        path: PathBuf,
        /// Which file or folder shows it.
        found: String,
    },
    /// A file among the runs that is none of them.
    #[error("`{}` is no run of sweep {sweep}, which has runs {:06} to {:06}", path.display(), 0, last)]
    Stray {
        /// Which.
        path: PathBuf,
        /// The sweep.
        sweep: String,
        /// Number of its last run.
        last: usize,
    },
    /// No sweep at all.
    #[error("`{}` holds no runs of a sweep", path.display())]
    Nothing {
        /// Where.
        path: PathBuf,
    },
    /// Several sweeps.
    #[error("`{}` holds runs of {} sweeps: {}", path.display(), sweeps.len(), sweeps.join(", "))]
    Mixed {
        /// Where.
        path: PathBuf,
        /// Which.
        sweeps: Vec<String>,
    },
}

impl StoreError {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "choose a folder you can read and write",
            Self::NoPlan { .. } => "`cossim sweep plan SCENARIO --out DIR` makes one",
            Self::Version { .. } => "use that version to the end, or plan and run the sweep anew with this one",
            Self::Changed { .. } => "make the plan anew with `cossim sweep plan`",
            Self::OtherSweep { .. } => "remove the file, or keep every sweep in a folder of its own",
            Self::Results { .. } => "choose a folder of its own for the plan with `--out`",
            Self::Stray { .. } => "move the file elsewhere, so that nobody takes it for part of the result",
            Self::Damaged { .. } => "remove the file and run its shard again; whole runs are not repeated",
            Self::Nothing { .. } => "`cossim sweep run PLAN --shard I/N --out DIR` puts them there",
            Self::Mixed { .. } => "keep every sweep in a folder of its own, or choose one with `--sweep DIGEST`",
        }
    }
}

/// `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Fingerprint of `body`, in 16 hex digits: what makes two sweeps the same.
    pub sweep: String,
    /// Into how many shards it was meant to be cut; any number works.
    pub shards: usize,
    /// Runs it has, numbered from 0: that of the point times the number of seeds, plus that of the seed.
    pub runs: usize,
    /// Everything that makes the result.
    pub body: Body,
}

/// What a sweep is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    schema: u32,
    cossim: String,
    scenario: String,
    file: String,
    set: Vec<String>,
    vary: Vec<String>,
    design: String,
    samples: Option<usize>,
    design_seed: u64,
    seeds: Vec<u64>,
    measures: Vec<String>,
    points: Vec<PointFile>,
    text: String,
    files: BTreeMap<String, NamedFile>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointFile {
    values: Vec<String>,
    scenario_digest: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedFile {
    name: String,
    text: String,
}

impl PlanFile {
    /// The file of a checked plan.
    pub fn of(sweep: &Checked, shards: usize) -> Self {
        let plan = &sweep.plan;
        let point = |(values, digest): (&Vec<String>, &String)| PointFile {
            values: values.clone(),
            scenario_digest: digest.clone(),
        };
        let named = |(path, (name, text)): (&String, &(String, String))| {
            (path.clone(), NamedFile { name: name.clone(), text: text.clone() })
        };
        let body = Body {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: sweep.name.clone(),
            file: plan.file.clone(),
            set: plan.edits.clone(),
            vary: plan.vary.clone(),
            design: plan.design.name().to_owned(),
            samples: plan.design.samples(),
            design_seed: plan.design_seed,
            seeds: plan.seeds.clone(),
            measures: plan.measures.clone(),
            points: sweep.layout.values.iter().zip(&sweep.digests).map(point).collect(),
            text: plan.text.clone(),
            files: plan.files.iter().map(named).collect(),
        };
        Self { sweep: body.fingerprint(), shards, runs: sweep.runs(), body }
    }

    /// Reads `plan.json` of a folder, and looks whether it is what it says.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = if folder.is_file() { folder.to_owned() } else { folder.join(PLAN) };
        let failed = |cause| StoreError::File { verb: "read", path: path.clone(), cause };
        let no_plan = |reason: String| StoreError::NoPlan { path: path.clone(), reason };
        if fs::metadata(&path).map_err(failed)?.len() > PLAN_MAX {
            return Err(no_plan(format!("it has more than {PLAN_MAX} bytes")));
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let value: Value = serde_json::from_str(&text).map_err(|error| no_plan(error.to_string()))?;
        let version = value.pointer("/body/cossim").and_then(Value::as_str).unwrap_or("").to_owned();
        if !version.is_empty() && version != env!("CARGO_PKG_VERSION") {
            return Err(StoreError::Version { path, found: version });
        }
        let file: Self = serde_json::from_value(value).map_err(|error| no_plan(error.to_string()))?;
        let runs = file.body.points.len() * file.body.seeds.len();
        if runs != file.runs || runs == 0 || file.shards == 0 {
            return Err(no_plan("its numbers of runs, points, seeds and shards do not fit together".to_owned()));
        }
        let found = file.body.fingerprint();
        if found != file.sweep {
            return Err(StoreError::Changed { path, said: file.sweep, found });
        }
        Ok(file)
    }

    /// Refuses a folder that holds results of a run or a sweep: a plan among them would make it another sweep's.
    pub fn has_place_in(folder: &Path) -> Result<(), StoreError> {
        let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let is_result = |name: &&String| {
            let known = ["summary.json", "sweep.json", "sensitivity.json", ".work"].contains(&name.as_str());
            known || number_of(name).is_some() || folder.join(name).join(PLAN).is_file()
        };
        match names.iter().find(is_result) {
            Some(found) => Err(StoreError::Results { path: folder.to_owned(), found: found.clone() }),
            None => Ok(()),
        }
    }

    /// Writes it into a folder, which is made if need be.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(folder).map_err(|cause| write_error(folder, cause))?;
        let mut text = serde_json::to_string_pretty(self).expect("a plan is plain JSON");
        text.push('\n');
        write_whole(&folder.join(PLAN), text.as_bytes())
    }

    /// The plan it holds; `None` if it names a design this version does not have.
    pub fn plan(&self) -> Option<Plan> {
        let body = &self.body;
        let design = match (body.design.as_str(), body.samples) {
            ("grid", None) => Design::Grid,
            ("list", None) => Design::List,
            ("lhs", Some(points)) => Design::Latin { points },
            ("morris", Some(trajectories)) => Design::Morris { trajectories },
            ("sobol", Some(rows)) => Design::Sobol { rows },
            _ => return None,
        };
        let named = |(path, file): (&String, &NamedFile)| (path.clone(), (file.name.clone(), file.text.clone()));
        Some(Plan {
            file: body.file.clone(),
            text: body.text.clone(),
            files: body.files.iter().map(named).collect(),
            edits: body.set.clone(),
            vary: body.vary.clone(),
            design,
            design_seed: body.design_seed,
            seeds: body.seeds.clone(),
            measures: body.measures.clone(),
        })
    }

    /// Name of its scenario.
    pub fn scenario(&self) -> &str {
        &self.body.scenario
    }
}

impl Body {
    fn fingerprint(&self) -> String {
        let text = serde_json::to_string(self).expect("a plan is plain JSON");
        format!("{:016x}", xxh3_64(text.as_bytes()))
    }
}

/// One run, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunFile {
    sweep: String,
    cossim: String,
    run: usize,
    digest: String,
    events: u64,
    violations: u64,
    /// A number, `"never"`, or nothing.
    values: Vec<Value>,
    verdicts: Vec<String>,
    /// Checksum of all of it with this field empty, in 16 hex digits.
    sum: String,
}

/// The runs a sweep keeps, below a folder that can hold several sweeps.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    sweep: String,
    /// How many values and verdicts a run has.
    shape: (usize, usize),
}

impl Store {
    /// The runs of this sweep in `results`; the folder is made if need be, with the plan in it.
    pub fn open(results: &Path, plan: &PlanFile, sweep: &Checked) -> Result<Self, StoreError> {
        let store = Self::in_folder(&results.join(&plan.sweep), plan, sweep);
        fs::create_dir_all(&store.folder).map_err(|cause| write_error(&store.folder, cause))?;
        if !store.folder.join(PLAN).exists() {
            plan.write(&store.folder)?;
        }
        Ok(store)
    }

    fn in_folder(folder: &Path, plan: &PlanFile, sweep: &Checked) -> Self {
        let shape = (sweep.readings.measures.len(), sweep.readings.expectations.len());
        Self { folder: folder.to_owned(), sweep: plan.sweep.clone(), shape }
    }

    /// Keeps a run.
    pub fn keep(&self, run: usize, row: &Row) -> Result<(), StoreError> {
        let value = |value: &Option<f64>| match value {
            None => Value::Null,
            Some(value) if value.is_infinite() => Value::from(NEVER),
            Some(value) => Value::from(*value),
        };
        let mut file = RunFile {
            sweep: self.sweep.clone(),
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            digest: format!("{:016x}", row.digest),
            events: row.events,
            violations: row.violations,
            values: row.values.iter().map(value).collect(),
            verdicts: row.judgements.iter().map(|judgement| judgement.name().to_owned()).collect(),
            sum: String::new(),
        };
        file.sum = checksum(&file);
        let text = serde_json::to_string(&file).expect("a run is plain JSON");
        write_whole(&self.path(run), text.as_bytes())
    }

    /// A run that was kept; `None` if it was not yet. One that is not whole, or of another sweep, is an error.
    pub fn load(&self, run: usize) -> Result<Option<Row>, StoreError> {
        let path = self.path(run);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                return Err(StoreError::Damaged { path, reason: "it is not text".to_owned() });
            }
            Err(cause) => return Err(StoreError::File { verb: "read", path, cause }),
        };
        let damaged = |reason: &str| StoreError::Damaged { path: path.clone(), reason: reason.to_owned() };
        let mut file: RunFile = serde_json::from_str(&text).map_err(|error| damaged(&error.to_string()))?;
        let sum = std::mem::take(&mut file.sum);
        if sum != checksum(&file) {
            return Err(damaged("its checksum is not that of its content"));
        }
        if file.sweep != self.sweep {
            return Err(StoreError::OtherSweep { path, found: file.sweep, wanted: self.sweep.clone() });
        }
        if file.run != run || (file.values.len(), file.verdicts.len()) != self.shape {
            return Err(damaged("it is another run than its name says"));
        }
        let value = |value: &Value| match value {
            Value::String(word) if word == NEVER => Some(f64::INFINITY),
            value => value.as_f64(),
        };
        let judgement = |name: &String| {
            [Judgement::Pass, Judgement::Fail, Judgement::NotExercised].into_iter().find(|known| known.name() == name)
        };
        Ok(Some(Row {
            values: file.values.iter().map(value).collect(),
            judgements: file
                .verdicts
                .iter()
                .map(judgement)
                .collect::<Option<_>>()
                .ok_or_else(|| damaged("verdicts"))?,
            violations: file.violations,
            digest: u64::from_str_radix(&file.digest, 16).map_err(|_| damaged("its digest"))?,
            events: file.events,
        }))
    }

    /// Those of these runs that are not kept, or not whole; ones of another sweep are an error.
    pub fn missing(&self, runs: impl Iterator<Item = usize>) -> Result<Vec<usize>, StoreError> {
        let mut missing = Vec::new();
        for run in runs {
            match self.load(run) {
                Ok(Some(_)) => {}
                Ok(None) | Err(StoreError::Damaged { .. }) => missing.push(run),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }

    /// Refuses files that look like runs and are none of the sweep's `runs`: what is not merged should not seem to be.
    pub fn check_strays(&self, runs: usize) -> Result<(), StoreError> {
        let failed = |cause| StoreError::File { verb: "read", path: self.folder.clone(), cause };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let is_stray = |name: &&String| {
            name.strip_suffix(".json").is_some() && *name != PLAN && number_of(name).is_none_or(|number| number >= runs)
        };
        match names.iter().find(is_stray) {
            Some(name) => {
                let (path, sweep) = (self.folder.join(name), self.sweep.clone());
                Err(StoreError::Stray { path, sweep, last: runs - 1 })
            }
            None => Ok(()),
        }
    }

    fn path(&self, run: usize) -> PathBuf {
        self.folder.join(name_of(run))
    }
}

fn name_of(run: usize) -> String {
    format!("{run:06}.json")
}

/// The number of a run whose file has this name.
fn number_of(name: &str) -> Option<usize> {
    let number = name.strip_suffix(".json")?.parse().ok()?;
    (name_of(number) == name).then_some(number)
}

/// The only sweep whose runs a folder holds, or the one that is named.
pub fn only_sweep(results: &Path, named: Option<&str>) -> Result<PathBuf, StoreError> {
    if let Some(named) = named {
        return Ok(results.join(named));
    }
    // The folder of one sweep itself.
    if results.join(PLAN).is_file() {
        return Ok(results.to_owned());
    }
    let failed = |cause| StoreError::File { verb: "read", path: results.to_owned(), cause };
    let mut sweeps = Vec::new();
    for entry in fs::read_dir(results).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().join(PLAN).is_file() {
            sweeps.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    sweeps.sort();
    match sweeps.as_slice() {
        [] => Err(StoreError::Nothing { path: results.to_owned() }),
        [one] => Ok(results.join(one)),
        _ => Err(StoreError::Mixed { path: results.to_owned(), sweeps }),
    }
}

/// The runs in the folder of one sweep.
pub fn of_folder(folder: &Path, plan: &PlanFile, sweep: &Checked) -> Store {
    Store::in_folder(folder, plan, sweep)
}

fn checksum(file: &RunFile) -> String {
    format!("{:016x}", xxh3_64(serde_json::to_string(file).expect("a run is plain JSON").as_bytes()))
}

fn write_error(path: &Path, cause: io::Error) -> StoreError {
    StoreError::File { verb: "write", path: path.to_owned(), cause }
}

/// Writes a file beside its place and renames it. Two processes that write the same run write the same bytes.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&part);
        write_error(path, cause)
    })
}

/// How a wait that had not ended with the run is written.
pub(super) const NEVER: &str = "never";
