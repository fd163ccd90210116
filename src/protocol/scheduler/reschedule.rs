//! When a failed allocation may be replaced (Nomad `Allocation.NextRescheduleTime`, `RescheduleTracker`).

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, ClientStatus, Desired, RescheduleEvent};
use crate::model::job::{DelayFunction, Reschedule};

/// Events kept with an unlimited policy, before the new one.
const EVENTS_KEPT: usize = 5;

/// When the allocation failed: its last task's end, or its last change.
pub fn failure_time(alloc: &Alloc) -> Time {
    alloc.finished_at.unwrap_or(alloc.modify_time)
}

/// Delay before the next replacement, after `events` and a failure at `failed`.
pub fn next_delay(policy: &Reschedule, events: &[RescheduleEvent], failed: Time) -> Duration {
    let Some(last) = events.last() else { return policy.delay };
    let delay = match policy.delay_function {
        DelayFunction::Constant => return policy.delay,
        DelayFunction::Exponential => last.delay * 2,
        DelayFunction::Fibonacci => match events {
            // The series starts again after it was cut off and reset.
            [.., before, last] if before.delay == policy.max_delay && last.delay == policy.delay => last.delay,
            [.., before, last] => last.delay + before.delay,
            [_] | [] => policy.delay,
        },
    };
    if policy.max_delay > Duration::ZERO && delay > policy.max_delay {
        if failed.since(last.time) > policy.max_delay { policy.delay } else { policy.max_delay }
    } else {
        delay
    }
}

/// When a failed allocation is due, and whether its policy still allows it. `None` if it did not fail, is to be
/// stopped or has no policy. The policy is that of its own job version.
pub fn next_time(alloc: &Alloc) -> Option<(Time, bool)> {
    if alloc.desired == Desired::Stop || alloc.client != ClientStatus::Failed {
        return None;
    }
    next_time_after(alloc, failure_time(alloc))
}

/// As [`next_time`], of an allocation that is lost from sight since `failed`.
pub fn next_time_after(alloc: &Alloc, failed: Time) -> Option<(Time, bool)> {
    let policy = alloc.task_group().reschedule.as_ref()?;
    let delay = next_delay(policy, &alloc.reschedules, failed);
    let allowed = if policy.attempts > 0 && !alloc.reschedules.is_empty() {
        attempted(policy, &alloc.reschedules, failed) < policy.attempts && delay < policy.interval
    } else {
        policy.unlimited || policy.attempts > 0
    };
    Some((failed + delay, allowed))
}

/// Whether a failure at `failed` is worth an evaluation (the check of the servers' client endpoint).
pub fn is_eligible(policy: &Reschedule, events: &[RescheduleEvent], failed: Time) -> bool {
    policy.unlimited || policy.attempts > 0 && attempted(policy, events, failed) < policy.attempts
}

fn attempted(policy: &Reschedule, events: &[RescheduleEvent], failed: Time) -> u32 {
    events.iter().filter(|event| failed.since(event.time) < policy.interval).count() as u32
}

/// The history a replacement starts with, the replaced allocation's own event included.
pub fn tracker(previous: &Alloc, now: Time) -> Vec<RescheduleEvent> {
    let Some(policy) = &previous.task_group().reschedule else { return Vec::new() };
    let past = &previous.reschedules;
    let mut events: Vec<RescheduleEvent> = if policy.attempts > 0 {
        let recent =
            |event: &&RescheduleEvent| policy.interval > Duration::ZERO && now.since(event.time) <= policy.interval;
        past.iter().filter(recent).copied().collect()
    } else {
        past[past.len().saturating_sub(EVENTS_KEPT)..].to_vec()
    };
    events.push(RescheduleEvent {
        time: now,
        previous: previous.id,
        node: previous.node,
        delay: next_delay(policy, past, failure_time(previous)),
    });
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::alloc::AllocId;
    use crate::model::node::NodeId;

    #[test]
    fn delays_grow_and_reset() {
        let run = |policy: &Reschedule, lives: &[u64]| {
            let (mut now, mut events) = (Time::ZERO, Vec::new());
            let mut delays = Vec::new();
            for life in lives {
                now += Duration::from_secs(*life);
                let delay = next_delay(policy, &events, now);
                delays.push(delay.as_millis() / 1_000);
                now += delay;
                events.push(RescheduleEvent { time: now, previous: AllocId(0), node: NodeId(0), delay });
            }
            delays
        };
        let lives = [1, 1, 1, 1, 1, 1, 1, 1, 1, 4_000];
        assert_eq!(run(&Reschedule::SERVICE, &lives), [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 30]);
        let fibonacci = Reschedule {
            delay: Duration::from_secs(5),
            delay_function: DelayFunction::Fibonacci,
            ..Reschedule::SERVICE
        };
        assert_eq!(run(&fibonacci, &[1; 6]), [5, 5, 10, 15, 25, 40]);
    }
}
