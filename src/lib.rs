//! cossim runs a whole container orchestration system on a virtual clock: consensus, gossip, discovery, scheduling,
//! ingress and user requests, deterministically.
//!
//! The layers, from the vocabulary up; a layer names only those it is allowed to (`docs/ARCHITECTURE.md`, and
//! `tests/it/tidy.rs` which enforces it).

pub mod analysis;
pub mod base;
pub mod cli;
pub mod measure;
pub mod model;
pub mod protocol;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod world;
