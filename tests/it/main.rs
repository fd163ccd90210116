//! The integration tests, one binary.

mod golden;
mod tidy;
mod raft;
