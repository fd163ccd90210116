//! Who answers: one probe per tick, first directly, then through helpers and over TCP (SWIM §3.1, §4.3; memberlist
//! `probe`, `probeNode`, `handleIndirectPing`).

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::coordinate::Coordinate;
use crate::protocol::gossip::members::{Entry, Member, State};
use crate::protocol::gossip::message::{
    ACK_BYTES, COORDINATE_BYTES, Msg, NACK_BYTES, PING_BYTES, PING_REQUEST_BYTES, Rumour, Stream,
};
use crate::protocol::gossip::swim::{Event, Swim, Timer, until_tick};

/// The probe under way.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    target: Member,
    address: ProcessId,
    incarnation: u32,
    seq: u32,
    sent: Time,
    /// Waits this long in total.
    span: Duration,
    stage: Stage,
}

/// How far a probe has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waiting for the direct answer.
    Direct,
    /// Waiting for any answer.
    Indirect {
        /// Members asked to help.
        helpers: u32,
        /// Those that said they got no answer either.
        nacks: u32,
        /// Whether the TCP ping came back.
        contacted: bool,
    },
}

/// A ping on behalf of somebody else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relay {
    asked_by: ProcessId,
    asked_seq: u32,
    seq: u32,
    due: Time,
}

impl Probe {
    /// Whether only the member itself has been asked so far.
    pub(super) fn is_direct(&self) -> bool {
        self.stage == Stage::Direct
    }
}

impl Relay {
    /// A request that has not been taken up yet.
    pub(super) fn ask(asked_by: ProcessId, asked_seq: u32) -> Self {
        Self { asked_by, asked_seq, seq: 0, due: Time::NEVER }
    }
}

impl Swim {
    /// A tick while a probe waits is remembered, but only one of them.
    pub(super) fn on_probe_tick(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        fx.arm(Timer::Probe, until_tick(now, self.phase, self.config.probe_interval));
        if self.probe.is_some() {
            self.tick_waits = true;
        } else {
            self.probe_next(now, fx);
        }
    }

    /// What a tick leaves behind whose probe is answered directly while nothing travels along: a place in the lap, a
    /// number, some confidence. For whoever carries no messages that both ends of a probe would find routine
    /// ([`Swim::is_calm`]); the tick's own alarm is then up to the caller. Network coordinates learn nothing.
    pub fn probe_answered(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        assert!(self.probe.is_none(), "a probe under way is not left out");
        if self.next_target(now, fx).is_some() {
            self.next_seq();
            self.awareness.apply(-1);
        }
    }

    fn probe_next(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some((target, entry)) = self.next_target(now, fx) {
            self.begin_probe(now, target, entry, fx);
        }
    }

    /// Walks the list to the next member worth a probe; a full lap without one ends the search.
    fn next_target(&mut self, now: Time, fx: &mut impl Fx<Self>) -> Option<(Member, Entry)> {
        let mut checked = 0;
        while checked < self.list.len() {
            let Some(&target) = self.list.get(self.probe_index) else {
                self.forget_the_dead(now, fx);
                self.rng.shuffle(&mut self.list);
                self.probe_index = 0;
                checked += 1;
                continue;
            };
            self.probe_index += 1;
            let entry = *self.table.get(target);
            if target == self.me || entry.state.is_gone() {
                checked += 1;
                continue;
            }
            return Some((target, entry));
        }
        None
    }

    fn begin_probe(&mut self, now: Time, target: Member, entry: Entry, fx: &mut impl Fx<Self>) {
        let seq = self.next_seq();
        let Entry { address, incarnation, state, .. } = entry;
        let rumours = if state == State::Suspect && self.config.suspect_pings {
            // Tells the suspect, so that it can refute (Lifeguard's buddy system); takes the place of other rumours.
            Some(Box::from([Rumour::Suspect { member: target, incarnation, from: self.me }]))
        } else {
            self.piggyback(PING_BYTES, fx)
        };
        fx.send(address, Msg::Ping { seq, target, rumours });
        let span = self.awareness.scale(self.config.probe_interval);
        // The wait for the direct answer is not scaled by awareness.
        fx.arm(Timer::Wait, self.config.probe_timeout.min(span));
        self.probe = Some(Probe { target, address, incarnation, seq, sent: now, span, stage: Stage::Direct });
    }

    pub(super) fn on_wait_over(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        match self.probe.as_ref().map(|probe| probe.stage) {
            None => {}
            Some(Stage::Direct) => self.ask_for_help(now, fx),
            Some(Stage::Indirect { .. }) => self.conclude_probe(now, fx),
        }
    }

    /// No direct answer: helpers probe on our behalf, and so do we over TCP.
    fn ask_for_help(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Some(Probe { target, address, seq, sent, span, .. }) = self.probe else { return };
        let helpers = self.pick(self.config.indirect_checks, |me, entry| {
            !me && entry.address != address && entry.state == State::Alive
        });
        for &helper in &helpers {
            let rumours = self.piggyback(PING_REQUEST_BYTES, fx);
            fx.send(self.table.get(helper).address, Msg::PingRequest { seq, target, address, rumours });
        }
        if self.config.tcp_pings {
            fx.send(address, Msg::Dial(Stream::Ping(seq)));
        }
        let stage = Stage::Indirect { helpers: helpers.len() as u32, nacks: 0, contacted: false };
        self.probe.as_mut().expect("a probe is under way").stage = stage;
        // The ping left just after its tick was read, so its deadline comes just after the gossip tick of that instant.
        fx.arm(Timer::Wait, span.saturating_sub(now.since(sent)) + Duration::from_nanos(1));
    }

    /// Time is up: success if only TCP got through, otherwise suspicion.
    fn conclude_probe(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let probe = self.probe.take().expect("only a probe under way is concluded");
        let Stage::Indirect { helpers, nacks, contacted } = probe.stage else {
            unreachable!("a probe is concluded in its last stage")
        };
        if contacted {
            self.awareness.apply(-1);
            fx.emit(Event::ProbeRescued { target: probe.address });
        } else {
            self.awareness.apply(if helpers > 0 { helpers.saturating_sub(nacks) as i32 } else { 1 });
            fx.emit(Event::ProbeFailed { target: probe.address });
            self.suspect(now, probe.target, probe.incarnation, self.me, fx);
        }
        self.take_waiting_tick(now, fx);
    }

    fn take_waiting_tick(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if std::mem::take(&mut self.tick_waits) {
            self.probe_next(now, fx);
        }
    }

    pub(super) fn on_ack(&mut self, now: Time, seq: u32, coordinate: Option<Arc<Coordinate>>, fx: &mut impl Fx<Self>) {
        if self.probe.as_ref().is_some_and(|probe| probe.seq == seq) {
            let probe = self.probe.take().expect("just seen");
            fx.disarm(Timer::Wait);
            self.awareness.apply(-1);
            if probe.stage == Stage::Direct && coordinate.is_some() {
                fx.emit(Event::Answered { peer: probe.target, rtt: now.since(probe.sent), coordinate });
            }
            self.take_waiting_tick(now, fx);
            return;
        }
        let Some(place) = self.relays.iter().position(|relay| relay.seq == seq) else { return };
        let relay = self.relays.remove(place).expect("just found");
        if self.relays.is_empty() {
            fx.disarm(Timer::Relay);
        }
        let rumours = self.piggyback(ACK_BYTES, fx);
        fx.send(relay.asked_by, Msg::Ack { seq: relay.asked_seq, coordinate: None, rumours });
    }

    pub(super) fn on_nack(&mut self, seq: u32) {
        if let Some(Probe { seq: mine, stage: Stage::Indirect { nacks, .. }, .. }) = &mut self.probe
            && *mine == seq
        {
            *nacks += 1;
        }
    }

    pub(super) fn on_ping(&mut self, from: ProcessId, seq: u32, target: Member, fx: &mut impl Fx<Self>) {
        if target != self.me {
            return;
        }
        let coordinate = self.coordinate.clone();
        let own = ACK_BYTES + if coordinate.is_some() { COORDINATE_BYTES } else { 0 };
        let rumours = self.piggyback(own, fx);
        fx.send(from, Msg::Ack { seq, coordinate, rumours });
    }

    pub(super) fn on_ping_request(
        &mut self,
        now: Time,
        relay: Relay,
        target: Member,
        address: ProcessId,
        fx: &mut impl Fx<Self>,
    ) {
        let seq = self.next_seq();
        let rumours = self.piggyback(PING_BYTES, fx);
        fx.send(address, Msg::Ping { seq, target, rumours });
        if self.relays.is_empty() {
            fx.arm(Timer::Relay, self.config.probe_timeout);
        }
        // All relays wait equally long, so the queue is sorted by deadline.
        self.relays.push_back(Relay { seq, due: now + self.config.probe_timeout, ..relay });
    }

    pub(super) fn on_relay_late(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some(relay) = self.relays.front() {
            if relay.due > now {
                let wait = relay.due.since(now);
                fx.arm(Timer::Relay, wait);
                return;
            }
            let Relay { asked_by, asked_seq, .. } = *relay;
            self.relays.pop_front();
            let rumours = self.piggyback(NACK_BYTES, fx);
            fx.send(asked_by, Msg::Nack { seq: asked_seq, rumours });
        }
    }

    /// The fallback stream is open: ping over it.
    pub(super) fn on_stream_open(&mut self, from: ProcessId, seq: u32, fx: &mut impl Fx<Self>) {
        if let Some(probe) = self.probe.as_ref().filter(|probe| probe.seq == seq && probe.address == from) {
            fx.send(from, Msg::StreamPing { seq, target: probe.target });
        }
    }

    /// Counts only when the probe's time is up, to let a late datagram answer first.
    pub(super) fn on_stream_ack(&mut self, seq: u32) {
        if let Some(Probe { seq: mine, stage: Stage::Indirect { contacted, .. }, .. }) = &mut self.probe
            && *mine == seq
        {
            *contacted = true;
        }
    }

    /// memberlist `resetNodes`: the table forgets who has been gone for long.
    fn forget_the_dead(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let patience = self.config.gossip_to_the_dead;
        let table = &mut self.table;
        self.list.retain(|&member| {
            let entry = table.get(member);
            let keep = !entry.state.is_gone() || now.since(entry.changed) <= patience;
            if !keep {
                *table.get_mut(member) = Entry::default();
                fx.emit(Event::Purged { member });
            }
            keep
        });
    }

    fn next_seq(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }
}
