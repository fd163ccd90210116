//! A member of a gossip pool whose probes are counted while its pool is calm.
//!
//! In a calm pool (what that is stands in `calm.rs`) every probe is answered, directly and in time, and leaves nothing
//! behind but a place in the prober's lap, a number and some confidence. So a member may rest: its probe ticker stands
//! still, and the ticks it has missed are made up for ([`Serf::probe_answered`]) before anything else happens to it,
//! each at its own instant. Its draws, the ends of its laps and what it forgets there come out as if it had probed.
//! Everything else goes on: push/pulls, attempts to reach failed members, queries.
//!
//! Left out: a probe under way when its pool is disturbed, which counts as answered; a network interface so busy that a
//! ping would wait behind other traffic until its time is up; and what pings add to that traffic. Network coordinates
//! would not move, but a world keeps none.

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Kept, Machine};
use crate::base::time::Time;
use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::message::Msg;
use crate::protocol::gossip::serf::{Serf, Timer};
use crate::protocol::gossip::swim;

/// A member of a pool.
#[derive(Debug, Clone)]
pub struct PoolMember {
    serf: Serf,
    rest: Rest,
}

/// What its probe ticker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// It ticks.
    Awake,
    /// It ticks once more; that probe is the first to be counted.
    Dozing,
    /// It stands still.
    Asleep {
        /// The first tick that has not been made up for.
        next: Time,
    },
}

/// What a member is told when its pool becomes calm, or no longer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It may rest.
    Doze,
    /// It probes from this instant on.
    Wake,
}

/// Whether a pool can stay calm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it was.
    Same,
    /// A member that rests has something to say or to find out.
    Stirred,
}

impl PoolMember {
    /// One that probes.
    pub fn new(serf: Serf) -> Self {
        Self { serf, rest: Rest::Awake }
    }

    /// The member. While it rests, probes that are counted are not all in it yet.
    pub fn serf(&self) -> &Serf {
        &self.serf
    }

    /// Reacts to one input.
    #[inline]
    pub fn handle(&mut self, now: Time, input: Input<Msg, Timer>, fx: &mut impl Fx<Serf>) -> Mood {
        if self.rest == Rest::Awake {
            self.serf.handle(now, input, fx);
            return Mood::Same;
        }
        self.handle_resting(now, input, fx)
    }

    fn handle_resting(&mut self, now: Time, input: Input<Msg, Timer>, fx: &mut impl Fx<Serf>) -> Mood {
        self.make_up(now, fx);
        let is_tick = matches!(input, Input::Fired(Timer::Swim(swim::Timer::Probe)));
        if is_tick && !self.serf.swim().is_probing() {
            self.rest = Rest::Asleep { next: now };
        } else {
            self.serf.handle(now, input, fx);
        }
        if self.serf.swim().is_calm() { Mood::Same } else { Mood::Stirred }
    }

    /// Does as it is told.
    pub fn follow(&mut self, now: Time, call: Call, fx: &mut impl Fx<Serf>) {
        self.make_up(now, fx);
        self.rest = match (call, self.rest) {
            (Call::Doze, Rest::Awake) => Rest::Dozing,
            (Call::Doze, rest) => rest,
            (Call::Wake, rest) => {
                if let Rest::Asleep { next } = rest {
                    fx.arm(Timer::Swim(swim::Timer::Probe), next.since(now));
                }
                Rest::Awake
            }
        };
    }

    /// Joins its pool through these addresses.
    pub fn join(&mut self, now: Time, addresses: &[ProcessId], fx: &mut impl Fx<Serf>) -> Mood {
        self.make_up(now, fx);
        // A member that leaves joins nobody.
        let _ = self.serf.join(now, addresses, true, fx);
        self.mood()
    }

    /// Declares a failed member to have left.
    pub fn force_leave(&mut self, now: Time, member: Member, fx: &mut impl Fx<Serf>) -> Mood {
        self.make_up(now, fx);
        // A member that is forgotten meanwhile needs no declaration.
        let _ = self.serf.force_leave(now, member, false, fx);
        self.mood()
    }

    fn mood(&self) -> Mood {
        if self.rest == Rest::Awake || self.serf.swim().is_calm() { Mood::Same } else { Mood::Stirred }
    }

    /// The process died.
    pub fn reboot(&mut self, now: Time, kept: &Kept) {
        self.serf.reboot(now, kept);
        self.rest = Rest::Awake;
    }

    /// Makes up for the ticks before `now`.
    fn make_up(&mut self, now: Time, fx: &mut impl Fx<Serf>) {
        if let Rest::Asleep { next } = &mut self.rest {
            while *next < now {
                self.serf.probe_answered(*next, fx);
                *next += self.serf.swim().probe_interval();
            }
        }
    }
}
