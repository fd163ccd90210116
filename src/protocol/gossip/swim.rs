//! The membership protocol: memberlist's `Memberlist` as a machine.
//!
//! `probe.rs` finds out who answers, `merge.rs` decides what to believe, `exchange.rs` swaps whole tables; this file
//! has
//! the state, the timers, the gossip tick and the packets.
//!
//! The tickers of probes and gossip have the phase of the process' start (memberlist `schedule`: the stagger delays
//! only the first read of a ticker), also after a pause. An agent of an established pool starts at a random phase. The
//! gossip ticker exists only while something is queued that somebody could be told, but keeps its phase.

use std::collections::VecDeque;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine, Slot};
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::awareness::Awareness;
use crate::protocol::gossip::broadcast::{Broadcasts, Packet, Ticket, USER_OVERHEAD, transmit_limit};
use crate::protocol::gossip::config::Config;
use crate::protocol::gossip::coordinate::Coordinate;
pub use crate::protocol::gossip::exchange::Purpose;
use crate::protocol::gossip::exchange::{Exchange, Wait};
use crate::protocol::gossip::members::{Directory, DirectoryError, Entry, Member, Meta, Pool, State, Table};
use crate::protocol::gossip::message::{
    COMPOUND_HEADER, COMPOUND_OVERHEAD, Msg, Rumour, Rumours, SerfKnowledge, Stream,
};
use crate::protocol::gossip::probe::{Probe, Relay};
use crate::protocol::gossip::suspicion::Suspicions;

/// The membership machine of one agent.
#[derive(Debug, Clone)]
pub struct Swim {
    pub(super) config: Arc<Config>,
    pub(super) directory: Arc<Directory>,
    pub(super) me: Member,
    pub(super) address: ProcessId,
    pub(super) rng: Rng,
    pub(super) table: Table<Entry>,
    /// The rows of the table in probing order, the own one included (memberlist `nodes`).
    pub(super) list: Vec<Member>,
    pub(super) probe_index: usize,
    pub(super) incarnation: u32,
    pub(super) meta: Meta,
    pub(super) sequence: u32,
    pub(super) awareness: Awareness,
    pub(super) suspicions: Suspicions,
    pub(super) probe: Option<Probe>,
    /// A probe tick that came while the last probe was still waiting.
    pub(super) tick_waits: bool,
    pub(super) relays: VecDeque<Relay>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) exchange_count: u32,
    pub(super) leaving: bool,
    /// Rumours about members, which take the room in a packet first.
    pub(super) queue: Broadcasts,
    /// Rumours of the layer above, by priority.
    pub(super) lanes: [Broadcasts; Lane::COUNT],
    /// Members as the layer above counts them, for the transmission limit of its rumours.
    pub(super) audience: usize,
    /// What the next exchange carries for the layer above.
    pub(super) knowledge: Option<Arc<SerfKnowledge>>,
    /// What acks carry.
    pub(super) coordinate: Option<Arc<Coordinate>>,
    established: Option<Arc<[Member]>>,
    /// A tick of the probe ticker and of the gossip ticker.
    pub(super) phase: Time,
    gossip_armed: bool,
    pub(super) push_pull_wait: Wait,
}

/// Alarms of the membership machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Time to probe the next member.
    Probe,
    /// The probe's current wait is over.
    Wait,
    /// Time to gossip.
    Gossip,
    /// Time to exchange tables with somebody.
    PushPull,
    /// The first of the exchanges under way has taken too long.
    Exchange,
    /// The first of the suspicions runs out.
    Suspicion,
    /// The first of the pings on behalf of others has taken too long.
    Relay,
}

impl Timer {
    /// How many there are.
    pub const COUNT: usize = 7;
}

impl Slot for Timer {
    fn slot(self) -> usize {
        self as usize
    }
}

/// Queues of rumours of the layer above, in their order of precedence (Serf `delegate.GetBroadcasts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Join and leave intents.
    Intents,
    /// Queries.
    Queries,
    /// User events.
    Events,
}

impl Lane {
    const COUNT: usize = 3;
}

/// What the membership machine tells its container.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A row of the table changed its state or incarnation.
    Changed {
        /// Whose.
        member: Member,
        /// Its address.
        address: ProcessId,
        /// The state before.
        before: State,
        /// The state now.
        after: State,
        /// The incarnation now.
        incarnation: u32,
        /// Who made it so: the accuser, or the member itself.
        by: Member,
    },
    /// A member's tags or address changed while it was alive.
    Updated {
        /// Whose.
        member: Member,
        /// Its address.
        address: ProcessId,
        /// Its tags now.
        meta: Meta,
    },
    /// A member has been dead or gone long enough to be forgotten here.
    Purged {
        /// Who.
        member: Member,
    },
    /// Our own probe got no answer in any way ("no acks received").
    ProbeFailed {
        /// Who was silent.
        target: ProcessId,
    },
    /// Only the TCP fallback reached the target.
    ProbeRescued {
        /// Who was reached.
        target: ProcessId,
    },
    /// A direct answer came back.
    Answered {
        /// From whom.
        peer: Member,
        /// After how long.
        rtt: Duration,
        /// Where it is.
        coordinate: Option<Arc<Coordinate>>,
    },
    /// Our own suspicion timer ran out; the member is marked dead next.
    Expired {
        /// Whose.
        target: ProcessId,
        /// Independent confirmations it had.
        confirmations: u32,
    },
    /// Somebody thought us suspect or dead; we said no.
    Refuted {
        /// Our new incarnation.
        incarnation: u32,
    },
    /// A rumour of the layer above arrived.
    Heard(Rumour),
    /// A whole table was merged; this is what it carried for the layer above.
    Merged {
        /// The other's knowledge.
        serf: Option<Arc<SerfKnowledge>>,
        /// Whether the exchange was a join.
        join: bool,
    },
    /// An exchange we began is over.
    Exchanged {
        /// With whom.
        peer: ProcessId,
        /// Why we began it.
        purpose: Purpose,
        /// Whether it succeeded.
        reached: bool,
    },
    /// A rumour somebody waits for went out for the last time, or was replaced.
    Spent(Ticket),
}

impl Swim {
    /// An agent at `address`, which the pool's directory must list. `rng` is the agent's own stream.
    pub fn new(config: Arc<Config>, pool: &Pool, address: ProcessId, rng: Rng) -> Result<Self, DirectoryError> {
        let me = pool.directory.member(address).ok_or(DirectoryError::Unlisted(address))?;
        let established = (pool.table.get(me).state == State::Alive).then(|| pool.initial.clone());
        let table = if established.is_some() { pool.table.clone() } else { Table::new(pool.directory.len()) };
        let meta = Meta { version: 0, bytes: config.meta_bytes };
        Ok(Self {
            directory: pool.directory.clone(),
            me,
            address,
            rng,
            table,
            list: Vec::new(),
            probe_index: 0,
            incarnation: 0,
            meta,
            sequence: 0,
            awareness: Awareness::new(config.awareness_max),
            suspicions: Suspicions::default(),
            probe: None,
            tick_waits: false,
            relays: VecDeque::new(),
            exchanges: Vec::new(),
            exchange_count: 0,
            leaving: false,
            queue: Broadcasts::default(),
            lanes: Default::default(),
            audience: 0,
            knowledge: None,
            coordinate: None,
            established,
            phase: Time::ZERO,
            gossip_armed: false,
            push_pull_wait: Wait::Stagger,
            config,
        })
    }

    /// Who this agent is.
    pub fn me(&self) -> Member {
        self.me
    }

    /// The pool's directory.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The row of a member.
    pub fn entry(&self, member: Member) -> &Entry {
        self.table.get(member)
    }

    /// Members in the table, the own one, suspects and unpurged dead ones included.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Those members, in probing order.
    pub fn members(&self) -> &[Member] {
        &self.list
    }

    /// How healthy this agent thinks itself.
    pub fn awareness(&self) -> Awareness {
        self.awareness
    }

    /// Whether nothing is under way: no probe beyond its direct ping, no suspicion, no rumour, no exchange.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty()
            && self.lanes.iter().all(Broadcasts::is_empty)
            && self.suspicions.next().is_none()
            && self.exchanges.is_empty()
            && self.relays.is_empty()
            && self.awareness.score() == 0
    }

    /// Whether probes are routine as far as this member goes: none has got beyond its direct ping, nobody is suspected,
    /// and nothing would travel along with a ping or an answer.
    #[inline]
    pub fn is_calm(&self) -> bool {
        self.is_silent()
            && self.suspicions.next().is_none()
            && self.relays.is_empty()
            && self.probe.as_ref().is_none_or(Probe::is_direct)
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    /// Time between two probes.
    pub fn probe_interval(&self) -> Duration {
        self.config.probe_interval
    }

    /// Queues a rumour of the layer above.
    pub fn broadcast(&mut self, now: Time, lane: Lane, rumour: Rumour, ticket: Option<Ticket>, fx: &mut impl Fx<Self>) {
        self.lanes[lane as usize].push(rumour, ticket);
        self.wake_gossip(now, fx);
    }

    /// Says how many members the layer above counts; the transmission limit of its rumours follows from it. Without,
    /// the member table counts.
    pub fn set_audience(&mut self, members: usize) {
        self.audience = members;
    }

    /// Drops the most transmitted rumours of every lane beyond `max` each.
    pub fn prune(&mut self, max: usize) {
        for lane in &mut self.lanes {
            lane.prune(max);
        }
    }

    /// Publishes new tags (memberlist `UpdateNode`).
    pub fn update_meta(&mut self, now: Time, meta: Meta, fx: &mut impl Fx<Self>) {
        self.meta = meta;
        self.incarnation += 1;
        self.announce(now, fx);
    }

    /// Says goodbye (memberlist `Leave`); [`Event::Spent`] with [`Ticket::Goodbye`] tells when everybody has been told
    /// as often as it takes. Returns whether there is anybody to tell.
    pub fn leave(&mut self, now: Time, fx: &mut impl Fx<Self>) -> bool {
        if !self.leaving {
            self.leaving = true;
            self.dead(now, self.me, self.incarnation, self.me, fx);
        }
        self.list.iter().any(|&m| m != self.me && !self.table.get(m).state.is_gone())
    }

    /// Whether the agent has begun to leave.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    fn start(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(initial) = self.established.take() {
            self.list = initial.to_vec();
            self.rng.shuffle(&mut self.list);
            self.incarnation = self.table.get(self.me).incarnation;
            self.meta = self.table.get(self.me).meta;
            let phase = self.rng.stagger(self.config.probe_interval);
            self.phase = now + phase;
            fx.arm(Timer::Probe, phase);
            let wait = self.push_pull_interval();
            let wait = self.rng.stagger(wait);
            self.push_pull_wait = Wait::Interval;
            fx.arm(Timer::PushPull, wait);
            return;
        }
        self.phase = now;
        self.incarnation = 1;
        self.announce(now, fx);
        fx.arm(Timer::Probe, self.config.probe_interval);
        let stagger = self.rng.stagger(self.config.push_pull_interval);
        fx.arm(Timer::PushPull, stagger);
    }

    /// Makes sure that the gossip ticker runs; the next tick is strictly after `now`.
    pub(super) fn wake_gossip(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.gossip_armed {
            return;
        }
        self.gossip_armed = true;
        fx.arm(Timer::Gossip, until_tick(now, self.phase, self.config.gossip_interval));
    }

    /// memberlist `gossip`: one packet each to some members that are alive, suspect or freshly dead.
    fn gossip(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.gossip_armed = false;
        if self.is_silent() {
            return;
        }
        let patience = self.config.gossip_to_the_dead;
        let is_told = |me: bool, entry: &Entry| match entry.state {
            State::Alive | State::Suspect => !me,
            State::Dead => !me && now.since(entry.changed) <= patience,
            State::Left | State::Absent => false,
        };
        for peer in self.pick(self.config.gossip_nodes, is_told) {
            let Some(rumours) = self.piggyback(0, fx) else { break };
            fx.send(self.table.get(peer).address, Msg::Gossip(rumours));
        }
        // The draws may have found nobody although there is somebody. Who is alone waits for whoever comes, which is a
        // rumour of its own.
        let has_audience = self.list.iter().any(|&m| is_told(m == self.me, self.table.get(m)));
        if !self.is_silent() && has_audience {
            self.wake_gossip(now, fx);
        }
    }

    fn is_silent(&self) -> bool {
        self.queue.is_empty() && self.lanes.iter().all(Broadcasts::is_empty)
    }

    /// The rumours that fit into a packet beside `own` bytes (memberlist `getBroadcasts`): those about members first.
    pub(super) fn piggyback(&mut self, own: u32, fx: &mut impl Fx<Self>) -> Rumours {
        if self.is_silent() {
            return None;
        }
        let mut packet = Packet::new(u32::from(self.config.packet_bytes).saturating_sub(own + COMPOUND_HEADER));
        let limit = transmit_limit(self.config.retransmit_mult, self.list.len());
        self.queue.take(limit, COMPOUND_OVERHEAD, &mut packet);
        let audience = if self.audience == 0 { self.list.len() } else { self.audience };
        let limit = transmit_limit(self.config.retransmit_mult, audience);
        for lane in &mut self.lanes {
            lane.take(limit, USER_OVERHEAD, &mut packet);
        }
        for ticket in packet.spent {
            fx.emit(Event::Spent(ticket));
        }
        (!packet.rumours.is_empty()).then(|| packet.rumours.into_boxed_slice())
    }

    /// memberlist `kRandomNodes`: up to `k` different rows that `fits` (given whether the row is our own). Small tables
    /// are searched exhaustively, large ones by up to `3 n` draws.
    pub(super) fn pick(&mut self, k: u32, fits: impl Fn(bool, &Entry) -> bool) -> SmallVec<[Member; 4]> {
        let (k, n) = (k as usize, self.list.len());
        let mut chosen = SmallVec::new();
        if n < 3 * k {
            let mut all: SmallVec<[Member; 16]> = SmallVec::from_slice(&self.list);
            self.rng.shuffle(&mut all);
            chosen.extend(all.into_iter().filter(|&m| fits(m == self.me, self.table.get(m))).take(k));
            return chosen;
        }
        for _ in 0..3 * n {
            if chosen.len() == k {
                break;
            }
            let member = self.list[self.rng.below(n as u64) as usize];
            if fits(member == self.me, self.table.get(member)) && !chosen.contains(&member) {
                chosen.push(member);
            }
        }
        chosen
    }

    /// Takes in the rumours of a packet, in order.
    fn hear(&mut self, now: Time, rumours: Rumours, fx: &mut impl Fx<Self>) {
        let Some(rumours) = rumours else { return };
        for rumour in rumours {
            match rumour {
                Rumour::Alive { member, address, incarnation, meta } => {
                    self.alive(now, member, address, incarnation, meta, fx);
                }
                Rumour::Suspect { member, incarnation, from } => self.suspect(now, member, incarnation, from, fx),
                Rumour::Dead { member, incarnation, from } => self.dead(now, member, incarnation, from, fx),
                Rumour::JoinIntent { .. } | Rumour::LeaveIntent { .. } | Rumour::User(_) | Rumour::Query(_) => {
                    fx.emit(Event::Heard(rumour));
                }
            }
        }
    }

    fn on_message(&mut self, now: Time, from: ProcessId, msg: Msg, fx: &mut impl Fx<Self>) {
        match msg {
            Msg::Ping { seq, target, rumours } => {
                self.on_ping(from, seq, target, fx);
                self.hear(now, rumours, fx);
            }
            Msg::PingRequest { seq, target, address, rumours } => {
                self.on_ping_request(now, Relay::ask(from, seq), target, address, fx);
                self.hear(now, rumours, fx);
            }
            Msg::Ack { seq, coordinate, rumours } => {
                self.on_ack(now, seq, coordinate, fx);
                self.hear(now, rumours, fx);
            }
            Msg::Nack { seq, rumours } => {
                self.on_nack(seq);
                self.hear(now, rumours, fx);
            }
            Msg::Gossip(rumours) => self.hear(now, Some(rumours), fx),
            // Answers belong to the layer that asked; without one there was no question.
            Msg::Answer { .. } => {}
            Msg::Dial(stream) => fx.send(from, Msg::Accept(stream)),
            Msg::Accept(Stream::Exchange(id)) => self.on_exchange_open(now, id, fx),
            Msg::Accept(Stream::Ping(seq)) => self.on_stream_open(from, seq, fx),
            Msg::StreamPing { seq, target } => {
                if target == self.me {
                    fx.send(from, Msg::StreamAck { seq });
                }
            }
            Msg::StreamAck { seq } => self.on_stream_ack(seq),
            Msg::Push(knowledge) => self.on_push(now, from, *knowledge, fx),
            Msg::Pull(knowledge) => self.on_pull(now, *knowledge, fx),
        }
    }
}

impl Machine for Swim {
    type Msg = Msg;
    type Timer = Timer;
    type Event = Event;

    fn handle(&mut self, now: Time, input: Input<Msg, Timer>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => self.start(now, fx),
            Input::Message { from, msg } => self.on_message(now, from, msg, fx),
            Input::Refused { to } => self.on_refused(now, to, fx),
            Input::Fired(Timer::Probe) => self.on_probe_tick(now, fx),
            Input::Fired(Timer::Wait) => self.on_wait_over(now, fx),
            Input::Fired(Timer::Gossip) => self.gossip(now, fx),
            Input::Fired(Timer::PushPull) => self.push_pull(now, fx),
            Input::Fired(Timer::Exchange) => self.on_exchange_late(now, fx),
            Input::Fired(Timer::Suspicion) => self.on_suspicion_over(now, fx),
            Input::Fired(Timer::Relay) => self.on_relay_late(now, fx),
            // Nothing is written and nothing computed.
            Input::Done(_) => {}
        }
    }

    /// memberlist keeps nothing on disk: the agent comes back alone, in its first incarnation.
    fn reboot(&mut self, _now: Time, _kept: &Kept) {
        *self = Self {
            table: Table::new(self.directory.len()),
            list: Vec::new(),
            probe_index: 0,
            incarnation: 0,
            sequence: 0,
            awareness: Awareness::new(self.config.awareness_max),
            suspicions: Suspicions::default(),
            probe: None,
            tick_waits: false,
            relays: VecDeque::new(),
            exchanges: Vec::new(),
            leaving: false,
            queue: Broadcasts::default(),
            lanes: Default::default(),
            audience: 0,
            knowledge: None,
            coordinate: None,
            established: None,
            gossip_armed: false,
            push_pull_wait: Wait::Stagger,
            config: self.config.clone(),
            directory: self.directory.clone(),
            rng: self.rng.clone(),
            ..*self
        };
    }
}

/// From `now` to the next tick of a ticker with this phase; never zero. `phase` is any of its ticks, past or future.
pub(super) fn until_tick(now: Time, phase: Time, interval: Duration) -> Duration {
    let period = interval.as_nanos().max(1);
    let (now, phase) = (now.as_nanos() % period, phase.as_nanos() % period);
    Duration::from_nanos(if phase > now { phase - now } else { phase + period - now })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_keep_their_phase() {
        let ms = |t| Time::ZERO + Duration::from_millis(t);
        for (now, phase, wait) in [(0, 70, 70), (70, 70, 200), (71, 70, 199), (1_000, 70, 70), (10, 270, 60)] {
            let interval = Duration::from_millis(200);
            assert_eq!(until_tick(ms(now), ms(phase), interval), Duration::from_millis(wait), "{now} {phase}");
        }
    }
}
