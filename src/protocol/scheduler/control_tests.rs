//! Stories of the control plane: deployments, drains, operators, releases.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::deployment::DeploymentStatus;
use crate::model::evaluation::{EvalId, Evaluation, Trigger};
use crate::model::job::{HealthCheck, Job, JobId, JobKind, Migrate, Reschedule, TaskGroup, Update};
use crate::model::node::{DrainStrategy, Eligibility, NodeId, NodeStatus};
use crate::protocol::client::event::Exit;
use crate::protocol::scheduler::command::{Command, Refusal};
use crate::protocol::scheduler::config::RejectionConfig;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::message::{Reply, RpcError};
use crate::protocol::scheduler::operation::{AllocOf, DeploymentOf, Operation};
use crate::protocol::scheduler::reconcile::{Question, Taint, Verdict, reconcile};
use crate::protocol::scheduler::release::Behaviour;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::test_support::job;

pub(super) type Region = story::Region<Decision>;

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Three servers of a release, clients registered, the job running.
pub(super) fn running(release: &str, clients: usize, room: u64, job: Job) -> Region {
    let mut region = Region::of(release, 3, clients, room);
    region.run_for(secs(20));
    region.operate(1, Operation::RegisterJob(Arc::new(job)));
    region.run_for(secs(40));
    region
}

/// A second version of the job.
pub(super) fn changed(job: &Job) -> Job {
    let mut next = job.clone();
    next.groups[0].tasks[0].config = "image = v2".into();
    next
}

#[test]
fn a_group_without_canaries_holds_promotion_up_until_1_1_4() {
    let status = |release: &str| {
        let mut mixed = job(0, 50, 1);
        mixed.groups[0].update = Some(Update { canary: 1, auto_promote: true, ..Update::default() });
        let plain = TaskGroup { name: "plain".into(), update: Some(Update::default()), ..mixed.groups[0].clone() };
        mixed.groups.push(plain);
        let mut region = running(release, 2, 6, mixed.clone());
        region.operate(0, Operation::RegisterJob(Arc::new(changed(&mixed))));
        region.run_for(secs(120));
        let state = region.servers[0].state();
        state.latest_deployment(JobId(0)).expect("a deployment").groups["web"].promoted
    };
    assert_eq!((status("1.1.3"), status("1.1.4")), (false, true));
}

#[test]
fn a_drain_ends_once_tasks_ended_from_1_5_4_on() {
    let ended_early = |release: &str| {
        let mut slow = job(0, 50, 2);
        slow.groups[0].tasks[0].kill_timeout = secs(30);
        let mut region = running(release, 2, 6, slow);
        region.stop_time = secs(25);
        let from = region.now;
        region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(3_600)), ignore_system_jobs: false });
        region.run_for(secs(120));
        let ended = |event: &Event| {
            matches!(event, Event::Propose { command, .. }
            if matches!(**command, Command::NodeDrain { strategy: None, .. }))
        };
        let ended = region.first(from, ended).expect("the drain is over");
        ended.since(from) < secs(25)
    };
    assert_eq!((ended_early("1.5.3"), ended_early("1.5.4")), (true, false));
}

#[test]
fn a_drain_s_deadline_and_its_start_survive_a_change_of_leaders() {
    let mut batch = job(0, 50, 3);
    batch.kind = JobKind::Batch;
    let mut region = running("1.6", 2, 6, batch);
    let live = |region: &Region| {
        let leader = region.leader.expect("a leader");
        region.servers[leader].state().allocs_of_node(NodeId(0)).filter(|alloc| !alloc.is_terminal()).count()
    };
    let from = region.now;
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(600)), ignore_system_jobs: true });
    region.run_for(secs(5));
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: Some(secs(60)), ignore_system_jobs: true });
    region.run_for(secs(5));
    let strategy = region.servers[1].state().node(NodeId(0)).and_then(|entry| entry.node.drain).expect("it drains");
    assert!(strategy.started_at.since(from) < secs(1), "a second strategy keeps the start");
    assert!(strategy.ignore_system_jobs && strategy.deadline.is_some_and(|at| at.since(from) < secs(66)));
    region.elect(1);
    region.run_for(secs(40));
    assert!(live(&region) > 0, "batch work stays until the deadline");
    region.run_for(secs(40));
    assert_eq!(live(&region), 0);
}

#[test]
fn a_drain_goes_on_when_a_smaller_count_frees_an_allocation() {
    let mut narrow = job(0, 50, 2);
    narrow.groups[0].migrate = Some(Migrate { max_parallel: 0, ..Default::default() });
    let mut region = running("1.6", 2, 6, narrow.clone());
    region.operate(1, Operation::Drain { node: NodeId(0), deadline: None, ignore_system_jobs: false });
    region.run_for(secs(30));
    let marked = |state: &State| state.allocs().values().filter(|alloc| alloc.transition.migrate).count();
    assert_eq!(marked(region.servers[0].state()), 0, "nothing may move");
    narrow.groups[0].migrate = Some(Migrate::default());
    region.operate(1, Operation::RegisterJob(Arc::new(narrow)));
    region.run_for(secs(3));
    assert_eq!(marked(region.servers[0].state()), 1);
}

#[test]
fn sysbatch_jobs_are_refused_before_1_2() {
    let answer = |release: &str| {
        let mut once = job(0, 50, 1);
        once.kind = JobKind::SysBatch;
        running(release, 1, 4, once).answers().last().cloned()
    };
    assert_eq!(answer("1.1.18"), Some(Reply::Failed(RpcError::UnsupportedKind)));
    assert!(matches!(answer("1.2.0"), Some(Reply::Operated { .. })));
}

#[test]
fn a_job_that_is_no_system_job_any_more_leaves_their_list() {
    let mut state = State::new();
    let mut spec = job(0, 50, 1);
    spec.kind = JobKind::System;
    state.apply(1, &Command::RegisterJob { job: Arc::new(spec.clone()), eval: None, time: Time::ZERO });
    assert_eq!(state.system_jobs(), [JobId(0)]);
    spec.kind = JobKind::Service;
    state.apply(2, &Command::RegisterJob { job: Arc::new(spec), eval: None, time: Time::ZERO });
    assert_eq!(state.system_jobs(), []);
}

/// A rolling job of three whose second version is being rolled out, its first instance just placed.
pub(super) fn rolling(update: Update) -> (Region, Job) {
    let mut spec = job(0, 50, 3);
    spec.groups[0].update = Some(update);
    let mut region = running("1.6", 2, 6, spec.clone());
    let next = changed(&spec);
    region.operate(0, Operation::RegisterJob(Arc::new(next.clone())));
    region.run_for(secs(5));
    (region, next)
}

fn versions(region: &Region) -> Vec<u64> {
    let state = region.servers[region.leader.expect("a leader")].state();
    state.allocs().values().filter(|alloc| !alloc.is_terminal()).map(|alloc| alloc.job.version).collect()
}

pub(super) fn answer(region: &mut Region, operation: Operation) -> Reply {
    let before = region.answers().len();
    region.operate(1, operation);
    region.run_for(secs(2));
    region.answers().get(before).expect("an answer").clone()
}

pub(super) const DEPLOYMENT: DeploymentOf = DeploymentOf::Job(JobId(0));

#[test]
fn canaries_are_promoted_by_hand_once_they_are_healthy() {
    let (mut region, _) = rolling(Update { canary: 1, ..Update::default() });
    let groups = || vec![Arc::from("web")];
    let early = answer(&mut region, Operation::Promote { deployment: DEPLOYMENT, groups: groups() });
    assert_eq!(early, Reply::Failed(Refusal::UnhealthyCanaries { healthy: 0, wanted: 1 }.into()));
    region.run_for(secs(60));
    assert_eq!(versions(&region), [0, 0, 0, 1], "the canary beside the old ones");
    let done = answer(&mut region, Operation::Promote { deployment: DEPLOYMENT, groups: Vec::new() });
    assert!(matches!(done, Reply::Operated { eval: Some(_), .. }));
    region.run_for(secs(90));
    assert_eq!(versions(&region), [1, 1, 1]);
    let late = answer(&mut region, Operation::Promote { deployment: DEPLOYMENT, groups: groups() });
    assert_eq!(late, Reply::Failed(RpcError::DeploymentTerminal));
    let unknown = Operation::Promote { deployment: DeploymentOf::Job(JobId(7)), groups: Vec::new() };
    assert_eq!(answer(&mut region, unknown), Reply::Failed(RpcError::UnknownDeployment));
}

#[test]
fn a_new_leader_promotes_canaries_that_are_healthy_already() {
    let (mut region, _) = rolling(Update { canary: 1, auto_promote: true, ..Update::default() });
    answer(&mut region, Operation::Pause(DEPLOYMENT));
    region.run_for(secs(60));
    answer(&mut region, Operation::Resume(DEPLOYMENT));
    region.run_for(secs(5));
    let promoted = |region: &Region, server: usize| {
        let state = region.servers[server].state();
        state.latest_deployment(JobId(0)).expect("a deployment").groups["web"].promoted
    };
    assert!(!promoted(&region, 0), "nothing was reported since");
    region.elect(1);
    region.run_for(secs(5));
    assert!(promoted(&region, 1));
}

#[test]
fn a_paused_deployment_stands_still_until_it_is_resumed() {
    let (mut region, _) = rolling(Update::default());
    assert!(matches!(answer(&mut region, Operation::Pause(DEPLOYMENT)), Reply::Operated { eval: None, .. }));
    region.run_for(secs(60));
    assert_eq!(versions(&region), [0, 0, 1]);
    assert!(matches!(answer(&mut region, Operation::Resume(DEPLOYMENT)), Reply::Operated { eval: Some(_), .. }));
    region.run_for(secs(60));
    assert_eq!(versions(&region), [1, 1, 1]);
}

#[test]
fn a_deployment_failed_by_hand_goes_back_if_a_group_asks_for_it() {
    let after = |auto_revert| {
        let (mut region, _) = rolling(Update { auto_revert, ..Update::default() });
        region.run_for(secs(1));
        answer(&mut region, Operation::Fail(DEPLOYMENT));
        region.run_for(secs(120));
        region.servers[0].state().job(JobId(0)).expect("registered").version
    };
    assert_eq!((after(false), after(true)), (1, 2));
}

#[test]
fn health_set_by_hand_moves_a_manual_rollout_on_or_fails_it() {
    let manual = Update { health_check: HealthCheck::Manual, auto_revert: false, ..Update::default() };
    let mut spec = job(0, 50, 2);
    spec.groups[0].update = Some(manual);
    let mut region = running("1.6", 2, 6, spec.clone());
    let ids = |region: &Region| -> Vec<AllocId> {
        region.servers[0].state().allocs().values().filter(|alloc| !alloc.is_terminal()).map(|a| a.id).collect()
    };
    let numbers = |ids: Vec<AllocId>| ids.into_iter().map(AllocOf::Number).collect();
    let set = |healthy, unhealthy| Operation::SetHealth {
        deployment: DEPLOYMENT,
        healthy: numbers(healthy),
        unhealthy: numbers(unhealthy),
    };
    let foreign = answer(&mut region, set(vec![AllocId(99)], Vec::new()));
    assert_eq!(foreign, Reply::Failed(Refusal::ForeignAlloc.into()));
    let both = ids(&region);
    answer(&mut region, set(both, Vec::new()));
    region.run_for(secs(5));
    let status = |region: &Region| region.servers[0].state().latest_deployment(JobId(0)).expect("one").status;
    assert_eq!(status(&region), DeploymentStatus::Successful);
    region.operate(0, Operation::RegisterJob(Arc::new(changed(&spec))));
    region.run_for(secs(20));
    let named = |index| vec![AllocOf::Name { job: JobId(0), group: spec.groups[0].name.clone(), index }];
    let by_name = |index| Operation::SetHealth { deployment: DEPLOYMENT, healthy: Vec::new(), unhealthy: named(index) };
    assert_eq!(answer(&mut region, by_name(7)), Reply::Failed(RpcError::UnknownAlloc));
    let newest = *ids(&region).last().expect("the second version's first");
    let index = region.servers[0].state().alloc(newest).expect("known").name_index;
    answer(&mut region, by_name(index));
    assert_eq!(status(&region), DeploymentStatus::Failed);
}

#[test]
fn a_drain_can_be_taken_back_and_the_node_is_evaluated() {
    let mut region = running("1.6", 2, 6, job(0, 50, 2));
    let drain = |deadline| Operation::Drain { node: NodeId(0), deadline, ignore_system_jobs: false };
    answer(&mut region, drain(None));
    let kept = answer(&mut region, Operation::CancelDrain { node: NodeId(0), mark_eligible: false });
    assert!(matches!(kept, Reply::Operated { eval: None, .. }));
    let node = |region: &Region| region.servers[0].state().node(NodeId(0)).expect("registered").node.clone();
    assert!(node(&region).drain.is_none() && node(&region).eligibility == Eligibility::Ineligible);
    let back = answer(&mut region, Operation::CancelDrain { node: NodeId(0), mark_eligible: true });
    assert!(matches!(back, Reply::Operated { eval: Some(_), .. }), "jobs on it are evaluated");
    assert!(node(&region).is_ready());
    let asked = answer(&mut region, Operation::EvaluateNode(NodeId(1)));
    assert!(matches!(asked, Reply::Operated { eval: Some(_), .. }));
    assert_eq!(answer(&mut region, Operation::EvaluateNode(NodeId(9))), Reply::Failed(RpcError::UnknownNode));
}

#[test]
fn failed_allocations_are_replaced_at_once_when_asked_for() {
    let mut region = running("1.6", 2, 6, job(0, 50, 1));
    let alloc = region.servers[0].state().allocs().values().next().expect("one").clone();
    for _ in 0..3 {
        region.exit(alloc.node.0 as usize, alloc.id, Exit::Failure);
        region.run_for(secs(18));
    }
    assert_eq!(region.count(ClientStatus::Running), 0, "the first delay is 30 s");
    answer(&mut region, Operation::RescheduleFailed(JobId(0)));
    region.run_for(secs(5));
    assert_eq!(region.count(ClientStatus::Running), 1);
}

#[test]
fn an_evaluation_can_be_given_a_priority_from_1_2_4_on() {
    let priorities = |release: &str| {
        let mut region = running(release, 1, 4, job(0, 50, 1));
        let more = Operation::RegisterJob(Arc::new(job(0, 50, 2)));
        answer(&mut region, Operation::EvalPriority { priority: 90, of: Arc::new(more) });
        let stop = Operation::DeregisterJob { job: JobId(0), purge: true };
        answer(&mut region, Operation::EvalPriority { priority: 80, of: Arc::new(stop) });
        assert_eq!(region.count(ClientStatus::Running), 0);
        assert!(region.servers[0].state().job(JobId(0)).is_none(), "purged");
        region.servers[0].state().evals().values().map(|eval| eval.priority).collect::<Vec<_>>()
    };
    assert_eq!((priorities("1.2.3"), priorities("1.2.4")), (vec![50, 50, 50], vec![50, 90, 80]));
    let mut region = running("1.6", 1, 4, job(0, 50, 1));
    let none = Operation::EvalPriority { priority: 0, of: Arc::new(Operation::EvaluateJob(JobId(0))) };
    assert_eq!(answer(&mut region, none), Reply::Failed(RpcError::PriorityOutOfRange));
}

#[test]
fn a_node_that_keeps_rejecting_plans_becomes_ineligible_from_1_3_2_on() {
    let eligibility = |release: &str| {
        let behaviour = Behaviour::of(release.parse().unwrap());
        let mut region = Region::configured(3, 1, 3, |config| {
            config.scheduler.behaviour = behaviour;
            config.plan_rejections = Some(RejectionConfig { threshold: 1, ..RejectionConfig::default() });
        });
        region.run_for(secs(20));
        for id in 0..3 {
            region.operate(0, Operation::RegisterJob(Arc::new(job(id, 50, 2))));
        }
        region.run_for(secs(30));
        region.servers[1].state().node(NodeId(0)).expect("registered").node.eligibility
    };
    assert_eq!((eligibility("1.3.1"), eligibility("1.3.2")), (Eligibility::Eligible, Eligibility::Ineligible));
}

#[test]
fn a_leader_that_cannot_establish_itself_steps_down_from_1_3_on() {
    let asked = |release: &str| {
        let mut region = Region::of(release, 3, 1, 4);
        region.run_for(secs(20));
        region.servers[1].wedge(true);
        region.elect(1);
        region.run_for(secs(59));
        assert!(!region.servers[1].is_ready());
        region.servers[1].wedge(false);
        let asked = region.told.iter().filter(|(_, event)| matches!(event, Event::StepDown)).count();
        let from = region.now;
        region.run_for(secs(60));
        let ready = region.first(from, |event| matches!(event, Event::LeaderEstablished { .. }));
        assert!(ready.expect("it tries again").since(from) < secs(5));
        asked
    };
    assert_eq!((asked("1.2.16"), asked("1.3.0")), (0, 12), "again after a minute, or after five seconds");
}

#[test]
fn a_paused_broker_hands_nothing_out_until_it_goes_on() {
    let mut region = running("1.3.2", 1, 6, job(0, 50, 1));
    answer(&mut region, Operation::PauseBroker(true));
    region.operate(0, Operation::RegisterJob(Arc::new(job(1, 50, 1))));
    region.run_for(secs(60));
    assert_eq!(region.count(ClientStatus::Running), 1);
    region.elect(1);
    region.run_for(secs(60));
    assert!(region.servers[1].is_ready() && !region.servers[1].broker().is_enabled(), "a new leader knows");
    answer(&mut region, Operation::PauseBroker(false));
    region.run_for(secs(20));
    assert_eq!(region.count(ClientStatus::Running), 2);
    let mut old = running("1.3.1", 1, 6, job(0, 50, 1));
    assert_eq!(answer(&mut old, Operation::PauseBroker(true)), Reply::Failed(RpcError::UnknownSwitch));
}

#[test]
fn registrations_can_be_rejected_from_1_2_4_on() {
    let mut region = running("1.2.4", 1, 6, job(0, 50, 1));
    answer(&mut region, Operation::RejectRegistrations(true));
    let register = || Operation::RegisterJob(Arc::new(job(1, 50, 1)));
    let scale = || Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 2 };
    let rejected = Reply::Failed(RpcError::RegistrationsRejected);
    assert_eq!(answer(&mut region, register()), rejected);
    assert_eq!(answer(&mut region, scale()), rejected);
    answer(&mut region, Operation::RejectRegistrations(false));
    assert!(matches!(answer(&mut region, register()), Reply::Operated { .. }));
    let mut old = running("1.2.3", 1, 6, job(0, 50, 1));
    assert_eq!(answer(&mut old, Operation::RejectRegistrations(true)), Reply::Failed(RpcError::UnknownSwitch));
}

#[test]
fn a_deployment_fails_at_once_when_nothing_may_be_rescheduled_from_1_6_on() {
    let status = |release: &str| {
        let mut spec = job(0, 50, 1);
        spec.groups[0].update = Some(Update::default());
        spec.groups[0].reschedule = Some(Reschedule { attempts: 0, unlimited: false, ..Reschedule::SERVICE });
        let mut region = running(release, 2, 6, spec.clone());
        region.run_for(secs(20));
        region.bad_image = Some("image = v2".into());
        region.operate(0, Operation::RegisterJob(Arc::new(changed(&spec))));
        region.run_for(secs(120));
        region.servers[0].state().latest_deployment(JobId(0)).expect("a deployment").status
    };
    assert_eq!((status("1.5.17"), status("1.6.0")), (DeploymentStatus::Running, DeploymentStatus::Failed));
}

#[test]
fn doubled_numbers_are_repaired_by_an_update_from_1_6_3_on() {
    let numbers = |release: &str| {
        let spec = job(0, 50, 3);
        let (old, next) = (Arc::new(spec.clone()), Arc::new(changed(&spec)));
        let next = Job { version: 1, job_modify_index: 9, ..Job::clone(&next) };
        let allocs: Vec<Arc<Alloc>> = [0, 1, 1]
            .iter()
            .zip(0..)
            .map(|(number, id)| {
                let placed = story::place(&old, NodeId(0), EvalId(0), None, Time::ZERO);
                Arc::new(Alloc { id: AllocId(id), name_index: *number, client: ClientStatus::Running, ..placed })
            })
            .collect();
        let behaviour = Behaviour::of(release.parse().unwrap());
        let (job, eval) = (Arc::new(next), EvalId(0));
        let question = Question {
            job: Some(&job),
            batch: false,
            deployment: None,
            job_id: JobId(0),
            eval,
            now: Time::ZERO,
            behaviour,
        };
        let allocs: Vec<&Arc<Alloc>> = allocs.iter().collect();
        let answer = reconcile(question, &allocs, &|_| Taint::None, &mut |_, _| Verdict::Destructive);
        answer.destructive.iter().map(|replace| replace.name_index).collect::<Vec<_>>()
    };
    assert_eq!((numbers("1.6.2"), numbers("1.6.3")), (vec![0, 1, 1], vec![0, 2, 1]));
}

fn registered(state: &mut State, index: u64, job: Job) {
    state.apply(index, &Command::RegisterJob { job: Arc::new(job), eval: None, time: Time::ZERO });
}

#[test]
fn taking_a_drain_back_unblocks_nobody_and_a_draining_node_is_not_made_eligible() {
    let mut state = State::new();
    let (id, spec) = (NodeId(0), story::node_spec(600));
    state.apply(1, &Command::RegisterNode { id, spec, status: NodeStatus::Ready });
    let strategy = DrainStrategy { deadline: None, ignore_system_jobs: false, started_at: Time::ZERO };
    state.apply(2, &Command::NodeDrain { id, strategy: Some(strategy), mark_eligible: false });
    let eligible = Command::NodeEligibility { id, eligibility: Eligibility::Eligible };
    let refused = state.apply(3, &eligible);
    assert_eq!((refused.refused, refused.unblocked.len()), (Some(Refusal::NodeDraining), 0));
    assert_eq!(state.node(id).unwrap().node.eligibility, Eligibility::Ineligible);
    let back = state.apply(4, &Command::NodeDrain { id, strategy: None, mark_eligible: true });
    assert!(state.node(id).unwrap().node.is_ready() && back.unblocked.is_empty());
    state.apply(5, &Command::NodeEligibility { id, eligibility: Eligibility::Ineligible });
    assert_eq!(state.apply(6, &eligible).unblocked.len(), 1, "eligibility alone unblocks");
}

#[test]
fn a_drain_ends_ineligible_whatever_was_asked_meanwhile() {
    let mut batch = job(0, 50, 3);
    batch.kind = JobKind::Batch;
    let mut region = running("1.6", 2, 6, batch);
    let drain = || Operation::Drain { node: NodeId(0), deadline: Some(secs(60)), ignore_system_jobs: false };
    let mark = |eligibility| Operation::Eligibility { node: NodeId(0), eligibility };
    answer(&mut region, mark(Eligibility::Ineligible));
    // The node does not drain yet when the second command is looked at, but when it is applied.
    let before = region.answers().len();
    region.operate(0, drain());
    region.operate(0, mark(Eligibility::Eligible));
    region.run_for(secs(2));
    assert_eq!(region.answers()[before + 1], Reply::Failed(Refusal::NodeDraining.into()));
    assert_eq!(answer(&mut region, mark(Eligibility::Eligible)), Reply::Failed(RpcError::NodeDraining));
    assert!(matches!(answer(&mut region, mark(Eligibility::Ineligible)), Reply::Operated { eval: None, .. }));
    region.run_for(secs(90));
    let node = &region.servers[0].state().node(NodeId(0)).expect("registered").node;
    assert!(node.drain.is_none() && node.eligibility == Eligibility::Ineligible);
}

#[test]
fn deregistration_and_scaling_are_evaluated_at_50_until_1_1_7() {
    let asked = |release: &str| {
        let mut batch = job(0, 70, 1);
        batch.kind = JobKind::Batch;
        let mut region = running(release, 1, 4, batch);
        answer(&mut region, Operation::ScaleJob { job: JobId(0), group: "web".into(), count: 2 });
        answer(&mut region, Operation::DeregisterJob { job: JobId(0), purge: false });
        let evals = region.servers[0].state().evals().values();
        evals.map(|eval| (eval.trigger, eval.kind, eval.priority)).collect::<Vec<_>>()
    };
    let expected = |priority| {
        let (batch, service) = (JobKind::Batch, JobKind::Service);
        let scaling = (Trigger::JobScaling, batch, priority);
        [(Trigger::JobRegister, batch, 70), scaling, (Trigger::JobDeregister, service, priority)]
    };
    assert_eq!(asked("1.1.6"), expected(50));
    assert_eq!(asked("1.1.7"), expected(70));
}

#[test]
fn of_a_purged_job_nothing_is_queued_even_if_an_evaluation_says_so_late() {
    let mut state = State::new();
    registered(&mut state, 1, job(0, 50, 2));
    let count = |count: u32| [(Arc::from("web"), count)].into();
    let eval = Evaluation { queued: count(2), ..Evaluation::new(&job(0, 50, 2), Trigger::JobRegister, Time::ZERO) };
    let entry = |state: &State| Arc::clone(state.job_entry(JobId(0)).expect("it has evaluations"));
    state.apply(2, &Command::UpsertEvals(Vec::new()));
    assert!(entry(&state).has_queued(&count(0)) && !entry(&state).has_queued(&count(2)), "none was named yet");
    state.apply(3, &Command::UpsertEvals(vec![eval.clone()]));
    assert!(!entry(&state).has_queued(&count(0)) && entry(&state).has_queued(&count(2)));
    state.apply(4, &Command::DeregisterJob { id: JobId(0), purge: true, eval: None });
    assert!(entry(&state).queued.is_empty());
    state.apply(5, &Command::UpsertEvals(vec![eval]));
    assert!(entry(&state).queued.is_empty());
    assert!(entry(&state).has_queued(&count(2)), "there is nothing to compare with");
}
