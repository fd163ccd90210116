//! The contract between a protocol and whatever drives it: inputs in, effects out.
//!
//! A machine owns no clock, socket, thread or entropy. The driver calls [`Machine::handle`], carries out every effect
//! in
//! the order given, and only then calls again; `now` never decreases.

use std::fmt;

use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};

/// A protocol as a state machine.
pub trait Machine: Sized {
    /// Travels between peers.
    type Msg: Message;
    /// The closed set of named alarms.
    type Timer: Slot;
    /// Told to whoever contains this machine.
    type Event;

    /// Reacts to one input.
    fn handle(&mut self, now: Time, input: Input<Self::Msg, Self::Timer>, fx: &mut impl Fx<Self>);

    /// The process died and comes back: forget what was volatile, and the writes that `kept` says were lost.
    /// The driver has already dropped every timer and pending [`Input::Done`]; it sends [`Input::Start`] next.
    fn reboot(&mut self, now: Time, kept: &Kept);
}

/// What can happen to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<M, T> {
    /// The process starts, for the first time or after a reboot.
    Start,
    /// A peer's message arrives.
    Message {
        /// Who sent it.
        from: ProcessId,
        /// What it says.
        msg: M,
    },
    /// A stream to `to` was refused or reset: no process listens there, though its host answers. Every exchange that
    /// was under way with `to` has failed. So has it if `to` is silent (its host is dead or cut off) for as long as a
    /// connection lasts, which is [`Message::dial_patience`] while it opens; to find out sooner takes a timeout.
    Refused {
        /// The peer that does not listen.
        to: ProcessId,
    },
    /// An alarm went off.
    Fired(T),
    /// A write reached the disk, or a computation finished.
    Done(Token),
}

/// What a machine can do. Carried out in order, after `handle` returns or while it runs: the two cannot be told apart.
pub trait Fx<P: Machine> {
    /// Sends a message. It may be lost, duplicated and reordered if it is a datagram; see [`Message::channel`].
    fn send(&mut self, to: ProcessId, msg: P::Msg);
    /// Sets the alarm to go off after `delay`. Arming a name again replaces its deadline.
    fn arm(&mut self, timer: P::Timer, delay: Duration);
    /// Stops the alarm, if it is set.
    fn disarm(&mut self, timer: P::Timer);
    /// Writes `bytes` to the disk and syncs; [`Input::Done`] follows when they are safe. Writes complete in order.
    fn write(&mut self, token: Token, bytes: u32);
    /// Computes for `cost` at nominal speed; [`Input::Done`] follows.
    fn compute(&mut self, token: Token, cost: Duration);
    /// Tells the container what happened.
    fn emit(&mut self, event: P::Event);
}

/// Names one write or computation of a machine; the machine chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What survived a crash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// Writes that had not been reported done and did not reach the disk, in the order written. All others did,
    /// reported or not.
    pub lost: Vec<Token>,
}

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// UDP: may be lost, duplicated, reordered; nobody is told.
    Datagram,
    /// TCP: in order between two processes, loss shows as retransmission delay, a dead process on a live host as
    /// [`Input::Refused`], a dead or unreachable host as silence.
    Stream,
}

/// A message, as far as the network cares. `Display` is one short line; transcripts and traces are made of it.
pub trait Message: fmt::Display {
    /// How it travels.
    fn channel(&self) -> Channel;
    /// Its size on the wire, for bandwidth.
    fn bytes(&self) -> u32;
    /// How long its sender bears that it does not get through, before it hangs up and the message is gone. Silently,
    /// since what its code sees is the timeout of its own. Default: as long as a connection lasts.
    fn patience(&self) -> Duration {
        Duration::MAX
    }
    /// How long the connection it travels on may take to open. Default: the dial timeout of `HashiCorp`'s transports.
    fn dial_patience(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// Mixes the content into the run's digest; two messages that differ in meaning should differ here.
    fn fingerprint(&self) -> u64;
}

/// A timer's place in a small dense table. Two timers of a machine are the same alarm exactly if their slots are equal.
pub trait Slot: Copy + fmt::Debug {
    /// The place: dense, starting at zero.
    fn slot(self) -> usize;
}

/// Re-labels the effects of a machine that lives inside another one. `Outer` says how each effect of `Inner` is spelt.
pub trait Contains<Inner: Machine>: Machine {
    /// The part's message, as the whole sends it.
    fn wrap_message(msg: Inner::Msg) -> Self::Msg;
    /// The part's timer, as a timer of the whole.
    fn wrap_timer(timer: Inner::Timer) -> Self::Timer;
    /// The part's token, as a token of the whole.
    fn wrap_token(token: Token) -> Token;
}

/// The effects of a part, carried out by the whole; the part's events wait in `events` for the whole to read.
#[derive(Debug)]
pub struct Part<'a, F, Outer, Event> {
    fx: &'a mut F,
    events: &'a mut Vec<Event>,
    outer: std::marker::PhantomData<fn(Outer)>,
}

impl<'a, F, Outer, Event> Part<'a, F, Outer, Event> {
    /// Lends the effects of the whole to a part. `events` is a buffer the whole keeps, so that nothing is allocated.
    pub fn new(fx: &'a mut F, events: &'a mut Vec<Event>) -> Self {
        Self { fx, events, outer: std::marker::PhantomData }
    }
}

impl<Inner, Outer, F> Fx<Inner> for Part<'_, F, Outer, Inner::Event>
where
    Inner: Machine,
    Outer: Contains<Inner>,
    F: Fx<Outer>,
{
    fn send(&mut self, to: ProcessId, msg: Inner::Msg) {
        self.fx.send(to, Outer::wrap_message(msg));
    }

    fn arm(&mut self, timer: Inner::Timer, delay: Duration) {
        self.fx.arm(Outer::wrap_timer(timer), delay);
    }

    fn disarm(&mut self, timer: Inner::Timer) {
        self.fx.disarm(Outer::wrap_timer(timer));
    }

    fn write(&mut self, token: Token, bytes: u32) {
        self.fx.write(Outer::wrap_token(token), bytes);
    }

    fn compute(&mut self, token: Token, cost: Duration) {
        self.fx.compute(Outer::wrap_token(token), cost);
    }

    fn emit(&mut self, event: Inner::Event) {
        self.events.push(event);
    }
}
