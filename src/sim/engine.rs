//! The event loop: takes the earliest event, hands it to its machine, carries out what the machine wants.
//!
//! Order: by time, then by the process that caused the event (a hash of its name and the seed, so that no name always
//! wins), then by
//! that process's own count. So processes that have nothing to do with each other cannot reorder each other's events,
//! and what one process causes for one instant happens in the order it caused it. Exact as long as a process has fewer
//! than 2^32 effects pending for one instant.
//!
//! One thread, no clock, no entropy but the seed. Same seed, same calls: the same events, bit for bit.

use std::ops::Range;

use crate::base::id::{HostId, IdVec, ProcessId};
use crate::base::machine::{Channel, Fx, Input, Machine, Slot, Token};
use crate::base::time::{Duration, Time};
use crate::base::units::BitsPerSecond;
use crate::sim::core::{Core, State, TIMER};
use crate::sim::deliver::Due;
use crate::sim::digest::Checkpoint;
use crate::sim::disk::DiskProfile;
use crate::sim::fault::{End, Rule, RuleId};
use crate::sim::network::Network;
use crate::sim::parcel::Parcel;
use crate::sim::trace::{Cause, Causes, Milestone, Notable};

/// A machine the engine can run: messages can be duplicated, events can be causes.
pub trait Actor: Machine<Msg: Clone + std::fmt::Debug, Event: Notable> {}

impl<P: Machine<Msg: Clone + std::fmt::Debug, Event: Notable>> Actor for P {}

/// Is told what happens.
pub trait Observer<P: Machine> {
    /// `process` emitted `event`. `cause` is the event itself if it is a milestone, otherwise the latest on its chain.
    fn observe(&mut self, at: Time, process: ProcessId, cause: Cause, event: &P::Event);
}

impl<P: Machine, F: FnMut(Time, ProcessId, Cause, &P::Event)> Observer<P> for F {
    fn observe(&mut self, at: Time, process: ProcessId, cause: Cause, event: &P::Event) {
        self(at, process, cause, event);
    }
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl<P: Machine> Observer<P> for Unobserved {
    fn observe(&mut self, _: Time, _: ProcessId, _: Cause, _: &P::Event) {}
}

/// What a host is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostSpec {
    /// Number of its zone; zones of different regions have different numbers.
    pub zone: u32,
    /// Number of its region: its row in [`Network::regions`].
    pub region: u32,
    /// How fast its disk syncs.
    pub disk: DiskProfile,
    /// Width of its network interface, sending; `None` for no limit.
    pub egress: Option<BitsPerSecond>,
}

impl Default for HostSpec {
    fn default() -> Self {
        Self { zone: 0, region: 0, disk: DiskProfile::GP3, egress: None }
    }
}

/// Virtual time stands still: machines keep causing events for the present instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "livelock at {at}: more than {LIVELOCK_EVENTS} events at one instant, the last at `{name}` ({process}), timers {timers}"
)]
pub struct Livelock {
    /// The instant.
    pub at: Time,
    /// Where the last event happened.
    pub process: ProcessId,
    /// Its name.
    pub name: String,
    /// Its soonest timers.
    pub timers: String,
}

/// Processes, hosts, network and clock of one run.
#[derive(Debug, Clone)]
pub struct Engine<P: Actor> {
    pub(super) machines: IdVec<ProcessId, P>,
    pub(super) core: Core<P>,
}

impl<P: Actor> Engine<P> {
    /// An empty world at time zero.
    pub fn new(seed: u64, network: Network) -> Self {
        Self { machines: IdVec::new(), core: Core::new(seed, network) }
    }

    /// Adds a host; it is up.
    pub fn add_host(&mut self, spec: HostSpec) -> HostId {
        self.core.add_host(spec)
    }

    /// Adds a process; it does nothing until [`Engine::start`]. Its name, which should be unique, is what its random
    /// draws and its place
    /// among simultaneous events depend on.
    pub fn add_process(&mut self, host: HostId, name: &str, machine: P) -> ProcessId {
        let process = self.machines.push(machine);
        assert_eq!(process, self.core.add_seat(host, name), "machines and seats are pushed together");
        process
    }

    /// Starts a stopped process at `at`, or at once if that is past. No effect on one that runs.
    pub fn start(&mut self, process: ProcessId, at: Time) {
        if self.core.seats[process].state == State::Stopped {
            self.schedule_start(process, at, Cause::START);
        }
    }

    pub(super) fn schedule_start(&mut self, process: ProcessId, at: Time, cause: Cause) {
        self.core.seats[process].state = State::Starting;
        self.core.lockers[process].was_started = true;
        let ticket = self.core.ticket(process, cause);
        self.core.post(at.max(self.core.now), process, Parcel::Start(ticket));
    }

    /// Handles every event before `until`, and makes that the present; what is due at `until` comes after whatever the
    /// caller does next.
    pub fn run_until(&mut self, until: Time, observer: &mut impl Observer<P>) -> Result<(), Livelock> {
        while self.step(until, observer)? {}
        self.core.now = self.core.now.max(until);
        Ok(())
    }

    /// Handles events before `until`, until `events` have been handled in all. True if that number was reached.
    pub fn run_to_event(
        &mut self,
        events: u64,
        until: Time,
        observer: &mut impl Observer<P>,
    ) -> Result<bool, Livelock> {
        while self.events() < events {
            if !self.step(until, observer)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Handles the next event, if there is one before `until`. True if so.
    #[inline]
    pub fn step(&mut self, until: Time, observer: &mut impl Observer<P>) -> Result<bool, Livelock> {
        while let Some(entry) = self.core.queue.pop_before(until.as_nanos()) {
            let at = Time::from_nanos(entry.time);
            if at > self.core.now {
                self.core.now = at;
                self.core.at_instant = 0;
            }
            if entry.item & TIMER != 0 {
                let process = ProcessId(entry.item as u32);
                let Some((timer, slot, cause)) = self.core.ring(process, entry) else { continue };
                self.count(process)?;
                self.core.note_fired(process, timer, slot);
                self.hand(process, cause, Input::Fired(timer), observer);
                return Ok(true);
            }
            let place = entry.item as u32;
            let (from, to, cause) = match self.core.parcels.at(place) {
                Parcel::Segment(segment) if self.core.admits_segment(segment, place) => {
                    (segment.from, segment.to, segment.cause)
                }
                Parcel::Datagram { from, to, cause } if self.core.admits_datagram(to, place) => (from, to, cause),
                Parcel::Segment(_) | Parcel::Datagram { .. } => continue,
                parcel => {
                    let Some((process, cause, due)) = self.core.open_other(parcel, place) else { continue };
                    self.count(process)?;
                    self.hand_other(process, cause, due, observer);
                    return Ok(true);
                }
            };
            self.count(to)?;
            let msg = self.core.hand_out(from, to, place);
            self.hand(to, cause, Input::Message { from, msg }, observer);
            return Ok(true);
        }
        Ok(false)
    }

    /// One more event at this instant.
    #[inline]
    fn count(&mut self, process: ProcessId) -> Result<(), Livelock> {
        self.core.at_instant += 1;
        if self.core.at_instant > LIVELOCK_EVENTS { Err(self.livelock(process)) } else { Ok(()) }
    }

    #[expect(clippy::inline_always, reason = "every event passes here; having three callers, it would stay a call")]
    #[inline(always)]
    fn hand(
        &mut self,
        process: ProcessId,
        cause: Cause,
        input: Input<P::Msg, P::Timer>,
        observer: &mut impl Observer<P>,
    ) {
        let now = self.core.now;
        let mut fx = Effects { core: &mut self.core, observer, process, cause };
        self.machines[process].handle(now, input, &mut fx);
    }

    #[inline(never)]
    fn hand_other(&mut self, process: ProcessId, cause: Cause, due: Due, observer: &mut impl Observer<P>) {
        self.core.note_other(process, due);
        let input = match due {
            Due::Start => Input::Start,
            Due::Refused(to) => Input::Refused { to },
            Due::Done(token) => Input::Done(token),
        };
        self.hand(process, cause, input, observer);
    }

    #[cold]
    fn livelock(&self, process: ProcessId) -> Livelock {
        let timers = self.core.seats[process].timers.soonest(5);
        let name = self.core.lockers[process].name.to_string();
        Livelock { at: self.core.now, process, name, timers: format!("{timers:?}") }
    }

    /// Runs a command on a process now, with real effects and a cause of its own (returned with the result by
    /// [`Causes`], as the latest). `None` if the process does not run or is paused.
    pub fn with<R, O: Observer<P>>(
        &mut self,
        process: ProcessId,
        observer: &mut O,
        command: impl FnOnce(&mut P, Time, &mut Effects<'_, P, O>) -> R,
    ) -> Option<R> {
        if !self.is_running(process) || self.is_paused(process) {
            return None;
        }
        let cause = self.new_cause();
        self.with_cause(process, cause, observer, command)
    }

    /// The same as a consequence of `cause`; nothing is recorded, so it suits commands that come by the million.
    pub fn with_cause<R, O: Observer<P>>(
        &mut self,
        process: ProcessId,
        cause: Cause,
        observer: &mut O,
        command: impl FnOnce(&mut P, Time, &mut Effects<'_, P, O>) -> R,
    ) -> Option<R> {
        if !self.is_running(process) || self.is_paused(process) {
            return None;
        }
        let now = self.core.now;
        let mut fx = Effects { core: &mut self.core, observer, process, cause };
        Some(command(&mut self.machines[process], now, &mut fx))
    }

    /// A milestone from outside (a fault, an operator's action) at this instant, caused by nothing.
    pub fn new_cause(&mut self) -> Cause {
        let at = self.core.now;
        self.core.causes.record(Milestone { parent: Cause::START, at, process: None })
    }

    /// All milestones so far.
    pub fn causes(&self) -> &Causes {
        &self.core.causes
    }

    /// The present.
    pub fn now(&self) -> Time {
        self.core.now
    }

    /// Events handled so far.
    pub fn events(&self) -> u64 {
        self.core.record.digest.events()
    }

    /// XXH3 over everything handled so far.
    pub fn digest(&self) -> u64 {
        self.core.record.digest.value()
    }

    /// The digest at regular event numbers, for [`crate::sim::digest::first_difference`].
    pub fn checkpoints(&self) -> &[Checkpoint] {
        self.core.record.digest.checkpoints()
    }

    /// Entries in the queue, those of replaced timers included.
    pub fn pending(&self) -> usize {
        self.core.queue.len()
    }

    /// Records a line for each event whose number (from 0) lies in `window`. Replaces an earlier window, keeps its
    /// lines.
    pub fn trace(&mut self, window: Range<u64>) {
        self.core.record.trace.window = window;
    }

    /// The lines recorded.
    pub fn trace_lines(&self) -> &[String] {
        &self.core.record.trace.lines
    }

    /// How many processes there are.
    pub fn process_count(&self) -> usize {
        self.machines.len()
    }

    /// A process's machine, dead or alive.
    pub fn process(&self, process: ProcessId) -> &P {
        &self.machines[process]
    }

    /// A process's machine, to change from outside without effects.
    pub fn process_mut(&mut self, process: ProcessId) -> &mut P {
        &mut self.machines[process]
    }

    /// The name a process was added under.
    pub fn name(&self, process: ProcessId) -> &str {
        &self.core.lockers[process].name
    }

    /// The host a process lives on.
    pub fn host_of(&self, process: ProcessId) -> HostId {
        self.core.seats[process].host
    }

    /// The processes of a host, dead or alive.
    pub fn processes_of(&self, host: HostId) -> &[ProcessId] {
        &self.core.hosts[host].processes
    }

    /// Whether a process has been started and not stopped since. A paused process runs.
    pub fn is_running(&self, process: ProcessId) -> bool {
        self.core.seats[process].state == State::Running
    }

    /// Whether a process is paused.
    pub fn is_paused(&self, process: ProcessId) -> bool {
        self.core.seats[process].paused
    }

    /// Whether a host is up.
    pub fn host_up(&self, host: HostId) -> bool {
        self.core.hosts[host].up
    }

    /// Puts a rule in force, after those that are.
    pub fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.core.rules.add(rule)
    }

    /// Takes a rule back. False if it was not in force.
    pub fn remove_rule(&mut self, rule: RuleId) -> bool {
        self.core.rules.remove(rule)
    }

    /// Whether a rule in force may speak of messages among these processes.
    pub fn rules_touch(&self, processes: &[ProcessId]) -> bool {
        if self.core.rules.is_empty() {
            return false;
        }
        let ends: Vec<End> = processes.iter().map(|&process| self.core.end(process)).collect();
        self.core.rules.touch(&ends)
    }

    /// Whether the rules in force let anything of a stream pass from one process to another.
    pub fn lets_through(&self, from: ProcessId, to: ProcessId) -> bool {
        self.core.rules.lets_through(self.core.end(from), self.core.end(to), Channel::Stream)
    }

    /// Whether a message to this process would be delayed and nothing else: no rule is in force, it runs and is not
    /// paused.
    pub fn is_reached(&self, process: ProcessId) -> bool {
        let seat = &self.core.seats[process];
        self.core.rules.is_empty() && seat.state == State::Running && !seat.paused
    }

    /// How long a message of so many bytes takes that leaves one process for another now, if no rule is in force. The
    /// draw is that of item `number` between the two. It takes its turn at the sender's interface.
    pub fn transit(&mut self, from: ProcessId, to: ProcessId, bytes: u32, number: u64) -> Duration {
        self.core.item_transit(from, to, bytes, number)
    }

    /// Lets a message reach a process after `delay`, if it runs then, as a consequence of `cause`.
    pub fn carry(&mut self, from: ProcessId, to: ProcessId, delay: Duration, cause: Cause, msg: P::Msg) {
        self.core.carry(from, to, delay, cause, msg);
    }

    /// Counts a message as handled that its receiver has been told of in another way.
    pub fn attest(&mut self, at: Time, from: ProcessId, to: ProcessId, msg: &P::Msg) {
        self.core.attest(at, from, to, msg);
    }
}

/// The effects of one process at one instant, carried out as they are named.
#[derive(Debug)]
pub struct Effects<'a, P: Actor, O> {
    core: &'a mut Core<P>,
    observer: &'a mut O,
    process: ProcessId,
    cause: Cause,
}

impl<P: Actor, O> Effects<'_, P, O> {
    /// The cause of whatever is done next.
    pub fn cause(&self) -> Cause {
        self.cause
    }
}

impl<P: Actor, O: Observer<P>> Fx<P> for Effects<'_, P, O> {
    #[inline]
    fn send(&mut self, to: ProcessId, msg: P::Msg) {
        self.core.send(self.process, self.cause, to, msg);
    }

    #[inline]
    fn arm(&mut self, timer: P::Timer, delay: Duration) {
        self.core.arm(self.process, timer, delay, self.cause);
    }

    #[inline]
    fn disarm(&mut self, timer: P::Timer) {
        self.core.seats[self.process].timers.disarm(timer.slot());
    }

    fn write(&mut self, token: Token, bytes: u32) {
        self.core.write(self.process, token, bytes, self.cause);
    }

    fn compute(&mut self, token: Token, cost: Duration) {
        self.core.compute(self.process, token, cost, self.cause);
    }

    fn emit(&mut self, event: P::Event) {
        let at = self.core.now;
        if event.is_milestone() {
            self.cause = self.core.causes.record(Milestone { parent: self.cause, at, process: Some(self.process) });
        }
        self.observer.observe(at, self.process, self.cause, &event);
    }
}

/// More events than this at one instant are taken for a loop that never ends.
pub const LIVELOCK_EVENTS: u32 = 1_000_000;
