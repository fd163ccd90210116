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
//! updates, not their latency. From Nomad 1.6 on those that change a status are urgent, and health waits for the
//! slower beat.
//!
//! No agent is shut down in an orderly way: a client's process dies, and its tasks live on or go with their host. So
//! `leave_on_interrupt` and `drain_on_shutdown` (Nomad 1.5.4, GH-16827; off by default) have no place here: where an
//! installation drains on shutdown, work moves before the process ends and nothing is lost to a missed heartbeat, as
//! after a drain by an operator.
//!
//! A client that reaches none of its servers does not ask Consul for others (`triggerDiscovery`): it tries those it
//! knows, in turn. That counts only where all of them are replaced while it is cut off.

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
