//! Stories of jobs that run through children: by the clock, or on request.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Duration;
use crate::model::alloc::ClientStatus;
use crate::model::evaluation::Trigger;
use crate::model::job::{Job, JobId, JobKind, Launch, Parameterized, Payload, Periodic};
use crate::model::node::{Eligibility, NodeId};
use crate::protocol::client::event::Exit;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::dispatch::DispatchError;
use crate::protocol::scheduler::message::{Reply, RpcError};
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::state::{JobStatus, State};
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::test_support::job;

type Region = story::Region<Decision>;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Every five minutes, from midnight on.
fn periodic(prohibit_overlap: bool) -> Job {
    let cron = "*/5 * * * *".parse().unwrap();
    let periodic = Periodic { cron, utc_offset: 0, prohibit_overlap, enabled: true };
    Job { kind: JobKind::Batch, launch: Launch::Periodic(periodic), ..job(0, 50, 1) }
}

fn running(release: &str, job: Job) -> Region {
    let mut region = Region::of(release, 3, 2, 6);
    region.run_for(secs(20));
    region.operate(1, Operation::RegisterJob(Arc::new(job)));
    region.run_for(secs(10));
    region
}

fn state(region: &Region) -> &State {
    region.servers[region.leader.expect("a leader")].state()
}

/// The names of the job's children.
fn children(region: &Region) -> Vec<String> {
    let entry = state(region).job_entry(JobId(0)).expect("registered");
    let names = entry.children.ids().filter_map(|child| state(region).job(child));
    names.map(|job| job.name.to_string()).collect()
}

fn answer(region: &mut Region, operation: Operation) -> Reply {
    let before = region.answers().len();
    region.operate(1, operation);
    region.run_for(secs(5));
    region.answers().get(before).expect("an answer").clone()
}

#[test]
fn a_periodic_job_launches_children_until_it_is_stopped() {
    let mut region = running("1.6", periodic(false));
    assert_eq!(region.answers().last(), Some(&Reply::Operated { index: state(&region).index(), eval: None }));
    assert_eq!(state(&region).job_status(JobId(0)), Some(JobStatus::Running));
    region.run_for(secs(280));
    assert_eq!(children(&region), ["job-0/periodic-1704067500"]);
    let child = state(&region).job_entry(JobId(0)).expect("registered").children.ids().next().expect("launched");
    assert!(child.0 > JobId::CHILDREN && state(&region).allocs_of_job(child).count() == 1);
    let triggers: Vec<Trigger> = state(&region).evals_of_job(child).map(|eval| eval.trigger).collect();
    assert_eq!(triggers, [Trigger::PeriodicJob]);
    region.run_for(secs(300));
    assert_eq!(children(&region).len(), 2, "they may overlap");
    assert_eq!(answer(&mut region, Operation::EvaluateJob(JobId(0))), Reply::Failed(RpcError::NotEvaluated));
    let stop = Operation::DeregisterJob { job: JobId(0), purge: false };
    assert!(matches!(answer(&mut region, stop), Reply::Operated { eval: None, .. }));
    region.run_for(secs(600));
    assert_eq!((children(&region).len(), region.count(ClientStatus::Running)), (2, 2), "children go on");
    assert_eq!(state(&region).job_status(JobId(0)), Some(JobStatus::Dead));
}

#[test]
fn a_launch_is_skipped_while_a_child_runs_if_overlap_is_prohibited() {
    let mut region = running("1.6", periodic(true));
    region.run_for(secs(600));
    assert_eq!(children(&region).len(), 1);
    let alloc = state(&region).allocs().values().next().expect("one").clone();
    region.exit(alloc.node.0 as usize, alloc.id, Exit::Success);
    region.run_for(secs(300));
    assert_eq!(children(&region).len(), 2);
}

#[test]
fn a_launch_can_be_forced_whatever_runs() {
    let mut region = running("1.6", periodic(true));
    region.run_for(secs(280));
    let forced = answer(&mut region, Operation::ForceLaunch(JobId(0)));
    assert!(matches!(forced, Reply::Operated { eval: Some(_), .. }));
    assert_eq!(children(&region), ["job-0/periodic-1704067500", "job-0/periodic-1704067510"]);
    let mut disabled = periodic(true);
    let Launch::Periodic(period) = &mut disabled.launch else { panic!("it is periodic") };
    period.enabled = false;
    region.operate(0, Operation::RegisterJob(Arc::new(disabled)));
    region.operate(0, Operation::RegisterJob(Arc::new(job(1, 50, 1))));
    region.run_for(secs(5));
    assert_eq!(answer(&mut region, Operation::ForceLaunch(JobId(0))), Reply::Failed(RpcError::NotTracked));
    assert_eq!(answer(&mut region, Operation::ForceLaunch(JobId(1))), Reply::Failed(RpcError::NotPeriodic));
    region.run_for(secs(600));
    assert_eq!(children(&region).len(), 2, "disabled");
}

#[test]
fn a_new_leader_makes_up_for_one_missed_launch() {
    let mut region = running("1.6", periodic(false));
    region.kill(0);
    region.run_for(secs(700));
    region.elect(1);
    region.run_for(secs(5));
    assert_eq!(children(&region), ["job-0/periodic-1704067930"], "late, and once for two");
    region.run_for(secs(270));
    assert_eq!(children(&region).len(), 2);
}

#[test]
fn making_up_looks_for_overlap_from_1_5_4_on() {
    let launched = |release: &str| {
        let mut region = running(release, periodic(true));
        region.run_for(secs(280));
        region.run_for(secs(300));
        assert_eq!(children(&region).len(), 1, "one runs, one was skipped");
        region.elect(1);
        region.run_for(secs(5));
        children(&region).len()
    };
    assert_eq!((launched("1.5.3"), launched("1.5.4")), (2, 1));
}

#[test]
fn a_dispatch_is_a_child_with_its_own_metadata_in_two_entries() {
    let rules =
        Parameterized { payload: Payload::Required, meta_required: vec!["input".into()], meta_optional: Vec::new() };
    let mut parameterized = job(0, 50, 1);
    parameterized.kind = JobKind::Batch;
    parameterized.launch = Launch::Parameterized(rules);
    let mut region = running("1.6", parameterized);
    let meta = OrdMap::from([("input".to_string(), "a".to_string())]);
    let dispatch = |payload_bytes| Operation::Dispatch { job: JobId(0), meta: meta.clone(), payload_bytes };
    assert_eq!(answer(&mut region, dispatch(0)), Reply::Failed(DispatchError::PayloadMissing.into()));
    let before = state(&region).index();
    let Reply::Operated { index, eval: Some(_) } = answer(&mut region, dispatch(100)) else { panic!("dispatched") };
    assert_eq!(index, before + 2);
    answer(&mut region, dispatch(100));
    let names = children(&region);
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("job-0/dispatch-17040672")), "{names:?}");
    assert_eq!(names[0].len(), "job-0/dispatch-1704067230-".len() + 8);
    let child = state(&region).job_entry(JobId(0)).expect("registered").children.ids().next().expect("launched");
    assert_eq!(state(&region).job(child).map(|job| job.meta.clone()), Some(meta.clone()));
    region.run_for(secs(10));
    assert_eq!(region.count(ClientStatus::Running), 2);
    let plain = Operation::Dispatch { job: child, meta: OrdMap::new(), payload_bytes: 0 };
    assert_eq!(answer(&mut region, plain), Reply::Failed(DispatchError::NotParameterized.into()));
    answer(&mut region, Operation::DeregisterJob { job: JobId(0), purge: false });
    assert_eq!(answer(&mut region, dispatch(1)), Reply::Failed(DispatchError::Stopped.into()));
}

#[test]
fn children_are_collected_and_their_parent_stays() {
    let mut region = running("1.6", periodic(true));
    for _ in 0..5 * 60 {
        let alloc = state(&region).allocs().values().find(|alloc| alloc.client == ClientStatus::Running).cloned();
        if let Some(alloc) = alloc {
            region.exit(alloc.node.0 as usize, alloc.id, Exit::Success);
        }
        region.operate(1, Operation::Eligibility { node: NodeId(1), eligibility: Eligibility::Eligible });
        region.run_for(secs(60));
    }
    let left = children(&region);
    assert!(left.len() < 55 && !left.contains(&"job-0/periodic-1704067500".to_string()), "{}", left.len());
    assert_eq!(state(&region).job_status(JobId(0)), Some(JobStatus::Running));
}
