//! memberlist (SWIM with Lifeguard) and Serf: who is in the pool, who has failed, and rumours that reach everybody.
//!
//! Covers `HashiCorp` memberlist 0.6.0 (probing with indirect and TCP fallback pings, suspicion with confirmations,
//! refutation, awareness, the transmit-limited broadcast queue, gossip to the dead, push/pull) and Serf 0.10 (Lamport
//! clocks, join and leave intents, reap and reconnect, user events, queries, Vivaldi coordinates).
//!
//! Invariants: an incarnation in a member table never goes back while the member stays in it; at most one rumour about
//! a member waits in a queue; every list is bounded by the directory, the queue limits or the event window.
//!
//! Left out: encryption, compression and protocol versions (sizes only); the two hand-off queues of depth 1024 behind
//! the packet reader (messages are handled as they arrive, so overload shows only through paused processes); merge,
//! alive and conflict delegates (an address conflict is dropped); the limit of 128 concurrent push/pulls; event
//! coalescing (off in Consul and Nomad); query filters and relays (the container filters), acknowledgements of queries
//! and their `no broadcast` flag. None of these changes detection or dissemination times of a pool that is not
//! overloaded.

pub mod config;
pub mod members;
pub mod message;

pub mod awareness;
pub mod broadcast;
pub mod suspicion;

mod exchange;
mod merge;
mod probe;
pub mod swim;

pub mod coordinate;
pub mod intent;
pub mod lamport;
pub mod serf;
mod rejoin;
mod rumour;

#[cfg(test)]
mod serf_tests;
#[cfg(test)]
mod swim_tests;
#[cfg(test)]
mod testing;
