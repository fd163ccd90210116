//! Following, campaigning, voting (HashiCorp raft `runFollower`, `runCandidate`, `requestVote`, `requestPreVote`).

use std::mem;

use smallvec::smallvec;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::raft::Command;
use crate::protocol::raft::Event;
use crate::protocol::raft::Msg;
use crate::protocol::raft::PreVote;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::VoteKind;
use crate::protocol::raft::node::Campaign;
use crate::protocol::raft::node::Change;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::node::Then;
use crate::protocol::raft::quorum;

impl<E: Command> RaftNode<E> {
    /// HashiCorp raft `setState`: the known leader is forgotten first, even if the state stays the same.
    pub(super) fn set_role(&mut self, now: Time, role: Role<E>, fx: &mut impl Fx<Self>) {
        self.set_leader(None, fx);
        let before = self.state();
        let left = mem::replace(&mut self.role, role);
        let state = self.state();
        if before == state {
            return;
        }
        match before {
            State::Follower => fx.disarm(Timer::Contact),
            State::Candidate => fx.disarm(Timer::Election),
            State::Leader => self.left_leadership(now, fx),
        }
        drop(left);
        if state == State::Follower {
            let contact = self.rng.timeout(self.config.heartbeat);
            fx.arm(Timer::Contact, contact);
        }
        fx.emit(Event::StateChanged { state, term: self.durable.term });
    }

    pub(super) fn set_leader(&mut self, leader: Option<ProcessId>, fx: &mut impl Fx<Self>) {
        if self.leader != leader {
            self.leader = leader;
            fx.emit(Event::LeaderChanged { leader });
        }
    }

    /// Becomes a follower of `term`, writes the term, then does `then`.
    pub(super) fn adopt(&mut self, now: Time, term: Term, then: Then<E>, fx: &mut impl Fx<Self>) {
        self.set_role(now, Role::Follower, fx);
        self.disk.then = then;
        self.persist(Change::Term(term), fx);
    }

    /// The contact timer runs freely; the silence it finds is compared with the unrandomised heartbeat timeout.
    pub(super) fn contact_fired(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let contact = self.rng.timeout(self.config.heartbeat);
        fx.arm(Timer::Contact, contact);
        if self.last_contact.is_some_and(|contact| now.since(contact) < self.config.heartbeat) {
            return;
        }
        self.set_leader(None, fx);
        if self.membership.latest.is_voter(self.me) {
            self.set_role(now, Role::Candidate(Campaign::nobody()), fx);
            self.campaign(false, fx);
        }
    }

    /// Starts a round of votes as a candidate.
    pub(super) fn campaign(&mut self, transfer: bool, fx: &mut impl Fx<Self>) {
        if self.config.pre_vote == PreVote::On && !transfer {
            let term = self.durable.term.next();
            self.round = self.round.wrapping_add(1);
            self.role = Role::Candidate(Campaign { pre: true, term, transfer, granted: smallvec![self.me] });
            self.ask(VoteKind::Pre, term, |_, _| true, fx);
            self.arm_election(fx);
            self.count_pre_votes(fx);
        } else {
            self.elect(transfer, true, fx);
        }
    }

    /// The real election (HashiCorp raft `electSelf`). `arm`: the election timer starts when our vote is durable.
    fn elect(&mut self, transfer: bool, arm: bool, fx: &mut impl Fx<Self>) {
        let term = self.durable.term.next();
        self.round = self.round.wrapping_add(1);
        self.role = Role::Candidate(Campaign { pre: false, term, transfer, granted: smallvec![] });
        self.disk.then = Then::AskFirst { transfer, arm };
        self.persist(Change::Term(term), fx);
    }

    /// The term is durable. Servers are asked in the order of the configuration, and our own turn takes two writes, so
    /// those before us are asked earlier than those after us.
    pub(super) fn ask_first(&mut self, transfer: bool, arm: bool, fx: &mut impl Fx<Self>) {
        let kind = if transfer { VoteKind::Transfer } else { VoteKind::Real };
        self.ask(kind, self.durable.term, |place, own| place < own, fx);
        self.disk.then = Then::AskRest { transfer, arm };
        self.persist(Change::VoteTerm(self.durable.term), fx);
        self.persist(Change::VoteCandidate(self.me), fx);
    }

    /// Our own vote is durable.
    pub(super) fn ask_rest(&mut self, now: Time, transfer: bool, arm: bool, fx: &mut impl Fx<Self>) {
        let kind = if transfer { VoteKind::Transfer } else { VoteKind::Real };
        self.ask(kind, self.durable.term, |place, own| place > own, fx);
        if arm {
            self.arm_election(fx);
        }
        let me = self.me;
        if let Role::Candidate(campaign) = &mut self.role {
            campaign.granted.push(me);
        }
        self.count_votes(now, fx);
    }

    fn arm_election(&mut self, fx: &mut impl Fx<Self>) {
        let patience = self.rng.timeout(self.config.election);
        fx.arm(Timer::Election, patience);
    }

    /// Asks the voters whose place in the configuration, compared with ours, `chosen` accepts.
    fn ask(&self, kind: VoteKind, term: Term, chosen: impl Fn(usize, usize) -> bool, fx: &mut impl Fx<Self>) {
        let (last_index, last_term) = self.last_entry();
        let own = self.membership.latest.voters().position(|voter| voter == self.me).unwrap_or(usize::MAX);
        for (place, voter) in self.membership.latest.voters().enumerate() {
            if voter != self.me && chosen(place, own) {
                fx.send(voter, Msg::RequestVote { round: self.round, kind, term, last_index, last_term });
            }
        }
    }

    /// An answer to one of our rounds. Answers to earlier rounds, and second ones, do not count.
    pub(super) fn vote_answered(
        &mut self,
        now: Time,
        from: ProcessId,
        round: u32,
        term: Term,
        granted: bool,
        fx: &mut impl Fx<Self>,
    ) {
        let current = self.round;
        let Role::Candidate(campaign) = &mut self.role else { return };
        if round != current {
            return;
        }
        if term > campaign.term {
            self.adopt(now, term, Then::Nothing, fx);
            return;
        }
        if granted && !campaign.granted.contains(&from) {
            campaign.granted.push(from);
        }
        if campaign.pre { self.count_pre_votes(fx) } else { self.count_votes(now, fx) }
    }

    fn count_pre_votes(&mut self, fx: &mut impl Fx<Self>) {
        if self.has_majority() {
            self.arm_election(fx);
            self.elect(false, false, fx);
        }
    }

    fn count_votes(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.has_majority() {
            self.lead(now, fx);
        }
    }

    fn has_majority(&self) -> bool {
        let Role::Candidate(campaign) = &self.role else { return false };
        campaign.granted.len() >= quorum::majority(self.membership.latest.voter_count())
    }

    /// `RequestVote` in all its variants; the order of the tests decides, and each is made once (HashiCorp raft
    /// `requestVote`): a heartbeat of the old leader while the candidate's term is written changes nothing.
    pub(super) fn vote_asked(&mut self, now: Time, from: ProcessId, msg: Msg<E>, fx: &mut impl Fx<Self>) {
        let Msg::RequestVote { round, kind, term, .. } = msg else { return };
        let own = self.durable.term;
        let stranger = !self.membership.latest.is_empty() && !self.membership.latest.contains(from);
        let loyal = kind != VoteKind::Transfer && self.leader.is_some_and(|leader| leader != from);
        if stranger || loyal || term < own {
            fx.send(from, Msg::Vote { round, term: own, granted: false });
            return;
        }
        if term > own && kind != VoteKind::Pre {
            self.adopt(now, term, Then::Judge { from, msg }, fx);
            return;
        }
        self.judge_candidate(from, &msg, fx);
    }

    /// The tests once the terms are equal: whether the candidate may stand, whom we voted for, whose log is longer.
    pub(super) fn judge_candidate(&mut self, from: ProcessId, msg: &Msg<E>, fx: &mut impl Fx<Self>) {
        let &Msg::RequestVote { round, kind, term, last_index, last_term } = msg else { return };
        let may_stand = self.membership.latest.is_empty() || self.membership.latest.is_voter(from);
        let up_to_date = (last_term, last_index) >= (self.durable.log.last_term(), self.durable.log.last());
        if kind == VoteKind::Pre {
            fx.send(from, Msg::Vote { round, term, granted: may_stand && up_to_date });
            return;
        }
        match self.durable.vote_candidate {
            Some(candidate) if self.durable.vote_term == term => {
                fx.send(from, Msg::Vote { round, term, granted: may_stand && candidate == from });
            }
            _ if may_stand && up_to_date => {
                self.disk.then = Then::Grant { to: from, round };
                self.persist(Change::VoteTerm(term), fx);
                self.persist(Change::VoteCandidate(from), fx);
            }
            _ => fx.send(from, Msg::Vote { round, term, granted: false }),
        }
    }

    /// Our vote for `to` is durable. It counts as contact, so that we give the candidate time.
    pub(super) fn grant(&mut self, now: Time, to: ProcessId, round: u32, fx: &mut impl Fx<Self>) {
        self.last_contact = Some(now);
        fx.send(to, Msg::Vote { round, term: self.durable.term, granted: true });
    }

    /// The leader hands over to us.
    pub(super) fn timeout_now(&mut self, now: Time, from: ProcessId, seq: u32, fx: &mut impl Fx<Self>) {
        fx.send(from, Msg::TimeoutNowReply { seq });
        if self.is_leader() || !self.membership.latest.is_voter(self.me) {
            return;
        }
        self.set_role(now, Role::Candidate(Campaign::nobody()), fx);
        self.campaign(true, fx);
    }
}

impl Campaign {
    /// Before the first round.
    fn nobody() -> Self {
        Self { pre: true, term: Term::default(), transfer: false, granted: smallvec![] }
    }
}
