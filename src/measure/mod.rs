//! Metrics, the failover breakdown, and the observers that check invariants.

pub mod invariant;
