//! The files of a run, written all or not at all: into a folder beside the final one, which then takes its place.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::analysis::ensemble::Ensemble;
use crate::report::{chart, json, table, waterfall};

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
    /// The place is taken by something that is not a folder of ours.
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
    /// Opens `target`. It may exist if cossim wrote it before (it has a `summary.json`) or if it is empty.
    pub fn open(target: &Path) -> Result<Self, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| FolderError::Write { path, cause }
        };
        if target.exists() {
            let ours = target.is_dir()
                && (target.join("summary.json").is_file()
                    || fs::read_dir(target).map_err(failed(target))?.next().is_none());
            if !ours {
                return Err(FolderError::Taken { path: target.to_owned() });
            }
        }
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let name = target.file_name().map_or("report".into(), |name| name.to_string_lossy().into_owned());
        let staging = parent.join(format!(".{name}.{}", std::process::id()));
        let _ = fs::remove_dir_all(&staging);
        fs::create_dir(&staging).map_err(failed(&staging))?;
        Ok(Self { target: target.to_owned(), staging })
    }

    /// Writes every file, then puts the folder in its place. Returns the files' names.
    pub fn write(self, ensemble: &Ensemble) -> Result<Vec<String>, FolderError> {
        let files = files(ensemble);
        for (name, bytes) in &files {
            let path = self.staging.join(name);
            let write = || -> io::Result<()> {
                let mut file = fs::File::create(&path)?;
                file.write_all(bytes)?;
                file.sync_all()
            };
            write().map_err(|cause| FolderError::Write { path: path.clone(), cause })?;
        }
        let failed = |cause| FolderError::Write { path: self.target.clone(), cause };
        if self.target.exists() {
            let old = self.staging.with_extension("old");
            let _ = fs::remove_dir_all(&old);
            fs::rename(&self.target, &old).map_err(failed)?;
            fs::rename(&self.staging, &self.target).map_err(failed)?;
            let _ = fs::remove_dir_all(&old);
        } else {
            fs::rename(&self.staging, &self.target).map_err(failed)?;
        }
        Ok(files.into_iter().map(|(name, _)| name).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.staging);
    }
}

/// Every file of a report, by name.
pub fn files(ensemble: &Ensemble) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("summary.json".to_owned(), json::Summary::new(ensemble).text().into_bytes()),
        ("metrics.csv".to_owned(), table::metrics(ensemble)),
        ("series.csv".to_owned(), table::series(ensemble)),
        ("failovers.csv".to_owned(), table::failovers(ensemble)),
        ("placements.csv".to_owned(), table::placements(ensemble)),
    ];
    let mut add = |name: String, svg: Option<String>| files.extend(svg.map(|svg| (name, svg.into_bytes())));
    add("waterfall.svg".to_owned(), waterfall::waterfall(ensemble));
    // One run of each kind is drawn: the first of the ensemble without suffix, the first of every other case with its seed.
    let mut drawn: Vec<usize> = ensemble.cases.iter().filter_map(|case| case.members.first().copied()).collect();
    drawn.push(0);
    drawn.sort_unstable();
    drawn.dedup();
    for (position, run) in drawn.into_iter().filter_map(|member| Some((member, ensemble.runs.get(member)?))) {
        let name = |chart: &str| match position {
            0 => format!("{chart}.svg"),
            _ => format!("{chart}-seed-{}.svg", run.seed),
        };
        add(name("requests"), chart::requests(&ensemble.spec, run));
        add(name("latency"), chart::latency(&ensemble.spec, run));
        add(name("zones"), chart::zones(&ensemble.spec, run));
        add(name("leadership"), Some(chart::leadership(ensemble, run)));
    }
    files
}
