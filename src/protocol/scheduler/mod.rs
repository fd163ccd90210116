//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod blocked;
pub mod broker;
pub mod heartbeat;
pub mod queue;

#[cfg(test)]
pub(crate) mod test_support;
