//! The laws of the scheduler: nodes are not overcommitted by plan, allocations are in one place, evaluations are
//! neither lost nor worked on twice at once, updates keep to their bound, groups get their count back.
//!
//! One [`SchedulerLaws`] watches the Nomad servers of one region. It is fed with what they tell, keeps books of its own
//! and shares no code with the scheduler. Resources count from the placement until the allocation is stopped by plan or
//! its client reports an end, as in Nomad: the old tasks may still run by then.

mod counts;
mod rollouts;
mod room;
mod turns;

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::invariant::Tally;
use crate::measure::invariant::scheduler::counts::Counts;
use crate::measure::invariant::scheduler::rollouts::Rollouts;
use crate::measure::invariant::scheduler::room::{Room, has_ended, is_over};
use crate::measure::invariant::scheduler::turns::Turns;
use crate::model::alloc::{AllocId, ClientStatus};
use crate::model::evaluation::{EvalId, EvalStatus, Evaluation};
use crate::model::job::JobId;
use crate::protocol::scheduler::event::{Change, Event};
use crate::protocol::scheduler::plan::StopReason;
use crate::world::chronicle::Reported;

/// The observer of one region's scheduler.
#[derive(Debug, Clone)]
pub struct SchedulerLaws {
    room: Room,
    turns: Turns,
    counts: Counts,
    rollouts: Rollouts,
    reported: Reported,
    blocked: Blocked,
    /// The broker hands nothing out, because operators want it so.
    paused: bool,
    /// When it was let go on.
    resumed: Time,
}

impl Default for SchedulerLaws {
    /// Ten minutes for an evaluation: three nack timeouts with their waits and a change of leaders. Three minutes for a
    /// count: half a minute until a node is marked down, the work after it, and one nack timeout.
    fn default() -> Self {
        Self::new(Duration::from_mins(10), Duration::from_mins(3))
    }
}

impl SchedulerLaws {
    /// An observer that allows an evaluation `eval_bound` from being next to having ended, and a group `count_bound`
    /// from the last fault or change to its full count.
    pub fn new(eval_bound: Duration, count_bound: Duration) -> Self {
        Self {
            room: Room::default(),
            turns: Turns::new(eval_bound),
            counts: Counts::new(count_bound),
            rollouts: Rollouts::default(),
            reported: Reported::default(),
            blocked: Blocked::default(),
            paused: false,
            resumed: Time::ZERO,
        }
    }

    /// Each law's name and what was seen of it.
    pub fn tallies(&self) -> [(&'static str, &Tally); 7] {
        [
            ("scheduler.capacity", &self.room.capacity),
            ("scheduler.ports", &self.room.ports),
            ("scheduler.one_place", &self.room.one_place),
            ("scheduler.one_worker", &self.turns.one_worker),
            ("scheduler.no_eval_lost", &self.turns.no_eval_lost),
            ("scheduler.count_restored", &self.counts.count_restored),
            ("scheduler.update_bound", &self.rollouts.update_bound),
        ]
    }

    /// A server starts anew; what it applies again it has told.
    pub fn restarted(&mut self, who: ProcessId) {
        self.reported.restarted(who);
    }

    /// Server `who` of the region told `event`.
    pub fn observe(&mut self, at: Time, who: ProcessId, event: &Event) {
        match event {
            Event::Committed { index, change } => {
                if self.reported.is_news(*index, who) {
                    self.committed(at, *index, change);
                }
            }
            Event::LeaderEstablished { .. } => self.turns.leader_changed(),
            Event::EvalEnqueued { eval } => self.turns.enqueued(at, eval),
            Event::EvalDequeued { eval, .. } => {
                self.turns.dequeued(at, eval);
                self.counts.evaluated(eval);
            }
            Event::EvalAcked { eval } => {
                self.turns.returned(*eval);
                self.turns.ended(at, *eval);
                self.room.settled(*eval);
            }
            Event::EvalNacked { eval, .. } => {
                self.turns.returned(*eval);
                self.room.settled(*eval);
            }
            Event::PlanEvaluated { eval, .. } => self.room.verified(*eval),
            Event::Propose { .. }
            | Event::Operated { .. }
            | Event::LeadershipRevoked
            | Event::StepDown
            | Event::AutopilotDue
            | Event::HeartbeatMissed { .. }
            | Event::Explained { .. }
            | Event::BlockedCount { .. }
            | Event::PlanSubmitted { .. }
            | Event::PlanApplied { .. } => {}
        }
    }

    /// Judges what has to hold after a while. `calm_since` is when the last fault ended; `None` while one lasts.
    pub fn judge(&mut self, at: Time, calm_since: Option<Time>) {
        let Some(calm_since) = calm_since.filter(|_| !self.paused) else { return };
        let calm_since = calm_since.max(self.resumed);
        self.turns.judge(at, calm_since);
        self.counts.judge(at, calm_since, |job| self.turns.has_open(job) || self.blocked.has(job));
    }

    fn committed(&mut self, at: Time, index: u64, change: &Change) {
        match change {
            Change::Node { node, .. } => self.room.node(node.id, &node.spec),
            Change::Placed { alloc, .. } => {
                self.room.placed(at, index, alloc);
                self.counts.began(alloc);
                self.rollouts.placed(at, index, alloc);
            }
            Change::Updated { alloc } => {
                if let Some(before) = self.room.updated(at, index, alloc) {
                    self.counts.ended(&before);
                }
                if has_ended(alloc) || alloc.client == ClientStatus::Unknown {
                    self.rollouts.settled(alloc.id);
                }
                if !has_ended(alloc) {
                    self.counts.began(alloc);
                }
            }
            Change::Stopped { stop } => {
                let update = stop.reason == StopReason::Updating;
                self.taken_away(at, index, stop.alloc, update);
            }
            Change::Preempted { alloc, .. } => self.taken_away(at, index, *alloc, false),
            Change::Reported { alloc, status, healthy } => {
                if *healthy == Some(true) || is_over(*status) {
                    self.rollouts.settled(*alloc);
                }
                if !is_over(*status) {
                    return;
                }
                match (status, self.room.live(*alloc)) {
                    (ClientStatus::Failed, Some(alloc)) => self.counts.failed(at, alloc),
                    (ClientStatus::Complete, Some(alloc)) => self.counts.completed(index, alloc),
                    (_, _) => {}
                }
                if let Some(alloc) = self.room.release(*alloc) {
                    self.counts.ended(&alloc);
                }
            }
            Change::EvalWritten { eval } => {
                self.blocked.note(eval);
                if eval.status == EvalStatus::Pending {
                    self.turns.enqueued(at, eval);
                }
            }
            Change::EvalEnded { eval, .. } => {
                self.blocked.note(eval);
                self.turns.ended(at, eval.id);
            }
            Change::Job { id, job } => self.counts.job(at, *id, job.as_ref()),
            Change::Deployment { deployment } => {
                self.counts.deployment(at, deployment);
                self.rollouts.deployment(deployment);
            }
            Change::Switched { switches } => {
                if self.paused && !switches.pause_broker {
                    self.resumed = at;
                }
                self.paused = switches.pause_broker;
            }
        }
    }

    /// The plan written at `index` stops an allocation, for an `update` or not, or pushes it out.
    fn taken_away(&mut self, at: Time, index: u64, id: AllocId, update: bool) {
        self.rollouts.settled(id);
        let Some(alloc) = self.room.stopped(index, id) else { return };
        self.counts.ended(&alloc);
        if update {
            self.rollouts.stopped(at, index, &alloc);
        }
    }
}

/// Evaluations that wait for capacity, as the log has them.
#[derive(Debug, Clone, Default)]
struct Blocked {
    evals: OrdMap<EvalId, JobId>,
    jobs: OrdMap<JobId, u32>,
}

impl Blocked {
    /// An evaluation was written.
    fn note(&mut self, eval: &Evaluation) {
        if eval.status == EvalStatus::Blocked {
            if self.evals.insert(eval.id, eval.job).is_none() {
                *self.jobs.entry(eval.job).or_default() += 1;
            }
        } else if let Some(job) = self.evals.remove(&eval.id)
            && let Some(count) = self.jobs.get_mut(&job)
        {
            *count -= 1;
            if *count == 0 {
                self.jobs.remove(&job);
            }
        }
    }

    /// Whether one of the job waits.
    fn has(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::alloc::Alloc;
    use crate::model::deployment::{Deployment, DeploymentId, DeploymentStatus};
    use crate::model::job::Update;
    use crate::model::node::{Eligibility, Node, NodeDevice, NodeId, NodeSpec, NodeStatus};
    use crate::model::resources::{AssignedDevice, AssignedPort};
    use crate::protocol::scheduler::command::SchedulerSwitches;
    use crate::protocol::scheduler::decide::Decision;
    use crate::protocol::scheduler::operation::Operation;
    use crate::protocol::scheduler::plan::Stop;
    use crate::protocol::scheduler::story::{self, node_spec, place};
    use crate::protocol::scheduler::test_support::{eval, job};

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);

    fn at(minutes: u64) -> Time {
        Time::ZERO + Duration::from_mins(minutes)
    }

    fn laws() -> SchedulerLaws {
        let mut laws = SchedulerLaws::default();
        let mut spec = NodeSpec::clone(&node_spec(600));
        spec.devices = vec![NodeDevice {
            vendor: "nvidia".into(),
            kind: "gpu".into(),
            name: "a".into(),
            instances: ["x", "y", "z"].map(String::from).into(),
            attributes: OrdMap::new(),
        }];
        let node = Node {
            id: NodeId(0),
            spec: Arc::new(spec),
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

    fn reported(id: u32, status: ClientStatus) -> Change {
        Change::Reported { alloc: AllocId(id), status, healthy: None }
    }

    #[test]
    fn a_failed_allocation_holds_nothing_when_it_is_told_its_followup() {
        let mut laws = laws();
        commit(&mut laws, 2, placed(0));
        commit(&mut laws, 2, placed(1));
        commit(&mut laws, 3, reported(0, ClientStatus::Failed));
        let Change::Placed { alloc, .. } = placed(0) else { unreachable!("made above") };
        let followed = Alloc { client: ClientStatus::Failed, followup_eval: Some(EvalId(9)), ..Alloc::clone(&alloc) };
        commit(&mut laws, 4, Change::Updated { alloc: followed.into() });
        commit(&mut laws, 5, placed(2));
        assert!(violations(&laws).is_empty(), "{:?}", laws.tallies());
        commit(&mut laws, 6, placed(3));
        assert_eq!(violations(&laws), ["scheduler.capacity"]);
    }

    #[test]
    fn a_count_is_not_promised_after_an_allocation_completed_until_its_job_is_evaluated() {
        let mut laws = laws();
        commit(&mut laws, 2, Change::Job { id: JobId(0), job: Some(Arc::new(job(0, 50, 1))) });
        commit(&mut laws, 3, placed(0));
        commit(&mut laws, 4, reported(0, ClientStatus::Complete));
        laws.judge(at(30), Some(at(0)));
        for (id, create_index, broken) in [(1, 3, false), (2, 5, true)] {
            let eval = Arc::new(Evaluation { create_index, ..eval(id, 0, 50) });
            laws.observe(at(31), A, &Event::EvalEnqueued { eval: eval.clone() });
            laws.observe(at(31), A, &Event::EvalDequeued { eval, waited: Duration::ZERO });
            laws.observe(at(31), A, &Event::EvalAcked { eval: EvalId(id) });
            laws.judge(at(32), Some(at(0)));
            assert_eq!(!violations(&laws).is_empty(), broken, "written at {create_index}");
        }
        assert_eq!(violations(&laws), ["scheduler.count_restored"]);
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
        laws.judge(region.now, Some(calm));
        assert!(violations(&laws).is_empty(), "{:?}", laws.tallies());
        let idle = ["scheduler.ports", "scheduler.update_bound"];
        assert!(laws.tallies().iter().all(|(name, tally)| tally.checks > 0 || idle.contains(name)));
    }

    /// The second plan was verified before the first one was written, or after.
    fn overcommitted(overlapped: bool, third: bool) -> SchedulerLaws {
        let mut laws = laws();
        let of = |eval: u32, id: u32| {
            let mut alloc = place(&Arc::new(job(0, 50, 1)), NodeId(0), EvalId(eval), None, at(0));
            alloc.id = AllocId(id);
            alloc.ports = vec![AssignedPort { label: "http".into(), value: i64::from(80 + id % 2), address: 0 }];
            Change::Placed { alloc: Arc::new(alloc), requested: at(0) }
        };
        let verified =
            |eval| Event::PlanEvaluated { eval: EvalId(eval), nodes: 1, rejected: Vec::new(), waited: Duration::ZERO };
        commit(&mut laws, 2, of(0, 0));
        laws.observe(at(0), A, &verified(1));
        if overlapped {
            laws.observe(at(0), A, &verified(2));
        }
        commit(&mut laws, 3, of(1, 1));
        if !overlapped {
            laws.observe(at(0), A, &verified(2));
        }
        commit(&mut laws, 4, of(2, 3));
        if third {
            laws.observe(at(0), A, &verified(3));
            commit(&mut laws, 5, of(3, 4));
        }
        laws
    }

    #[test]
    fn a_plan_may_overlook_the_one_that_was_in_the_log_s_hands_and_no_other() {
        assert!(violations(&overcommitted(true, false)).is_empty());
        assert_eq!(violations(&overcommitted(false, false)), ["scheduler.capacity", "scheduler.ports"]);
        assert_eq!(violations(&overcommitted(true, true)), ["scheduler.capacity", "scheduler.ports"]);
    }

    /// A deployment of job 0.
    fn deployed(status: DeploymentStatus, version: u64) -> Change {
        let deployment = Deployment {
            id: DeploymentId(0),
            job: JobId(0),
            job_version: version,
            job_create_index: job(0, 50, 1).create_index,
            status,
            groups: OrdMap::new(),
            create_index: 3,
            modify_index: 3,
        };
        Change::Deployment { deployment: Arc::new(deployment) }
    }

    /// A job of two with one allocation, and what its deployment is like.
    fn short_of_one(status: Option<DeploymentStatus>, version: u64) -> SchedulerLaws {
        let mut laws = laws();
        let job = Arc::new(job(0, 50, 2));
        commit(&mut laws, 2, Change::Job { id: JobId(0), job: Some(job.clone()) });
        if let Some(status) = status {
            commit(&mut laws, 3, deployed(status, version));
        }
        commit(&mut laws, 4, placed(0));
        laws
    }

    #[test]
    fn a_group_gets_its_count_back_unless_there_is_no_room() {
        let mut laws = short_of_one(None, 0);
        let waits = |job| Arc::new(Evaluation { status: EvalStatus::Blocked, ..eval(job, job, 50) });
        for job in [0, 1] {
            commit(&mut laws, 5, Change::EvalWritten { eval: waits(job) });
        }
        laws.judge(at(30), Some(at(0)));
        assert!(violations(&laws).is_empty());
        let ended = Evaluation { status: EvalStatus::Canceled, ..Evaluation::clone(&waits(0)) };
        commit(&mut laws, 6, Change::EvalEnded { eval: ended.into(), purged: false });
        laws.judge(at(30), Some(at(28)));
        assert!(violations(&laws).is_empty());
        laws.judge(at(40), Some(at(28)));
        assert_eq!(violations(&laws), ["scheduler.count_restored"], "that another job waits is no excuse");
    }

    #[test]
    fn an_evaluation_that_is_written_and_never_enqueued_is_lost() {
        let mut laws = laws();
        commit(&mut laws, 2, Change::EvalWritten { eval: eval(1, 0, 50).into() });
        laws.judge(at(9), Some(at(0)));
        assert!(violations(&laws).is_empty());
        laws.judge(at(30), Some(at(0)));
        assert_eq!(violations(&laws), ["scheduler.no_eval_lost"]);
    }

    #[test]
    fn a_core_or_a_device_is_held_once_and_the_node_has_it() {
        let takes = |first: (Vec<u16>, &[&str]), second: (Vec<u16>, &[&str])| {
            let mut laws = laws();
            for (index, (cores, instances)) in [(2, first), (3, second)] {
                let Change::Placed { alloc, requested } = placed(index - 2) else { unreachable!("made above") };
                let mut alloc = Alloc::clone(&alloc);
                alloc.resources.cores = cores;
                let instances = instances.iter().map(|name| Arc::from(*name)).collect();
                alloc.devices = vec![AssignedDevice { task: 0, group: "nvidia/gpu/a".into(), instances }];
                commit(&mut laws, index.into(), Change::Placed { alloc: Arc::new(alloc), requested });
            }
            violations(&laws)
        };
        assert!(takes((vec![], &["x"]), (vec![], &["y", "z"])).is_empty());
        assert_eq!(takes((vec![], &["x"]), (vec![], &["y", "x"])), ["scheduler.capacity"]);
        assert_eq!(takes((vec![], &["x"]), (vec![], &["y", "w"])), ["scheduler.capacity"], "it has no such instance");
        let cores = node_spec(600).capacity.cores;
        assert_eq!(takes((vec![], &[]), (vec![cores], &[])), ["scheduler.capacity"], "it has no such core");
        assert_eq!(takes((vec![0], &[]), (vec![0], &[])), ["scheduler.capacity"]);
    }

    /// A job of four, at most two of which may be updated at once, and what a plan of its deployment did to `count` of
    /// them. Those that are `started` in their place are 10, 11, …
    fn updating(laws: &mut SchedulerLaws, index: u64, stops: std::ops::Range<u32>, started: u32) {
        let mut job = job(0, 10, 4);
        job.groups[0].update = Some(Update { max_parallel: 2, ..Update::default() });
        let job = Arc::new(job);
        for id in stops.clone() {
            let (alloc, node, reason) = (AllocId(id), NodeId(0), StopReason::Updating);
            commit(laws, index, Change::Stopped { stop: Stop { alloc, node, client: None, followup: None, reason } });
        }
        for id in stops.take(started as usize) {
            let mut alloc = place(&job, NodeId(0), EvalId(0), Some(AllocId(id)), at(0));
            (alloc.id, alloc.deployment) = (AllocId(10 + id), Some(DeploymentId(0)));
            commit(laws, index, Change::Placed { alloc: Arc::new(alloc), requested: at(0) });
        }
    }

    #[test]
    fn an_update_goes_on_only_as_far_as_what_it_started_is_healthy() {
        let start = || {
            let mut laws = laws();
            (0..4).for_each(|id| commit(&mut laws, 2, placed(id)));
            updating(&mut laws, 3, 0..2, 2);
            commit(&mut laws, 3, deployed(DeploymentStatus::Running, 1));
            laws
        };
        let healthy = Change::Reported { alloc: AllocId(10), status: ClientStatus::Running, healthy: Some(true) };
        for (between, broken) in [
            (vec![], true),
            (vec![healthy.clone()], false),
            (vec![reported(10, ClientStatus::Running)], true),
            (vec![reported(11, ClientStatus::Failed)], false),
        ] {
            let mut laws = start();
            between.into_iter().for_each(|change| commit(&mut laws, 4, change));
            updating(&mut laws, 5, 2..3, 1);
            assert_eq!(laws.rollouts.update_bound.violations > 0, broken);
        }
        let mut laws = start();
        commit(&mut laws, 4, healthy);
        updating(&mut laws, 5, 2..4, 1);
        commit(&mut laws, 6, reported(12, ClientStatus::Pending));
        assert_eq!(laws.rollouts.update_bound.violations, 0);
        commit(&mut laws, 7, placed(20));
        assert_eq!(laws.rollouts.update_bound.violations, 1, "two were stopped, one was allowed, and one started");
    }

    #[test]
    fn a_count_is_not_promised_while_the_deployment_of_its_version_holds_it_up() {
        for (status, version, promised) in [
            (DeploymentStatus::Failed, 0, false),
            (DeploymentStatus::Paused, 0, false),
            (DeploymentStatus::Running, 0, true),
            (DeploymentStatus::Successful, 0, true),
            (DeploymentStatus::Failed, 7, true),
        ] {
            let mut laws = short_of_one(Some(status), version);
            laws.judge(at(30), Some(at(0)));
            assert_eq!(!violations(&laws).is_empty(), promised, "{status:?} {version}");
        }
    }

    #[test]
    fn a_count_is_not_promised_while_an_evaluation_goes_on_or_the_broker_is_paused() {
        let mut laws = short_of_one(None, 0);
        let followup = Evaluation { wait: Duration::from_mins(60), ..eval(1, 0, 50) };
        laws.observe(at(1), A, &Event::EvalEnqueued { eval: followup.into() });
        laws.judge(at(50), Some(at(0)));
        assert!(violations(&laws).is_empty());
        laws.observe(at(51), A, &Event::EvalAcked { eval: EvalId(1) });
        let switch = |pause_broker| SchedulerSwitches { pause_broker, reject_registrations: false };
        commit(&mut laws, 5, Change::Switched { switches: switch(true) });
        laws.judge(at(52), Some(at(0)));
        assert!(violations(&laws).is_empty());
        commit(&mut laws, 6, Change::Switched { switches: switch(false) });
        laws.judge(at(53), Some(at(0)));
        assert_eq!(violations(&laws), ["scheduler.count_restored"]);
    }

    #[test]
    fn the_count_that_holds_is_that_of_the_version_written_last() {
        let mut laws = short_of_one(None, 0);
        commit(&mut laws, 5, Change::Job { id: JobId(0), job: Some(job(0, 50, 1).into()) });
        laws.judge(at(30), Some(at(0)));
        assert!(violations(&laws).is_empty());
        laws.observe(
            at(30),
            A,
            &Event::Committed { index: 6, change: Change::Job { id: JobId(0), job: Some(job(0, 50, 3).into()) } },
        );
        laws.judge(at(31), Some(at(0)));
        assert!(violations(&laws).is_empty());
        laws.judge(at(34), Some(at(0)));
        assert_eq!(violations(&laws), ["scheduler.count_restored"]);
    }

    #[test]
    fn an_evaluation_is_not_lost_while_others_go_before_it() {
        let mut laws = laws();
        let waits = |id: u32, job: u32, priority, create_index| {
            Arc::new(Evaluation { create_index, ..eval(id, job, priority) })
        };
        laws.observe(at(0), A, &Event::EvalEnqueued { eval: waits(9, 9, 50, 100) });
        let hand_out = |laws: &mut SchedulerLaws, minute, eval: &Arc<Evaluation>| {
            laws.observe(at(minute), A, &Event::EvalDequeued { eval: eval.clone(), waited: Duration::ZERO });
            laws.observe(at(minute), A, &Event::EvalAcked { eval: eval.id });
        };
        hand_out(&mut laws, 8, &waits(1, 1, 60, 500));
        hand_out(&mut laws, 16, &waits(2, 2, 50, 90));
        laws.judge(at(25), Some(at(0)));
        assert!(violations(&laws).is_empty(), "first a higher priority, then an older one");
        hand_out(&mut laws, 24, &waits(3, 3, 50, 200));
        hand_out(&mut laws, 25, &waits(4, 4, 40, 10));
        laws.judge(at(27), Some(at(0)));
        assert_eq!(violations(&laws), ["scheduler.no_eval_lost"], "a younger one and a lower priority");
    }
}
