//! The server: its parts, the table of contents of its inputs, the disk lane of its main loop.
//!
//! The original has one main loop that stops while it writes, and tasks beside it (replication and heartbeats per peer,
//! the transport's fast path for heartbeats). Here the main loop's inputs wait in `inbox` while a write is under way;
//! the
//! tasks' inputs are handled at once.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::machine::Input;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::machine::Token;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::protocol::raft::AppendHeader;
use crate::protocol::raft::Command;
use crate::protocol::raft::Config;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Entry;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::Msg;
use crate::protocol::raft::Payload;
use crate::protocol::raft::Snapshot;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::log::Log;
use crate::protocol::raft::membership::Membership;
use crate::protocol::raft::peer::Peer;

/// A server of a replicated log of commands `E`.
#[derive(Debug, Clone)]
pub struct RaftNode<E: Command> {
    pub(super) me: ProcessId,
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) durable: Durable<E>,
    pub(super) role: Role<E>,
    pub(super) leader: Option<ProcessId>,
    pub(super) last_contact: Option<Time>,
    pub(super) commit: Index,
    pub(super) membership: Membership,
    pub(super) peers: Vec<Peer>,
    /// Number of the last round of votes; answers to earlier rounds are ignored.
    pub(super) round: u32,
    /// Number of the last request.
    pub(super) seq: u32,
    /// The last verification ticket given out.
    pub(super) tickets: u64,
    pub(super) disk: Disk<E>,
    inbox: VecDeque<Waiting<E>>,
    /// The counted commit index moved while the main loop was busy.
    pub(super) commit_due: bool,
    /// A replication task saw a higher term while the main loop was busy.
    pub(super) step_down_due: bool,
    /// Events about writes that a crash hid from us; told at the next start.
    recovered: Vec<Event<E>>,
    /// The configuration the cluster was founded with.
    founding: Arc<Configuration>,
}

/// What survives a restart.
#[derive(Debug, Clone)]
pub(super) struct Durable<E: Command> {
    pub(super) term: Term,
    pub(super) vote_term: Term,
    pub(super) vote_candidate: Option<ProcessId>,
    pub(super) log: Log<E>,
    pub(super) snapshot: Option<Arc<Snapshot<E::Snapshot>>>,
}

/// What the server is, with what only matters while it is that.
#[derive(Debug, Clone)]
pub(super) enum Role<E: Command> {
    Follower,
    Candidate(Campaign),
    Leader(Box<Leadership<E>>),
}

/// A candidate's round.
#[derive(Debug, Clone)]
pub(super) struct Campaign {
    /// Whether this round only asks; then `term` is the term it would start.
    pub(super) pre: bool,
    pub(super) term: Term,
    /// Whether a leader handed over to us.
    pub(super) transfer: bool,
    pub(super) granted: SmallVec<[ProcessId; 8]>,
}

/// What a leader keeps besides its peers.
#[derive(Debug, Clone)]
pub(super) struct Leadership<E> {
    /// The first entry of this leadership; only entries from here on are committed by counting.
    pub(super) start: Index,
    /// The last entry of our own log that is durable.
    pub(super) stored: Index,
    /// Entries that wait for the disk, next ones first.
    pub(super) proposals: VecDeque<Entry<E>>,
    /// Entries under way to the disk.
    pub(super) writing: u64,
    /// Whether a configuration is among them.
    pub(super) writing_configuration: bool,
    /// Unanswered questions whether we still lead: ticket and votes so far, oldest first.
    pub(super) verifying: VecDeque<(u64, u32)>,
    pub(super) transfer: Option<Handover>,
    /// The slice sent last, with the index of its first entry: peers in step share it.
    pub(super) slice: Option<(Index, Arc<[Entry<E>]>)>,
}

/// A leadership transfer under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handover {
    pub(super) target: ProcessId,
    /// `TimeoutNow` went out with this number.
    pub(super) sent: Option<u32>,
}

/// A write under way, and what it makes durable.
#[derive(Debug, Clone)]
pub(super) enum Change<E: Command> {
    Term(Term),
    VoteTerm(Term),
    VoteCandidate(ProcessId),
    Truncate(Index),
    /// The entries from `skip` on.
    Append {
        entries: Arc<[Entry<E>]>,
        skip: usize,
    },
    Snapshot(Arc<Snapshot<E::Snapshot>>),
}

/// What the main loop goes on with when its writes are done.
#[derive(Debug, Clone)]
pub(super) enum Then<E: Command> {
    Nothing,
    /// The term is durable: look at the message again.
    Receive {
        from: ProcessId,
        msg: Msg<E>,
    },
    /// The candidate's term is durable, and its request has passed the tests that come before it: decide on the vote.
    Judge {
        from: ProcessId,
        msg: Msg<E>,
    },
    /// Our new term is durable: ask those before us in the configuration, then vote for ourselves.
    AskFirst {
        transfer: bool,
        arm: bool,
    },
    /// Our own vote is durable: ask the others.
    AskRest {
        transfer: bool,
        arm: bool,
    },
    /// A vote is durable: tell the candidate.
    Grant {
        to: ProcessId,
        round: u32,
    },
    /// Entries of the leader `to` are durable.
    Appended {
        to: ProcessId,
        seq: u32,
        upto: Index,
        commit: Index,
        last: Index,
    },
    /// Our own entries as a leader are durable.
    Stored,
    /// The leader's image is durable.
    Installed {
        to: ProcessId,
        seq: u32,
    },
}

/// The writes under way.
#[derive(Debug, Clone)]
pub(super) struct Disk<E: Command> {
    tokens: u64,
    /// Those of the main loop, in order.
    writing: VecDeque<(Token, Change<E>)>,
    pub(super) then: Then<E>,
    /// That of the snapshot task, with the index up to which the log may then be shortened.
    pub(super) imaging: Option<(Token, Arc<Snapshot<E::Snapshot>>)>,
}

/// An input that waits for the main loop.
#[derive(Debug, Clone)]
enum Waiting<E: Command> {
    Message(ProcessId, Msg<E>),
    Fired(Timer),
}

impl<E: Command> Machine for RaftNode<E> {
    type Msg = Msg<E>;
    type Timer = Timer;
    type Event = Event<E>;

    fn handle(&mut self, now: Time, input: Input<Msg<E>, Timer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(fx),
            Input::Message { from, msg } => self.receive(now, from, msg, fx),
            Input::Refused { to } => self.refused(now, to, fx),
            Input::Fired(timer) => self.fired(now, timer, fx),
            Input::Done(token) => self.done(now, token, fx),
        }
    }

    fn reboot(&mut self, _now: Time, kept: &Kept) {
        let writing = mem::take(&mut self.disk.writing);
        for (token, change) in writing {
            if kept.lost.contains(&token) {
                break;
            }
            self.recover(change);
        }
        if let Some((token, image)) = self.disk.imaging.take()
            && !kept.lost.contains(&token)
        {
            self.recover_image(image);
        }
        self.disk.then = Then::Nothing;
        self.role = Role::Follower;
        self.leader = None;
        self.last_contact = None;
        self.commit = self.durable.snapshot.as_ref().map_or(Index::ZERO, |image| image.index);
        self.inbox.clear();
        self.commit_due = false;
        self.step_down_due = false;
        for peer in &mut self.peers {
            *peer = Peer::new(peer.id);
        }
        self.recall_membership();
    }
}

impl<E: Command> RaftNode<E> {
    /// A server with an empty log. `founding` is the configuration all founding servers agree on (HashiCorp raft
    /// `BootstrapCluster`); a server that joins later starts with an empty one and waits to be told.
    pub fn new(me: ProcessId, founding: Configuration, config: Config, rng: Rng) -> Self {
        let founding = Arc::new(founding);
        let mut node = Self {
            me,
            config,
            rng,
            durable: Durable {
                term: Term::default(),
                vote_term: Term::default(),
                vote_candidate: None,
                log: Log::default(),
                snapshot: None,
            },
            role: Role::Follower,
            leader: None,
            last_contact: None,
            commit: Index::ZERO,
            membership: Membership::new(Arc::clone(&founding), Index::ZERO),
            peers: Vec::new(),
            round: 0,
            seq: 0,
            tickets: 0,
            disk: Disk { tokens: 0, writing: VecDeque::new(), then: Then::Nothing, imaging: None },
            inbox: VecDeque::new(),
            commit_due: false,
            step_down_due: false,
            recovered: Vec::new(),
            founding,
        };
        node.refresh_peers();
        node
    }

    /// Its own address.
    pub fn id(&self) -> ProcessId {
        self.me
    }

    /// What it currently is.
    pub fn state(&self) -> State {
        match self.role {
            Role::Follower => State::Follower,
            Role::Candidate(_) => State::Candidate,
            Role::Leader(_) => State::Leader,
        }
    }

    /// Whether it leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader it knows of, possibly itself.
    pub fn leader(&self) -> Option<ProcessId> {
        self.leader
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.durable.term
    }

    /// The last index it knows to be committed; all of it has been given to the container.
    pub fn commit_index(&self) -> Index {
        self.commit
    }

    /// Index and term of the last entry of its log.
    pub fn last_entry(&self) -> (Index, Term) {
        (self.durable.log.last(), self.durable.log.last_term())
    }

    /// When a follower last heard from its leader (Consul `last_contact`, for stale reads).
    pub fn last_contact(&self) -> Option<Time> {
        self.last_contact
    }

    /// The configuration in use.
    pub fn configuration(&self) -> &Configuration {
        &self.membership.latest
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn start(&mut self, fx: &mut impl Fx<Self>) {
        for event in mem::take(&mut self.recovered) {
            fx.emit(event);
        }
        if let Some(snapshot) = &self.durable.snapshot {
            fx.emit(Event::Restore { snapshot: Arc::clone(snapshot) });
        }
        let contact = self.rng.timeout(self.config.heartbeat);
        fx.arm(Timer::Contact, contact);
        let snapshot = self.rng.timeout(self.config.snapshot_interval);
        fx.arm(Timer::Snapshot, snapshot);
    }

    fn receive(&mut self, now: Time, from: ProcessId, msg: Msg<E>, fx: &mut impl Fx<Self>) {
        match msg {
            Msg::Heartbeat { seq, term } => self.heartbeat(now, from, seq, term, fx),
            Msg::HeartbeatReply { seq, success, .. } => self.heartbeat_answered(now, from, seq, success, fx),
            Msg::AppendReply { seq, term, last, success, retry_at_once } => {
                self.append_answered(now, from, seq, (term, last, success, retry_at_once), fx);
            }
            Msg::SnapshotReply { seq, term, success } => self.snapshot_answered(now, from, seq, term, success, fx),
            Msg::TimeoutNowReply { .. } => {}
            Msg::Append { .. }
            | Msg::AppendEntries(_)
            | Msg::RequestVote { .. }
            | Msg::Vote { .. }
            | Msg::TimeoutNow { .. }
            | Msg::InstallSnapshot { .. } => {
                if self.busy() {
                    self.postpone(from, msg);
                } else {
                    self.receive_main(now, from, msg, fx);
                    self.drain(now, fx);
                }
            }
        }
    }

    /// A message for the main loop, which is free.
    fn receive_main(&mut self, now: Time, from: ProcessId, msg: Msg<E>, fx: &mut impl Fx<Self>) {
        match msg {
            Msg::Append { seq, term, prev_index, prev_term, commit } => {
                self.append(now, from, AppendHeader { seq, term, prev_index, prev_term, commit }, None, fx);
            }
            Msg::AppendEntries(append) => self.append(now, from, append.header, Some(append.entries), fx),
            Msg::RequestVote { .. } => self.vote_asked(now, from, msg, fx),
            Msg::Vote { round, term, granted } => self.vote_answered(now, from, round, term, granted, fx),
            Msg::TimeoutNow { seq } => self.timeout_now(now, from, seq, fx),
            Msg::InstallSnapshot { seq, term, snapshot } => self.install(now, from, seq, term, snapshot, fx),
            Msg::Heartbeat { seq, term } => self.heartbeat(now, from, seq, term, fx),
            Msg::HeartbeatReply { .. }
            | Msg::AppendReply { .. }
            | Msg::SnapshotReply { .. }
            | Msg::TimeoutNowReply { .. } => unreachable!("answers to the tasks never wait for the main loop"),
        }
    }

    fn fired(&mut self, now: Time, timer: Timer, fx: &mut impl Fx<Self>) {
        match timer {
            Timer::Heartbeat(peer) => self.heartbeat_fired(now, usize::from(peer), fx),
            Timer::Replicate(peer) => self.replicate_fired(now, usize::from(peer), fx),
            Timer::Due(peer) => self.due_fired(now, usize::from(peer), fx),
            Timer::Snapshot => self.snapshot_fired(fx),
            Timer::Contact | Timer::Election | Timer::Lease | Timer::Transfer => {
                if self.busy() {
                    self.inbox.push_back(Waiting::Fired(timer));
                } else {
                    self.fired_main(now, timer, fx);
                    self.drain(now, fx);
                }
            }
        }
    }

    /// An alarm for the main loop, which is free. One that was set in an earlier state and waited is stale.
    fn fired_main(&mut self, now: Time, timer: Timer, fx: &mut impl Fx<Self>) {
        match (timer, self.state()) {
            (Timer::Contact, State::Follower) => self.contact_fired(now, fx),
            (Timer::Election, State::Candidate) => self.campaign(false, fx),
            (Timer::Lease, State::Leader) => self.lease_fired(now, fx),
            (Timer::Transfer, State::Leader) => self.transfer_fired(fx),
            (
                Timer::Contact
                | Timer::Election
                | Timer::Lease
                | Timer::Transfer
                | Timer::Snapshot
                | Timer::Heartbeat(_)
                | Timer::Replicate(_)
                | Timer::Due(_),
                _,
            ) => {}
        }
    }

    /// Whether the main loop waits for the disk.
    pub(super) fn busy(&self) -> bool {
        !self.disk.writing.is_empty()
    }

    /// Keeps a message for the main loop. When too many wait, the newest is dropped, as a closed connection would do.
    pub(super) fn postpone(&mut self, from: ProcessId, msg: Msg<E>) {
        if self.inbox.len() < INBOX_MAX {
            self.inbox.push_back(Waiting::Message(from, msg));
        }
    }

    /// Writes one change. The main loop goes on with `disk.then` when the last one is done.
    pub(super) fn persist(&mut self, change: Change<E>, fx: &mut impl Fx<Self>) {
        let bytes = match &change {
            Change::Term(_) | Change::VoteTerm(_) | Change::VoteCandidate(_) | Change::Truncate(_) => 64,
            Change::Append { entries, skip } => entries[*skip..].iter().map(Entry::bytes).sum(),
            Change::Snapshot(snapshot) => snapshot.bytes,
        };
        let token = self.disk.token();
        self.disk.writing.push_back((token, change));
        fx.write(token, bytes);
    }

    fn done(&mut self, now: Time, token: Token, fx: &mut impl Fx<Self>) {
        if let Some((_, image)) = self.disk.imaging.take_if(|(writing, _)| *writing == token) {
            self.image_stored(image, fx);
            return;
        }
        let (expected, change) = self.disk.writing.pop_front().expect("a write is under way when one is reported done");
        assert_eq!(expected, token, "writes complete in the order they were issued");
        self.make_durable(change, &mut |event| fx.emit(event));
        if self.busy() {
            return;
        }
        let then = mem::replace(&mut self.disk.then, Then::Nothing);
        self.resume(now, then, fx);
        self.drain(now, fx);
    }

    fn resume(&mut self, now: Time, then: Then<E>, fx: &mut impl Fx<Self>) {
        match then {
            Then::Nothing => {}
            Then::Receive { from, msg } => self.receive_main(now, from, msg, fx),
            Then::Judge { from, msg } => self.judge_candidate(from, &msg, fx),
            Then::AskFirst { transfer, arm } => self.ask_first(transfer, arm, fx),
            Then::AskRest { transfer, arm } => self.ask_rest(now, transfer, arm, fx),
            Then::Grant { to, round } => self.grant(now, to, round, fx),
            Then::Appended { to, seq, upto, commit, last } => self.appended(now, to, seq, (upto, commit, last), fx),
            Then::Stored => self.stored(now, fx),
            Then::Installed { to, seq } => self.installed(now, to, seq, fx),
        }
    }

    /// Runs the main loop on what has been waiting, until it writes again or nothing is left.
    pub(super) fn drain(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while !self.busy() {
            if mem::take(&mut self.step_down_due) {
                self.step_down(now, fx);
            } else if mem::take(&mut self.commit_due) {
                self.commit_counted(now, fx);
            } else if let Some(waiting) = self.inbox.pop_front() {
                match waiting {
                    Waiting::Message(from, msg) => self.receive_main(now, from, msg, fx),
                    Waiting::Fired(timer) => self.fired_main(now, timer, fx),
                }
            } else if !self.store_proposals(fx) {
                return;
            }
        }
    }

    /// A write reached the disk: memory follows.
    fn make_durable(&mut self, change: Change<E>, tell: &mut impl FnMut(Event<E>)) {
        match change {
            Change::Term(term) => {
                let changed = term != self.durable.term;
                self.durable.term = term;
                if changed {
                    tell(Event::TermChanged { term });
                }
            }
            Change::VoteTerm(term) => self.durable.vote_term = term,
            Change::VoteCandidate(candidate) => {
                self.durable.vote_candidate = Some(candidate);
                tell(Event::VoteGranted { term: self.durable.vote_term, candidate });
            }
            Change::Truncate(from) => {
                self.durable.log.truncate(from);
                tell(Event::Truncated { from });
                if self.membership.truncate(from) {
                    self.refresh_peers();
                    let Membership { latest_index: index, latest, .. } = &self.membership;
                    tell(Event::ConfigurationChanged { index: *index, configuration: Arc::clone(latest) });
                }
            }
            Change::Append { entries, skip } => {
                for entry in &entries[skip..] {
                    self.store(entry, tell);
                }
            }
            Change::Snapshot(snapshot) => {
                // Entries after an image that our log agrees with may have been counted by a leader: they stay (Raft
                // §7).
                if self.durable.log.term_at(snapshot.index) == Some(snapshot.term) {
                    self.durable.log.compact(snapshot.index);
                } else {
                    self.durable.log.reset(snapshot.index, snapshot.term, snapshot.hash);
                }
                self.durable.snapshot = Some(snapshot);
            }
        }
    }

    fn store(&mut self, entry: &Entry<E>, tell: &mut impl FnMut(Event<E>)) {
        let hash = self.durable.log.push(entry.clone());
        let index = self.durable.log.last();
        tell(Event::Appended { index, term: entry.term, digest: entry.digest, hash });
        if let Payload::Configuration(configuration) = &entry.payload {
            self.membership.append(Arc::clone(configuration), index);
            self.refresh_peers();
            tell(Event::ConfigurationChanged { index, configuration: Arc::clone(configuration) });
        }
    }

    fn recover(&mut self, change: Change<E>) {
        let mut events = mem::take(&mut self.recovered);
        self.make_durable(change, &mut |event| events.push(event));
        self.recovered = events;
    }

    /// After a restart: the snapshot's configuration or the founding one, then those in the log in order.
    fn recall_membership(&mut self) {
        let (configuration, index) =
            self.durable.snapshot.as_ref().map_or((Arc::clone(&self.founding), Index::ZERO), |s| {
                (Arc::clone(&s.configuration), s.configuration_index)
            });
        self.membership = Membership::new(configuration, index);
        for (index, latest) in self.durable.log.configurations(index) {
            self.membership.append(latest, index);
        }
        self.refresh_peers();
    }

    /// Brings the peer table in line with the configuration in use. Places are never given to another server.
    pub(super) fn refresh_peers(&mut self) {
        for (id, _) in self.membership.latest.servers() {
            if *id != self.me && !self.peers.iter().any(|peer| peer.id == *id) {
                self.peers.push(Peer::new(*id));
            }
        }
        for peer in &mut self.peers {
            peer.voter = self.membership.latest.is_voter(peer.id);
        }
    }

    /// The place of a server in the peer table.
    pub(super) fn peer_place(&self, id: ProcessId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id == id)
    }

    /// The next request number.
    pub(super) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }
}

impl<E: Command> Disk<E> {
    /// A name for the next write.
    pub(super) fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }
}

/// Messages the main loop lets wait: far more than the few requests each peer may have unanswered.
const INBOX_MAX: usize = 4_096;
