//! What Lifeguard is for (Dadgar, Phillips, Currey 2018): members whose messages are held up accuse healthy ones, and
//! plain SWIM believes them.
//!
//! As in the paper, some members are cut off from sending and receiving for a while, over and over, while their clocks
//! go on; alpha is 5, beta 6, K 3. Plain SWIM is memberlist with a fixed awareness of 0, suspicions that always last
//! the shortest time, and suspects that are not told.

use std::collections::BTreeSet;

use super::*;

/// Counts who is held for dead.
#[derive(Default)]
struct Accusations {
    anomalous: BTreeSet<ProcessId>,
    killed: BTreeSet<ProcessId>,
    /// The last one killed.
    victim: Option<ProcessId>,
    /// Healthy members that somebody held for dead.
    false_deaths: u32,
    /// When a healthy member first knew.
    detected: Option<Time>,
}

impl React<Swim> for Accusations {
    fn react(&mut self, now: Time, me: ProcessId, event: swim::Event, _: &mut Swim, _: &mut Effects<'_, Swim>) {
        let swim::Event::Changed { address, after: State::Dead, .. } = event else { return };
        if Some(address) == self.victim && !self.anomalous.contains(&me) {
            self.detected.get_or_insert(now);
        }
        let is_healthy = !self.killed.contains(&address) && !self.anomalous.contains(&address);
        self.false_deaths += u32::from(is_healthy);
    }
}

/// One point of the sweep.
#[derive(Clone, Copy)]
struct Anomaly {
    /// How long members are blocked; half a second passes in between.
    lasts: Duration,
    /// How many at once.
    members: u32,
}

/// False deaths, and seconds until each death was noticed, ascending.
fn suffer(config: &Config, anomaly: Anomaly, deaths: u32) -> (u32, Vec<f64>) {
    let config = Arc::new(config.clone());
    let processes = || (0..MEMBERS).map(ProcessId);
    let pool = Pool::established(directory(MEMBERS as usize), processes(), 0).unwrap();
    let anomalous: BTreeSet<ProcessId> = processes().take(anomaly.members as usize).collect();
    let react = Accusations { anomalous: anomalous.clone(), ..Accusations::default() };
    let delay = |_, _| Duration::from_micros(250);
    let mut driver = Driver::new(react, 0.0, Rng::stream(5, "lifeguard network"), delay);
    for process in processes() {
        driver.add(process, Cluster::agent(&config, &pool, process, "lifeguard"));
    }
    driver.run_for(Duration::from_secs(10), |_| false);
    let mut took = Vec::new();
    let end = driver.now() + SPAN;
    while driver.now() < end {
        anomalous.iter().for_each(|process| driver.block(*process));
        driver.run_for(anomaly.lasts, |_| false);
        driver.unblock_all();
        driver.run_for(Duration::from_millis(500), |_| false);
    }
    for victim in processes().rev().take(deaths as usize) {
        driver.react.killed.insert(victim);
        (driver.react.victim, driver.react.detected) = (Some(victim), None);
        driver.kill(victim);
        let start = driver.now();
        while driver.react.detected.is_none() {
            assert!(driver.now().since(start) < Duration::from_mins(5), "{victim} is never missed");
            anomalous.iter().for_each(|process| driver.block(*process));
            driver.run_for(anomaly.lasts, |watch| watch.detected.is_some());
            driver.unblock_all();
            driver.run_for(Duration::from_millis(500), |watch| watch.detected.is_some());
        }
        took.extend(driver.react.detected.map(|at| at.since(start).as_millis_f64() / 1_000.0));
    }
    took.sort_by(f64::total_cmp);
    (driver.react.false_deaths, took)
}

const MEMBERS: u32 = 128;
const SPAN: Duration = Duration::from_mins(2);

#[test]
fn lifeguard_spares_the_healthy_and_detects_deaths_as_fast_as_swim() {
    let full = Config { suspicion_mult: 5, suspicion_max_mult: 6, ..Config::lan() };
    let plain = Config { awareness_max: 1, suspicion_max_mult: 1, suspect_pings: false, ..full.clone() };
    let mut false_deaths = (0, 0);
    for (seconds, members) in [(2, 8), (16, 8), (32, 16)] {
        let anomaly = Anomaly { lasts: Duration::from_secs(seconds), members };
        let deaths = if seconds == 2 { 11 } else { 0 };
        let ((swim, slow), (lifeguard, fast)) = (suffer(&plain, anomaly, deaths), suffer(&full, anomaly, deaths));
        eprintln!("{members} members for {seconds} s: {swim} and {lifeguard} false deaths, {slow:?} and {fast:?} s");
        false_deaths = (false_deaths.0 + swim, false_deaths.1 + lifeguard);
        if let (Some(plain), Some(full)) = (slow.get(slow.len() / 2), fast.get(fast.len() / 2)) {
            assert!((full / plain - 1.0).abs() <= 0.15, "detection after {full} s instead of {plain} s");
        }
    }
    let (swim, lifeguard) = false_deaths;
    assert!(swim > 100 && lifeguard * 50 <= swim, "{lifeguard} false deaths with Lifeguard, {swim} without");
}
