//! The leader's main loop: taking proposals, group commit, commit by counting, lease, verification, transfer,
//! membership
//! (HashiCorp raft `runLeader`, `leaderLoop`, `dispatchLogs`).

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::raft::ChangeError;
use crate::protocol::raft::Command;
use crate::protocol::raft::Entry;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::MembershipChange;
use crate::protocol::raft::Msg;
use crate::protocol::raft::Payload;
use crate::protocol::raft::ProposeError;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::TransferError;
use crate::protocol::raft::node::Change;
use crate::protocol::raft::node::Handover;
use crate::protocol::raft::node::Leadership;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::node::Then;
use crate::protocol::raft::quorum;
use crate::protocol::raft::quorum::Lease;

impl<E: Command> RaftNode<E> {
    /// Proposes a command. It gets this place in the log unless leadership is lost before it is written; it counts when
    /// it
    /// comes back as [`Event::Apply`] with the same term.
    pub fn propose(&mut self, now: Time, entry: E, fx: &mut impl Fx<Self>) -> Result<(Term, Index), ProposeError> {
        self.propose_payload(now, Payload::Command(Arc::new(entry)), fx)
    }

    /// Proposes a barrier: when [`Event::Passed`] reports it, everything before it has been applied here.
    pub fn barrier(&mut self, now: Time, fx: &mut impl Fx<Self>) -> Result<(Term, Index), ProposeError> {
        self.propose_payload(now, Payload::Barrier, fx)
    }

    fn propose_payload(
        &mut self,
        now: Time,
        payload: Payload<E>,
        fx: &mut impl Fx<Self>,
    ) -> Result<(Term, Index), ProposeError> {
        let leader = self.leader;
        let Role::Leader(leadership) = &mut self.role else { return Err(ProposeError::NotLeader { leader }) };
        if leadership.transfer.is_some() {
            return Err(ProposeError::Transferring);
        }
        let place = self.enqueue(payload);
        self.drain(now, fx);
        Ok(place)
    }

    /// Asks the peers whether they still follow us (consistent reads). [`Event::Verified`] repeats the ticket when a
    /// quorum does; [`Event::LeadershipLost`] means it failed. As in the original, an answer to a request that was
    /// under
    /// way already counts.
    pub fn verify_leader(&mut self, now: Time, fx: &mut impl Fx<Self>) -> Result<u64, ProposeError> {
        let leader = self.leader;
        let alone = self.own_vote() as usize >= quorum::majority(self.membership.latest.voter_count());
        let own = self.own_vote();
        let Role::Leader(leadership) = &mut self.role else { return Err(ProposeError::NotLeader { leader }) };
        self.tickets += 1;
        let ticket = self.tickets;
        if alone {
            fx.emit(Event::Verified { ticket });
            return Ok(ticket);
        }
        leadership.verifying.push_back((ticket, own));
        for place in 0..self.peers.len() {
            if self.peers[place].active {
                self.force_heartbeat(now, place, fx);
            }
        }
        Ok(ticket)
    }

    /// Hands leadership to `target`, or to the voter that is furthest ahead. Proposals are refused until
    /// [`Event::LeadershipLost`] or [`Event::TransferFailed`].
    pub fn transfer(
        &mut self,
        now: Time,
        target: Option<ProcessId>,
        fx: &mut impl Fx<Self>,
    ) -> Result<ProcessId, TransferError> {
        let leader = self.leader;
        let candidates = self.peers.iter().filter(|peer| peer.voter && peer.active);
        let best = match target {
            Some(named) => candidates.map(|peer| peer.id).find(|id| *id == named),
            None => candidates.rev().max_by_key(|peer| peer.progress.next).map(|peer| peer.id),
        };
        let Role::Leader(leadership) = &mut self.role else { return Err(TransferError::NotLeader { leader }) };
        if leadership.transfer.is_some() {
            return Err(TransferError::Transferring);
        }
        let target = best.ok_or(TransferError::NoTarget)?;
        leadership.transfer = Some(Handover { target, sent: None });
        fx.emit(Event::TransferStarted { target });
        fx.arm(Timer::Transfer, self.config.election);
        self.hand_over(now, fx);
        Ok(target)
    }

    /// Changes the configuration by one server. One change at a time, and none before an entry of this term is
    /// committed.
    pub fn change_membership(
        &mut self,
        now: Time,
        change: MembershipChange,
        fx: &mut impl Fx<Self>,
    ) -> Result<(Term, Index), ChangeError> {
        let leader = self.leader;
        let Role::Leader(leadership) = &mut self.role else { return Err(ChangeError::NotLeader { leader }) };
        if leadership.transfer.is_some() {
            return Err(ChangeError::Transferring);
        }
        let queued = leadership.proposals.iter().any(|entry| matches!(entry.payload, Payload::Configuration(_)));
        let under_way = leadership.writing_configuration || queued;
        if !self.membership.is_stable() || self.commit < leadership.start || under_way {
            return Err(ChangeError::Unstable);
        }
        let next = self.membership.latest.with(change);
        if next.voter_count() == 0 {
            return Err(ChangeError::NoVoter);
        }
        let place = self.enqueue(Payload::Configuration(Arc::new(next)));
        self.drain(now, fx);
        Ok(place)
    }

    /// What a leader knows about another server: the last entry known to be stored there, and when it last answered.
    /// `None` if this server does not lead or does not replicate to `id`.
    pub fn progress(&self, id: ProcessId) -> Option<(Index, Time)> {
        let peer = self.peers.iter().find(|peer| peer.id == id && peer.active)?;
        Some((peer.progress.matched, peer.progress.last_contact))
    }

    /// Won the election.
    pub(super) fn lead(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let last = self.durable.log.last();
        self.set_role(now, Role::Leader(Box::new(Leadership::new(last))), fx);
        self.set_leader(Some(self.me), fx);
        fx.emit(Event::LeadershipGained { term: self.durable.term });
        fx.arm(Timer::Lease, self.config.lease);
        self.follow_configuration(now, fx);
        self.enqueue(Payload::Noop);
        self.store_proposals(fx);
    }

    /// Starts and stops tasks so that each other server of the configuration in use has its own.
    fn follow_configuration(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        for place in 0..self.peers.len() {
            let member = self.membership.latest.contains(self.peers[place].id);
            match (member, self.peers[place].active) {
                (true, false) => self.start_tasks(now, place, fx),
                (false, true) => {
                    self.trigger(now, place, fx);
                    self.stop_tasks(place, fx);
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Puts an entry of our term in the queue for the disk and says which place it will get.
    fn enqueue(&mut self, payload: Payload<E>) -> (Term, Index) {
        let term = self.durable.term;
        let Role::Leader(leadership) = &mut self.role else { unreachable!("only a leader appends") };
        leadership.proposals.push_back(Entry::new(term, payload));
        (term, leadership.stored.plus(leadership.writing + leadership.proposals.len() as u64))
    }

    /// Group commit: writes what has gathered, a batch at most. Returns whether anything was there to write.
    pub(super) fn store_proposals(&mut self, fx: &mut impl Fx<Self>) -> bool {
        let Role::Leader(leadership) = &mut self.role else { return false };
        if leadership.proposals.is_empty() {
            return false;
        }
        let count = leadership.proposals.len().min(self.config.append_entries_max as usize);
        let entries: Arc<[Entry<E>]> = leadership.proposals.drain(..count).collect();
        leadership.writing = count as u64;
        leadership.writing_configuration = entries.iter().any(|e| matches!(e.payload, Payload::Configuration(_)));
        leadership.slice = Some((leadership.stored.next(), Arc::clone(&entries)));
        self.disk.then = Then::Stored;
        self.persist(Change::Append { entries, skip: 0 }, fx);
        true
    }

    /// Our own entries are durable: they count, and the peers may have them.
    pub(super) fn stored(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let last = self.durable.log.last();
        let Role::Leader(leadership) = &mut self.role else { return };
        leadership.stored = last;
        leadership.writing = 0;
        if mem::take(&mut leadership.writing_configuration) {
            self.follow_configuration(now, fx);
        }
        for place in 0..self.peers.len() {
            if self.peers[place].active {
                self.trigger(now, place, fx);
            }
        }
        self.count(now, fx);
    }

    /// Looks whether a quorum has stored more; the main loop commits it when it is free.
    pub(super) fn count(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.counted().is_some() {
            self.commit_due = true;
            if !self.busy() {
                self.drain(now, fx);
            }
        }
        if self.is_leader() {
            self.hand_over(now, fx);
        }
    }

    /// The index to commit by counting: beyond the commit index, and of our own term (Raft §5.4.2, figure 8).
    fn counted(&self) -> Option<Index> {
        let Role::Leader(leadership) = &self.role else { return None };
        let own = (self.own_vote() > 0).then_some(leadership.stored);
        let others = self.peers.iter().filter(|peer| peer.voter).map(|peer| peer.progress.matched);
        let matched: SmallVec<[Index; 8]> = own.into_iter().chain(others).collect();
        quorum::commit_candidate(matched).filter(|index| *index > self.commit && *index >= leadership.start)
    }

    /// Commits what was counted. A leader whose own removal is thereby committed steps down.
    pub(super) fn commit_counted(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Some(index) = self.counted() else { return };
        let changed = self.membership.latest_index > self.commit && self.membership.latest_index <= index;
        self.commit_to(index, fx);
        if changed && !self.membership.committed.is_voter(self.me) {
            self.step_down(now, fx);
        }
    }

    pub(super) fn step_down(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.is_leader() {
            self.set_role(now, Role::Follower, fx);
        }
    }

    /// Cleans up after leadership. Ending it counts as contact, so that we do not stand again at once.
    pub(super) fn left_leadership(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.last_contact = Some(now);
        for place in 0..self.peers.len() {
            self.stop_tasks(place, fx);
        }
        fx.disarm(Timer::Lease);
        fx.disarm(Timer::Transfer);
        self.commit_due = false;
        self.step_down_due = false;
        fx.emit(Event::LeadershipLost { term: self.durable.term });
    }

    pub(super) fn lease_fired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let voters = self.peers.iter().filter(|peer| peer.voter);
        let contacts: SmallVec<[Time; 8]> = voters.map(|peer| peer.progress.last_contact).collect();
        match quorum::check_lease(now, self.config.lease, self.own_vote() as usize, &contacts) {
            Lease::Held(next) => fx.arm(Timer::Lease, next),
            Lease::Lost => self.step_down(now, fx),
        }
    }

    /// One if we are a voter.
    fn own_vote(&self) -> u32 {
        u32::from(self.membership.latest.is_voter(self.me))
    }

    /// A peer follows us: that answers every question it has not answered yet.
    pub(super) fn answered_as_leader(&mut self, place: usize, fx: &mut impl Fx<Self>) {
        let newest = self.tickets;
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.verifying.is_empty() {
            return;
        }
        let needed = quorum::majority(self.membership.latest.voter_count()) as u32;
        let peer = &mut self.peers[place];
        let answered = mem::replace(&mut peer.heartbeat.verified, newest);
        for (ticket, votes) in &mut leadership.verifying {
            *votes += u32::from(*ticket > answered && peer.voter);
        }
        while let Some((ticket, votes)) = leadership.verifying.front().copied()
            && votes >= needed
        {
            leadership.verifying.pop_front();
            fx.emit(Event::Verified { ticket });
        }
    }

    /// A peer does not follow us: if we were asked whether we lead, we do not.
    pub(super) fn denied_as_leader(&mut self, now: Time, place: usize, fx: &mut impl Fx<Self>) {
        let answered = self.peers[place].heartbeat.verified;
        let Role::Leader(leadership) = &self.role else { return };
        if leadership.verifying.iter().any(|(ticket, _)| *ticket > answered) {
            self.step_down_due = true;
            self.drain(now, fx);
        }
    }

    /// Tells the target of a transfer to stand as soon as it has our whole log.
    fn hand_over(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let last = self.durable.log.last();
        let Role::Leader(leadership) = &self.role else { return };
        let Some(Handover { target, sent: None }) = leadership.transfer else { return };
        if leadership.writing > 0 || !leadership.proposals.is_empty() {
            return;
        }
        let Some(place) = self.peer_place(target) else { return };
        if self.peers[place].progress.next <= last {
            self.trigger(now, place, fx);
            return;
        }
        let seq = self.next_seq();
        if let Role::Leader(leadership) = &mut self.role {
            leadership.transfer = Some(Handover { target, sent: Some(seq) });
        }
        fx.send(target, Msg::TimeoutNow { seq });
    }

    /// The target of a transfer did not take over in time.
    pub(super) fn transfer_fired(&mut self, fx: &mut impl Fx<Self>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.transfer.take().is_some() {
            fx.emit(Event::TransferFailed);
        }
    }

    /// The target of a transfer does not listen.
    pub(super) fn transfer_refused(&mut self, to: ProcessId, fx: &mut impl Fx<Self>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.transfer.is_some_and(|handover| handover.target == to && handover.sent.is_some()) {
            leadership.transfer = None;
            fx.disarm(Timer::Transfer);
            fx.emit(Event::TransferFailed);
        }
    }
}

impl<E> Leadership<E> {
    /// A leadership that begins after the entry `last`.
    fn new(last: Index) -> Self {
        Self {
            start: last.next(),
            stored: last,
            proposals: VecDeque::new(),
            writing: 0,
            writing_configuration: false,
            verifying: VecDeque::new(),
            transfer: None,
            slice: None,
        }
    }
}
