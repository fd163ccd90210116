//! Serf's member list, ordered by intents: who is alive, leaving, left or failed (Serf `handleNodeJoin`,
//! `handleNodeLeave`, `handleNodeJoinIntent`, `handleNodeLeaveIntent`, `reap`).

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::protocol::gossip::config::SerfConfig;
use crate::protocol::gossip::lamport::LTime;
use crate::protocol::gossip::members::{Member, Pool, Table};
use crate::protocol::gossip::message::{Rumour, SerfKnowledge};
use crate::protocol::gossip::serf::{Event, Phase, Serf};
use crate::protocol::gossip::swim::Lane;

/// When the members of an established pool joined.
pub(super) const JOINED: LTime = LTime(1);

/// What Serf says of a member (`MemberStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Takes part.
    Alive,
    /// Has said that it will leave.
    Leaving,
    /// Has left on purpose.
    Left,
    /// Is gone without a word.
    Failed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Row {
    /// Time of the last intent.
    ltime: LTime,
    /// When it left or failed.
    since: Time,
    address: Option<ProcessId>,
    status: Option<Status>,
}

/// An intent about a member that is not known yet.
#[derive(Debug, Clone, Copy)]
struct EarlyIntent {
    kind: Intent,
    ltime: LTime,
    heard: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    Join,
    Leave,
}

/// The members as Serf sees them.
#[derive(Debug, Clone)]
pub(super) struct Roster {
    rows: Table<Row>,
    known: Vec<Member>,
    /// In the order in which they failed.
    failed: Vec<Member>,
    left: Vec<Member>,
    early: OrdMap<Member, EarlyIntent>,
    /// Whether the rows came with an established pool.
    established: bool,
    size: usize,
}

impl Roster {
    pub(super) fn new(pool: &Pool) -> Self {
        let size = pool.directory.len();
        let mut rows = Table::<Row>::new(size);
        for &member in &*pool.initial {
            let address = Some(pool.table.get(member).address);
            *rows.get_mut(member) = Row { ltime: JOINED, since: Time::ZERO, address, status: Some(Status::Alive) };
        }
        Self {
            rows,
            known: pool.initial.to_vec(),
            failed: Vec::new(),
            left: Vec::new(),
            early: OrdMap::new(),
            established: true,
            size,
        }
    }

    /// An agent that is not among the established members starts alone; says whether this one is among them.
    pub(super) fn restart(&mut self, me: Member) -> bool {
        let is_member = self.status(me).is_some();
        if std::mem::take(&mut self.established) && !is_member {
            self.clear();
        }
        is_member
    }

    pub(super) fn clear(&mut self) {
        self.rows = Table::new(self.size);
        self.known.clear();
        self.failed.clear();
        self.left.clear();
        self.early.clear();
        self.established = false;
    }

    pub(super) fn status(&self, member: Member) -> Option<Status> {
        self.rows.get(member).status
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Member, ProcessId, Status)> {
        self.known.iter().filter_map(|&member| {
            let row = self.rows.get(member);
            Some((member, row.address?, row.status?))
        })
    }

    /// Addresses of the live members but for the own one.
    pub(super) fn alive(&self, me: Member) -> impl Iterator<Item = ProcessId> {
        self.iter().filter(move |&(member, _, status)| member != me && status == Status::Alive).map(|(_, p, _)| p)
    }

    pub(super) fn has_company(&self, me: Member) -> bool {
        self.alive(me).next().is_some()
    }

    pub(super) fn failed_count(&self) -> usize {
        self.failed.len()
    }

    /// Members that are neither failed nor left.
    pub(super) fn alive_count(&self) -> usize {
        self.known.len() - self.failed.len() - self.left.len()
    }

    pub(super) fn failed_address(&self, choice: usize) -> ProcessId {
        self.rows.get(self.failed[choice]).address.expect("a known member has an address")
    }

    pub(super) fn has_reapable(&self) -> bool {
        !(self.failed.is_empty() && self.left.is_empty() && self.early.is_empty())
    }

    pub(super) fn moved(&mut self, member: Member, address: ProcessId) {
        if self.status(member).is_some() {
            self.rows.get_mut(member).address = Some(address);
        }
    }

    fn erase(&mut self, member: Member) -> Option<ProcessId> {
        let address = self.rows.get(member).address;
        *self.rows.get_mut(member) = Row::default();
        self.known.retain(|&m| m != member);
        self.unlist(member);
        address
    }

    fn unlist(&mut self, member: Member) {
        self.failed.retain(|&m| m != member);
        self.left.retain(|&m| m != member);
    }

    /// Forgets failed and left members past their time, and old intents; returns the addresses of the forgotten.
    pub(super) fn reap(&mut self, now: Time, config: &SerfConfig) -> Vec<ProcessId> {
        let old = |member: &Member, limit| now.since(self.rows.get(*member).since) > limit;
        let failed = self.failed.iter().copied();
        let mut gone: Vec<Member> = failed.take_while(|m| old(m, config.reconnect_timeout)).collect();
        gone.extend(self.left.iter().copied().filter(|m| old(m, config.tombstone_timeout)));
        self.early.retain(|_, intent| now.since(intent.heard) <= config.recent_intent_timeout);
        gone.into_iter().filter_map(|member| self.erase(member)).collect()
    }

    /// Keeps an intent of an unknown member if it is the newest; says whether it was.
    fn keep_early(&mut self, member: Member, intent: EarlyIntent) -> bool {
        let newest = self.early.get(&member).is_none_or(|known| intent.ltime > known.ltime);
        if newest {
            self.early.insert(member, intent);
        }
        newest
    }
}

impl Serf {
    /// The membership layer sees a member that it did not, or saw dead.
    pub(super) fn notify_join(&mut self, now: Time, member: Member, address: ProcessId, fx: &mut impl Fx<Self>) {
        let roster = &mut self.roster;
        let mut row = Row { address: Some(address), status: Some(Status::Alive), ..*roster.rows.get(member) };
        if roster.status(member).is_none() {
            roster.known.push(member);
            // The early intent stays until it is too old, as in Serf.
            if let Some(early) = roster.early.get(&member) {
                row.ltime = early.ltime;
                if early.kind == Intent::Leave {
                    row.status = Some(Status::Leaving);
                }
            }
        }
        *roster.rows.get_mut(member) = row;
        roster.unlist(member);
        fx.emit(Event::MemberJoin { member: address });
        self.wake_tickers(now, fx);
    }

    /// The membership layer sees a member no longer. Whether it failed or left depends on what it had said.
    pub(super) fn notify_leave(&mut self, now: Time, member: Member, fx: &mut impl Fx<Self>) {
        let row = *self.roster.rows.get(member);
        let (Some(address), Some(status)) = (row.address, row.status) else { return };
        self.ways.forget(member);
        let (after, event) = match status {
            Status::Leaving => (Status::Left, Event::MemberLeave { member: address }),
            Status::Alive => (Status::Failed, Event::MemberFailed { member: address }),
            Status::Left | Status::Failed => return,
        };
        *self.roster.rows.get_mut(member) = Row { since: now, status: Some(after), ..row };
        match after {
            Status::Left => self.roster.left.push(member),
            Status::Failed => self.roster.failed.push(member),
            Status::Alive | Status::Leaving => {}
        }
        fx.emit(event);
        self.wake_tickers(now, fx);
    }

    /// Says that we have joined, in words that beat an older leave (Serf `broadcastJoin`).
    pub(super) fn announce_join(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let (member, ltime) = (self.swim.me(), self.clock.time());
        self.clock.witness(ltime);
        self.on_join_intent(now, member, ltime);
        self.pass_on(now, Lane::Intents, Rumour::JoinIntent { member, ltime }, None, fx);
    }

    /// Takes in a join intent; says whether it was news.
    pub(super) fn on_join_intent(&mut self, now: Time, member: Member, ltime: LTime) -> bool {
        self.clock.witness(ltime);
        let row = *self.roster.rows.get(member);
        let Some(status) = row.status else {
            return self.roster.keep_early(member, EarlyIntent { kind: Intent::Join, ltime, heard: now });
        };
        if ltime <= row.ltime {
            return false;
        }
        let status = if status == Status::Leaving { Status::Alive } else { status };
        *self.roster.rows.get_mut(member) = Row { ltime, status: Some(status), ..row };
        true
    }

    /// Takes in a leave intent; says whether it is to be passed on.
    pub(super) fn on_leave_intent(
        &mut self,
        now: Time,
        member: Member,
        ltime: LTime,
        prune: bool,
        fx: &mut impl Fx<Self>,
    ) -> bool {
        self.clock.witness(ltime);
        let row = *self.roster.rows.get(member);
        let (Some(address), Some(status)) = (row.address, row.status) else {
            let news = self.roster.keep_early(member, EarlyIntent { kind: Intent::Leave, ltime, heard: now });
            self.wake_tickers(now, fx);
            return news;
        };
        if ltime <= row.ltime {
            return false;
        }
        if member == self.swim.me() && self.phase() == Phase::Alive {
            self.announce_join(now, fx);
            return false;
        }
        let after = match status {
            Status::Alive => Status::Leaving,
            Status::Failed => Status::Left,
            Status::Leaving | Status::Left => status,
        };
        *self.roster.rows.get_mut(member) = Row { ltime, status: Some(after), ..row };
        if status == Status::Failed {
            self.roster.unlist(member);
            self.roster.left.push(member);
            fx.emit(Event::MemberLeave { member: address });
        }
        if prune {
            self.roster.erase(member);
            fx.emit(Event::MemberReap { member: address });
        }
        true
    }

    /// What we know, for an exchange of tables.
    pub(super) fn knowledge(&self) -> SerfKnowledge {
        SerfKnowledge {
            clock: self.clock.time(),
            event_clock: self.events.clock.time(),
            query_clock: self.queries.clock.time(),
            statuses: self.roster.known.iter().map(|&m| (m, self.roster.rows.get(m).ltime)).collect(),
            left: self.roster.left.as_slice().into(),
            events: self.events.kept().cloned().collect(),
        }
    }

    /// Takes in what another knows: the left ones first, one step after their last known intent, so that a join
    /// intent of the same exchange does not hide that they left (Serf `MergeRemoteState`). Nothing is passed on.
    pub(super) fn on_knowledge(&mut self, now: Time, theirs: &SerfKnowledge, ignore_old: bool, fx: &mut impl Fx<Self>) {
        for (clock, heard) in [
            (&mut self.clock, theirs.clock),
            (&mut self.events.clock, theirs.event_clock),
            (&mut self.queries.clock, theirs.query_clock),
        ] {
            if heard > LTime(0) {
                clock.witness(heard.previous());
            }
        }
        let mut left = theirs.left.to_vec();
        left.sort_unstable();
        for &(member, ltime) in &theirs.statuses {
            if left.binary_search(&member).is_ok() {
                self.on_leave_intent(now, member, ltime.next(), false, fx);
            }
        }
        for &(member, ltime) in &theirs.statuses {
            if left.binary_search(&member).is_err() {
                self.on_join_intent(now, member, ltime);
            }
        }
        if ignore_old {
            self.events.ignore_before(theirs.event_clock);
        }
        for event in &theirs.events {
            self.on_user_event(now, event.clone(), false, fx);
        }
        self.wake_tickers(now, fx);
    }
}
