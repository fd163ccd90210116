//! `cossim compare`: two report folders, baselines or scenarios; scenarios are run first.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Compare;
use super::Exit;
use super::Seeds;
use super::args::{FailOn, Format, Style};
use super::interrupt;
use super::output::Output;
use super::place::{is_one, place};
use super::progress::Lines;
use super::run::{Runnable, Work, ensemble, load};
use crate::analysis::batch::Wish;
use crate::analysis::compare::decisions::{self, Placements};
use crate::analysis::compare::{CompareError, Comparison, Gate, Tolerances, compare_watched, same_scenario};
use crate::analysis::summary::Summary;
use crate::analysis::summary::read::{self, Flaw, ReadError, Writer};
use crate::report::comparison::{Account, github, json, junit, markdown, text};
use crate::report::folder::is_of_a_report;
use crate::report::table;
use crate::scenario::lower::Lowered;
use crate::scenario::{suggest, tolerances};

/// What stands in the way of a comparison.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    /// No such thing to compare.
    #[error("error[E110]: there is no report folder, baseline or scenario `{word}`\nhint: {hint}")]
    Nothing { word: String, hint: String },
    /// A scenario against itself.
    #[error(
        "error[E110]: `{file}` would be compared with itself\nhint: name a second scenario or folder, or change one \
         side with `--base-set` or `--head-set`"
    )]
    Itself { file: String },
    /// Changes of something that is not run.
    #[error(
        "error[E110]: `{option}` has nothing to change: `{word}` is a finished result\nhint: name the scenario file \
         instead of `{word}`, or leave `{option}` out"
    )]
    Finished { option: &'static str, word: String },
    /// A result that cannot be read.
    #[error("error[E111]: {error}\nhint: {}", hint(error))]
    Unreadable { error: ReadError },
    /// Results that have nothing to do with each other.
    #[error("error[E112]: {error}\nhint: {}", error.hint())]
    Apart { error: CompareError },
    /// Two formats for one stdout.
    #[error(
        "error[E110]: two formats would be mixed on stdout\nhint: give all but one a file, as `--format junit=FILE`"
    )]
    Mixed,
    /// Two formats for one file.
    #[error("error[E110]: two formats would be written to `{}`\nhint: give each a file of its own", path.display())]
    Twice { path: PathBuf },
    /// A format for a file that is read.
    #[error(
        "error[E110]: `{}` belongs to what is compared, and would be overwritten\nhint: choose a file outside of it, as \
         `--format json=comparison.json`",
        path.display()
    )]
    Overwritten { path: PathBuf },
    /// A file that cannot be written.
    #[error("error[E091]: cannot write `{}`: {cause}\nhint: choose a file you can write to", path.display())]
    Unwritable { path: PathBuf, cause: std::io::Error },
    /// It was said already.
    #[error("")]
    Said(Exit),
}

fn hint(error: &ReadError) -> String {
    match error.flaw {
        Flaw::Version { .. } => {
            "run it again and save it with `--save-baseline`, or take it as it is with `--across-versions`".to_owned()
        }
        _ => error.flaw.hint().to_owned(),
    }
}

/// What a word on the command line means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Folder(PathBuf),
    Scenario(PathBuf),
}

/// A result, with its placements or why there are none.
struct Outcome {
    named: String,
    summary: Summary,
    placements: Result<Placements, String>,
}

/// A side before anything is run.
enum Ready {
    Finished { folder: PathBuf, outcome: Box<Outcome> },
    Waiting(Box<Waiting>),
}

/// A scenario that is going to be run.
struct Waiting {
    named: String,
    file: PathBuf,
    edits: Vec<String>,
    lowered: Lowered,
    digest: String,
    /// What it is made of.
    files: Vec<PathBuf>,
}

impl Ready {
    /// Whether it is read from what stands at this place.
    fn is_read_from(&self, output: &Path) -> bool {
        match self {
            Self::Finished { folder, .. } => {
                let is_own = |path: &Path| path.file_name().and_then(OsStr::to_str).is_some_and(is_of_a_report);
                let is_within = output.parent().is_some_and(|above| above == place(folder));
                let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
                is_within && is_own(output) || files.any(|file| is_own(&file) && is_one(&place(&file), output))
            }
            Self::Waiting(waiting) => waiting.files.iter().any(|file| is_one(&place(file), output)),
        }
    }
}

pub(super) fn execute(wish: &Compare, output: &mut Output) -> Exit {
    interrupt::listen();
    match account(wish, output) {
        Ok(account) => finish(wish, &account, output),
        Err(Obstacle::Said(exit)) => exit,
        Err(obstacle) => {
            output.say(&obstacle.to_string());
            Exit::Wrong
        }
    }
}

fn finish(wish: &Compare, account: &Account, output: &mut Output) -> Exit {
    for format in &wish.formats {
        let text = render(format.style, account);
        match &format.file {
            None => output.data(&text),
            Some(path) => {
                if let Err(cause) = std::fs::write(path, text) {
                    output.say(&Obstacle::Unwritable { path: path.clone(), cause }.to_string());
                    return Exit::Wrong;
                }
            }
        }
    }
    if wish.formats.iter().all(|format| format.file.is_some()) {
        output.data(&text::render(account));
    }
    match account.gate {
        None => Exit::Fine,
        Some(gate) if account.comparison.fails(gate) => Exit::Failed,
        // There are differences, and no telling what they are: that is no pass.
        Some(_) if account.is_undecided() => Exit::Undecided,
        Some(_) => Exit::Fine,
    }
}

fn render(style: Style, account: &Account) -> String {
    match style {
        Style::Text => text::render(account),
        Style::Json => json::render(account),
        Style::Markdown => markdown::render(account),
        Style::Junit => junit::render(account),
        Style::Github => github::render(account),
    }
}

/// Everything up to the comparison; files are opened and read before anything is run.
fn account(wish: &Compare, output: &mut Output) -> Result<Account, Obstacle> {
    check_formats(&wish.formats)?;
    let tolerances = match &wish.tolerances {
        None => Tolerances::default(),
        Some(path) => tolerances::load(path).map_err(|drawn| {
            output.say(drawn.trim_end());
            Obstacle::Said(Exit::Wrong)
        })?,
    };
    let base_source = source(&wish.base, &wish.baselines)?;
    let (head_word, head_source) = match (&wish.head, &base_source) {
        (Some(word), _) => (word.clone(), source(word, &wish.baselines)?),
        (None, Source::Scenario(_)) => (wish.base.clone(), base_source.clone()),
        (None, Source::Folder(folder)) => {
            let summary = read(folder, wish.across_versions)?;
            let reports = Path::new("reports").join(&summary.scenario);
            (reports.display().to_string(), Source::Folder(reports))
        }
    };
    check_sides(wish, &base_source, &head_source)?;
    // Everything is read before anything is run: a hopeless comparison should not cost a run.
    let base = prepare(&wish.base, &base_source, wish, &wish.base_edits, output)?;
    let head = prepare(&head_word, &head_source, wish, &wish.head_edits, output)?;
    let is_read = |output: &Path| {
        let is_tolerances = wish.tolerances.as_ref().is_some_and(|file| is_one(&place(file), output));
        is_tolerances || base.is_read_from(output) || head.is_read_from(output)
    };
    check_outputs(&wish.formats, is_read)?;
    let (base, head) = (outcome(base, wish, output)?, outcome(head, wish, output)?);
    let scenarios = matches!((&base_source, &head_source), (Source::Scenario(_), Source::Scenario(_)));
    if !scenarios && !wish.across_scenarios {
        same_scenario(&base.summary, &head.summary).map_err(|error| Obstacle::Apart { error })?;
    }
    let comparison = compared(&base.summary, &head.summary, &tolerances, wish.quiet, output)?;
    let decisions = match (&base.placements, &head.placements) {
        (Ok(base), Ok(head)) => Ok(decisions::changed(base, head, &comparison.seeds)),
        (Err(reason), _) | (_, Err(reason)) => Err(reason.clone()),
    };
    let gate = wish.fail_on.map(|on| match on {
        FailOn::Regression => Gate::Regression,
        FailOn::Difference => Gate::Difference,
    });
    Ok(Account { base: base.named, head: head.named, comparison, decisions, gate })
}

/// Compares them, saying how far it is if that takes a while.
fn compared(
    base: &Summary,
    head: &Summary,
    tolerances: &Tolerances,
    quiet: bool,
    output: &mut Output,
) -> Result<Comparison, Obstacle> {
    let mut lines = Lines::new(quiet);
    let found = compare_watched(base, head, tolerances, &mut |done, all| {
        lines.show(output, || format!("{done} of {all} figures are compared"));
        if interrupt::requested() { Wish::Stop } else { Wish::GoOn }
    });
    lines.finish();
    found.map_err(|error| match error {
        CompareError::Interrupted => {
            output.say(&error.to_string());
            Obstacle::Said(Exit::Interrupted)
        }
        error => Obstacle::Apart { error },
    })
}

/// Refuses two formats for one place.
fn check_formats(formats: &[Format]) -> Result<(), Obstacle> {
    if formats.iter().filter(|format| format.file.is_none()).count() > 1 {
        return Err(Obstacle::Mixed);
    }
    let mut places: Vec<PathBuf> = Vec::new();
    for path in formats.iter().filter_map(|format| format.file.as_ref()) {
        let place = place(path);
        if places.iter().any(|known| is_one(known, &place)) {
            return Err(Obstacle::Twice { path: path.clone() });
        }
        places.push(place);
    }
    Ok(())
}

/// Refuses files that are read or cannot be written.
fn check_outputs(formats: &[Format], is_read: impl Fn(&Path) -> bool) -> Result<(), Obstacle> {
    for path in formats.iter().filter_map(|format| format.file.as_ref()) {
        if is_read(&place(path)) {
            return Err(Obstacle::Overwritten { path: path.clone() });
        }
        let is_new = std::fs::symlink_metadata(path).is_err();
        let open = std::fs::OpenOptions::new().append(true).create(true).open(path);
        open.map_err(|cause| Obstacle::Unwritable { path: path.clone(), cause })?;
        if is_new {
            // Only tried: nothing is left of a comparison that does not end.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

fn check_sides(wish: &Compare, base: &Source, head: &Source) -> Result<(), Obstacle> {
    let head_word = wish.head.as_ref().unwrap_or(&wish.base);
    for (source, edits, option, word) in
        [(base, &wish.base_edits, "--base-set", &wish.base), (head, &wish.head_edits, "--head-set", head_word)]
    {
        if matches!(source, Source::Folder(_)) && !edits.is_empty() {
            return Err(Obstacle::Finished { option, word: word.clone() });
        }
    }
    let folders = matches!((base, head), (Source::Folder(_), Source::Folder(_)));
    for (option, is_given) in [("--set", !wish.edits.is_empty()), ("--seeds", wish.seeds != Seeds::Scenario)] {
        if folders && is_given {
            return Err(Obstacle::Finished { option, word: wish.base.clone() });
        }
    }
    match base {
        Source::Scenario(file) if base == head && wish.base_edits == wish.head_edits => {
            Err(Obstacle::Itself { file: file.display().to_string() })
        }
        _ => Ok(()),
    }
}

/// A baseline's name goes before a file of that name in the working folder.
fn source(word: &str, baselines: &Path) -> Result<Source, Obstacle> {
    let path = Path::new(word);
    let plain = path.file_name().is_some_and(|name| name == path.as_os_str());
    let kept = baselines.join(word);
    if plain && kept.is_dir() {
        return Ok(Source::Folder(kept));
    }
    if path.is_dir() {
        return Ok(Source::Folder(path.to_owned()));
    }
    if path.is_file() {
        let summary = path.file_name().is_some_and(|name| name == read::FILE);
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok(if summary { Source::Folder(folder.to_owned()) } else { Source::Scenario(path.to_owned()) });
    }
    let entries = std::fs::read_dir(baselines).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut known: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    known.sort();
    let hint = if known.is_empty() {
        format!("`cossim run FILE --save-baseline {word}` makes a baseline of that name")
    } else {
        format!("baselines in `{}`: {}", baselines.display(), suggest::hint(word, known.iter().map(String::as_str)))
    };
    Err(Obstacle::Nothing { word: word.to_owned(), hint })
}

fn read(folder: &Path, across_versions: bool) -> Result<Summary, Obstacle> {
    let writer = if across_versions { Writer::Any } else { Writer::This };
    read::read(folder, writer).map_err(|error| Obstacle::Unreadable { error })
}

/// Reads a finished result or a scenario.
fn prepare(
    word: &str,
    source: &Source,
    wish: &Compare,
    edits: &[String],
    output: &mut Output,
) -> Result<Ready, Obstacle> {
    let file = match source {
        Source::Folder(folder) => {
            let summary = read(folder, wish.across_versions)?;
            let placements = decisions::read(folder).map_err(|error| error.to_string());
            let outcome = Box::new(Outcome { named: folder.display().to_string(), summary, placements });
            return Ok(Ready::Finished { folder: folder.clone(), outcome });
        }
        Source::Scenario(file) => file.clone(),
    };
    let edits: Vec<String> = wish.edits.iter().chain(edits).cloned().collect();
    let named = edits.iter().fold(word.to_owned(), |named, edit| format!("{named} --set {edit}"));
    let Runnable { lowered, digest, files, .. } = load(&file, &edits, output).ok_or(Obstacle::Said(Exit::Wrong))?;
    Ok(Ready::Waiting(Box::new(Waiting { named, file, edits, lowered, digest, files })))
}

/// What came of it; a scenario is run.
fn outcome(ready: Ready, wish: &Compare, output: &mut Output) -> Result<Outcome, Obstacle> {
    let waiting = match ready {
        Ready::Finished { outcome, .. } => return Ok(*outcome),
        Ready::Waiting(waiting) => *waiting,
    };
    let work = Work { seeds: wish.seeds, threads: wish.threads, explains: false, quiet: wish.quiet };
    let mut ensemble = ensemble(waiting.lowered, waiting.digest, work, output).map_err(Obstacle::Said)?;
    ensemble.file = waiting.file.to_string_lossy().into_owned();
    ensemble.edits = waiting.edits;
    let mut rows = Vec::new();
    table::placements(&ensemble, &mut rows).expect("a vector takes every byte");
    let placements = decisions::parse(&rows);
    Ok(Outcome { named: waiting.named, summary: Summary::new(&ensemble), placements })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is gone at the end of its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("cossim-outputs-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn format(&self, style: Style, name: &str) -> Format {
            Format { style, file: Some(self.0.join(name)) }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn one_file_by_two_names_is_no_place_for_two_formats() {
        let scratch = Scratch::new("twice");
        std::fs::create_dir(scratch.0.join("sub")).unwrap();
        let check =
            |two: &str| check_formats(&[scratch.format(Style::Text, "a.txt"), scratch.format(Style::Json, two)]);
        for two in ["a.txt", "./a.txt", "sub/../a.txt"] {
            assert!(matches!(check(two), Err(Obstacle::Twice { .. })), "{two}");
        }
        assert!(check("sub/a.txt").is_ok() && check("b.txt").is_ok());
        assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing was written");
    }

    /// Files of a compared result are not written over, and neither are scenarios, the job files they name, tolerances.
    #[test]
    fn what_is_read_is_not_written_over() {
        let scratch = Scratch::new("read");
        let path = |name: &str| scratch.0.join(name);
        let sides = ["[File(\"web.hcl\")]", "[]"].map(|jobs| {
            format!(
                r#"Scenario(name: "x", about: "x.", seeds: 1, duration: "1m", jobs: {jobs}, regions: [Region(name: "r",
                    zones: ["a"], clients: [Clients(datacenter: "apps", count: 1, instance: "m5.large")])])"#
            )
        });
        let web = "job \"web\" {\n  datacenters = [\"apps\"]\n  group \"web\" {\n    task \"web\" {\n      \
                   driver = \"docker\"\n    }\n  }\n}\n";
        let [one, two] = &sides;
        for (name, text) in
            [("one.ron", &**one), ("two.ron", two), ("web.hcl", web), ("tolerances.ron", "Tolerances()")]
        {
            std::fs::write(path(name), text).unwrap();
        }
        let named = |name: &str| path(name).to_str().unwrap().to_owned();
        let wish = |output: &str| Compare {
            base: named("one.ron"),
            head: Some(named("two.ron")),
            edits: Vec::new(),
            base_edits: Vec::new(),
            head_edits: Vec::new(),
            seeds: Seeds::One(1),
            baselines: path("baselines"),
            tolerances: Some(path("tolerances.ron")),
            formats: vec![scratch.format(Style::Json, output)],
            fail_on: None,
            across_versions: false,
            across_scenarios: false,
            quiet: true,
            threads: Some(1),
        };
        for output in ["one.ron", "two.ron", "./web.hcl", "tolerances.ron"] {
            let refused = account(&wish(output), &mut Output::standard()).err();
            assert!(matches!(refused, Some(Obstacle::Overwritten { .. })), "{output}: {refused:?}");
        }
        let found = Outcome {
            named: String::new(),
            summary: read::parse(FOUND, Writer::Any).unwrap(),
            placements: Err(String::new()),
        };
        let result = Ready::Finished { folder: path("sub/.."), outcome: Box::new(found) };
        std::fs::create_dir(path("sub")).unwrap();
        let is_read = |name: &str| result.is_read_from(&place(&path(name)));
        #[cfg(unix)]
        {
            std::fs::write(path("summary.json"), FOUND).unwrap();
            std::fs::hard_link(path("summary.json"), path("sub/hard")).unwrap();
            std::fs::hard_link(path("one.ron"), path("sub/scenario")).unwrap();
            assert!(is_read("sub/hard") && !is_read("sub/scenario"));
            let refused = account(&wish("sub/scenario"), &mut Output::standard()).err();
            assert!(matches!(refused, Some(Obstacle::Overwritten { .. })), "{refused:?}");
            let formats = ["summary.json", "sub/hard"].map(|name| scratch.format(Style::Text, name));
            assert!(matches!(check_formats(&formats), Err(Obstacle::Twice { .. })));
        }
        assert!(is_read("summary.json") && is_read("./report.html") && is_read("sub/../placements.csv"));
        assert!(!is_read("comparison.json") && !is_read("sub/summary.json"));
    }

    const FOUND: &str = r#"{"schema": 1, "cossim": "0", "scenario": "s", "scenario_digest": "ab", "file": "s.ron",
        "set": [], "passed": true, "across_runs": {}, "cases": [], "expectations": [], "runs": [{"seed": 2,
        "digest": "00000000000000ab", "simulated_s": 1.5, "events": 7, "case": "", "failovers": [], "unplaced": [],
        "expectations": [], "invariants": [], "metrics": {}}]}"#;
}
