//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod applier;
pub mod apply;
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
pub mod server;
pub mod state;
pub mod watch;
pub mod worker;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod story;
#[cfg(test)]
pub(crate) mod test_support;
mod system;
pub mod update;
pub mod versions;
