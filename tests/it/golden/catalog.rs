//! How long a Consul agent and a watcher of the catalog take to see a check change: recorded on one machine with Consul
//! 1.8.7, and simulated with one agent and one server in between.
//!
//! `consul_check_latency.csv`: time from a service's last report to its TTL check's failure, from the closing of a
//! backend to its HTTP check's failure, and from a registration to the first passing result; as the agent has it, and
//! as a blocking query on a server returns it. HTTP times are random through the phase of the check alone, and are
//! compared by the two-sample Kolmogorov-Smirnov test at 1 % with Holm's correction, and by the median: within 5 %, or
//! inside the recording's own 95 % interval. The TTL's time is a constant, which a recording with the noise of a busy
//! machine cannot equal in distribution: there the least must not lie below, and the median and the ninth decile not
//! more than 5 % and 10 % above.
//!
//! How long gossip takes to find a dead agent, and what follows from it, takes Serf and Raft, and is judged where whole
//! worlds run.

use std::collections::BTreeMap;
use std::sync::Arc;

use cossim::base::id::ProcessId;
use cossim::base::machine::Fx;
use cossim::base::machine::Input;
use cossim::base::machine::Machine;
use cossim::base::machine::Slot;
use cossim::base::machine::Token;
use cossim::base::rng::Draws;
use cossim::base::rng::Rng;
use cossim::base::time::Duration;
use cossim::base::time::Time;
use cossim::model::service::Check;
use cossim::model::service::CheckKind;
use cossim::model::service::CheckStatus;
use cossim::model::topology::RegionId;
use cossim::protocol::catalog::agent::AgentConfig;
use cossim::protocol::catalog::agent::AgentEvent;
use cossim::protocol::catalog::agent::AgentTimer;
use cossim::protocol::catalog::agent::CatalogAgent;
use cossim::protocol::catalog::message::CatalogMsg;
use cossim::protocol::catalog::message::CheckDefinition;
use cossim::protocol::catalog::message::Request;
use cossim::protocol::catalog::message::ServiceDefinition;
use cossim::protocol::catalog::query::Query;
use cossim::protocol::catalog::query::QueryKind;
use cossim::protocol::catalog::record::CheckId;
use cossim::protocol::catalog::record::Command;
use cossim::protocol::catalog::record::InstanceId;
use cossim::protocol::catalog::record::ServiceSpec;
use cossim::protocol::catalog::server::CatalogServer;
use cossim::protocol::catalog::server::ServerConfig;
use cossim::protocol::catalog::server::ServerEvent;
use cossim::protocol::catalog::server::ServerTimer;

#[test]
fn check_changes_are_seen_as_late_as_recorded() {
    for path in super::recordings("real-timings/consul_check_latency.csv") {
        let recorded = read(&path);
        let mut worst: Vec<(f64, String)> = Vec::new();
        for ((kind, millis), rows) in &recorded {
            let simulated: Vec<Seen> = (0..TRIALS).map(|seed| trial(kind, *millis, seed)).collect();
            let columns: [(&str, Column); 2] = [("agent", |seen| seen.agent), ("watcher", |seen| seen.watcher)];
            for (who, column) in columns {
                let mut real: Vec<f64> = rows.iter().map(column).collect();
                let mut ours: Vec<f64> = simulated.iter().map(column).collect();
                real.sort_by(f64::total_cmp);
                ours.sort_by(f64::total_cmp);
                let what = format!("{kind} {millis} ms, {who}");
                if kind == "ttl_expiry_since_last_pass" {
                    check_constant(&what, &real, &ours);
                } else {
                    check_median(&what, &real, &ours);
                    worst.push((p_value(&real, &ours), what));
                }
            }
        }
        // Holm: nothing is rejected exactly if the smallest value is above the level divided by the comparisons.
        let level = 0.01 / worst.len() as f64;
        for (p, what) in worst {
            assert!(p > level, "{what}: p = {p}");
        }
    }
}

type Column = fn(&Seen) -> f64;

/// When a change was seen, in ms after its cause.
#[derive(Debug, Clone, Copy)]
struct Seen {
    agent: f64,
    watcher: f64,
}

fn read(path: &std::path::Path) -> BTreeMap<(String, u64), Vec<Seen>> {
    let mut rows: BTreeMap<(String, u64), Vec<Seen>> = BTreeMap::new();
    let mut file = csv::Reader::from_path(path).expect("the recording is there");
    for record in file.records() {
        let record = record.expect("the recording is a table");
        let number = |column: usize| record[column].parse::<f64>().expect("a number");
        if &record[7] == "0" {
            let key = (record[1].to_owned(), record[2].parse().expect("milliseconds"));
            rows.entry(key).or_default().push(Seen { agent: number(4), watcher: number(5) });
        }
    }
    assert!(!rows.is_empty(), "{} has no rows", path.display());
    rows
}

fn check_constant(what: &str, real: &[f64], ours: &[f64]) {
    let of = |sorted: &[f64], share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    assert!(of(real, 0.0) >= of(ours, 0.0) - 5.0, "{what}: {real:?}");
    assert!((of(ours, 0.5) / of(real, 0.5) - 1.0).abs() < 0.05, "{what}: {real:?}");
    assert!((of(ours, 0.9) / of(real, 0.9) - 1.0).abs() < 0.10, "{what}: {real:?}");
}

fn check_median(what: &str, real: &[f64], ours: &[f64]) {
    let n = real.len() as f64;
    let median = ours[ours.len() / 2];
    // The interval of order statistics around the median that holds it with 95 %, by the normal approximation.
    let spread = 0.98 * n.sqrt();
    let (low, high) = ((n / 2.0 - spread).floor().max(1.0), (n / 2.0 + spread).ceil().min(n - 1.0));
    let inside = real[low as usize - 1] <= median && median <= real[high as usize];
    let near = (median / real[real.len() / 2] - 1.0).abs() < 0.05;
    assert!(inside || near, "{what}: simulated median {median}, recorded {real:?}");
}

/// Two-sample Kolmogorov-Smirnov: how likely a distance as large is by chance (asymptotic, with Stephens' correction).
fn p_value(a: &[f64], b: &[f64]) -> f64 {
    let share = |sorted: &[f64], x: f64| sorted.partition_point(|y| *y <= x) as f64 / sorted.len() as f64;
    let distance = a.iter().chain(b).map(|x| (share(a, *x) - share(b, *x)).abs()).fold(0.0, f64::max);
    let effective = (a.len() as f64 * b.len() as f64 / (a.len() + b.len()) as f64).sqrt();
    let lambda = (effective + 0.12 + 0.11 / effective) * distance;
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * cossim::base::math::exp(-2.0 * f64::from(k * k) * lambda * lambda)
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

/// One experiment: the world settles, something happens at a random time, and the first change after it counts.
fn trial(kind: &str, millis: u64, seed: u64) -> Seen {
    let mut world = World::new(seed);
    let mut rng = Rng::stream(seed, "trial");
    let span = Duration::from_millis(millis);
    let ttl = kind == "ttl_expiry_since_last_pass";
    world.run_until(Time::ZERO + Duration::from_secs(4) + rng.stagger(Duration::from_secs(1)));
    let mut check = Check::new("check", if ttl { CheckKind::Ttl } else { CheckKind::Http }, span);
    check.timeout = Duration::from_secs(1);
    let mut cause = world.now;
    world.register(check);
    if kind != "http_register_to_passing" {
        if ttl {
            world.run_until(world.now + rng.stagger(span));
            world.report();
            cause = world.now;
        } else {
            world.run_until(world.now + span * 3 + rng.stagger(span));
            world.backend_open = false;
            cause = world.now;
        }
    }
    // The cause itself may be a change to passing, which is not the one waited for.
    let wanted = if kind == "http_register_to_passing" { CheckStatus::Passing } else { CheckStatus::Critical };
    world.run_until(world.now + span * 2 + Duration::from_secs(1));
    let after = |seen: &[(Time, CheckStatus)]| {
        let first = seen.iter().find(|(at, status)| *at >= cause && *status == wanted);
        first.map(|(at, _)| at.since(cause).as_millis_f64()).expect("the change was seen")
    };
    Seen { agent: after(&world.agent_saw), watcher: after(&world.watcher_saw) }
}

/// One server that leads, one agent, one backend, one watcher, on one machine.
struct World {
    now: Time,
    server: CatalogServer,
    agent: CatalogAgent,
    backend_open: bool,
    agent_saw: Vec<(Time, CheckStatus)>,
    watcher_saw: Vec<(Time, CheckStatus)>,
    index: u64,
    count: u64,
    queue: BTreeMap<(Time, u64), Happening>,
    alarms: BTreeMap<(bool, usize), u64>,
}

enum Happening {
    Message(ProcessId, ProcessId, CatalogMsg),
    Server(ServerTimer, u64),
    Agent(AgentTimer, u64),
    Applied(u64, u64, Arc<Command>),
}

struct Effects<M: Machine> {
    sends: Vec<(ProcessId, M::Msg)>,
    alarms: Vec<(M::Timer, Option<Duration>)>,
    events: Vec<M::Event>,
}

impl<M: Machine> Fx<M> for Effects<M> {
    fn send(&mut self, to: ProcessId, msg: M::Msg) {
        self.sends.push((to, msg));
    }

    fn arm(&mut self, timer: M::Timer, delay: Duration) {
        self.alarms.push((timer, Some(delay)));
    }

    fn disarm(&mut self, timer: M::Timer) {
        self.alarms.push((timer, None));
    }

    fn write(&mut self, _token: Token, _bytes: u32) {}

    fn compute(&mut self, _token: Token, _cost: Duration) {}

    fn emit(&mut self, event: M::Event) {
        self.events.push(event);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let rng = Rng::stream(seed, "server");
        let mut world = Self {
            now: Time::ZERO,
            server: CatalogServer::new(SERVER, RegionId(0), ServerConfig::default(), rng),
            agent: CatalogAgent::new(AGENT, AgentConfig::default(), Draws::new(seed, "agent")),
            backend_open: true,
            agent_saw: Vec::new(),
            watcher_saw: Vec::new(),
            index: 0,
            count: 0,
            queue: BTreeMap::new(),
            alarms: BTreeMap::new(),
        };
        world.at_server(CatalogServer::leadership_gained);
        world.at_agent(|agent, now, fx| agent.server_up(now, SERVER, fx));
        world.at_agent(|agent, now, fx| agent.handle(now, Input::Start, fx));
        world.watch(0);
        world
    }

    fn register(&mut self, check: Check) {
        let spec = ServiceSpec { name: "web".into(), address: BACKEND, port: 80, tags: [].into() };
        let checks = vec![CheckDefinition { check, target: BACKEND, port: 80 }];
        let definition = Arc::new(ServiceDefinition { id: INSTANCE, spec: Arc::new(spec), checks });
        self.at_agent(|agent, now, fx| agent.register(now, &definition, fx));
    }

    fn report(&mut self) {
        let msg = CatalogMsg::Ttl { check: CHECK, status: CheckStatus::Passing, output: 0 };
        self.at_agent(|agent, now, fx| agent.handle(now, Input::Message { from: BACKEND, msg }, fx));
    }

    fn watch(&mut self, index: u64) {
        let request = Arc::new(Request::Read(Query::new(QueryKind::Node(AGENT)).after(index)));
        self.send(WATCHER, SERVER, CatalogMsg::Call { call: 0, request });
    }

    fn run_until(&mut self, end: Time) {
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            match entry.remove() {
                Happening::Message(from, to, msg) => self.deliver(from, to, msg),
                Happening::Server(timer, count) => {
                    if self.alarms.get(&(true, timer.slot())) == Some(&count) {
                        self.at_server(|server, now, fx| server.handle(now, Input::Fired(timer), fx));
                    }
                }
                Happening::Agent(timer, count) => {
                    if self.alarms.get(&(false, timer.slot())) == Some(&count) {
                        self.at_agent(|agent, now, fx| agent.handle(now, Input::Fired(timer), fx));
                    }
                }
                Happening::Applied(index, request, command) => {
                    self.at_server(|server, now, fx| server.applied(now, index, &command, Some(request), fx));
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, from: ProcessId, to: ProcessId, msg: CatalogMsg) {
        match (to, msg) {
            (SERVER, msg) => self.at_server(|server, now, fx| server.handle(now, Input::Message { from, msg }, fx)),
            (AGENT, msg) => self.at_agent(|agent, now, fx| agent.handle(now, Input::Message { from, msg }, fx)),
            (BACKEND, CatalogMsg::Probe { .. }) if !self.backend_open => {
                self.at_agent(|agent, now, fx| agent.handle(now, Input::Refused { to: BACKEND }, fx));
            }
            (BACKEND, CatalogMsg::Probe { check, round, .. }) => {
                let msg = CatalogMsg::ProbeReply { check, round, status: CheckStatus::Passing, output: 0 };
                self.send(BACKEND, AGENT, msg);
            }
            (_, CatalogMsg::Return { result, .. }) => {
                let index = result.expect("the leader answers").index;
                let node = self.server.state().node(AGENT);
                if let Some(check) = node.and_then(|node| node.check(CHECK)) {
                    self.watcher_saw.push((self.now, check.record.status));
                }
                self.watch(index);
            }
            (to, msg) => panic!("{to} does not expect {msg}"),
        }
    }

    fn at_server(&mut self, step: impl FnOnce(&mut CatalogServer, Time, &mut Effects<CatalogServer>)) {
        let mut fx = Effects { sends: Vec::new(), alarms: Vec::new(), events: Vec::new() };
        step(&mut self.server, self.now, &mut fx);
        for (timer, delay) in fx.alarms {
            let count = self.count();
            self.alarms.insert((true, timer.slot()), count);
            self.later(delay, Happening::Server(timer, count));
        }
        for (to, msg) in fx.sends {
            self.send(SERVER, to, msg);
        }
        for event in fx.events {
            if let ServerEvent::Propose { request, command } = event {
                self.index += 1;
                self.later(Some(COMMIT), Happening::Applied(self.index, request, command));
            }
        }
    }

    fn at_agent(&mut self, step: impl FnOnce(&mut CatalogAgent, Time, &mut Effects<CatalogAgent>)) {
        let mut fx = Effects { sends: Vec::new(), alarms: Vec::new(), events: Vec::new() };
        step(&mut self.agent, self.now, &mut fx);
        for (timer, delay) in fx.alarms {
            let count = self.count();
            self.alarms.insert((false, timer.slot()), count);
            self.later(delay, Happening::Agent(timer, count));
        }
        for (to, msg) in fx.sends {
            self.send(AGENT, to, msg);
        }
        for event in fx.events {
            if let AgentEvent::CheckChanged { to, .. } = event {
                self.agent_saw.push((self.now, to));
            }
        }
    }

    fn send(&mut self, from: ProcessId, to: ProcessId, msg: CatalogMsg) {
        self.later(Some(LOOPBACK), Happening::Message(from, to, msg));
    }

    fn later(&mut self, delay: Option<Duration>, happening: Happening) {
        if let Some(delay) = delay {
            let count = self.count();
            self.queue.insert((self.now + delay, count), happening);
        }
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

const SERVER: ProcessId = ProcessId(0);
const AGENT: ProcessId = ProcessId(1);
const BACKEND: ProcessId = ProcessId(2);
const WATCHER: ProcessId = ProcessId(3);
const INSTANCE: InstanceId = InstanceId(1);
const CHECK: CheckId = CheckId::Service { instance: INSTANCE, ordinal: 0 };
const TRIALS: u64 = 2_000;
/// One way between processes of one machine.
const LOOPBACK: Duration = Duration::from_micros(50);
/// A commit with two local followers: two synced writes of a busy disk, about.
const COMMIT: Duration = Duration::from_millis(3);
