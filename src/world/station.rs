//! How the instances of a service behave as queueing stations.

use crate::base::time::Duration;
use crate::protocol::workload::service_time::ServiceTime as Law;
use crate::protocol::workload::station::{Discipline as Order, StationConfig};
use crate::world::spec::{Discipline, ServiceSpec, ServiceTime};

/// The station of an instance; one whose service the scenario does not describe answers at once.
pub fn station_config(service: Option<&ServiceSpec>) -> StationConfig {
    let Some(service) = service else {
        return StationConfig::new(u32::MAX, Law::Deterministic(Duration::ZERO));
    };
    let law = law(service.service_time);
    let discipline = match service.discipline {
        Discipline::Fifo => Order::FirstComeFirstServed,
        Discipline::ProcessorSharing => Order::ProcessorSharing,
    };
    StationConfig {
        discipline,
        queue_max: service.queue_limit,
        queue_timeout: service.queue_timeout,
        cancels: service.cancel_propagates,
        warmup: service.warmup,
        ..StationConfig::new(service.concurrency, law)
    }
}

/// The parameters were checked with the scenario; a law they do not fit cannot come this far.
pub fn law(law: ServiceTime) -> Law {
    match law {
        ServiceTime::Deterministic(span) => Law::Deterministic(span),
        ServiceTime::Exponential(mean) => Law::Exponential(mean),
        ServiceTime::Lognormal { p50, p99 } => Law::lognormal(p50, p99).expect("p50 below p99"),
        ServiceTime::BoundedPareto { low, high, alpha } => {
            Law::bounded_pareto(low, high, alpha).expect("low below high and a positive tail index")
        }
        ServiceTime::Hyperexponential { mean, scv } => Law::hyperexponential(mean, scv).expect("it varies enough"),
    }
}
