//! Recordings of gossip: memberlist 0.6.0 and Serf, measured with the real libraries, against the same experiments run
//! through our machines.
//!
//! The experiments: broadcasts from random members, the death of a random member, a replacement that joins, in turns in
//! one cluster; user events, queries and graceful leaves for Serf. One-way delay 0.25 ms, 40 ms between the three sites
//! of a WAN; loss hits datagrams only; every member has its own ticker phase.
//!
//! The gate: two-sample Kolmogorov-Smirnov at 1 % with Holm's correction over all quantities of all files; the median
//! within 5 % and the 90th percentile within 10 % of the recorded one, or inside its 95 % interval, which comes from
//! resampling clusters: two recordings of `ml-wan-n9-loss0` have medians of 403 and 322 ms for the same join.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use cossim::base::id::ProcessId;
use cossim::base::machine::{Channel, Fx, Input, Machine};
use cossim::base::rng::Rng;
use cossim::base::time::{Duration, Time};
use cossim::measure::invariant::gossip::{Fact, IncarnationNeverGoesBack, NotDeadForEver, Observation};
use cossim::protocol::gossip::config::{Config, SerfConfig};
use cossim::protocol::gossip::intent::Status;
use cossim::protocol::gossip::lamport::LTime;
use cossim::protocol::gossip::members::{Directory, Pool, State};
use cossim::protocol::gossip::message::{Msg, Rumour, UserEvent};
use cossim::protocol::gossip::serf::{self, Serf};
use cossim::protocol::gossip::swim::{self, Lane, Purpose, Swim};

use self::driver::{Driver, Effects, React};

mod driver;
mod judge;
mod lifeguard;

use self::judge::{Judge, Samples};

/// One recorded set: its settings and, by kind of trial, its rows.
struct Recording {
    name: String,
    wan: bool,
    nodes: usize,
    loss: f64,
    tcp_pings: bool,
    /// Deaths per cluster.
    rounds: usize,
    samples: Samples,
}

/// The recordings whose file name starts so, here and in `COSSIM_GOLDEN_DIR`.
fn files(prefix: &str) -> Vec<PathBuf> {
    let mut dirs = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/raft-serf")];
    if let Some(dir) = std::env::var_os("COSSIM_GOLDEN_DIR") {
        dirs.push(PathBuf::from(dir).join("raft-serf"));
    }
    let mut found = Vec::new();
    for dir in dirs {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("cannot read {}: {e}", dir.display()));
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        found.extend(names.into_iter().filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(".csv")
        }));
    }
    found
}

fn read(path: &Path, columns: &[(&str, &[&str])]) -> Recording {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(path).unwrap();
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|h| h == name);
    let mut recording = Recording {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        wan: false,
        nodes: 0,
        loss: 0.0,
        tcp_pings: true,
        rounds: 1,
        samples: Samples::default(),
    };
    for row in reader.records() {
        let row = row.unwrap();
        let text = |name: &str| column(name).and_then(|i| row.get(i)).unwrap_or_default();
        recording.wan = text("config") == "wan";
        recording.nodes = text("n").parse().unwrap();
        recording.loss = text("loss").parse().unwrap();
        recording.tcp_pings = text("tcp_pings") != "false";
        recording.rounds = recording.rounds.max(text("trial").parse::<usize>().unwrap() + 1);
        let kind = text("kind");
        let cluster = text("cluster").parse().unwrap_or(usize::MAX);
        for (_, names) in columns.iter().filter(|(of, _)| *of == kind) {
            for name in *names {
                let value: f64 = text(name).parse().unwrap();
                let value = if value < 0.0 { f64::INFINITY } else { value };
                recording.samples.add_in(cluster, kind, name, value);
            }
        }
    }
    recording
}

/// What is judged of the memberlist sets. The first observer of a join is the contacted member, after four messages:
/// that
/// measures the host's timers, not the protocol.
const SWIM_COLUMNS: [(&str, &[&str]); 3] = [
    ("broadcast", &["p50_ms", "p90_ms", "all_ms"]),
    ("dead", &["first_suspect_ms", "first_ms", "p50_ms", "all_ms"]),
    ("join", &["p50_ms", "all_ms"]),
];
const SERF_COLUMNS: [(&str, &[&str]); 3] = [
    ("user_event_incl_origin", &["p50_ms", "p90_ms", "all_ms"]),
    ("query", &["p50_ms", "all_ms", "query_last_response_ms"]),
    ("graceful_leave", &["first_ms", "p50_ms", "all_ms", "call_ms"]),
];

/// Site of each process, for the delay between them.
fn one_way(sites: &[u8], from: ProcessId, to: ProcessId) -> Duration {
    if sites[from.0 as usize] == sites[to.0 as usize] { Duration::from_micros(250) } else { Duration::from_millis(40) }
}

/// When each process first saw what the experiment is about.
#[derive(Default)]
struct Watch {
    /// Number of the user broadcast.
    broadcast: u64,
    /// The member that dies, joins or leaves.
    subject: Option<ProcessId>,
    want: Option<State>,
    seen: BTreeMap<ProcessId, Time>,
    first_suspect: Option<Time>,
    confirmations: Vec<u32>,
    false_suspicions: u32,
    false_deaths: u32,
    probes_failed: u32,
}

impl React<Swim> for Watch {
    fn react(&mut self, now: Time, me: ProcessId, event: swim::Event, swim: &mut Swim, fx: &mut Effects<'_, Swim>) {
        match event {
            swim::Event::Heard(rumour) => {
                let Rumour::User(ref user) = rumour else { panic!("only user rumours travel here") };
                if user.ltime.0 == self.broadcast && !self.seen.contains_key(&me) {
                    self.seen.insert(me, now);
                    swim.broadcast(now, Lane::Events, rumour, None, fx);
                }
            }
            swim::Event::ProbeFailed { target } => {
                if Some(target) == self.subject && self.want == Some(State::Dead) {
                    self.first_suspect.get_or_insert(now);
                } else {
                    self.probes_failed += 1;
                }
            }
            swim::Event::Expired { target, confirmations } if Some(target) == self.subject => {
                self.confirmations.push(confirmations);
            }
            swim::Event::Changed { address, after, before, .. } => {
                if Some(address) == self.subject && Some(after) == self.want && me != address {
                    self.seen.entry(me).or_insert(now);
                } else if after == State::Suspect && before == State::Alive && self.want.is_none() {
                    self.false_suspicions += 1;
                } else if after == State::Dead && self.want.is_none() {
                    self.false_deaths += 1;
                }
            }
            swim::Event::Updated { .. }
            | swim::Event::Purged { .. }
            | swim::Event::ProbeRescued { .. }
            | swim::Event::Answered { .. }
            | swim::Event::Expired { .. }
            | swim::Event::Refuted { .. }
            | swim::Event::Merged { .. }
            | swim::Event::Exchanged { .. }
            | swim::Event::Spent(_) => {}
        }
    }
}

/// The value at this share of `expected` observers, in milliseconds since `start`; infinite if fewer saw it.
fn at_share(seen: &BTreeMap<ProcessId, Time>, start: Time, expected: usize, share: f64) -> f64 {
    let mut times: Vec<Time> = seen.values().copied().collect();
    times.sort();
    let rank = ((expected as f64 * share).ceil() as usize).max(1) - 1;
    times.get(rank).map_or(f64::INFINITY, |at| at.since(start).as_millis_f64())
}

fn directory(count: usize) -> Arc<Directory> {
    Arc::new(Directory::new((0..count as u32).map(|i| (ProcessId(i), format!("node-{i}")))).unwrap())
}

/// One simulated cluster of plain memberlist agents.
struct Cluster {
    driver: Driver<Swim, Watch>,
    config: Arc<Config>,
    pool: Pool,
    rng: Rng,
    live: Vec<ProcessId>,
    next: u32,
    broadcasts: u64,
    /// Suspicions that ran out, and those of them with fewer confirmations than wanted.
    expiries: (usize, usize),
    seed: String,
}

impl Cluster {
    fn new(set: &Recording, number: usize) -> Self {
        let seed = format!("{} {number}", set.name);
        let mut rng = Rng::stream(20_240_101, &seed);
        let capacity = set.nodes + set.rounds;
        let sites: Vec<u8> = (0..capacity).map(|_| if set.wan { rng.below(3) as u8 } else { 0 }).collect();
        let base = if set.wan { Config::wan() } else { Config::lan() };
        let config = Arc::new(Config { tcp_pings: set.tcp_pings, ..base });
        let live: Vec<ProcessId> = (0..set.nodes as u32).map(ProcessId).collect();
        let pool = Pool::established(directory(capacity), live.iter().copied(), 0).unwrap();
        let network_rng = Rng::stream(20_240_101, &format!("{seed} network"));
        let mut driver = Driver::new(Watch::default(), set.loss, network_rng, move |a, b| one_way(&sites, a, b));
        for &process in &live {
            driver.add(process, Self::agent(&config, &pool, process, &seed));
        }
        let next = set.nodes as u32;
        let mut cluster = Self { driver, config, pool, rng, live, next, broadcasts: 0, expiries: (0, 0), seed };
        cluster.pause(2_000, 7_000);
        cluster
    }

    fn agent(config: &Arc<Config>, pool: &Pool, process: ProcessId, seed: &str) -> Swim {
        Swim::new(config.clone(), pool, process, Rng::stream(1, &format!("{seed} {process}"))).unwrap()
    }

    fn pause(&mut self, from_ms: u64, to_ms: u64) {
        let wait = self.rng.span(Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        self.driver.run_for(wait, |_| false);
    }

    /// Up to a probe interval passes, so that no step falls on the tick that ended the last one.
    fn settle(&mut self) {
        self.watch(Watch::default());
        self.pause(0, self.config.probe_interval.as_millis());
    }

    fn watch(&mut self, watch: Watch) {
        self.driver.react = watch;
    }

    fn broadcast(&mut self, out: &mut Samples, window: Duration) {
        self.broadcasts += 1;
        // The recording's queue counted the live members only (`NumMembers`).
        let audience = self.live.len();
        self.driver.each(|swim| swim.set_audience(audience));
        let origin = *self.rng.pick(&self.live).unwrap();
        let seen = BTreeMap::from([(origin, Time::ZERO)]);
        self.watch(Watch { broadcast: self.broadcasts, seen, ..Watch::default() });
        let event = UserEvent { ltime: LTime(self.broadcasts), name: "".into(), payload: vec![0; 64].into() };
        let start = self.driver.now();
        self.driver.call(origin, |swim, now, fx| {
            swim.broadcast(now, Lane::Events, Rumour::User(Arc::new(event)), None, fx);
        });
        let expected = self.live.len() - 1;
        self.driver.run_for(window, |watch| watch.seen.len() > expected);
        let mut seen = self.driver.react.seen.clone();
        seen.remove(&origin);
        for (name, share) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("all_ms", 1.0)] {
            out.add("broadcast", name, at_share(&seen, start, expected, share));
        }
    }

    fn death(&mut self, out: &mut Samples, wanted: u32) {
        let victim = self.live.swap_remove(self.rng.below(self.live.len() as u64) as usize);
        self.watch(Watch { subject: Some(victim), want: Some(State::Dead), ..Watch::default() });
        let start = self.driver.now();
        self.driver.kill(victim);
        let expected = self.live.len();
        self.driver.run_for(Duration::from_secs(180), |watch| watch.seen.len() >= expected);
        let watch = &self.driver.react;
        let suspect = watch.first_suspect.map_or(f64::INFINITY, |at| at.since(start).as_millis_f64());
        out.add("dead", "first_suspect_ms", suspect);
        for (name, share) in [("first_ms", 0.0), ("p50_ms", 0.5), ("all_ms", 1.0)] {
            out.add("dead", name, at_share(&watch.seen, start, expected, share));
        }
        let (total, short) = &mut self.expiries;
        *total += watch.confirmations.len();
        *short += watch.confirmations.iter().filter(|&&c| c < wanted).count();
    }

    fn join(&mut self, out: &mut Samples) {
        let newcomer = ProcessId(self.next);
        self.next += 1;
        let contact = *self.rng.pick(&self.live).unwrap();
        self.watch(Watch { subject: Some(newcomer), want: Some(State::Alive), ..Watch::default() });
        let start = self.driver.now();
        let agent = Self::agent(&self.config, &self.pool, newcomer, &self.seed);
        self.driver.add(newcomer, agent);
        self.driver.call(newcomer, |swim, now, fx| swim.exchange(now, contact, Purpose::Join, fx));
        let expected = self.live.len();
        self.driver.run_for(Duration::from_secs(60), |watch| watch.seen.len() >= expected);
        for (name, share) in [("p50_ms", 0.5), ("all_ms", 1.0)] {
            out.add("join", name, at_share(&self.driver.react.seen, start, expected, share));
        }
        self.live.push(newcomer);
    }
}

fn simulate_swim(set: &Recording) -> Samples {
    let trials = if set.nodes >= 50 { 1_000 } else { 2_000 };
    let mut out = Samples::default();
    let window = Duration::from_secs(if set.wan { 16 } else { 8 });
    let wanted = if set.wan { 4 } else { 2 };
    let mut expiries = (0, 0);
    for number in 0..=trials / set.rounds {
        let mut cluster = Cluster::new(set, number);
        for _ in 0..set.rounds {
            for _ in 0..2 {
                cluster.settle();
                cluster.broadcast(&mut out, window);
            }
            cluster.settle();
            cluster.death(&mut out, wanted);
            cluster.settle();
            cluster.join(&mut out);
        }
        expiries = (expiries.0 + cluster.expiries.0, expiries.1 + cluster.expiries.1);
    }
    // Recorded: always as many as wanted. A confirmation arriving in the last moments can still be missed.
    assert!(expiries.1 * 200 < expiries.0 || !set.tcp_pings, "{}: {expiries:?} unconfirmed", set.name);
    out
}

/// Watches Serf agents.
#[derive(Default)]
struct SerfWatch {
    subject: Option<ProcessId>,
    seen: BTreeMap<ProcessId, Time>,
    answers: u32,
    last_answer: Option<Time>,
    left: Option<Time>,
    failed: u32,
}

impl React<Serf> for SerfWatch {
    fn react(&mut self, now: Time, me: ProcessId, event: serf::Event, agent: &mut Serf, fx: &mut Effects<'_, Serf>) {
        match event {
            serf::Event::User(_) => {
                self.seen.entry(me).or_insert(now);
            }
            serf::Event::Query(query) => {
                self.seen.entry(me).or_insert(now);
                agent.answer(&query, Arc::from([0_u8; 8]), fx).unwrap();
            }
            serf::Event::Answered { .. } => {
                self.answers += 1;
                self.last_answer = Some(now);
            }
            serf::Event::MemberLeave { member } if Some(member) == self.subject && me != member => {
                self.seen.entry(me).or_insert(now);
            }
            serf::Event::MemberFailed { .. } => self.failed += 1,
            serf::Event::LeaveDone { graceful: true } => self.left = Some(now),
            serf::Event::LeaveDone { graceful: false } => panic!("a leave ran out of time"),
            serf::Event::MemberLeave { .. }
            | serf::Event::MemberJoin { .. }
            | serf::Event::MemberReap { .. }
            | serf::Event::MemberUpdate { .. }
            | serf::Event::QueryDone { .. }
            | serf::Event::JoinDone { .. }
            | serf::Event::Swim(_) => {}
        }
    }
}

/// One simulated cluster of Serf agents.
struct SerfCluster {
    driver: Driver<Serf, SerfWatch>,
    rng: Rng,
    live: Vec<ProcessId>,
    /// Observers of leaves, and those of them who took a leave for a failure.
    told: usize,
    misled: usize,
}

impl SerfCluster {
    fn new(set: &Recording, number: usize) -> Self {
        let config = Arc::new(if set.wan { SerfConfig::wan() } else { SerfConfig::lan() });
        let seed = format!("{} {number}", set.name);
        let mut rng = Rng::stream(20_240_101, &seed);
        let sites: Vec<u8> = (0..set.nodes).map(|_| if set.wan { rng.below(3) as u8 } else { 0 }).collect();
        let live: Vec<ProcessId> = (0..set.nodes as u32).map(ProcessId).collect();
        let pool = Pool::established(directory(set.nodes), live.iter().copied(), 0).unwrap();
        let network = Rng::stream(20_240_101, &format!("{seed} network"));
        let mut driver = Driver::new(SerfWatch::default(), set.loss, network, move |a, b| one_way(&sites, a, b));
        for &process in &live {
            let name = format!("{seed} {process}");
            driver.add(process, Serf::new(config.clone(), &pool, process, (1, &name)).unwrap());
        }
        Self { driver, rng, live, told: 0, misled: 0 }
    }

    fn pause(&mut self) {
        let wait = self.rng.span(Duration::from_secs(2), Duration::from_secs(3));
        self.driver.run_for(wait, |_| false);
    }

    fn user_event(&mut self, out: &mut Samples) {
        self.pause();
        self.driver.react = SerfWatch::default();
        let origin = *self.rng.pick(&self.live).unwrap();
        let (start, expected) = (self.driver.now(), self.live.len());
        self.driver.call(origin, |serf, now, fx| {
            serf.user_event(now, "deploy", &[0; 64], fx).unwrap();
        });
        self.driver.run_for(Duration::from_secs(8), |watch| watch.seen.len() >= expected);
        for (name, share) in [("p50_ms", 0.5), ("p90_ms", 0.9), ("all_ms", 1.0)] {
            out.add("user_event_incl_origin", name, at_share(&self.driver.react.seen, start, expected, share));
        }
    }

    fn query(&mut self, out: &mut Samples) {
        self.pause();
        self.driver.react = SerfWatch::default();
        let origin = *self.rng.pick(&self.live).unwrap();
        let (start, expected) = (self.driver.now(), self.live.len());
        self.driver.call(origin, |serf, now, fx| {
            serf.query(now, "uptime", &[], fx).unwrap();
        });
        self.driver.run_for(Duration::from_secs(8), |watch| {
            watch.seen.len() >= expected && watch.answers as usize >= expected
        });
        let watch = &self.driver.react;
        for (name, share) in [("p50_ms", 0.5), ("all_ms", 1.0)] {
            out.add("query", name, at_share(&watch.seen, start, expected, share));
        }
        let last = watch.last_answer.map_or(f64::INFINITY, |at| at.since(start).as_millis_f64());
        out.add("query", "query_last_response_ms", last);
    }

    fn leave(&mut self, out: &mut Samples) {
        self.pause();
        let leaver = self.live.swap_remove(self.rng.below(self.live.len() as u64) as usize);
        self.driver.react = SerfWatch { subject: Some(leaver), ..SerfWatch::default() };
        let (start, expected) = (self.driver.now(), self.live.len());
        self.driver.call(leaver, |serf, now, fx| serf.leave(now, fx).unwrap());
        self.driver.run_for(Duration::from_secs(8), |watch| watch.seen.len() >= expected && watch.left.is_some());
        self.driver.kill(leaver);
        let watch = &self.driver.react;
        for (name, share) in [("first_ms", 0.0), ("p50_ms", 0.5), ("all_ms", 1.0)] {
            out.add("graceful_leave", name, at_share(&watch.seen, start, expected, share));
        }
        out.add("graceful_leave", "call_ms", watch.left.map_or(f64::INFINITY, |at| at.since(start).as_millis_f64()));
        self.told += expected;
        self.misled += watch.failed as usize;
    }
}

/// User events and queries in one cluster, then members that leave one after the other.
fn simulate_serf(set: &Recording) -> Samples {
    let mut out = Samples::default();
    let (mut told, mut misled) = (0, 0);
    for number in 0..70 {
        let mut cluster = SerfCluster::new(set, number);
        for _ in 0..15 {
            cluster.user_event(&mut out);
            cluster.query(&mut out);
        }
        for _ in 0..(set.nodes / 4).min(12) {
            cluster.leave(&mut out);
        }
        told += cluster.told;
        misled += cluster.misled;
    }
    // Recorded without loss: at least 98 % of 50 observers see a leave as one; the others missed the intent.
    let share_max = if set.loss > 0.0 { 0.2 } else { 0.04 };
    assert!(misled as f64 <= share_max * told as f64, "{}: {misled} of {told}", set.name);
    out
}

#[test]
fn gossip_takes_as_long_as_the_real_libraries_do() {
    let mut judge = Judge::default();
    for path in files("ml-") {
        let set = read(&path, &SWIM_COLUMNS);
        judge.compare(&set.name, &set.samples, &simulate_swim(&set));
    }
    for path in files("serf-") {
        let set = read(&path, &SERF_COLUMNS);
        judge.compare(&set.name, &set.samples, &simulate_serf(&set));
    }
    let verdict = judge.verdict();
    match verdict {
        Ok(table) => eprintln!("{table}"),
        Err(table) => panic!("{table}"),
    }
}

/// With TCP fallback pings, UDP loss alone makes nobody suspect anybody; without, the rate of suspicions is the one
/// that
/// the loss of pings and helpers predicts: 0.074 per probe at 20 % (measured 0.08).
#[test]
fn udp_loss_is_hidden_by_tcp_pings_and_costs_suspicions_without() {
    for (tcp_pings, low, high) in [(true, 0.0, 0.0), (false, 0.063, 0.085)] {
        let set = Recording {
            name: format!("loss tcp={tcp_pings}"),
            wan: false,
            nodes: 50,
            loss: 0.2,
            tcp_pings,
            rounds: 1,
            samples: Samples::default(),
        };
        let mut cluster = Cluster::new(&set, 0);
        cluster.watch(Watch::default());
        let before = cluster.driver.probes;
        cluster.pause(120_000, 120_001);
        let probes = (cluster.driver.probes - before) as f64;
        let watch = &cluster.driver.react;
        let rate = f64::from(watch.probes_failed) / probes;
        assert!((low..=high).contains(&rate), "tcp pings {tcp_pings}: {rate} suspicions per probe");
        if tcp_pings {
            assert_eq!((watch.false_suspicions, watch.false_deaths), (0, 0));
        }
    }
}

/// Feeds the laws of gossip.
struct Laws {
    incarnations: IncarnationNeverGoesBack,
    deaths: NotDeadForEver,
}

impl Laws {
    fn note(&mut self, at: Time, fact: Fact) {
        let observation = Observation { at, fact };
        self.incarnations.observe(&observation);
        self.deaths.observe(&observation);
    }
}

impl React<Serf> for Laws {
    fn react(&mut self, now: Time, _: ProcessId, event: serf::Event, agent: &mut Serf, _: &mut Effects<'_, Serf>) {
        if let serf::Event::Swim(event) = event
            && let Some(fact) = Fact::of(agent.swim().me(), &event)
        {
            self.note(now, fact);
        }
    }
}

/// Both halves forget each other in memberlist after 30 s; only Serf's reconnection brings them together again. With
/// six
/// failed members on each side somebody tries within seconds, and nearly always within one reconnect interval.
#[test]
fn a_partition_longer_than_gossip_to_the_dead_heals_through_reconnection() {
    let cut = Rc::new(Cell::new(false));
    let wall = cut.clone();
    let delay = move |from: ProcessId, to: ProcessId| {
        let apart = wall.get() && (from.0 < 6) != (to.0 < 6);
        if apart { Duration::MAX } else { Duration::from_micros(250) }
    };
    let laws = Laws {
        incarnations: IncarnationNeverGoesBack::default(),
        deaths: NotDeadForEver::new(Duration::from_secs(90)),
    };
    let mut driver = Driver::new(laws, 0.0, Rng::stream(3, "partition network"), delay);
    let pool = Pool::established(directory(12), (0..12).map(ProcessId), 0).unwrap();
    let config = Arc::new(SerfConfig::consul_lan());
    for process in (0..12).map(ProcessId) {
        let member = pool.directory.member(process).unwrap();
        driver.react.note(Time::ZERO, Fact::Started(member));
        let name = format!("partition {process}");
        driver.add(process, Serf::new(config.clone(), &pool, process, (3, &name)).unwrap());
    }
    let statuses = |driver: &mut Driver<Serf, Laws>| {
        let alive = Cell::new(0);
        driver.each(|serf| {
            let count = serf.members().filter(|&(_, _, status)| status == Status::Alive).count();
            alive.set(alive.get() + count);
        });
        alive.get()
    };
    cut.set(true);
    driver.react.note(driver.now(), Fact::FaultBegan);
    driver.run_for(Duration::from_mins(10), |_| false);
    assert_eq!(statuses(&mut driver), 72, "each sees its own half");
    cut.set(false);
    driver.react.note(driver.now(), Fact::FaultEnded);
    driver.run_for(Duration::from_secs(91), |_| false);
    assert_eq!(statuses(&mut driver), 144, "each sees everybody");
    let now = driver.now();
    let laws = &mut driver.react;
    laws.deaths.check(now);
    assert!(laws.incarnations.tally.checks > 100 && laws.deaths.tally.checks == 1);
    assert_eq!((&laws.incarnations.tally.first, &laws.deaths.tally.first), (&None, &None));
}
