//! One machine on a bench: inputs by hand, effects on the table.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input, Machine, Slot, Token};
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::members::{Directory, Pool};
use crate::protocol::gossip::message::{Msg, Rumour};

/// A machine, its alarms, and what it did since the last look.
pub(super) struct Bench<M: Machine> {
    pub(super) machine: M,
    pub(super) now: Time,
    pub(super) sent: Vec<(ProcessId, Msg)>,
    pub(super) events: Vec<M::Event>,
    armed: Vec<Option<(Time, M::Timer)>>,
}

impl<M: Machine<Msg = Msg>> Bench<M> {
    /// Starts the machine at time zero.
    pub(super) fn new(machine: M) -> Self {
        let mut bench = Self { machine, now: Time::ZERO, sent: Vec::new(), events: Vec::new(), armed: Vec::new() };
        bench.input(Input::Start);
        bench
    }

    pub(super) fn input(&mut self, input: Input<Msg, M::Timer>) {
        self.with(|machine, now, fx| machine.handle(now, input, fx));
    }

    pub(super) fn message(&mut self, from: u32, msg: Msg) {
        self.input(Input::Message { from: ProcessId(from), msg });
    }

    pub(super) fn rumour(&mut self, rumour: Rumour) {
        self.message(1, Msg::Gossip(Box::new([rumour])));
    }

    /// Runs a command.
    pub(super) fn with<T>(&mut self, f: impl FnOnce(&mut M, Time, &mut Table<'_, M>) -> T) -> T {
        let mut table = Table { now: self.now, sent: &mut self.sent, events: &mut self.events, armed: &mut self.armed };
        f(&mut self.machine, self.now, &mut table)
    }

    pub(super) fn next_alarm(&self) -> Option<(Time, M::Timer)> {
        self.armed.iter().copied().flatten().min_by_key(|&(at, timer)| (at, timer.slot()))
    }

    /// When this alarm goes off, if it is set.
    pub(super) fn alarm(&self, timer: M::Timer) -> Option<Time> {
        self.armed.get(timer.slot()).copied().flatten().map(|(at, _)| at)
    }

    /// Lets time pass; alarms go off.
    pub(super) fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some((at, timer)) = self.next_alarm().filter(|&(at, _)| at <= until) {
            self.now = at;
            self.armed[timer.slot()] = None;
            self.input(Input::Fired(timer));
        }
        self.now = until;
    }

    /// Lets time pass until something is sent, at most an hour, and takes what was.
    pub(super) fn until_sent(&mut self) -> Vec<(ProcessId, Msg)> {
        let limit = self.now + Duration::from_hours(1);
        while self.sent.is_empty() {
            let (at, timer) = self.next_alarm().filter(|&(at, _)| at <= limit).expect("something is sent");
            self.now = at;
            self.armed[timer.slot()] = None;
            self.input(Input::Fired(timer));
        }
        std::mem::take(&mut self.sent)
    }

    pub(super) fn take_events(&mut self) -> Vec<M::Event> {
        std::mem::take(&mut self.events)
    }
}

/// The effects of the machine on the bench.
pub(super) struct Table<'a, M: Machine> {
    now: Time,
    sent: &'a mut Vec<(ProcessId, Msg)>,
    events: &'a mut Vec<M::Event>,
    armed: &'a mut Vec<Option<(Time, M::Timer)>>,
}

impl<M: Machine<Msg = Msg>> Fx<M> for Table<'_, M> {
    fn send(&mut self, to: ProcessId, msg: Msg) {
        self.sent.push((to, msg));
    }

    fn arm(&mut self, timer: M::Timer, delay: Duration) {
        let slot = timer.slot();
        if self.armed.len() <= slot {
            self.armed.resize(slot + 1, None);
        }
        self.armed[slot] = Some((self.now + delay, timer));
    }

    fn disarm(&mut self, timer: M::Timer) {
        if let Some(armed) = self.armed.get_mut(timer.slot()) {
            *armed = None;
        }
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

/// A directory of `count` members, `m0` at `p0` and so on; `p1000` is a second address of `m1`.
pub(super) fn directory(count: u32) -> Arc<Directory> {
    let entries = (0..count).map(|i| (ProcessId(i), format!("node-{i}")));
    Arc::new(Directory::new(entries.chain([(ProcessId(1_000), "node-1".to_owned())])).unwrap())
}

/// A pool in which all `count` members know each other.
pub(super) fn established(count: u32) -> Pool {
    Pool::established(directory(count), (0..count).map(ProcessId), 0).unwrap()
}
