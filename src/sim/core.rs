//! Everything but the machines: hosts, seats of processes, and the effects that machines have on the world.

use std::collections::VecDeque;

use crate::base::id::{HostId, IdVec, ProcessId};
use crate::base::machine::{Channel, Kept, Message, Slot, Token};
use crate::base::ordered::OrdSet;
use crate::base::rng::Draws;
use crate::base::time::{Duration, Time};
use crate::sim::disk::DiskProfile;
use crate::sim::engine::{Actor, HostSpec};
use crate::sim::fault::{Degrade, End, Pipe, Rules, Ruling};
use crate::sim::network::{self, Link, Network, Transit};
use crate::sim::parcel::{Parcel, Parcels, Ticket, Work};
use crate::sim::queue::{Entry, Queue};
use crate::sim::record::Record;
use crate::sim::stream::Streams;
use crate::sim::timers::Timers;
use crate::sim::trace::{Cause, Causes};

/// A host.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) zone: u32,
    pub(super) region: u32,
    pub(super) up: bool,
    pub(super) cpu_factor: f64,
    pub(super) disk_factor: f64,
    pub(super) disk: DiskProfile,
    pub(super) disk_stalled_until: Time,
    egress: Option<Pipe>,
    pub(super) processes: Vec<ProcessId>,
}

/// What every event of a process touches.
#[derive(Debug, Clone)]
pub(super) struct Seat<T> {
    pub(super) host: HostId,
    zone: u32,
    region: u32,
    /// Its place among causes of events at one instant: a hash of name and seed, no two alike.
    pub(super) tie: u32,
    /// Events caused so far, modulo 2^32.
    count: u32,
    /// Lives ended so far.
    pub(super) incarnation: u32,
    pub(super) state: State,
    pub(super) paused: bool,
    /// Hash of the name, for numbered draws.
    pub(super) key: u64,
    datagrams: u64,
    pub(super) timers: Timers<T>,
}

impl<T> Seat<T> {
    /// The order of the next event this process causes, among all of its instant.
    #[inline]
    pub(super) fn next_rank(&mut self) -> u64 {
        self.count = self.count.wrapping_add(1);
        self.rank_of(self.count)
    }

    #[inline]
    pub(super) fn rank_of(&self, count: u32) -> u64 {
        u64::from(self.tie) << 32 | u64::from(count)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    /// Will be told [`crate::base::machine::Input::Start`]; nothing else reaches it before.
    Starting,
    Running,
}

/// What few events of a process touch.
#[derive(Debug, Clone, Default)]
pub(super) struct Locker {
    pub(super) name: Box<str>,
    pub(super) was_started: bool,
    /// When it is started again, it starts within this span.
    pub(super) boot_spread: Duration,
    /// Writes not reported done: token, and when it reaches the disk.
    pub(super) writes: VecDeque<(Token, Time)>,
    writes_begun: u64,
    pub(super) disk_free: Time,
    pub(super) cpu_free: Time,
    pub(super) kept: Kept,
    pub(super) held: VecDeque<Held>,
    pub(super) streams: Vec<u32>,
}

/// An input kept back while its process is paused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    Parcel(u32),
    Timer(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Core<P: Actor> {
    pub(super) now: Time,
    pub(super) seed: u64,
    pub(super) network: Network,
    pub(super) rules: Rules,
    pub(super) queue: Queue,
    pub(super) parcels: Parcels<P::Msg>,
    pub(super) hosts: IdVec<HostId, Host>,
    pub(super) seats: IdVec<ProcessId, Seat<P::Timer>>,
    pub(super) lockers: IdVec<ProcessId, Locker>,
    pub(super) streams: Streams,
    pub(super) causes: Causes,
    pub(super) record: Record,
    /// Events handled at this very instant.
    pub(super) at_instant: u32,
    ties: OrdSet<u32>,
    pub(super) link_draws: Draws,
    disk_draws: Draws,
    pub(super) crash_draws: Draws,
    boot_draws: Draws,
}

impl<P: Actor> Core<P> {
    pub(super) fn new(seed: u64, network: Network) -> Self {
        Self {
            now: Time::ZERO,
            seed,
            network,
            rules: Rules::default(),
            queue: Queue::new(),
            parcels: Parcels::new(),
            hosts: IdVec::new(),
            seats: IdVec::new(),
            lockers: IdVec::new(),
            streams: Streams::default(),
            causes: Causes::default(),
            record: Record::new(seed),
            at_instant: 0,
            ties: OrdSet::new(),
            link_draws: Draws::new(seed, "sim/link"),
            disk_draws: Draws::new(seed, "sim/disk"),
            crash_draws: Draws::new(seed, "sim/crash"),
            boot_draws: Draws::new(seed, "sim/boot"),
        }
    }

    pub(super) fn add_host(&mut self, spec: HostSpec) -> HostId {
        self.hosts.push(Host {
            zone: spec.zone,
            region: spec.region,
            up: true,
            cpu_factor: 1.0,
            disk_factor: 1.0,
            disk: spec.disk,
            disk_stalled_until: Time::ZERO,
            egress: spec.egress.map(Pipe::new),
            processes: Vec::new(),
        })
    }

    /// A seat by name: order and draws of a process depend on its name, not on who else there is. (Two names whose
    /// 32-bit hashes agree, one pair in four billion, are told apart by who came first.)
    pub(super) fn add_seat(&mut self, host: HostId, name: &str) -> ProcessId {
        let draws = Draws::new(self.seed, name);
        let key = draws.bits(0, 0);
        let mut attempt = 1;
        let tie = loop {
            let tie = (draws.bits(attempt, 1) >> 32) as u32;
            if self.ties.insert(tie) {
                break tie;
            }
            attempt += 1;
        };
        let state = State::Stopped;
        let timers = Timers::new();
        let Host { zone, region, .. } = self.hosts[host];
        let process = self.seats.push(Seat {
            host,
            zone,
            region,
            tie,
            count: 0,
            incarnation: 0,
            state,
            paused: false,
            key,
            datagrams: 0,
            timers,
        });
        self.lockers.push(Locker { name: name.into(), ..Locker::default() });
        self.hosts[host].processes.push(process);
        process
    }

    /// Queues a parcel, in the order of the effects of `by`.
    #[inline]
    pub(super) fn post(&mut self, at: Time, by: ProcessId, parcel: Parcel) {
        let place = self.parcels.put(parcel, None);
        self.post_place(at, by, place);
    }

    #[inline]
    pub(super) fn post_place(&mut self, at: Time, by: ProcessId, place: u32) {
        if at == Time::NEVER {
            self.parcels.take(place);
            return;
        }
        let rank = self.seats[by].next_rank();
        self.queue.push(Entry { time: at.as_nanos(), rank, item: u64::from(place) });
    }

    #[inline]
    pub(super) fn send(&mut self, from: ProcessId, cause: Cause, to: ProcessId, msg: P::Msg) {
        match msg.channel() {
            Channel::Datagram => self.send_datagram(from, cause, to, msg),
            Channel::Stream => self.send_segment(from, cause, to, msg),
        }
    }

    #[inline(never)]
    fn send_datagram(&mut self, from: ProcessId, cause: Cause, to: ProcessId, msg: P::Msg) {
        let seat = &mut self.seats[from];
        seat.datagrams += 1;
        let number = seat.datagrams;
        let transit = self.datagram_transit(from, to, msg.bytes(), number);
        let parcel = Parcel::Datagram { from, to, cause };
        if let Some(delay) = transit.second {
            let place = self.parcels.put(parcel, Some(msg.clone()));
            self.post_place(self.now + delay.max(SHORTEST), from, place);
        }
        if let Some(delay) = transit.first {
            let place = self.parcels.put(parcel, Some(msg));
            self.post_place(self.now + delay.max(SHORTEST), from, place);
        }
    }

    #[inline]
    fn datagram_transit(&mut self, from: ProcessId, to: ProcessId, bytes: u32, number: u64) -> Transit {
        let number = self.link_number(from, to, number);
        let queued = self.queued(from, to, bytes);
        let mut transit = if self.rules.is_empty() {
            network::datagram(self.link(from, to), None, self.link_draws, number)
        } else {
            match self.judge(from, to, Channel::Datagram, bytes) {
                Ruling::Drop => Transit { first: None, second: None },
                Ruling::Deliver(delay) => return Transit { first: Some(delay), second: None },
                Ruling::Pass(how) => {
                    let degrade = (how != Degrade::NONE).then_some(&how);
                    network::datagram(self.link(from, to), degrade, self.link_draws, number)
                }
            }
        };
        if !queued.is_zero() {
            transit.first = transit.first.map(|delay| delay + queued);
            transit.second = transit.second.map(|delay| delay + queued);
        }
        transit
    }

    /// How long a stream's segment takes; `None` while a rule holds it back.
    #[inline]
    pub(super) fn segment_transit(
        &mut self,
        from: ProcessId,
        to: ProcessId,
        bytes: u32,
        sent: u32,
    ) -> Option<Duration> {
        // Bit 63 keeps streams apart from the datagrams between the same two.
        let number = 1 << 63 | u64::from(sent);
        if self.rules.is_empty() {
            return Some(self.free_transit(from, to, bytes, number));
        }
        self.ruled_transit(from, to, bytes, number)
    }

    /// The same under the rules in force.
    #[inline(never)]
    fn ruled_transit(&mut self, from: ProcessId, to: ProcessId, bytes: u32, number: u64) -> Option<Duration> {
        let number = self.link_number(from, to, number);
        let queued = self.queued(from, to, bytes);
        match self.judge(from, to, Channel::Stream, bytes) {
            Ruling::Drop => None,
            Ruling::Deliver(delay) => Some(delay),
            Ruling::Pass(how) if how.loss >= 1.0 => None,
            Ruling::Pass(how) => {
                Some(queued + network::segment(self.link(from, to), Some((&how, self.now)), self.link_draws, number))
            }
        }
    }

    /// How long something takes that comes in a series of its own.
    #[inline]
    pub(super) fn item_transit(&mut self, from: ProcessId, to: ProcessId, bytes: u32, number: u64) -> Duration {
        // Told apart from the numbers of datagrams and segments, which are small but for bit 63.
        self.free_transit(from, to, bytes, !number.rotate_left(32))
    }

    /// How long what must not get lost takes if no rule is in force. It takes its turn at the sender's interface.
    #[inline(never)]
    fn free_transit(&mut self, from: ProcessId, to: ProcessId, bytes: u32, number: u64) -> Duration {
        let number = self.link_number(from, to, number);
        self.queued(from, to, bytes) + network::segment(self.link(from, to), None, self.link_draws, number)
    }

    pub(super) fn carry(&mut self, from: ProcessId, to: ProcessId, delay: Duration, cause: Cause, msg: P::Msg) {
        let place = self.parcels.put(Parcel::Datagram { from, to, cause }, Some(msg));
        self.post_place(self.now + delay.max(SHORTEST), from, place);
    }

    /// The number of a draw: of message `number` from one name to another, whoever else there is.
    #[inline]
    pub(super) fn link_number(&self, from: ProcessId, to: ProcessId, number: u64) -> u64 {
        (self.seats[from].key ^ self.seats[to].key.rotate_left(32)).wrapping_add(number.wrapping_mul(STRIDE))
    }

    /// The link between two processes.
    #[inline]
    fn link(&self, from: ProcessId, to: ProcessId) -> &Link {
        let (a, b) = (&self.seats[from], &self.seats[to]);
        if a.host == b.host {
            &self.network.same_host
        } else if a.region != b.region {
            self.network.between_regions(a.region, b.region)
        } else if a.zone != b.zone {
            &self.network.same_region
        } else {
            &self.network.same_zone
        }
    }

    /// The wait at the sender's interface.
    #[inline]
    fn queued(&mut self, from: ProcessId, to: ProcessId, bytes: u32) -> Duration {
        let (from, to) = (self.seats[from].host, self.seats[to].host);
        match &mut self.hosts[from].egress {
            Some(pipe) if from != to => pipe.occupy(self.now, bytes),
            _ => Duration::ZERO,
        }
    }

    fn judge(&mut self, from: ProcessId, to: ProcessId, channel: Channel, bytes: u32) -> Ruling {
        let (from, to) = (self.end(from), self.end(to));
        self.rules.judge(self.now, from, to, channel, bytes)
    }

    pub(super) fn end(&self, process: ProcessId) -> End {
        let host = self.seats[process].host;
        End { process, host, zone: self.hosts[host].zone, region: self.hosts[host].region }
    }

    #[inline]
    pub(super) fn arm(&mut self, process: ProcessId, timer: P::Timer, delay: Duration, cause: Cause) {
        let deadline = self.now + delay;
        let seat = &mut self.seats[process];
        let rank = seat.next_rank();
        let slot = timer.slot();
        if seat.timers.arm(slot, timer, deadline, rank as u32, cause) {
            self.queue.push(Entry { time: deadline.as_nanos(), rank, item: timer_item(process, slot) });
        }
    }

    pub(super) fn write(&mut self, process: ProcessId, token: Token, bytes: u32, cause: Cause) {
        let seat = &self.seats[process];
        let locker = &mut self.lockers[process];
        let host = &self.hosts[seat.host];
        let number = seat.key.wrapping_add(locker.writes_begun.wrapping_mul(STRIDE));
        locker.writes_begun += 1;
        let latency = scaled(host.disk.latency(self.disk_draws, number, bytes), host.disk_factor);
        let done = self.now.max(locker.disk_free).max(host.disk_stalled_until) + latency;
        locker.disk_free = done;
        locker.writes.push_back((token, done));
        self.post(done, process, Parcel::Done { ticket: self.ticket(process, cause), token, work: Work::Write });
    }

    pub(super) fn compute(&mut self, process: ProcessId, token: Token, cost: Duration, cause: Cause) {
        let cost = scaled(cost, self.hosts[self.seats[process].host].cpu_factor);
        let locker = &mut self.lockers[process];
        locker.cpu_free = locker.cpu_free.max(self.now) + cost;
        let done = locker.cpu_free;
        self.post(done, process, Parcel::Done { ticket: self.ticket(process, cause), token, work: Work::Compute });
    }

    /// How long after it was launched a process starts: a draw of its name and its life.
    pub(super) fn boot_delay(&self, process: ProcessId) -> Duration {
        let (seat, spread) = (&self.seats[process], self.lockers[process].boot_spread.as_nanos());
        let life = seat.key.wrapping_add(u64::from(seat.incarnation));
        Duration::from_nanos(if spread == 0 { 0 } else { self.boot_draws.below(life, 0, spread) })
    }

    pub(super) fn ticket(&self, process: ProcessId, cause: Cause) -> Ticket {
        Ticket { process, incarnation: self.seats[process].incarnation, cause }
    }
}

/// Slows a span down; a factor of one changes no bit.
fn scaled(span: Duration, factor: f64) -> Duration {
    if (factor - 1.0).abs() < f64::EPSILON { span } else { span.mul_f64(factor) }
}

/// A timer's pop as a queue item: bit 63, the slot, the process.
#[inline]
pub(super) fn timer_item(process: ProcessId, slot: usize) -> u64 {
    TIMER | (slot as u64) << 32 | u64::from(process.0)
}

/// The bit that tells a timer's pop from a parcel's place.
pub(super) const TIMER: u64 = 1 << 63;
/// Effects come strictly after their causes.
pub(super) const SHORTEST: Duration = Duration::from_nanos(1);
/// Odd, so that numbered draws of one name never meet; far apart, so that those of two names hardly do.
const STRIDE: u64 = 0xA076_1D64_78BD_642F;
