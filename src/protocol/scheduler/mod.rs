//! Nomad servers: state, scheduler, evaluation broker, plans, heartbeats.

pub mod apply;
pub mod classes;
pub mod command;
pub mod plan;
pub mod ports;
pub mod release;
pub mod state;
