//! Stories about the engine, told with a toy machine.

use std::fmt;
use std::ops::Range;

use crate::base::id::{HostId, Id as _, ProcessId};
use crate::base::machine::{Channel, Fx, Input, Kept, Machine, Message, Slot, Token};
use crate::base::rng::Rng;
use crate::base::time::{Duration, Time};
use crate::sim::digest::first_difference;
use crate::sim::disk::DiskProfile;
use crate::sim::engine::{Engine, HostSpec, Unobserved};
use crate::sim::fault::{Degrade, Direction, Rule, Selector, Verdict};
use crate::sim::network::Network;
use crate::sim::trace::Notable;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Msg {
    Call(u32),
    /// A call given up after ten seconds.
    Brief(u32),
    /// A call whose connection may take half a minute to open.
    Slow(u32),
    Packet(u32),
}

impl fmt::Display for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(n) => write!(f, "Call {n}"),
            Self::Brief(n) => write!(f, "Brief {n}"),
            Self::Slow(n) => write!(f, "Slow {n}"),
            Self::Packet(n) => write!(f, "Packet {n}"),
        }
    }
}

impl Message for Msg {
    fn channel(&self) -> Channel {
        match self {
            Self::Call(_) | Self::Brief(_) | Self::Slow(_) => Channel::Stream,
            Self::Packet(_) => Channel::Datagram,
        }
    }

    fn bytes(&self) -> u32 {
        100
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Brief(_) => Duration::from_secs(10),
            Self::Slow(_) => Duration::from_secs(60),
            Self::Call(_) | Self::Packet(_) => Duration::MAX,
        }
    }

    fn dial_patience(&self) -> Duration {
        Duration::from_secs(if let Self::Slow(_) = self { 30 } else { 10 })
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Call(n) | Self::Brief(n) | Self::Slow(n) => u64::from(*n) << 1,
            Self::Packet(n) => u64::from(*n) << 1 | 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alarm(u32);

impl Slot for Alarm {
    fn slot(self) -> usize {
        self.0 as usize
    }
}

/// What it saw; every second one is a milestone for the tests of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Saw(u32);

impl Notable for Saw {
    fn is_milestone(&self) -> bool {
        self.0 >= 100
    }
}

/// Writes down its inputs; forwards packets and calls numbered below `hops` to `next`.
#[derive(Debug, Clone, Default)]
pub(super) struct Diary {
    pub(super) lines: Vec<String>,
    lost: Vec<Token>,
    next: Option<ProcessId>,
    hops: u32,
    chatter: Option<(Duration, u32)>,
}

impl Machine for Diary {
    type Msg = Msg;
    type Timer = Alarm;
    type Event = Saw;

    fn handle(&mut self, now: Time, input: Input<Msg, Alarm>, fx: &mut impl Fx<Self>) {
        let ms = now.as_nanos() as f64 / 1e6;
        let what = match &input {
            Input::Start => "start".to_owned(),
            Input::Message { from, msg } => format!("{from} {msg}"),
            Input::Refused { to } => format!("refused {to}"),
            Input::Fired(timer) => format!("fired {}", timer.0),
            Input::Done(token) => format!("done {}", token.0),
        };
        self.lines.push(format!("{ms} {what}"));
        match input {
            Input::Start => {
                if let Some((interval, _)) = self.chatter {
                    fx.arm(Alarm(0), interval);
                }
            }
            Input::Message { msg: Msg::Packet(n) | Msg::Call(n) | Msg::Brief(n) | Msg::Slow(n), .. } => {
                fx.emit(Saw(n));
                if n < self.hops {
                    fx.send(self.next.expect("forwards"), Msg::Packet(n + 1));
                }
            }
            Input::Fired(timer) => {
                if let (Some((interval, count)), Some(next)) = (self.chatter, self.next) {
                    fx.send(next, Msg::Packet(count));
                    self.chatter = Some((interval, count + 1));
                    fx.arm(timer, interval);
                }
            }
            Input::Refused { .. } | Input::Done(_) => {}
        }
    }

    fn reboot(&mut self, _: Time, kept: &Kept) {
        self.lines.push("reboot".to_owned());
        self.lost.clone_from(&kept.lost);
    }
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Time {
    Time::ZERO + ms(n)
}

pub(super) const A: ProcessId = ProcessId(0);
pub(super) const B: ProcessId = ProcessId(1);

/// Processes a, b, … each on a host of its own, 10 ms apart, disks of 5 ms, started.
pub(super) fn world(count: usize) -> Engine<Diary> {
    let mut engine = Engine::new(7, Network::fixed(ms(10)));
    for index in 0..count {
        let disk = DiskProfile::fixed(ms(5));
        let host = engine.add_host(HostSpec { zone: index as u32, disk, ..HostSpec::default() });
        let name = ["a", "b", "c", "d"][index];
        let process = engine.add_process(host, name, Diary::default());
        engine.start(process, Time::ZERO);
    }
    run(&mut engine, 1);
    for index in 0..count {
        engine.process_mut(ProcessId::from_index(index)).lines.clear();
    }
    engine
}

pub(super) fn run(engine: &mut Engine<Diary>, until: u64) {
    engine.run_until(at(until), &mut Unobserved).expect("no livelock");
}

pub(super) fn act(engine: &mut Engine<Diary>, who: ProcessId, act: impl FnOnce(&mut dyn Act)) {
    engine.with(who, &mut Unobserved, |_, _, fx| act(fx)).expect("runs");
}

/// [`Fx`] without its generic parameters.
pub(super) trait Act {
    fn send(&mut self, to: ProcessId, msg: Msg);
    fn arm(&mut self, alarm: u32, delay: Duration);
    fn disarm(&mut self, alarm: u32);
    fn write(&mut self, token: u64);
    fn compute(&mut self, token: u64, cost: Duration);
}

impl<F: Fx<Diary>> Act for F {
    fn send(&mut self, to: ProcessId, msg: Msg) {
        Fx::send(self, to, msg);
    }
    fn arm(&mut self, alarm: u32, delay: Duration) {
        Fx::arm(self, Alarm(alarm), delay);
    }
    fn disarm(&mut self, alarm: u32) {
        Fx::disarm(self, Alarm(alarm));
    }
    fn write(&mut self, token: u64) {
        Fx::write(self, Token(token), 4_096);
    }
    fn compute(&mut self, token: u64, cost: Duration) {
        Fx::compute(self, Token(token), cost);
    }
}

#[track_caller]
pub(super) fn check(engine: &Engine<Diary>, who: ProcessId, expected: &[&str]) {
    assert_eq!(engine.process(who).lines, expected);
}

#[test]
fn timers_are_replaced_by_name_and_fire_in_the_order_armed() {
    let mut engine = world(1);
    act(&mut engine, A, |fx| {
        fx.arm(0, ms(10));
        fx.arm(1, ms(20));
        fx.arm(2, ms(20));
        fx.arm(3, ms(30));
        fx.arm(1, ms(20));
        fx.arm(0, ms(40));
        fx.arm(3, ms(5));
        fx.arm(4, ms(6));
        fx.disarm(4);
        fx.arm(5, ms(7));
        fx.disarm(5);
        fx.arm(5, ms(50));
    });
    run(&mut engine, 100);
    check(&engine, A, &["6 fired 3", "21 fired 2", "21 fired 1", "41 fired 0", "51 fired 5"]);
    assert_eq!(engine.pending(), 0);
}

#[test]
fn a_later_deadline_costs_no_queue_entry() {
    let mut engine = world(1);
    for step in 1..1_000 {
        act(&mut engine, A, |fx| fx.arm(0, ms(150)));
        run(&mut engine, 1 + step);
        assert_eq!(engine.pending(), 1);
    }
    check(&engine, A, &[]);
}

#[test]
fn a_dead_process_on_a_live_host_refuses_and_a_dead_host_is_silent() {
    let mut engine = world(3);
    let cause = engine.new_cause();
    engine.kill(B, cause);
    engine.crash_host(HostId(2), cause);
    act(&mut engine, A, |fx| {
        fx.send(B, Msg::Call(1));
        fx.send(B, Msg::Packet(2));
        fx.send(ProcessId(2), Msg::Call(3));
    });
    run(&mut engine, 5_000);
    check(&engine, A, &["21 refused p1"]);
}

#[test]
fn killing_resets_established_streams_only() {
    let mut engine = world(3);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    act(&mut engine, ProcessId(2), |fx| fx.send(B, Msg::Packet(1)));
    run(&mut engine, 50);
    let cause = engine.new_cause();
    assert!(engine.kill(B, cause) && !engine.kill(B, cause));
    run(&mut engine, 100);
    check(&engine, A, &["60 refused p1"]);
    check(&engine, ProcessId(2), &[]);
    assert!(engine.restart(B, cause));
    run(&mut engine, 101);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(2)));
    run(&mut engine, 200);
    check(&engine, B, &["11 p0 Call 1", "11 p2 Packet 1", "reboot", "100 start", "111 p0 Call 2"]);
}

#[test]
fn what_was_meant_for_an_earlier_life_is_refused_if_stream_and_delivered_if_datagram() {
    let mut engine = world(2);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    run(&mut engine, 50);
    let cause = engine.new_cause();
    engine.crash_host(HostId(1), cause);
    act(&mut engine, A, |fx| {
        fx.send(B, Msg::Call(2));
        fx.send(B, Msg::Call(3));
        fx.send(B, Msg::Packet(4));
    });
    run(&mut engine, 55);
    engine.boot_host(HostId(1), cause);
    run(&mut engine, 1_000);
    check(&engine, B, &["11 p0 Call 1", "reboot", "55 start", "60 p0 Packet 4"]);
    check(&engine, A, &["70 refused p1"]);
}

#[test]
fn a_stream_waits_for_a_partition_to_heal_and_keeps_its_order() {
    let mut engine = world(2);
    let rule = engine.add_rule(Rule::cut(Selector::Zone(0), Selector::Zone(1)));
    for n in 0..4 {
        act(&mut engine, A, |fx| {
            fx.send(B, Msg::Call(n));
            fx.send(B, Msg::Packet(n));
        });
        run(&mut engine, 100 * (u64::from(n) + 1));
    }
    run(&mut engine, 1_000);
    engine.remove_rule(rule);
    run(&mut engine, 2_000);
    // Sent at 1 ms; tried again after the 1 s of a connection that opens.
    check(&engine, B, &["1011 p0 Call 0", "1011 p0 Call 1", "1011 p0 Call 2", "1011 p0 Call 3"]);
}

/// A calls B over an established stream that is cut at 100 ms for two minutes: at 100 ms, and once after the end.
fn cut_for_two_minutes(first: Msg, again: Option<u64>) -> Engine<Diary> {
    let mut engine = world(2);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(0)));
    run(&mut engine, 100);
    let rule = engine.add_rule(Rule::cut(Selector::Zone(0), Selector::Zone(1)));
    act(&mut engine, A, |fx| fx.send(B, first));
    run(&mut engine, 120_100);
    engine.remove_rule(rule);
    if let Some(again) = again {
        run(&mut engine, again);
        act(&mut engine, A, |fx| fx.send(B, Msg::Call(2)));
    }
    run(&mut engine, 300_000);
    engine
}

#[test]
fn who_calls_after_a_partition_does_not_wait_for_the_connection_that_hangs() {
    let engine = cut_for_two_minutes(Msg::Call(1), None);
    // Tried last after 200 ms and its doubles, up to 102.4 s.
    check(&engine, B, &["11 p0 Call 0", "204710 p0 Call 1"]);
    let engine = cut_for_two_minutes(Msg::Call(1), Some(121_000));
    check(&engine, B, &["11 p0 Call 0", "121010 p0 Call 1", "121010 p0 Call 2"]);
}

#[test]
fn what_its_sender_has_given_up_does_not_arrive() {
    let engine = cut_for_two_minutes(Msg::Brief(1), Some(121_000));
    check(&engine, B, &["11 p0 Call 0", "121010 p0 Call 2"]);
}

#[test]
fn a_new_call_into_a_partition_is_tried_again_like_a_new_connection() {
    let mut engine = world(2);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(0)));
    run(&mut engine, 100);
    let rule = engine.add_rule(Rule::cut(Selector::Zone(0), Selector::Zone(1)));
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    run(&mut engine, 119_500);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(2)));
    run(&mut engine, 120_100);
    engine.remove_rule(rule);
    run(&mut engine, 300_000);
    check(&engine, B, &["11 p0 Call 0", "120510 p0 Call 1", "120510 p0 Call 2"]);
}

#[test]
fn an_attempt_to_connect_that_nobody_else_ends_fails_after_ten_seconds() {
    let mut engine = world(2);
    let rule = engine.add_rule(Rule {
        direction: Direction::OneWay,
        ..Rule::cut(Selector::Process(A), Selector::Not(Box::new(Selector::Zone(0))))
    });
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    act(&mut engine, B, |fx| fx.send(A, Msg::Packet(2)));
    run(&mut engine, 20_000);
    engine.remove_rule(rule);
    run(&mut engine, 200_000);
    check(&engine, B, &[]);
    check(&engine, A, &["11 p1 Packet 2", "10001.000001 refused p1"]);
    assert_eq!(engine.pending(), 0);
}

#[test]
fn who_has_a_timeout_of_its_own_is_not_told_of_a_failed_attempt() {
    let mut engine = world(2);
    let rule = engine.add_rule(Rule::cut(Selector::Zone(0), Selector::Zone(1)));
    act(&mut engine, A, |fx| fx.send(B, Msg::Brief(1)));
    run(&mut engine, 20_000);
    check(&engine, A, &[]);
    // A later call waits for its own ten seconds, and gets through.
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(2)));
    run(&mut engine, 22_000);
    engine.remove_rule(rule);
    run(&mut engine, 60_000);
    check(&engine, A, &[]);
    check(&engine, B, &["23010 p0 Call 2"]);
}

#[test]
fn streams_keep_order_on_a_bad_link_and_datagrams_do_not() {
    let mut engine = world(2);
    let bad = Degrade { jitter: ms(50), loss: 0.2, duplicate: 0.1, reorder: 0.2, ..Degrade::NONE };
    engine.add_rule(Rule::degrade(Selector::Any, Selector::Any, bad));
    for n in 0..500 {
        act(&mut engine, A, |fx| {
            fx.send(B, Msg::Call(n));
            fx.send(B, Msg::Packet(n));
        });
        run(&mut engine, u64::from(n) + 2);
    }
    run(&mut engine, 1_000_000);
    let seen = |kind: &str| -> Vec<u32> {
        let lines = engine.process(B).lines.iter().filter(|line| line.contains(kind));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    assert_eq!(seen("Call"), (0..500).collect::<Vec<_>>());
    let packets = seen("Packet");
    assert!(!packets.is_sorted() && (400..480).contains(&packets.len()), "{}", packets.len());
}

#[test]
fn rules_can_set_the_delay_of_a_message() {
    let mut engine = world(2);
    engine.add_rule(Rule {
        from: Selector::hosts([HostId(0)]),
        to: Selector::processes(vec![B]),
        direction: Direction::OneWay,
        channel: Some(Channel::Datagram),
        verdict: Verdict::Deliver(ms(3)),
    });
    act(&mut engine, A, |fx| {
        fx.send(B, Msg::Call(1));
        fx.send(B, Msg::Packet(2));
    });
    run(&mut engine, 100);
    check(&engine, B, &["4 p0 Packet 2", "11 p0 Call 1"]);
}

#[test]
fn a_paused_process_gets_everything_late_and_in_order() {
    let mut engine = world(2);
    act(&mut engine, B, |fx| {
        fx.arm(0, ms(5));
        fx.arm(1, ms(15));
        fx.arm(2, ms(500));
        fx.write(9);
    });
    act(&mut engine, A, |fx| {
        fx.send(B, Msg::Call(1));
        fx.send(B, Msg::Packet(2));
    });
    assert!(engine.pause(B) && !engine.pause(B));
    assert!(engine.with(B, &mut Unobserved, |_, _, _| ()).is_none());
    run(&mut engine, 100);
    check(&engine, B, &[]);
    assert!(engine.resume(B) && !engine.resume(B));
    run(&mut engine, 1_000);
    let expected = ["100 fired 0", "100 done 9", "100 p0 Call 1", "100 p0 Packet 2", "100 fired 1", "501 fired 2"];
    check(&engine, B, &expected);
}

#[test]
fn writes_are_serial_and_a_crash_loses_a_suffix_of_the_unfinished() {
    let mut survivors = Vec::new();
    for seed in 0..40 {
        let mut engine = Engine::new(seed, Network::fixed(ms(10)));
        let host = engine.add_host(HostSpec { disk: DiskProfile::fixed(ms(5)), ..HostSpec::default() });
        let a = engine.add_process(host, "a", Diary::default());
        engine.start(a, Time::ZERO);
        run(&mut engine, 1);
        act(&mut engine, a, |fx| (0..4).for_each(|token| fx.write(token)));
        run(&mut engine, 12);
        let cause = engine.new_cause();
        engine.crash_host(host, cause);
        assert!(!engine.restart(a, cause));
        engine.boot_host(host, cause);
        run(&mut engine, 100);
        check(&engine, a, &["0 start", "6 done 0", "11 done 1", "reboot", "12 start"]);
        let lost = &engine.process(a).lost;
        assert!(lost.is_empty() || *lost == [Token(3)] || *lost == [Token(2), Token(3)], "{lost:?}");
        survivors.push(2 - lost.len());
    }
    survivors.sort_unstable();
    survivors.dedup();
    assert_eq!(survivors, [0, 1, 2]);
}

#[test]
fn slow_disks_stalled_disks_and_slow_processors() {
    let mut engine = world(1);
    engine.slow_disk(HostId(0), 4.0);
    engine.slow_cpu(HostId(0), 2.0);
    act(&mut engine, A, |fx| {
        fx.write(1);
        fx.compute(2, ms(3));
        fx.compute(3, ms(3));
    });
    run(&mut engine, 30);
    engine.slow_disk(HostId(0), 1.0);
    act(&mut engine, A, |fx| {
        fx.write(4);
        fx.write(5);
    });
    run(&mut engine, 31);
    engine.stall_disk(HostId(0), at(50));
    run(&mut engine, 49);
    act(&mut engine, A, |fx| fx.write(6));
    run(&mut engine, 100);
    let expected = ["7 done 2", "13 done 3", "21 done 1", "50 done 4", "50 done 5", "55 done 6"];
    check(&engine, A, &expected);
}

#[test]
fn causes_lead_back_to_the_fault() {
    let mut engine = world(2);
    engine.process_mut(A).next = Some(B);
    engine.process_mut(A).hops = 101;
    engine.process_mut(B).next = Some(A);
    engine.process_mut(B).hops = 101;
    let fault = engine.new_cause();
    let mut seen = Vec::new();
    engine.with_cause(A, fault, &mut Unobserved, |_, _, fx| Fx::send(fx, B, Msg::Packet(99)));
    engine
        .run_until(at(1_000), &mut |_, process, cause, event: &Saw| seen.push((process, cause, event.0)))
        .expect("no livelock");
    let (_, last, _) = *seen.last().expect("something happened");
    let chain: Vec<_> = engine.causes().chain(last).map(|(_, m)| (m.at.since(Time::ZERO), m.process)).collect();
    let (b, a) = (Some(B), Some(A));
    assert_eq!(seen.iter().map(|(_, _, n)| *n).collect::<Vec<_>>(), [99, 100, 101]);
    assert_eq!(seen[0].1, fault);
    assert_eq!(chain, [(ms(31), b), (ms(21), a), (ms(1), None), (Duration::ZERO, None)]);
}

/// Runs processes `m0` … that chatter at the same instants with one collector, and some that have nothing to do with
/// them; returns what the collector saw, without process numbers.
fn collected(unrelated: Range<u32>, network: Network) -> Vec<String> {
    let mut engine = Engine::new(3, network);
    let mut add = |name: &str, machine: Diary| {
        let host = engine.add_host(HostSpec::default());
        let process = engine.add_process(host, name, machine);
        engine.start(process, Time::ZERO);
        process
    };
    let noise = add("noise", Diary::default());
    let chatter = |next, count| Diary { next: Some(next), chatter: Some((ms(5), count)), ..Diary::default() };
    for n in unrelated {
        add(&format!("x{n}"), chatter(noise, n));
    }
    let collector = add("collector", Diary::default());
    for n in 0..20 {
        add(&format!("m{n}"), chatter(collector, n * 1_000));
    }
    run(&mut engine, 500);
    let lines = engine.process(collector).lines.iter();
    lines.map(|line| line.split(' ').filter(|word| !word.starts_with('p')).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn unrelated_events_reorder_nothing_and_shift_no_draw() {
    for network in [Network::fixed(ms(10)), Network::cloud()] {
        let alone = collected(0..0, network.clone());
        assert!(alone.len() > 1_900);
        assert_eq!(alone, collected(0..1, network.clone()));
        assert_eq!(alone, collected(5..50, network));
    }
}

#[test]
fn the_seed_decides_who_is_first_among_equals() {
    let mut firsts = Vec::new();
    for seed in 0..30 {
        let mut engine = Engine::new(seed, Network::fixed(ms(1)));
        let host = engine.add_host(HostSpec::default());
        let all: Vec<_> = (0..3).map(|n| engine.add_process(host, &format!("server-{n}"), Diary::default())).collect();
        for process in &all {
            engine.start(*process, Time::ZERO);
        }
        engine.trace(0..1);
        run(&mut engine, 1);
        firsts.push(engine.trace_lines()[0].clone());
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 3);
}

/// A random world with faults, driven by its own draws.
fn stormy(seed: u64, odd: Option<u64>) -> Engine<Diary> {
    let mut engine = Engine::new(1, Network::cloud());
    let count = 12;
    for n in 0..count {
        let host = engine.add_host(HostSpec { zone: n % 3, region: n % 2, ..HostSpec::default() });
        let next = Some(ProcessId((n + 1) % count));
        let machine = Diary { next, hops: u32::MAX, chatter: Some((ms(u64::from(n) + 3), 0)), ..Diary::default() };
        let process = engine.add_process(host, &format!("p{n}"), machine);
        engine.start(process, Time::ZERO);
    }
    let mut rng = Rng::stream(seed, "storm");
    for step in 0..600 {
        let who = ProcessId(rng.below(u64::from(count)) as u32);
        let host = HostId(who.0);
        let cause = engine.new_cause();
        match rng.below(8) {
            0 => _ = engine.kill(who, cause),
            1 | 2 => _ = engine.restart(who, cause),
            3 => _ = engine.pause(who),
            4 => _ = engine.resume(who),
            5 => _ = engine.crash_host(host, cause),
            6 => _ = engine.boot_host(host, cause),
            _ => {
                _ = engine.with(who, &mut Unobserved, |_, _, fx| {
                    (0..5).for_each(|n| Fx::send(fx, ProcessId(n), Msg::Call(n)));
                    (0..3).for_each(|n| Fx::write(fx, Token(n), 100));
                });
            }
        }
        if odd == Some(step) {
            let alive = (0..count).map(ProcessId).find(|p| engine.is_running(*p) && !engine.is_paused(*p));
            let alive = alive.expect("some process runs");
            _ = engine.with(alive, &mut Unobserved, |_, _, fx| Fx::send(fx, alive, Msg::Packet(u32::MAX)));
        }
        run(&mut engine, step * 20);
    }
    engine
}

#[test]
fn the_same_calls_give_the_same_digest_and_a_clone_goes_on_alike() {
    let (a, b, c) = (stormy(1, None), stormy(1, None), stormy(2, None));
    assert!(a.events() > 10_000);
    assert_eq!((a.events(), a.digest()), (b.events(), b.digest()));
    assert_ne!(a.digest(), c.digest());
    let (mut left, mut right) = (a.clone(), a);
    run(&mut left, 10_000);
    run(&mut right, 10_000);
    assert_eq!((left.events(), left.digest()), (right.events(), right.digest()));
}

#[test]
fn two_runs_are_bisected_to_the_first_event_that_differs() {
    let (a, b) = (stormy(1, None), stormy(1, Some(580)));
    let interval = first_difference(a.checkpoints(), b.checkpoints()).expect("they differ");
    assert!(interval.start > 5_000, "{interval:?}");
    let lines = |odd| {
        let mut engine = Engine::new(1, Network::fixed(ms(1)));
        let host = engine.add_host(HostSpec::default());
        let a = engine.add_process(host, "a", Diary::default());
        engine.start(a, Time::ZERO);
        engine.trace(1..3);
        run(&mut engine, 1);
        act(&mut engine, a, |fx| (0..5).for_each(|n| fx.send(a, Msg::Packet(if n == 1 { odd } else { n }))));
        assert!(engine.run_to_event(3, at(10), &mut Unobserved).expect("no livelock"));
        engine.trace_lines().to_vec()
    };
    assert_eq!(lines(7), ["#1 2000000 ns a <- a: Packet 0", "#2 2000000 ns a <- a: Packet 7"]);
}

/// Arms an alarm for now, for ever.
#[derive(Debug, Clone)]
struct Spin;

impl Machine for Spin {
    type Msg = Msg;
    type Timer = Alarm;
    type Event = ();

    fn handle(&mut self, _: Time, _: Input<Msg, Alarm>, fx: &mut impl Fx<Self>) {
        fx.arm(Alarm(3), Duration::ZERO);
    }

    fn reboot(&mut self, _: Time, _: &Kept) {}
}

#[test]
fn a_loop_without_time_is_an_error_that_names_its_process() {
    let mut engine = Engine::new(1, Network::fixed(ms(1)));
    let host = engine.add_host(HostSpec::default());
    let spin = engine.add_process(host, "spinner", Spin);
    engine.start(spin, at(5));
    let error = engine.run_until(at(10), &mut Unobserved).expect_err("it loops");
    assert_eq!((error.at, error.process, error.name.as_str()), (at(5), spin, "spinner"));
}

#[test]
fn bandwidth_makes_messages_queue_at_the_sender() {
    let mut engine = Engine::new(1, Network::fixed(ms(10)));
    let slow = HostSpec { egress: Some(crate::base::units::BitsPerSecond(1_000_000)), ..HostSpec::default() };
    let (x, y) = (engine.add_host(slow), engine.add_host(HostSpec::default()));
    let a = engine.add_process(x, "a", Diary::default());
    let b = engine.add_process(y, "b", Diary::default());
    engine.start(a, Time::ZERO);
    engine.start(b, Time::ZERO);
    run(&mut engine, 1);
    act(&mut engine, a, |fx| (0..3).for_each(|n| fx.send(b, Msg::Packet(n))));
    run(&mut engine, 100);
    check(&engine, b, &["0 start", "11.8 p0 Packet 0", "12.6 p0 Packet 1", "13.4 p0 Packet 2"]);
}
