//! Routine: what is bound to come out as it does. A world counts it instead of carrying it out, and is the same world.
//!
//! What it consists of: health checks of tasks on their own machine ([`crate::world::checks`]), the probes of gossip
//! pools ([`crate::world::member`]; when they may be counted is decided in `calm.rs`), and the way of responses back to
//! their users (`way_back.rs`). Log entries of Nomad's servers are worked out by one replica for all
//! ([`crate::world::replicas`]).

/// What is done about routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routine {
    /// It is counted, as long as nothing can make it come out differently.
    Counted,
    /// It is carried out.
    Simulated,
}
