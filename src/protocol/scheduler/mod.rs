//! Nomad servers: the replicated state, the scheduler that decides on it, and the control plane around it.
//!
//! The decision is pure: [`process::Process`] turns an evaluation and a snapshot into plans. The control plane
//! ([`server::Server`]) is a machine: evaluation broker, blocked evaluations, workers, plan queue and applier,
//! heartbeats, leadership and routing. Raft and Serf stand beside it in the process that contains it.

// The replicated state.
pub mod apply;
pub mod classes;
pub mod command;
mod jobs;
pub mod plan;
pub mod ports;
pub mod release;
pub mod state;

// The decision, a pure function of a snapshot.
pub mod assign;
pub mod attributes;
pub mod devices;
mod board;
mod consult;
mod draft;
pub mod explain;
mod feasible;
pub mod fit;
mod generic;
pub mod names;
mod node_map;
pub mod operators;
pub mod preempt;
pub mod process;
pub mod properties;
pub mod rank;
pub mod re2;
mod followups;
pub mod reconcile;
mod reconnect;
pub mod reschedule;
mod rollout;
mod spread;
pub mod stack;
mod record;
mod surplus;
mod system;
pub mod update;
pub mod versions;

// The servers around it.
pub mod applier;
pub mod blocked;
pub mod broker;
pub mod config;
mod core_jobs;
pub mod deployment_watcher;
pub mod drain;
pub mod dispatch;
pub mod event;
pub mod forward;
pub mod garbage;
pub mod heartbeat;
pub mod leader;
pub mod message;
mod node_evals;
mod operate;
mod operate_deployment;
pub mod operation;
pub mod periodic;
pub mod queue;
pub mod rejections;
pub mod server;
mod silence;
pub mod watch;
pub mod worker;
pub mod decide;

#[cfg(test)]
mod board_tests;
#[cfg(test)]
mod consult_tests;
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod drain_tests;
#[cfg(test)]
mod garbage_tests;
#[cfg(test)]
mod periodic_tests;
#[cfg(test)]
mod reconnect_tests;
#[cfg(test)]
mod rollout_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
pub(crate) mod story;
#[cfg(test)]
mod story_tests;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod version_tests;
