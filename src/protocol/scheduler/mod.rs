//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod apply;
pub mod assign;
pub mod classes;
pub mod command;
mod deployments;
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
mod surplus;
mod system;
pub mod update;
pub mod versions;

#[cfg(test)]
mod story_tests;
