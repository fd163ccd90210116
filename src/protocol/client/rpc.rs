//! The client's side of remote calls: the server list, calls under way, retries within the hold time.
//!
//! Nomad 1.1.0 `client/rpc.go` and `client/servers`: the head of the list is used until a call to it fails, then it
//! goes
//! to the tail; "no leader" errors, and reads that lost their connection, are tried again for `rpc_hold_timeout`.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::alloc::AllocId;
use crate::protocol::scheduler::message::{Call, Request, RpcError};

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Registration.
    Register,
    /// Heartbeat.
    Beat,
    /// The list of allocations.
    Pull,
    /// Allocations in full.
    Fetch,
    /// Status updates.
    Push,
    /// The predecessor of this allocation.
    Predecessor(AllocId),
}

/// A call under way or waiting to be tried again.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Whom it was sent to.
    pub to: ProcessId,
    /// What for.
    pub purpose: Purpose,
    /// The question.
    pub request: Request,
    /// When it was first tried.
    pub first: Time,
    /// When it was sent last.
    pub sent: Time,
}

impl Outgoing {
    /// Whether the answer may take as long as a blocking query.
    pub fn blocks(&self) -> bool {
        self.request.is_stale()
    }

    /// Whether this error is worth another try with another server, within `hold` of the first.
    pub fn is_worth_retrying(&self, now: Time, error: RpcError, hold: Duration, block: Duration) -> bool {
        let limit = if self.blocks() { hold + block } else { hold };
        let kind = matches!(error, RpcError::NoLeader | RpcError::NotReady) || error == RpcError::Lost && self.blocks();
        kind && now.since(self.first) < limit
    }
}

/// The calls of one client.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    next: u32,
    /// Servers of the region, the one in use first.
    pub servers: Vec<ProcessId>,
    /// The list as the servers last gave it, to see changes.
    pub given: Option<Arc<Vec<ProcessId>>>,
    /// Sent and not answered.
    pub out: OrdMap<Call, Outgoing>,
    /// To be sent again.
    pub held: OrdMap<(Time, Call), Outgoing>,
}

impl Calls {
    /// With this server list.
    pub fn new(servers: Vec<ProcessId>) -> Self {
        Self { servers, ..Self::default() }
    }

    /// A number for a new call.
    pub fn fresh(&mut self) -> Call {
        self.next = self.next.wrapping_add(1);
        Call(self.next)
    }

    /// The server in use failed: it goes to the tail.
    pub fn rotate(&mut self, failed: ProcessId) {
        if self.servers.first() == Some(&failed) {
            self.servers.rotate_left(1);
        }
    }

    /// Takes out all calls to a server.
    pub fn take_to(&mut self, server: ProcessId) -> Vec<Outgoing> {
        let ids: Vec<Call> = self.out.iter().filter(|(_, call)| call.to == server).map(|(id, _)| *id).collect();
        ids.iter().filter_map(|id| self.out.remove(id)).collect()
    }

    /// Forgets all calls; the process died.
    pub fn crash(&mut self) {
        self.out.clear();
        self.held.clear();
    }
}
