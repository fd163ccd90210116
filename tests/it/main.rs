//! The integration tests, one binary.

mod autopilot;
mod cli;
mod judged;
mod desk;
mod explain;
mod golden;
mod quality;
mod tidy;
mod scenarios;
mod raft;
mod routine;
mod scenario;
mod surface;
mod orchestration;
