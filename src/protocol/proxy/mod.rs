//! Ingress: fabio and the cloud load balancer in front of it.
//!
//! Covered: fabio 1.7.3 with the differences of 1.5.10 and 1.6.3 behind [`release::Release`] (route language, table,
//! lookup, weights, pickers, access rules, redirects, tags, health filter, watcher, proxying), and the application load
//! balancer of AWS (target health per balancer node, selection, fail open, timeouts, the DNS answer its clients cache).
//!
//! Invariants: a request goes only to a target of the table that was current when it was chosen; a table is replaced
//! whole or not at all; every request a hop accepted is answered or abandoned exactly once.
//!
//! Left out: TLS, HTTP/2, WebSocket tunnels and bodies (no result of ours depends on bytes), the time a proxy itself
//! spends per request (0.1 to 1 ms; add it to the hop's delay), service-mesh policies (outlier ejection, circuit
//! breakers,
//! consistent hashing), for which this folder is the place.

pub mod release;
pub mod url;
pub mod glob;
pub mod command;
pub mod endpoint;
pub mod weight;
pub mod access;
pub mod redirect;
pub mod target;
pub mod configuration;
pub mod table;
pub mod pick;
pub mod forward;
pub mod registry;
pub mod memo;
pub mod passing;
pub mod workshop;
pub mod watcher;
pub mod message;
pub mod inflight;
pub mod fabio_config;
pub mod fabio;
pub mod health;
pub mod alb;
pub mod dns;

#[cfg(test)]
mod stories;
