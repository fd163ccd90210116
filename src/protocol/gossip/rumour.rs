//! User events and queries: everybody hears each of them once, in no particular order (Serf `handleUserEvent`,
//! `handleQuery`).

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::broadcast::transmit_limit;
use crate::protocol::gossip::lamport::{LTime, LamportClock};
use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::message::{Msg, Query, Rumour, UserEvent};
use crate::protocol::gossip::serf::{Event, Phase, Serf, SerfError, Timer};
use crate::protocol::gossip::swim::Lane;

/// What was heard of one Lamport time.
#[derive(Debug, Clone)]
struct Heard<T> {
    ltime: LTime,
    items: SmallVec<[Arc<T>; 1]>,
}

/// What was heard lately, by Lamport time: a ring of as many slots as `EventBuffer` says, kept sparse.
#[derive(Debug, Clone)]
pub(super) struct Window<T> {
    pub(super) clock: LamportClock,
    slots: OrdMap<u64, Heard<T>>,
    size: u64,
    /// Anything before is ignored.
    earliest: LTime,
}

impl<T: PartialEq> Window<T> {
    pub(super) fn new(size: u32) -> Self {
        Self { clock: LamportClock::started(), slots: OrdMap::new(), size: u64::from(size.max(1)), earliest: LTime(0) }
    }

    /// Takes in something of this time; says whether it is new and not too old.
    fn admit(&mut self, ltime: LTime, item: &Arc<T>) -> bool {
        self.clock.witness(ltime);
        let now = self.clock.time();
        if ltime < self.earliest || (now.0 > self.size && ltime.0 < now.0 - self.size) {
            return false;
        }
        let fresh = || Heard { ltime, items: SmallVec::new() };
        let slot = self.slots.entry(ltime.0 % self.size).or_insert_with(fresh);
        if slot.ltime != ltime {
            *slot = fresh();
        } else if slot.items.contains(item) {
            return false;
        }
        slot.items.push(item.clone());
        true
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &Arc<T>> {
        self.slots.values().flat_map(|heard| &heard.items)
    }

    pub(super) fn ignore_before(&mut self, ltime: LTime) {
        self.earliest = self.earliest.max(ltime);
    }

    /// With a snapshot the clock survives, and with it the knowledge that everything before has been seen.
    pub(super) fn reboot(&mut self, snapshot: bool) {
        self.slots.clear();
        if snapshot {
            self.earliest = self.clock.time();
        } else {
            self.clock = LamportClock::started();
            self.earliest = LTime(0);
        }
    }
}

/// A query of ours that still takes answers.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    id: u32,
    due: Time,
    answered: Vec<Member>,
}

impl Serf {
    /// Tells everybody, ourselves included.
    pub fn user_event(
        &mut self,
        now: Time,
        name: &str,
        payload: &[u8],
        fx: &mut impl Fx<Self>,
    ) -> Result<LTime, SerfError> {
        /// `UserEventSizeLimit` as a constant of Serf, which no setting exceeds, in bytes.
        const EVENT_BYTES_CAP: u32 = 9 * 1024;
        self.check_payload(name, payload, self.config.user_event_bytes_max.min(EVENT_BYTES_CAP))?;
        let ltime = self.events.clock.time();
        self.events.clock.increment();
        let event = Arc::new(UserEvent { ltime, name: name.into(), payload: payload.into() });
        self.on_user_event(now, event, true, fx);
        self.digest_heard(now, fx);
        Ok(ltime)
    }

    /// Asks everybody, ourselves included. Answers come as [`Event::Answered`] until [`Event::QueryDone`], which comes
    /// at the timeout: gossip interval x 16 x the decades of the pool's size.
    pub fn query(&mut self, now: Time, name: &str, payload: &[u8], fx: &mut impl Fx<Self>) -> Result<u32, SerfError> {
        /// `QuerySizeLimit`, in bytes.
        const QUERY_BYTES_MAX: u32 = 1024;
        self.check_payload(name, payload, QUERY_BYTES_MAX)?;
        let ltime = self.queries.clock.time();
        self.queries.clock.increment();
        let id = self.rng.below(1 << 31) as u32;
        let origin = self.swim.entry(self.swim.me()).address;
        let due = now + self.query_timeout();
        self.asked.push(Asked { id, due, answered: Vec::new() });
        self.arm_query(now, fx);
        let query = Arc::new(Query { ltime, id, origin, name: name.into(), payload: payload.into() });
        self.on_query(now, query, fx);
        self.digest_heard(now, fx);
        Ok(id)
    }

    /// Answers a query, straight to who asked; the answer may get lost.
    pub fn answer(&mut self, query: &Query, payload: Arc<[u8]>, fx: &mut impl Fx<Self>) -> Result<(), SerfError> {
        /// `QueryResponseSizeLimit`, in bytes.
        const ANSWER_BYTES_MAX: u32 = 1024;
        check_size(payload.len(), ANSWER_BYTES_MAX)?;
        let member = self.swim.me();
        if query.origin == self.swim.entry(member).address {
            self.on_answer(query.id, member, payload, fx);
        } else {
            fx.send(query.origin, Msg::Answer { id: query.id, member, payload });
        }
        Ok(())
    }

    /// How long a query waits (Serf `DefaultQueryTimeout`).
    pub fn query_timeout(&self) -> Duration {
        self.config.swim.gossip_interval * u64::from(transmit_limit(self.config.query_timeout_mult, self.roster.len()))
    }

    fn check_payload(&self, name: &str, payload: &[u8], limit: u32) -> Result<(), SerfError> {
        if self.phase() != Phase::Alive {
            return Err(SerfError::Leaving);
        }
        check_size(name.len() + payload.len(), limit)
    }

    pub(super) fn on_user_event(&mut self, now: Time, event: Arc<UserEvent>, gossiped: bool, fx: &mut impl Fx<Self>) {
        if !self.events.admit(event.ltime, &event) {
            return;
        }
        fx.emit(Event::User(event.clone()));
        if gossiped {
            self.pass_on(now, Lane::Events, Rumour::User(event), None, fx);
        }
    }

    pub(super) fn on_query(&mut self, now: Time, query: Arc<Query>, fx: &mut impl Fx<Self>) {
        if !self.queries.admit(query.ltime, &query) {
            return;
        }
        fx.emit(Event::Query(query.clone()));
        self.pass_on(now, Lane::Queries, Rumour::Query(query), None, fx);
    }

    /// The first answer of each member counts.
    pub(super) fn on_answer(&mut self, id: u32, member: Member, payload: Arc<[u8]>, fx: &mut impl Fx<Self>) {
        let Some(asked) = self.asked.iter_mut().find(|asked| asked.id == id) else { return };
        if asked.answered.contains(&member) {
            return;
        }
        asked.answered.push(member);
        fx.emit(Event::Answered { id, member, payload });
    }

    pub(super) fn on_query_over(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.asked.retain(|asked| {
            let open = asked.due > now;
            if !open {
                fx.emit(Event::QueryDone { id: asked.id, answers: asked.answered.len() as u32 });
            }
            open
        });
        self.arm_query(now, fx);
    }

    fn arm_query(&self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(due) = self.asked.iter().map(|asked| asked.due).min() {
            fx.arm(Timer::Query, due.since(now));
        }
    }
}

fn check_size(bytes: usize, limit: u32) -> Result<(), SerfError> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    if bytes > limit { Err(SerfError::TooLarge { bytes, limit }) } else { Ok(()) }
}
