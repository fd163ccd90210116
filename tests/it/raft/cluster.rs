//! A driver for a handful of Raft servers: streams with delay, partitions that hold bytes back, disks, crashes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::mem;

use cossim::base::id::ProcessId;
use cossim::base::machine::Fx;
use cossim::base::machine::Input;
use cossim::base::machine::Kept;
use cossim::base::machine::Machine;
use cossim::base::machine::Slot;
use cossim::base::machine::Token;
use cossim::base::rng::Rng;
use cossim::base::time::Duration;
use cossim::base::time::Time;
use cossim::protocol::raft::Command;
use cossim::protocol::raft::Config;
use cossim::protocol::raft::Configuration;
use cossim::protocol::raft::Event;
use cossim::protocol::raft::Msg;
use cossim::protocol::raft::RaftNode;
use cossim::protocol::raft::Timer;

/// A command: a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Command for Word {
    /// The sum of all words applied.
    type Snapshot = u64;

    fn bytes(&self) -> u32 {
        64
    }

    fn fingerprint(&self) -> u64 {
        self.0 ^ 0x5EED
    }
}

pub(crate) type Node = RaftNode<Word>;

/// What the servers stand on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ground {
    /// One-way delay of a message.
    pub(crate) delay: Duration,
    /// Uniform addition to it.
    pub(crate) jitter: Duration,
    /// Time of one write.
    pub(crate) sync: Duration,
    /// Whether the first request between two servers waits a round trip for its connection.
    pub(crate) dial: bool,
}

#[derive(Debug, Clone)]
enum Happening {
    Message { from: ProcessId, to: ProcessId, msg: Msg<Word>, epoch: u32 },
    Refused { at: ProcessId, to: ProcessId },
    Fired { at: ProcessId, timer: Timer, generation: u64 },
    Done { at: ProcessId, token: Token, epoch: u32 },
}

#[derive(Debug)]
struct Queued(Time, u64, Happening);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// Everything around the servers.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) ground: Ground,
    rng: Rng,
    queue: BinaryHeap<Reverse<Queued>>,
    count: u64,
    /// Per server and slot: the generation of the last arming; others are stale.
    timers: Vec<Vec<u64>>,
    /// Per ordered pair: when the last message arrives, whether a connection exists, whether bytes are held back.
    streams: Vec<Stream>,
    held: VecDeque<(ProcessId, ProcessId, Msg<Word>)>,
    epochs: Vec<u32>,
    up: Vec<bool>,
    disk_free: Vec<Time>,
    /// Writes under way, per server.
    writing: Vec<Vec<(Token, Time)>>,
    now: Time,
    /// What the servers told, in order, until somebody takes it.
    pub(crate) told: Vec<(Time, ProcessId, Event<Word>)>,
    size: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    last: Time,
    dialled: bool,
    cut: bool,
}

/// The servers and everything around them.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outside: Outside,
}

struct Effects<'a> {
    at: ProcessId,
    outside: &'a mut Outside,
}

impl Fx<Node> for Effects<'_> {
    fn send(&mut self, to: ProcessId, msg: Msg<Word>) {
        self.outside.send(self.at, to, msg);
    }

    fn arm(&mut self, timer: Timer, delay: Duration) {
        let generation = self.outside.touch(self.at, timer);
        let at = self.at;
        self.outside.after(delay, Happening::Fired { at, timer, generation });
    }

    fn disarm(&mut self, timer: Timer) {
        self.outside.touch(self.at, timer);
    }

    fn write(&mut self, token: Token, _bytes: u32) {
        let place = self.at.0 as usize;
        let done = self.outside.disk_free[place].max(self.outside.now) + self.outside.ground.sync;
        self.outside.disk_free[place] = done;
        self.outside.writing[place].push((token, done));
        let (at, epoch) = (self.at, self.outside.epochs[place]);
        self.outside.after(done.since(self.outside.now), Happening::Done { at, token, epoch });
    }

    fn compute(&mut self, _token: Token, _cost: Duration) {
        unreachable!("Raft does not compute");
    }

    fn emit(&mut self, event: Event<Word>) {
        self.outside.told.push((self.outside.now, self.at, event));
    }
}

impl Outside {
    fn after(&mut self, delay: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse(Queued(self.now + delay, self.count, happening)));
    }

    fn touch(&mut self, at: ProcessId, timer: Timer) -> u64 {
        let slots = &mut self.timers[at.0 as usize];
        let slot = timer.slot();
        if slots.len() <= slot {
            slots.resize(slot + 1, 0);
        }
        slots[slot] += 1;
        slots[slot]
    }

    fn hop(&mut self) -> Duration {
        self.ground.delay + self.rng.stagger(self.ground.jitter)
    }

    fn send(&mut self, from: ProcessId, to: ProcessId, msg: Msg<Word>) {
        let place = from.0 as usize * self.size + to.0 as usize;
        if self.streams[place].cut {
            self.held.push_back((from, to, msg));
            return;
        }
        if !self.up[to.0 as usize] {
            let back = self.hop();
            self.streams[place].dialled = false;
            self.after(back, Happening::Refused { at: from, to });
            return;
        }
        let mut delay = self.hop();
        let request = matches!(
            msg,
            Msg::Heartbeat { .. }
                | Msg::Append { .. }
                | Msg::AppendEntries(_)
                | Msg::RequestVote { .. }
                | Msg::TimeoutNow { .. }
        );
        if self.ground.dial && request && !mem::replace(&mut self.streams[place].dialled, true) {
            delay = delay + self.hop() + self.hop();
        }
        let arrives = (self.now + delay).max(self.streams[place].last + Duration::from_nanos(1));
        self.streams[place].last = arrives;
        let epoch = self.epochs[to.0 as usize];
        self.after(arrives.since(self.now), Happening::Message { from, to, msg, epoch });
    }
}

impl Cluster {
    /// `size` voters, started at once.
    pub(crate) fn new(size: u32, config: &Config, ground: Ground, seed: u64) -> Self {
        let ids: Vec<ProcessId> = (0..size).map(ProcessId).collect();
        Self::founded(&ids, size, config, ground, seed)
    }

    /// `size` servers, started at once, of which `founders` know each other; the others wait to be added.
    pub(crate) fn founded(founders: &[ProcessId], size: u32, config: &Config, ground: Ground, seed: u64) -> Self {
        let count = size as usize;
        let outside = Outside {
            ground,
            rng: Rng::stream(seed, "network"),
            queue: BinaryHeap::new(),
            count: 0,
            timers: vec![Vec::new(); count],
            streams: vec![Stream::default(); count * count],
            held: VecDeque::new(),
            epochs: vec![0; count],
            up: vec![true; count],
            disk_free: vec![Time::ZERO; count],
            writing: vec![Vec::new(); count],
            now: Time::ZERO,
            told: Vec::new(),
            size: count,
        };
        let node = |id: u32| {
            let me = ProcessId(id);
            let known = if founders.contains(&me) { founders } else { &[] };
            Node::new(me, Configuration::of_voters(known), config.clone(), Rng::stream(seed, &format!("{id}/raft")))
        };
        let mut cluster = Self { nodes: (0..size).map(node).collect(), outside };
        for id in 0..size {
            cluster.input(ProcessId(id), Input::Start);
        }
        cluster
    }

    pub(crate) fn now(&self) -> Time {
        self.outside.now
    }

    fn input(&mut self, at: ProcessId, input: Input<Msg<Word>, Timer>) {
        let now = self.outside.now;
        self.nodes[at.0 as usize].handle(now, input, &mut Effects { at, outside: &mut self.outside });
    }

    /// A server, the time and its effects, to give it a command.
    pub(crate) fn at(&mut self, at: ProcessId) -> (&mut Node, Time, impl Fx<Node>) {
        let now = self.outside.now;
        (&mut self.nodes[at.0 as usize], now, Effects { at, outside: &mut self.outside })
    }

    /// Proposes a word at a server; `None` if it does not lead.
    pub(crate) fn propose(&mut self, at: ProcessId, word: Word) -> Option<(u64, u64)> {
        let (node, now, mut fx) = self.at(at);
        let place = node.propose(now, word, &mut fx).ok()?;
        Some((place.0.0, place.1.0))
    }

    /// Runs until the next happening after `until`, or until `stop` says so about something told. Returns whether it
    /// did.
    pub(crate) fn run(
        &mut self,
        until: Time,
        mut stop: impl FnMut(Time, ProcessId, &Event<Word>) -> bool,
    ) -> Option<(Time, ProcessId)> {
        let mut seen = self.outside.told.len();
        loop {
            while seen < self.outside.told.len() {
                let (at, who, event) = &self.outside.told[seen];
                seen += 1;
                if stop(*at, *who, event) {
                    return Some((*at, *who));
                }
            }
            let Some(Reverse(next)) = self.outside.queue.peek() else { break };
            if next.0 > until {
                break;
            }
            self.step();
        }
        self.outside.now = self.outside.now.max(until);
        None
    }

    fn step(&mut self) {
        let Some(Reverse(Queued(at, _, happening))) = self.outside.queue.pop() else { return };
        self.outside.now = at;
        match happening {
            Happening::Message { from, to, msg, epoch } => {
                let place = to.0 as usize;
                if self.outside.streams[from.0 as usize * self.outside.size + place].cut {
                    self.outside.held.push_back((from, to, msg));
                } else if self.outside.up[place] && self.outside.epochs[place] == epoch {
                    self.input(to, Input::Message { from, msg });
                } else if self.outside.up[from.0 as usize] {
                    let back = self.outside.hop();
                    self.outside.after(back, Happening::Refused { at: from, to });
                }
            }
            Happening::Refused { at, to } => {
                if self.outside.up[at.0 as usize] {
                    self.input(at, Input::Refused { to });
                }
            }
            Happening::Fired { at, timer, generation } => {
                if self.outside.timers[at.0 as usize][timer.slot()] == generation {
                    self.input(at, Input::Fired(timer));
                }
            }
            Happening::Done { at, token, epoch } => {
                let place = at.0 as usize;
                if self.outside.epochs[place] == epoch && self.outside.up[place] {
                    self.outside.writing[place].retain(|(writing, _)| *writing != token);
                    self.input(at, Input::Done(token));
                }
            }
        }
    }

    /// Kills a server: its host answers, nobody listens.
    pub(crate) fn crash(&mut self, at: ProcessId) {
        let place = at.0 as usize;
        self.outside.up[place] = false;
        self.outside.epochs[place] += 1;
        for slot in &mut self.outside.timers[place] {
            *slot += 1;
        }
    }

    /// Starts a killed server again. Of the writes that were under way the last `lost_max` are lost.
    pub(crate) fn restart(&mut self, at: ProcessId, lost_max: usize) {
        let place = at.0 as usize;
        let now = self.outside.now;
        let writing = mem::take(&mut self.outside.writing[place]);
        let kept = writing.len().saturating_sub(lost_max);
        let lost = writing[kept..].iter().map(|(token, _)| *token).collect();
        self.outside.up[place] = true;
        self.outside.disk_free[place] = now;
        self.nodes[place].reboot(now, &Kept { lost });
        self.input(at, Input::Start);
    }

    pub(crate) fn is_up(&self, at: ProcessId) -> bool {
        self.outside.up[at.0 as usize]
    }

    /// Holds back all bytes from `from` to `to`.
    pub(crate) fn cut(&mut self, from: ProcessId, to: ProcessId) {
        self.outside.streams[from.0 as usize * self.outside.size + to.0 as usize].cut = true;
    }

    /// Cuts a server off, both ways.
    pub(crate) fn isolate(&mut self, at: ProcessId) {
        for other in (0..self.nodes.len() as u32).map(ProcessId).filter(|other| *other != at) {
            self.cut(at, other);
            self.cut(other, at);
        }
    }

    /// Ends all partitions: what was held back goes on its way, in order.
    pub(crate) fn heal(&mut self) {
        for stream in &mut self.outside.streams {
            stream.cut = false;
        }
        for (from, to, msg) in mem::take(&mut self.outside.held) {
            self.outside.send(from, to, msg);
        }
    }
}
