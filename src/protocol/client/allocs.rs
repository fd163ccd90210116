//! What the client does about allocations: the pull and push loops, predecessors, runners, heartbeat stop.

use std::sync::Arc;

use crate::base::machine::Fx;
use crate::base::ordered::OrdSet;
use crate::base::roll::Roll;
use crate::base::sorted::{SortedMap, search_back};
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::protocol::client::agent::until_multiple;
use crate::protocol::client::agent::{NomadClient, Phase, PushAlarm, Timer};
use crate::protocol::client::alarms::Alarms;
use crate::protocol::client::config::ClientConfig;
use crate::protocol::client::event::Event;
use crate::protocol::client::rpc::Purpose;
use crate::protocol::client::runner::{Desk, HEARTBEAT_STOP_CHECK, Runner};
use crate::protocol::scheduler::message::{AllocsRequest, Request};

impl NomadClient {
    // Pull.

    pub(super) fn pull(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.wanted.is_empty() {
            let request = Request::ClientAllocs { node: self.config.node, min_index: self.pull_index };
            self.call(now, Purpose::Pull, request, fx);
        } else {
            let request = AllocsRequest { ids: self.wanted.clone(), min_index: self.list_index };
            self.call(now, Purpose::Fetch, Request::Allocs(request.into()), fx);
        }
    }

    pub(super) fn listed(&mut self, now: Time, index: u64, allocs: Roll<(AllocId, u64)>, fx: &mut impl Fx<Self>) {
        self.list_index = index;
        // Both lists are ascending, and mostly the same; what was found the same before is not looked at again.
        let mut gone: Vec<AllocId> = Vec::new();
        let agreed =
            self.agreed.as_ref().filter(|agreed| agreed.shares_older(&allocs)).map_or(0, |it| it.older().len());
        let (known, listed) = (self.known[agreed..].iter(), allocs.iter().skip(agreed));
        let same = agreed + known.zip(listed).take_while(|(known, listed)| known == listed).count();
        let mut known = self.known[same..].iter().peekable();
        self.wanted.clear();
        for (id, modified) in allocs.iter().skip(same) {
            while let Some((old, _)) = known.next_if(|(old, _)| old < id) {
                gone.push(*old);
            }
            if known.next_if(|(same, _)| same == id).is_none_or(|(_, known)| known < modified) {
                self.wanted.push(*id);
            }
        }
        gone.extend(known.map(|(old, _)| *old));
        self.agreed = (same >= allocs.older().len()).then_some(allocs);
        if !gone.is_empty() {
            self.known.retain(|(id, _)| gone.binary_search(id).is_err());
        }
        for id in gone {
            self.with_runner(now, id, Runner::kill);
        }
        if self.wanted.is_empty() {
            self.in_step(now);
        }
        self.pull(now, fx);
    }

    pub(super) fn fetched(&mut self, now: Time, allocs: &[Arc<Alloc>], fx: &mut impl Fx<Self>) {
        if allocs.len() < self.wanted.len() {
            self.wanted.clear();
            self.pull_index = 0;
            fx.arm(Timer::Pull, self.rng.timeout(self.config.missing_retry));
            return;
        }
        self.wanted.clear();
        for alloc in allocs {
            let at = search_back(&self.known, |(id, _)| id.cmp(&alloc.id));
            match at {
                Ok(at) => self.known[at].1 = alloc.alloc_modify_index,
                Err(at) => self.known.insert(at, (alloc.id, alloc.alloc_modify_index)),
            }
            let (Ok(at) | Err(at)) = at;
            self.forget_agreed(at);
            if alloc.task_group().stop_after_client_disconnect.is_some() {
                self.stoppable.insert(alloc.id);
            }
            if self.runners.contains(alloc.id) {
                self.with_runner(now, alloc.id, |runner, desk| runner.update(alloc.clone(), desk));
            } else if !alloc.is_terminal() {
                self.add(now, alloc, fx);
            }
        }
        self.in_step(now);
        self.pull(now, fx);
        self.arm_heartbeat_stop(fx);
    }

    /// What is known changed from there on.
    fn forget_agreed(&mut self, from: usize) {
        if self.agreed.as_ref().is_some_and(|agreed| from < agreed.older().len()) {
            self.agreed = None;
        }
    }

    /// The client knows what the servers want.
    pub(super) fn in_step(&mut self, now: Time) {
        self.pull_index = self.list_index;
        if self.reached {
            return;
        }
        self.reached = true;
        let ids: Vec<AllocId> = self.runners.keys().collect();
        for id in ids {
            self.with_runner(now, id, Runner::servers_reached);
        }
    }

    pub(super) fn add(&mut self, now: Time, alloc: &Arc<Alloc>, fx: &mut impl Fx<Self>) {
        let lives =
            |runners: &SortedMap<AllocId, Box<Runner>>, id: AllocId| runners.get(id).is_some_and(|r| !r.is_dead());
        let preempted = alloc.preempted.iter().copied().filter(|id| lives(&self.runners, *id)).collect();
        let is_known = |id: &AllocId| self.known.binary_search_by_key(id, |(known, _)| *known).is_ok();
        let waits_for = alloc.previous.filter(|id| !is_known(id) || lives(&self.runners, *id));
        let mut desk = desk(now, &self.config, &mut self.events, &mut self.alarms, &mut self.images);
        let runner = Runner::new(alloc.clone(), waits_for, preempted, &mut desk);
        self.runners.insert(alloc.id, Box::new(runner));
        self.dirty.insert(alloc.id);
        self.ask_predecessor(now, alloc.id, fx);
    }

    // Predecessors on other nodes.

    pub(super) fn ask_predecessor(&mut self, now: Time, id: AllocId, fx: &mut impl Fx<Self>) {
        let Some(previous) = self.runners.get(id).and_then(|runner| runner.waits_for()) else { return };
        if !self.runners.contains(previous) {
            self.call(now, Purpose::Predecessor(id), Request::Alloc { alloc: previous, min_index: 0 }, fx);
        }
    }

    pub(super) fn predecessor(
        &mut self,
        now: Time,
        id: AllocId,
        index: u64,
        found: Option<&Alloc>,
        fx: &mut impl Fx<Self>,
    ) {
        let Some(previous) = self.runners.get(id).and_then(|runner| runner.waits_for()) else { return };
        // While the machine of an unknown one is away, its replacement runs (`max_client_disconnect`).
        let is_over = |alloc: &Alloc| alloc.is_client_terminal() || alloc.client == ClientStatus::Unknown;
        if found.is_none_or(is_over) {
            self.with_runner(now, id, |runner, desk| runner.other_ended(previous, desk));
        } else {
            self.call(now, Purpose::Predecessor(id), Request::Alloc { alloc: previous, min_index: index }, fx);
        }
    }

    // Push.

    pub(super) fn push(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.phase == Phase::Unregistered {
            return;
        }
        self.push_alarm = PushAlarm::Off;
        self.pushing = self.dirty.as_slice().iter().filter_map(|id| self.runners.get(*id)?.report()).collect();
        self.dirty.clear();
        if !self.pushing.is_empty() {
            self.call(now, Purpose::Push, Request::UpdateAllocs(self.pushing.clone().into()), fx);
        }
    }

    /// Arms the alarm for what the servers are to know, if something is and no report is on its way.
    pub(super) fn arm_push(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.dirty.is_empty() || !self.pushing.is_empty() || self.push_alarm == PushAlarm::Set {
            return;
        }
        let urgent = |id: &AllocId| self.runners.get(*id).is_some_and(|runner| runner.is_report_urgent());
        let (alarm, interval) = if self.config.push_routine <= 1 || self.dirty.as_slice().iter().any(urgent) {
            (PushAlarm::Set, self.config.push_interval)
        } else {
            (PushAlarm::Routine, self.config.push_interval * self.config.push_routine)
        };
        if alarm != self.push_alarm {
            self.push_alarm = alarm;
            fx.arm(Timer::Push, until_multiple(now, interval, self.push_phase));
        }
    }

    pub(super) fn pushed(&mut self) {
        for update in std::mem::take(&mut self.pushing) {
            let Some(runner) = self.runners.get_mut(update.id) else { continue };
            runner.acknowledged(update);
            if runner.report().is_some() {
                self.dirty.insert(update.id);
            } else if runner.is_dead() {
                self.runners.remove(update.id);
                self.stoppable.remove(&update.id);
            }
        }
    }

    // Runners.

    pub(super) fn with_runner(&mut self, now: Time, id: AllocId, act: impl FnOnce(&mut Runner, &mut Desk)) {
        let Some(runner) = self.runners.get_mut(id) else { return };
        let was_dead = runner.is_dead();
        act(runner, &mut desk(now, &self.config, &mut self.events, &mut self.alarms, &mut self.images));
        if runner.report().is_some() {
            self.dirty.insert(id);
        }
        if runner.is_dead() && !was_dead {
            self.other_ended(now, id);
        }
    }

    /// An allocation of this node ended: others may have waited for that.
    pub(super) fn other_ended(&mut self, now: Time, ended: AllocId) {
        let mut changed = Vec::new();
        for (id, runner) in self.runners.iter_mut() {
            let mut desk = desk(now, &self.config, &mut self.events, &mut self.alarms, &mut self.images);
            runner.other_ended(ended, &mut desk);
            if runner.report().is_some() {
                changed.push(id);
            }
        }
        changed.into_iter().for_each(|id| self.dirty.insert(id));
    }

    pub(super) fn wake_runners(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.runner_due = None;
        while let Some((at, id, wake)) = self.alarms.take_due(now) {
            let mut ask = false;
            self.with_runner(now, id, |runner, desk| ask = runner.wake(at, wake, desk).is_some());
            if ask {
                self.ask_predecessor(now, id, fx);
            }
        }
    }

    /// Stops allocations with `stop_after_client_disconnect` that have been cut off for too long.
    pub(super) fn heartbeat_stop(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let silent = now.since(self.last_ok.unwrap_or(self.started));
        let over: Vec<AllocId> =
            self.stop_limits().filter(|(_, limit)| silent > *limit).map(|(alloc, _)| alloc).collect();
        for id in over {
            self.events.push(Event::StoppedWhileDisconnected { alloc: id });
            self.with_runner(now, id, Runner::kill);
        }
        self.arm_heartbeat_stop(fx);
    }

    pub(super) fn arm_heartbeat_stop(&mut self, fx: &mut impl Fx<Self>) {
        if let Some(shortest) = self.stop_limits().map(|(_, limit)| limit).min() {
            fx.arm(Timer::HeartbeatStop, shortest.min(HEARTBEAT_STOP_CHECK));
        }
    }

    /// Allocations that do not outlive a silence of so long, by number.
    fn stop_limits(&self) -> impl Iterator<Item = (AllocId, Duration)> {
        let runners = self.stoppable.iter().filter_map(|id| Some((id, self.runners.get(*id)?)));
        let running = runners.filter(|(_, runner)| !runner.is_ending());
        running.filter_map(|(id, runner)| Some((*id, runner.alloc().task_group().stop_after_client_disconnect?)))
    }
}

fn desk<'a>(
    now: Time,
    config: &'a ClientConfig,
    events: &'a mut Vec<Event>,
    alarms: &'a mut Alarms,
    images: &'a mut OrdSet<u64>,
) -> Desk<'a> {
    Desk { now, config, events, alarms, images }
}
