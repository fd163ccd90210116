//! The kernel beside other kernels, in one run: hold (queue, whole engine), messages in a ring, timers that are reset.
//!
//! `cargo bench --bench kernel` prints nanoseconds of CPU time per event (median of interleaved repetitions) and how
//! many times as fast ours is; `-- --test` runs everything once, tiny. `-- W1` runs what contains that text.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use cossim::base::id::{Id as _, ProcessId};
use cossim::base::machine::{Channel, Fx, Input, Kept, Machine, Message, Slot};
use cossim::base::math;
use cossim::base::time::{Duration, Time};
use cossim::sim::engine::{Engine, HostSpec, Unobserved};
use cossim::sim::fault::{Rule, Selector};
use cossim::sim::network::{Link, Network};
use cossim::sim::queue::{Entry, Queue};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let tiny = args.iter().any(|arg| arg == "--test");
    let wanted = |name: &str| args.iter().all(|arg| arg == "--test" || name.contains(arg.as_str()));
    let plan = Plan { repetitions: if tiny { 1 } else { 5 }, tiny };
    println!(
        "CPU nanoseconds per event, median of {} interleaved repetitions; ratio = other / cossim",
        plan.repetitions
    );
    if wanted("W1") {
        plan.hold_queue();
    }
    if wanted("W2") {
        plan.hold_engine();
    }
    if wanted("W3") {
        plan.ring();
    }
    if wanted("W4") {
        plan.resets();
    }
}

struct Plan {
    repetitions: usize,
    tiny: bool,
}

/// One row of a table: a name and a function that returns (CPU ns per event, order hash or zero).
type Contender<'a> = (&'a str, Box<dyn Fn(usize, u64) -> (f64, u64) + 'a>);

impl Plan {
    fn table(&self, title: &str, sizes: &[(usize, u64)], targets: &[&str], contenders: &[Contender<'_>]) {
        println!("\n{title}");
        let mut columns = Vec::new();
        for (size, events) in sizes {
            let (size, events) = if self.tiny { ((*size).min(100), 2_000) } else { (*size, *events) };
            let mut samples = vec![Vec::new(); contenders.len()];
            let mut hashes = Vec::new();
            for _ in 0..self.repetitions {
                for (at, (_, run)) in contenders.iter().enumerate() {
                    let (nanos, hash) = run(size, events);
                    samples[at].push(nanos);
                    hashes.extend((hash != 0).then_some(hash));
                }
            }
            assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "all queues give the same order");
            columns.push(samples.into_iter().map(median).collect::<Vec<f64>>());
        }
        print!("{:44}", "");
        for (size, _) in sizes {
            print!("{size:>12}   ratio");
        }
        println!("   growth");
        for (row, (name, _)) in contenders.iter().enumerate() {
            print!("{name:44}");
            for column in &columns {
                print!("{:>12.1} {:>6.2}x", column[row], column[row] / column[0]);
            }
            println!("  {:>5.2}x", columns[columns.len() - 1][row] / columns[0][row]);
        }
        for target in targets {
            println!("  target: {target}");
        }
    }

    fn hold_queue(&self) {
        let sizes = [(1_000, 3_000_000), (100_000, 3_000_000), (1_000_000, 2_000_000)];
        self.table(
            "W1 hold, queue only (exponential increments, mean 1 s)",
            &sizes,
            &["std BinaryHeap at least 1.3x / 1.8x / 2.0x"],
            &[
                ("cossim queue", Box::new(hold_queue::<Queue>)),
                ("std BinaryHeap (u64, u64, u32)", Box::new(hold_queue::<BinaryHeap<Reverse<(u64, u64, u32)>>>)),
                ("dary_heap 4-ary u128", Box::new(hold_queue::<dary_heap::QuaternaryHeap<Reverse<u128>>>)),
                (
                    "dary_heap 4-ary (u64, u64, u32)",
                    Box::new(hold_queue::<dary_heap::QuaternaryHeap<Reverse<(u64, u64, u32)>>>),
                ),
            ],
        );
    }

    fn hold_engine(&self) {
        self.table(
            "W2 hold, whole engine (timers that re-arm themselves, mean 1 s)",
            &[(1_000, 1_000_000), (100_000, 1_000_000), (1_000_000, 1_000_000)],
            &["simcore at least 1.6x / 3x, nexosim at least 5x, at 1 000 and 100 000"],
            &[
                ("cossim engine, digest on", Box::new(hold_cossim)),
                ("simcore 0.1", Box::new(hold_simcore)),
                ("nexosim 1.0, one thread", Box::new(hold_nexosim)),
            ],
        );
    }

    fn ring(&self) {
        self.table(
            "W3 messages in a ring, 1 ms each",
            &[(1_000, 2_000_000), (10_000, 2_000_000), (100_000, 2_000_000)],
            &["simcore at least 1.3x; full network at most 120 ns"],
            &[
                ("cossim, fixed delay, digest on", Box::new(ring_fixed)),
                ("cossim, full network, a rule in force", Box::new(ring_full)),
                ("cossim, full network, streams", Box::new(ring_streams)),
                ("simcore 0.1", Box::new(ring_simcore)),
                ("nexosim 1.0, one thread", Box::new(ring_nexosim)),
            ],
        );
    }

    fn resets(&self) {
        self.table(
            "W4 timers reset by heartbeats (mean 50 ms, timeout 150 to 300 ms)",
            &[(1_000, 1_000_000), (50_000, 1_000_000), (500_000, 1_000_000)],
            &["push and tombstone at least 1.5x"],
            &[
                ("cossim engine, digest on", Box::new(resets_cossim)),
                (
                    "push and tombstone, dary_heap 4-ary u128",
                    Box::new(resets_tombstone::<dary_heap::QuaternaryHeap<Reverse<u128>>>),
                ),
                (
                    "push and tombstone, std BinaryHeap tuple",
                    Box::new(resets_tombstone::<BinaryHeap<Reverse<(u64, u64, u32)>>>),
                ),
            ],
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this thread if the system tells (Linux), otherwise the wall clock.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the host")]
fn timed(events: impl FnOnce() -> u64) -> f64 {
    let cpu = || -> Option<u64> {
        std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
    };
    let (wall, begun) = (std::time::Instant::now(), cpu());
    let count = events() as f64;
    let elapsed = wall.elapsed().as_nanos() as f64;
    let (Some(begun), Some(ended)) = (begun, cpu()) else { return elapsed / count };
    (ended - begun) as f64 / count
}

/// `SplitMix64`.
#[derive(Debug, Clone)]
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    fn exponential(&mut self) -> f64 {
        -math::ln(self.unit())
    }

    /// About exponential, in nanoseconds, mean 1 s: a logarithm good to 1e-4, so that W1 measures queues.
    fn increment(&mut self) -> u64 {
        let bits = self.unit().to_bits();
        let exponent = (bits >> 52) as i64 - 1_023;
        let m = f64::from_bits(bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000);
        let log2 = exponent as f64 - 2.153_620_7 + m * (3.047_884_1 + m * (-1.051_875_0 + m * 0.158_248_71));
        (log2 * -0.693_147_18e9).max(0.0) as u64
    }
}

trait Hold: Default {
    fn put(&mut self, time: u64, seq: u64, payload: u32);
    fn get(&mut self) -> (u64, u64, u32);
}

impl Hold for Queue {
    fn put(&mut self, time: u64, seq: u64, payload: u32) {
        self.push(Entry { time, rank: seq, item: u64::from(payload) });
    }

    fn get(&mut self) -> (u64, u64, u32) {
        let entry = self.pop_before(u64::MAX).expect("N events wait");
        (entry.time, entry.rank, entry.item as u32)
    }
}

impl Hold for BinaryHeap<Reverse<(u64, u64, u32)>> {
    fn put(&mut self, time: u64, seq: u64, payload: u32) {
        self.push(Reverse((time, seq, payload)));
    }

    fn get(&mut self) -> (u64, u64, u32) {
        let Reverse(entry) = self.pop().expect("N events wait");
        entry
    }
}

impl Hold for dary_heap::QuaternaryHeap<Reverse<(u64, u64, u32)>> {
    fn put(&mut self, time: u64, seq: u64, payload: u32) {
        self.push(Reverse((time, seq, payload)));
    }

    fn get(&mut self) -> (u64, u64, u32) {
        let Reverse(entry) = self.pop().expect("N events wait");
        entry
    }
}

/// time 64, sequence 40, payload 24 bits.
impl Hold for dary_heap::QuaternaryHeap<Reverse<u128>> {
    fn put(&mut self, time: u64, seq: u64, payload: u32) {
        self.push(Reverse(u128::from(time) << 64 | u128::from(seq) << 24 | u128::from(payload)));
    }

    fn get(&mut self) -> (u64, u64, u32) {
        let Reverse(key) = self.pop().expect("N events wait");
        ((key >> 64) as u64, (key >> 24) as u64 & 0xFF_FFFF_FFFF, key as u32 & 0xFF_FFFF)
    }
}

fn hold_queue<Q: Hold>(size: usize, events: u64) -> (f64, u64) {
    let (mut queue, mut draw, mut seq, mut hash) = (Q::default(), Draw(42), 0, 0xcbf2_9ce4_8422_2325_u64);
    for payload in 0..size as u32 {
        queue.put(draw.increment(), seq, payload);
        seq += 1;
    }
    let mut hold = |count: u64| {
        for _ in 0..count {
            let (time, _, payload) = queue.get();
            hash = (hash.rotate_left(5) ^ time ^ u64::from(payload)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            queue.put(time + draw.increment(), seq, payload);
            seq += 1;
        }
        count
    };
    hold((3 * size as u64).max(200_000));
    let nanos = timed(|| hold(events));
    (nanos, hash)
}

#[derive(Debug, Clone, Copy)]
struct Alarm(u32);

impl Slot for Alarm {
    fn slot(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone)]
enum Token {
    Datagram(u64),
    Stream(u64),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Message for Token {
    fn channel(&self) -> Channel {
        match self {
            Self::Datagram(_) => Channel::Datagram,
            Self::Stream(_) => Channel::Stream,
        }
    }

    fn bytes(&self) -> u32 {
        64
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Datagram(body) | Self::Stream(body) => *body,
        }
    }
}

/// N timers that re-arm themselves.
#[derive(Debug, Clone)]
struct Holder {
    timers: u32,
    draw: Draw,
}

impl Machine for Holder {
    type Msg = Token;
    type Timer = Alarm;
    type Event = ();

    fn handle(&mut self, _: Time, input: Input<Token, Alarm>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => {
                for timer in 0..self.timers {
                    fx.arm(Alarm(timer), Duration::from_nanos((self.draw.exponential() * 1e9) as u64));
                }
            }
            Input::Fired(timer) => fx.arm(timer, Duration::from_nanos((self.draw.exponential() * 1e9) as u64)),
            Input::Message { .. } | Input::Refused { .. } | Input::Done(_) => {}
        }
    }

    fn reboot(&mut self, _: Time, _: &Kept) {}
}

/// Runs `engine` for `events` more events.
fn run<P: Machine<Msg: Clone + fmt::Debug, Event = ()>>(engine: &mut Engine<P>, events: u64) -> u64 {
    let target = engine.events() + events;
    engine.run_to_event(target, Time::NEVER, &mut Unobserved).expect("time passes");
    events
}

fn hold_cossim(size: usize, events: u64) -> (f64, u64) {
    let mut engine = Engine::new(1, Network::fixed(Duration::from_millis(1)));
    let host = engine.add_host(HostSpec::default());
    let process = engine.add_process(host, "holder", Holder { timers: size as u32, draw: Draw(42) });
    engine.start(process, Time::ZERO);
    run(&mut engine, (3 * size as u64).max(100_000));
    (timed(|| run(&mut engine, events)), 0)
}

#[derive(Clone, serde::Serialize)]
struct Tick {
    id: u32,
}

struct SimcoreHolder {
    draw: Draw,
    context: simcore::SimulationContext,
}

impl simcore::EventHandler for SimcoreHolder {
    fn on(&mut self, event: simcore::Event) {
        simcore::cast!(match event.data {
            Tick { id } => {
                let delay = self.draw.exponential();
                self.context.emit_self(Tick { id }, delay);
            }
        });
    }
}

fn hold_simcore(size: usize, events: u64) -> (f64, u64) {
    let mut simulation = simcore::Simulation::new(42);
    let context = simulation.create_context("holder");
    let mut draw = Draw(42);
    for id in 0..size as u32 {
        context.emit_self(Tick { id }, draw.exponential());
    }
    simulation.add_handler("holder", Rc::new(RefCell::new(SimcoreHolder { draw, context })));
    simulation.steps((3 * size as u64).max(100_000));
    let nanos = timed(|| {
        simulation.steps(events);
        events
    });
    (nanos, 0)
}

/// Events handled by nexosim models since it was last read.
static NEXOSIM_EVENTS: AtomicU64 = AtomicU64::new(0);

#[expect(clippy::unused_async, clippy::unused_self, reason = "nexosim wants these signatures")]
mod nexosim_models {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use nexosim::model::{Context, Model, schedulable};
    use nexosim::ports::Output;
    use serde::{Deserialize, Serialize};

    use super::{Draw, NEXOSIM_EVENTS};

    #[derive(Serialize, Deserialize)]
    pub(super) struct Holder {
        pub(super) timers: u32,
        pub(super) draw: u64,
    }

    #[Model]
    impl Holder {
        #[nexosim(init)]
        async fn init(&mut self, cx: &Context<Self>) {
            for id in 0..self.timers {
                self.again(id, cx);
            }
        }

        #[nexosim(schedulable)]
        fn tick(&mut self, id: u32, cx: &Context<Self>) {
            NEXOSIM_EVENTS.fetch_add(1, Ordering::Relaxed);
            self.again(id, cx);
        }

        fn again(&mut self, id: u32, cx: &Context<Self>) {
            let mut draw = Draw(self.draw);
            let delay = Duration::from_nanos((draw.exponential() * 1e9) as u64 + 1);
            self.draw = draw.0;
            cx.schedule_event(delay, schedulable!(Self::tick), id).expect("the future is not past");
        }
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Actor {
        pub(super) next: Output<u64>,
    }

    #[Model]
    impl Actor {
        #[nexosim(init)]
        async fn init(&mut self, cx: &Context<Self>) {
            self.receive(0, cx);
        }

        pub(super) fn receive(&mut self, body: u64, cx: &Context<Self>) {
            let delay = Duration::from_millis(1);
            cx.schedule_event(delay, schedulable!(Self::forward), body + 1).expect("the future is not past");
        }

        #[nexosim(schedulable)]
        async fn forward(&mut self, body: u64) {
            NEXOSIM_EVENTS.fetch_add(1, Ordering::Relaxed);
            self.next.send(body).await;
        }
    }
}

/// Steps a nexosim simulation until it has handled about `events` events; each step is one instant.
fn step_nexosim(simulation: &mut nexosim::simulation::Simulation, events: u64, span: std::time::Duration) -> u64 {
    NEXOSIM_EVENTS.store(0, Ordering::Relaxed);
    while NEXOSIM_EVENTS.load(Ordering::Relaxed) < events {
        simulation.step_until(span).expect("models do not fail");
    }
    NEXOSIM_EVENTS.load(Ordering::Relaxed)
}

fn hold_nexosim(size: usize, events: u64) -> (f64, u64) {
    let mailbox = nexosim::simulation::Mailbox::new();
    let holder = nexosim_models::Holder { timers: size as u32, draw: 42 };
    let mut simulation = nexosim::simulation::SimInit::with_num_threads(1)
        .add_model(holder, mailbox, "holder")
        .init(nexosim::time::MonotonicTime::EPOCH)
        .expect("the bench is sound");
    let span = std::time::Duration::from_secs_f64(10_000.0 / size as f64);
    step_nexosim(&mut simulation, (size as u64).max(20_000), span);
    (timed(|| step_nexosim(&mut simulation, events / 2, span)), 0)
}

#[derive(Debug, Clone)]
struct Actor {
    next: ProcessId,
    channel: Channel,
}

impl Machine for Actor {
    type Msg = Token;
    type Timer = Alarm;
    type Event = ();

    fn handle(&mut self, _: Time, input: Input<Token, Alarm>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => {
                let first = if self.channel == Channel::Stream { Token::Stream(0) } else { Token::Datagram(0) };
                fx.send(self.next, first);
            }
            Input::Message { msg: Token::Datagram(body), .. } => fx.send(self.next, Token::Datagram(body + 1)),
            Input::Message { msg: Token::Stream(body), .. } => fx.send(self.next, Token::Stream(body + 1)),
            Input::Fired(_) | Input::Refused { .. } | Input::Done(_) => {}
        }
    }

    fn reboot(&mut self, _: Time, _: &Kept) {}
}

fn ring(size: usize, events: u64, channel: Channel, network: Network, rule: Option<Rule>) -> (f64, u64) {
    let mut engine = Engine::new(1, network);
    for index in 0..size {
        let host = engine.add_host(HostSpec { zone: index as u32 % 3, ..HostSpec::default() });
        let next = ProcessId::from_index((index + 1) % size);
        let process = engine.add_process(host, &format!("actor-{index}"), Actor { next, channel });
        engine.start(process, Time::ZERO);
    }
    if let Some(rule) = rule {
        engine.add_rule(rule);
    }
    run(&mut engine, (3 * size as u64).max(10_000));
    (timed(|| run(&mut engine, events)), 0)
}

fn ring_fixed(size: usize, events: u64) -> (f64, u64) {
    ring(size, events, Channel::Datagram, Network::fixed(Duration::from_millis(1)), None)
}

/// Everything a datagram can meet: jitter, a loss draw (of a share so small that tokens survive), a partition
/// elsewhere.
fn full_network() -> (Network, Option<Rule>) {
    let mut network = Network::cloud();
    network.same_region = Link { loss: 1e-12, ..network.same_region };
    (network, Some(Rule::cut(Selector::Region(7), Selector::Region(8))))
}

fn ring_full(size: usize, events: u64) -> (f64, u64) {
    let (network, rule) = full_network();
    ring(size, events, Channel::Datagram, network, rule)
}

fn ring_streams(size: usize, events: u64) -> (f64, u64) {
    let (network, rule) = full_network();
    ring(size, events, Channel::Stream, network, rule)
}

#[derive(Clone, serde::Serialize)]
struct Passed {
    body: u64,
}

struct SimcoreActor {
    next: simcore::Id,
    context: simcore::SimulationContext,
}

impl simcore::EventHandler for SimcoreActor {
    fn on(&mut self, event: simcore::Event) {
        simcore::cast!(match event.data {
            Passed { body } => {
                self.context.emit(Passed { body: body + 1 }, self.next, 1e-3);
            }
        });
    }
}

fn ring_simcore(size: usize, events: u64) -> (f64, u64) {
    let mut simulation = simcore::Simulation::new(42);
    let contexts: Vec<_> = (0..size).map(|index| simulation.create_context(format!("actor-{index}"))).collect();
    let ids: Vec<_> = contexts.iter().map(simcore::SimulationContext::id).collect();
    for (index, context) in contexts.into_iter().enumerate() {
        let next = ids[(index + 1) % size];
        context.emit(Passed { body: 0 }, next, 1e-3);
        let actor = SimcoreActor { next, context };
        simulation.add_handler(format!("actor-{index}"), Rc::new(RefCell::new(actor)));
    }
    simulation.steps((3 * size as u64).max(10_000));
    let nanos = timed(|| {
        simulation.steps(events);
        events
    });
    (nanos, 0)
}

fn ring_nexosim(size: usize, events: u64) -> (f64, u64) {
    let mailboxes: Vec<_> = (0..size).map(|_| nexosim::simulation::Mailbox::new()).collect();
    let addresses: Vec<_> = mailboxes.iter().map(nexosim::simulation::Mailbox::address).collect();
    let mut init = nexosim::simulation::SimInit::with_num_threads(1);
    for (index, mailbox) in mailboxes.into_iter().enumerate() {
        let mut actor = nexosim_models::Actor { next: nexosim::ports::Output::default() };
        actor.next.connect(nexosim_models::Actor::receive, &addresses[(index + 1) % size]);
        init = init.add_model(actor, mailbox, &format!("actor-{index}"));
    }
    let mut simulation = init.init(nexosim::time::MonotonicTime::EPOCH).expect("the bench is sound");
    let span = std::time::Duration::from_millis(1);
    step_nexosim(&mut simulation, size as u64, span);
    (timed(|| step_nexosim(&mut simulation, events / 4, span)), 0)
}

/// Each entity has a heartbeat (even slots), which resets its timeout (odd slots).
#[derive(Debug, Clone)]
struct Hearts {
    entities: u32,
    draw: Draw,
}

impl Machine for Hearts {
    type Msg = Token;
    type Timer = Alarm;
    type Event = ();

    fn handle(&mut self, _: Time, input: Input<Token, Alarm>, fx: &mut impl Fx<Self>) {
        match input {
            Input::Start => (0..self.entities).for_each(|entity| self.beat(entity, fx)),
            Input::Fired(Alarm(slot)) if slot % 2 == 0 => self.beat(slot / 2, fx),
            Input::Fired(_) | Input::Message { .. } | Input::Refused { .. } | Input::Done(_) => {}
        }
    }

    fn reboot(&mut self, _: Time, _: &Kept) {}
}

impl Hearts {
    fn beat(&mut self, entity: u32, fx: &mut impl Fx<Self>) {
        fx.arm(Alarm(2 * entity), heartbeat(&mut self.draw));
        fx.arm(Alarm(2 * entity + 1), timeout(&mut self.draw));
    }
}

fn heartbeat(draw: &mut Draw) -> Duration {
    Duration::from_nanos((draw.exponential() * 50e6) as u64)
}

fn timeout(draw: &mut Draw) -> Duration {
    Duration::from_nanos(150_000_000 + (draw.unit() * 150e6) as u64)
}

/// Timeouts that fire count as events too, here and below: about one in twenty.
fn resets_cossim(size: usize, events: u64) -> (f64, u64) {
    let mut engine = Engine::new(1, Network::fixed(Duration::from_millis(1)));
    let host = engine.add_host(HostSpec::default());
    let process = engine.add_process(host, "hearts", Hearts { entities: size as u32, draw: Draw(42) });
    engine.start(process, Time::ZERO);
    run(&mut engine, 10 * size as u64);
    (timed(|| run(&mut engine, events)), 0)
}

/// The usual way: every reset pushes, and a generation tells stale pops.
fn resets_tombstone<Q: Hold>(size: usize, events: u64) -> (f64, u64) {
    let (mut queue, mut draw, mut seq) = (Q::default(), Draw(42), 0);
    let mut latest = vec![u64::MAX; size];
    for entity in 0..size as u32 {
        queue.put(heartbeat(&mut draw).as_nanos(), seq, 2 * entity);
        seq += 1;
    }
    let mut beat = |count: u64| {
        let mut handled = 0;
        while handled < count {
            let (now, pushed, slot) = queue.get();
            let entity = slot as usize / 2;
            if slot % 2 == 1 {
                handled += u64::from(latest[entity] == pushed);
                continue;
            }
            handled += 1;
            queue.put(now + heartbeat(&mut draw).as_nanos(), seq, slot);
            queue.put(now + timeout(&mut draw).as_nanos(), seq + 1, slot + 1);
            latest[entity] = seq + 1;
            seq += 2;
        }
        count
    };
    beat(10 * size as u64);
    (timed(|| beat(events)), 0)
}
