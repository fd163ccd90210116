//! The Nomad client agent: one per host that runs work.
//!
//! Covers Nomad 1.1.0 `client/client.go` (registration, heartbeats, server list, alloc pull and push),
//! `client/allocrunner` (hooks, task order, kill sequence), `taskrunner/restarts`, `client/allocwatcher`,
//! `client/allochealth` and `client/heartbeatstop.go`. Knows nothing of drivers: the container starts and stops
//! tasks when told to by an [`event::Event`] and reports back.
//!
//! Left out: disk migration of sticky volumes, artifacts and templates (their time is
//! part of the setup delay), client-side garbage collection, `max_client_disconnect` on the client. An update is pushed
//! when the status, end or health of an allocation changes, not on every task event; this lowers the number of client
//! updates, not their latency. All of these are urgent, so prioritised updates (Nomad 1.6) change nothing here.

pub mod agent;
pub mod alarms;
mod allocs;
pub mod config;
pub mod event;
pub mod health;
mod judge;
pub mod restart;
pub mod rpc;
pub mod runner;
