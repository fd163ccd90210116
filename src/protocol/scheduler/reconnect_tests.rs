//! Stories of clients that are cut off and return, with `max_client_disconnect`.

use std::sync::Arc;

use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, ClientStatus, Desired};
use crate::model::evaluation::Trigger;
use crate::model::job::{DelayFunction, Job, JobId, JobKind, Reschedule};
use crate::model::node::{NodeId, NodeStatus};
use crate::protocol::client::event::Event as ClientEvent;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::state::State;
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::test_support::job;

type Region = story::Region<Decision>;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A job whose clients may be away for `patience`, replaced after `delay`.
fn patient(count: u32, patience: u64, delay: u64) -> Job {
    let mut spec = job(0, 50, count);
    spec.groups[0].max_client_disconnect = Some(secs(patience));
    spec.groups[0].reschedule =
        Some(Reschedule { delay: secs(delay), delay_function: DelayFunction::Constant, ..Reschedule::SERVICE });
    spec
}

/// Three servers of a release, three clients, the job running; then the client of its first allocation is cut off.
fn cut_off(release: &str, job: Job) -> (Region, Alloc) {
    let mut region = Region::of(release, 3, 3, 6);
    region.run_for(secs(20));
    region.operate(1, Operation::RegisterJob(Arc::new(job)));
    region.run_for(secs(40));
    let first = Alloc::clone(state(&region).allocs().values().next().expect("one"));
    region.cut.insert(3 + first.node.0 as usize);
    (region, first)
}

fn state(region: &Region) -> &State {
    region.servers[region.leader.expect("a leader")].state()
}

fn status(region: &Region, node: NodeId) -> NodeStatus {
    state(region).node(node).expect("registered").node.status
}

fn now_of<'r>(region: &'r Region, alloc: &Alloc) -> &'r Alloc {
    state(region).alloc(alloc.id).expect("kept")
}

fn live(region: &Region) -> Vec<&Alloc> {
    state(region).allocs().values().map(AsRef::as_ref).filter(|alloc| !alloc.is_terminal()).collect()
}

#[test]
fn a_silent_node_is_disconnected_only_if_something_may_return() {
    let after = |release: &str, job: Job| {
        let (mut region, first) = cut_off(release, job);
        region.run_for(secs(40));
        (status(&region, first.node), now_of(&region, &first).client)
    };
    assert_eq!(after("1.2.6", patient(1, 600, 5)), (NodeStatus::Down, ClientStatus::Lost));
    assert_eq!(after("1.3.0", patient(1, 600, 5)), (NodeStatus::Disconnected, ClientStatus::Unknown));
    assert_eq!(after("1.3.0", job(0, 50, 1)), (NodeStatus::Down, ClientStatus::Lost));
}

#[test]
fn it_is_replaced_by_its_policy_and_the_original_is_kept_when_it_returns() {
    let (mut region, first) = cut_off("1.6", patient(2, 600, 60));
    region.run_for(secs(45));
    assert_eq!(now_of(&region, &first).client, ClientStatus::Unknown);
    assert_eq!(live(&region).len(), 2, "not yet replaced");
    region.run_for(secs(60));
    assert_eq!(live(&region).len(), 3, "replaced, and kept");
    assert_eq!(now_of(&region, &first).desired, Desired::Run);
    region.heal();
    region.run_for(secs(200));
    let first = now_of(&region, &first);
    assert_eq!((first.client, first.desired, first.disconnected_at), (ClientStatus::Running, Desired::Run, None));
    assert_eq!(live(&region).len(), 2, "the replacement went");
    assert!(state(&region).alloc(first.next.expect("it was replaced")).expect("kept").is_terminal());
    assert_eq!(status(&region, first.node), NodeStatus::Ready);
    let triggers: Vec<Trigger> = state(&region).evals().values().map(|eval| eval.trigger).collect();
    assert!(triggers.contains(&Trigger::MaxDisconnectTimeout) && triggers.contains(&Trigger::Reconnect));
    let restarted = region
        .client_told
        .iter()
        .filter(|(_, _, event)| matches!(event, ClientEvent::StartTask { alloc, .. } if alloc.id == first.id));
    assert_eq!(restarted.count(), 1, "it ran all the time");
}

#[test]
fn a_client_that_returns_before_the_replacement_is_due_costs_nothing() {
    let (mut region, first) = cut_off("1.6", patient(2, 600, 120));
    region.run_for(secs(45));
    region.heal();
    region.run_for(secs(200));
    assert_eq!((state(&region).allocs().len(), live(&region).len()), (2, 2), "nothing else was placed");
    assert_eq!(now_of(&region, &first).client, ClientStatus::Running);
}

#[test]
fn patience_ends_and_the_allocation_is_lost_and_its_node_down() {
    let (mut region, first) = cut_off("1.6", patient(1, 90, 600));
    let from = region.now;
    region.run_for(secs(100));
    assert_eq!((now_of(&region, &first).client, live(&region).len()), (ClientStatus::Unknown, 1));
    region.run_for(secs(60));
    assert_eq!(now_of(&region, &first).client, ClientStatus::Lost);
    assert_eq!((live(&region).len(), status(&region, first.node)), (1, NodeStatus::Down));
    let missed = region
        .told
        .iter()
        .filter(|(at, event)| *at > from && matches!(event, Event::HeartbeatMissed { node } if *node == first.node));
    assert!(missed.count() >= 3, "the timer of a disconnected node goes on");
}

#[test]
fn a_newer_version_wins_over_an_allocation_that_returns() {
    let (mut region, first) = cut_off("1.6", patient(1, 600, 5));
    region.run_for(secs(60));
    let mut next = patient(1, 600, 5);
    next.groups[0].tasks[0].config = "image = v2".into();
    region.operate(0, Operation::RegisterJob(Arc::new(next)));
    region.run_for(secs(30));
    region.heal();
    region.run_for(secs(200));
    assert!(now_of(&region, &first).is_terminal());
    assert_eq!(live(&region).iter().map(|alloc| alloc.job.version).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_node_is_ready_after_its_reports_from_1_5_on() {
    let initializing = |release: &str| {
        let (mut region, first) = cut_off(release, patient(1, 600, 600));
        region.run_for(secs(60));
        region.heal();
        let mut seen = false;
        for _ in 0..2_000 {
            region.run_for(Duration::from_millis(100));
            seen |= status(&region, first.node) == NodeStatus::Initializing;
        }
        assert_eq!(status(&region, first.node), NodeStatus::Ready);
        assert_eq!(now_of(&region, &first).client, ClientStatus::Running);
        seen
    };
    assert_eq!((initializing("1.4.14"), initializing("1.5.0")), (false, true));
}

#[test]
fn a_system_job_s_allocation_is_unknown_and_known_again() {
    let mut system = patient(1, 600, 5);
    system.kind = JobKind::System;
    system.groups[0].reschedule = None;
    let (mut region, first) = cut_off("1.6", system);
    region.run_for(secs(45));
    assert_eq!(now_of(&region, &first).client, ClientStatus::Unknown);
    region.heal();
    region.run_for(secs(200));
    let first = now_of(&region, &first);
    assert_eq!((first.client, first.disconnected_at), (ClientStatus::Running, None));
    assert_eq!((state(&region).allocs_of_job(JobId(0)).count(), region.count(ClientStatus::Running)), (3, 3));
    assert!(region.now > Time::ZERO);
}
