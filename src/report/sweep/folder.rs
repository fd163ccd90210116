//! The folder of a sweep: a working area while it goes on, the result when it is complete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::analysis::sweep::findings::Findings;
use crate::analysis::sweep::table::Swept;
use crate::report::sweep::store::{PlanFile, StoreError, write_whole};
use crate::report::sweep::{csv, json, plot};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The system says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It holds something else.
    #[error("`{}` exists and was not written by a sweep", .0.display())]
    Taken(PathBuf),
    /// A sweep was begun there.
    #[error("`{}` holds a sweep that was begun and is not complete", .0.display())]
    Begun(PathBuf),
    /// Nothing was begun there that could be gone on with: the result of the sweep is complete.
    #[error("`{}` holds the complete result of this sweep: nothing is left to be run", path.display())]
    Complete {
        /// Where.
        path: PathBuf,
    },
    /// Nothing was begun there that could be gone on with: what is there is the result of another sweep.
    #[error("`{}` holds the complete result of another sweep, {found}; this one is {wanted}", path.display())]
    OtherComplete {
        /// Where.
        path: PathBuf,
        /// Which.
        found: String,
        /// Which is asked for.
        wanted: String,
    },
    /// Another process is at work there.
    #[error("another command is writing to `{}`", .0.display())]
    Busy(PathBuf),
    /// Another sweep was begun there.
    #[error("`{}` holds another sweep, {found}, that was begun and is not complete; this one is {wanted}", path.display())]
    OtherBegun {
        /// Where.
        path: PathBuf,
        /// Which.
        found: String,
        /// Which is asked for.
        wanted: String,
    },
}

impl FolderError {
    /// A way out.
    pub fn hint(&self) -> String {
        match self {
            Self::Store(error) => error.hint().to_owned(),
            Self::Taken(_) => "choose another folder with `--out`".to_owned(),
            Self::Complete { .. } => "leave out `--resume` to make it anew".to_owned(),
            Self::OtherComplete { .. } => {
                "choose another folder with `--out`, or leave out `--resume` to replace it".to_owned()
            }
            Self::Busy(_) => "wait until it has ended, or choose another folder with `--out`".to_owned(),
            Self::Begun(_) => "go on with `--resume`, or begin another one elsewhere with `--out`".to_owned(),
            Self::OtherBegun { path, .. } => format!(
                "its scenario, values, seeds, measures or version differ; choose another folder with `--out`, or give up \
                 what was begun by removing `{}`",
                path.join(WORK).display()
            ),
        }
    }
}

/// The working area, while the sweep goes on.
const WORK: &str = ".work";
const SUMMARY: &str = "sweep.json";
const POINTS: &str = "points.csv";
const RUNS: &str = "runs.csv";

/// The folder of one sweep.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    /// Held until the folder is dropped, so that no other command works in it.
    _lock: Option<fs::File>,
}

impl Folder {
    /// A folder for the result of a sweep. It may exist if it is empty or a sweep wrote it.
    pub fn open(target: &Path) -> Result<Self, FolderError> {
        if fs::symlink_metadata(target).is_ok() && !ours(target)? {
            return Err(FolderError::Taken(target.to_owned()));
        }
        fs::create_dir_all(target).map_err(failed(target))?;
        Ok(Self { target: target.to_owned(), _lock: locked(target)? })
    }

    /// The working area for a sweep that runs here; what was begun is gone on with only if `resumed`.
    pub fn work(&self, plan: &PlanFile, resumed: bool) -> Result<PathBuf, FolderError> {
        let work = self.target.join(WORK);
        let mut begun = Vec::new();
        if work.is_dir() {
            for entry in fs::read_dir(&work).map_err(failed(&work))? {
                begun.push(entry.map_err(failed(&work))?.file_name().to_string_lossy().into_owned());
            }
        }
        begun.sort();
        match begun.iter().find(|name| **name != plan.sweep) {
            Some(found) => {
                let (path, found, wanted) = (self.target.clone(), found.clone(), plan.sweep.clone());
                Err(FolderError::OtherBegun { path, found, wanted })
            }
            None if !begun.is_empty() && !resumed => Err(FolderError::Begun(self.target.clone())),
            None => Ok(work),
        }
    }

    /// Refuses to go on with a sweep where none was begun and a result is complete.
    pub fn check_left(&self, plan: &PlanFile) -> Result<(), FolderError> {
        let is_begun = fs::read_dir(self.target.join(WORK)).is_ok_and(|mut begun| begun.next().is_some());
        match (self.complete(), self.target.clone()) {
            (Some(found), path) if !is_begun && found == plan.sweep => Err(FolderError::Complete { path }),
            (Some(found), path) if !is_begun => {
                Err(FolderError::OtherComplete { path, found, wanted: plan.sweep.clone() })
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// The sweep whose complete result is there.
    fn complete(&self) -> Option<String> {
        let text = fs::read_to_string(self.target.join(SUMMARY)).ok()?;
        let summary: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(summary.get("sweep")?.as_str()?.to_owned())
    }

    /// Writes every file of the result; `sweep.json` comes last: where it is, all is.
    pub fn write(&self, swept: &Swept, findings: &Findings) -> Result<Vec<String>, FolderError> {
        let files = files(swept, findings);
        self.clear()?;
        for (name, bytes) in files.iter().rev() {
            write_whole(&self.target.join(name), bytes)?;
        }
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }

    /// Removes the working area: its runs are in the result.
    pub fn done(&self) -> Result<(), FolderError> {
        let work = self.target.join(WORK);
        if work.exists() {
            fs::remove_dir_all(&work).map_err(failed(&work))?;
        }
        Ok(())
    }

    /// Removes an older result, its `sweep.json` first.
    fn clear(&self) -> Result<(), FolderError> {
        let mut names = names_in(&self.target)?;
        names.sort_by_key(|name| name != SUMMARY);
        for name in names.iter().filter(|name| is_of_a_sweep(name)) {
            let path = self.target.join(name);
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// Every file of a result, by name; `sweep.json` first.
pub fn files(swept: &Swept, findings: &Findings) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        (SUMMARY.to_owned(), json::SweepSummary::new(swept, findings).text().into_bytes()),
        (POINTS.to_owned(), csv::points(swept)),
        (RUNS.to_owned(), csv::runs(swept)),
    ];
    files.extend(plot::charts(swept, findings).into_iter().map(|(name, svg)| (name, svg.into_bytes())));
    files
}

/// Whether a sweep writes files of this name, or left one that it had not finished.
fn is_of_a_sweep(name: &str) -> bool {
    let whole = name.strip_suffix(".part").and_then(|part| part.rsplit_once('.')).map_or(name, |(whole, _)| whole);
    [SUMMARY, POINTS, RUNS].contains(&whole) || plot::is_chart(whole)
}

/// Whether a folder is empty, or holds files of a sweep and nothing else.
fn ours(target: &Path) -> Result<bool, FolderError> {
    if !target.is_dir() {
        return Ok(false);
    }
    let names = names_in(target)?;
    Ok(names.iter().all(|name| name == WORK || is_of_a_sweep(name)))
}

/// The text of the summary of a complete result.
pub fn summary(target: &Path) -> Result<String, FolderError> {
    let path = target.join(SUMMARY);
    Ok(fs::read_to_string(&path).map_err(|cause| StoreError::File { verb: "read", path, cause })?)
}

/// A lock on a folder; `None` where folders cannot be locked.
fn locked(folder: &Path) -> Result<Option<fs::File>, FolderError> {
    let Ok(file) = fs::File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(FolderError::Busy(folder.to_owned())),
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

fn names_in(folder: &Path) -> Result<Vec<String>, FolderError> {
    let entries = fs::read_dir(folder).map_err(failed(folder))?;
    let names: io::Result<Vec<String>> =
        entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect();
    Ok(names.map_err(failed(folder))?)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::File { verb: "write", path: path.clone(), cause }
}
