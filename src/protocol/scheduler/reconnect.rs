//! Allocations of disconnected clients: unknown while they may return, replaced meanwhile, compared with their
//! replacements when they do (Nomad 1.3 to 1.6, `max_client_disconnect`).
//!
//! A replacement is placed as the group's reschedule policy allows, counted from the disconnection; the unknown
//! allocation stays beside it. The one that stays in the end is of the newer version, then the running one (1.5.4),
//! then the one whose node scored better; the original on a tie.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, ClientStatus, Desired};
use crate::model::job::{Job, TaskGroup};
use crate::protocol::scheduler::plan::StopReason;
use crate::protocol::scheduler::reconcile::{Due, Reconciler, Taint};
use crate::protocol::scheduler::release::Behaviour;
use crate::protocol::scheduler::reschedule::next_time_after;
use crate::protocol::scheduler::surplus::{Set, subtract};

/// Where an allocation stands, as far as its node matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is wrong, or it has ended.
    Untainted,
    /// It is to move.
    Migrating,
    /// It will not return.
    Lost,
    /// Its node was just disconnected.
    Disconnecting,
    /// It is unknown, and may return.
    Away,
    /// It was unknown, and its client speaks of it again.
    Returned,
}

/// How long a client may be away before its allocation is lost.
fn patience(alloc: &Alloc) -> Option<Duration> {
    alloc.task_group().max_client_disconnect
}

/// Unknown for longer than its group allows.
pub(super) fn is_expired(alloc: &Alloc, now: Time) -> bool {
    alloc.client == ClientStatus::Unknown
        && alloc.disconnected_at.zip(patience(alloc)).is_some_and(|(since, patience)| since + patience <= now)
}

/// Looks at one allocation and its node.
pub(super) fn standing(alloc: &Alloc, taint: Taint, now: Time, behaviour: &Behaviour) -> Standing {
    let may_return = behaviour.disconnected_clients && patience(alloc).is_some();
    let returns = may_return && alloc.disconnected_at.is_some();
    if returns
        && alloc.client == ClientStatus::Failed
        && alloc.desired == Desired::Run
        && behaviour.failed_returns_replaced
    {
        return Standing::Returned;
    }
    if alloc.is_terminal() {
        return Standing::Untainted;
    }
    if may_return && taint == Taint::Disconnected && alloc.client == ClientStatus::Running {
        return Standing::Disconnecting;
    }
    if alloc.transition.migrate {
        return Standing::Migrating;
    }
    match (taint, alloc.client) {
        _ if is_expired(alloc, now) => Standing::Lost,
        (_, ClientStatus::Unknown) if may_return => Standing::Away,
        (Taint::Gone | Taint::Disconnected, _) => Standing::Lost,
        (Taint::None | Taint::Draining, _) if returns => Standing::Returned,
        (Taint::None | Taint::Draining, _) => Standing::Untainted,
    }
}

/// The allocations of a group by where they stand.
#[derive(Default)]
pub(super) struct Standings<'a> {
    pub(super) untainted: Set<'a>,
    pub(super) migrate: Set<'a>,
    pub(super) lost: Set<'a>,
    pub(super) disconnecting: Set<'a>,
    pub(super) away: Set<'a>,
    pub(super) returned: Set<'a>,
}

impl<'a> Standings<'a> {
    fn subtract(&mut self, others: &Set<'a>) {
        let sets = [
            &mut self.untainted,
            &mut self.migrate,
            &mut self.lost,
            &mut self.disconnecting,
            &mut self.away,
            &mut self.returned,
        ];
        for set in sets {
            *set = subtract(set, others);
        }
    }
}

/// What is done about those that are away.
#[derive(Default)]
pub(super) struct Absent<'a> {
    /// To be replaced now, and kept.
    pub(super) replaced: Set<'a>,
    /// Not replaced so far: they hold their places.
    pub(super) waiting: Set<'a>,
    /// Some of them were running until now.
    pub(super) fresh: bool,
}

impl<'a> Reconciler<'a, '_> {
    /// Sorts allocations by where they stand.
    pub(super) fn standings(&self, all: &[&'a Arc<Alloc>]) -> Standings<'a> {
        let mut standings = Standings::default();
        for alloc in all {
            let taint = (self.taint)(alloc.node);
            let set = match standing(alloc, taint, self.question.now, &self.question.behaviour) {
                Standing::Untainted => &mut standings.untainted,
                Standing::Migrating => &mut standings.migrate,
                Standing::Lost => &mut standings.lost,
                Standing::Disconnecting => &mut standings.disconnecting,
                Standing::Away => &mut standings.away,
                Standing::Returned => &mut standings.returned,
            };
            set.push(alloc);
        }
        standings
    }

    /// Decides between allocations that returned and their replacements. Returns how many are stopped.
    pub(super) fn welcome_back(&mut self, job: &Job, all: &Set<'a>, standings: &mut Standings<'a>) -> usize {
        let (mut kept, mut failed, mut stopped): (Set<'a>, Set<'a>, Set<'a>) = (Vec::new(), Vec::new(), Vec::new());
        for alloc in standings.returned.clone() {
            if alloc.client == ClientStatus::Failed {
                failed.push(alloc);
                continue;
            }
            let wishes = alloc.transition;
            let outdated = alloc.job.version < job.version || alloc.job.create_index < job.create_index;
            if outdated || wishes.migrate || wishes.reschedule || wishes.force_reschedule {
                stopped.push(alloc);
                continue;
            }
            let replacements = all
                .iter()
                .filter(|other| other.id != alloc.id && other.name_index == alloc.name_index && !other.is_terminal());
            let (better, worse): (Set<'a>, Set<'a>) = replacements
                .copied()
                .partition(|other| prefers(other, alloc, self.question.behaviour.running_replacements_only));
            if better.is_empty() {
                stopped.extend(worse);
                kept.push(alloc);
            } else {
                stopped.push(alloc);
            }
        }
        self.stop(&failed, Some(ClientStatus::Failed), StopReason::Rescheduled);
        self.stop(&stopped, None, StopReason::NotNeeded);
        standings.subtract(&stopped);
        standings.untainted.extend(&kept);
        standings.untainted.sort_by_key(|alloc| alloc.id);
        for alloc in kept {
            let mut known = Alloc::clone(alloc);
            known.disconnected_at = None;
            self.answer.returned.push(Arc::new(known));
        }
        failed.len() + stopped.len()
    }

    /// Records allocations of a node that was just disconnected as unknown, and finds which absent ones to replace.
    pub(super) fn lose_sight(&mut self, group: &'a TaskGroup, standings: &Standings<'a>) -> Absent<'a> {
        let mut absent = Absent { fresh: !standings.disconnecting.is_empty(), ..Absent::default() };
        let mut later = Vec::new();
        for alloc in standings.disconnecting.iter().chain(&standings.away).copied() {
            let here = matches!((self.taint)(alloc.node), Taint::None | Taint::Draining);
            if alloc.next.is_some() || here {
                absent.waiting.extend(alloc.next.is_none().then_some(alloc));
                continue;
            }
            let since = alloc.disconnected_at.unwrap_or(self.question.now);
            match self.due_at(alloc, next_time_after(alloc, since)) {
                Due::Now => absent.replaced.push(alloc),
                Due::Later(time) if alloc.client != ClientStatus::Unknown => {
                    absent.waiting.push(alloc);
                    later.push((alloc, time));
                }
                Due::Later(_) | Due::Never => absent.waiting.push(alloc),
            }
        }
        let until = |alloc: &&'a Arc<Alloc>| (*alloc, self.question.now + patience(alloc).unwrap_or(Duration::ZERO));
        let timeouts = standings.disconnecting.iter().map(until).collect();
        let timeouts = self.create_timeouts(group, timeouts, later);
        for alloc in &standings.disconnecting {
            let mut unknown = Alloc::clone(alloc);
            unknown.client = ClientStatus::Unknown;
            unknown.disconnected_at = Some(self.question.now);
            unknown.followup_eval = timeouts.get(&alloc.id).copied().or(unknown.followup_eval);
            self.answer.unknown.push(Arc::new(unknown));
        }
        self.kept_behind = absent.replaced.iter().map(|alloc| alloc.id).collect();
        absent
    }
}

/// Whether a replacement is better than the allocation that returned.
fn prefers(replacement: &Alloc, original: &Alloc, must_run: bool) -> bool {
    let age = |alloc: &Alloc| (alloc.job.create_index, alloc.job.version);
    if age(replacement) != age(original) {
        return age(replacement) > age(original);
    }
    let runs = replacement.client == ClientStatus::Running;
    (runs || !must_run) && replacement.score_nanos > original.score_nanos
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::model::evaluation::EvalId;
    use crate::model::node::NodeId;
    use crate::protocol::scheduler::story::place;
    use crate::protocol::scheduler::test_support::job;

    fn alloc(client: ClientStatus, since: Option<u64>) -> Alloc {
        let mut spec = job(0, 50, 1);
        spec.groups[0].max_client_disconnect = Some(Duration::from_secs(60));
        let since = since.map(|seconds| Time::ZERO + Duration::from_secs(seconds));
        Alloc { client, disconnected_at: since, ..place(&spec.into(), NodeId(0), EvalId(0), None, Time::ZERO) }
    }

    #[test]
    fn an_allocation_stands_where_its_client_and_its_node_say() {
        let now = Time::ZERO + Duration::from_secs(100);
        let check = |alloc: &Alloc, taint, release: &str, expected| {
            let behaviour = Behaviour::of(release.parse().unwrap());
            assert_eq!(standing(alloc, taint, now, &behaviour), expected, "{:?} {taint:?} {release}", alloc.client);
        };
        let running = alloc(ClientStatus::Running, None);
        check(&running, Taint::Disconnected, "1.3.0", Standing::Disconnecting);
        check(&running, Taint::Disconnected, "1.2.0", Standing::Lost);
        check(&alloc(ClientStatus::Pending, None), Taint::Disconnected, "1.3.0", Standing::Lost);
        check(&alloc(ClientStatus::Unknown, Some(50)), Taint::Disconnected, "1.3.0", Standing::Away);
        check(&alloc(ClientStatus::Unknown, Some(50)), Taint::None, "1.3.0", Standing::Away);
        check(&alloc(ClientStatus::Unknown, Some(40)), Taint::None, "1.3.0", Standing::Lost);
        check(&alloc(ClientStatus::Running, Some(10)), Taint::None, "1.3.0", Standing::Returned);
        check(&running, Taint::None, "1.3.0", Standing::Untainted);
        let failed = alloc(ClientStatus::Failed, Some(50));
        check(&failed, Taint::None, "1.3.7", Standing::Untainted);
        check(&failed, Taint::None, "1.3.8", Standing::Returned);
    }

    #[test]
    fn the_better_of_two_stays() {
        let original = Alloc { score_nanos: 5, ..alloc(ClientStatus::Running, Some(10)) };
        let check = |client, score_nanos, version: u64, must_run, expected| {
            let mut other = Alloc { score_nanos, ..alloc(client, None) };
            Arc::make_mut(&mut other.job).version = version;
            assert_eq!(prefers(&other, &original, must_run), expected, "{client:?} {score_nanos} {version}");
        };
        check(ClientStatus::Running, 6, 0, true, true);
        check(ClientStatus::Running, 5, 0, true, false);
        check(ClientStatus::Pending, 6, 0, true, false);
        check(ClientStatus::Pending, 6, 0, false, true);
        check(ClientStatus::Pending, 1, 1, true, true);
    }
}
