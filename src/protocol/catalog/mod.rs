//! Consul: the catalog of nodes, services and checks, its servers, and the agent on every host.
//!
//! Covered, after Consul 1.8 (with the release's own names): the state store with its indexes ([`registry`]), health
//! queries ([`health`]), blocking queries ([`query`]), the servers' RPC and the leader's reconciliation with Serf
//! ([`server`], [`reconcile`]), the agent with its check runners ([`check`]), local state ([`local`]), anti-entropy
//! ([`anti_entropy`]) and choice of servers ([`router`]), and the DNS interface's choice of answers ([`dns`]).
//!
//! Raft and Serf are not here: a server says what it wants proposed and is told what was applied, who leads and which
//! members come and go, by the process that contains it.
//!
//! Left out: ACLs, Connect, prepared queries, sessions and locks (none of the systems modelled here coordinates through
//! them), KV (fabio alone reads it, for `/fabio/config`; `world::proxy` answers with what the scenario says is there,
//! after a consistent read of the catalog), network coordinates and `?near=` (answers are in catalog order), alias
//! checks, user-defined checks of a node. A result that depends on lock failover or on distance sorting cannot be had
//! from this module.

pub mod record;
pub mod registry;
pub mod health;
pub mod query;
pub mod message;
pub mod connection;
mod deadline;
pub mod reconcile;
pub mod server;
mod server_read;
pub mod check;
pub mod local;
pub mod anti_entropy;
pub mod router;
pub mod agent;
mod agent_sync;
pub mod dns;

#[cfg(test)]
mod story;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod agent_tests;
