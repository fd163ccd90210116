//! Recordings of raft.
