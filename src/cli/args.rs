//! What was typed.

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::analysis::compact::Trials;
use crate::analysis::remove::Gone;

use super::Check;
use super::Command;
use super::Compare;
use super::Explain;
use super::Quality;
use super::Run;
use super::Seeds;
use super::sweep;

/// Run a whole container orchestration system on a virtual clock.
#[derive(Debug, Parser)]
#[command(name = "cossim", version, about, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario and write its report
    Run {
        /// Scenario file
        scenario: PathBuf,
        /// Run only this seed
        #[arg(long, value_name = "N", conflicts_with = "seeds")]
        seed: Option<u64>,
        /// Run this many seeds, from 1, instead of as many as the scenario says
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        seeds: Option<u32>,
        /// Report folder [default: reports/<scenario>]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Print the summary as JSON instead of a table
        #[arg(long)]
        json: bool,
        /// No progress
        #[arg(long)]
        quiet: bool,
        /// Change a value of the scenario, as traffic[0].rate=800/s; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
        /// Threads [default: all cores]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
        threads: Option<u16>,
        /// Say in placements.csv why every allocation was placed where it is; placements take longer
        #[arg(long)]
        explain: bool,
        /// Show what `cossim sensitivity` found of the assumed values: its folder
        #[arg(long, value_name = "DIR")]
        sensitivity: Option<PathBuf>,
        /// Also keep the result as a baseline of this name, for `cossim compare`
        #[arg(long, value_name = "NAME", value_parser = baseline_name)]
        save_baseline: Option<String>,
        /// Where baselines are
        #[arg(long, value_name = "DIR", default_value = BASELINES)]
        baselines: PathBuf,
    },
    /// Compare two results, or two variants of a scenario, seed by seed
    Compare {
        /// Report folder, baseline or scenario file to compare with
        base: String,
        /// The same, to be compared [default: reports/<scenario>, or BASE itself if it is a scenario file]
        head: Option<String>,
        /// Change a value of the scenarios that are run; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
        /// Change a value of the base's scenario alone; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        base_set: Vec<String>,
        /// Change a value of the head's scenario alone; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        head_set: Vec<String>,
        /// Run scenarios with this many seeds, from 1, instead of as many as they say
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        seeds: Option<u32>,
        /// Where baselines are
        #[arg(long, value_name = "DIR", default_value = BASELINES)]
        baselines: PathBuf,
        /// File that says how far figures may move
        #[arg(long, value_name = "FILE")]
        tolerances: Option<PathBuf>,
        /// What to write, and where instead of stdout: text, json, markdown, junit or github; may be repeated
        #[arg(long, value_name = "FORMAT[=FILE]", value_parser = format)]
        format: Vec<Format>,
        /// The same as --format json
        #[arg(long)]
        json: bool,
        /// End with exit code 1 if there is one, and with 4 if there are too few seeds to tell [default: end with 0]
        #[arg(long)]
        fail_on: Option<FailOn>,
        /// Take results of another version of cossim
        #[arg(long)]
        across_versions: bool,
        /// Compare results of scenarios with different names
        #[arg(long)]
        across_scenarios: bool,
        /// No progress
        #[arg(long)]
        quiet: bool,
        /// Threads [default: all cores]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
        threads: Option<u16>,
    },
    /// Run a scenario at many points and compare them
    Sweep(sweep::args::Sweep),
    /// Find which values a result depends on, and how much of its variance comes from each
    Sensitivity(sweep::args::Sensitivity),
    /// Tell why a finished run decided as it did
    Explain {
        #[command(subcommand)]
        what: What,
    },
    /// Find the cheapest fleet under which everything holds, as the scenario's `plan` says
    Plan {
        #[command(flatten)]
        typed: Capacity,
    },
    /// Find how few machines the jobs of a scenario fit on, and how few if any one zone may be lost
    Compact {
        #[command(flatten)]
        typed: Capacity,
        /// Random orders in which machines are removed; the 90th percentile is the answer
        #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        trials: u32,
        /// Share of the allocations that may stay without a place, in percent
        #[arg(long, value_name = "PERCENT", default_value_t = 0.2, value_parser = percent)]
        homeless: f64,
        /// Keep the constraints of jobs of any size; otherwise those of jobs larger than half the cell are preferences
        #[arg(long)]
        hard: bool,
    },
    /// Tell what no longer fits without some machines
    Remove {
        #[command(flatten)]
        typed: Capacity,
        /// What goes
        #[command(subcommand)]
        what: Goes,
    },
    /// Check a scenario and print every mistake
    Check {
        /// Scenario file
        scenario: PathBuf,
        /// Also run the first seed twice and point at the first difference
        #[arg(long)]
        replay: bool,
        /// Print mistakes only, and not what the scenario is made of
        #[arg(long)]
        quiet: bool,
        /// Change a value of the scenario, as traffic[0].rate=800/s; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
    },
    /// Make report.html of a finished run anew from the other files of its folder
    Report {
        /// Report folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// Show what `cossim sensitivity` found of the assumed values: its folder
        #[arg(long, value_name = "DIR")]
        sensitivity: Option<PathBuf>,
    },
    /// Run a suite of workloads and compare the quality of placements with its baselines
    Quality {
        /// Folder of the workloads, which are scenario files; baselines are in its folder `baselines`
        #[arg(default_value = "quality")]
        folder: PathBuf,
        /// Write the baselines instead of comparing with them
        #[arg(long, conflicts_with = "set")]
        save: bool,
        /// List every figure, not only those that differ
        #[arg(long)]
        all: bool,
        /// No progress
        #[arg(long)]
        quiet: bool,
        /// Change a value of every workload, as scheduler.algorithm=Spread; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
        /// Threads [default: all cores]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
        threads: Option<u16>,
    },
    /// Show what scenarios can refer to
    List {
        /// Which table
        table: Option<Table>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a commented scenario to start from
    Init {
        /// Where to; `-` is stdout
        #[arg(default_value = "scenario.ron")]
        file: PathBuf,
    },
    /// Print the JSON schema of a file format
    Schema {
        /// Which format
        #[arg(default_value = "scenario")]
        of: SchemaOf,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Arguments of the questions about capacity.
#[derive(Debug, clap::Args)]
struct Capacity {
    /// Scenario file
    scenario: PathBuf,
    /// Change a value of the scenario, as regions[0].clients[0].count=9; may be repeated
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
    /// No progress
    #[arg(long, global = true)]
    quiet: bool,
    /// Threads [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Goes {
    /// These client machines
    Nodes {
        /// Names, as us-east-1/dc1-3
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// All client machines of a node class
    Class {
        /// Its name
        name: String,
    },
    /// All client machines in a zone
    Zone {
        /// Its name, as us-east-1/b
        name: String,
    },
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('%').trim().parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..100.0).contains(&value) {
        Ok(value)
    } else {
        Err("it must be at least 0 and less than 100 percent".to_owned())
    }
}

#[derive(Debug, Subcommand)]
enum What {
    /// Why an allocation stands where it does, or why its group could not be placed
    Alloc {
        /// JOB.GROUP[INDEX], its last allocation; a number as a17; or JOB.GROUP, its last refusal
        name: String,
        /// Report folder of the run [default: the only one in reports/]
        #[arg(long, value_name = "DIR")]
        report: Option<PathBuf>,
        /// Scenario file, if it is no longer where the report says
        #[arg(long, value_name = "FILE")]
        scenario: Option<PathBuf>,
        /// Run of the report [default: its first seed]
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Only in this region
        #[arg(long, value_name = "NAME")]
        region: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Tables of `cossim list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// What can happen in a timeline
    Timeline,
    /// What is measured
    Metrics,
    /// Networks and disks by name
    Presets,
    /// Machine types
    Instances,
    /// Values the model rests on, and where each comes from
    Parameters,
}

/// What ends a comparison with exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Anything that became worse
    Regression,
    /// Anything that changed
    Difference,
}

/// How a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For the summary of a build.
    Markdown,
    /// For views of tests.
    Junit,
    /// Annotations of a GitHub workflow.
    Github,
}

/// One output of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// How it is written.
    pub style: Style,
    /// Where to; `None` is stdout.
    pub file: Option<PathBuf>,
}

/// `FORMAT` or `FORMAT=FILE`.
fn format(text: &str) -> Result<Format, String> {
    let (name, file) = text.split_once('=').map_or((text, None), |(name, file)| (name, Some(file)));
    let style = match name {
        "text" => Style::Text,
        "json" => Style::Json,
        "markdown" => Style::Markdown,
        "junit" => Style::Junit,
        "github" => Style::Github,
        _ => return Err(format!("`{name}` is none of text, json, markdown, junit, github")),
    };
    if file == Some("") {
        return Err(format!("a file is missing after `{name}=`"));
    }
    Ok(Format { style, file: file.map(PathBuf::from) })
}

/// A baseline's name is a folder's.
fn baseline_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && !text.starts_with(['.', '-']) {
        return Ok(text.to_owned());
    }
    Err("use 1 to 64 letters, digits, `-`, `_` and `.`; it names a folder".to_owned())
}

/// Where baselines are if nobody says otherwise.
const BASELINES: &str = "baselines";

/// Formats of `cossim schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The scenario file
    Scenario,
    /// summary.json
    Summary,
    /// What `cossim compare --format json` writes
    Comparison,
    /// sweep.json
    Sweep,
    /// sensitivity.json
    Sensitivity,
}

impl Args {
    /// What is meant by it.
    pub fn meant(self) -> Command {
        match self.verb {
            Verb::Explain { what: What::Alloc { name, report, scenario, seed, region, json } } => {
                Command::Explain(Explain { name, report, scenario, seed, region, json })
            }
            Verb::Run {
                scenario,
                seed,
                seeds,
                out,
                json,
                quiet,
                set,
                threads,
                explain,
                sensitivity,
                save_baseline,
                baselines,
            } => Command::Run(Run {
                scenario,
                edits: set,
                seeds: match (seed, seeds) {
                    (Some(seed), _) => Seeds::One(seed),
                    (None, Some(count)) => Seeds::First(count),
                    (None, None) => Seeds::Scenario,
                },
                out,
                json,
                quiet,
                threads: threads.map(usize::from),
                explain,
                sensitivity,
                baseline: save_baseline,
                baselines,
            }),
            Verb::Compare {
                base,
                head,
                set,
                base_set,
                head_set,
                seeds,
                baselines,
                tolerances,
                mut format,
                json,
                fail_on,
                across_versions,
                across_scenarios,
                quiet,
                threads,
            } => {
                format.extend(json.then_some(Format { style: Style::Json, file: None }));
                Command::Compare(Compare {
                    base,
                    head,
                    edits: set,
                    base_edits: base_set,
                    head_edits: head_set,
                    seeds: seeds.map_or(Seeds::Scenario, Seeds::First),
                    baselines,
                    tolerances,
                    formats: format,
                    fail_on,
                    across_versions,
                    across_scenarios,
                    quiet,
                    threads: threads.map(usize::from),
                })
            }
            Verb::Plan { typed } => Command::Plan(typed.meant()),
            Verb::Compact { typed, trials, homeless, hard } => {
                Command::Compact(typed.meant(), Trials { count: trials, homeless: homeless / 100.0, hard })
            }
            Verb::Remove { typed, what } => {
                let gone = match what {
                    Goes::Nodes { names } => Gone::Nodes(names),
                    Goes::Class { name } => Gone::Class(name),
                    Goes::Zone { name } => Gone::Zone(name),
                };
                Command::Remove(typed.meant(), gone)
            }
            Verb::Sweep(sweep) => Command::Sweep(Box::new(sweep)),
            Verb::Sensitivity(sensitivity) => Command::Sensitivity(sensitivity),
            Verb::Check { scenario, replay, quiet, set } => {
                Command::Check(Check { scenario, edits: set, replay, quiet })
            }
            Verb::Report { folder, sensitivity } => Command::Report { folder, sensitivity },
            Verb::Quality { folder, save, all, quiet, set, threads } => {
                Command::Quality(Quality { folder, edits: set, save, all, quiet, threads: threads.map(usize::from) })
            }
            Verb::List { table, json } => Command::List { table, json },
            Verb::Init { file } => Command::Init { file },
            Verb::Schema { of } => Command::Schema(of),
            Verb::Completions { shell } => Command::Completions(shell),
        }
    }
}

impl Capacity {
    fn meant(self) -> super::Capacity {
        let Self { scenario, set: edits, json, quiet, threads } = self;
        super::Capacity { scenario, edits, json, quiet, threads: threads.map(usize::from) }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 an expectation or invariant failed, a figure got worse, or --fail-on \
applies; 2 the command line or the scenario is wrong; 3 cossim broke its own promise; \
4 --fail-on applies but there are too few seeds to tell; 130 interrupted.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_was_typed_becomes_what_is_meant() {
        let args =
            Args::try_parse_from(["cossim", "run", "s.ron", "--seeds", "3", "--set", "a=1", "--set", "b=2"]).unwrap();
        let Command::Run(run) = args.meant() else { panic!("a run was asked for") };
        assert_eq!((run.seeds, run.edits), (Seeds::First(3), vec!["a=1".to_owned(), "b=2".to_owned()]));
        assert_eq!(Seeds::One(7).list(10), [7]);
        assert!(Args::try_parse_from(["cossim", "run", "s.ron", "--seed", "1", "--seeds", "2"]).is_err());
    }
}
