//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod blocked;
pub mod broker;
pub mod heartbeat;
pub mod message;
pub mod queue;

pub mod apply;
pub mod classes;
pub mod command;
pub mod plan;
pub mod ports;
pub mod release;
pub mod state;
#[cfg(test)]
pub(crate) mod test_support;
