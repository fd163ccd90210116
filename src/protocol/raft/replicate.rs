//! The leader's tasks for each peer: replication, one request at a time or pipelined, and heartbeats
//! (HashiCorp raft `replicate`, `replicateTo`, `pipelineReplicate`, `heartbeat`).

use std::mem;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::raft::AppendEntries;
use crate::protocol::raft::AppendHeader;
use crate::protocol::raft::Command;
use crate::protocol::raft::Entry;
use crate::protocol::raft::Index;
use crate::protocol::raft::Msg;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::peer::Beat;
use crate::protocol::raft::peer::Flight;
use crate::protocol::raft::peer::HeartbeatTask;
use crate::protocol::raft::peer::Progress;
use crate::protocol::raft::peer::Wait;
use crate::protocol::raft::peer::backoff;

impl<E: Command> RaftNode<E> {
    /// Starts both tasks for a peer. The replication task looks at the log at once, before the leader's first entry is
    /// durable: what it sends is empty, and the entry follows when that is answered.
    pub(super) fn start_tasks(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let next = self.durable.log.last().next();
        let verified = self.tickets;
        let peer = &mut self.peers[place];
        peer.active = true;
        peer.progress = Progress::new(next, now);
        peer.heartbeat = HeartbeatTask { beat: Beat::Tick, failures: 0, forced: false, verified };
        self.arm_heartbeat(place, fx);
        self.replicate_to(now, place, fx);
    }

    /// Stops both tasks.
    pub(super) fn stop_tasks(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        let peer = &mut self.peers[place];
        if peer.active {
            peer.active = false;
            peer.due_armed = false;
            peer.progress.flights.clear();
            peer.heartbeat.beat = Beat::Tick;
            fx.disarm(Timer::Heartbeat(place as u16));
            fx.disarm(Timer::Replicate(place as u16));
            fx.disarm(Timer::Due(place as u16));
        }
    }

    /// There are new entries for a peer.
    pub(super) fn trigger(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        match progress.wait {
            Wait::Tick if progress.pipeline => self.send_pipelined(now, place, fx),
            Wait::Tick => self.replicate_to(now, place, fx),
            Wait::Backoff | Wait::Answer => progress.triggered = true,
        }
    }

    pub(super) fn replicate_fired(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        if !self.peers[place].active {
            return;
        }
        match self.peers[place].progress.wait {
            Wait::Tick => self.trigger(now, place, fx),
            Wait::Backoff => self.send_one(now, place, fx),
            Wait::Answer => {}
        }
    }

    /// Sends everything up to the current end of the log, request by request.
    fn replicate_to(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        progress.triggered = false;
        progress.target = self.durable.log.last();
        self.next_request(now, place, fx);
    }

    /// The next request of a run, after a pause if the last ones failed.
    fn next_request(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        if progress.failures > 0 {
            progress.wait = Wait::Backoff;
            fx.arm(Timer::Replicate(place as u16), backoff(progress.failures));
        } else {
            self.send_one(now, place, fx);
        }
    }

    fn send_one(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let next = self.peers[place].progress.next;
        let target = self.peers[place].progress.target;
        self.peers[place].progress.wait = Wait::Answer;
        if next <= self.durable.log.base() && self.durable.log.base() > Index::ZERO {
            self.send_snapshot(now, place, fx);
        } else {
            self.send_append(now, place, next, target, fx);
        }
    }

    /// Sends the entries `next..`, at most a batch and at most up to `target`, possibly none. Returns the last one
    /// sent.
    fn send_append(&mut self, now: Time, place: usize, next: Index, target: Index, fx: &mut impl Fx<Self>) -> Index {
        let prev_index = next.previous();
        let prev_term = self.durable.log.term_at(prev_index).expect("the entry before the next one is in the log");
        let seq = self.next_seq();
        let header = AppendHeader { seq, term: self.durable.term, prev_index, prev_term, commit: self.commit };
        let upto = target.min(prev_index.plus(u64::from(self.config.append_entries_max)));
        let to = self.peers[place].id;
        if upto < next {
            self.take_off(place, Flight { seq, upto: Index::ZERO, due: now + self.config.rpc_timeout }, fx);
            fx.send(to, Msg::from(header));
            return prev_index;
        }
        let entries = self.slice(next, upto);
        self.take_off(place, Flight { seq, upto, due: now + self.config.rpc_timeout }, fx);
        fx.send(to, Msg::AppendEntries(Box::new(AppendEntries { header, entries })));
        upto
    }

    /// The entries `from..=to`; peers in step share one copy.
    fn slice(&mut self, from: Index, to: Index) -> Arc<[Entry<E>]> {
        let Role::Leader(leadership) = &mut self.role else { return self.durable.log.slice(from, to) };
        let count = (to.0 - from.0 + 1) as usize;
        match &leadership.slice {
            Some((first, entries)) if *first == from && entries.len() == count => Arc::clone(entries),
            Some(_) | None => {
                let entries = self.durable.log.slice(from, to);
                leadership.slice = Some((from, Arc::clone(&entries)));
                entries
            }
        }
    }

    /// Notes a request on its way, and watches over the patience with it.
    pub(super) fn take_off(&mut self, place: usize, flight: Flight, fx: &mut impl Fx<Self>) {
        self.peers[place].progress.flights.push(flight);
        self.watch(place, fx);
    }

    /// The watch is armed once per period, not per request: by the shortest patience there is, so that it is never set
    /// for later than the first request is due.
    fn watch(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        let peer = &mut self.peers[place];
        if !peer.due_armed {
            peer.due_armed = true;
            fx.arm(Timer::Due(place as u16), self.config.rpc_timeout);
        }
    }

    pub(super) fn due_fired(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let peer = &mut self.peers[place];
        peer.due_armed = false;
        if !peer.active {
            return;
        }
        if let Beat::Answer { due, .. } = peer.heartbeat.beat
            && due <= now
        {
            self.heartbeat_failed(place, fx);
        }
        if self.peers[place].progress.flights.first().is_some_and(|flight| flight.due <= now) {
            self.request_failed(now, place, fx);
        }
        let peer = &mut self.peers[place];
        if let Some(due) = peer.earliest_due() {
            peer.due_armed = true;
            fx.arm(Timer::Due(place as u16), due.since(now).min(self.config.rpc_timeout));
        }
    }

    /// One batch without waiting for earlier answers, as long as there is room in the pipeline.
    fn send_pipelined(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        progress.triggered = false;
        let next = progress.send_next;
        if next <= self.durable.log.base() && self.durable.log.base() > Index::ZERO {
            progress.pipeline = false;
            progress.flights.clear();
            self.replicate_to(now, place, fx);
            return;
        }
        let upto = self.send_append(now, place, next, self.durable.log.last(), fx);
        let progress = &mut self.peers[place].progress;
        progress.send_next = upto.next();
        if progress.flights.len() < self.config.pipeline_depth as usize {
            self.idle(place, fx);
        } else {
            progress.wait = Wait::Answer;
        }
    }

    /// Waits for new entries or the idle interval.
    fn idle(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        self.peers[place].progress.wait = Wait::Tick;
        let pause = self.rng.timeout(self.config.commit);
        fx.arm(Timer::Replicate(place as u16), pause);
    }

    /// Goes back to waiting, unless there is something new already.
    pub(super) fn wait_again(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        if progress.triggered {
            progress.wait = Wait::Tick;
            self.trigger(now, place, fx);
        } else {
            self.idle(place, fx);
        }
    }

    /// The request that an answer belongs to, or `None` if nobody waits for it any more.
    pub(super) fn land(&mut self, from: ProcessId, seq: u32) -> Option<(usize, Flight)> {
        let place = self.peer_place(from)?;
        let flights = &mut self.peers[place].progress.flights;
        let at = flights.iter().position(|flight| flight.seq == seq)?;
        Some((place, flights.remove(at)))
    }

    /// An answer to `AppendEntries`: term, last index before, whether it succeeded and whether to retry at once.
    pub(super) fn append_answered(
        &mut self,
        now: Time,
        from: ProcessId,
        seq: u32,
        (term, last, success, retry_at_once): (Term, Index, bool, bool),
        fx: &mut impl Fx<Self>,
    ) {
        let Some((place, flight)) = self.land(from, seq) else { return };
        if term > self.durable.term {
            self.stale_term(now, place, fx);
            return;
        }
        let progress = &mut self.peers[place].progress;
        progress.last_contact = now;
        if success {
            let was_pipelined = progress.pipeline;
            progress.failures = 0;
            if flight.upto > Index::ZERO {
                progress.next = progress.next.max(flight.upto.next());
                progress.matched = progress.matched.max(flight.upto);
            }
            self.after_success(now, place, was_pipelined, fx);
            self.answered_as_leader(place, fx);
            if flight.upto > Index::ZERO {
                self.count(now, fx);
            }
        } else if mem::take(&mut progress.pipeline) {
            // What to send next is found out by a request that waits for its answer, at the next occasion.
            progress.flights.clear();
            self.wait_again(now, place, fx);
        } else {
            progress.flights.clear();
            progress.next = progress.next.previous().min(last.next()).max(Index(1));
            progress.failures = if retry_at_once { 0 } else { progress.failures + 1 };
            self.go_on(now, place, fx);
        }
    }

    /// What the task does after a success: a pipeline takes the room, a single request leads to the next or a pipeline.
    fn after_success(&mut self, now: Time, place: usize, was_pipelined: bool, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        if was_pipelined {
            if progress.wait == Wait::Answer {
                self.wait_again(now, place, fx);
            }
        } else if progress.next <= progress.target {
            self.next_request(now, place, fx);
        } else {
            progress.pipeline = self.config.pipeline_depth >= 2;
            progress.send_next = progress.next;
            self.wait_again(now, place, fx);
        }
    }

    /// More requests of the run, or back to waiting.
    pub(super) fn go_on(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &self.peers[place].progress;
        if progress.next <= progress.target {
            self.next_request(now, place, fx);
        } else {
            self.wait_again(now, place, fx);
        }
    }

    /// A follower has a later term than ours: the main loop steps down.
    pub(super) fn stale_term(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        self.stop_tasks(place, fx);
        self.step_down_due = true;
        self.drain(now, fx);
    }

    /// The replication request failed. A new one follows at the next occasion, after a pause.
    fn request_failed(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let progress = &mut self.peers[place].progress;
        progress.flights.clear();
        if !mem::take(&mut progress.pipeline) {
            progress.failures += 1;
        }
        self.wait_again(now, place, fx);
    }

    /// Whatever was under way with `to` has failed: nothing listens there.
    pub(super) fn refused(&mut self, now: Time, to: ProcessId, fx: &mut impl Fx<Self>) {
        let Some(place) = self.peer_place(to) else { return };
        if !self.peers[place].active {
            return;
        }
        if matches!(self.peers[place].heartbeat.beat, Beat::Answer { .. }) {
            self.heartbeat_failed(place, fx);
        }
        if !self.peers[place].progress.flights.is_empty() {
            self.request_failed(now, place, fx);
        }
        self.transfer_refused(to, fx);
    }

    fn arm_heartbeat(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        self.peers[place].heartbeat.beat = Beat::Tick;
        let pause = self.rng.timeout(self.config.heartbeat / 10);
        fx.arm(Timer::Heartbeat(place as u16), pause);
    }

    pub(super) fn heartbeat_fired(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        if !self.peers[place].active {
            return;
        }
        match self.peers[place].heartbeat.beat {
            Beat::Tick => self.send_heartbeat(now, place, fx),
            Beat::Backoff => self.next_heartbeat(now, place, fx),
            Beat::Answer { .. } => {}
        }
    }

    /// Sends a heartbeat now, or as soon as the task is free.
    pub(super) fn force_heartbeat(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        match self.peers[place].heartbeat.beat {
            Beat::Tick => self.send_heartbeat(now, place, fx),
            Beat::Backoff | Beat::Answer { .. } => self.peers[place].heartbeat.forced = true,
        }
    }

    fn next_heartbeat(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        if mem::take(&mut self.peers[place].heartbeat.forced) {
            self.send_heartbeat(now, place, fx);
        } else {
            self.arm_heartbeat(place, fx);
        }
    }

    fn send_heartbeat(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let seq = self.next_seq();
        let peer = &mut self.peers[place];
        peer.heartbeat.beat = Beat::Answer { seq, due: now + self.config.rpc_timeout };
        fx.send(peer.id, Msg::Heartbeat { seq, term: self.durable.term });
        self.watch(place, fx);
    }

    /// A heartbeat was answered. Its term is not looked at; a refusal only matters to verifications.
    pub(super) fn heartbeat_answered(
        &mut self,
        now: Time,
        from: ProcessId,
        seq: u32,
        success: bool,
        fx: &mut impl Fx<Self>,
    ) {
        let Some(place) = self.peer_place(from) else { return };
        let peer = &mut self.peers[place];
        if !peer.active || !matches!(peer.heartbeat.beat, Beat::Answer { seq: waiting, .. } if waiting == seq) {
            return;
        }
        peer.progress.last_contact = now;
        peer.heartbeat.failures = 0;
        self.next_heartbeat(now, place, fx);
        if success {
            self.answered_as_leader(place, fx);
        } else {
            self.denied_as_leader(now, place, fx);
        }
    }

    fn heartbeat_failed(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        let task = &mut self.peers[place].heartbeat;
        let pause = backoff(task.failures).min(self.config.heartbeat / 2);
        task.failures += 1;
        task.beat = Beat::Backoff;
        fx.arm(Timer::Heartbeat(place as u16), pause);
    }
}
