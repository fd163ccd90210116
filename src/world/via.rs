//! How a machine inside a process acts: its effects, spelt as the process's.

use std::mem;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Machine, Token};
use crate::base::time::Duration;
use crate::world::process::Process;
use crate::world::wire::{Alarm, Wire};

/// Machines of one process that write or compute, at most.
const LANES: u64 = 4;

/// The effects of a part, carried out by its process. What the part emits waits in `events` for the process to read.
#[expect(missing_debug_implementations, reason = "the constructors it holds are functions, which have none")]
pub struct Via<'a, F, W, A, E> {
    /// The process's effects.
    pub fx: &'a mut F,
    /// A buffer the process keeps, so that nothing is allocated.
    pub events: &'a mut Vec<E>,
    /// The part's message as the process sends it.
    pub wire: W,
    /// The part's alarm as the process's.
    pub alarm: A,
    /// Which part, for tokens: below `LANES`.
    pub lane: u64,
}

impl<Inner, F, W, A> Fx<Inner> for Via<'_, F, W, A, Inner::Event>
where
    Inner: Machine,
    F: Fx<Process>,
    W: Fn(Inner::Msg) -> Wire,
    A: Fn(Inner::Timer) -> Alarm,
{
    #[inline]
    fn send(&mut self, to: ProcessId, msg: Inner::Msg) {
        self.fx.send(to, (self.wire)(msg));
    }

    #[inline]
    fn arm(&mut self, timer: Inner::Timer, delay: Duration) {
        self.fx.arm((self.alarm)(timer), delay);
    }

    #[inline]
    fn disarm(&mut self, timer: Inner::Timer) {
        self.fx.disarm((self.alarm)(timer));
    }

    fn write(&mut self, token: Token, bytes: u32) {
        self.fx.write(wrap(token, self.lane), bytes);
    }

    fn compute(&mut self, token: Token, cost: Duration) {
        self.fx.compute(wrap(token, self.lane), cost);
    }

    #[inline]
    fn emit(&mut self, event: Inner::Event) {
        self.events.push(event);
    }
}

/// Hands a process everything that waits in one of its buffers, in order; what that adds to the buffer waits for the
/// next call. True if anything waited.
#[inline]
pub fn hear_out<P, E>(process: &mut P, buffer: fn(&mut P) -> &mut Vec<E>, hear: impl FnMut(&mut P, E)) -> bool {
    let waits = !buffer(process).is_empty();
    if waits {
        hand_over(process, buffer, hear);
    }
    waits
}

#[inline(never)]
fn hand_over<P, E>(process: &mut P, buffer: fn(&mut P) -> &mut Vec<E>, mut hear: impl FnMut(&mut P, E)) {
    let mut events = mem::take(buffer(process));
    events.reverse();
    while let Some(event) = events.pop() {
        hear(process, event);
    }
    let place = buffer(process);
    if place.is_empty() {
        // Nothing was added, so that the buffer need not grow anew.
        *place = events;
    }
}

/// A part's token as the process's.
fn wrap(token: Token, lane: u64) -> Token {
    Token(token.0 * LANES + lane)
}

/// The part's token, and which part it is.
pub fn unwrap(token: Token) -> (Token, u64) {
    (Token(token.0 / LANES), token.0 % LANES)
}
