//! Metrics, the failover breakdown and the observers that check invariants. Everything here looks at a run from
//! outside, through the notices of [`crate::world::event`].

pub mod distribution;
pub mod gauge;
pub mod metric;
pub mod series;
mod room;
mod balance;
mod turnover;
pub mod reasons;
pub mod placement;
pub mod requests;
pub mod control;
pub mod detection;
mod by_instance;
pub mod failover;
pub mod recorder;
pub mod outcome;
pub mod invariant;
pub mod laws;
pub mod catalogue;
pub mod labels;
pub mod objective;
pub mod bound;
pub mod tolerance;
