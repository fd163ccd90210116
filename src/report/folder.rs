//! The files of a run, written all or not at all: into a folder beside the final one, which then takes its place.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::analysis::ensemble::Ensemble;
use crate::analysis::summary::Summary;
use crate::measure::outcome::Outcome;
use crate::report::{chart, json, leadership, table, waterfall};

/// Why the files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be made or written to.
    #[error("cannot write to `{}`: {cause}", path.display())]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The place is taken by something that is not a folder of ours, or by one with something else in it.
    #[error("`{}` exists and was not written by cossim; choose another folder with `--out`", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
}

/// A place for the files of a run, opened before the run starts so that a hopeless one costs nothing. Dropped without
/// [`Folder::write`], it leaves nothing behind.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    staging: PathBuf,
}

impl Folder {
    /// Opens `target`. It may exist if cossim wrote it before (there is a `summary.json`, and nothing that cossim would
    /// not write) or if it is empty.
    pub fn open(target: &Path) -> Result<Self, FolderError> {
        let taken = fs::symlink_metadata(target).is_ok();
        if taken && !ours(target)? {
            return Err(FolderError::Taken { path: target.to_owned() });
        }
        // A path such as `.` has no name; the folder it leads to has.
        let target = if taken { fs::canonicalize(target).map_err(failed(target))? } else { target.to_owned() };
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let name = target.file_name().map_or("report".into(), |name| name.to_string_lossy().into_owned());
        let staging = parent.join(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_dir_all(&staging);
        // Only tried: a process that is killed while it simulates leaves nothing behind.
        fs::create_dir(&staging).and_then(|()| fs::remove_dir(&staging)).map_err(failed(&staging))?;
        Ok(Self { target, staging })
    }

    /// Writes every file, then puts the folder in its place. Returns the files' names. On an error the target is as it
    /// was before.
    pub fn write(self, ensemble: &Ensemble) -> Result<Vec<String>, FolderError> {
        let files = files(ensemble);
        self.put(&files)?;
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    fn put(&self, files: &[(String, Vec<u8>)]) -> Result<(), FolderError> {
        fs::create_dir_all(&self.staging).map_err(failed(&self.staging))?;
        for (name, bytes) in files {
            let path = self.staging.join(name);
            let write = || -> io::Result<()> {
                let mut file = fs::File::create(&path)?;
                file.write_all(bytes)?;
                file.sync_all()
            };
            write().map_err(failed(&path))?;
        }
        if !self.target.exists() {
            return fs::rename(&self.staging, &self.target).map_err(failed(&self.target));
        }
        let old = old_beside(&self.staging);
        let _ = fs::remove_dir_all(&old);
        fs::rename(&self.target, &old).map_err(failed(&self.target))?;
        if let Err(cause) = fs::rename(&self.staging, &self.target) {
            let _ = fs::rename(&old, &self.target);
            return Err(FolderError::Write { path: self.target.clone(), cause });
        }
        let _ = fs::remove_dir_all(&old);
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Write { path: path.clone(), cause }
}

/// Where the folder that is replaced waits until the new one stands in its place.
fn old_beside(staging: &Path) -> PathBuf {
    let mut name = staging.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

/// Whether a folder is empty or holds a report and nothing else; it is going to be replaced as a whole.
fn ours(target: &Path) -> Result<bool, FolderError> {
    if !target.is_dir() {
        return Ok(false);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(target).map_err(failed(target))? {
        let entry = entry.map_err(failed(target))?;
        if !entry.file_type().map_err(failed(target))?.is_file() {
            return Ok(false);
        }
        names.push(PathBuf::from(entry.file_name()));
    }
    if names.is_empty() {
        return Ok(true);
    }
    // Other tools write a `summary.json` too; only ours says which cossim wrote it.
    let summary = fs::read_to_string(target.join(SUMMARY)).unwrap_or_default();
    let written_by_us = serde_json::from_str::<serde_json::Value>(&summary)
        .is_ok_and(|summary| ["cossim", "schema"].iter().all(|key| summary.get(key).is_some()));
    Ok(written_by_us && names.iter().all(|name| name.to_str().is_some_and(is_of_a_report)))
}

/// Whether a report has files of this name.
fn is_of_a_report(name: &str) -> bool {
    let chart = |(known, _): &(&str, Chart)| {
        let rest = name.strip_prefix(known).and_then(|rest| rest.strip_suffix(".svg"));
        let seed = |rest: &str| rest.strip_prefix("-seed-").is_some_and(|seed| seed.parse::<u64>().is_ok());
        rest.is_some_and(|rest| rest.is_empty() || seed(rest))
    };
    name == SUMMARY || TABLES.iter().any(|(known, _)| name == *known) || name == WATERFALL || CHARTS.iter().any(chart)
}

const SUMMARY: &str = "summary.json";
const TABLES: [(&str, Table); 4] = [
    ("metrics.csv", table::metrics),
    ("series.csv", table::series),
    ("failovers.csv", table::failovers),
    ("placements.csv", table::placements),
];
const WATERFALL: &str = "waterfall.svg";
/// Drawn for one run of each case.
const CHARTS: [(&str, Chart); 4] = [
    ("requests", chart::requests),
    ("latency", chart::latency),
    ("zones", chart::zones),
    ("leadership", leadership::leadership),
];

type Table = fn(&Ensemble) -> Vec<u8>;
/// `None` where there is nothing to draw.
type Chart = fn(&Ensemble, &Outcome) -> Option<String>;

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
    }
}

/// Every file of a report, by name.
pub fn files(ensemble: &Ensemble) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(SUMMARY.to_owned(), json::text(&Summary::new(ensemble)).into_bytes())];
    files.extend(TABLES.iter().map(|(name, table)| ((*name).to_owned(), table(ensemble))));
    let mut add = |name: String, svg: Option<String>| files.extend(svg.map(|svg| (name, svg.into_bytes())));
    add(WATERFALL.to_owned(), waterfall::waterfall(ensemble));
    // One run of each kind is drawn: the first of the ensemble without suffix, the first of every other case with its
    // seed.
    let mut drawn: Vec<usize> = ensemble.cases.iter().filter_map(|case| case.members.first().copied()).collect();
    drawn.push(0);
    drawn.sort_unstable();
    drawn.dedup();
    for (position, run) in drawn.into_iter().filter_map(|member| Some((member, ensemble.runs.get(member)?))) {
        for (name, chart) in CHARTS {
            let file = match position {
                0 => format!("{name}.svg"),
                _ => format!("{name}-seed-{}.svg", run.seed),
            };
            add(file, chart(ensemble, run));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("cossim-folder-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn entries(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn report(text: &str) -> Vec<(String, Vec<u8>)> {
        vec![(SUMMARY.to_owned(), summary(text).into_bytes()), ("zones.svg".to_owned(), Vec::new())]
    }

    fn summary(text: &str) -> String {
        format!("{{\"schema\": 1, \"cossim\": \"0.1.0\", \"name\": \"{text}\"}}")
    }

    #[test]
    fn a_report_replaces_an_older_one_as_a_whole() {
        let scratch = Scratch::new("replace");
        let target = scratch.0.join("deep/report");
        Folder::open(&target).unwrap().put(&report("1")).unwrap();
        fs::write(target.join("latency-seed-7.svg"), "").unwrap();
        Folder::open(&target).unwrap().put(&report("2")).unwrap();
        assert_eq!(fs::read_to_string(target.join(SUMMARY)).unwrap(), summary("2"));
        assert!(!target.join("latency-seed-7.svg").exists());
        assert_eq!(fs::read_dir(scratch.0.join("deep")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_left_of_a_report_that_is_not_written() {
        let scratch = Scratch::new("drop");
        drop(Folder::open(&scratch.0.join("report")).unwrap());
        assert!(scratch.entries().is_empty());
    }

    #[test]
    fn when_a_file_fails_the_older_report_stays() {
        let scratch = Scratch::new("fails");
        let target = scratch.0.join("report");
        Folder::open(&target).unwrap().put(&report("1")).unwrap();
        let folder = Folder::open(&target).unwrap();
        // What a full disk does: one file is written, the next cannot be.
        fs::create_dir_all(folder.staging.join("zones.svg")).unwrap();
        let error = folder.put(&report("2")).unwrap_err();
        assert!(error.to_string().contains("zones.svg"), "{error}");
        drop(folder);
        assert_eq!(fs::read_to_string(target.join(SUMMARY)).unwrap(), summary("1"));
        assert_eq!(scratch.entries(), ["report"]);
    }

    #[test]
    fn what_somebody_else_keeps_is_left_alone() {
        let scratch = Scratch::new("foreign");
        let taken = |path: &Path| matches!(Folder::open(path), Err(FolderError::Taken { .. }));
        let file = scratch.0.join("notes.txt");
        fs::write(&file, "mine").unwrap();
        assert!(taken(&file), "a file");
        assert!(taken(&scratch.0), "a folder with something else in it");
        let mixed = scratch.0.join("mixed");
        Folder::open(&mixed).unwrap().put(&report("1")).unwrap();
        fs::write(mixed.join("costs.csv"), "mine").unwrap();
        assert!(taken(&mixed), "a report with something else in it");
        let other = scratch.0.join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(SUMMARY), "{\"total\": 3}").unwrap();
        assert!(taken(&other), "another tool's summary");
        let below = file.join("report");
        assert!(matches!(Folder::open(&below), Err(FolderError::Write { .. })), "below a file");
        let empty = scratch.0.join("empty");
        fs::create_dir(&empty).unwrap();
        Folder::open(&empty).unwrap().put(&report("1")).unwrap();
        assert_eq!(scratch.entries(), ["empty", "mixed", "notes.txt", "other"]);
    }
}
