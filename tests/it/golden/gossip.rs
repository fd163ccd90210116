//! Recordings of gossip.
