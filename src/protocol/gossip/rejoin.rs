//! How an agent gets into its pool, and back into it: joins, the addresses of Serf's snapshot (`Join`, `handleRejoin`,
//! `snapshot.go`) and those of its configuration (`retry_join` of Consul and Nomad).
//!
//! An agent that starts alone goes both ways at once. Serf tries the members of its snapshot, one after the other,
//! until one answers. Whoever runs it joins the servers that its configuration names; while that reaches nobody, again
//! every 30 s. The snapshot is a file: who has joined stays in it until it fails or leaves, however often the agent
//! restarts before it hears from anybody.
//!
//! Assumed: the configuration does not name the agent itself (one that does "reaches" itself, which ends the retries).
//! Left out: the flush of the snapshot every 500 ms, so that nothing of it is lost; and that a join tries its addresses
//! one after the other: here it tries all at once, so an agent is back up to a dial's patience earlier for every
//! address before the good one that is silent.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::ordered::OrdMap;
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::protocol::gossip::intent::{Roster, Status};
use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::serf::{Event, Phase, Serf, SerfError, Timer};
use crate::protocol::gossip::swim::Purpose;

/// The ways into the pool that an agent knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// Whom its configuration names.
    configured: Arc<[ProcessId]>,
    /// Whether it still tries to reach one of those.
    retrying: bool,
    /// A join under way.
    joining: Option<Joining>,
    /// What the snapshot says of members that were alive in an earlier life.
    remembered: OrdMap<Member, ProcessId>,
    /// Those of them that are still to be tried.
    untried: VecDeque<ProcessId>,
}

/// A join under way: exchanges still out, and how many got through.
#[derive(Debug, Clone, Copy)]
struct Joining {
    pending: u32,
    reached: u32,
    ignore_old: bool,
}

impl Ways {
    /// Whether a join under way wants nothing of what happened before it.
    pub(super) fn ignores_old(&self) -> bool {
        self.joining.is_some_and(|joining| joining.ignore_old)
    }

    /// A member failed or left: the snapshot drops it.
    pub(super) fn forget(&mut self, member: Member) {
        self.remembered.remove(&member);
    }

    /// The agent leaves, or has left: it tries nobody any more.
    pub(super) fn abandon(&mut self) {
        self.retrying = false;
        self.remembered.clear();
        self.untried.clear();
    }

    /// The process died; the snapshot has what it had and who is alive now.
    pub(super) fn restart(&mut self, me: Member, roster: &Roster, rng: &mut Rng) {
        for (member, address, status) in roster.iter() {
            if member != me && matches!(status, Status::Alive | Status::Leaving) {
                self.remembered.insert(member, address);
            }
        }
        let mut untried: Vec<ProcessId> = self.remembered.values().copied().collect();
        rng.shuffle(&mut untried);
        self.untried = untried.into();
        self.joining = None;
        self.retrying = false;
    }

    /// The process died that keeps no snapshot, or had left.
    pub(super) fn restart_afresh(&mut self) {
        self.joining = None;
        self.abandon();
    }
}

impl Serf {
    /// The same agent with a configuration that names these addresses to join (`retry_join`); its own is passed over.
    pub fn configured_with(mut self, addresses: &Arc<[ProcessId]>) -> Self {
        self.ways.configured = Arc::clone(addresses);
        self
    }

    /// Whether a join is under way that was asked for.
    pub fn is_joining(&self) -> bool {
        self.ways.joining.is_some()
    }

    /// Joins the pool through whoever of `addresses` can be reached; [`Event::JoinDone`] tells the outcome. With
    /// `ignore_old`, user events from before are not replayed.
    pub fn join(
        &mut self,
        now: Time,
        addresses: &[ProcessId],
        ignore_old: bool,
        fx: &mut impl Fx<Self>,
    ) -> Result<(), SerfError> {
        if self.phase() != Phase::Alive {
            return Err(SerfError::Leaving);
        }
        let joining = self.ways.joining.get_or_insert(Joining { pending: 0, reached: 0, ignore_old });
        joining.pending += addresses.len() as u32;
        joining.ignore_old |= ignore_old;
        for &address in addresses {
            self.with_swim(fx, |swim, part| swim.exchange(now, address, Purpose::Join, part));
        }
        if addresses.is_empty() {
            self.conclude_join(now, fx);
        }
        self.digest_heard(now, fx);
        Ok(())
    }

    /// The agent starts alone.
    pub(super) fn find_pool(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.rejoin(now, fx);
        self.retry_join(now, fx);
    }

    /// Joins whom the configuration names.
    pub(super) fn retry_join(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let others = self.ways.configured.iter().copied().filter(|&address| address != self.swim.address);
        let others: Vec<ProcessId> = others.collect();
        self.ways.retrying = !others.is_empty();
        if self.ways.retrying {
            // An agent that leaves has been told to stop trying.
            let _ = self.join(now, &others, true, fx);
        }
    }

    pub(super) fn on_exchanged(&mut self, now: Time, purpose: Purpose, reached: bool, fx: &mut impl Fx<Self>) {
        match purpose {
            Purpose::Periodic | Purpose::Reconnect => {}
            Purpose::Join => {
                let joining = self.ways.joining.as_mut().expect("a join is under way");
                joining.pending -= 1;
                joining.reached += u32::from(reached);
                if joining.pending == 0 {
                    self.conclude_join(now, fx);
                }
            }
            Purpose::Rejoin if reached => self.ways.untried.clear(),
            Purpose::Rejoin => self.rejoin(now, fx),
        }
    }

    fn conclude_join(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let Some(Joining { pending: 0, reached, .. }) = self.ways.joining else { return };
        self.ways.joining = None;
        if reached > 0 {
            self.ways.retrying = false;
            if self.phase() == Phase::Alive {
                self.announce_join(now, fx);
            }
        } else if self.ways.retrying {
            fx.arm(Timer::RetryJoin, self.config.retry_join_interval);
        }
        fx.emit(Event::JoinDone { reached });
    }

    pub(super) fn on_retry_join(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if self.ways.retrying {
            self.retry_join(now, fx);
        }
    }

    /// Tries the next of the members that were alive before a restart, until one answers. Unlike a join it is not
    /// announced.
    fn rejoin(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if let Some(address) = self.ways.untried.pop_front() {
            self.with_swim(fx, |swim, part| swim.exchange(now, address, Purpose::Rejoin, part));
        }
    }
}
