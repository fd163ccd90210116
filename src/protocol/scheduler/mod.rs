//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod applier;
pub mod apply;
pub mod blocked;
pub mod broker;
pub mod classes;
pub mod command;
pub mod config;
pub mod event;
pub mod forward;
pub mod heartbeat;
pub mod leader;
pub mod message;
pub mod plan;
pub mod ports;
pub mod queue;
pub mod release;
pub mod rollout;
pub mod server;
pub mod state;
pub mod watch;
pub mod worker;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
pub(crate) mod story;
#[cfg(test)]
pub(crate) mod test_support;
pub mod assign;
pub mod classes;
pub mod command;
mod draft;
mod feasible;
pub mod fit;
mod generic;
pub mod names;
pub mod operators;
pub mod plan;
pub mod ports;
pub mod preempt;
pub mod process;
pub mod properties;
pub mod rank;
pub mod reconcile;
pub mod release;
pub mod reschedule;
mod spread;
pub mod stack;
pub mod state;
mod system;
pub mod update;
pub mod versions;
