//! The receiving side of heartbeats and `AppendEntries` (HashiCorp raft `appendEntries`), and applying what is
//! committed.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::raft::AppendEntries;
use crate::protocol::raft::AppendHeader;
use crate::protocol::raft::Command;
use crate::protocol::raft::Entry;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::Internal;
use crate::protocol::raft::Msg;
use crate::protocol::raft::Payload;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;
use crate::protocol::raft::node::Change;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::node::Then;

impl<E: Command> RaftNode<E> {
    /// A heartbeat does not queue behind the disk, unless it changes the term or the state.
    pub(super) fn heartbeat(&mut self, now: Time, from: ProcessId, seq: u32, term: Term, fx: &mut impl Fx<Self>) {
        if term < self.durable.term {
            fx.send(from, Msg::HeartbeatReply { seq, term: self.durable.term, success: false });
            return;
        }
        if self.must_follow(term) {
            let msg = Msg::Heartbeat { seq, term };
            if self.busy() {
                self.postpone(from, msg);
            } else {
                self.adopt(now, term, Then::Receive { from, msg }, fx);
            }
            return;
        }
        self.set_leader(Some(from), fx);
        self.last_contact = Some(now);
        fx.send(from, Msg::HeartbeatReply { seq, term, success: true });
    }

    /// Whether a leader of `term`, not below our own, makes us its follower. One who was handed leadership goes on
    /// campaigning in its own term.
    fn must_follow(&self, term: Term) -> bool {
        let stands = match &self.role {
            Role::Follower => false,
            Role::Candidate(campaign) => !campaign.transfer,
            Role::Leader(_) => true,
        };
        term > self.durable.term || stands
    }

    /// `AppendEntries`, with or without entries.
    pub(super) fn append(
        &mut self,
        now: Time,
        from: ProcessId,
        header: AppendHeader,
        entries: Option<Arc<[Entry<E>]>>,
        fx: &mut impl Fx<Self>,
    ) {
        let AppendHeader { seq, term, prev_index, prev_term, commit } = header;
        let last = self.durable.log.last();
        let own = self.durable.term;
        let reject = |retry_at_once| Msg::AppendReply { seq, term: own, last, success: false, retry_at_once };
        if term < own {
            fx.send(from, reject(false));
            return;
        }
        if self.must_follow(term) {
            assert!(self.state() != State::Leader || term > own, "two leaders were elected in term {term}");
            let msg = match entries {
                None => Msg::from(header),
                Some(entries) => Msg::AppendEntries(Box::new(AppendEntries { header, entries })),
            };
            self.adopt(now, term, Then::Receive { from, msg }, fx);
            return;
        }
        self.set_leader(Some(from), fx);
        if prev_index < self.durable.log.base() {
            // Everything up to our base is committed and so equal; a leader that is behind it repeats itself.
            fx.send(from, reject(true));
            return;
        }
        if prev_index > Index::ZERO && self.durable.log.term_at(prev_index) != Some(prev_term) {
            fx.send(from, reject(true));
            return;
        }
        let upto = prev_index.plus(entries.as_ref().map_or(0, |entries| entries.len() as u64));
        if let Some(entries) = entries {
            self.reconcile(prev_index, entries, fx);
        }
        if self.busy() {
            self.disk.then = Then::Appended { to: from, seq, upto, commit, last };
        } else {
            self.appended(now, from, seq, (upto, commit, last), fx);
        }
    }

    /// Writes those of the entries after `prev` that the log lacks, cutting a conflicting tail first.
    fn reconcile(&mut self, prev: Index, entries: Arc<[Entry<E>]>, fx: &mut impl Fx<Self>) {
        let log = &self.durable.log;
        let known = |skip: usize| log.term_at(prev.plus(skip as u64 + 1));
        let Some(skip) = (0..entries.len()).find(|skip| known(*skip) != Some(entries[*skip].term)) else { return };
        let first = prev.plus(skip as u64 + 1);
        let conflict = first <= log.last();
        if conflict {
            assert!(first > self.commit, "a committed entry at {first} conflicts with the leader's");
            self.persist(Change::Truncate(first), fx);
        }
        self.persist(Change::Append { entries, skip }, fx);
    }

    /// The log now agrees with the leader's up to `upto`.
    pub(super) fn appended(
        &mut self,
        now: Time,
        to: ProcessId,
        seq: u32,
        (upto, commit, last): (Index, Index, Index),
        fx: &mut impl Fx<Self>,
    ) {
        self.commit_to(commit.min(upto), fx);
        self.last_contact = Some(now);
        fx.send(to, Msg::AppendReply { seq, term: self.durable.term, last, success: true, retry_at_once: false });
    }

    /// Entries up to `index` are committed: hands them to the container, in order.
    pub(super) fn commit_to(&mut self, index: Index, fx: &mut impl Fx<Self>) {
        if index <= self.commit {
            return;
        }
        fx.emit(Event::Committed { index });
        for at in self.commit.0 + 1..=index.0 {
            let index = Index(at);
            let (entry, hash) =
                self.durable.log.get(index).expect("what is committed and not yet applied is in the log");
            let (term, hash) = (entry.term, *hash);
            fx.emit(match &entry.payload {
                Payload::Command(entry) => Event::Apply { index, term, hash, entry: Arc::clone(entry) },
                Payload::Noop => Event::Passed { index, term, hash, kind: Internal::Noop },
                Payload::Barrier => Event::Passed { index, term, hash, kind: Internal::Barrier },
                Payload::Configuration(_) => Event::Passed { index, term, hash, kind: Internal::Configuration },
            });
        }
        self.commit = index;
        self.membership.commit(index);
    }
}
