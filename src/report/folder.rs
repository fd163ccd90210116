//! The files of a run, written all or not at all: into a folder beside the final one, which then takes its place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::analysis::ensemble::Ensemble;
use crate::analysis::summary::checksums::{self, Checksums};
use crate::analysis::summary::read::{Flaw, ReadError, Writer};
use crate::analysis::summary::sensitivity::{self, OtherScenario};
use crate::analysis::summary::{self, Summary};
use crate::measure::outcome::Outcome;
use crate::report::frame::seeds;
use crate::report::page::{self, PageError, page};
use crate::report::staged::Staged;
use crate::report::{chart, json, leadership, setting, table, waterfall};

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
    /// The place of a baseline is taken by something else.
    #[error("`{}` exists and is no baseline of cossim's", path.display())]
    NoBaseline {
        /// Where.
        path: PathBuf,
    },
    /// The place of a report is taken by a baseline.
    #[error("`{}` is a baseline, which a report would replace", path.display())]
    Baseline {
        /// Where.
        path: PathBuf,
    },
    /// The place is taken by something that is not a folder of ours, or by one with something else in it.
    #[error("`{}` exists and was not written by cossim", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
}

/// Why the page of a report could not be made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read `{}`: {cause}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The folder does not hold a report of this cossim.
    #[error("`{}` is no report that can be told: {error}", path.display())]
    Page {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        error: PageError,
    },
    /// The sensitivity analysis cannot be read.
    #[error(transparent)]
    Sensitivity(#[from] ReadError),
    /// The sensitivity analysis is of something else.
    #[error("`{}`: {error}", path.display())]
    Apart {
        /// Its folder.
        path: PathBuf,
        /// Of what.
        error: OtherScenario,
    },
    /// The page cannot be written.
    #[error("cannot write `{}`: {cause}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl RebuildError {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "name the folder of a finished run; `cossim run FILE --out DIR` makes one",
            Self::Page { error, .. } => error.hint(),
            Self::Sensitivity(_) => SENSITIVITY_HINT,
            Self::Apart { .. } => OTHER_SCENARIO_HINT,
            Self::Write { .. } => "free some space, or copy the folder to where you can write",
        }
    }
}

/// A way out where a sensitivity analysis cannot be read.
pub const SENSITIVITY_HINT: &str =
    "name the folder of a finished sensitivity analysis; `cossim sensitivity FILE --out DIR` makes one";
/// A way out where it is of another scenario.
pub const OTHER_SCENARIO_HINT: &str =
    "what was found holds for one scenario: analyse this one, with the same `--set`, by `cossim sensitivity`";

/// A place for the files of a run, opened before the run starts so that a hopeless one costs nothing. Dropped without
/// [`Folder::write`], it leaves nothing behind.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    staging: Staged,
}

impl Folder {
    /// Opens `target`. It may exist if it is a report that cossim wrote before (there is a `summary.json`, and nothing
    /// that cossim would not write) or if it is empty.
    pub fn open(target: &Path) -> Result<Self, FolderError> {
        let folder = Self::stand(target)?;
        let names: Vec<_> =
            fs::read_dir(target).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
        if !names.is_empty() && names.iter().all(|name| KEPT.iter().any(|kept| name == *kept)) {
            return Err(FolderError::Baseline { path: target.to_owned() });
        }
        Ok(folder)
    }

    /// A folder at a place that holds a report, a baseline or nothing.
    fn stand(target: &Path) -> Result<Self, FolderError> {
        let taken = fs::symlink_metadata(target).is_ok();
        if taken && !ours(target)? {
            return Err(FolderError::Taken { path: target.to_owned() });
        }
        // A path such as `.` has no name; the folder it leads to has.
        let target = if taken { fs::canonicalize(target).map_err(failed(target))? } else { target.to_owned() };
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let name = target.file_name().map_or("report".into(), |name| name.to_string_lossy().into_owned());
        let staging = Staged::new(parent.join(format!(".{name}.{}", std::process::id())));
        let path = staging.path();
        // Only tried: a process that is killed while it simulates leaves nothing behind.
        let tried = staging.begin(|| {
            let _ = fs::remove_dir_all(path);
            fs::create_dir(path).and_then(|()| fs::remove_dir(path))
        });
        tried.map_err(failed(path))?;
        Ok(Self { target, staging })
    }

    /// Opens a place for a baseline. What stands there may only be another baseline, which is going to be replaced and
    /// is told in a line.
    pub fn open_baseline(target: &Path) -> Result<(Self, Option<String>), FolderError> {
        let taken = || FolderError::NoBaseline { path: target.to_owned() };
        if fs::symlink_metadata(target).is_err() {
            return Ok((Self::stand(target)?, None));
        }
        let entries: Vec<_> = fs::read_dir(target).map_err(|_| taken())?.flatten().collect();
        if entries.is_empty() {
            return Ok((Self::stand(target)?, None));
        }
        let is_kept = |entry: &fs::DirEntry| KEPT.iter().any(|name| entry.file_name() == *name);
        let older = summary::read::unchecked(target, Writer::Any);
        if !entries.iter().all(is_kept) {
            return Err(taken());
        }
        let told = match older {
            Ok(Summary { scenario, runs, scenario_digest, cossim, .. }) => {
                let seeds = seeds(runs.iter().map(|run| run.seed));
                format!("{scenario}, seeds {seeds}, scenario digest {scenario_digest}, cossim {cossim}")
            }
            Err(ReadError { flaw: Flaw::Schema { found, .. }, .. }) => format!("of format {found}"),
            Err(_) => return Err(taken()),
        };
        Ok((Self::stand(target)?, Some(told)))
    }

    /// Writes every file, then puts the folder in its place. Returns the files' names. On an error the target is as it
    /// was before.
    pub fn write(self, ensemble: &Ensemble) -> Result<Vec<String>, FolderError> {
        let files = contents(ensemble);
        let sums = self.stage(&files)?;
        self.stage(&[sealed(&sums)])?;
        let mut names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
        names.push(CHECKSUMS.to_owned());
        if !ensemble.runs.is_empty() {
            let written = read(self.staging.path()).map_err(|(path, cause)| FolderError::Write { path, cause })?;
            let page = page(&written).expect("what was written can be read");
            self.stage(&[(PAGE.to_owned(), Content::Text(page.into_bytes()))])?;
            names.push(PAGE.to_owned());
        }
        self.staging.settle(|| self.replace())?;
        Ok(names)
    }

    /// Writes what a comparison needs, and nothing to look at.
    pub fn write_baseline(self, ensemble: &Ensemble) -> Result<(), FolderError> {
        let summary = Content::Text(json::text(&Summary::new(ensemble)).into_bytes());
        let placements = Content::Rows(ensemble, table::placements);
        let sums = self.stage(&[(SUMMARY.to_owned(), summary), (PLACEMENTS.to_owned(), placements)])?;
        self.stage(&[sealed(&sums)])?;
        self.staging.settle(|| self.replace())
    }

    /// Writes files beside the target. Returns their checksums.
    fn stage(&self, files: &[(String, Content<'_>)]) -> Result<Checksums, FolderError> {
        let staging = self.staging.path();
        self.staging.begin(|| fs::create_dir_all(staging)).map_err(failed(staging))?;
        let mut sums = Checksums::default();
        for (name, content) in files {
            let path = staging.join(name);
            let write = || -> io::Result<u64> {
                let created = self.staging.begin(|| fs::File::create(&path))?;
                let mut file = Summed { to: io::BufWriter::new(created), sum: Xxh3::new() };
                content.write(&mut file)?;
                file.to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
                Ok(file.sum.digest())
            };
            sums.0.insert(name.clone(), write().map_err(failed(&path))?);
        }
        Ok(sums)
    }

    /// Puts what is staged in the target's place. Returns where is now what stood there.
    fn replace(&self) -> Result<Option<PathBuf>, FolderError> {
        let staging = self.staging.path();
        if !self.target.exists() {
            return fs::rename(staging, &self.target).map(|()| None).map_err(failed(&self.target));
        }
        let old = old_beside(staging);
        let _ = fs::remove_dir_all(&old);
        fs::rename(&self.target, &old).map_err(failed(&self.target))?;
        if let Err(cause) = fs::rename(staging, &self.target) {
            let _ = fs::rename(&old, &self.target);
            return Err(FolderError::Write { path: self.target.clone(), cause });
        }
        Ok(Some(old))
    }
}

/// A writer that works out the checksum of all it writes.
struct Summed<W> {
    to: W,
    sum: Xxh3,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The file of these checksums.
fn sealed(sums: &Checksums) -> (String, Content<'static>) {
    (CHECKSUMS.to_owned(), Content::Text(sums.text().into_bytes()))
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
pub fn is_of_a_report(name: &str) -> bool {
    let chart = |(known, _): &(&str, Chart)| {
        let rest = name.strip_prefix(known).and_then(|rest| rest.strip_suffix(".svg"));
        let seed = |rest: &str| rest.strip_prefix("-seed-").is_some_and(|seed| seed.parse::<u64>().is_ok());
        rest.is_some_and(|rest| rest.is_empty() || seed(rest))
    };
    let single = [SUMMARY, SCENARIO, SENSITIVITY, WATERFALL, CHECKSUMS, PAGE].contains(&name);
    single || TABLES.iter().any(|(known, _)| name == *known) || CHARTS.iter().any(chart)
}

/// What a baseline consists of.
const KEPT: [&str; 3] = [SUMMARY, PLACEMENTS, CHECKSUMS];
const SUMMARY: &str = crate::analysis::summary::read::FILE;
const PLACEMENTS: &str = crate::analysis::compare::decisions::FILE;
const SENSITIVITY: &str = sensitivity::FILE;
/// Of all files but itself and the page.
const CHECKSUMS: &str = checksums::FILE;
/// As it was read.
const SCENARIO: &str = "scenario.ron";
/// Made of the other files.
const PAGE: &str = "report.html";
const TABLES: [(&str, Table); 6] = [
    ("metrics.csv", table::metrics),
    ("series.csv", table::series),
    ("failovers.csv", table::failovers),
    (PLACEMENTS, table::placements),
    ("machines.csv", setting::machines),
    ("timeline.csv", setting::timeline),
];
const WATERFALL: &str = "waterfall.svg";
/// Drawn for one run of each case.
const CHARTS: [(&str, Chart); 4] = [
    ("requests", chart::requests),
    ("latency", chart::latency),
    ("zones", chart::zones),
    ("leadership", leadership::leadership),
];

/// Files by name.
type Files = Vec<(String, Vec<u8>)>;

type Table = fn(&Ensemble, &mut dyn Write) -> io::Result<()>;
/// `None` where there is nothing to draw.
type Chart = fn(&Ensemble, &Outcome) -> Option<String>;

/// What is in a file.
enum Content<'a> {
    Text(Vec<u8>),
    /// Made while it is written.
    Rows(&'a Ensemble, Table),
}

impl Content<'_> {
    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Text(bytes) => to.write_all(bytes),
            Self::Rows(ensemble, table) => table(ensemble, to),
        }
    }
}

/// Every file of a report, by name.
pub fn files(ensemble: &Ensemble) -> Vec<(String, Vec<u8>)> {
    let bytes = |content: &Content<'_>| {
        let mut bytes = Vec::new();
        content.write(&mut bytes).expect("a vector takes every byte, and rows are as long as their header");
        bytes
    };
    let mut files: Vec<_> = contents(ensemble).into_iter().map(|(name, content)| (name, bytes(&content))).collect();
    let sums = Checksums(files.iter().map(|(name, bytes)| (name.clone(), xxh3_64(bytes))).collect());
    files.push((CHECKSUMS.to_owned(), sums.text().into_bytes()));
    if !ensemble.runs.is_empty() {
        let page = page(&files).expect("what was written can be read");
        files.push((PAGE.to_owned(), page.into_bytes()));
    }
    files
}

/// Every file but the page, which is made of them.
fn contents(ensemble: &Ensemble) -> Vec<(String, Content<'_>)> {
    let text = |text: String| Content::Text(text.into_bytes());
    let mut files = vec![(SUMMARY.to_owned(), text(json::text(&Summary::new(ensemble))))];
    files.extend(TABLES.iter().map(|(name, table)| ((*name).to_owned(), Content::Rows(ensemble, *table))));
    files.extend(ensemble.text.iter().map(|as_read| (SCENARIO.to_owned(), text(as_read.clone()))));
    files.extend(ensemble.sensitivity.iter().map(|found| (SENSITIVITY.to_owned(), text(found.text()))));
    let mut add = |name: String, svg: Option<String>| files.extend(svg.map(|svg| (name, text(svg))));
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

/// Makes the page of a finished report anew from its other files. Returns where it is. `analysed` is the folder of a
/// sensitivity analysis that is to be shown in it; its result is kept in the report.
pub fn rebuild(target: &Path, analysed: Option<&Path>) -> Result<PathBuf, RebuildError> {
    let refused = |error: PageError| RebuildError::Page { path: target.to_owned(), error };
    let unread = |(path, cause)| RebuildError::Read { path, cause };
    let mut files = read(target).map_err(unread)?;
    let found = analysed.map(sensitivity::in_folder).transpose()?;
    // Another cossim's folder is refused as such, whatever else is in it.
    let digest = page::scenario_digest(&files).map_err(refused)?;
    if let Some((found, path)) = found.as_ref().zip(analysed) {
        found.check(&digest).map_err(|error| RebuildError::Apart { path: path.to_owned(), error })?;
    }
    let mut sums = checked(&files, found.as_ref().map(|_| SENSITIVITY)).map_err(refused)?;
    if let Some(found) = &found {
        files.retain(|(name, _)| name != SENSITIVITY);
        files.push((SENSITIVITY.to_owned(), found.text().into_bytes()));
    }
    let page = page(&files).map_err(refused)?;
    if let Some(found) = &found {
        sums.0.insert(SENSITIVITY.to_owned(), xxh3_64(found.text().as_bytes()));
        put(target, SENSITIVITY, found.text().as_bytes())?;
        put(target, CHECKSUMS, sums.text().as_bytes())?;
    }
    put(target, PAGE, page.as_bytes())
}

/// The checksums of a folder with these files, which all have to be there and to be what its run wrote; but for one
/// that is going to be replaced.
pub fn checked(files: &[(String, Vec<u8>)], replaced: Option<&str>) -> Result<Checksums, PageError> {
    let of = |name: &str| files.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes);
    let missing = |name: &str| PageError::Missing { file: name.to_owned() };
    let text = of(CHECKSUMS).ok_or_else(|| missing(CHECKSUMS))?;
    let sums = Checksums::parse(&String::from_utf8_lossy(text))
        .map_err(|reason| PageError::Damaged { file: CHECKSUMS.to_owned(), reason })?;
    let kept = |name: &str| replaced != Some(name);
    if let Some(name) = sums.0.keys().find(|name| kept(name) && of(name).is_none()) {
        return Err(missing(name));
    }
    for (name, bytes) in files.iter().filter(|(name, _)| kept(name) && ![CHECKSUMS, PAGE].contains(&&**name)) {
        sums.check(name, bytes).map_err(|what| PageError::Edited { file: name.clone(), what })?;
    }
    Ok(sums)
}

/// Puts a file into a folder, whole or not at all. Returns where it is.
fn put(target: &Path, file: &str, bytes: &[u8]) -> Result<PathBuf, RebuildError> {
    let unread = |(path, cause)| RebuildError::Read { path, cause };
    let place = target.join(file);
    // Beside the folder, so that a file half written is never taken for part of it.
    let whole = fs::canonicalize(target).map_err(|cause| unread((target.to_owned(), cause)))?;
    let name = whole.file_name().map_or("report".into(), |name| name.to_string_lossy());
    let staging = Staged::new(whole.with_file_name(format!(".{name}.{}.{file}", std::process::id())));
    let write = || fs::write(staging.path(), bytes).and_then(|()| fs::rename(staging.path(), &place));
    staging.settle(|| write().map(|()| None)).map_err(|cause| RebuildError::Write { path: place.clone(), cause })?;
    Ok(place)
}

/// The files of a report but for its page, by name; on an error, which could not be read and why.
fn read(folder: &Path) -> Result<Files, (PathBuf, io::Error)> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| (path.clone(), cause)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if name != PAGE && is_of_a_report(&name) {
            let bytes = fs::read(&path).map_err(failed(&path))?;
            files.push((name, bytes));
        }
    }
    Ok(files)
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

    impl Folder {
        fn put(&self, files: &[(String, Content<'_>)]) -> Result<(), FolderError> {
            self.stage(files)?;
            self.staging.settle(|| self.replace())
        }
    }

    fn report(text: &str) -> Vec<(String, Content<'static>)> {
        let content = |text: String| Content::Text(text.into_bytes());
        vec![(SUMMARY.to_owned(), content(summary(text))), ("zones.svg".to_owned(), content(String::new()))]
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
        fs::create_dir_all(folder.staging.path().join("zones.svg")).unwrap();
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
