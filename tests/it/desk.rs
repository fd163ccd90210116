//! Catalog answers as proxies read them: what two answers share, their translations share.

use std::path::Path;
use std::sync::Arc;

use cossim::base::id::ProcessId;
use cossim::model::service::CheckStatus;
use cossim::protocol::catalog::health::{CheckList, HealthFilter, ServiceRow, instances};
use cossim::protocol::catalog::record::{CheckId, CheckRecord, Command, InstanceId, Registration, ServiceSpec};
use cossim::protocol::catalog::registry::{State, apply};
use cossim::scenario;
use cossim::world::atlas::Atlas;

const WEB: InstanceId = InstanceId(7 << 8);

fn atlas() -> Atlas {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/starter.ron");
    let lowered = scenario::load(&path, &[]).lowered.expect("the starter scenario is right");
    Atlas::new(&Arc::new(lowered.world), 1)
}

/// Agents of three client machines.
fn agents(atlas: &Atlas) -> [ProcessId; 3] {
    let clients = atlas.processes.iter().filter(|(_, processes)| processes.runtime.is_some());
    let agents: Vec<_> = clients.filter_map(|(_, processes)| processes.agent).take(3).collect();
    agents.try_into().expect("the starter scenario has three clients")
}

/// Writes an instance with one check and the check of its node.
fn write(state: &mut State, node: ProcessId, port: u16, status: CheckStatus) {
    let spec = Arc::new(ServiceSpec { name: "web".into(), address: node, port, tags: ["urlprefix-/".into()].into() });
    let record = |id, status| CheckRecord { id, status, output: 0 };
    let own = CheckId::Service { instance: WEB, ordinal: 0 };
    let checks = [record(CheckId::SerfHealth, CheckStatus::Passing), record(own, status)].into_iter().collect();
    let registration = Registration { node, service: Some((WEB, spec)), checks };
    let index = state.index() + 1;
    apply(state, index, &Command::Register(registration)).expect("the instance comes along");
}

fn rows(state: &State) -> Arc<[ServiceRow]> {
    instances(state, "web", HealthFilter::Any).into()
}

#[test]
fn a_changed_check_changes_the_checks_of_its_node_only() {
    let atlas = atlas();
    let nodes = agents(&atlas);
    let mut state = State::default();
    nodes.iter().for_each(|&node| write(&mut state, node, 80, CheckStatus::Passing));
    let first = Arc::new(CheckList::of(&state));
    let before = atlas.desk.checks(&atlas, &first);
    assert!(Arc::ptr_eq(&before, &atlas.desk.checks(&atlas, &first)));
    write(&mut state, nodes[1], 80, CheckStatus::Critical);
    let second = Arc::new(CheckList::of(&state));
    let after = atlas.desk.checks(&atlas, &second);
    let is_shared: Vec<bool> = before.iter().zip(after.iter()).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(is_shared, [true, false, true]);
    let statuses: Vec<Vec<&str>> =
        after.iter().map(|checks| checks.iter().map(|check| &*check.status).collect()).collect();
    assert_eq!(statuses, [["passing", "passing"], ["passing", "critical"], ["passing", "passing"]]);
    // Nothing depends on what was asked before.
    let stranger = self::atlas();
    assert_eq!(stranger.desk.checks(&stranger, &second), after);
    assert_eq!(stranger.desk.checks(&stranger, &first), before);
}

#[test]
fn a_changed_instance_changes_its_entry_only_and_a_changed_check_none() {
    let atlas = atlas();
    let nodes = agents(&atlas);
    let mut state = State::default();
    nodes.iter().for_each(|&node| write(&mut state, node, 80, CheckStatus::Passing));
    let before = atlas.desk.listing(&atlas, &rows(&state));
    let check = CheckRecord { id: CheckId::SerfHealth, status: CheckStatus::Critical, output: 0 };
    let registration = Registration { node: nodes[0], service: None, checks: [check].into_iter().collect() };
    let index = state.index() + 1;
    apply(&mut state, index, &Command::Register(registration)).expect("a node may have checks");
    assert!(Arc::ptr_eq(&before, &atlas.desk.listing(&atlas, &rows(&state))));
    write(&mut state, nodes[2], 81, CheckStatus::Passing);
    let last = rows(&state);
    let after = atlas.desk.listing(&atlas, &last);
    let is_shared: Vec<bool> =
        before.entries.iter().zip(after.entries.iter()).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(is_shared, [true, true, false]);
    let stranger = self::atlas();
    assert_eq!(stranger.desk.listing(&stranger, &last), after);
}
