//! The integration tests, one binary.

mod cli;
mod judged;
mod golden;
mod tidy;
mod raft;
mod scenario;
