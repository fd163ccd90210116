//! The integration tests, one binary.

mod cli;
mod golden;
mod tidy;
mod raft;
mod scenario;
