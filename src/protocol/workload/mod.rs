//! Load and the instances that serve it: arrivals, service times, queueing stations, clients.
//!
//! Invariants: every request a client issues ends exactly once, with a cause; draws that belong to a request are
//! indexed by its number, so that leaving one out shifts no other.
//!
//! Left out: hedged requests; caches; requests that fan out to further services. A request's cost depends on nothing
//! but its draw and its station's speed and age. Service times follow a law; recorded ones (an empirical distribution)
//! cannot be given, so that a tail that fits none of the laws is not reproduced. What an instance can do is what its
//! service says, whatever processor share it was given or the machine has: where requests are bound by the processor, a
//! larger `cpu` or a faster machine type would serve more than it does here.

pub mod arrival;
pub mod service_time;
pub mod station;
pub mod stations;
pub mod client;
