//! Stories of drains: how many move, and when.

use crate::base::time::Duration;
use crate::model::job::{HealthCheck, JobKind, Migrate};
use crate::model::node::{Eligibility, NodeId};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::control_tests::{Region, running, secs};
use crate::protocol::scheduler::event::Event;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::test_support::job;

fn drain(region: &mut Region, node: u32, deadline: Option<Duration>) {
    region.operate(1, Operation::Drain { node: NodeId(node), deadline, ignore_system_jobs: false });
}

fn live_on(region: &Region, node: u32) -> usize {
    region.servers[0].state().allocs_of_node(NodeId(node)).filter(|alloc| !alloc.is_terminal()).count()
}

fn is_draining(region: &Region, node: u32) -> bool {
    region.servers[0].state().node(NodeId(node)).expect("registered").node.drain.is_some()
}

#[test]
fn a_limit_above_the_count_lets_all_move_whatever_their_health() {
    let moved = |max_parallel| {
        let mut spec = job(0, 50, 4);
        spec.groups[0].migrate =
            Some(Migrate { max_parallel, health_check: HealthCheck::Manual, ..Migrate::default() });
        let mut region = running("1.6", 2, 6, spec);
        assert_eq!(live_on(&region, 0), 2);
        drain(&mut region, 0, None);
        region.run_for(Duration::from_millis(1_500));
        2 - live_on(&region, 0)
    };
    assert_eq!([moved(4), moved(5), moved(9)], [0, 1, 2], "at once as many as the limit lies above the count");
}

#[test]
fn the_marks_of_a_deadline_are_gathered_for_a_second() {
    let mut batch = job(0, 50, 3);
    batch.kind = JobKind::Batch;
    let mut region = running("1.6", 2, 6, batch);
    drain(&mut region, 0, Some(secs(30)));
    region.run_for(secs(30) + Duration::from_millis(900));
    let marked =
        |region: &Region| region.servers[0].state().allocs().values().filter(|alloc| alloc.transition.migrate).count();
    assert_eq!((marked(&region), is_draining(&region, 0)), (0, true));
    region.run_for(Duration::from_millis(200));
    assert!(marked(&region) > 0 && !is_draining(&region, 0));
}

#[test]
fn a_drain_ends_as_soon_as_its_node_is_empty() {
    let mut region = running("1.6", 3, 6, job(0, 50, 1));
    let (idle, busy): (Vec<u32>, Vec<u32>) = (0..3).partition(|node| live_on(&region, *node) == 0);
    drain(&mut region, idle[0], None);
    region.run_for(Duration::from_millis(100));
    let node = &region.servers[0].state().node(NodeId(idle[0])).expect("registered").node;
    assert_eq!((node.eligibility, node.drain), (Eligibility::Ineligible, None), "it held nothing");
    let from = region.now;
    drain(&mut region, busy[0], None);
    region.run_for(secs(60));
    let ended = |event: &Event| {
        let Event::Propose { command, .. } = event else { return false };
        matches!(**command, Command::NodeDrain { strategy: None, .. })
    };
    let ended = region.first(from, ended).expect("the drain is over");
    let reports = region.told.iter().filter(|(at, event)| {
        let Event::Propose { command, .. } = event else { return false };
        *at < ended && matches!(**command, Command::ClientUpdate { .. })
    });
    let last = reports.map(|(at, _)| *at).max().expect("the client said so");
    assert!(ended.since(last) < Duration::from_millis(10), "with the report of the last task");
}
