//! Single rules of placement, through whole evaluations: devices, cores, datacenters, pools, volumes, networks.

use std::sync::Arc;

use crate::base::time::Duration;
use crate::base::units::{MegaHertz, MegabitsPerSecond};
use crate::model::alloc::{Alloc, ClientStatus, Desired};
use crate::model::constraint::Constraint;
use crate::model::evaluation::{EvalStatus, Evaluation, Trigger};
use crate::model::job::{Job, JobId, JobKind, TaskGroup};
use crate::model::node::{NodeDevice, NodeId, NodeNetwork, NodeSpec, NodeStatus};
use crate::model::resources::{DeviceAsk, NetworkAsk, PortAsk};
use crate::protocol::scheduler::command::Command;
use crate::protocol::scheduler::decide::Decision;
use crate::protocol::scheduler::message::Reply;
use crate::protocol::scheduler::operation::Operation;
use crate::protocol::scheduler::plan::{Misfit, Plan, Rejection, evaluate_plan};
use crate::protocol::scheduler::release::{Behaviour, Release};
use crate::protocol::scheduler::story;
use crate::protocol::scheduler::story_tests::{Region, job, node};

fn join(region: &mut Region, number: u32, change: impl FnOnce(&mut NodeSpec)) {
    let mut spec = node(number);
    change(&mut spec);
    region.apply(Command::RegisterNode { id: NodeId(number), spec: Arc::new(spec), status: NodeStatus::Ready });
}

fn gpus(count: usize) -> Vec<NodeDevice> {
    vec![NodeDevice {
        vendor: "nvidia".into(),
        kind: "gpu".into(),
        name: "t4".into(),
        instances: (0..count).map(|at| format!("gpu-{at}")).collect(),
        attributes: [("memory".into(), "16 GiB".into())].into(),
    }]
}

fn gpu_job(id: u32, count: u32, gpus: u32) -> Job {
    let mut job = job(id, JobKind::Service, count, 100);
    job.groups[0].tasks[0].resources.devices =
        vec![DeviceAsk { name: "nvidia/gpu".into(), count: gpus, constraints: Vec::new(), affinities: Vec::new() }];
    job
}

fn instances(alloc: &Alloc) -> Vec<&str> {
    alloc.devices.iter().flat_map(|device| &device.instances).map(AsRef::as_ref).collect()
}

#[test]
fn devices_of_a_node_are_handed_out_once_and_waited_for() {
    let mut region = Region::new(1);
    join(&mut region, 1, |spec| spec.devices = gpus(3));
    let (eval, created) = region.run(&gpu_job(0, 3, 1));
    assert_eq!((eval.status, created.len()), (EvalStatus::Complete, 0));
    let live = region.live(JobId(0));
    assert!(live.iter().all(|alloc| alloc.node == NodeId(1)), "only this node has devices");
    let mut held: Vec<&str> = live.iter().flat_map(|alloc| instances(alloc)).collect();
    held.sort_unstable();
    assert_eq!(held, ["gpu-0", "gpu-1", "gpu-2"]);
    let (eval, created) = region.run(&gpu_job(1, 1, 2));
    let failed = eval.failed_groups.values().next().unwrap();
    assert_eq!(failed.constraint_filtered["missing devices"], 1);
    assert_eq!(failed.dimension_exhausted["devices: no devices match request"], 1);
    assert_eq!(created.len(), 1, "it waits, blocked");
    region.run(&gpu_job(0, 1, 1));
    let (eval, _) = region.run(&gpu_job(1, 1, 2));
    assert!(eval.failed_groups.is_empty());
    assert_eq!(instances(region.live(JobId(1))[0]).len(), 2);
}

#[test]
fn devices_stay_with_an_allocation_that_is_updated_in_place() {
    let mut region = Region::new(0);
    join(&mut region, 0, |spec| spec.devices = gpus(2));
    let mut spec = gpu_job(0, 2, 1);
    region.run(&spec);
    let held = |region: &Region| -> Vec<_> {
        region.live(JobId(0)).iter().map(|alloc| (alloc.id, alloc.devices.clone())).collect()
    };
    let before = held(&region);
    spec.priority = 60;
    let (eval, _) = region.run(&spec);
    assert!(eval.failed_groups.is_empty());
    assert_eq!(held(&region), before);
}

#[test]
fn a_plan_that_hands_a_device_out_twice_is_rejected() {
    let mut region = Region::new(0);
    join(&mut region, 0, |spec| spec.devices = gpus(2));
    let (eval, _) = region.run(&gpu_job(0, 1, 1));
    let other = gpu_job(1, 1, 1);
    region.register(&other);
    let mut double = Alloc::clone(region.live(JobId(0))[0]);
    double.job = Arc::clone(region.state.job(JobId(1)).unwrap());
    (double.id, double.job_id) = (crate::model::alloc::AllocId::NEW, JobId(1));
    let mut plan = Plan::new(&eval, false, region.state.index());
    plan.placements.push(Arc::new(double));
    let result = evaluate_plan(&region.state, &plan, &region.config.behaviour, region.now);
    assert_eq!(result.rejected, [(NodeId(0), Rejection::Misfit(Misfit::Devices))]);
    assert_eq!(Misfit::Devices.to_string(), "device oversubscribed");
}

#[test]
fn a_more_important_job_takes_devices_away() {
    let mut region = Region::new(0);
    region.config.preempt_service = true;
    join(&mut region, 0, |spec| spec.devices = gpus(2));
    let mut cheap = gpu_job(0, 2, 1);
    cheap.priority = 20;
    region.run(&cheap);
    let mut urgent = gpu_job(1, 1, 1);
    urgent.priority = 80;
    let (eval, _) = region.run(&urgent);
    assert!(eval.failed_groups.is_empty());
    let winner = region.live(JobId(1))[0];
    let victim = region.state.alloc(winner.preempted[0]).unwrap();
    assert_eq!((victim.desired, winner.preempted.len()), (Desired::Evict, 1));
    assert_eq!(winner.devices[0].instances, victim.devices[0].instances);
}

#[test]
fn whole_cores_are_numbered_and_bring_their_share_of_the_clock() {
    let mut region = Region::new(1);
    let mut spec = job(0, JobKind::Service, 1, 0);
    spec.groups[0].tasks[0].resources.cores = 2;
    spec.groups[0].count = 1;
    region.run(&spec);
    let first = region.live(JobId(0))[0];
    assert_eq!((&first.resources.cores[..], first.resources.cpu), (&[0, 1][..], MegaHertz(2_000)));
    spec.groups[0].count = 3;
    let (eval, _) = region.run(&spec);
    let cores: Vec<u16> = region.live(JobId(0)).iter().flat_map(|alloc| alloc.resources.cores.clone()).collect();
    assert_eq!(cores, [0, 1, 2, 3]);
    assert_eq!(eval.failed_groups.values().next().unwrap().dimension_exhausted["cores"], 1);
}

#[test]
fn an_allocation_is_replaced_when_its_datacenter_is_taken_off_the_list() {
    for (release, moves) in [("1.1.0", false), ("1.1.3", true)] {
        let mut region = Region::new(0);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        join(&mut region, 0, |_| {});
        join(&mut region, 1, |spec| spec.datacenter = "dc2".into());
        let mut spec = job(0, JobKind::Service, 1, 100);
        region.run(&spec);
        let before = region.live(JobId(0))[0].id;
        spec.datacenters.push("dc2".into());
        region.run(&spec);
        assert_eq!(region.live(JobId(0))[0].id, before, "one more datacenter replaces nothing");
        spec.datacenters.remove(0);
        region.run(&spec);
        let after = region.live(JobId(0))[0];
        assert_eq!((after.id != before, after.node == NodeId(1)), (moves, moves), "{release}");
    }
}

#[test]
fn system_jobs_with_wildcards_are_replaced_in_1_5_0_only() {
    for (release, replaced) in [("1.5.0", true), ("1.5.1", false)] {
        let mut region = Region::new(0);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        join(&mut region, 0, |_| {});
        let mut spec = job(0, JobKind::System, 1, 100);
        spec.datacenters = vec!["dc*".into()];
        region.run(&spec);
        let before = region.live(JobId(0))[0].id;
        spec.priority = 70;
        region.run(&spec);
        assert_eq!(region.live(JobId(0))[0].id != before, replaced, "{release}");
    }
}

#[test]
fn jobs_use_the_nodes_of_their_pool() {
    for (release, pool, expected) in [
        ("1.6", "default", &[0][..]),
        ("1.6", "gpu", &[1]),
        ("1.6", "all", &[0, 1]),
        ("1.6", "other", &[]),
        ("1.5.0", "other", &[0, 1]),
    ] {
        let mut region = Region::new(0);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        join(&mut region, 0, |_| {});
        join(&mut region, 1, |spec| spec.pool = "gpu".into());
        let mut spec = job(0, JobKind::System, 1, 100);
        spec.node_pool = pool.into();
        region.run(&spec);
        let mut nodes: Vec<u32> = region.live(JobId(0)).iter().map(|alloc| alloc.node.0).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, expected, "{release} {pool}");
    }
}

#[test]
fn a_job_that_changes_its_pool_moves() {
    let mut region = Region::new(0);
    join(&mut region, 0, |_| {});
    join(&mut region, 1, |spec| spec.pool = "gpu".into());
    let mut spec = job(0, JobKind::Service, 1, 100);
    region.run(&spec);
    assert_eq!(region.live(JobId(0))[0].node, NodeId(0));
    spec.node_pool = "gpu".into();
    region.run(&spec);
    assert_eq!(region.live(JobId(0))[0].node, NodeId(1));
}

#[test]
fn a_sysbatch_job_runs_once_per_node_and_version() {
    let mut region = Region::new(2);
    let mut spec = job(0, JobKind::SysBatch, 1, 100);
    region.run(&spec);
    assert_eq!(region.live(JobId(0)).len(), 2);
    let ids: Vec<_> = region.live(JobId(0)).iter().map(|alloc| alloc.id).collect();
    region.report(ids[0], ClientStatus::Complete);
    region.report(ids[1], ClientStatus::Failed);
    region.join(2);
    let eval = region.evaluate(JobId(0), Trigger::NodeUpdate);
    region.process(eval);
    let nodes: Vec<NodeId> = region.live(JobId(0)).iter().map(|alloc| alloc.node).collect();
    assert_eq!(nodes, [NodeId(2)], "only the new node");
    spec.groups[0].tasks[0].config = "v2".into();
    region.run(&spec);
    assert_eq!(region.live(JobId(0)).len(), 3, "a new version runs everywhere");
}

#[test]
fn of_a_system_job_s_new_allocations_one_knew_its_predecessor_until_1_2() {
    let known = |release: &str| {
        let mut region = Region::new(3);
        region.config.behaviour = Behaviour::of(release.parse::<Release>().unwrap());
        region.run(&job(0, JobKind::System, 1, 100));
        let ids: Vec<_> = region.live(JobId(0)).iter().map(|alloc| alloc.id).collect();
        for id in ids {
            region.report(id, ClientStatus::Failed);
        }
        let eval = region.evaluate(JobId(0), crate::model::evaluation::Trigger::NodeUpdate);
        region.process(eval);
        assert_eq!(region.live(JobId(0)).len(), 3);
        region.live(JobId(0)).iter().filter(|alloc| alloc.previous.is_some()).count()
    };
    assert_eq!((known("1.1.18"), known("1.2.0")), (1, 3));
}

#[test]
fn a_node_that_becomes_something_else_is_evaluated_from_1_1_4_on() {
    for (release, running) in [("1.1.3", 0), ("1.1.4", 1)] {
        let mut region = story::Region::<Decision>::of(release, 1, 1, 4);
        region.run_for(Duration::from_secs(20));
        let mut spec = crate::protocol::scheduler::test_support::job(0, 50, 1);
        spec.kind = JobKind::System;
        let (left, operator, right) = ("${attr.gpu}".into(), "=".into(), "yes".into());
        spec.constraints.push(Constraint { left, operator, right });
        region.operate(0, Operation::RegisterJob(Arc::new(spec)));
        region.run_for(Duration::from_secs(20));
        assert_eq!(region.count(ClientStatus::Running), 0);
        let mut changed = NodeSpec::clone(&story::node_spec(1_200));
        changed.attributes.insert("gpu".into(), "yes".into());
        region.fingerprint(0, changed);
        region.run_for(Duration::from_secs(20));
        let state = region.servers[0].state();
        assert_eq!(state.node(NodeId(0)).unwrap().node.spec.attributes["gpu"], "yes", "{release}");
        assert_eq!(region.count(ClientStatus::Running), running, "{release}");
    }
}

#[test]
fn cores_of_those_pushed_out_for_devices_are_free() {
    let mut region = Region::new(0);
    region.config.preempt_service = true;
    join(&mut region, 0, |spec| spec.devices = gpus(1));
    let with_cores = |id: u32, priority: u8| {
        let mut job = gpu_job(id, 1, 1);
        job.priority = priority;
        job.groups[0].tasks[0].resources.cpu = MegaHertz::ZERO;
        job.groups[0].tasks[0].resources.cores = 3;
        job
    };
    region.run(&with_cores(0, 20));
    let (eval, _) = region.run(&with_cores(1, 80));
    assert!(eval.failed_groups.is_empty(), "{:?}", eval.failed_groups);
    assert_eq!(region.live(JobId(1))[0].resources.cores, [0, 1, 2]);
    assert!(region.live(JobId(0)).is_empty());
}

#[test]
fn a_node_that_gains_a_device_is_evaluated_from_1_1_4_on() {
    for (release, running) in [("1.1.3", 0), ("1.1.4", 1)] {
        let mut region = story::Region::<Decision>::of(release, 1, 1, 4);
        region.run_for(Duration::from_secs(20));
        let mut spec = crate::protocol::scheduler::test_support::job(0, 50, 1);
        spec.kind = JobKind::System;
        spec.groups[0].tasks[0].resources.devices =
            vec![DeviceAsk { name: "nvidia/gpu".into(), count: 1, constraints: Vec::new(), affinities: Vec::new() }];
        region.operate(0, Operation::RegisterJob(Arc::new(spec)));
        region.run_for(Duration::from_secs(20));
        assert_eq!(region.count(ClientStatus::Running), 0);
        region.fingerprint(0, NodeSpec { devices: gpus(1), ..NodeSpec::clone(&story::node_spec(1_200)) });
        region.run_for(Duration::from_secs(20));
        assert_eq!(region.count(ClientStatus::Running), running, "{release}");
    }
}

#[test]
fn a_stopped_job_waits_for_nothing() {
    let mut region = Region::new(1);
    let spec = job(0, JobKind::Service, 3, 3_000);
    let (eval, _) = region.run(&spec);
    assert_eq!(eval.queued["web"], 2);
    let eval = Some(Box::new(Evaluation::new(&spec, Trigger::JobDeregister, region.now)));
    let applied = region.apply(Command::DeregisterJob { id: JobId(0), purge: false, eval });
    let (eval, _) = region.process(Evaluation::clone(&applied.evals[0]));
    assert_eq!(eval.queued["web"], 0);
    assert_eq!(region.state.job_entry(JobId(0)).unwrap().queued["web"], 0);
}

#[test]
fn a_constraint_that_escapes_the_classes_does_so_for_groups_that_miss_nothing() {
    let mut region = Region::new(2);
    let mut spec = job(0, JobKind::Service, 2, 3_000);
    let mut side = TaskGroup { name: "side".into(), count: 1, ..job(0, JobKind::Service, 1, 100).groups[0].clone() };
    let (left, operator, right) = ("${node.unique.name}".into(), "=".into(), "node-0".into());
    side.tasks[0].constraints.push(Constraint { left, operator, right });
    spec.groups.push(side);
    let (eval, _) = region.run(&spec);
    assert!(eval.failed_groups.is_empty());
    region.apply(Command::NodeStatus { id: NodeId(1), status: NodeStatus::Down });
    let eval = region.evaluate(JobId(0), Trigger::NodeUpdate);
    let (eval, created) = region.process(eval);
    assert!(eval.failed_groups.len() == 1 && eval.failed_groups.contains_key("web"));
    assert!(created[0].escaped && created[0].class_eligibility.is_empty());
}

/// Why the only node is filtered out, if it is.
fn filtered(node: impl FnOnce(&mut NodeSpec), group: impl FnOnce(&mut TaskGroup)) -> Option<String> {
    let mut region = Region::new(0);
    join(&mut region, 0, node);
    let mut spec = job(0, JobKind::Service, 1, 100);
    group(&mut spec.groups[0]);
    let (eval, _) = region.run(&spec);
    let failed = eval.failed_groups.values().next()?;
    assert_eq!(failed.nodes_filtered, 1);
    failed.constraint_filtered.keys().next().cloned()
}

#[test]
fn host_volumes_must_be_there_and_those_read_only_are_only_read() {
    let missing = Some("missing compatible host volumes".to_owned());
    for (node_read_only, asks, expected) in [
        (None, &[("data", true)][..], &missing),
        (Some(false), &[("data", false)], &None),
        (Some(true), &[("data", false)], &missing),
        (Some(true), &[("data", true)], &None),
        (Some(true), &[("data", true), ("data", false)], &missing),
        (Some(false), &[("data", true), ("logs", true)], &missing),
    ] {
        let reason = filtered(
            |node| node.host_volumes.extend(node_read_only.map(|read_only| ("data".to_owned(), read_only))),
            |group| group.volumes = asks.iter().map(|(name, read_only)| ((*name).to_owned(), *read_only)).collect(),
        );
        assert_eq!(reason, *expected, "{node_read_only:?} {asks:?}");
    }
}

#[test]
fn node_updates_skip_system_jobs_of_other_datacenters_from_1_3_2_on() {
    for (release, datacenter, expected) in
        [("1.3.1", "dc2", true), ("1.3.2", "dc2", false), ("1.3.2", "dc1", true), ("1.5.0", "d*", true)]
    {
        let mut region = story::Region::<Decision>::of(release, 1, 1, 0);
        region.run_for(Duration::from_secs(20));
        let mut spec = crate::protocol::scheduler::test_support::job(0, 50, 1);
        spec.kind = JobKind::System;
        spec.datacenters = vec![datacenter.into()];
        region.operate(0, Operation::RegisterJob(Arc::new(spec)));
        region.run_for(Duration::from_secs(5));
        region.operate(0, Operation::EvaluateNode(NodeId(0)));
        region.run_for(Duration::from_secs(5));
        let Some(Reply::Operated { eval, .. }) = region.answers().last().cloned() else { panic!("it was accepted") };
        assert_eq!(eval.is_some(), expected, "{release} {datacenter}");
    }
}

#[test]
fn a_group_needs_a_network_of_its_mode() {
    for (offered, asked, expected) in [
        (Some("host"), "", None),
        (Some(""), "host", None),
        (Some("host"), "bridge", None),
        (Some("host"), "cni/mesh", Some("missing network")),
        (Some("cni/mesh"), "cni/mesh", None),
        (Some("cni/mesh"), "host", Some("missing network")),
        (None, "host", Some("missing network")),
        (None, "none", None),
    ] {
        let reason = filtered(
            |node| match offered {
                Some(mode) => node.networks[0].mode = mode.into(),
                None => node.networks.clear(),
            },
            |group| group.networks = vec![NetworkAsk { mode: asked.into(), ..NetworkAsk::default() }],
        );
        assert_eq!(reason.as_deref(), expected, "{offered:?} {asked}");
    }
}

#[test]
fn host_networks_of_ports_must_exist_by_name_or_by_template() {
    for (host_network, expected) in [
        ("", None),
        ("default", None),
        ("public", None),
        ("private", Some("missing host network \"private\" for port \"http\"")),
        ("${meta.outside}", None),
        ("${node.datacenter}", Some("missing host network \"dc1\" for port \"http\"")),
        ("${meta.inside}", Some("invalid host network \"${meta.inside}\" template for port \"http\"")),
    ] {
        let port = PortAsk { label: "http".into(), host_network: host_network.into(), ..PortAsk::default() };
        let reason = filtered(
            |node| {
                let public = NodeNetwork { alias: "public".into(), ..node.networks[0].clone() };
                node.networks.push(public);
                node.meta.insert("outside".into(), "public".into());
            },
            |group| group.networks = vec![NetworkAsk { ports: vec![port], ..NetworkAsk::default() }],
        );
        assert_eq!(reason.as_deref(), expected, "{host_network}");
    }
}

#[test]
fn drivers_may_be_told_by_an_attribute_alone() {
    for (value, expected) in [
        (None, Some("missing drivers")),
        (Some("1"), None),
        (Some("true"), None),
        (Some("0"), Some("missing drivers")),
        (Some("yes"), Some("missing drivers")),
    ] {
        let reason = filtered(
            |node| {
                node.drivers.clear();
                node.attributes.extend(value.map(|value| ("driver.exec".to_owned(), value.to_owned())));
            },
            |_| {},
        );
        assert_eq!(reason.as_deref(), expected, "{value:?}");
    }
}

#[test]
fn whom_a_network_pushes_out_depends_on_what_it_asks_for_itself() {
    let network = |port: Option<i64>, bandwidth: u64| {
        let port = port.map(|fixed| PortAsk { label: "p".into(), fixed: Some(fixed), ..PortAsk::default() });
        let bandwidth = MegabitsPerSecond(bandwidth);
        vec![NetworkAsk { ports: port.into_iter().collect(), bandwidth, ..NetworkAsk::default() }]
    };
    for (group, task, victims) in [
        (network(Some(8_080), 0), None, &[0][..]),
        (network(Some(8_080), 300), None, &[0]),
        (network(Some(8_080), 500), None, &[0, 1]),
        (network(None, 500), None, &[]),
        (network(None, 500), Some(network(None, 400)), &[]),
        (network(Some(8_080), 0), Some(network(None, 401)), &[0, 1]),
    ] {
        let mut region = Region::new(1);
        region.config.preempt_service = true;
        let of = |id: u32, priority: u8| Job { priority, ..job(id, JobKind::Service, 1, 100) };
        let (mut port_holder, mut band_holder, mut urgent) = (of(0, 20), of(1, 20), of(2, 80));
        port_holder.groups[0].networks = network(Some(8_080), 0);
        band_holder.groups[0].tasks[0].resources.networks = network(None, 600);
        urgent.groups[0].networks = group.clone();
        urgent.groups[0].tasks[0].resources.networks = task.clone().unwrap_or_default();
        for spec in [&port_holder, &band_holder, &urgent] {
            let (eval, _) = region.run(spec);
            assert!(eval.failed_groups.is_empty());
        }
        let pushed: Vec<u32> = region.live(JobId(2))[0].preempted.iter().map(|id| id.0).collect();
        assert_eq!(pushed, victims, "{group:?} {task:?}");
    }
}
