//! The laws of the scheduler: nodes are not overcommitted by plan, allocations are in one place, evaluations are
//! neither
//! lost nor worked on twice at once, groups get their count back.
//!
//! One [`SchedulerLaws`] watches the Nomad servers of one region. It is fed with what they tell, keeps books of its own
//! and shares no code with the scheduler. Resources count from the placement until the allocation is stopped by plan or
//! its client reports an end, as in Nomad: the old tasks may still run by then.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};
use crate::measure::invariant::Tally;
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::evaluation::EvalId;
use crate::model::job::JobId;
use crate::model::node::{NodeId, NodeSpec};
use crate::protocol::scheduler::event::{Change, Event};

/// The observer of one region's scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerLaws {
    capacity: Tally,
    ports: Tally,
    one_place: Tally,
    one_worker: Tally,
    no_eval_lost: Tally,
    count_restored: Tally,
    /// The newest entry seen, and who told it.
    newest: (u64, Option<ProcessId>),
    nodes: BTreeMap<NodeId, Ledger>,
    /// Allocations that hold resources.
    live: BTreeMap<AllocId, Held>,
    /// The node of every allocation ever placed.
    places: BTreeMap<AllocId, NodeId>,
    outstanding: BTreeSet<EvalId>,
    /// Evaluations that were enqueued and have not ended, and since when they could have been worked on.
    open: BTreeMap<EvalId, Time>,
    blocked: usize,
    wanted: BTreeMap<(JobId, u32), Wanted>,
    running: BTreeMap<(JobId, u32), u32>,
    /// Groups with a failed allocation, and until when its replacement may wait.
    failing: BTreeMap<(JobId, u32), Time>,
    eval_bound: Duration,
    count_bound: Duration,
}

/// What a node has and what is held of it.
#[derive(Debug, Clone, Default)]
struct Ledger {
    total: Amounts,
    held: Amounts,
    ports: BTreeMap<(u8, i64), AllocId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amounts {
    cpu: u64,
    memory: u64,
    disk: u64,
}

#[derive(Debug, Clone)]
struct Held {
    node: NodeId,
    amounts: Amounts,
    ports: Vec<(u8, i64)>,
    group: (JobId, u32),
    /// How long its replacement may wait if it fails; `None`: for ever.
    patience: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Wanted {
    count: u32,
    since: Time,
}

impl Default for SchedulerLaws {
    /// Ten minutes for an evaluation: three nack timeouts with their waits and a change of leaders. Three minutes for a
    /// count: half a minute until a node is marked down, the work after it, and one nack timeout.
    fn default() -> Self {
        Self::new(Duration::from_mins(10), Duration::from_mins(3))
    }
}

impl SchedulerLaws {
    /// An observer that allows an evaluation `eval_bound` from ready to ended, and a group `count_bound` from the last
    /// fault or change to its full count.
    pub fn new(eval_bound: Duration, count_bound: Duration) -> Self {
        Self {
            capacity: Tally::default(),
            ports: Tally::default(),
            one_place: Tally::default(),
            one_worker: Tally::default(),
            no_eval_lost: Tally::default(),
            count_restored: Tally::default(),
            newest: (0, None),
            nodes: BTreeMap::new(),
            live: BTreeMap::new(),
            places: BTreeMap::new(),
            outstanding: BTreeSet::new(),
            open: BTreeMap::new(),
            blocked: 0,
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            failing: BTreeMap::new(),
            eval_bound,
            count_bound,
        }
    }

    /// Each law's name and what was seen of it.
    pub fn tallies(&self) -> [(&'static str, &Tally); 6] {
        [
            ("scheduler.capacity", &self.capacity),
            ("scheduler.ports", &self.ports),
            ("scheduler.one_place", &self.one_place),
            ("scheduler.one_worker", &self.one_worker),
            ("scheduler.no_eval_lost", &self.no_eval_lost),
            ("scheduler.count_restored", &self.count_restored),
        ]
    }

    /// Server `who` of the region told `event`.
    pub fn observe(&mut self, at: Time, who: ProcessId, event: &Event) {
        match event {
            Event::Committed { index, change } => {
                let fresh = *index > self.newest.0 || (*index, Some(who)) == self.newest;
                if fresh {
                    self.newest = (*index, Some(who));
                    self.committed(at, change);
                }
            }
            Event::LeaderEstablished { .. } => self.outstanding.clear(),
            Event::EvalEnqueued { eval } => {
                let due = eval.wait_until.unwrap_or(at).max(at) + eval.wait;
                self.open.entry(eval.id).or_insert(due);
            }
            Event::EvalDequeued { eval, .. } => {
                let id = eval.id;
                let alone = self.outstanding.insert(id);
                self.one_worker.check(at, alone, || format!("{id} was handed out while another worker had it"));
            }
            Event::EvalAcked { eval } => {
                self.outstanding.remove(eval);
                self.close(at, *eval);
            }
            Event::EvalNacked { eval, .. } => {
                self.outstanding.remove(eval);
            }
            Event::BlockedCount { total, .. } => self.blocked = *total,
            Event::Propose { .. }
            | Event::Operated { .. }
            | Event::LeadershipRevoked
            | Event::StepDown
            | Event::AutopilotDue
            | Event::HeartbeatMissed { .. }
            | Event::Explained { .. }
            | Event::PlanSubmitted { .. }
            | Event::PlanEvaluated { .. }
            | Event::PlanApplied { .. } => {}
        }
    }

    /// From now on `count` allocations of this group are wanted; zero when the job is stopped.
    pub fn wanted(&mut self, at: Time, job: JobId, group: u32, count: u32) {
        self.wanted.insert((job, group), Wanted { count, since: at });
    }

    /// Judges what has to hold after a while. `calm_since` is when the last fault ended; `None` while one lasts. A
    /// count
    /// that is not reached is excused while evaluations wait for capacity, and while the replacement of an allocation
    /// that failed by itself waits for its time.
    pub fn judge(&mut self, at: Time, calm_since: Option<Time>) {
        let Some(calm_since) = calm_since else { return };
        for (eval, due) in &self.open {
            let since = (*due).max(calm_since);
            let in_time = at.since(since) <= self.eval_bound;
            self.no_eval_lost.check(at, in_time, || format!("{eval} was ready at {since} and has not ended"));
        }
        if self.blocked > 0 {
            return;
        }
        for ((job, group), wanted) in &self.wanted {
            let retried = self.failing.get(&(*job, *group)).copied().unwrap_or(Time::ZERO);
            let since = wanted.since.max(calm_since).max(retried);
            let count = self.running.get(&(*job, *group)).copied().unwrap_or(0);
            if at.since(since) > self.count_bound {
                let what = || format!("{job} group {group} has {count} of {} since {since}", wanted.count);
                self.count_restored.check(at, count >= wanted.count, what);
            }
        }
    }

    fn committed(&mut self, at: Time, change: &Change) {
        match change {
            Change::Node { node, .. } => self.nodes.entry(node.id).or_default().total = free_of(&node.spec),
            Change::Placed { alloc, .. } => {
                let first = self.places.insert(alloc.id, alloc.node).is_none();
                self.one_place.check(at, first, || format!("{} was placed twice", alloc.id));
                self.hold(at, alloc);
            }
            Change::Updated { alloc } => {
                let same = self.places.get(&alloc.id) == Some(&alloc.node);
                self.one_place.check(at, same, || format!("{} moved to {}", alloc.id, alloc.node));
                self.release(alloc.id);
                self.hold(at, alloc);
            }
            Change::Stopped { stop } => self.release(stop.alloc),
            Change::Preempted { alloc, .. } => self.release(*alloc),
            Change::Reported { alloc, status, .. } => match status {
                ClientStatus::Complete | ClientStatus::Lost => self.release(*alloc),
                ClientStatus::Failed => {
                    if let Some(held) = self.live.get(alloc) {
                        let until = held.patience.map_or(Time::NEVER, |patience| at + patience);
                        self.failing.insert(held.group, until);
                    }
                    self.release(*alloc);
                }
                ClientStatus::Pending | ClientStatus::Running | ClientStatus::Unknown => {}
            },
            Change::EvalEnded { eval } => self.close(at, eval.id),
        }
    }

    fn close(&mut self, at: Time, eval: EvalId) {
        if self.open.remove(&eval).is_some() {
            self.no_eval_lost.check(at, true, String::new);
        }
    }

    fn hold(&mut self, at: Time, alloc: &Alloc) {
        let amounts = Amounts {
            cpu: alloc.resources.cpu.get(),
            memory: alloc.resources.memory.get(),
            disk: alloc.resources.disk.get(),
        };
        let ports: Vec<(u8, i64)> = alloc.ports.iter().map(|port| (port.address, port.value)).collect();
        let node = self.nodes.entry(alloc.node).or_default();
        node.held.add(amounts);
        let (held, total) = (node.held, node.total);
        self.capacity
            .check(at, held.fits(total), || format!("{} brings {} to {held:?} of {total:?}", alloc.id, alloc.node));
        for port in &ports {
            let other = node.ports.insert(*port, alloc.id);
            let alone = other.is_none_or(|other| other == alloc.id);
            self.ports.check(at, alone, || format!("{} takes port {} of {}", alloc.id, port.1, alloc.node));
        }
        let group = (alloc.job_id, alloc.group);
        *self.running.entry(group).or_default() += 1;
        let policy = alloc.task_group().reschedule.as_ref();
        let patience = policy.filter(|policy| policy.unlimited).map(|policy| policy.max_delay.max(policy.delay));
        self.live.insert(alloc.id, Held { node: alloc.node, amounts, ports, group, patience });
    }

    fn release(&mut self, id: AllocId) {
        let Some(held) = self.live.remove(&id) else { return };
        let node = self.nodes.entry(held.node).or_default();
        node.held.subtract(held.amounts);
        for port in &held.ports {
            if node.ports.get(port) == Some(&id) {
                node.ports.remove(port);
            }
        }
        if let Some(count) = self.running.get_mut(&held.group) {
            *count -= 1;
        }
    }
}

impl Amounts {
    fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.disk += other.disk;
    }

    fn subtract(&mut self, other: Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.disk -= other.disk;
    }

    fn fits(self, total: Self) -> bool {
        self.cpu <= total.cpu && self.memory <= total.memory && self.disk <= total.disk
    }
}

/// What a node offers: its capacity less what it reserves.
fn free_of(spec: &NodeSpec) -> Amounts {
    Amounts {
        cpu: spec.capacity.cpu.get().saturating_sub(spec.reserved.cpu.get()),
        memory: spec.capacity.memory.get().saturating_sub(spec.reserved.memory.get()),
        disk: spec.capacity.disk.get().saturating_sub(spec.reserved.disk.get()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::node::{Eligibility, Node, NodeStatus};
    use crate::model::resources::AssignedPort;
    use crate::protocol::scheduler::decide::Decision;
    use crate::protocol::scheduler::operation::Operation;
    use crate::protocol::scheduler::plan::{Stop, StopReason};
    use crate::protocol::scheduler::story::{self, node_spec, place};
    use crate::protocol::scheduler::test_support::{eval, job};

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);

    fn at(minutes: u64) -> Time {
        Time::ZERO + Duration::from_mins(minutes)
    }

    fn laws() -> SchedulerLaws {
        let mut laws = SchedulerLaws::default();
        let node = Node {
            id: NodeId(0),
            spec: node_spec(600),
            computed_class: 0,
            status: NodeStatus::Ready,
            eligibility: Eligibility::Eligible,
            drain: None,
            create_index: 1,
            modify_index: 1,
        };
        commit(&mut laws, 1, Change::Node { node: Arc::new(node), before: None });
        laws
    }

    fn commit(laws: &mut SchedulerLaws, index: u64, change: Change) {
        laws.observe(at(0), A, &Event::Committed { index, change });
    }

    fn placed(id: u32) -> Change {
        let mut alloc = place(&Arc::new(job(0, 50, 1)), NodeId(0), EvalId(0), None, at(0));
        alloc.id = AllocId(id);
        Change::Placed { alloc: Arc::new(alloc), requested: at(0) }
    }

    fn violations(laws: &SchedulerLaws) -> Vec<&'static str> {
        laws.tallies().into_iter().filter(|(_, tally)| tally.violations > 0).map(|(name, _)| name).collect()
    }

    #[test]
    fn a_third_allocation_on_a_node_for_two_breaks_its_capacity_unless_one_was_stopped() {
        let mut laws = laws();
        commit(&mut laws, 2, placed(0));
        commit(&mut laws, 2, placed(1));
        let mut stopped = laws.clone();
        let stop = Stop { alloc: AllocId(0), node: NodeId(0), client: None, followup: None, reason: StopReason::Lost };
        commit(&mut stopped, 3, Change::Stopped { stop });
        for laws in [&mut laws, &mut stopped] {
            commit(laws, 4, placed(2));
        }
        assert_eq!(violations(&laws), ["scheduler.capacity"]);
        assert!(violations(&stopped).is_empty());
    }

    #[test]
    fn an_entry_told_again_by_the_next_leader_is_skipped() {
        let mut laws = laws();
        commit(&mut laws, 2, placed(0));
        laws.observe(at(0), B, &Event::Committed { index: 2, change: placed(0) });
        assert!(violations(&laws).is_empty());
        laws.observe(at(0), B, &Event::Committed { index: 3, change: placed(0) });
        assert_eq!(violations(&laws), ["scheduler.one_place"]);
    }

    #[test]
    fn a_port_is_held_once() {
        let mut laws = laws();
        for (index, id) in [(2, 0), (3, 1)] {
            let Change::Placed { alloc, requested } = placed(id) else { unreachable!("made above") };
            let mut alloc = Alloc::clone(&alloc);
            alloc.ports = vec![AssignedPort { label: "http".into(), value: 80, address: 0 }];
            commit(&mut laws, index, Change::Placed { alloc: Arc::new(alloc), requested });
        }
        assert_eq!(violations(&laws), ["scheduler.ports"]);
    }

    #[test]
    fn an_evaluation_is_with_one_worker_and_ends() {
        let mut laws = laws();
        let eval = Arc::new(eval(1, 0, 50));
        let dequeued = Event::EvalDequeued { eval: eval.clone(), waited: Duration::ZERO };
        laws.observe(at(0), A, &Event::EvalEnqueued { eval: eval.clone() });
        laws.observe(at(0), A, &dequeued);
        laws.observe(at(1), A, &Event::EvalNacked { eval: eval.id, timeout: true });
        laws.observe(at(1), A, &dequeued);
        assert!(violations(&laws).is_empty());
        let mut twice = laws.clone();
        twice.observe(at(2), A, &dequeued);
        assert_eq!(violations(&twice), ["scheduler.one_worker"]);
        laws.judge(at(9), Some(at(0)));
        laws.judge(at(30), None);
        assert!(violations(&laws).is_empty(), "within its bound, and excused by a fault");
        laws.judge(at(30), Some(at(0)));
        assert_eq!(violations(&laws), ["scheduler.no_eval_lost"]);
    }

    #[test]
    fn the_laws_hold_in_a_region_that_loses_nodes_and_leaders() {
        let mut region = story::Region::<Decision>::new(3, 5, 6);
        let mut laws = SchedulerLaws::default();
        let run = |region: &mut story::Region<Decision>, seconds| region.run_for(Duration::from_secs(seconds));
        run(&mut region, 20);
        region.operate(0, Operation::RegisterJob(Arc::new(job(0, 50, 12))));
        region.operate(0, Operation::RegisterJob(Arc::new(job(1, 70, 8))));
        run(&mut region, 30);
        region.kill(5);
        run(&mut region, 10);
        region.elect(1);
        run(&mut region, 330);
        region.kill(0);
        region.elect(2);
        let calm = region.now;
        run(&mut region, 600);
        for ((when, event), who) in region.told.iter().zip(&region.tellers) {
            laws.observe(*when, *who, event);
        }
        laws.wanted(at(0), JobId(0), 0, 12);
        laws.wanted(at(0), JobId(1), 0, 8);
        laws.judge(region.now, Some(calm));
        assert!(violations(&laws).is_empty(), "{:?}", laws.tallies());
        assert!(laws.tallies().iter().all(|(name, tally)| tally.checks > 0 || *name == "scheduler.ports"));
    }

    #[test]
    fn a_group_gets_its_count_back_unless_there_is_no_room() {
        let mut laws = laws();
        laws.wanted(at(0), JobId(0), 0, 2);
        commit(&mut laws, 2, placed(0));
        laws.observe(at(0), A, &Event::BlockedCount { total: 1, escaped: 0 });
        laws.judge(at(30), Some(at(0)));
        assert!(violations(&laws).is_empty());
        laws.observe(at(0), A, &Event::BlockedCount { total: 0, escaped: 0 });
        laws.judge(at(30), Some(at(28)));
        assert!(violations(&laws).is_empty());
        laws.judge(at(40), Some(at(28)));
        assert_eq!(violations(&laws), ["scheduler.count_restored"]);
    }
}
