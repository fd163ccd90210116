//! What a leader does about the membership of its Raft group, for servers that keep one beside a Serf pool: changes
//! asked for by [`autopilot`], one after the other.

use std::collections::VecDeque;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::protocol::gossip::intent::Status;
use crate::protocol::gossip::serf::Serf;
use crate::protocol::raft::autopilot::{self, Admission, Health, Standing};
use crate::protocol::raft::{ChangeError, Command, MembershipChange, RaftNode};

/// What a leader remembers of the servers.
#[derive(Debug, Clone)]
pub(super) struct Pilot {
    admission: Admission,
    health: Health,
    /// Looks since it leads.
    looks: u32,
    /// Somebody was taken in or promoted: the dead may be outnumbered now, and the next look sees to them.
    eager: bool,
    /// Changes to be made.
    changes: VecDeque<MembershipChange>,
}

/// How a pool sees those of its members that are servers of the group.
pub(super) fn standings(serf: &Serf, is_ours: impl Fn(ProcessId) -> bool) -> OrdMap<ProcessId, Standing> {
    let standing = |status| match status {
        Status::Alive | Status::Leaving => Standing::Alive,
        Status::Failed => Standing::Failed,
        Status::Left => Standing::Left,
    };
    let members = serf.members().filter(|(_, address, _)| is_ours(*address));
    members.map(|(_, address, status)| (address, standing(status))).collect()
}

impl Pilot {
    pub(super) fn new(admission: Admission) -> Self {
        Self { admission, health: Health::default(), looks: 0, eager: false, changes: VecDeque::new() }
    }

    /// This server does not lead any more.
    pub(super) fn rest(&mut self) {
        *self = Self::new(self.admission);
    }

    /// Raft's servers are to follow the pool's: one of them, or all (Nomad `reconcileMember`). While too much waits to
    /// be done, news of one is dropped; the next comparison of all makes up for it.
    pub(super) fn follow<E: Command>(
        &mut self,
        raft: &RaftNode<E>,
        standings: &OrdMap<ProcessId, Standing>,
        member: Option<ProcessId>,
    ) {
        if member.is_some() && self.changes.len() >= CHANGES_MAX {
            return;
        }
        let those = standings.keys().copied().filter(|id| member.is_none_or(|member| member == *id));
        let reaped = member.filter(|id| !standings.contains_key(id));
        for id in those.chain(reaped).filter(|id| *id != raft.id()) {
            let standing = standings.get(&id).copied();
            self.changes.extend(autopilot::on_standing(raft.configuration(), id, standing, self.admission));
        }
    }

    /// Every 2 s: health; every 10 s pruning and promotion; every 60 s a comparison of all. Returns who is to be
    /// declared to have left.
    pub(super) fn look<E: Command>(
        &mut self,
        now: Time,
        raft: &RaftNode<E>,
        standings: impl FnOnce() -> OrdMap<ProcessId, Standing>,
    ) -> Vec<ProcessId> {
        self.looks += 1;
        let (last, _) = raft.last_entry();
        self.health.look(now, raft.configuration(), last, |id| raft.progress(id));
        if !self.looks.is_multiple_of(autopilot::LOOKS_PER_ROUND) && !self.eager {
            return Vec::new();
        }
        self.eager = false;
        self.changes.extend(self.health.promotions(now));
        let standings = standings();
        let pruning = autopilot::prune(raft.configuration(), &standings);
        self.changes.extend(pruning.remove.into_iter().map(MembershipChange::RemoveServer));
        if self.looks.is_multiple_of(autopilot::LOOKS_PER_RECONCILE) {
            self.follow(raft, &standings, None);
        }
        pruning.leave
    }

    /// Hands the next change to Raft. What has to wait for the one before stays for the next call.
    pub(super) fn carry_out<E: Command>(&mut self, now: Time, raft: &mut RaftNode<E>, fx: &mut impl Fx<RaftNode<E>>) {
        while let Some(change) = self.changes.front().copied() {
            let configuration = raft.configuration();
            if configuration.with(change) != *configuration {
                match raft.change_membership(now, change, fx) {
                    Err(ChangeError::Unstable | ChangeError::Transferring) => return,
                    Ok(_) => self.eager |= !matches!(change, MembershipChange::RemoveServer(_)),
                    Err(ChangeError::NotLeader { .. } | ChangeError::NoVoter) => {}
                }
            }
            self.changes.pop_front();
        }
    }
}

/// Changes that may wait when another one comes (Nomad `reconcileCh`; Consul's has 256 slots, but no group comes near).
const CHANGES_MAX: usize = 32;
