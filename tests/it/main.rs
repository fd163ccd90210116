//! The integration tests, one binary.

mod autopilot;
mod cli;
mod judged;
mod desk;
mod explain;
mod golden;
mod tidy;
mod scenarios;
mod raft;
mod routine;
mod scenario;
mod surface;
mod sweep;
mod orchestration;
