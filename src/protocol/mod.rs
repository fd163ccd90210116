//! Complete, sans-IO implementations of the protocols: each a state machine that could run on sockets.

pub mod catalog;
pub mod client;
pub mod gossip;
pub mod orchestrator;
pub mod proxy;
pub mod raft;
pub mod scheduler;
pub mod workload;
