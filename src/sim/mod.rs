//! The engine: queue, clock, timers, network, disks, faults, digest.

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
mod stream;
mod timers;
pub mod trace;

#[cfg(test)]
mod tests;
