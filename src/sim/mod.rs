//! The engine: queue, clock, timers, network, disks, faults, digest.
//!
//! [`engine::Engine`] drives any [`crate::base::machine::Machine`] and knows nothing of protocols. What holds:
//!
//! - time never decreases; an effect on another process comes at least one nanosecond after its cause;
//! - the order of events at one instant, and every random draw, depend on names, never on who else is there;
//! - a process that does not run is told nothing, and what was meant for an earlier life reaches a later one only as a
//!   datagram;
//! - per-pair state exists only for pairs that exchanged a stream message; nothing scans processes, hosts or links.
//!
//! All hosts share one clock: skew and drift are not modelled, which could change results that compare wall-clock times
//! of different hosts. Processes of one host share no processor and no disk queue, which flatters crowded hosts.

pub mod control;
mod core;
mod deliver;
pub mod digest;
pub mod disk;
pub mod engine;
pub mod fault;
pub mod network;
mod parcel;
pub mod queue;
mod record;
mod stream;
mod timers;
pub mod trace;

#[cfg(test)]
mod patience_tests;
#[cfg(test)]
mod tests;
