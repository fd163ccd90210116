//! Metrics, the failover breakdown and the observers that check invariants. Everything here looks at a run from
//! outside, through the notices of [`crate::world::event`].

pub mod control;
pub mod detection;
pub mod distribution;
pub mod failover;
pub mod gauge;
pub mod metric;
pub mod outcome;
pub mod placement;
pub mod recorder;
pub mod requests;
pub mod series;
//! Metrics, the failover breakdown, and the observers that check invariants.

pub mod invariant;
