//! The plan queue: plans wait for the applier by priority, then in order of arrival (Nomad 1.1.0
//! `nomad/plan_queue.go`).

use std::cmp::Reverse;

use crate::base::ordered::OrdMap;

/// A queue of plans of type `T`.
#[derive(Debug, Clone)]
pub struct PlanQueue<T> {
    enabled: bool,
    arrivals: u64,
    plans: OrdMap<(Reverse<u8>, u64), T>,
}

impl<T> Default for PlanQueue<T> {
    fn default() -> Self {
        Self { enabled: false, arrivals: 0, plans: OrdMap::new() }
    }
}

impl<T> PlanQueue<T> {
    /// Turns the queue on: this server leads.
    pub fn enable(&mut self) {
        self.enabled = true;
    }

    /// Turns the queue off and returns the plans that were waiting, so that their senders can be told.
    pub fn disable(&mut self) -> Vec<T> {
        self.enabled = false;
        std::mem::take(&mut self.plans).into_values().collect()
    }

    /// Adds a plan, or gives it back when the queue is off.
    pub fn push(&mut self, priority: u8, plan: T) -> Result<(), T> {
        if !self.enabled {
            return Err(plan);
        }
        self.arrivals += 1;
        self.plans.insert((Reverse(priority), self.arrivals), plan);
        Ok(())
    }

    /// Takes the most urgent plan.
    pub fn pop(&mut self) -> Option<T> {
        self.plans.pop_first().map(|(_, plan)| plan)
    }

    /// Plans waiting (`nomad.plan.queue_depth`).
    pub fn len(&self) -> usize {
        self.plans.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_first_then_arrival_and_off_means_off() {
        let mut queue = PlanQueue::default();
        assert_eq!(queue.push(50, 'x'), Err('x'));
        queue.enable();
        for (priority, plan) in [(50, 'a'), (90, 'b'), (50, 'c'), (90, 'd')] {
            queue.push(priority, plan).unwrap();
        }
        assert_eq!(queue.pop(), Some('b'));
        assert_eq!(queue.pop(), Some('d'));
        assert_eq!(queue.disable(), ['a', 'c']);
        assert!(queue.is_empty());
    }
}
