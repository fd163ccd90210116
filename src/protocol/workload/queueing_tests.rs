//! Stations against closed forms (M/M/k, M/G/1, M/M/1/K, processor sharing) and Little's law. Mean service time is 1 s.

use super::*;
use crate::base::rng::Draws;
use crate::protocol::proxy::message::RequestNumber;
use crate::protocol::workload::arrival::{Arrivals, Gaps};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(seconds)
}

fn job(sequence: u64) -> Job {
    Job { from: ProcessId(1), exchange: Exchange { id: 0, number: RequestNumber::new(0, sequence, 0) } }
}

/// What a long run of one station looked like.
struct Observed {
    mean_sojourn: f64,
    /// Time average of the number present, and the rate of departures.
    mean_present: f64,
    throughput: f64,
    rejected: f64,
}

/// Offers `count` Poisson arrivals at `rate` per second; the first tenth warms the station up.
fn observe(config: StationConfig, rate: f64, count: u64) -> Observed {
    let draws = Draws::new(11, "queueing");
    let mut arrivals = Arrivals::constant(Gaps::Exponential, rate, Draws::new(12, "queueing"));
    let mut station = Station::new(Time::ZERO, config);
    let mut arrived: Vec<Time> = Vec::new();
    let (mut now, mut departed) = (Time::ZERO, Vec::new());
    let (mut sojourn, mut served, mut rejected, mut area) = (0.0, 0_u64, 0_u64, 0.0);
    let warm = count / 10;
    let (mut began, mut last) = (Time::ZERO, Time::ZERO);
    for sequence in 0..count {
        let next = now + arrivals.wait(now).expect("the rate is positive");
        while let Some(due) = station.due().filter(|&due| due <= next) {
            let present = (station.serving() + station.waiting()) as f64;
            if sequence >= warm {
                area += present * due.since(last).as_secs_f64();
            }
            last = due;
            station.advance(due, &mut departed);
            for (job, _) in departed.drain(..) {
                let sequence = job.exchange.number.sequence();
                if sequence >= warm {
                    sojourn += due.since(arrived[sequence as usize]).as_secs_f64();
                    served += 1;
                }
            }
        }
        if sequence == warm {
            began = next;
        } else if sequence > warm {
            area += (station.serving() + station.waiting()) as f64 * next.since(last).as_secs_f64();
        }
        (now, last) = (next, next);
        arrivals.take(now);
        arrived.push(now);
        let work = config.service_time.sample(draws, sequence, 0);
        if station.offer(now, job(sequence), work) == Admission::Rejected && sequence >= warm {
            rejected += 1;
        }
    }
    let elapsed = now.since(began).as_secs_f64();
    Observed {
        mean_sojourn: sojourn / served as f64,
        mean_present: area / elapsed,
        throughput: served as f64 / elapsed,
        rejected: rejected as f64 / (count - warm) as f64,
    }
}

#[track_caller]
fn check(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() < tolerance, "{what}: found {found}, expected {expected}");
}

fn exponential() -> ServiceTime {
    ServiceTime::Exponential(SECOND)
}

#[test]
fn an_m_m_k_station_waits_as_erlang_says() {
    for (servers, load) in [(1_u32, 0.7), (2, 0.7), (4, 0.7), (4, 0.9), (8, 0.7)] {
        let offered = load * f64::from(servers);
        let blocked = (1..=servers).fold(1.0, |b, i| offered * b / (f64::from(i) + offered * b));
        let waits = blocked / (1.0 - load * (1.0 - blocked));
        let expected = 1.0 + waits / (f64::from(servers) - offered);
        let seen = observe(StationConfig::new(servers, exponential()), offered, 400_000);
        check(&format!("M/M/{servers} at {load}"), seen.mean_sojourn, expected, 0.05);
    }
}

#[test]
fn an_m_g_1_station_waits_as_pollaczek_and_khinchine_say() {
    let load = 0.7;
    let laws = [
        (ServiceTime::Deterministic(SECOND), 0.02),
        (exponential(), 0.04),
        (ServiceTime::hyperexponential(SECOND, 4.0).expect("a law"), 0.10),
    ];
    for (law, tolerance) in laws {
        let expected = 1.0 + load * (1.0 + law.scv()) / (2.0 * (1.0 - load));
        let seen = observe(StationConfig::new(1, law), load, 400_000);
        check(&format!("{law:?}"), seen.mean_sojourn, expected, tolerance);
    }
}

#[test]
fn processor_sharing_is_insensitive_to_the_law() {
    let load = 0.7;
    let laws =
        [ServiceTime::Deterministic(SECOND), exponential(), ServiceTime::hyperexponential(SECOND, 4.0).expect("a law")];
    for law in laws {
        let config = StationConfig { discipline: Discipline::ProcessorSharing, ..StationConfig::new(1, law) };
        let seen = observe(config, load, 300_000);
        check(&format!("{law:?}"), seen.mean_sojourn, 1.0 / (1.0 - load), 0.05);
    }
}

#[test]
fn a_full_m_m_1_k_station_rejects_its_share() {
    for (load, room) in [(0.5, 2_u32), (1.0, 4), (2.0, 3)] {
        let config = StationConfig { queue_max: Some(room - 1), ..StationConfig::new(1, exponential()) };
        let power = |n: u32| (0..n).fold(1.0, |product, _| product * load);
        let expected = if (load - 1.0_f64).abs() < 1e-9 {
            1.0 / f64::from(room + 1)
        } else {
            (1.0 - load) * power(room) / (1.0 - power(room + 1))
        };
        check(&format!("M/M/1/{room} at {load}"), observe(config, load, 200_000).rejected, expected, 0.03);
    }
}

#[test]
fn littles_law_holds() {
    let seen = observe(StationConfig::new(2, exponential()), 1.4, 200_000);
    check("L = lambda W", seen.mean_present, seen.throughput * seen.mean_sojourn, 0.01);
}

#[test]
fn speed_scales_what_is_left() {
    let mut station = Station::new(Time::ZERO, StationConfig::new(1, exponential()));
    station.offer(Time::ZERO, job(0), SECOND * 4);
    station.set_speed(at(2.0), 0.5);
    assert_eq!(station.due(), Some(at(6.0)));
    station.set_speed(at(4.0), 0.0);
    assert_eq!(station.due(), None, "a hung instance finishes nothing");
    station.set_speed(at(10.0), 1.0);
    assert_eq!(station.due(), Some(at(11.0)));
}

#[test]
fn waiting_has_a_limit_and_so_has_the_queue() {
    let config = StationConfig {
        queue_max: Some(2),
        queue_timeout: Some(SECOND),
        cancels: true,
        ..StationConfig::new(1, exponential())
    };
    let mut station = Station::new(Time::ZERO, config);
    let admissions: Vec<Admission> = (0..4).map(|i| station.offer(Time::ZERO, job(i), SECOND * 3)).collect();
    assert_eq!(admissions, [Admission::Started, Admission::Queued, Admission::Queued, Admission::Rejected]);
    assert!(station.cancel(Time::ZERO, job(2)));
    assert!(!station.cancel(Time::ZERO, job(2)), "it left already");
    assert_eq!(station.waiting(), 1);
    assert_eq!(station.due(), Some(at(1.0)));
    let mut departed = Vec::new();
    station.advance(at(1.0), &mut departed);
    assert_eq!(departed, [(job(1), Departure::TimedOut)]);
    assert!(station.cancel(at(1.0), job(0)), "a client in service leaves too");
    assert_eq!((station.serving(), station.due()), (0, None));
    station.offer(at(1.0), job(5), SECOND);
    let mut lost = Vec::new();
    station.kill(&mut lost);
    assert_eq!(lost, [job(5)]);
}

#[test]
fn a_cold_instance_is_slow_at_first() {
    let warmup = Some(Warmup { factor: 3.0, decay: SECOND * 10 });
    let config = StationConfig { warmup, ..StationConfig::new(1, exponential()) };
    let mut station = Station::new(Time::ZERO, config);
    station.offer(Time::ZERO, job(0), SECOND);
    assert_eq!(station.due(), Some(at(3.0)));
}
