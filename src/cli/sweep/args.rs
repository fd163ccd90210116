//! What can be typed after `cossim sweep` and `cossim sensitivity`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap::builder::NonEmptyStringValueParser;

use crate::cli::Seeds;
use crate::report::sweep::emit::Engine;

/// `cossim sweep`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Sweep {
    /// A step of a sweep in shards; without one, the whole sweep is run here.
    #[command(subcommand)]
    pub step: Option<Step>,
    /// What is varied.
    #[command(flatten)]
    pub space: Option<Space>,
    /// What becomes of it.
    #[command(flatten)]
    pub here: Here,
}

/// Steps of a sweep in shards.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Step {
    /// Write a plan that shards can be run from, anywhere
    Plan(PlanStep),
    /// Run one shard of a plan; what was run before is not run again
    Run(RunStep),
    /// Put the runs of all shards together
    Merge(MergeStep),
    /// Print a description that lets an engine run all shards
    Emit(EmitStep),
}

/// What is varied, and how.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Space {
    /// Scenario file
    pub scenario: PathBuf,
    /// Vary a value: PATH=12..36/6, PATH=10s,30s or, where the design samples, PATH=1s..60s; may be repeated
    /// [default: what the scenario's `vary` says]
    #[arg(long, value_name = "PATH=VALUES")]
    pub vary: Vec<String>,
    /// How points are chosen
    #[arg(long, value_enum, default_value_t = DesignName::Grid)]
    pub design: DesignName,
    /// Points of `lhs` [default: 10 per value varied], trajectories of `morris` [default: 10, at least 2], rows of
    /// `sobol` [default: 64, at least 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples: Option<u32>,
    /// Seed of a design that samples
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub design_seed: u64,
    /// Measure this too, as 'failover.replace p99'; may be repeated [default: what the scenario expects]
    #[arg(long, value_name = "MEASURE")]
    pub metric: Vec<String>,
    /// Run only this seed at each point
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub seed: Option<u64>,
    /// Run this many seeds at each point, from 1, instead of as many as the scenario says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub seeds: Option<u32>,
    /// Change a value at every point, as traffic[0].rate=800/s; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
}

/// What becomes of a sweep that runs here.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Here {
    /// Folder of the result [default: reports/<scenario>-sweep or reports/<scenario>-sensitivity]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with what was begun there
    #[arg(long)]
    pub resume: bool,
    /// Print the result as JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

/// `cossim sweep plan`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PlanStep {
    /// What is varied.
    #[command(flatten)]
    pub space: Space,
    /// Into how many shards it is meant to be cut
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub shards: u32,
    /// Folder of the plan
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `cossim sweep run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunStep {
    /// Folder of the plan
    pub plan: PathBuf,
    /// Which shard of how many; they are numbered from 0
    #[arg(long, value_name = "I/N", default_value = "0/1")]
    pub shard: Shard,
    /// Folder of the results; all shards of a sweep may share it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
    /// No progress
    #[arg(long)]
    pub quiet: bool,
}

/// `cossim sweep merge`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MergeStep {
    /// Folders of results; those of shards that wrote apart are named one after the other
    #[arg(required = true)]
    pub results: Vec<PathBuf>,
    /// The sweep, if the folder holds several
    #[arg(long, value_name = "DIGEST")]
    pub sweep: Option<String>,
    /// Folder of the result [default: reports/<scenario>-sweep]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the result as JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// No talk
    #[arg(long)]
    pub quiet: bool,
}

/// `cossim sweep emit`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EmitStep {
    /// Folder of the plan
    pub plan: PathBuf,
    /// For which engine
    #[arg(long, value_enum)]
    pub engine: EngineName,
    /// Into how many shards [default: as the plan says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub shards: Option<u32>,
    /// Folder of the plan where the shards run [default: as named here; /sweep/plan in containers]
    #[arg(long, value_name = "DIR")]
    pub plan_there: Option<String>,
    /// Folder of the results where the shards run [default: results; /sweep/results in containers]
    #[arg(long, value_name = "DIR")]
    pub results_there: Option<String>,
    /// The program where the shards run
    #[arg(long, value_name = "PROGRAM", default_value = "cossim", value_parser = NonEmptyStringValueParser::new())]
    pub program: String,
    /// The image that holds it, for engines that run containers
    #[arg(long, value_name = "IMAGE", default_value = "cossim:latest", value_parser = NonEmptyStringValueParser::new())]
    pub image: String,
}

/// Designs by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DesignName {
    /// Every combination of values
    Grid,
    /// First values together, then second ones, and so on
    List,
    /// Latin hypercube
    Lhs,
    /// Elementary effects: which values matter
    Morris,
    /// Variance-based indices: how much each contributes
    Sobol,
}

impl DesignName {
    /// As typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::List => "list",
            Self::Lhs => "lhs",
            Self::Morris => "morris",
            Self::Sobol => "sobol",
        }
    }
}

/// Engines by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// GNU parallel
    Parallel,
    /// Slurm job array
    Slurm,
    /// Kubernetes Indexed Job
    #[value(alias = "k8s")]
    Kubernetes,
    /// Nomad batch job
    Nomad,
    /// `HyperQueue` task array
    Hyperqueue,
}

impl EngineName {
    /// The engine.
    pub const fn engine(self) -> Engine {
        match self {
            Self::Parallel => Engine::Parallel,
            Self::Slurm => Engine::Slurm,
            Self::Kubernetes => Engine::Kubernetes,
            Self::Nomad => Engine::Nomad,
            Self::Hyperqueue => Engine::HyperQueue,
        }
    }
}

/// One shard of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: usize,
    /// Of how many; more than `index`.
    pub count: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a shard is written `I/N`, as `0/8` for the first of eight".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let index: usize = index.trim().parse().map_err(|_| wrong())?;
        let count: usize = count.trim().parse().map_err(|_| wrong())?;
        if index >= count {
            return Err(format!("there is no shard {index} of {count}: shards are numbered from 0"));
        }
        Ok(Self { index, count })
    }
}

impl Space {
    /// Which seeds.
    pub fn seeds(&self) -> Seeds {
        match (self.seed, self.seeds) {
            (Some(seed), _) => Seeds::One(seed),
            (None, Some(count)) => Seeds::First(count),
            (None, None) => Seeds::Scenario,
        }
    }

    /// How many threads; `None` for as many as there are cores.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }
}

/// `cossim sensitivity`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Sensitivity {
    /// Scenario file
    pub scenario: PathBuf,
    /// Vary a value over a range or a list; may be repeated [default: what the scenario's `vary` says, or else what is
    /// assumed in it]
    #[arg(long, value_name = "PATH=VALUES")]
    pub vary: Vec<String>,
    /// Trajectories of the screening
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub trajectories: u32,
    /// Rows of the indices
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=50_000))]
    pub rows: u32,
    /// Seed of the designs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub design_seed: u64,
    /// Measure this too, as 'failover.replace p99'; may be repeated [default: what the scenario expects]
    #[arg(long, value_name = "MEASURE")]
    pub metric: Vec<String>,
    /// Run this many seeds at each point, from 1, instead of as many as the scenario says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub seeds: Option<u32>,
    /// Change a value at every point, as traffic[0].rate=800/s; may be repeated
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
    /// What becomes of it; results are in the folders `screening` and `indices` below `--out`.
    #[command(flatten)]
    pub here: Here,
}
