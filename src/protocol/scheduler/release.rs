//! Behaviour by release: every quirk that a later Nomad fixed is a switch, and a release sets them all
//! (Nomad CHANGELOG, 1.1.0 to 1.6).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::protocol::orchestrator::policy::Plugged;

/// A Nomad release, from 1.1.0 to 1.6.15. One that changed nothing modelled here behaves as the last one before it that
/// did; of the series before 1.6 any third number is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The second number.
    pub minor: u16,
    /// The third number. `1.6` alone means its last patch.
    pub patch: u16,
}

impl Release {
    /// The release the recordings were made with.
    pub const V1_1_0: Self = Self { minor: 1, patch: 0 };
    /// The last one modelled.
    pub const V1_6: Self = Self { minor: 6, patch: u16::MAX };
    /// The last of series 1.6, of September 2024 (Nomad CHANGELOG).
    const LAST_PATCH: u16 = 15;

    const fn at_least(self, minor: u16, patch: u16) -> bool {
        self.minor > minor || self.minor == minor && self.patch >= patch
    }

    /// Fixed in `old` of an old branch and in `new` of the following one.
    const fn fixed_in(self, old: (u16, u16), new: (u16, u16)) -> bool {
        self.minor == old.0 && self.patch >= old.1 || self.at_least(new.0, new.1)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)?;
        if self.patch == u16::MAX { Ok(()) } else { write!(f, ".{}", self.patch) }
    }
}

/// Why a text names no release.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a Nomad release from `1.1.0` to `1.6.15`")]
pub struct ReleaseError {
    /// What was given.
    pub text: String,
}

impl FromStr for Release {
    type Err = ReleaseError;

    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let error = || ReleaseError { text: text.into() };
        let mut parts = text.strip_prefix("1.").ok_or_else(error)?.split('.');
        let minor = parts.next().and_then(|part| part.parse().ok()).ok_or_else(error)?;
        let patch = match parts.next() {
            Some(part) => part.parse().map_err(|_| error())?,
            None => u16::MAX,
        };
        let newer = minor == 6 && Self::LAST_PATCH < patch && patch < u16::MAX;
        if parts.next().is_some() || !(1..=6).contains(&minor) || newer {
            return Err(error());
        }
        Ok(Self { minor, patch })
    }
}

/// What servers and clients do where releases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of one release")]
pub struct Behaviour {
    /// Candidates scored when a spread or an affinity applies. Bounded from 1.1.10 and 1.2.4 on (GH-11712).
    pub spread_limit: SpreadLimit,
    /// Allocations are replaced when their datacenter is taken off the job's list (1.1.3, GH-10864).
    pub datacenters_destructive: bool,
    /// The wildcard `*` in a job's datacenters (1.5.0, GH-11170).
    pub datacenter_wildcards: bool,
    /// A system job whose datacenters are wildcards is updated in place (1.5.1, GH-16362).
    pub system_wildcards_in_place: bool,
    /// Node pools (1.6.0, GH-11041).
    pub node_pools: bool,
    /// A node that registers again as something else is evaluated: its jobs and all system jobs (1.1.4, GH-11007).
    pub changed_nodes_evaluated: bool,
    /// Groups without canaries do not hold an automatic promotion up (1.1.4, GH-11013).
    pub canaryless_groups_promote: bool,
    /// The scheduler type `sysbatch` (1.2.0, GH-9160).
    pub sysbatch: bool,
    /// A drain is over once clients have stopped what was on the node, not once servers want it stopped (1.5.4,
    /// GH-14348).
    pub drain_awaits_clients: bool,
    /// Operators may give the evaluation of a registration or deregistration a priority of its own (1.1.10 and 1.2.4,
    /// GH-11532).
    pub eval_priority_override: bool,
    /// Evaluations of batch jobs are collected after a time of their own, and with them terminal allocations of older
    /// versions, not only of older incarnations (1.5.0, GH-15097).
    pub batch_evals_kept: bool,
    /// Nodes that keep rejecting plans can be made ineligible (1.3.2, GH-13421).
    pub plan_rejections_tracked: bool,
    /// A new leader does not catch up on a launch while children run, if they must not overlap (1.5.4, GH-16583).
    pub catch_up_checks_overlap: bool,
    /// Nodes are disconnected before they are down, and allocations with `max_client_disconnect` unknown before they
    /// are lost (1.3.0, GH-12476).
    pub disconnected_clients: bool,
    /// An allocation that failed while it was away is stopped and replaced when it returns (1.3.8 and 1.4.3, GH-15068).
    pub failed_returns_replaced: bool,
    /// A node that was silent is ready again only after it has reported its allocations, and silent nodes may not
    /// report (1.5.0, GH-15808).
    pub ready_after_reports: bool,
    /// A replacement that does not run yet yields to an allocation that returns (1.5.4, GH-16609).
    pub running_replacements_only: bool,
    /// A leader that cannot establish itself hands leadership over (1.3.0, GH-12293).
    pub failed_leaders_step_down: bool,
    /// Raft protocol 3: new servers do not vote before they have been stable (the default from 1.3.0 on, GH-11572).
    pub servers_vote_when_stable: bool,
    /// The evaluation broker can be paused (1.3.2, GH-13045).
    pub broker_pause: bool,
    /// Registrations can be rejected (1.1.10 and 1.2.4, GH-11610).
    pub registration_switch: bool,
    /// A deployment fails as soon as a failed allocation may not be rescheduled any more (1.6.0, GH-17341).
    pub deployments_fail_early: bool,
    /// Of allocations with the same number one gets another when it is replaced (1.6.3, GH-18873).
    pub duplicate_names_repaired: bool,
    /// `distinct_hosts` with the value `false` is off (1.5.4, GH-16907).
    pub distinct_hosts_value: bool,
    /// Dynamic ports of one ask exclude each other (1.5.1, GH-16401).
    pub dynamic_ports_exclusive: bool,
    /// The implicit spread target pools all values without a target of their own, and a wanted share of zero scores -1
    /// instead of minus infinity (1.5.6, GH-17195 and GH-17198).
    pub spread_implicit_pooled: bool,
    /// Deregistration and scaling evaluations have the job's priority (1.1.7, GH-11426 and GH-11429).
    pub job_priority_kept: bool,
    /// Updates in place are let through on ineligible nodes (1.3.0, GH-12264).
    pub updates_on_ineligible: bool,
    /// Preempted batch jobs are placed again even if their tasks ended well (1.1.15 and 1.3.2, GH-13205).
    pub evicted_batch_rescheduled: bool,
    /// Node updates skip system jobs of other datacenters (1.3.2, GH-12955).
    pub node_updates_by_datacenter: bool,
    /// Only the newest of a job's pending evaluations is processed (1.3.8 and 1.4.3, GH-14621).
    pub newest_pending_only: bool,
    /// Failed allocations keep their reschedule history when the replacement cannot be placed (1.6.12,
    /// GH-12319).
    pub reschedule_history_kept: bool,
    /// A poststart task that ended well does not make its allocation unhealthy (1.1.13 and 1.2.7, GH-11945).
    pub poststart_may_end: bool,
    /// Of a client's times to send status updates, 200 ms apart, only every so many-eths are for those that change no
    /// status: 5 from 1.6.0 on (GH-17354), 1 before.
    pub client_update_ticks: u64,
    /// Type queues are compared by the last slot of their heaps instead of the root (a quirk of all releases).
    pub broker_peeks_last: bool,
}

impl Behaviour {
    /// The switches of a release.
    pub const fn of(release: Release) -> Self {
        Self {
            spread_limit: if release.fixed_in((1, 10), (2, 4)) { SpreadLimit::Count } else { SpreadLimit::All },
            datacenters_destructive: release.at_least(1, 3),
            datacenter_wildcards: release.at_least(5, 0),
            system_wildcards_in_place: release.at_least(5, 1),
            node_pools: release.at_least(6, 0),
            changed_nodes_evaluated: release.at_least(1, 4),
            canaryless_groups_promote: release.at_least(1, 4),
            sysbatch: release.at_least(2, 0),
            drain_awaits_clients: release.at_least(5, 4),
            eval_priority_override: release.fixed_in((1, 10), (2, 4)),
            batch_evals_kept: release.at_least(5, 0),
            plan_rejections_tracked: release.at_least(3, 2),
            catch_up_checks_overlap: release.at_least(5, 4),
            disconnected_clients: release.at_least(3, 0),
            failed_returns_replaced: release.fixed_in((3, 8), (4, 3)),
            ready_after_reports: release.at_least(5, 0),
            running_replacements_only: release.at_least(5, 4),
            failed_leaders_step_down: release.at_least(3, 0),
            servers_vote_when_stable: release.at_least(3, 0),
            broker_pause: release.at_least(3, 2),
            registration_switch: release.fixed_in((1, 10), (2, 4)),
            deployments_fail_early: release.at_least(6, 0),
            duplicate_names_repaired: release.at_least(6, 3),
            distinct_hosts_value: release.at_least(5, 4),
            dynamic_ports_exclusive: release.at_least(5, 1),
            spread_implicit_pooled: release.at_least(5, 6),
            job_priority_kept: release.at_least(1, 7),
            updates_on_ineligible: release.at_least(3, 0),
            evicted_batch_rescheduled: release.fixed_in((1, 15), (3, 2)),
            node_updates_by_datacenter: release.at_least(3, 2),
            newest_pending_only: release.fixed_in((3, 8), (4, 3)),
            reschedule_history_kept: release.at_least(6, 12),
            poststart_may_end: release.fixed_in((1, 13), (2, 7)),
            client_update_ticks: if release.at_least(6, 0) { 5 } else { 1 },
            broker_peeks_last: true,
        }
    }
}

impl Default for Behaviour {
    /// Release 1.6.
    fn default() -> Self {
        Self::of(Release::V1_6)
    }
}

/// How many candidates are scored when a spread or an affinity applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpreadLimit {
    /// Every node.
    All,
    /// As many as the group has instances, and at least 100 (Nomad `GenericStack.Select`: "count, at most 100" in the
    /// words of some documents is not what it does).
    Count,
    /// This many, or as many as without spreads if those are more. Not Nomad's.
    AtMost(u32),
}

impl SpreadLimit {
    /// The limit for a group of `count` instances whose job scores `usual` candidates without spreads.
    pub(super) fn of(self, count: u32, usual: u32) -> u32 {
        match self {
            Self::All => u32::MAX,
            Self::Count => count.max(100),
            Self::AtMost(most) => most.max(usual),
        }
    }
}

/// How nodes are ranked by their fill (Nomad `scheduler_algorithm`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Algorithm {
    /// Fill nodes up.
    #[default]
    Binpack,
    /// Fill nodes evenly.
    Spread,
}

/// Scheduler configuration of a region (Nomad `scheduler-config`), and the release it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "preemption is switched by scheduler type")]
pub struct SchedulerConfig {
    /// Default binpack.
    pub algorithm: Algorithm,
    /// Default false.
    pub preempt_service: bool,
    /// Default false.
    pub preempt_batch: bool,
    /// Default true.
    pub preempt_system: bool,
    /// Default false.
    pub preempt_sysbatch: bool,
    /// Switches of the release.
    pub behaviour: Behaviour,
    /// Records why every selection came out as it did; not Nomad's, changes no decision. Default false.
    pub explains: bool,
    /// Who chooses nodes for service and batch jobs in Nomad's place. Default: nobody.
    pub policy: Option<Plugged>,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Binpack,
            preempt_service: false,
            preempt_batch: false,
            preempt_system: true,
            preempt_sysbatch: false,
            behaviour: Behaviour::default(),
            explains: false,
            policy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_set_their_switches() {
        let release = |text: &str| text.parse::<Release>().unwrap();
        assert_eq!(release("1.1.0"), Release::V1_1_0);
        assert_eq!(release("1.6"), Release::V1_6);
        for text in ["2.0", "1.0.5", "1.7", "1.6.16", "1.6.99", "1.x", "1.6.3.1", "1", ""] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
        assert_eq!(Behaviour::of(release("1.6.15")), Behaviour::of(Release::V1_6));
        assert_eq!(Behaviour::of(release("1.3.4")), Behaviour::of(release("1.3.2")), "nothing changed between");
        for (text, bounded) in [("1.1.9", false), ("1.1.10", true), ("1.2.3", false), ("1.2.4", true), ("1.3.0", true)]
        {
            assert_eq!(Behaviour::of(release(text)).spread_limit == SpreadLimit::Count, bounded, "{text}");
        }
        for text in ["1.1.0", "1.2.0", "1.6.15"] {
            assert!(Behaviour::of(release(text)).broker_peeks_last, "{text}: no release changed it");
        }
    }
}
