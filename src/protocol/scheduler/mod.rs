//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod blocked;
pub mod broker;
pub mod heartbeat;
pub mod message;
pub mod queue;

pub mod apply;
pub mod assign;
pub mod classes;
pub mod command;
mod draft;
mod feasible;
pub mod fit;
pub mod operators;
pub mod plan;
pub mod ports;
pub mod preempt;
pub mod properties;
pub mod rank;
pub mod release;
mod spread;
pub mod stack;
pub mod state;
#[cfg(test)]
pub(crate) mod test_support;
pub mod versions;
