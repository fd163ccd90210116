//! The suite of scheduler quality: baselines are what Nomad's scheduler comes to, worse schedulers are caught, and a
//! change that does not matter is not.
//!
//! `COSSIM_REWRITE=1` writes the baselines anew. A change of them is a change of results.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};

use cossim::analysis::batch::Wish;
use cossim::analysis::compare::Verdict;
use cossim::analysis::ensemble::{Plan, run_all};
use cossim::analysis::quality::judge::{Judged, judge};
use cossim::analysis::quality::{Scores, Workload, baseline, play, workloads};
use cossim::base::rng::Rng;
use cossim::model::alloc::AllocId;
use cossim::protocol::orchestrator::policy::{Ask, Choice, Offer, Plugged, Policy};
use cossim::protocol::orchestrator::search;
use cossim::protocol::scheduler::preempt::is_eligible;
use cossim::protocol::scheduler::rank::NodeScore;
use cossim::report::quality::verdicts;
use cossim::scenario;

#[path = "../../examples/own_scheduler.rs"]
mod own_scheduler;

/// Nomad's choice with other scores: what most mistakes in a scheduler come to.
#[derive(Debug)]
struct Scored {
    name: &'static str,
    score: fn(&Offer<'_>) -> f64,
}

impl Policy for Scored {
    fn name(&self) -> &str {
        self.name
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        search::best(ask.limit, || offers.next(), |offer| (self.score)(offer)).map(|offer| Choice::of(&offer))
    }
}

/// Nomad's choice, but of equal nodes the last met instead of the first: in a random order, neither is better.
#[derive(Debug)]
struct LastOfEquals;

impl Policy for LastOfEquals {
    fn name(&self) -> &'static str {
        "last of equals"
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        let mut met = (0_u32..).zip(offers);
        let score = |(number, offer): &(u32, Offer<'_>)| offer.scores.mean() + f64::from(*number) * 1e-12;
        search::best(ask.limit, || met.next(), score).map(|(_, offer)| Choice::of(&offer))
    }
}

/// Any node that fits.
#[derive(Debug)]
struct RandomNode;

impl Policy for RandomNode {
    fn name(&self) -> &'static str {
        "random node"
    }

    fn place(&self, _: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, rng: &mut Rng) -> Option<Choice> {
        let offers: Vec<Offer<'_>> = offers.collect();
        rng.pick(&offers).map(Choice::of)
    }
}

/// The first node by number.
#[derive(Debug)]
struct FirstFit;

impl Policy for FirstFit {
    fn name(&self) -> &'static str {
        "first fit"
    }

    fn place(&self, _: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        offers.min_by_key(|offer| offer.node.id).map(|offer| Choice::of(&offer))
    }
}

/// Nomad's choice, but nobody is pushed out.
#[derive(Debug)]
struct NoPreemption;

impl Policy for NoPreemption {
    fn name(&self) -> &'static str {
        "no preemption"
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, rng: &mut Rng) -> Option<Choice> {
        if ask.preempts { None } else { NOMAD.place(ask, offers, rng) }
    }
}

/// Nomad's choice, but where somebody has to go, everybody goes who may.
#[derive(Debug)]
struct Ruthless;

impl Policy for Ruthless {
    fn name(&self) -> &'static str {
        "ruthless"
    }

    fn place(&self, ask: &Ask<'_>, offers: &mut dyn Iterator<Item = Offer<'_>>, rng: &mut Rng) -> Option<Choice> {
        let choice = NOMAD.place(ask, offers, rng)?;
        let entry = ask.state.node(choice.node)?;
        let live = entry.live.iter().filter_map(|id| ask.state.alloc(*id));
        let others: Vec<AllocId> =
            live.filter(|alloc| is_eligible(ask.job.priority, alloc)).map(|alloc| alloc.id).collect();
        Some(if ask.preempts { Choice { victims: Some(others), ..choice } } else { choice })
    }
}

/// Breaks the contract.
#[derive(Debug)]
struct Liar;

impl Policy for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn place(&self, ask: &Ask<'_>, _: &mut dyn Iterator<Item = Offer<'_>>, _: &mut Rng) -> Option<Choice> {
        ask.state.nodes().ids().next().map(|node| Choice { node, victims: None })
    }
}

fn scored(name: &'static str, score: fn(&Offer<'_>) -> f64) -> Plugged {
    Plugged::new(Scored { name, score })
}

const NOMAD: Scored = Scored { name: "nomad", score: |offer| offer.scores.mean() };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("quality")
}

fn suite() -> Vec<Workload> {
    workloads(&folder(), &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn under(workload: &Workload, policy: Option<&Plugged>) -> Scores {
    let mut workload = workload.clone();
    workload.world.options.scheduler.policy = policy.cloned();
    play(&workload, Some(2), |_| Wish::GoOn).expect("virtual time does not stand still")
}

/// Writes the baselines anew, once and before anybody reads them, if that is asked for.
fn renew() {
    static RENEWED: Once = Once::new();
    RENEWED.call_once(|| {
        if std::env::var_os("COSSIM_REWRITE").is_some() {
            for workload in suite() {
                let path = baseline::path(&folder(), &workload.name);
                baseline::write(&path, &under(&workload, None)).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    });
}

/// What becomes of these workloads under a policy.
fn judged(policy: &Plugged, workloads: &[&Workload]) -> Vec<Judged> {
    renew();
    let names = workloads.iter().map(|workload| &*workload.name);
    let before = baseline::read_all(&folder(), names).unwrap_or_else(|error| panic!("{error}"));
    let now: Vec<Scores> = workloads.iter().map(|workload| under(workload, Some(policy))).collect();
    judge(&before, &now).unwrap_or_else(|mismatch| panic!("{mismatch}"))
}

#[test]
fn baselines_are_what_nomad_comes_to() {
    renew();
    let suite = suite();
    assert!(suite.len() >= 12);
    for workload in suite {
        let (now, path) = (under(&workload, None), baseline::path(&folder(), &workload.name));
        let committed = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(committed, baseline::text(&now), "{}", workload.name);
    }
}

/// Each of these is worse where the workload that stresses it looks, in the metric that tells it.
#[test]
fn worse_schedulers_are_caught() {
    let suite = suite();
    let mut missed = Vec::new();
    for (policy, workload, metric) in [
        (Plugged::new(RandomNode), "heavy-tailed", "placement.queued"),
        (Plugged::new(RandomNode), "zone-spread", "placement.evenness{attribute=meta.zone"),
        (Plugged::new(FirstFit), "anti-affinity", "placement.anti_affinity_violations"),
        (
            scored("blind to its own", |offer| NodeScore { job_anti_affinity: None, ..offer.scores }.mean()),
            "anti-affinity",
            "placement.anti_affinity_violations",
        ),
        (
            scored("spread upside down", |offer| {
                NodeScore { spread: offer.scores.spread.map(|spread| -spread), ..offer.scores }.mean()
            }),
            "zone-spread",
            "placement.evenness{attribute=meta.zone",
        ),
        (Plugged::new(NoPreemption), "preemption", "placement.queued"),
        (Plugged::new(Ruthless), "preemption", "placement.preemptions"),
        (
            scored("worst fit", |offer| NodeScore { fit: 1.0 - offer.scores.fit, ..offer.scores }.mean()),
            "fragmentation-trap",
            "placement.queued",
        ),
        (
            scored("blind to affinities", |offer| NodeScore { affinity: None, ..offer.scores }.mean()),
            "device-jobs",
            "placement.queued",
        ),
    ] {
        let workload = suite.iter().find(|own| own.name == workload).expect("it is in the suite");
        let found = judged(&policy, &[workload]);
        let rows = &found[0].comparison.rows;
        let caught = rows.iter().any(|row| row.verdict == Verdict::Regression && row.metric.starts_with(metric));
        if !caught {
            let (name, table) = (policy.policy().name().to_owned(), verdicts(&found, true));
            missed.push(format!("{name} on {}: no regression of {metric}\n{table}", workload.name));
        }
    }
    assert!(missed.is_empty(), "\n{}", missed.join("\n"));
}

#[test]
fn another_tie_break_is_no_regression() {
    let policy = Plugged::new(LastOfEquals);
    let suite = suite();
    let found = judged(&policy, &suite.iter().collect::<Vec<_>>());
    let differs = found.iter().any(|judged| !judged.comparison.identical);
    let flagged = found.iter().any(|judged| judged.is_worse() || judged.is_undecided());
    assert!(differs && !flagged, "\n{}", verdicts(&found, false));
}

/// The seam loses nothing: Nomad's choice made through it is Nomad's, event by event.
#[test]
fn a_policy_that_does_what_nomad_does_changes_no_byte() {
    for workload in suite().iter().filter(|workload| workload.name != "day-of-churn") {
        let digests = |policy: Option<Plugged>| {
            let mut world = workload.world.clone();
            world.options.scheduler.policy = policy;
            let (spec, windows) = (Arc::new(world), Vec::new());
            let plan = Plan { spec, windows, seeds: vec![1, 2], threads: Some(2), explains: false };
            let runs = run_all(&plan, |_| Wish::GoOn).expect("virtual time does not stand still");
            runs.iter().map(|run| run.digest).collect::<Vec<_>>()
        };
        assert_eq!(digests(Some(Plugged::new(NOMAD))), digests(None), "{}", workload.name);
    }
}

#[test]
#[should_panic(expected = "policy `liar` chose n0, which it was not offered")]
fn a_policy_that_breaks_its_contract_is_named() {
    let suite = suite();
    let workload = suite.iter().find(|own| own.name == "near-full").expect("it is in the suite");
    under(workload, Some(&Plugged::new(Liar)));
}

#[test]
fn the_example_runs() {
    renew();
    own_scheduler::main().expect("the suite can be run and compared");
}

/// Exit code, stdout and stderr of `cossim quality` with these arguments.
fn cossim(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cossim")).arg("quality").args(arguments).output();
    let output = output.expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_saves_compares_and_says_what_is_wrong() {
    let scratch = std::env::temp_dir().join(format!("cossim-quality-{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("a scratch folder can be made");
    let (name, workload) = (scratch.to_str().expect("it has a plain name"), scratch.join("trap.ron"));
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("error[E120]: no workloads in"), "{said}");
    let text = fs::read_to_string(folder().join("fragmentation-trap.ron")).expect("it is in the suite");
    fs::write(&workload, &text).expect("a workload can be written");
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("error[E121]: cannot read") && said.contains("--save"), "{said}");
    let (code, table, said) = cossim(&[name, "--save"]);
    assert!(code == Some(0) && table.contains("placement.queued{region=r} mean"), "{table}");
    assert!(said.contains("1 of 1: fragmentation-trap, 16 seeds"), "{said}");
    let (code, table, said) = cossim(&[name, "--quiet"]);
    assert_eq!((code, &*said), (Some(0), ""));
    assert!(table.starts_with("1 workload, 1 identical: 0 figures worse, 0 better, 0 without evidence"), "{table}");
    let (code, table, _) = cossim(&[name, "--set", "scheduler.algorithm=Spread"]);
    assert!(code == Some(1) && table.contains("regression"), "{table}");
    fs::write(scratch.join("baselines/gone.txt"), "").expect("a baseline can be written");
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("no workload belongs to") && said.contains("gone.txt"), "{said}");
    fs::remove_file(scratch.join("baselines/gone.txt")).expect("a baseline can be removed");
    fs::copy(&workload, scratch.join("trap2.ron")).expect("a workload can be copied");
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("are called `fragmentation-trap`"), "{said}");
    fs::remove_file(scratch.join("trap2.ron")).expect("a workload can be removed");
    fs::write(&workload, text.replacen("500 MHz", "550 MHz", 1)).expect("a workload can be written");
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("`fragmentation-trap` has changed since its baseline"), "{said}");
    fs::write(&workload, text.replacen("seeds", "sseeds", 1)).expect("a workload can be written");
    let (code, _, said) = cossim(&[name]);
    assert!(code == Some(2) && said.contains("error[E002]"), "{said}");
    fs::remove_dir_all(&scratch).expect("a scratch folder can be removed");
}

/// No files: an example names none.
struct Nothing;

impl scenario::lower::Files for Nothing {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        Err(format!("{path} is not read in an example"))
    }
}

/// The manual shows the policy of the example, a workload that is one, and every workload there is.
#[test]
fn the_manual_tells_the_truth() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
    let manual = read("docs/quality.md");
    let block = |kind: &str| manual.split(&format!("```{kind}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let policy = block("rust").expect("it shows a policy");
    let example = read("examples/own_scheduler.rs");
    assert!(example.contains(policy), "the policy shown is not that of the example");
    assert!(example.lines().count() <= 60);
    let loaded = scenario::load_text("quality.md", block("ron").expect("it shows a workload"), &[], &Nothing);
    assert!(loaded.lowered.is_some(), "{}", loaded.sources.render(&loaded.findings, false));
    for workload in suite() {
        assert!(manual.contains(&format!("| `{}` |", workload.name)), "{} is not in the manual", workload.name);
    }
    for command in ["cossim quality", "cossim quality --save", "cargo run --release --example own_scheduler"] {
        assert!(manual.contains(&format!("    {command}\n")), "{command}");
    }
}
