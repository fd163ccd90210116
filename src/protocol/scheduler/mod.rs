//! Nomad servers: the replicated state, the scheduler that decides on it, and the control plane around it.
//!
//! The decision is pure: [`process::Process`] turns an evaluation and a snapshot into plans. The control plane
//! ([`server::Server`]) is a machine: evaluation broker, blocked evaluations, workers, plan queue and applier,
//! heartbeats, leadership and routing. Raft and Serf stand beside it in the process that contains it.

pub mod applier;
pub mod apply;
pub mod blocked;
pub mod broker;
pub mod classes;
pub mod command;
pub mod config;
mod deployments;
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
pub mod operators;
pub mod versions;
pub mod properties;
mod feasible;
pub mod assign;
pub mod fit;
pub mod rank;
mod spread;
mod draft;
pub mod stack;
pub mod preempt;
pub mod names;
pub mod update;
pub mod reschedule;
pub mod reconcile;
mod generic;
mod surplus;
mod system;
pub mod process;
pub mod watch;
pub mod worker;
pub mod decide;

#[cfg(test)]
mod server_tests;
#[cfg(test)]
pub(crate) mod story;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
pub(crate) mod test_support;
