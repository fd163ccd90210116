//! What the two control planes put into their Raft logs.

use std::fmt;
use std::sync::Arc;

use crate::protocol::catalog;
use crate::protocol::raft;
use crate::protocol::scheduler;

/// A log entry of Nomad's servers.
#[derive(Clone)]
pub struct NomadEntry(pub Arc<scheduler::command::Command>);

impl raft::Command for NomadEntry {
    type Snapshot = scheduler::state::State;

    fn bytes(&self) -> u32 {
        self.0.bytes()
    }

    fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }
}

impl fmt::Debug for NomadEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind())
    }
}

/// A log entry of Consul's servers.
#[derive(Clone)]
pub struct CatalogEntry(pub Arc<catalog::record::Command>);

impl raft::Command for CatalogEntry {
    type Snapshot = catalog::registry::State;

    fn bytes(&self) -> u32 {
        self.0.bytes()
    }

    fn fingerprint(&self) -> u64 {
        self.0.fingerprint()
    }
}

impl fmt::Debug for CatalogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
