//! The command line: what was typed, what is meant, exit codes.
//!
//! stdout is data, stderr is talk. This is the only layer that reads the terminal and the environment. A reader that
//! closes its end early is no error; a panic anywhere below is a broken promise of cossim's own and says so.

pub mod args;
mod check;
mod compact;
mod compare;
mod explain;
mod init;
pub mod interrupt;
mod list;
pub mod output;
mod place;
mod plan;
mod progress;
mod remove;
mod report;
mod quality;
pub mod run;
mod schema;
mod sensitivity;
pub mod sweep;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::Parser as _;

use crate::analysis::compact::Trials;
use crate::analysis::remove::Gone;
use crate::analysis::run::seed_under_way;
use crate::report::staged;
use args::Args;
use output::Output;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, expectations met.
    Fine,
    /// An expectation or an invariant failed.
    Failed,
    /// The command line or the scenario is wrong.
    Wrong,
    /// cossim broke its own promise.
    Broken,
    /// There are too few seeds to tell whether what was asked about holds.
    Undecided,
    /// Interrupted.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Wrong => 2,
            Self::Broken => 3,
            Self::Undecided => 4,
            Self::Interrupted => 130,
        }
    }
}

/// What is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Run a scenario.
    Run(Run),
    /// Run a scenario at many points.
    Sweep(Box<sweep::args::Sweep>),
    /// Find what a result depends on.
    Sensitivity(sweep::args::Sensitivity),
    /// Check a scenario without running it.
    Check(Check),
    /// Compare two results.
    Compare(Compare),
    /// Tell why an allocation stands where it does.
    Explain(Explain),
    /// Find the cheapest fleet.
    Plan(Capacity),
    /// Find how few machines the work fits on.
    Compact(Capacity, Trials),
    /// Tell what no longer fits without some machines.
    Remove(Capacity, Gone),
    /// Make the page of a finished run anew.
    Report {
        /// Its folder.
        folder: PathBuf,
        /// The folder of a sensitivity analysis to show in it.
        sensitivity: Option<PathBuf>,
    },
    /// Compare the quality of placements with its baselines.
    Quality(Quality),
    /// Show what scenarios can refer to.
    List {
        /// Which table; `None` for an overview.
        table: Option<args::Table>,
        /// As JSON.
        json: bool,
    },
    /// Write a scenario to start from.
    Init {
        /// Where to; `-` is stdout.
        file: PathBuf,
    },
    /// Print a JSON schema.
    Schema(args::SchemaOf),
    /// Print a completion script.
    Completions(clap_complete::Shell),
}

/// A run, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Arguments of `--set`, in order.
    pub edits: Vec<String>,
    /// Which seeds.
    pub seeds: Seeds,
    /// The report folder; `None` is `reports/<scenario>`.
    pub out: Option<PathBuf>,
    /// The summary as JSON instead of a table on stdout.
    pub json: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Threads; `None`: as many as there are cores.
    pub threads: Option<usize>,
    /// Say in `placements.csv` why every allocation was placed where it is.
    pub explain: bool,
    /// The folder of a sensitivity analysis to show beside the assumed values.
    pub sensitivity: Option<PathBuf>,
    /// Also keep the result under this name.
    pub baseline: Option<String>,
    /// Where baselines are.
    pub baselines: PathBuf,
}

/// A comparison, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// A report folder, a baseline or a scenario file.
    pub base: String,
    /// The same; `None` is the base's scenario, with its edits or in its report folder.
    pub head: Option<String>,
    /// Arguments of `--set`, for scenarios of both sides.
    pub edits: Vec<String>,
    /// Further ones of the base alone.
    pub base_edits: Vec<String>,
    /// Further ones of the head alone.
    pub head_edits: Vec<String>,
    /// Which seeds scenarios are run with.
    pub seeds: Seeds,
    /// Where baselines are.
    pub baselines: PathBuf,
    /// The file of tolerances.
    pub tolerances: Option<PathBuf>,
    /// What is written where; the text to stdout is meant if nothing goes there.
    pub formats: Vec<args::Format>,
    /// What ends with 1.
    pub fail_on: Option<args::FailOn>,
    /// Whether another version of cossim may have written the results.
    pub across_versions: bool,
    /// Whether the results may be of two scenarios.
    pub across_scenarios: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Threads; `None`: as many as there are cores.
    pub threads: Option<usize>,
}

/// An explanation, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    /// `<job>.<group>[<index>]` or `<job>.<group>`, or a number as `a17`.
    pub name: String,
    /// The report folder; `None` is the only one in `reports/`.
    pub report: Option<PathBuf>,
    /// The scenario file, if it is no longer where the report says.
    pub scenario: Option<PathBuf>,
    /// The run; `None` is the first of the report.
    pub seed: Option<u64>,
    /// Only in this region.
    pub region: Option<String>,
    /// As JSON.
    pub json: bool,
}

/// A question about capacity, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Arguments of `--set`, in order.
    pub edits: Vec<String>,
    /// As JSON.
    pub json: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Threads; `None`: as many as there are cores.
    pub threads: Option<usize>,
}

/// Which seeds are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// As many as the scenario says, from 1.
    Scenario,
    /// This many, from 1.
    First(u32),
    /// Only this one.
    One(u64),
}

impl Seeds {
    /// As on the command line; `None` if the scenario says.
    pub fn option(self) -> Option<String> {
        match self {
            Self::Scenario => None,
            Self::First(count) => Some(format!("--seeds {count}")),
            Self::One(seed) => Some(format!("--seed {seed}")),
        }
    }

    /// The seeds, where the scenario asks for `count`.
    pub fn list(self, count: u32) -> Vec<u64> {
        match self {
            Self::Scenario => (1..=u64::from(count)).collect(),
            Self::First(count) => (1..=u64::from(count)).collect(),
            Self::One(seed) => vec![seed],
        }
    }
}

/// A check, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The scenario file.
    pub scenario: PathBuf,
    /// Arguments of `--set`, in order.
    pub edits: Vec<String>,
    /// Also run the first seed twice and compare.
    pub replay: bool,
    /// Mistakes only, no overview.
    pub quiet: bool,
}

/// A comparison with baselines, as meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quality {
    /// The folder of the workloads.
    pub folder: PathBuf,
    /// Arguments of `--set`, in order.
    pub edits: Vec<String>,
    /// Write the baselines instead of comparing with them.
    pub save: bool,
    /// List every figure, not only those that differ.
    pub all: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Threads; `None`: as many as there are cores.
    pub threads: Option<usize>,
}

/// The whole command, from the process's arguments to its exit code. A panic, of whatever thread, ends the process at
/// once: nothing that was being made is worth finishing, and what was half written is taken away.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let cause = panic.payload();
        let cause = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        let place = panic.location().map(ToString::to_string);
        Output::standard().say(&broken_promise(cause, place.as_deref(), seed_under_way()));
        let _kept = staged::clear();
        std::process::exit(i32::from(Exit::Broken.code()));
    }));
    ExitCode::from(from_arguments(std::env::args_os()).code())
}

/// What is said of a panic: its cause, its place in cossim's source, and the seed of the run it happened in.
fn broken_promise(cause: Option<&str>, place: Option<&str>, seed: Option<u64>) -> String {
    let at = place.map(|place| format!("\n  at {place}")).unwrap_or_default();
    let of = seed.map(|seed| format!("\n  in the run of seed {seed}")).unwrap_or_default();
    format!(
        "cossim {} broke its own promise: {}{at}{of}\nplease report this with the command line, the scenario and the seed",
        env!("CARGO_PKG_VERSION"),
        cause.unwrap_or("unknown cause"),
    )
}

fn from_arguments(arguments: impl Iterator<Item = std::ffi::OsString>) -> Exit {
    let mut output = Output::standard();
    match Args::try_parse_from(arguments) {
        Ok(args) => execute(&args.meant(), &mut output),
        Err(error) if error.use_stderr() => {
            output.say(error.to_string().trim_end());
            Exit::Wrong
        }
        Err(help) => {
            output.data(&help.to_string());
            Exit::Fine
        }
    }
}

fn execute(command: &Command, output: &mut Output) -> Exit {
    match command {
        Command::Run(run) => run::execute(run, output),
        Command::Sweep(sweep) => sweep::execute(sweep, output),
        Command::Sensitivity(asked) => sensitivity::execute(asked, output),
        Command::Check(check) => check::execute(check, output),
        Command::Plan(capacity) => plan::execute(capacity, output),
        Command::Compact(capacity, trials) => compact::execute(capacity, *trials, output),
        Command::Remove(capacity, gone) => remove::execute(capacity, gone, output),
        Command::Compare(compare) => compare::execute(compare, output),
        Command::Explain(explain) => explain::execute(explain, output),
        Command::Report { folder, sensitivity } => report::execute(folder, sensitivity.as_deref(), output),
        Command::Quality(quality) => quality::execute(quality, output),
        Command::List { table, json } => list::execute(*table, *json, output),
        Command::Init { file } => init::execute(file, output),
        Command::Schema(of) => schema::execute(*of, output),
        Command::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "cossim", &mut script);
            output.data(&String::from_utf8_lossy(&script));
            Exit::Fine
        }
    }
}

/// Whether stderr wants colour: a terminal, and nobody said no (`NO_COLOR`, `TERM=dumb`).
fn coloured() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !set("NO_COLOR") && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_told_with_its_place_and_its_seed() {
        let told = broken_promise(Some("below zero"), Some("src/model/fit.rs:3:7"), Some(41));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].ends_with("broke its own promise: below zero"), "{told}");
        assert_eq!(lines[1..3], ["  at src/model/fit.rs:3:7", "  in the run of seed 41"]);
        assert_eq!(broken_promise(None, None, None).lines().count(), 2);
    }
}
