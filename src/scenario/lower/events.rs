//! The timeline: faults and operator actions.

use std::sync::Arc;

use super::Lowering;
use super::naming::label_of;
use super::operators::region_of;
use super::target::Cast;
use super::work::Placed;
use super::work::Roofs;
use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::release::Behaviour;
use crate::scenario::quantity;
use crate::scenario::schema;
use crate::world::spec::Action;
use crate::world::spec::Degradation;
use crate::world::spec::Entry;
use crate::world::spec::EntryId;
use crate::world::spec::MachineId;
use crate::world::spec::MachineSpec;
use crate::world::spec::OutageKind;
use crate::world::spec::ProcessKind;
use crate::world::spec::Side;
use crate::world::spec::Target;

/// What one written entry means; an action in several regions is several entries.
pub(super) struct Meaning {
    pub(super) label: String,
    pub(super) lasts: Option<Duration>,
    pub(super) actions: Vec<Action>,
    /// Priority of the evaluation that operators asked for.
    pub(super) eval_priority: Option<u8>,
}

impl Lowering<'_> {
    pub(super) fn timeline(
        &mut self,
        machines: &IdVec<MachineId, MachineSpec>,
        roofs: &Roofs,
        jobs: &[Placed],
        duration: Duration,
    ) -> IdVec<EntryId, Entry> {
        let (placed, registered) = self.registrations(machines, roofs, jobs);
        let datacenters = self.geography.datacenters.clone();
        let names: Vec<(Arc<str>, RegionId)> =
            placed.iter().map(|job| (job.spec.job.name.clone(), job.spec.region)).collect();
        let by_name: OrdMap<&str, MachineId> = machines.iter().map(|(id, machine)| (&*machine.name, id)).collect();
        let cast = Cast { specs: machines, machines: &by_name, jobs: &names, datacenters: &datacenters };
        let mut out = IdVec::new();
        for (index, schema::At(at, action)) in self.scenario.timeline.iter().enumerate() {
            let path = format!("timeline[{index}]");
            let at = self.duration(&format!("{path}[0]"), at);
            if at >= duration && !duration.is_zero() {
                self.error(
                    "E007",
                    &format!("{path}[0]"),
                    format!("nothing happens at {at}: the run ends at {duration}"),
                )
                .hint("make `duration` longer, or let it happen earlier");
            }
            let Some(meaning) = self.meaning(&path, action, &placed, &registered[index], cast) else { continue };
            let several = meaning.actions.len() > 1;
            for action in meaning.actions {
                let label = match region_of(&action) {
                    Some(region) if several => {
                        format!("{} in {}", meaning.label, self.geography.regions[region].name).into()
                    }
                    Some(_) | None => meaning.label.as_str().into(),
                };
                let (at, lasts, eval_priority) = (Time::ZERO + at, meaning.lasts, meaning.eval_priority);
                out.push(Entry { at, lasts, label, written: index, action, eval_priority });
            }
        }
        self.scaled_allocations(&placed, &out);
        out
    }

    /// What an entry means; `None` if something is wrong with it, all of which was reported.
    fn meaning(
        &mut self,
        path: &str,
        action: &schema::Action,
        placed: &[Placed],
        registered: &[Placed],
        cast: Cast<'_>,
    ) -> Option<Meaning> {
        match action {
            schema::Action::ProcessKill { target, process, lasts } => {
                let found = self.findings.len();
                let hit = self.process_target(path, target, process.as_ref(), cast);
                let is_of_tasks = matches!(&hit, Some(Target { process: ProcessKind::Tasks(_), .. }));
                let kill = self.fault(path, action, lasts.as_ref(), hit.map(Action::ProcessKill));
                if is_of_tasks && lasts.is_some() && self.findings.len() == found {
                    let message =
                        "tasks that are killed start again by the rules of their group: `lasts` holds none down";
                    self.warning("W010", &format!("{path}.lasts"), message)
                        .hint("leave `lasts` out, or write `ProcessPause`, which keeps tasks from working so long");
                }
                kill
            }
            schema::Action::ProcessPause { target, process, lasts } => {
                let hit = self.process_target(path, target, process.as_ref(), cast).map(Action::ProcessPause);
                self.fault(path, action, lasts.as_ref(), hit)
            }
            schema::Action::ProcessRestart { target, process } => {
                let hit = self.process_target(path, target, process.as_ref(), cast).map(Action::ProcessRestart);
                self.fault(path, action, None, hit)
            }
            schema::Action::NodeCrash { target, lasts } => {
                let hit = self.target(&format!("{path}.target"), &target.0, cast).map(Action::NodeCrash);
                self.fault(path, action, lasts.as_ref(), hit)
            }
            schema::Action::ZoneOutage { .. }
            | schema::Action::RegionOutage { .. }
            | schema::Action::Partition { .. }
            | schema::Action::LinkDegrade { .. } => self.place_fault(path, action, cast),
            schema::Action::SlowDisk { target, factor, lasts } => {
                let hit = self.target(&format!("{path}.target"), &target.0, cast);
                let factor = factor.map(|factor| self.number(&format!("{path}.factor"), factor, 1.0..=1e6));
                let slow = hit.map(|hit| Action::SlowDisk(hit, factor));
                self.fault(path, action, lasts.as_ref(), slow)
            }
            schema::Action::SlowCpu { target, factor, lasts } => {
                let hit = self.target(&format!("{path}.target"), &target.0, cast);
                let factor = self.number(&format!("{path}.factor"), *factor, 1.0..=1e6);
                let slow = hit.map(|hit| Action::SlowCpu(hit, factor));
                self.fault(path, action, lasts.as_ref(), slow)
            }
            schema::Action::EvalPriority { priority, of } => {
                let known = Behaviour::of(self.nomad_release()).eval_priority_override;
                self.needs_release(
                    path,
                    "evaluations get a priority of their own from Nomad 1.1.10 and 1.2.4 on",
                    known,
                );
                let priority = self.count(&format!("{path}.priority"), *priority, 1..=100);
                if !matches!(
                    **of,
                    schema::Action::RegisterJob(_)
                        | schema::Action::UpdateImage { .. }
                        | schema::Action::StopJob { .. }
                ) {
                    self.error("E015", &format!("{path}.of"), "this has no evaluation of its own")
                        .hint("a priority goes with `RegisterJob`, `UpdateImage` and `StopJob`");
                    // What else is wrong with it is said all the same.
                    self.meaning(&format!("{path}.of"), of, placed, registered, cast);
                    return None;
                }
                let inner = self.operator(&format!("{path}.of"), of, placed, registered, cast)?;
                let label = format!("{} at priority {priority}", inner.label);
                Some(Meaning { label, eval_priority: u8::try_from(priority).ok(), ..inner })
            }
            _ => self.operator(path, action, placed, registered, cast),
        }
    }

    /// Every version of every job, those of the start first; and what each entry registers. Jobs that the timeline
    /// itself registers can be aimed at as well.
    fn registrations(
        &mut self,
        machines: &IdVec<MachineId, MachineSpec>,
        roofs: &Roofs,
        jobs: &[Placed],
    ) -> (Vec<Placed>, Vec<Vec<Placed>>) {
        let entries = &self.scenario.timeline;
        let times: Vec<Time> = entries
            .iter()
            .map(|schema::At(at, _)| Time::ZERO + quantity::duration(&at.0).unwrap_or(Duration::ZERO))
            .collect();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|index| times[*index]);
        let mut placed: Vec<Placed> = jobs.to_vec();
        let mut registered: Vec<Vec<Placed>> = vec![Vec::new(); entries.len()];
        for index in order {
            let (path, source_path, action) = match &entries[index].1 {
                schema::Action::EvalPriority { of, .. } => {
                    (format!("timeline[{index}].of"), format!("timeline[{index}].of[0]"), &**of)
                }
                action => (format!("timeline[{index}]"), format!("timeline[{index}][1][0]"), action),
            };
            let mut added = match action {
                schema::Action::RegisterJob(source) => {
                    let added = self.job_source(&source_path, source);
                    for job in &added {
                        self.is_of_one_namespace(&source_path, job, &placed);
                    }
                    added
                }
                update @ schema::Action::UpdateImage { .. } => self.updated(&path, update, times[index], &placed),
                _ => Vec::new(),
            };
            self.fit(roofs, &added);
            self.unplaced(machines, &added);
            for job in &mut added {
                job.spec.at = times[index];
            }
            placed.extend(added.iter().cloned());
            registered[index] = added;
        }
        (placed, registered)
    }

    /// Faults of zones, regions and links.
    fn place_fault(&mut self, path: &str, action: &schema::Action, cast: Cast<'_>) -> Option<Meaning> {
        let kind_of = |kind: schema::OutageKind| match kind {
            schema::OutageKind::Power => OutageKind::Power,
            schema::OutageKind::Network => OutageKind::Network,
        };
        match action {
            schema::Action::ZoneOutage { zone, kind, lasts } => {
                let found = zone.split_once('/').and_then(|(region, name)| {
                    let region = self.geography.region(region)?;
                    self.geography.zone_in(region, name)
                });
                if found.is_none() {
                    let known = self.geography.zone_names();
                    self.unknown(&format!("{path}.zone"), "zone", zone, known.iter().map(String::as_str));
                }
                let outage = found.map(|zone| Action::ZoneOutage(zone, kind_of(*kind)));
                self.fault(path, action, lasts.as_ref(), outage)
            }
            schema::Action::RegionOutage { region, kind, lasts } => {
                let found = self.region(&format!("{path}.region"), region);
                let outage = found.map(|region| Action::RegionOutage(region, kind_of(*kind)));
                self.fault(path, action, lasts.as_ref(), outage)
            }
            schema::Action::Partition { from, to, one_way, lasts } => {
                let sides = self.sides(path, from, to, cast);
                let cut = sides.map(|(from, to)| Action::Partition { from, to, symmetric: !one_way });
                self.fault(path, action, lasts.as_ref(), cut)
            }
            schema::Action::LinkDegrade { from, to, one_way, lasts, .. } => {
                let sides = self.sides(path, from, to, cast);
                let change = self.degradation(path, action);
                let worse = sides.map(|(from, to)| Action::LinkDegrade { from, to, symmetric: !one_way, change });
                self.fault(path, action, lasts.as_ref(), worse)
            }
            _ => None,
        }
    }

    /// A fault that lasts; `action` is `None` if something is wrong with it.
    fn fault(
        &mut self,
        path: &str,
        written: &schema::Action,
        lasts: Option<&schema::DurationText>,
        action: Option<Action>,
    ) -> Option<Meaning> {
        let path = format!("{path}.lasts");
        let lasts = lasts.map(|text| self.span_or(&path, Some(text), Duration::ZERO));
        Some(Meaning { label: label_of(written), lasts, actions: vec![action?], eval_priority: None })
    }

    fn process_target(
        &mut self,
        path: &str,
        target: &schema::TargetText,
        process: Option<&schema::Process>,
        cast: Cast<'_>,
    ) -> Option<Target> {
        let hit = self.target(&format!("{path}.target"), &target.0, cast);
        let kind = match process {
            None => None,
            Some(schema::Process::Agent) => Some(ProcessKind::Main),
            Some(schema::Process::ConsulAgent) => {
                let region = hit.as_ref().map(|hit| &self.geography.regions[self.region_hit(&hit.among, cast)]);
                if let Some(region) = region.filter(|region| !region.has_consul()) {
                    let message = format!("there are no Consul agents in `{}`", region.name);
                    self.error("E015", &format!("{path}.process"), message).hint("give the region Consul servers");
                }
                Some(ProcessKind::CatalogAgent)
            }
            Some(schema::Process::Tasks(job)) => {
                if !cast.jobs.iter().any(|(name, _)| **name == **job) {
                    self.unknown(&format!("{path}.process"), "job", job, cast.jobs.iter().map(|(name, _)| &**name));
                } else if hit.as_ref().is_some_and(|hit| !Self::are_clients(&hit.among, cast)) {
                    self.error("E008", &format!("{path}.target"), "servers run no tasks")
                        .hint("aim at client machines, or leave `process` out");
                }
                Some(ProcessKind::Tasks(job.as_str().into()))
            }
        };
        let hit = hit?;
        Some(Target { process: kind.unwrap_or(hit.process), ..hit })
    }

    fn sides(
        &mut self,
        path: &str,
        from: &schema::TargetText,
        to: &schema::TargetText,
        cast: Cast<'_>,
    ) -> Option<(Side, Side)> {
        let left = self.side(&format!("{path}.from"), &from.0, cast);
        let right = self.side(&format!("{path}.to"), &to.0, cast);
        if let (Some(Side::Rest), Some(Side::Rest)) = (&left, &right) {
            self.error("E008", &format!("{path}.from"), "both sides are `rest`").hint("name one side");
            return None;
        }
        let (left, right) = (left?, right?);
        if self.is_same_side(&left, &right, cast) {
            self.error("E008", &format!("{path}.to"), "both sides are the same")
                .hint("name another side, or leave `to` out: everything else");
            return None;
        }
        Some((left, right))
    }

    fn degradation(&mut self, path: &str, action: &schema::Action) -> Degradation {
        let mut change = Degradation {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: crate::base::units::Ratio::ZERO,
            duplicate: crate::base::units::Ratio::ZERO,
            reorder: crate::base::units::Ratio::ZERO,
            bandwidth: None,
        };
        if let schema::Action::LinkDegrade { delay, jitter, loss, duplicate, reorder, bandwidth, .. } = action {
            change.delay = self.duration_or(&format!("{path}.delay"), delay.as_ref(), Duration::ZERO);
            change.jitter = self.duration_or(&format!("{path}.jitter"), jitter.as_ref(), Duration::ZERO);
            change.loss = self.share_or_zero(&format!("{path}.loss"), loss.as_ref());
            change.duplicate = self.share_or_zero(&format!("{path}.duplicate"), duplicate.as_ref());
            change.reorder = self.share_or_zero(&format!("{path}.reorder"), reorder.as_ref());
            change.bandwidth = bandwidth.as_ref().map(|text| self.width(&format!("{path}.bandwidth"), text));
            if delay.is_none()
                && jitter.is_none()
                && loss.is_none()
                && duplicate.is_none()
                && reorder.is_none()
                && bandwidth.is_none()
            {
                self.error("E015", path, "this entry changes nothing about the link")
                    .hint("give at least one of `delay`, `jitter`, `loss`, `duplicate`, `reorder`, `bandwidth`");
            }
        }
        change
    }
}
