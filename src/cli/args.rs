//! What was typed.

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use super::Check;
use super::Command;
use super::Explain;
use super::Quality;
use super::Run;
use super::Seeds;

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
    },
    /// Tell why a finished run decided as it did
    Explain {
        #[command(subcommand)]
        what: What,
    },
    /// Check a scenario and print every mistake
    Check {
        /// Scenario file
        scenario: PathBuf,
        /// Also run the first seed twice and point at the first difference
        #[arg(long)]
        replay: bool,
        /// Change a value of the scenario, as traffic[0].rate=800/s; may be repeated
        #[arg(long, value_name = "PATH=VALUE")]
        set: Vec<String>,
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
}

/// Formats of `cossim schema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The scenario file
    Scenario,
    /// summary.json
    Summary,
}

impl Args {
    /// What is meant by it.
    pub fn meant(self) -> Command {
        match self.verb {
            Verb::Explain { what: What::Alloc { name, report, scenario, seed, region, json } } => {
                Command::Explain(Explain { name, report, scenario, seed, region, json })
            }
            Verb::Run { scenario, seed, seeds, out, json, quiet, set, threads, explain } => Command::Run(Run {
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
            }),
            Verb::Check { scenario, replay, set } => Command::Check(Check { scenario, edits: set, replay }),
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

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 an expectation or invariant failed, or a figure got worse; 2 the command \
line or the scenario is wrong; 3 cossim broke its own promise; 130 interrupted.";

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
