//! Calls under way and the connections that carry them (Consul `agent/pool`, yamux).
//!
//! A call has no deadline of its own. What ends one whose server fell silent is the connection: a new one that is not
//! accepted within the dial timeout, or an open one whose keep-alive goes unanswered. Only peers with calls under way
//! are kept alive, which is all that matters here. That a connection idle for two minutes is closed, and the round trip
//! of opening one, are left out: either would make a call after a pause one round trip slower.

use crate::base::id::ProcessId;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::protocol::catalog::deadline::Alarm;

/// Calls under way at one machine. `C` is what the machine needs to go on when a call ends.
#[derive(Debug, Clone)]
pub struct Calls<C> {
    places: Vec<Place<C>>,
    free: Vec<u32>,
    peers: Vec<Peer>,
    alarm: Alarm,
}

/// How a call that was under way failed, as far as the connection knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The connection was never made.
    Dial,
    /// It broke.
    Eof,
}

#[derive(Debug, Clone)]
struct Place<C> {
    generation: u32,
    call: Option<(ProcessId, C)>,
}

#[derive(Debug, Clone)]
struct Peer {
    id: ProcessId,
    connected: bool,
    calls: u32,
    /// When an unanswered ping was sent.
    pinged: Option<Time>,
    /// When to ping next.
    next_ping: Time,
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new(), peers: Vec::new(), alarm: Alarm::default() }
    }
}

impl<C> Calls<C> {
    /// Begins a call. The second value says that a connection must be opened first: the machine sends a ping ahead.
    pub fn open(&mut self, now: Time, to: ProcessId, context: C) -> (u64, bool) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, call: None });
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 calls under way")
        });
        let slot = &mut self.places[place as usize];
        slot.call = Some((to, context));
        let number = u64::from(slot.generation) << 32 | u64::from(place);
        let peer = self.peer(to);
        if peer.calls == 0 {
            peer.next_ping = now + KEEP_ALIVE_INTERVAL;
        }
        peer.calls += 1;
        let dial = !peer.connected && peer.pinged.is_none();
        if dial {
            peer.pinged = Some(now);
        }
        (number, dial)
    }

    /// Ends a call that was answered. `None` if it is not under way with that peer: an answer to a call given up.
    pub fn close(&mut self, from: ProcessId, call: u64) -> Option<C> {
        let (generation, place) = ((call >> 32) as u32, (call & u64::from(u32::MAX)) as usize);
        let slot = self.places.get_mut(place).filter(|slot| slot.generation == generation)?;
        slot.call.as_ref().filter(|(to, _)| *to == from)?;
        let (_, context) = slot.call.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(place as u32);
        self.peer(from).calls -= 1;
        Some(context)
    }

    /// The peer said something: it lives, and the connection is open.
    pub fn heard(&mut self, from: ProcessId) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == from) {
            peer.connected = true;
            peer.pinged = None;
        }
    }

    /// The connection to `peer` is gone: every call with it has failed, oldest place first.
    pub fn fail(&mut self, peer: ProcessId) -> (Broken, Vec<C>) {
        let Some(known) = self.peers.iter_mut().find(|known| known.id == peer) else {
            return (Broken::Dial, Vec::new());
        };
        let broken = if known.connected { Broken::Eof } else { Broken::Dial };
        (known.connected, known.calls, known.pinged) = (false, 0, None);
        let mut failed = Vec::new();
        for (at, slot) in self.places.iter_mut().enumerate() {
            if slot.call.as_ref().is_some_and(|(to, _)| *to == peer) {
                slot.generation = slot.generation.wrapping_add(1);
                failed.extend(slot.call.take().map(|(_, context)| context));
                self.free.push(at as u32);
            }
        }
        (broken, failed)
    }

    /// Whether a connection to `peer` is open, as far as this end knows.
    pub fn connected(&self, peer: ProcessId) -> bool {
        self.peers.iter().any(|known| known.id == peer && known.connected)
    }

    /// The connection timer went off: pushes the peers to ping to `ping` and returns one that has been silent too long;
    /// call again until there is none.
    pub fn check(&mut self, now: Time, ping: &mut Vec<ProcessId>) -> Option<ProcessId> {
        self.alarm.fired();
        for peer in self.peers.iter_mut().filter(|peer| peer.calls > 0) {
            match peer.pinged {
                Some(since) if since + ANSWER_TIMEOUT <= now => return Some(peer.id),
                None if peer.next_ping <= now => {
                    (peer.pinged, peer.next_ping) = (Some(now), now + KEEP_ALIVE_INTERVAL);
                    ping.push(peer.id);
                }
                Some(_) | None => {}
            }
        }
        None
    }

    /// How long to set the connection timer for, if it must go off earlier than it is set to.
    pub fn rearm(&mut self, now: Time) -> Option<Duration> {
        let due = |peer: &Peer| peer.pinged.map_or(peer.next_ping, |since| since + ANSWER_TIMEOUT);
        let next = self.peers.iter().filter(|peer| peer.calls > 0).map(due).min();
        self.alarm.rearm(now, next)
    }

    /// The process restarted: every call and connection is gone. Numbers go on, so that no late answer is taken for
    /// that of a new call.
    pub fn restarted(&self) -> Self {
        let later = |place: &Place<C>| Place { generation: place.generation.wrapping_add(1), call: None };
        let places: Vec<Place<C>> = self.places.iter().map(later).collect();
        let free = (0..places.len() as u32).rev().collect();
        Self { places, free, ..Self::default() }
    }

    fn peer(&mut self, id: ProcessId) -> &mut Peer {
        let at = self.peers.iter().position(|peer| peer.id == id).unwrap_or_else(|| {
            self.peers.push(Peer { id, connected: false, calls: 0, pinged: None, next_ping: Time::ZERO });
            self.peers.len() - 1
        });
        &mut self.peers[at]
    }
}

/// Time between two keep-alives of a connection (yamux `KeepAliveInterval`).
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Patience with a new connection (Consul dial timeout) and with a keep-alive (yamux `ConnectionWriteTimeout`): both
/// 10 s.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ProcessId = ProcessId(7);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_dead_host_fails_a_new_connection_after_the_dial_timeout() {
        let mut calls = Calls::default();
        let (_, dial) = calls.open(at(0), PEER, "a");
        let (_, again) = calls.open(at(1), PEER, "b");
        assert!(dial && !again);
        assert_eq!(calls.rearm(at(0)), Some(Duration::from_secs(10)));
        assert_eq!(calls.check(at(10), &mut Vec::new()), Some(PEER));
        assert_eq!(calls.fail(PEER), (Broken::Dial, vec!["a", "b"]));
        assert_eq!(calls.rearm(at(10)), None);
    }

    #[test]
    fn an_open_connection_is_pinged_only_while_a_call_waits() {
        let mut calls = Calls::default();
        let (first, _) = calls.open(at(0), PEER, "a");
        calls.heard(PEER);
        assert_eq!(calls.close(PEER, first), Some("a"));
        assert_eq!(calls.close(PEER, first), None, "an answer counts once");
        assert_eq!(calls.rearm(at(0)), None);
        let (second, dial) = calls.open(at(5), PEER, "b");
        assert!(!dial && second != first);
        assert_eq!(calls.rearm(at(5)), Some(KEEP_ALIVE_INTERVAL));
        let mut ping = Vec::new();
        assert_eq!(calls.check(at(35), &mut ping), None);
        assert_eq!(ping, [PEER]);
        assert_eq!(calls.rearm(at(35)), Some(ANSWER_TIMEOUT));
        assert_eq!(calls.check(at(45), &mut ping), Some(PEER));
        assert_eq!(calls.fail(PEER), (Broken::Eof, vec!["b"]));
    }
}
