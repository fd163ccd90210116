//! Clusters of Raft servers on a small driver of their own, so that the protocol is tested apart from the engine.

pub(crate) mod cluster;
mod laws;
