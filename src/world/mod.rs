//! The wiring: which machines make up a process, which processes a world, and what befalls them.
//!
//! [`spec`] is the world to build, in plain resolved values; [`event`] is what a world tells its observers. This is the
//! only layer where protocols meet the engine.

pub mod spec;
pub mod event;
pub mod atlas;
pub mod naming;
pub mod entry;
pub mod wire;
pub mod via;
pub mod process;
pub mod routine;
pub mod checks;
pub mod member;
mod pilot;
pub mod consul_server;
pub mod consul_agent;
pub mod replicas;
pub mod nomad_server;
pub mod registrations;
pub mod nomad_client;
pub mod life;
pub mod runtime;
pub mod station;
pub mod desk;
pub mod residents;
pub mod proxy;
pub mod balancer;
mod upcoming;
pub mod users;
pub mod orders;
pub mod operator;
pub mod packing;
pub mod chronicle;
pub mod build;
pub mod run;
mod calm;
mod way_back;
mod timeline;
