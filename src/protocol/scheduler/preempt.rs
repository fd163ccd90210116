//! Which allocations to push out for a more important one (Nomad `Preemptor`).
//!
//! Preemption for devices is in [`super::devices`]. Left out: nodes with several network devices (all ports and all
//! bandwidth count as one device's).

use std::sync::Arc;

use crate::base::math;
use crate::model::alloc::Alloc;
use crate::protocol::scheduler::plan::exhausted;
use crate::protocol::scheduler::state::Amounts;

/// A job can push out only jobs at least this much less important.
pub const PRIORITY_DELTA: u8 = 10;
/// Added to the distance for each preemption beyond `migrate.max_parallel`.
const PARALLEL_PENALTY: f64 = 50.0;
/// Rate of the logistic preemption score.
const SCORE_RATE: f64 = 0.0048;
/// Net priority that scores one half.
const SCORE_ORIGIN: f64 = 2_048.0;

/// Whether a job of this priority may push the allocation out.
pub fn is_eligible(priority: u8, alloc: &Alloc) -> bool {
    i32::from(priority) - i32::from(alloc.job.priority) >= i32::from(PRIORITY_DELTA)
}

/// How unlike an ask an allocation is: relative distance over memory, processor and disk, as far as asked for.
pub fn distance(ask: Amounts, used: Amounts) -> f64 {
    let mut sum = 0.0;
    for (ask, used) in [(ask.memory, used.memory), (ask.cpu, used.cpu), (ask.disk, used.disk)] {
        if ask > 0 {
            let share = (ask as f64 - used as f64) / ask as f64;
            sum += share * share;
        }
    }
    libm::sqrt(sum)
}

/// Penalty for a group of which `already` allocations were pushed out by this plan; `max_parallel` of its `migrate`
/// block, zero for none.
pub fn parallel_penalty(max_parallel: u32, already: u32) -> f64 {
    if max_parallel > 0 && already >= max_parallel {
        f64::from(already + 1 - max_parallel) * PARALLEL_PENALTY
    } else {
        0.0
    }
}

/// Highest priority plus the sum relative to it; the lower the better. Each priority counts once per allocation.
pub fn net_priority(priorities: &[u8]) -> f64 {
    let highest = f64::from(priorities.iter().copied().max().unwrap_or(0));
    let sum: f64 = priorities.iter().map(|priority| f64::from(*priority)).sum();
    highest + sum / highest
}

/// Score in 0..1 of pushing out allocations with this net priority.
pub fn preemption_score(net_priority: f64) -> f64 {
    1.0 / (1.0 + math::exp(SCORE_RATE * (net_priority - SCORE_ORIGIN)))
}

/// What the preemptor is asked.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Capacity of the node minus what it reserves.
    pub available: Amounts,
    /// What the new allocation asks for.
    pub ask: Amounts,
    /// Priority of its job.
    pub priority: u8,
}

/// Allocations to push out for processor, memory and disk, in the order Nomad names them; `None` if that cannot help.
///
/// `candidates` are the proposed allocations of other jobs in their order on the node. The placing job's own are not
/// subtracted from what is left (a quirk). `already` says how many of an allocation's group this plan pushed out; it is
/// zero in every real run, because plans keep victims without their group (a quirk).
pub fn preempt_resources(
    candidates: &[&Arc<Alloc>],
    wanted: Wanted,
    already: impl Fn(&Alloc) -> u32,
) -> Option<Vec<usize>> {
    let amounts: Vec<Amounts> = candidates.iter().map(|alloc| Amounts::of(&alloc.resources)).collect();
    let remaining = amounts.iter().fold(wanted.available, |left, used| left.minus(*used));
    let is_met = |left: Amounts| exhausted(left, wanted.ask, || true).is_none();
    let mut order: Vec<usize> =
        (0..candidates.len()).filter(|at| is_eligible(wanted.priority, candidates[*at])).collect();
    order.sort_by_key(|at| candidates[*at].job.priority);
    let (mut need, mut left, mut picked) = (wanted.ask, remaining, Vec::new());
    let mut met = false;
    for group in order.chunk_by(|a, b| candidates[*a].job.priority == candidates[*b].job.priority) {
        let mut group = group.to_vec();
        while !group.is_empty() && !met {
            let cost = |at: usize| {
                let limit = candidates[at].task_group().migrate.as_ref().map_or(0, |migrate| migrate.max_parallel);
                distance(need, amounts[at]) + parallel_penalty(limit, already(candidates[at]))
            };
            let mut best = (0, f64::INFINITY);
            for (place, at) in group.iter().enumerate() {
                let cost = cost(*at);
                if cost < best.1 {
                    best = (place, cost);
                }
            }
            let at = group.swap_remove(best.0);
            left = left.plus(amounts[at]);
            met = is_met(left);
            picked.push(at);
            need = need.minus(amounts[at]);
        }
    }
    if !met {
        return None;
    }
    // Some of what was picked may not be needed: the least alike go first.
    picked.sort_by(|a, b| distance(wanted.ask, amounts[*b]).total_cmp(&distance(wanted.ask, amounts[*a])));
    let mut left = remaining;
    let enough = picked.iter().position(|at| {
        left = left.plus(amounts[*at]);
        is_met(left)
    });
    picked.truncate(enough? + 1);
    Some(picked)
}

/// What the preemptor is asked for a network.
#[derive(Debug, Clone, Copy)]
pub struct NetworkWanted<'a> {
    /// Fixed ports of the ask that failed, in order.
    pub fixed: &'a [i64],
    /// Bandwidth it asks for, in Mbit/s.
    pub bandwidth: u64,
    /// Bandwidth of the node.
    pub total: u64,
    /// Of it free.
    pub free: u64,
    /// Priority of the job.
    pub priority: u8,
}

/// Allocations to push out for fixed ports, in the order asked, then for bandwidth; `None` if that cannot help, or if
/// nobody who can be pushed out is in the way.
pub fn preempt_network(candidates: &[&Arc<Alloc>], wanted: NetworkWanted<'_>) -> Option<Vec<usize>> {
    if wanted.bandwidth > wanted.total {
        return None;
    }
    let mut victims: Vec<usize> = Vec::new();
    for port in wanted.fixed {
        for (at, alloc) in candidates.iter().enumerate().filter(|(_, alloc)| holds_fixed(alloc, *port)) {
            if !is_eligible(wanted.priority, alloc) {
                return None;
            }
            if !victims.contains(&at) {
                victims.push(at);
            }
        }
    }
    let held = |at: usize| bandwidth(candidates[at]).unwrap_or(0);
    let free = |victims: &[usize]| wanted.free + victims.iter().map(|at| held(*at)).sum::<u64>();
    if free(&victims) < wanted.bandwidth {
        let eligible =
            |at: &usize| is_eligible(wanted.priority, candidates[*at]) && bandwidth(candidates[*at]).is_some();
        let mut order: Vec<usize> = (0..candidates.len()).filter(|at| !victims.contains(at)).filter(eligible).collect();
        order.sort_by_key(|at| (candidates[*at].job.priority, wanted.bandwidth.abs_diff(held(*at))));
        for at in order {
            victims.push(at);
            if free(&victims) >= wanted.bandwidth {
                break;
            }
        }
        if free(&victims) < wanted.bandwidth {
            return None;
        }
    }
    if wanted.bandwidth > 0 {
        // Some of what was picked may not be needed: the least alike go first.
        victims.sort_by_key(|at| std::cmp::Reverse(wanted.bandwidth.abs_diff(held(*at))));
        let enough = (0..=victims.len()).find(|count| free(&victims[..*count]) >= wanted.bandwidth);
        victims.truncate(enough.unwrap_or(victims.len()).max(1));
    }
    if victims.is_empty() { None } else { Some(victims) }
}

/// Bandwidth of an allocation's first network, in Mbit/s; `None` if it has no network.
fn bandwidth(alloc: &Alloc) -> Option<u64> {
    let group = alloc.task_group();
    let tasks = group.tasks.iter().filter_map(|task| task.resources.networks.first());
    tasks.chain(group.networks.first()).next().map(|network| network.bandwidth.get())
}

/// Whether an allocation holds the port because its job names the number.
fn holds_fixed(alloc: &Alloc, port: i64) -> bool {
    let group = alloc.task_group();
    let tasks = group.tasks.iter().filter_map(|task| task.resources.networks.first());
    let mut asks = group.networks.first().into_iter().chain(tasks).flat_map(|network| &network.ports);
    alloc.ports.iter().any(|held| held.value == port) && asks.any(|ask| ask.fixed == Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_scores() {
        let ask = Amounts { cpu: 2_000, memory: 1_000, disk: 100 };
        for (used, expected) in [
            (Amounts { cpu: 1_000, memory: 500, disk: 100 }, 0.5_f64.sqrt()),
            (ask, 0.0),
            (Amounts { cpu: 4_000, memory: 2_000, disk: 100 }, 2.0_f64.sqrt()),
        ] {
            assert!((distance(ask, used) - expected).abs() < 1e-6);
        }
        for (net, expected) in [(51.0, 0.999_931), (1_000.0, 0.993_506), (2_048.0, 0.5)] {
            assert!((preemption_score(net) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn bandwidth_is_freed_by_ascending_priority_and_likeness() {
        use crate::base::units::MegabitsPerSecond;
        use crate::model::resources::NetworkAsk;
        let holder = |id: u32, priority: u8, mbits: u64| {
            let mut job = crate::protocol::scheduler::test_support::job(id, priority, 1);
            job.groups[0].tasks[0].resources.networks =
                vec![NetworkAsk { bandwidth: MegabitsPerSecond(mbits), ..NetworkAsk::default() }];
            let (node, eval) = (crate::model::node::NodeId(0), crate::model::evaluation::EvalId(0));
            let now = crate::base::time::Time::ZERO;
            Arc::new(crate::protocol::scheduler::story::place(&Arc::new(job), node, eval, None, now))
        };
        let allocs = [holder(0, 30, 100), holder(1, 20, 100), holder(2, 20, 400), holder(3, 45, 300)];
        let candidates: Vec<&Arc<Alloc>> = allocs.iter().collect();
        let victims = |bandwidth, free| {
            let wanted = NetworkWanted { fixed: &[], bandwidth, total: 1_000, free, priority: 50 };
            preempt_network(&candidates, wanted)
        };
        assert_eq!(victims(400, 100), Some(vec![2]), "the most alike of the least important");
        assert_eq!(victims(600, 100), Some(vec![1, 2]), "the least alike first when some may be spared");
        assert_eq!(victims(600, 0), Some(vec![1, 0, 2]));
        assert_eq!(victims(700, 0), None, "priority 45 is too close to 50");
        assert_eq!(victims(1_001, 1_000), None, "more than the node has");
        assert_eq!(victims(0, 1_000), None, "nobody is in the way");
    }
}
