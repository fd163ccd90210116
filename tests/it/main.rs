//! The integration tests, one binary.

mod agent;
mod autopilot;
mod ci;
mod capacity;
mod cli;
mod compare;
mod judged;
mod desk;
mod explain;
mod faults;
mod golden;
mod quality;
mod tidy;
mod scenarios;
mod raft;
mod routine;
mod scale;
mod scenario;
mod surface;
mod sweep;
mod orchestration;
mod page;
