//! What operators do: to jobs, deployments, nodes and servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ALLOCATIONS_MAX;
use super::Lowering;
use super::events::Meaning;
use super::naming::label_of;
use super::target::Cast;
use super::work::Placed;
use crate::base::id::IdVec;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Launch;
use crate::model::job::Payload;
use crate::model::node::Eligibility;
use crate::model::topology::RegionId;
use crate::scenario::quantity;
use crate::scenario::schema;
use crate::world::spec::Action;
use crate::world::spec::Entry;
use crate::world::spec::EntryId;
use crate::world::spec::GroupOf;
use crate::world::spec::NodeDeed;
use crate::world::spec::Order;

impl Lowering<'_> {
    /// The operators' entries; `None` if it is none, or wrong.
    pub(super) fn operator(
        &mut self,
        path: &str,
        action: &schema::Action,
        placed: &[Placed],
        registered: &[Placed],
        cast: Cast<'_>,
    ) -> Option<Meaning> {
        match action {
            schema::Action::RegisterJob(_) => {
                let name = registered.first()?.spec.job.name.clone();
                Some(once(format!("register {name}"), registered.iter().map(registration).collect()))
            }
            schema::Action::UpdateImage { .. } => {
                let actions: Vec<Action> = registered.iter().map(registration).collect();
                (!actions.is_empty()).then(|| once(label_of(action), actions))
            }
            schema::Action::ScaleJob { job, group, count, region } => {
                self.scale(path, (job, group.as_deref()), *count, region.as_deref(), placed)
            }
            schema::Action::StopJob { job, purge, region } => {
                let found = self.jobs_named(path, job, region.as_deref(), placed);
                let stop = |(region, placed): (RegionId, Placed)| Action::StopJob {
                    region,
                    job: placed.spec.job.name.clone(),
                    purge: *purge,
                };
                Some(once(label_of(action), found.into_iter().map(stop).collect()))
            }
            schema::Action::DrainNodes { .. }
            | schema::Action::CancelDrain { .. }
            | schema::Action::NodeEligibility { .. }
            | schema::Action::EvaluateNodes { .. } => self.nodes(path, action, cast),
            schema::Action::CollectGarbage { region } => {
                self.everywhere(path, action, region.as_deref(), &Order::CollectGarbage)
            }
            schema::Action::PauseBroker { paused, region } => {
                let known = self.nomad_release_of_scenario() >= (1, 3, 2);
                self.needs_release(path, "the broker can be paused from Nomad 1.3.2 on", known);
                self.everywhere(path, action, region.as_deref(), &Order::PauseBroker(*paused))
            }
            schema::Action::RejectRegistrations { rejected, region } => {
                let release = self.nomad_release_of_scenario();
                let known = release >= (1, 2, 4) || ((1, 1, 10)..(1, 2, 0)).contains(&release);
                self.needs_release(path, "registrations can be rejected from Nomad 1.1.10 and 1.2.4 on", known);
                self.everywhere(path, action, region.as_deref(), &Order::RejectRegistrations(*rejected))
            }
            _ => self.job_order(path, action, placed),
        }
    }

    /// Orders about a job that exists.
    fn job_order(&mut self, path: &str, action: &schema::Action, placed: &[Placed]) -> Option<Meaning> {
        let (job, region) = job_of(action)?;
        let numbers = self.numbers(path, action);
        let found = self.jobs_named(path, job, region, placed);
        let mut actions = Vec::new();
        let mut label = String::new();
        for (region, known) in found {
            let name = known.spec.job.name.clone();
            // The newest version is what the rules are about.
            let newest = placed.iter().rev().find(|other| other.spec.region == region && other.spec.job.name == name);
            let newest = newest.map_or(&known.spec.job, |newest| &newest.spec.job);
            let (text, order) = self.order(path, action, &numbers, name, newest)?;
            label = text;
            actions.push(Action::Order { region, order });
        }
        (!actions.is_empty()).then(|| once(label, actions))
    }

    /// What an order says in numbers, whatever job it is about.
    fn numbers(&mut self, path: &str, action: &schema::Action) -> Numbers {
        let mut numbers = Numbers::default();
        match action {
            schema::Action::DispatchJob { payload, count, .. } => {
                let payload_path = format!("{path}.payload");
                let bytes = |text: &schema::SizeText| self.quantity(&payload_path, quantity::bytes(&text.0));
                numbers.payload_bytes = payload.as_ref().map_or(0, bytes);
                if numbers.payload_bytes > PAYLOAD_MAX {
                    self.error("E015", &payload_path, "a payload has at most 16 KiB").hint("give it `16 KiB` or less");
                }
                numbers.count = self.count(&format!("{path}.count"), count.unwrap_or(1), 1..=100_000);
            }
            schema::Action::StopAlloc { index, .. } => {
                numbers.index = self.count(&format!("{path}.index"), *index, 0..=ALLOCATIONS_MAX);
            }
            schema::Action::SetHealth { healthy, unhealthy, .. } => {
                if healthy.is_empty() && unhealthy.is_empty() {
                    self.error("E015", path, "this entry says nothing of any allocation")
                        .hint("name some in `healthy` or `unhealthy`, as `healthy: [0, 1]`");
                }
                for (at, both) in unhealthy.iter().enumerate().filter(|(_, index)| healthy.contains(index)) {
                    let message = format!("allocation {both} is said to be both healthy and unhealthy");
                    self.error("E015", &format!("{path}.unhealthy[{at}]"), message)
                        .hint("leave it out of one of the two lists");
                }
                numbers.health = [("healthy", healthy), ("unhealthy", unhealthy)].map(|(field, written)| {
                    let numbered = written.iter().enumerate();
                    numbered
                        .map(|(at, index)| self.count(&format!("{path}.{field}[{at}]"), *index, 0..=ALLOCATIONS_MAX))
                        .collect()
                });
            }
            _ => {}
        }
        numbers
    }

    fn order(
        &mut self,
        path: &str,
        action: &schema::Action,
        numbers: &Numbers,
        job: Arc<str>,
        spec: &Job,
    ) -> Option<(String, Order)> {
        let found = match action {
            schema::Action::RevertJob { version, .. } => {
                let text = version.map_or(String::new(), |version| format!(" to version {version}"));
                (format!("revert {job}{text}"), Order::RevertJob { job, version: *version })
            }
            schema::Action::EvaluateJob { force_reschedule, .. } => {
                if spec.is_parent() {
                    self.error("E015", &format!("{path}.job"), format!("job `{job}` runs through children only"))
                        .hint("use `ForcePeriodic` or `DispatchJob`");
                    return None;
                }
                let order = Order::EvaluateJob { job: job.clone(), force_reschedule: *force_reschedule };
                (label_of(action), order)
            }
            schema::Action::PromoteDeployment { groups, .. } => {
                for (index, group) in groups.iter().enumerate().filter(|(_, group)| spec.group(group).is_none()) {
                    let names: Vec<&str> = spec.groups.iter().map(|group| &*group.name).collect();
                    self.unknown(&format!("{path}.groups[{index}]"), "group", group, names.iter().copied());
                }
                let groups = groups.iter().map(|group| group.as_str().into()).collect();
                (label_of(action), Order::PromoteDeployment { job, groups })
            }
            schema::Action::PauseDeployment { .. } => (label_of(action), Order::PauseDeployment(job)),
            schema::Action::ResumeDeployment { .. } => (label_of(action), Order::ResumeDeployment(job)),
            schema::Action::FailDeployment { .. } => (label_of(action), Order::FailDeployment(job)),
            schema::Action::ForcePeriodic { .. } => {
                if !matches!(spec.launch, Launch::Periodic(_)) {
                    self.error("E015", &format!("{path}.job"), format!("job `{job}` is not periodic"))
                        .hint("give it `periodic`, or name a job that has it");
                    return None;
                }
                (label_of(action), Order::ForceLaunch(job))
            }
            schema::Action::DispatchJob { meta, .. } => {
                let payload_bytes = self.dispatch(path, spec, meta, numbers.payload_bytes)?;
                let (meta, count) = (meta.clone().into_iter().collect(), numbers.count);
                (label_of(action), Order::Dispatch { job, meta, payload_bytes, count })
            }
            _ => return self.allocations(path, action, numbers, spec),
        };
        Some(found)
    }

    /// What Nomad checks of a dispatch; returns the size of the payload in bytes.
    fn dispatch(&mut self, path: &str, spec: &Job, meta: &BTreeMap<String, String>, bytes: u64) -> Option<u32> {
        let Launch::Parameterized(rules) = &spec.launch else {
            self.error("E015", &format!("{path}.job"), format!("job `{}` is not parameterized", spec.name))
                .hint("give it `parameterized`, or name a job that has it");
            return None;
        };
        match rules.payload {
            Payload::Required if bytes == 0 => {
                self.error("E015", path, format!("job `{}` requires a payload", spec.name)).hint("add `payload`");
            }
            Payload::Forbidden if bytes > 0 => {
                self.error("E015", &format!("{path}.payload"), format!("job `{}` forbids a payload", spec.name))
                    .hint("leave `payload` out");
            }
            Payload::Required | Payload::Forbidden | Payload::Optional => {}
        }
        for missing in rules.meta_required.iter().filter(|key| !meta.contains_key(*key)) {
            self.error("E015", path, format!("job `{}` requires `{missing}` in `meta`", spec.name))
                .hint(format!("add `meta: {{\"{missing}\": \"…\"}}`"));
        }
        let known: Vec<&str> = rules.meta_required.iter().chain(&rules.meta_optional).map(String::as_str).collect();
        for key in meta.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unknown(&format!("{path}.meta.{key}"), "metadata of the job called", key, known.iter().copied());
        }
        Some(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// The same order in every region, or in the one that is said.
    fn everywhere(
        &mut self,
        path: &str,
        action: &schema::Action,
        region: Option<&str>,
        order: &Order,
    ) -> Option<Meaning> {
        let regions = match region {
            Some(region) => vec![self.region(&format!("{path}.region"), region)?],
            None => self.geography.regions.ids().collect(),
        };
        let actions = regions.into_iter().map(|region| Action::Order { region, order: order.clone() }).collect();
        Some(once(label_of(action), actions))
    }

    /// What is done to nodes.
    fn nodes(&mut self, path: &str, action: &schema::Action, cast: Cast<'_>) -> Option<Meaning> {
        let (target, deed) = match action {
            schema::Action::DrainNodes { target, deadline, no_deadline, force, ignore_system_jobs } => {
                let said = [deadline.is_some(), *no_deadline, *force].into_iter().filter(|said| *said).count();
                if said > 1 {
                    self.error("E015", path, "a drain has a `deadline`, or `no_deadline`, or is by `force`")
                        .hint("leave all but one of these out");
                }
                let hour = Duration::from_hours(1);
                let given = self.span_or(&format!("{path}.deadline"), deadline.as_ref(), hour);
                let deadline = if *force { Some(Duration::ZERO) } else { (!no_deadline).then_some(given) };
                (target, NodeDeed::Drain { deadline, ignore_system_jobs: *ignore_system_jobs })
            }
            schema::Action::CancelDrain { target, keep_ineligible } => {
                (target, NodeDeed::CancelDrain { mark_eligible: !keep_ineligible })
            }
            schema::Action::NodeEligibility { target, eligible: true } => {
                (target, NodeDeed::Eligibility(Eligibility::Eligible))
            }
            schema::Action::NodeEligibility { target, eligible: false } => {
                (target, NodeDeed::Eligibility(Eligibility::Ineligible))
            }
            schema::Action::EvaluateNodes { target } => (target, NodeDeed::Evaluate),
            _ => return None,
        };
        let path = format!("{path}.target");
        let hit = self.target(&path, &target.0, cast)?;
        if !Self::are_clients(&hit.among, cast) {
            self.error("E008", &path, "servers are no nodes: no work is placed on them").hint("aim at client machines");
            return None;
        }
        Some(once(label_of(action), vec![Action::Nodes { target: hit, deed }]))
    }

    /// The newest version of a job at an instant, with another image.
    pub(super) fn updated(&mut self, path: &str, action: &schema::Action, at: Time, placed: &[Placed]) -> Vec<Placed> {
        let schema::Action::UpdateImage { job, image, group, task, region } = action else { return Vec::new() };
        if image.trim().is_empty() {
            self.error("E015", &format!("{path}.image"), "no image is named").hint("name one, as `web:2`");
            return Vec::new();
        }
        let mut out = Vec::new();
        for (region, first) in self.jobs_named(path, job, region.as_deref(), placed) {
            let versions = placed.iter().filter(|other| {
                other.spec.region == region && other.spec.job.name == first.spec.job.name && other.spec.at <= at
            });
            let mut next = versions.max_by_key(|version| version.spec.at).cloned().unwrap_or(first);
            let mut spec = Job::clone(&next.spec.job);
            let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
            let mut changed = 0;
            for known in spec.groups.iter_mut().filter(|known| is(group, &known.name)) {
                for known in known.tasks.iter_mut().filter(|known| is(task, &known.name)) {
                    if let Some(config) = with_image(&known.config, image) {
                        known.config = config;
                        changed += 1;
                    }
                }
            }
            if changed == 0 {
                self.error("E015", path, format!("no task of job `{job}` that is meant here has an image"))
                    .hint("give its tasks an `image`, or register another version with `RegisterJob`");
                return Vec::new();
            }
            next.spec.job = Arc::new(spec);
            out.push(next);
        }
        out
    }

    fn scale(
        &mut self,
        path: &str,
        (job, group): (&str, Option<&str>),
        count: u64,
        region: Option<&str>,
        placed: &[Placed],
    ) -> Option<Meaning> {
        let count = self.count(&format!("{path}.count"), count, 0..=ALLOCATIONS_MAX);
        let found = self.jobs_named(path, job, region, placed);
        let mut actions = Vec::new();
        for (region, placed) in found {
            if matches!(placed.spec.job.kind, JobKind::System | JobKind::SysBatch) {
                let message = format!("job `{job}` is a system job: it runs on every node and cannot be scaled");
                self.error("E015", path, message).hint("change the number of client nodes instead".to_owned());
                return None;
            }
            let group = self.group_of(path, &placed.spec.job, group)?;
            let job = placed.spec.job.name.clone();
            actions.push(Action::ScaleJob { region, job, group, count });
        }
        Some(once(format!("scale {job} to {count}"), actions))
    }

    /// The group that is named, or the only one.
    pub(super) fn group_of(&mut self, path: &str, job: &Job, group: Option<&str>) -> Option<Arc<str>> {
        let names: Vec<&str> = job.groups.iter().map(|group| &*group.name).collect();
        match group {
            Some(group) if names.contains(&group) => Some(group.into()),
            None if names.len() == 1 => Some(names[0].into()),
            Some(group) => {
                self.unknown(&format!("{path}.group"), "group", group, names.iter().copied());
                None
            }
            None => {
                let hint = format!("add `group:`, one of `{}`", names.join("`, `"));
                self.error("E015", path, format!("job `{}` has {} groups", job.name, names.len())).hint(hint);
                None
            }
        }
    }

    /// What is done to allocations by name: to one, or to some of a deployment.
    fn allocations(
        &mut self,
        path: &str,
        action: &schema::Action,
        numbers: &Numbers,
        spec: &Job,
    ) -> Option<(String, Order)> {
        let job = spec.name.clone();
        if matches!(spec.kind, JobKind::System | JobKind::SysBatch) || spec.is_parent() {
            let message = format!("the allocations of job `{job}` cannot be told apart by their numbers");
            self.error("E015", &format!("{path}.job"), message).hint(
                "this is for service and batch jobs that run themselves, not for system jobs or launched children",
            );
            return None;
        }
        match action {
            schema::Action::StopAlloc { group, .. } => {
                let (group, index) = (self.group_of(path, spec, group.as_deref())?, numbers.index);
                Some((format!("stop {job}.{group}[{index}]"), Order::StopAlloc(GroupOf { job, group }, index)))
            }
            schema::Action::SetHealth { group, .. } => {
                let group = self.group_of(path, spec, group.as_deref())?;
                let health = numbers.health.clone();
                Some((label_of(action), Order::SetHealth(GroupOf { job, group }, health)))
            }
            _ => None,
        }
    }

    /// The job of this name in the region, or in each region that has it.
    fn jobs_named(
        &mut self,
        path: &str,
        name: &str,
        region: Option<&str>,
        placed: &[Placed],
    ) -> Vec<(RegionId, Placed)> {
        let only = region.map(|region| self.region(&format!("{path}.region"), region));
        // An unknown region leaves open where the job is meant to be: then anywhere will do.
        let (only, is_known) = (only.flatten(), only.is_none_or(|found| found.is_some()));
        let mut found: Vec<(RegionId, Placed)> = Vec::new();
        for job in placed.iter().filter(|job| *job.spec.job.name == *name) {
            let of = job.spec.region;
            if only.is_none_or(|only| only == of) && !found.iter().any(|(region, _)| *region == of) {
                found.push((of, job.clone()));
            }
        }
        if found.is_empty() {
            let names: Vec<Arc<str>> = placed.iter().map(|job| job.spec.job.name.clone()).collect();
            self.unknown(&format!("{path}.job"), "job", name, names.iter().map(|name| &**name));
        }
        if is_known { found } else { Vec::new() }
    }

    /// Scaling must not go beyond what can be run.
    pub(super) fn scaled_allocations(&mut self, placed: &[Placed], entries: &IdVec<EntryId, Entry>) {
        let registered: u64 = placed.iter().map(Placed::allocations).fold(0, u64::saturating_add);
        let scaled = entries.as_slice().iter().fold(0_u64, |sum, entry| match &entry.action {
            Action::ScaleJob { count, .. } => sum.saturating_add(u64::from(*count)),
            Action::Order { region, order: Order::Dispatch { job, count, .. } } => {
                let of = placed.iter().rev().find(|known| known.spec.region == *region && known.spec.job.name == *job);
                sum.saturating_add(of.map_or(0, Placed::allocations).saturating_mul(u64::from(*count)))
            }
            _ => sum,
        });
        let total = registered.saturating_add(scaled);
        if total > ALLOCATIONS_MAX {
            let message = format!("{total} allocations are more than cossim runs ({ALLOCATIONS_MAX})");
            self.error("E006", "timeline", message).hint("scale to less, or dispatch fewer");
        }
    }
}

/// What orders about jobs say in numbers; zero, or none, where an order has no such number.
#[derive(Debug, Default)]
struct Numbers {
    /// Dispatches.
    count: u32,
    /// Size of a payload.
    payload_bytes: u64,
    /// Number in the name of an allocation.
    index: u32,
    /// Numbers of the allocations said to be healthy, and of those said to be not.
    health: [Vec<u32>; 2],
}

/// The region of an operator's action.
pub(super) fn region_of(action: &Action) -> Option<RegionId> {
    match action {
        Action::RegisterJob { region, .. }
        | Action::ScaleJob { region, .. }
        | Action::StopJob { region, .. }
        | Action::Order { region, .. } => Some(*region),
        Action::ProcessKill(_)
        | Action::ProcessPause(_)
        | Action::ProcessRestart(_)
        | Action::NodeCrash(_)
        | Action::ZoneOutage(..)
        | Action::RegionOutage(..)
        | Action::Partition { .. }
        | Action::LinkDegrade { .. }
        | Action::SlowDisk(..)
        | Action::SlowCpu(..)
        | Action::Nodes { .. } => None,
    }
}

fn once(label: String, actions: Vec<Action>) -> Meaning {
    Meaning { label, lasts: None, actions, eval_priority: None }
}

fn registration(job: &Placed) -> Action {
    Action::RegisterJob { region: job.spec.region, job: job.spec.job.clone() }
}

/// The job an order is about, and where.
fn job_of(action: &schema::Action) -> Option<(&str, Option<&str>)> {
    match action {
        schema::Action::RevertJob { job, region, .. }
        | schema::Action::EvaluateJob { job, region, .. }
        | schema::Action::PromoteDeployment { job, region, .. }
        | schema::Action::PauseDeployment { job, region }
        | schema::Action::ResumeDeployment { job, region }
        | schema::Action::FailDeployment { job, region }
        | schema::Action::ForcePeriodic { job, region }
        | schema::Action::StopAlloc { job, region, .. }
        | schema::Action::SetHealth { job, region, .. }
        | schema::Action::DispatchJob { job, region, .. } => Some((job, region.as_deref())),
        _ => None,
    }
}

/// A driver configuration with another image; `None` if it has none. The text is the importer's canonical one.
fn with_image(config: &str, image: &str) -> Option<String> {
    const KEY: &str = "image=\"";
    let start = config.find(KEY)? + KEY.len();
    let mut escaped = false;
    let end = config[start..].find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    })?;
    let quoted: String = image.escape_debug().collect();
    Some(format!("{}{quoted}{}", &config[..start], &config[start + end..]))
}

/// Largest payload of a dispatch, in bytes (Nomad `DispatchPayloadSizeLimit`).
const PAYLOAD_MAX: u64 = 16 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_image_changes() {
        let config = "config{image=\"web:1\";ports=[\"http\"];}";
        assert_eq!(with_image(config, "web:2").as_deref(), Some("config{image=\"web:2\";ports=[\"http\"];}"));
        assert_eq!(with_image("config{command=\"run\";}", "web:2"), None);
        assert_eq!(with_image("image=\"a\\\"b\";", "c").as_deref(), Some("image=\"c\";"));
    }
}
