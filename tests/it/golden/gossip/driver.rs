//! The least that can drive machines: one queue, a fixed delay between two processes, datagrams that get lost.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::*;
use cossim::base::machine::{Slot, Token};

/// What the test does with the events of machine `M`.
pub(super) trait React<M: Machine>: Sized {
    /// Called for each event, right after the input that caused it was handled.
    fn react(&mut self, now: Time, me: ProcessId, event: M::Event, machine: &mut M, fx: &mut Effects<'_, M>);
}

pub(super) struct Driver<M: Machine, R> {
    pub(super) react: R,
    /// Pings sent by probers: all pings but those that a delivered request made.
    pub(super) probes: i64,
    machines: BTreeMap<ProcessId, M>,
    world: World<M>,
}

struct World<M: Machine> {
    now: Time,
    count: u64,
    queue: BinaryHeap<Reverse<Entry<M>>>,
    /// By process and slot: the number of the arming that counts.
    timers: Vec<Vec<u64>>,
    loss: f64,
    /// Whose messages, in and out, are held back.
    blocked: BTreeSet<ProcessId>,
    held: Vec<(ProcessId, ProcessId, M::Msg)>,
    rng: Rng,
    delay: Box<dyn Fn(ProcessId, ProcessId) -> Duration>,
}

struct Entry<M: Machine> {
    at: Time,
    number: u64,
    to: ProcessId,
    input: What<M>,
}

enum What<M: Machine> {
    Message(ProcessId, M::Msg),
    Timer(M::Timer),
}

/// Go sleeps in whole milliseconds, so the recorded 0.25 ms took longer: 2.3 ms for the four messages of a join.
const MESSAGE_LAG: Duration = Duration::from_micros(330);
/// And a timer's packets leave late: a joiner's tick at 200 ms was seen at 201.0 to 202.3 ms.
const TIMER_LAG: (Duration, Duration) = (Duration::from_micros(400), Duration::from_micros(1_700));

impl<M: Machine> PartialEq for Entry<M> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<M: Machine> Eq for Entry<M> {}

impl<M: Machine> PartialOrd for Entry<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M: Machine> Ord for Entry<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub(super) struct Effects<'a, M: Machine> {
    world: &'a mut World<M>,
    me: ProcessId,
    /// How late the process woke up.
    lag: Duration,
    pings: i64,
    events: Vec<M::Event>,
}

impl<M: Machine<Msg = Msg>> Fx<M> for Effects<'_, M> {
    fn send(&mut self, to: ProcessId, msg: M::Msg) {
        self.pings += i64::from(matches!(msg, Msg::Ping { .. }));
        let world = &mut *self.world;
        if world.blocked.contains(&self.me) {
            world.held.push((self.me, to, msg));
            return;
        }
        if cossim::base::machine::Message::channel(&msg) == Channel::Datagram && world.rng.chance(world.loss) {
            return;
        }
        let at = world.now + self.lag + (world.delay)(self.me, to) + MESSAGE_LAG;
        world.push(at, to, What::Message(self.me, msg));
    }

    fn arm(&mut self, timer: M::Timer, delay: Duration) {
        let at = self.world.now + delay;
        let number = self.world.push(at, self.me, What::Timer(timer));
        *self.world.slot(self.me, timer) = number;
    }

    fn disarm(&mut self, timer: M::Timer) {
        *self.world.slot(self.me, timer) = 0;
    }

    fn write(&mut self, _: Token, _: u32) {
        unreachable!("gossip writes nothing")
    }

    fn compute(&mut self, _: Token, _: Duration) {
        unreachable!("gossip computes nothing")
    }

    fn emit(&mut self, event: M::Event) {
        self.events.push(event);
    }
}

impl<M: Machine> World<M> {
    fn push(&mut self, at: Time, to: ProcessId, input: What<M>) -> u64 {
        self.count += 1;
        let number = self.count;
        self.queue.push(Reverse(Entry { at, number, to, input }));
        number
    }

    fn slot(&mut self, process: ProcessId, timer: M::Timer) -> &mut u64 {
        let (p, s) = (process.0 as usize, timer.slot());
        if self.timers.len() <= p {
            self.timers.resize(p + 1, Vec::new());
        }
        if self.timers[p].len() <= s {
            self.timers[p].resize(s + 1, 0);
        }
        &mut self.timers[p][s]
    }
}

impl<M: Machine<Msg = Msg>, R: React<M>> Driver<M, R> {
    pub(super) fn new(
        react: R,
        loss: f64,
        rng: Rng,
        delay: impl Fn(ProcessId, ProcessId) -> Duration + 'static,
    ) -> Self {
        let world = World {
            now: Time::ZERO,
            count: 0,
            queue: BinaryHeap::new(),
            timers: Vec::new(),
            loss,
            blocked: BTreeSet::new(),
            held: Vec::new(),
            rng,
            delay: Box::new(delay),
        };
        Self { react, probes: 0, machines: BTreeMap::new(), world }
    }

    pub(super) fn now(&self) -> Time {
        self.world.now
    }

    pub(super) fn add(&mut self, process: ProcessId, machine: M) {
        self.machines.insert(process, machine);
        self.call(process, |machine, now, fx| machine.handle(now, Input::Start, fx));
    }

    /// The process is gone, and its host with it: silence.
    pub(super) fn kill(&mut self, process: ProcessId) {
        self.machines.remove(&process);
    }

    /// From now on a process neither sends nor hears anything; its clocks go on.
    pub(super) fn block(&mut self, process: ProcessId) {
        self.world.blocked.insert(process);
    }

    /// What was held back goes on its way, in order.
    pub(super) fn unblock_all(&mut self) {
        self.world.blocked.clear();
        for (from, to, msg) in std::mem::take(&mut self.world.held) {
            let at = self.world.now + (self.world.delay)(from, to) + MESSAGE_LAG;
            self.world.push(at, to, What::Message(from, msg));
        }
    }

    /// Runs a command on a process.
    pub(super) fn call(&mut self, process: ProcessId, f: impl FnOnce(&mut M, Time, &mut Effects<'_, M>)) {
        self.call_late(process, Duration::ZERO, f);
    }

    /// Runs a command on every process.
    pub(super) fn each(&mut self, f: impl Fn(&mut M)) {
        self.machines.values_mut().for_each(f);
    }

    fn call_late(&mut self, process: ProcessId, lag: Duration, f: impl FnOnce(&mut M, Time, &mut Effects<'_, M>)) {
        let Some(machine) = self.machines.get_mut(&process) else { return };
        let now = self.world.now;
        let mut fx = Effects { world: &mut self.world, me: process, lag, pings: 0, events: Vec::new() };
        f(machine, now, &mut fx);
        while !fx.events.is_empty() {
            for event in std::mem::take(&mut fx.events) {
                self.react.react(now, process, event, machine, &mut fx);
            }
        }
        self.probes += fx.pings;
    }

    /// Runs until `done` or until the time is over.
    pub(super) fn run_for(&mut self, span: Duration, done: impl Fn(&R) -> bool) {
        let until = self.world.now + span;
        while self.world.queue.peek().is_some_and(|Reverse(entry)| entry.at <= until) && !done(&self.react) {
            let Reverse(Entry { at, number, to, input }) = self.world.queue.pop().unwrap();
            self.world.now = at;
            match input {
                What::Message(from, msg) if self.world.blocked.contains(&to) => {
                    self.world.held.push((from, to, msg));
                }
                What::Message(from, msg) => {
                    self.probes -= i64::from(matches!(msg, Msg::PingRequest { .. }));
                    self.call(to, |machine, now, fx| machine.handle(now, Input::Message { from, msg }, fx));
                }
                What::Timer(timer) => {
                    if *self.world.slot(to, timer) == number {
                        let lag = self.world.rng.span(TIMER_LAG.0, TIMER_LAG.1);
                        self.call_late(to, lag, |machine, now, fx| machine.handle(now, Input::Fired(timer), fx));
                    }
                }
            }
        }
        if !done(&self.react) {
            self.world.now = until;
        }
    }
}
