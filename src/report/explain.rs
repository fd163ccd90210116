//! The story of one decision: what asked for it, what it replaces, which nodes could take it, what ruled the others
//! out, and why this one won.

use serde::Serialize;

use crate::analysis::explain::{Story, Subject};
use crate::analysis::summary::make::rejection;
use crate::base::time::Time;
use crate::measure::placement::Placement;
use crate::measure::reasons::{GivenUp, Refusal, Rejection, Why};
use crate::model::job::JobKind;
use crate::model::topology::RegionId;
use crate::report::reason::{Pass, SCORERS, counts, machine_name, passes, rounded};
use crate::report::text::{align, line, plural, section};
use crate::world::event::Instance;
use crate::world::spec::MachineId;

/// The whole of it, as JSON shows it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Account {
    /// Version of cossim.
    pub cossim: String,
    /// Name of the scenario.
    pub scenario: String,
    /// The seed of the run.
    pub seed: u64,
    /// Region.
    pub region: String,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// The allocation; absent if it could not be placed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alloc: Option<Stay>,
    /// What asked for it.
    pub evaluation: Request,
    /// The evaluations that led to that one, the newest first.
    pub caused_by: Vec<Cause>,
    /// The allocations it replaces, the newest first.
    pub replaces: Vec<Stay>,
    /// The allocations it pushed out, or would have.
    pub preempts: Vec<Stay>,
    /// The passes over the nodes: one, or a second one that could push others out.
    pub passes: Vec<Pass>,
    /// Why it came out so, in a sentence.
    pub verdict: String,
    /// How the evaluation ended, if nodes were chosen and the plans to use them rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GaveUp>,
}

/// An evaluation that gave up because its plans were rejected.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GaveUp {
    /// When it ended, in seconds.
    pub at_s: f64,
    /// Plans of it in which nodes rejected their part.
    pub plans_rejected: u32,
    /// Which nodes did, and why.
    pub rejections: Vec<RejectedPart>,
    /// Evaluations for the group that ended so in the run.
    pub evaluations: u32,
    /// Allocations the group still wants at the end of the run.
    pub queued: u32,
    /// The blocked evaluation that it left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// When that one was released again; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_s: Option<f64>,
}

/// A node's part of plans.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RejectedPart {
    /// The node's machine.
    pub machine: String,
    /// Why it was rejected.
    pub reason: String,
    /// How often.
    pub count: u32,
}

/// The verdict on a group whose plans were rejected.
const REJECTED: &str = "a node was chosen, but the plans to use it were rejected until the evaluation gave up";

/// An allocation and how it fared.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stay {
    /// Its number.
    pub id: String,
    /// `<job>.<group>[<index>]`.
    pub name: String,
    /// Priority of its job.
    pub priority: u8,
    /// Where it stands.
    pub machine: String,
    /// In which zone.
    pub zone: String,
    /// When it was written, in seconds.
    pub placed_s: f64,
    /// When its first task ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_s: Option<f64>,
    /// When it no longer held resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_s: Option<f64>,
    /// How: what the servers wanted, and what its client said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// The evaluation.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Request {
    /// Its number.
    pub id: String,
    /// Why it exists.
    pub trigger: String,
    /// Its priority.
    pub priority: u8,
    /// The machine whose node changed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// When it was created.
    pub created_s: f64,
    /// When a worker computed the decision.
    pub decided_s: f64,
    /// Which attempt that was.
    pub attempt: u32,
}

/// An evaluation that led to another.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cause {
    /// Its number.
    pub id: String,
    /// Why it exists.
    pub trigger: String,
    /// When the broker first had it.
    pub enqueued_s: f64,
}

/// Longest chain that is told.
const CHAIN_MAX: usize = 100;

impl Account {
    /// What a story comes to; `None` if it has no explanation.
    pub fn new(story: &Story) -> Option<Self> {
        let mut given_up = None;
        let (region, placement, why) = match &story.subject {
            Subject::Placed(instance) => {
                let placement = story.placements.placement(*instance)?;
                (instance.region, Some(placement), placement.why.as_deref()?)
            }
            Subject::Refused { region, job, group } => {
                let refusal = story.placements.refusal(*region, job, group)?;
                if let Refusal::GivenUp(it) = refusal {
                    given_up = Some(it);
                }
                (*region, None, refusal.why())
            }
        };
        let spec = &story.spec;
        let selection = why.selection();
        let chosen = selection.chosen.as_ref();
        let stay = |alloc| {
            let instance = Instance { region, alloc };
            story.placements.placement(instance).map(|placement| stay(story, placement))
        };
        let mut replaces = Vec::new();
        let mut next = selection.previous;
        while let Some(placement) = next.and_then(|alloc| story.placements.placement(Instance { region, alloc }))
            && replaces.len() < CHAIN_MAX
        {
            replaces.push(self::stay(story, placement));
            next = placement.previous;
        }
        let passes = passes(spec, region, why);
        Some(Self {
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: spec.name.to_string(),
            seed: story.seed,
            region: spec.regions[region].name.to_string(),
            name: format!("{}.{}[{}]", selection.job, selection.group, selection.name_index),
            alloc: placement.map(|placement| self::stay(story, placement)),
            evaluation: Request {
                id: why.eval.id.to_string(),
                trigger: why.eval.trigger.to_string(),
                priority: why.eval.priority,
                machine: why.eval.node.map(|node| machine_name(spec, region, node)),
                created_s: why.eval.create_time.as_secs_f64(),
                decided_s: why.decided_at.as_secs_f64(),
                attempt: selection.attempt,
            },
            caused_by: causes(story, region, why),
            replaces,
            preempts: chosen.into_iter().flat_map(|chosen| &chosen.preempted).filter_map(|a| stay(*a)).collect(),
            verdict: given_up.map_or_else(|| verdict(why.eval.kind, &passes), |_| REJECTED.to_owned()),
            given_up: given_up.map(|given_up| self::given_up(story, region, given_up)),
            passes,
        })
    }

    /// As text, ending in a newline.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let run = format!("seed {} of {}", self.seed, self.scenario);
        match &self.alloc {
            Some(alloc) => {
                let place = format!("{} (zone {})", alloc.machine, alloc.zone);
                line(&mut out, &format!("{} is {}: on {place} from {}", self.name, alloc.id, seconds(alloc.placed_s)));
                line(&mut out, &format!("{run}, region {}", self.region));
            }
            None => {
                line(&mut out, &format!("{} could not be placed", self.name));
                line(&mut out, &format!("{run}, region {}, at {}", self.region, seconds(self.evaluation.decided_s)));
            }
        }
        self.request(&mut out);
        stays("what it replaces, newest first", &self.replaces, &mut out);
        for pass in &self.passes {
            pass_text(pass, &mut out);
        }
        let title = if self.alloc.is_some() { "pushed out for it" } else { "would have been pushed out for it" };
        stays(title, &self.preempts, &mut out);
        section(&mut out, if self.alloc.is_some() { "why this one" } else { "why not" });
        line(&mut out, &format!("  {}", self.verdict));
        if let Some(given_up) = &self.given_up {
            given_up.text(&mut out);
        }
        out
    }

    /// As JSON, ending in a newline.
    pub fn json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("a tree of strings and finite numbers");
        format!("{text}\n")
    }

    fn request(&self, out: &mut String) {
        section(out, "what asked for it");
        let it = &self.evaluation;
        let about = it.machine.as_ref().map_or(String::new(), |machine| format!(" of {machine}"));
        let attempt = if it.attempt > 1 { format!(", at attempt {}", it.attempt) } else { String::new() };
        let (created, decided) = (seconds(it.created_s), seconds(it.decided_s));
        let text = format!("{}: {}{about}, priority {}, created at {created}", it.id, it.trigger, it.priority);
        line(out, &format!("  evaluation {text}, decided at {decided}{attempt}"));
        for cause in &self.caused_by {
            line(out, &format!("  after {}: {}, enqueued at {}", cause.id, cause.trigger, seconds(cause.enqueued_s)));
        }
    }
}

impl GaveUp {
    fn text(&self, out: &mut String) {
        for part in &self.rejections {
            line(out, &format!("  rejected by {} {}: {}", part.machine, times(part.count), part.reason));
        }
        let (plans, at) = (plural(self.plans_rejected as usize, "rejected plan"), seconds(self.at_s));
        line(out, &format!("  the evaluation gave up at {at} after {plans} (max-plan-attempts)"));
        match (&self.blocked, self.released_s) {
            (None, _) => {}
            (Some(id), Some(released)) => {
                line(out, &format!("  {id} was blocked in its stead, until {}", seconds(released)));
            }
            (Some(id), None) if self.queued > 0 => line(out, &format!("  {id} is blocked in its stead since {at}")),
            (Some(id), None) => line(out, &format!("  {id} was blocked in its stead from {at}")),
        }
        let (all, queued) = (plural(self.evaluations as usize, "evaluation"), self.queued);
        line(out, &format!("  {all} for the group ended so in the run; at its end {queued} of it wait for a place"));
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn given_up(story: &Story, region: RegionId, given_up: &GivenUp) -> GaveUp {
    let selection = given_up.why.selection();
    let released = given_up.blocked.and_then(|id| story.evals.get(&(region, id)));
    let part = |((machine, why), count): (&(MachineId, Rejection), &u32)| RejectedPart {
        machine: story.spec.machines[*machine].name.to_string(),
        reason: rejection(*why),
        count: *count,
    };
    GaveUp {
        at_s: given_up.at.as_secs_f64(),
        plans_rejected: given_up.rejections.plans,
        rejections: given_up.rejections.nodes.iter().map(part).collect(),
        evaluations: given_up.evals,
        queued: story.placements.wanted(region, given_up.why.eval.job, &selection.group),
        blocked: given_up.blocked.map(|id| id.to_string()),
        released_s: released.map(|birth| birth.at.as_secs_f64()),
    }
}

fn causes(story: &Story, region: RegionId, why: &Why) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut next = why.eval.previous;
    while let Some(id) = next
        && let Some(birth) = story.evals.get(&(region, id))
        && causes.len() < CHAIN_MAX
    {
        let (trigger, enqueued_s) = (birth.trigger.to_string(), birth.at.as_secs_f64());
        causes.push(Cause { id: id.to_string(), trigger, enqueued_s });
        next = birth.previous;
    }
    causes
}

fn stay(story: &Story, placement: &Placement) -> Stay {
    let spec = &story.spec;
    let machine = &spec.machines[placement.machine];
    let second = |at: Time| at.as_secs_f64();
    Stay {
        id: placement.instance.alloc.to_string(),
        name: placement.name(),
        priority: placement.priority,
        machine: machine.name.to_string(),
        zone: spec.zones[machine.zone].name.to_string(),
        placed_s: second(placement.placed_at),
        running_s: placement.running_at.map(second),
        ended_s: placement.ended.map(|(at, ..)| second(at)),
        ended: placement.ended.map(|(_, desired, client)| format!("{desired:?}, {client:?}").to_lowercase()),
    }
}

fn stays(title: &str, stays: &[Stay], out: &mut String) {
    if stays.is_empty() {
        return;
    }
    section(out, title);
    let mut rows = vec![["", "name", "priority", "machine", "placed", "running", "ended", "as"].map(str::to_owned)];
    for stay in stays {
        let at = |at: Option<f64>| at.map_or(String::new(), seconds);
        let ended = stay.ended.clone().unwrap_or_default();
        let (id, name, machine) = (stay.id.clone(), stay.name.clone(), stay.machine.clone());
        let (placed, running, end) = (seconds(stay.placed_s), at(stay.running_s), at(stay.ended_s));
        rows.push([id, name, stay.priority.to_string(), machine, placed, running, end, ended]);
    }
    align(&rows, &[false, false, true, false, true, true, true, false], out);
}

fn pass_text(pass: &Pass, out: &mut String) {
    let alone = match &pass.preferred {
        Some(machine) if pass.nodes <= 1 => format!(" (only {machine} was asked)"),
        _ => String::new(),
    };
    let kind = if pass.preempts { "nodes, if others may be pushed out" } else { "nodes" };
    section(out, &format!("{kind}{alone}"));
    let refusals = &pass.refusals;
    let available: Vec<String> =
        refusals.nodes_available.iter().map(|(datacenter, count)| format!("{count} in {datacenter}")).collect();
    let mut say = |text: String| line(out, &format!("  {text}"));
    say(format!("ready in the job's datacenters: {}", none_or(&available.join(", "))));
    let stops = match pass.limit {
        Some(limit) => format!("the search stops after {}", plural(limit as usize, "candidate")),
        None => "the search has no limit".to_owned(),
    };
    say(format!("looked at {}, {} cut off; {stops}", refusals.evaluated, pass.unseen));
    let mut ruled_out = |word: &str, count: u32, by: &std::collections::BTreeMap<String, u32>, classes| {
        let classes = counts(classes);
        let classes = if classes.is_empty() { classes } else { format!(" (by class: {classes})") };
        let by = if by.is_empty() { String::new() } else { format!(": {}", counts(by)) };
        say(format!("{word} {count}{by}{classes}"));
    };
    ruled_out("filtered", refusals.filtered, &refusals.constraint_filtered, &refusals.class_filtered);
    ruled_out("exhausted", refusals.exhausted, &refusals.dimension_exhausted, &refusals.class_exhausted);
    if !pass.class_reasons.is_empty() {
        say(format!("classes became ineligible earlier in this evaluation by {}", pass.class_reasons.join(", ")));
    }
    if refusals.coalesced_failures > 0 {
        say(format!("{} more of the group were not tried after that", refusals.coalesced_failures));
    }
    if !pass.penalised.is_empty() {
        say(format!("an ancestor failed on {}", pass.penalised.join(", ")));
    }
    candidates(pass, out);
}

fn candidates(pass: &Pass, out: &mut String) {
    if pass.candidates == 0 {
        return;
    }
    let shown = if (pass.best.len() as u32) < pass.candidates { "the best 5 of " } else { "" };
    section(out, &format!("candidates: {shown}{}", pass.candidates));
    let mut header: Vec<String> = ["", "machine", "zone", "class", "met", "score"].map(str::to_owned).into();
    header.extend(SCORERS.map(str::to_owned));
    let mut rows = vec![header];
    for candidate in &pass.best {
        let mark = if candidate.chosen { "*" } else { "" };
        let mut row = vec![mark.to_owned(), candidate.machine.clone(), candidate.zone.clone(), candidate.class.clone()];
        row.extend([candidate.met.to_string(), rounded(candidate.score)]);
        row.extend(SCORERS.map(|name| candidate.scores.get(name).map_or("-".to_owned(), |score| rounded(*score))));
        rows.push(row);
    }
    let right: Vec<bool> = (0..rows[0].len()).map(|column| column > 3).collect();
    align(&rows, &right, out);
}

fn none_or(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Why the last pass came out as it did.
fn verdict(kind: JobKind, passes: &[Pass]) -> String {
    let Some(pass) = passes.last() else { return String::new() };
    let refusals = &pass.refusals;
    let Some(chosen) = pass.best.iter().find(|candidate| candidate.chosen) else {
        if pass.nodes == 0 && refusals.evaluated == 0 {
            return "no node is ready in the job's datacenters".to_owned();
        }
        let (filtered, exhausted) = (refusals.filtered, refusals.exhausted);
        if let Some(machine) = pass.preferred.as_ref().filter(|_| is_system(kind)) {
            let refused = match (filtered, exhausted) {
                (1.., _) => "was ruled out by constraints",
                (_, 1..) => "had no room",
                _ => "had its ports or devices held by others",
            };
            return format!(
                "a system job asks each of its nodes by itself; {machine}, the last that refused, {refused}"
            );
        }
        let rest = refusals.evaluated.saturating_sub(filtered + exhausted);
        let rest = if rest > 0 { format!(", {rest} had their ports or devices held by others") } else { String::new() };
        let all = plural(refusals.evaluated as usize, "node");
        return format!("of {all}, constraints ruled out {filtered} and {exhausted} had no room{rest}");
    };
    let room = if pass.preempts && passes.len() > 1 { "no node had room without pushing others out; " } else { "" };
    let reason = match pass.best.iter().find(|candidate| !candidate.chosen) {
        _ if is_system(kind) => {
            "a system job has an allocation on each of its nodes: only this one was asked".to_owned()
        }
        _ if pass.preferred.as_ref() == Some(&chosen.machine) => {
            "its ancestor stood there and its disk is sticky: the node was tried alone first".to_owned()
        }
        None => "it was the only candidate".to_owned(),
        Some(next) if next.score >= chosen.score && chosen.met < next.met => {
            format!("as good as {} ({}), and met first", next.machine, rounded(next.score))
        }
        Some(next) if next.score >= chosen.score => format!(
            "{} ({}) was met earlier, but set aside: up to three candidates that score 0 or less are, and are come back \
             to only if too few others are found",
            next.machine,
            rounded(next.score)
        ),
        Some(next) => {
            let (won, lost) = (rounded(chosen.score), rounded(next.score));
            format!("the highest mean of its scores: {won}, against {lost} of {}", next.machine)
        }
    };
    format!("{room}{reason}")
}

fn is_system(kind: JobKind) -> bool {
    matches!(kind, JobKind::System | JobKind::SysBatch)
}

fn seconds(at: f64) -> String {
    format!("{at:.3} s")
}
