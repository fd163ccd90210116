//! Recordings of fabio 1.7.3: weights, lookup, commands, tags, health filter, redirects, access rules, proxying; and of
//! queueing theory, which stations must agree with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use cossim::base::id::ProcessId;
use cossim::base::ordered::OrdMap;
use cossim::base::rng::Draws;
use cossim::base::time::{Duration, Time};
use cossim::protocol::proxy::access::Access;
use cossim::protocol::proxy::command::{Command, parse_config};
use cossim::protocol::proxy::forward::{Decision, Incoming, ProxyConfig, UpstreamFailure, decide};
use cossim::protocol::proxy::message::{Exchange, RequestNumber};
use cossim::protocol::proxy::registry::{CatalogEntry, ChecksRequired, HealthCheck, HealthFilter, commands, passing};
use cossim::protocol::proxy::release::Release;
use cossim::protocol::proxy::table::{HostMatching, Matcher, Request, Table, redirect_location};
use cossim::protocol::proxy::url::Url;
use cossim::protocol::proxy::weight::Shares;
use cossim::protocol::workload::arrival::{Arrivals, Gaps};
use cossim::protocol::workload::service_time::ServiceTime;
use cossim::protocol::workload::station::{Admission, Discipline, Job, Station, StationConfig};

use super::recordings;

const RELEASE: Release = Release::V1_7_3;

/// Runs `check` over every vector of every copy and reports all that differ; returns how many there were.
fn for_each(name: &str, check: impl Fn(&Value, &Value) -> Result<(), String>) -> usize {
    let (mut count, mut differing) = (0, Vec::new());
    for path in recordings(name) {
        let file = read(&path);
        let vectors = file.get("vectors").unwrap_or(&file);
        for vector in vectors.as_array().expect("a list of vectors") {
            count += 1;
            if let Err(difference) = check(&file, vector) {
                differing.push(format!("{} {difference}", text(vector, "id")));
            }
        }
    }
    assert!(differing.is_empty(), "{} of {count} differ:\n{}", differing.len(), differing.join("\n"));
    count
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a readable recording")).expect("JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter().flatten().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, recorded: &T) -> Result<(), String> {
    if found == recorded { Ok(()) } else { Err(format!("{what}: found {found:?}, recorded {recorded:?}")) }
}

fn options(text: &str) -> OrdMap<String, String> {
    let line = format!("route add s / http://h/ opts \"{text}\"");
    match parse_config(&line).expect("valid options").remove(0) {
        Command::Add(add) => add.options,
        Command::Delete(_) | Command::Weigh(_) => unreachable!("the line adds"),
    }
}

#[test]
fn weights() {
    let count = for_each("fabio/weights.json", |_, vector| {
        let numbers = |key: &str| -> Vec<f64> {
            vector[key].as_array().into_iter().flatten().map(|n| n.as_f64().expect("a number")).collect()
        };
        let shares = Shares::new(&numbers("fixed"));
        same("weights", &shares.weights, &numbers("weights"))?;
        let slots: Vec<f64> = shares.slots.iter().map(|&n| f64::from(n)).collect();
        same("slots", &slots, &numbers("slots"))?;
        same("ring_len", &(shares.ring_len() as u64), &vector["ring_len"].as_u64().expect("a length"))?;
        if !is_set(vector, "order_defined") {
            return Ok(());
        }
        let ring: Vec<String> = (0..shares.ring_len()).map(|p| shares.target_at(p).to_string()).collect();
        same("ring", &sha256(ring.join(",").as_bytes()).as_str(), &text(vector, "ring_sha256"))
    });
    assert!(count >= 54);
}

#[test]
fn lookup() {
    let count = for_each("fabio/lookup.json", |file, vector| {
        let tables = file["tables"].as_array().expect("tables");
        let recorded = tables.iter().find(|table| table["name"] == vector["table"]).expect("its table");
        let table = Table::parse(&texts(recorded, "config").join("\n"), RELEASE).map_err(|error| error.to_string())?;
        same("canonical", &table.canonical(), &texts(recorded, "canonical"))?;
        for (host, order) in recorded["path_order_by_host"].as_object().expect("hosts") {
            let found: Vec<&str> =
                table.routes().filter(|route| route.host == *host).map(|route| route.path.as_str()).collect();
            let order: Vec<&str> = order.as_array().expect("paths").iter().filter_map(Value::as_str).collect();
            same("path order", &found, &order)?;
        }
        if text(vector, "kind") == "lookup_host" {
            let found = table.candidate_by_host(text(vector, "host"));
            let service = found.map_or("", |place| &table.route(place).targets[0].service);
            return same("service", &service, &text(vector, "service"));
        }
        let matcher = match text(vector, "matcher") {
            "iprefix" => Matcher::InsensitivePrefix,
            "glob" => Matcher::Glob,
            _ => Matcher::Prefix,
        };
        let hosts = if is_set(vector, "glob_disabled") { HostMatching::Exact } else { HostMatching::Glob };
        let request = Request {
            host: text(vector, "host"),
            path: text(vector, "path"),
            tls: is_set(vector, "tls"),
            forwarded_proto: text(vector, "x_forwarded_proto"),
            ..Request::default()
        };
        let candidates = table.candidates(request, matcher, hosts);
        let target = table.choose(&candidates, request, |_, _| 0).map(|(_, target)| target);
        same("service", &target.map_or("", |target| &target.service), &text(vector, "service"))?;
        same("dst", &target.map_or(String::new(), |target| target.url.to_string()).as_str(), &text(vector, "dst"))?;
        let to = target.filter(|target| target.redirect_code.is_some());
        let to = to.map_or(String::new(), |target| redirect_location(target, request).to_string());
        same("redirect", &to.as_str(), &text(vector, "redirect"))
    });
    assert!(count >= 214);
}

#[test]
fn table_commands() {
    let count = for_each("fabio/table_commands.json", |_, vector| {
        let table = match Table::parse(text(vector, "config"), RELEASE) {
            Err(error) => return same("error", &error.to_string().as_str(), &text(vector, "error")),
            Ok(table) => table,
        };
        same("error", &"", &text(vector, "error"))?;
        same("canonical", &table.canonical(), &texts(vector, "canonical"))?;
        same("effective", &table.effective(), &texts(vector, "effective"))?;
        let Some(targets) = vector.get("targets").and_then(Value::as_array) else { return Ok(()) };
        let found: Vec<Value> = table
            .routes()
            .flat_map(|route| {
                route.targets.iter().zip(&route.shares.weights).map(|(target, weight)| {
                    serde_json::json!({
                        "fixed": target.fixed_weight, "host": route.host, "path": route.path,
                        "redirect_code": target.redirect_code.unwrap_or(0), "service": target.service,
                        "strip": target.option("strip"), "url": target.url.to_string(), "weight": weight,
                    })
                })
            })
            .collect();
        same("targets", &found.len(), &targets.len())?;
        for (found, recorded) in found.iter().zip(targets) {
            for (key, recorded) in recorded.as_object().expect("a target") {
                let (found, recorded) = (&found[key], recorded);
                let is_equal = match (found.as_f64(), recorded.as_f64()) {
                    (Some(found), Some(recorded)) => found.to_bits() == recorded.to_bits(),
                    _ => found == recorded,
                };
                same(key, &is_equal, &true).map_err(|_| format!("{key}: found {found}, recorded {recorded}"))?;
            }
        }
        Ok(())
    });
    assert!(count >= 41);
}

#[test]
fn urlprefix_tags() {
    let count = for_each("fabio/urlprefix_tags.json", |_, vector| {
        let entry = CatalogEntry {
            node: "n".into(),
            service_id: "s".into(),
            service: text(vector, "service").into(),
            service_address: text(vector, "service_address").into(),
            node_address: text(vector, "node_address").into(),
            port: u32::try_from(vector["port"].as_u64().expect("a port")).expect("a small one"),
            tags: texts(vector, "tags").iter().map(|tag| tag.as_str().into()).collect(),
        };
        let found = commands(&entry, text(vector, "prefix"), text(vector, "dc"), RELEASE);
        same("commands", &found, &texts(vector, "commands"))
    });
    assert!(count >= 30);
}

#[test]
fn passing_instances() {
    let count = for_each("fabio/passing.json", |_, vector| {
        let checks: Vec<HealthCheck> = vector["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|check| HealthCheck {
                node: text(check, "node").into(),
                check_id: text(check, "check_id").into(),
                status: text(check, "status").into(),
                service: text(check, "service").into(),
                service_id: text(check, "service_id").into(),
                tags: [text(check, "tags").into()].into(),
            })
            .collect();
        let statuses = texts(vector, "accepted_status");
        let statuses: Vec<&str> = statuses.iter().map(String::as_str).collect();
        let required = if text(vector, "checks_required") == "all" { ChecksRequired::All } else { ChecksRequired::One };
        let filter = HealthFilter { statuses: &statuses, required, prefix: "urlprefix-", release: RELEASE };
        let name = |check: &HealthCheck| format!("{}/{}/{}", check.node, check.service_id, check.check_id);
        let found: Vec<String> = passing(&checks, filter).into_iter().map(name).collect();
        same("passing", &found, &texts(vector, "passing"))?;
        // The checks of a node are all that decides about what is on it.
        let mut nodes: BTreeMap<&str, Vec<HealthCheck>> = BTreeMap::new();
        for check in &checks {
            nodes.entry(&check.node).or_default().push(check.clone());
        }
        let apart = nodes.values().flat_map(|checks| passing(checks, filter));
        let (apart, found): (BTreeSet<String>, BTreeSet<String>) =
            (apart.map(name).collect(), found.into_iter().collect());
        same("node by node", &apart, &found)
    });
    assert!(count >= 48);
}

#[test]
fn redirects() {
    let count = for_each("fabio/redirect.json", |_, vector| {
        let line = format!("route add s / {} opts \"{}\"", text(vector, "dst"), text(vector, "opts"));
        let table = Table::parse(&line, RELEASE).map_err(|error| error.to_string())?;
        let target = &table.routes().next().expect("one route").targets[0];
        let uri = Url::parse(text(vector, "request_uri")).map_err(|error| error.to_string())?;
        let request = Request {
            host: text(vector, "request_host"),
            path: &uri.path,
            raw_path: &uri.raw_path,
            query: &uri.query,
            ..Request::default()
        };
        same("location", &redirect_location(target, request).to_string().as_str(), &text(vector, "location"))
    });
    assert!(count >= 44);
}

#[test]
fn access_rules() {
    let count = for_each("fabio/access.json", |_, vector| {
        let (access, error) = Access::parse(&options(text(vector, "opts")));
        same("rule_error", &error.is_some(), &is_set(vector, "rule_error"))?;
        same("denied", &access.denies(text(vector, "remote"), text(vector, "xff")), &is_set(vector, "denied"))
    });
    assert!(count >= 50);
}

#[test]
fn http_proxy() {
    let count = for_each("fabio/http_proxy.json", |_, vector| {
        let table = Table::parse(text(vector, "config"), RELEASE).map_err(|error| error.to_string())?;
        let headers: OrdMap<String, String> = vector
            .get("request_headers")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned()))
            .collect();
        let no_route_status = vector.get("noroute_status_cfg").and_then(Value::as_u64).unwrap_or(404);
        let no_route_status = u16::try_from(no_route_status).unwrap_or(0);
        let config = ProxyConfig { no_route_status, ..ProxyConfig::default() };
        let (uri, host) = (text(vector, "uri"), text(vector, "host"));
        let incoming = Incoming { uri, host, remote: "9.9.9.9:1234", tls: is_set(vector, "tls"), headers: &headers };
        let status = vector["status"].as_u64().expect("a status");
        match decide(&table, &config, incoming, |_, _| 0).map_err(|error| error.to_string())? {
            Decision::Answer(found) => same("status", &u64::from(found), &status),
            Decision::Redirect { code, location } => {
                same("status", &u64::from(code), &status)?;
                same("location", &location.as_str(), &text(vector, "location"))
            }
            Decision::Pass(upstream) => {
                let failure = vector.get("upstream_error").and_then(Value::as_str).map(failure);
                same("status", &failure.map_or(200, |failure| u64::from(failure.status())), &status)?;
                same("url", &upstream.url.as_str(), &text(vector, "upstream_url"))?;
                same("host", &upstream.host.as_str(), &text(vector, "upstream_host_header"))?;
                let is_header = |key: &str| key == "Forwarded" || key.starts_with("X-");
                let recorded = vector.as_object().expect("a vector").iter().filter(|(key, _)| is_header(key));
                let recorded: BTreeMap<&str, &str> =
                    recorded.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or(""))).collect();
                let found: BTreeMap<&str, &str> =
                    upstream.headers.iter().map(|(key, value)| (*key, value.as_str())).collect();
                same("headers", &found, &recorded)
            }
        }
    });
    assert!(count >= 28);
}

/// The kind of a Go error, from its text.
fn failure(text: &str) -> UpstreamFailure {
    let text = text.to_lowercase();
    if text.contains("canceled") {
        UpstreamFailure::ClientGone
    } else if text.contains("timeout") {
        UpstreamFailure::Timeout
    } else if text == "eof" {
        UpstreamFailure::EndOfFile
    } else if text.contains("refused") || text.contains("dial") || text.contains("reset") {
        UpstreamFailure::Network
    } else {
        UpstreamFailure::Other
    }
}

/// FIPS 180-4, in hexadecimal: the recordings keep rings as hashes. Its constants are the fractional bits of square and
/// cube roots of primes, computed here in integers.
fn sha256(message: &[u8]) -> String {
    let primes: Vec<u128> = (2..312_u128).filter(|n| (2..*n).all(|d| n % d != 0)).take(64).collect();
    let fraction_of_root = |n: u128, power: u32| -> u32 {
        let scaled = n << (32 * power);
        let (mut low, mut high) = (0_u128, 1_u128 << 37);
        while high - low > 1 {
            let middle = u128::midpoint(low, high);
            if middle.pow(power) <= scaled { low = middle } else { high = middle }
        }
        (low & 0xFFFF_FFFF) as u32
    };
    let constants: Vec<u32> = primes.iter().map(|&prime| fraction_of_root(prime, 3)).collect();
    let mut state: Vec<u32> = primes[..8].iter().map(|&prime| fraction_of_root(prime, 2)).collect();
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> =
            block.chunks(4).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes"))).collect();
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = state.clone();
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(constants[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(t1);
            v[0] = t1.wrapping_add(s0).wrapping_add(majority);
        }
        for (word, v) in state.iter_mut().zip(v) {
            *word = word.wrapping_add(v);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect::<Vec<String>>().concat()
}

/// Mean sojourn and rejected share of Poisson arrivals spread over `stations` equal stations.
fn simulate(config: StationConfig, stations: usize, rate: f64, spread: Spread) -> (f64, f64) {
    const COUNT: u64 = 200_000;
    let (works, places) = (Draws::new(21, "works"), Draws::new(22, "places"));
    let mut arrivals = Arrivals::constant(Gaps::Exponential, rate, Draws::new(23, "arrivals"));
    let mut all: Vec<Station> = (0..stations).map(|_| Station::new(Time::ZERO, config)).collect();
    let mut arrived: Vec<Time> = Vec::new();
    let (mut sum, mut served, mut rejected) = (0.0, 0_u64, 0_u64);
    let mut departed = Vec::new();
    let mut settle = |station: &mut Station, until: Time, arrived: &[Time]| {
        while let Some(due) = station.due().filter(|&due| due <= until) {
            station.advance(due, &mut departed);
            for (job, _) in departed.drain(..) {
                sum += due.since(arrived[job.exchange.number.sequence() as usize]).as_secs_f64();
                served += 1;
            }
        }
    };
    let mut now = Time::ZERO;
    for sequence in 0..COUNT {
        now += arrivals.wait(now).expect("the rate is positive");
        arrivals.take(now);
        arrived.push(now);
        let place = match spread {
            Spread::Random => places.below(sequence, 0, stations as u64),
            Spread::RoundRobin => sequence % stations as u64,
        };
        let station = &mut all[place as usize];
        settle(station, now, &arrived);
        let exchange = Exchange { id: 0, number: RequestNumber::new(0, sequence, 0) };
        let work = config.service_time.sample(works, sequence, 0);
        if station.offer(now, Job { from: ProcessId(0), exchange }, work) == Admission::Rejected {
            rejected += 1;
        }
    }
    for station in &mut all {
        settle(station, Time::NEVER, &arrived);
    }
    (sum / served as f64, rejected as f64 / COUNT as f64)
}

#[derive(Clone, Copy)]
enum Spread {
    Random,
    RoundRobin,
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or_else(|| panic!("{value} lacks {key}"))
}

/// Within `tolerance`, relative.
fn near(what: &str, found: f64, recorded: f64, tolerance: f64) {
    assert!((found / recorded - 1.0).abs() <= tolerance, "{what}: found {found}, recorded {recorded}");
}

fn exponential(servers: u32) -> StationConfig {
    StationConfig::new(servers, ServiceTime::Exponential(Duration::from_secs(1)))
}

/// Loads above 0.8 need longer runs than a test has; their rows are left to the closed forms.
const LOAD_MAX: f64 = 0.81;

#[test]
fn stations_agree_with_queueing_theory() {
    for path in recordings("lb/queueing.json") {
        let file = read(&path);
        let rows = |key: &str| file[key].as_array().expect("rows").clone().into_iter();
        for row in rows("mmk").filter(|row| number(row, "rho") < LOAD_MAX) {
            let servers = number(&row, "k") as u32;
            let (mean, _) = simulate(exponential(servers), 1, number(&row, "rho") * f64::from(servers), Spread::Random);
            near(&row.to_string(), mean, number(&row, "mean_sojourn"), 0.05);
        }
        for row in rows("mm1k") {
            let room = number(&row, "K") as u32;
            let config = StationConfig { queue_max: Some(room - 1), ..exponential(1) };
            let (mean, rejected) = simulate(config, 1, number(&row, "rho"), Spread::Random);
            near(&row.to_string(), mean, number(&row, "mean_sojourn"), 0.06);
            assert!((rejected - number(&row, "block")).abs() < 0.01, "{row}: rejected {rejected}");
        }
        for row in rows("mg1").filter(|row| number(row, "scv") < 5.0) {
            let second = Duration::from_secs(1);
            let law = match number(&row, "scv") {
                0.0 => ServiceTime::Deterministic(second),
                1.0 => ServiceTime::Exponential(second),
                scv if scv > 1.0 => ServiceTime::hyperexponential(second, scv).expect("a law"),
                _ => continue,
            };
            let mut config = StationConfig::new(1, law);
            for (discipline, key) in [
                (Discipline::FirstComeFirstServed, "fcfs_mean_sojourn"),
                (Discipline::ProcessorSharing, "ps_mean_sojourn"),
            ] {
                config.discipline = discipline;
                let (mean, _) = simulate(config, 1, number(&row, "rho"), Spread::Random);
                near(&format!("{discipline:?} {row}"), mean, number(&row, key), 0.10);
            }
        }
        for row in rows("round_robin_enm1").filter(|row| row.get("n").is_some() && number(row, "rho") < LOAD_MAX) {
            let stations = number(&row, "n") as u32;
            let rate = number(&row, "rho") * f64::from(stations);
            let (mean, _) = simulate(exponential(1), stations as usize, rate, Spread::RoundRobin);
            near(&row.to_string(), mean, number(&row, "mean_sojourn"), 0.07);
        }
    }
}

#[test]
fn spreading_agrees_with_long_simulations() {
    for path in recordings("lb/queueing_sim.json") {
        let file = read(&path);
        for row in file["rows"].as_array().expect("rows") {
            let spread = match text(row, "policy") {
                "random" => Spread::Random,
                "round_robin" | "rr" if number(row, "proxies") < 1.5 => Spread::RoundRobin,
                _ => continue,
            };
            if number(row, "rho") > LOAD_MAX {
                continue;
            }
            let stations = number(row, "n") as u32;
            let (mean, _) =
                simulate(exponential(1), stations as usize, number(row, "rho") * f64::from(stations), spread);
            near(&row.to_string(), mean, number(row, "mean"), 0.05);
        }
    }
}
