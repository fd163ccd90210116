//! How long things take to begin: connections to open, processes to start again.

use crate::base::id::{HostId, ProcessId};
use crate::base::time::{Duration, Time};
use crate::sim::fault::{Degrade, Rule, Selector};
use crate::sim::tests::{A, B, Msg, act, check, ms, run, world};

#[test]
fn an_attempt_to_connect_lasts_as_long_as_its_message_says() {
    let mut engine = world(2);
    engine.add_rule(Rule::cut(Selector::Zone(0), Selector::Zone(1)));
    act(&mut engine, A, |fx| fx.send(B, Msg::Slow(1)));
    run(&mut engine, 60_000);
    check(&engine, A, &["30001.000001 refused p1"]);
    assert_eq!(engine.pending(), 0);
}

#[test]
fn processes_that_come_back_together_start_apart_each_by_its_own_draw() {
    let starts = |spread: Duration| {
        let mut engine = world(3);
        let mut starts = Vec::new();
        for life in 1..=2 {
            for host in [HostId(0), HostId(1)] {
                engine.spread_boots(ProcessId(host.0), spread);
                let cause = engine.new_cause();
                engine.crash_host(host, cause);
                engine.boot_host(host, cause);
            }
            assert!(!engine.is_running(A));
            run(&mut engine, 2_000 * life);
            assert!(engine.is_running(A));
        }
        for process in [A, B] {
            let lines = &engine.process(process).lines;
            let at = lines.iter().filter_map(|line| line.strip_suffix(" start"));
            starts.extend(at.map(|at| at.parse::<f64>().expect("a number")));
        }
        starts
    };
    let ours = starts(ms(1_000));
    assert_eq!(ours, starts(ms(1_000)), "the same draws");
    let [a1, a2, b1, b2] = ours[..] else { panic!("two lives each: {ours:?}") };
    assert!((1.0..1_001.0).contains(&a1) && (2_000.0..3_000.0).contains(&a2), "{ours:?}");
    assert!((a1 - b1).abs() > 1.0 && (a2 - b2).abs() > 1.0 && (a2 - a1 - 1_999.0).abs() > 1.0, "{ours:?}");
    assert_eq!(starts(Duration::ZERO), [1.0, 2_000.0, 1.0, 2_000.0], "by default at once");
}

#[test]
fn a_process_paused_before_it_starts_starts_when_it_goes_on() {
    let mut engine = world(2);
    let cause = engine.new_cause();
    engine.spread_boots(B, ms(10));
    assert!(engine.kill(B, cause) && !engine.pause(B), "what is dead cannot be paused");
    assert!(engine.restart(B, cause) && engine.pause(B));
    act(&mut engine, A, |fx| fx.send(B, Msg::Packet(2)));
    run(&mut engine, 100);
    assert!(!engine.is_running(B) && engine.resume(B));
    run(&mut engine, 101);
    assert!(engine.is_running(B));
    check(&engine, B, &["reboot", "100 start"]);
}

#[test]
fn what_is_sent_again_after_a_bad_link_has_healed_gets_through() {
    let mut engine = world(2);
    let how = Degrade { loss: 0.999, until: Time::ZERO + ms(5_000), ..Degrade::NONE };
    let rule = engine.add_rule(Rule::degrade(Selector::Any, Selector::Any, how));
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    run(&mut engine, 5_000);
    engine.remove_rule(rule);
    run(&mut engine, 60_000);
    // Tried last 200 + 400 + 800 + 1 600 + 3 200 ms after the first time.
    check(&engine, B, &["6211 p0 Call 1"]);
}

/// Whoever waits for an answer of the earlier life is not kept waiting by the new one.
#[test]
fn the_new_life_of_a_lost_host_ends_the_connections_of_the_old_one() {
    let mut engine = world(2);
    act(&mut engine, A, |fx| fx.send(B, Msg::Call(1)));
    run(&mut engine, 100);
    let cause = engine.new_cause();
    assert!(engine.crash_host(HostId(1), cause) && engine.boot_host(HostId(1), cause));
    run(&mut engine, 200);
    check(&engine, A, &[]);
    act(&mut engine, B, |fx| fx.send(A, Msg::Call(2)));
    run(&mut engine, 300);
    check(&engine, A, &["210 refused p1", "210 p1 Call 2"]);
}
