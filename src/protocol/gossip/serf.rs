//! Serf as a machine: membership with intents over [`Swim`], so that a member that leaves is told from one that fails,
//! and that failed members are tried again; user events and queries; network coordinates.
//!
//! `intent.rs` has the Lamport-ordered intents and the member list, `rejoin.rs` the ways into the pool, `rumour.rs`
//! user events and queries.
//!
//! The tickers that reap and reconnect have the phase of the agent's start; an agent of an established pool started at
//! a random one. Queues are cut to their depth whenever something is queued, not every 30 s (`QueueCheckInterval`):
//! while more waits than a queue may hold, the most transmitted of it is dropped up to 30 s earlier. Left out: the time
//! after which a failed member is forgotten is the same for all (`reconnect_timeout` in a member's tags overrides it).

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Contains, Fx, Input, Kept, Machine, Part, Slot, Token};
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::broadcast::Ticket;
use crate::protocol::gossip::config::SerfConfig;
use crate::protocol::gossip::coordinate::{Coordinate, Locator};
use crate::protocol::gossip::intent::{JOINED, Roster, Status};
use crate::protocol::gossip::lamport::LamportClock;
use crate::protocol::gossip::members::{Directory, DirectoryError, Member, Meta, Pool, State};
use crate::protocol::gossip::message::{Msg, Query, Rumour, Stream, UserEvent};
use crate::protocol::gossip::rejoin::Ways;
use crate::protocol::gossip::rumour::{Asked, Window};
use crate::protocol::gossip::swim::{self, Lane, Purpose, Swim, until_tick};

/// The Serf agent of one process.
#[derive(Debug, Clone)]
pub struct Serf {
    pub(super) config: Arc<SerfConfig>,
    pub(super) swim: Swim,
    pub(super) roster: Roster,
    pub(super) clock: LamportClock,
    pub(super) events: Window<UserEvent>,
    pub(super) queries: Window<Query>,
    pub(super) asked: Vec<Asked>,
    pub(super) rng: Rng,
    locator: Option<Locator>,
    pub(super) ways: Ways,
    phase: Phase,
    /// A tick of the tickers that reap and reconnect.
    ticker_phase: Time,
    reap_armed: bool,
    reconnect_armed: bool,
    /// What the membership layer has just said; empty between inputs.
    heard: Vec<swim::Event>,
}

/// Where the agent is in its life (Serf `SerfState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Takes part.
    Alive,
    /// Waits for its leave intent to go out.
    Announcing,
    /// Waits for its goodbye to go out.
    Parting,
    /// Stays to answer probes until everybody has heard.
    Lingering,
    /// Has left; the process may stop.
    Left,
}

/// Alarms of the Serf agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// One of the membership layer.
    Swim(swim::Timer),
    /// Time to forget old members; runs only while there are any.
    Reap,
    /// Time to try a failed member; runs only while there are any.
    Reconnect,
    /// The current stage of leaving takes too long, or is over.
    Leave,
    /// The first of our queries is over.
    Query,
    /// A join that the configuration asks for is tried again.
    RetryJoin,
}

impl Slot for Timer {
    fn slot(self) -> usize {
        match self {
            Self::Swim(timer) => timer.slot(),
            Self::Reap => swim::Timer::COUNT,
            Self::Reconnect => swim::Timer::COUNT + 1,
            Self::Leave => swim::Timer::COUNT + 2,
            Self::Query => swim::Timer::COUNT + 3,
            Self::RetryJoin => swim::Timer::COUNT + 4,
        }
    }
}

/// What the Serf agent tells its container.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A member joined, or came back (`EventMemberJoin`).
    MemberJoin {
        /// Its address.
        member: ProcessId,
    },
    /// A member left on purpose, or was declared to have (`EventMemberLeave`).
    MemberLeave {
        /// Its address.
        member: ProcessId,
    },
    /// A member failed (`EventMemberFailed`).
    MemberFailed {
        /// Its address.
        member: ProcessId,
    },
    /// A failed or left member was forgotten (`EventMemberReap`).
    MemberReap {
        /// Its address.
        member: ProcessId,
    },
    /// A member's tags changed (`EventMemberUpdate`).
    MemberUpdate {
        /// Its address.
        member: ProcessId,
        /// Its tags now.
        meta: Meta,
    },
    /// A user event, once per agent.
    User(Arc<UserEvent>),
    /// A query, once per agent; answer with [`Serf::answer`].
    Query(Arc<Query>),
    /// A member's answer to a query of ours.
    Answered {
        /// The query.
        id: u32,
        /// Who answers.
        member: Member,
        /// What it says.
        payload: Arc<[u8]>,
    },
    /// A query of ours is over: its time is up.
    QueryDone {
        /// The query.
        id: u32,
        /// Answers received.
        answers: u32,
    },
    /// [`Serf::join`] has tried all addresses.
    JoinDone {
        /// How many it reached.
        reached: u32,
    },
    /// [`Serf::leave`] is over.
    LeaveDone {
        /// Whether all its stages ended in time; an agent that gave up looks failed to the others.
        graceful: bool,
    },
    /// What happened in the membership layer, for metrics and invariants: state changes, failed and rescued probes,
    /// expired suspicions, refutations.
    Swim(swim::Event),
}

/// A command came at the wrong time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SerfError {
    /// The agent leaves or has left.
    #[error("the gossip agent is leaving or has left its pool")]
    Leaving,
    /// The member is not known.
    #[error("member `{0}` is not known in this gossip pool")]
    UnknownMember(Member),
    /// A user event or query beyond the limit.
    #[error("a gossip payload of `{bytes}` bytes exceeds the limit of `{limit}` bytes")]
    TooLarge {
        /// Its size.
        bytes: u32,
        /// The limit.
        limit: u32,
    },
}

impl Serf {
    /// An agent at `address`, which the pool's directory must list. `seed` and `name` (for example
    /// `us-east-1/b-3/serf`)
    /// give its random streams.
    pub fn new(
        config: Arc<SerfConfig>,
        pool: &Pool,
        address: ProcessId,
        rng: (u64, &str),
    ) -> Result<Self, DirectoryError> {
        let (seed, name) = rng;
        let stream = |part: &str| Rng::stream(seed, &format!("{name}/{part}"));
        let swim = Swim::new(config.swim.clone(), pool, address, stream("memberlist"))?;
        let window = config.event_buffer;
        Ok(Self {
            locator: config.coordinates.then(|| Locator::new(stream("coordinate"))),
            roster: Roster::new(pool),
            clock: if pool.initial.is_empty() { LamportClock::started() } else { LamportClock::after(JOINED) },
            events: Window::new(window),
            queries: Window::new(window),
            asked: Vec::new(),
            rng: stream("serf"),
            ways: Ways::default(),
            phase: Phase::Alive,
            ticker_phase: Time::ZERO,
            reap_armed: false,
            reconnect_armed: false,
            heard: Vec::new(),
            swim,
            config,
        })
    }

    /// The membership layer.
    pub fn swim(&self) -> &Swim {
        &self.swim
    }

    /// The pool's directory.
    pub fn directory(&self) -> &Arc<Directory> {
        self.swim.directory()
    }

    /// Where the agent is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What this agent thinks of a member; `None` if it never heard of it, or forgot it.
    pub fn status(&self, member: Member) -> Option<Status> {
        self.roster.status(member)
    }

    /// All members it knows, with their addresses: alive, leaving, left and failed.
    pub fn members(&self) -> impl Iterator<Item = (Member, ProcessId, Status)> {
        self.roster.iter()
    }

    /// How many members it knows.
    pub fn member_count(&self) -> usize {
        self.roster.len()
    }

    /// Where the agent is in network coordinates, if it keeps them.
    pub fn coordinate(&self) -> Option<&Coordinate> {
        self.locator.as_ref().map(Locator::here)
    }

    /// Leaves gracefully: leave intent, goodbye, and a while of answering probes; [`Event::LeaveDone`] tells when.
    pub fn leave(&mut self, now: Time, fx: &mut impl Fx<Self>) -> Result<(), SerfError> {
        if self.phase != Phase::Alive {
            return Err(SerfError::Leaving);
        }
        self.phase = Phase::Announcing;
        self.ways.abandon();
        let (me, ltime) = (self.swim.me(), self.clock.time());
        self.clock.increment();
        self.on_leave_intent(now, me, ltime, false, fx);
        if self.roster.has_company(me) {
            fx.arm(Timer::Leave, self.config.broadcast_timeout);
            let rumour = Rumour::LeaveIntent { member: me, ltime, prune: false };
            self.pass_on(now, Lane::Intents, rumour, Some(Ticket::LeaveIntent), fx);
        } else {
            self.part(now, fx);
        }
        self.digest_heard(now, fx);
        Ok(())
    }

    /// Declares a failed member to have left, everywhere (`RemoveFailedNode`, `force-leave`); with `prune`, it is
    /// forgotten at once.
    pub fn force_leave(
        &mut self,
        now: Time,
        member: Member,
        prune: bool,
        fx: &mut impl Fx<Self>,
    ) -> Result<(), SerfError> {
        if self.roster.status(member).is_none() {
            return Err(SerfError::UnknownMember(member));
        }
        let ltime = self.clock.time();
        self.clock.increment();
        self.on_leave_intent(now, member, ltime, prune, fx);
        if self.roster.has_company(self.swim.me()) {
            self.pass_on(now, Lane::Intents, Rumour::LeaveIntent { member, ltime, prune }, None, fx);
        }
        self.digest_heard(now, fx);
        Ok(())
    }

    /// Publishes new tags.
    pub fn update_meta(&mut self, now: Time, meta: Meta, fx: &mut impl Fx<Self>) {
        self.with_swim(fx, |swim, part| swim.update_meta(now, meta, part));
        self.digest_heard(now, fx);
    }

    /// [`Swim::probe_answered`] of the membership layer.
    #[inline]
    pub fn probe_answered(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.with_swim(fx, |swim, part| swim.probe_answered(now, part));
        self.digest_heard(now, fx);
    }

    /// Queues a rumour for everybody.
    pub(super) fn pass_on(
        &mut self,
        now: Time,
        lane: Lane,
        rumour: Rumour,
        ticket: Option<Ticket>,
        fx: &mut impl Fx<Self>,
    ) {
        self.swim.audience = self.roster.len();
        self.with_swim(fx, |swim, part| swim.broadcast(now, lane, rumour, ticket, part));
        let depth_max = match self.config.queue_depth_min {
            Some(min) => (2 * self.roster.len()).max(min as usize),
            None => self.config.queue_depth_max as usize,
        };
        self.swim.prune(depth_max);
    }

    /// Calls the membership layer with effects of its own; what it says waits in `heard`.
    pub(super) fn with_swim<F: Fx<Self>>(
        &mut self,
        fx: &mut F,
        call: impl FnOnce(&mut Swim, &mut Part<'_, F, Self, swim::Event>),
    ) {
        call(&mut self.swim, &mut Part::new(fx, &mut self.heard));
    }

    fn pass_down(&mut self, now: Time, input: Input<Msg, swim::Timer>, fx: &mut impl Fx<Self>) {
        self.with_swim(fx, |swim, part| swim.handle(now, input, part));
        self.digest_heard(now, fx);
    }

    /// Reacts to what the membership layer said, in order, until it has nothing more to say.
    pub(super) fn digest_heard(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while !self.heard.is_empty() {
            let mut events = std::mem::take(&mut self.heard);
            for event in events.drain(..) {
                self.digest(now, event, fx);
            }
            if self.heard.is_empty() {
                self.heard = events;
            }
        }
    }

    fn digest(&mut self, now: Time, event: swim::Event, fx: &mut impl Fx<Self>) {
        match event {
            swim::Event::Changed { member, address, before, after, .. } => {
                fx.emit(Event::Swim(event));
                match (before, after) {
                    (State::Absent | State::Dead | State::Left, State::Alive) => {
                        self.notify_join(now, member, address, fx);
                    }
                    (_, State::Dead | State::Left) => self.notify_leave(now, member, fx),
                    (_, State::Alive | State::Suspect | State::Absent) => {}
                }
            }
            swim::Event::Updated { member, address, meta } => {
                self.roster.moved(member, address);
                fx.emit(Event::MemberUpdate { member: address, meta });
            }
            swim::Event::Purged { member } => {
                if let Some(locator) = &mut self.locator {
                    locator.forget(member);
                }
            }
            swim::Event::ProbeFailed { .. }
            | swim::Event::ProbeRescued { .. }
            | swim::Event::Expired { .. }
            | swim::Event::Refuted { .. } => fx.emit(Event::Swim(event)),
            swim::Event::Answered { peer, rtt, coordinate } => self.locate(peer, rtt, coordinate.as_deref()),
            swim::Event::Heard(rumour) => self.on_rumour(now, rumour, fx),
            swim::Event::Merged { serf, join } => {
                if let Some(serf) = serf {
                    let ignore_old = join && self.ways.ignores_old();
                    self.on_knowledge(now, &serf, ignore_old, fx);
                }
            }
            swim::Event::Exchanged { purpose, reached, .. } => self.on_exchanged(now, purpose, reached, fx),
            swim::Event::Spent(ticket) => self.on_spent(now, ticket, fx),
        }
    }

    fn on_rumour(&mut self, now: Time, rumour: Rumour, fx: &mut impl Fx<Self>) {
        match rumour {
            Rumour::JoinIntent { member, ltime } => {
                if self.on_join_intent(now, member, ltime) {
                    self.pass_on(now, Lane::Intents, Rumour::JoinIntent { member, ltime }, None, fx);
                    self.wake_tickers(now, fx);
                }
            }
            Rumour::LeaveIntent { member, ltime, prune } => {
                if self.on_leave_intent(now, member, ltime, prune, fx) {
                    self.pass_on(now, Lane::Intents, Rumour::LeaveIntent { member, ltime, prune }, None, fx);
                }
            }
            Rumour::User(event) => self.on_user_event(now, event, true, fx),
            Rumour::Query(query) => self.on_query(now, query, fx),
            Rumour::Alive { .. } | Rumour::Suspect { .. } | Rumour::Dead { .. } => {
                unreachable!("the membership layer keeps rumours about members")
            }
        }
    }

    fn on_spent(&mut self, now: Time, ticket: Ticket, fx: &mut impl Fx<Self>) {
        match (ticket, self.phase) {
            (Ticket::LeaveIntent, Phase::Announcing) => self.part(now, fx),
            (Ticket::Goodbye, Phase::Parting) => self.linger(fx),
            (Ticket::LeaveIntent | Ticket::Goodbye, _) => {}
        }
    }

    fn part(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.phase = Phase::Parting;
        let mut company = false;
        self.with_swim(fx, |swim, part| company = swim.leave(now, part));
        if company {
            fx.arm(Timer::Leave, self.config.broadcast_timeout);
        } else {
            self.linger(fx);
        }
    }

    fn linger(&mut self, fx: &mut impl Fx<Self>) {
        self.phase = Phase::Lingering;
        fx.arm(Timer::Leave, self.config.leave_propagate_delay);
    }

    fn on_leave_timer(&mut self, fx: &mut impl Fx<Self>) {
        let graceful = match self.phase {
            Phase::Alive | Phase::Left => return,
            Phase::Announcing | Phase::Parting => false,
            Phase::Lingering => true,
        };
        self.phase = Phase::Left;
        fx.emit(Event::LeaveDone { graceful });
    }

    fn locate(&mut self, peer: Member, rtt: Duration, there: Option<&Coordinate>) {
        let (Some(locator), Some(there)) = (&mut self.locator, there) else { return };
        locator.update(peer, there, rtt);
        let published = self.swim.coordinate.get_or_insert_default();
        // No ack is under way most of the time, so this writes in place.
        *Arc::make_mut(published) = *locator.here();
    }

    fn start(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(locator) = &self.locator {
            self.swim.coordinate = Some(Arc::new(*locator.here()));
        }
        self.ticker_phase = now;
        let is_member = self.roster.restart(self.swim.me());
        if is_member {
            self.ticker_phase += self.rng.stagger(self.config.reconnect_interval.max(self.config.reap_interval));
        }
        self.pass_down(now, Input::Start, fx);
        if !is_member {
            self.find_pool(now, fx);
        }
        self.digest_heard(now, fx);
    }

    /// Runs the reap and reconnect tickers while they can find something; both keep their phase.
    pub(super) fn wake_tickers(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if !self.reap_armed && self.roster.has_reapable() {
            self.reap_armed = true;
            fx.arm(Timer::Reap, until_tick(now, self.ticker_phase, self.config.reap_interval));
        }
        if !self.reconnect_armed && self.roster.failed_count() > 0 {
            self.reconnect_armed = true;
            fx.arm(Timer::Reconnect, until_tick(now, self.ticker_phase, self.config.reconnect_interval));
        }
    }

    fn on_reap(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.reap_armed = false;
        for member in self.roster.reap(now, &self.config) {
            fx.emit(Event::MemberReap { member });
        }
        self.wake_tickers(now, fx);
    }

    /// With probability failed / alive, tries one failed member; so a pool tries each about once per interval.
    fn on_reconnect(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.reconnect_armed = false;
        let (failed, alive) = (self.roster.failed_count(), self.roster.alive_count());
        if failed > 0 && self.rng.uniform() <= failed as f64 / alive.max(1) as f64 {
            let choice = self.rng.below(failed as u64) as usize;
            let address = self.roster.failed_address(choice);
            self.with_swim(fx, |swim, part| swim.exchange(now, address, Purpose::Reconnect, part));
            self.digest_heard(now, fx);
        }
        self.wake_tickers(now, fx);
    }

    fn on_message(&mut self, now: Time, from: ProcessId, msg: Msg, fx: &mut impl Fx<Self>) {
        if let Msg::Answer { id, member, payload } = msg {
            self.on_answer(id, member, payload, fx);
            return;
        }
        if matches!(msg, Msg::Accept(Stream::Exchange(_)) | Msg::Push(_)) {
            self.swim.knowledge = Some(Arc::new(self.knowledge()));
        }
        self.pass_down(now, Input::Message { from, msg }, fx);
    }
}

impl Contains<Swim> for Serf {
    fn wrap_message(msg: Msg) -> Msg {
        msg
    }

    fn wrap_timer(timer: swim::Timer) -> Timer {
        Timer::Swim(timer)
    }

    fn wrap_token(token: Token) -> Token {
        token
    }
}

impl Machine for Serf {
    type Msg = Msg;
    type Timer = Timer;
    type Event = Event;

    fn handle(&mut self, now: Time, input: Input<Msg, Timer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(now, fx),
            Input::Message { from, msg } => self.on_message(now, from, msg, fx),
            Input::Refused { to } => self.pass_down(now, Input::Refused { to }, fx),
            Input::Fired(Timer::Swim(timer)) => self.pass_down(now, Input::Fired(timer), fx),
            Input::Fired(Timer::Reap) => self.on_reap(now, fx),
            Input::Fired(Timer::Reconnect) => self.on_reconnect(now, fx),
            Input::Fired(Timer::Leave) => self.on_leave_timer(fx),
            Input::Fired(Timer::Query) => self.on_query_over(now, fx),
            Input::Fired(Timer::RetryJoin) => self.on_retry_join(now, fx),
            // Nothing is written and nothing computed.
            Input::Done(_) => {}
        }
    }

    /// With a snapshot, the clocks and the addresses of live members survive (Serf `snapshot.go`); everything else is
    /// forgotten. An agent that left has an empty snapshot.
    fn reboot(&mut self, now: Time, kept: &Kept) {
        let me = self.swim.me();
        if self.config.snapshot && self.phase == Phase::Alive {
            self.ways.restart(me, &self.roster, &mut self.rng);
        } else {
            self.ways.restart_afresh();
        }
        if !self.config.snapshot {
            self.clock = LamportClock::started();
        }
        self.events.reboot(self.config.snapshot);
        self.queries.reboot(self.config.snapshot);
        self.asked.clear();
        self.roster.clear();
        self.phase = Phase::Alive;
        self.reap_armed = false;
        self.reconnect_armed = false;
        self.locator = self.locator.take().map(|_| Locator::new(self.rng.clone()));
        self.swim.reboot(now, kept);
    }
}
