//! The control planes: elections and terms, and the waits of evaluations and plans.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::measure::distribution::Distribution;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::model::evaluation::Trigger;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::message::RpcError;
use crate::world::event::{Group, Notice, System};
use crate::world::spec::{MachineId, WorldSpec};

/// One stretch of leadership, for the timeline chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reign {
    /// Of which group.
    pub group: Group,
    /// Who led.
    pub machine: MachineId,
    /// From its election.
    pub from: Time,
    /// Until it lost leadership (or another was elected); `None` to the end of the run.
    pub until: Option<Time>,
}

/// A command of operators that the servers refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCommand {
    /// In which region.
    pub region: RegionId,
    /// As the timeline calls it.
    pub command: Arc<str>,
    /// Why.
    pub reason: RpcError,
    /// When it first was.
    pub first: Time,
    /// How often it was.
    pub count: u64,
}

/// Measures the control planes.
#[derive(Debug, Clone)]
pub struct ControlRecorder {
    spec: Arc<WorldSpec>,
    groups: OrdMap<Group, GroupState>,
    /// By region and trigger text.
    evals: OrdMap<(RegionId, String), Evals>,
    eval_time: OrdMap<RegionId, Distribution>,
    plans: OrdMap<RegionId, Plans>,
    /// Commands of operators that were refused, each once; those of the warm-up, too.
    refusals: Vec<RefusedCommand>,
    /// How many there were after the warm-up.
    refused: OrdMap<RegionId, u64>,
    reigns: Vec<Reign>,
}

#[derive(Debug, Clone)]
struct GroupState {
    elections: u64,
    term: Gauge,
}

#[derive(Debug, Clone, Default)]
struct Evals {
    wait: Distribution,
    age: Distribution,
}

#[derive(Debug, Clone, Default)]
struct Plans {
    wait: Distribution,
    count: u64,
    /// Of which some node refused its part.
    conflicts: u64,
    nodes: u64,
    rejected: u64,
}

impl ControlRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let from = Time::ZERO + spec.warmup;
        let groups = spec
            .regions
            .iter()
            .flat_map(|(region, spec)| System::of(spec).map(move |system| Group { system, region }))
            .map(|group| (group, GroupState { elections: 0, term: Gauge::new(0.0, from) }))
            .collect();
        Self {
            spec: Arc::clone(spec),
            groups,
            evals: OrdMap::new(),
            eval_time: spec.regions.ids().map(|r| (r, Distribution::new())).collect(),
            plans: spec.regions.ids().map(|r| (r, Plans::default())).collect(),
            refusals: Vec::new(),
            refused: OrdMap::new(),
            reigns: Vec::new(),
        }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        let counted = at.since(Time::ZERO) >= self.spec.warmup;
        match notice {
            Notice::LeaderElected { group, machine, term } => {
                self.end_reign(at, *group, None);
                self.reigns.push(Reign { group: *group, machine: *machine, from: at, until: None });
                if let Some(state) = self.groups.get_mut(group) {
                    state.elections += u64::from(counted);
                    state.term.set(at, *term as f64);
                }
            }
            Notice::LeaderLost { group, machine } => self.end_reign(at, *group, Some(*machine)),
            Notice::EvalDequeued { region, trigger, created, waited, .. } if counted => {
                let evals = self.evals.entry((*region, trigger.to_string())).or_default();
                evals.wait.record(waited.as_nanos());
                evals.age.record(at.since(*created).as_nanos());
            }
            Notice::EvalFinished { region, took, .. } if counted => {
                self.eval_time.entry(*region).or_default().record(took.as_nanos());
            }
            Notice::PlanApplied { region, waited, nodes, rejected, .. } if counted => {
                let plans = self.plans.entry(*region).or_default();
                plans.wait.record(waited.as_nanos());
                plans.count += 1;
                plans.conflicts += u64::from(!rejected.is_empty());
                plans.nodes += u64::from(*nodes);
                plans.rejected += rejected.len() as u64;
            }
            Notice::Refused { region, command, reason } => {
                *self.refused.entry(*region).or_insert(0) += u64::from(counted);
                let known = self
                    .refusals
                    .iter_mut()
                    .find(|known| known.region == *region && known.command == *command && known.reason == *reason);
                match known {
                    Some(known) => known.count += 1,
                    None => {
                        let (command, reason) = (Arc::clone(command), *reason);
                        self.refusals.push(RefusedCommand { region: *region, command, reason, first: at, count: 1 });
                    }
                }
            }
            _ => {}
        }
    }

    /// Who leads a group now.
    pub fn leader(&self, group: Group) -> Option<MachineId> {
        self.reigns.iter().rev().find(|reign| reign.group == group && reign.until.is_none()).map(|reign| reign.machine)
    }

    /// Stretches of leadership so far, by start.
    pub fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// Writes the metrics.
    pub fn finish(mut self, now: Time, metrics: &mut Metrics) -> (Vec<Reign>, Vec<RefusedCommand>) {
        for (group, state) in &self.groups {
            let labels = [("region", &*self.spec.regions[group.region].name), ("system", group.system.name())];
            metrics.put("raft.elections", &labels, Value::Total { unit: "elections", count: state.elections });
            let summary = state.term.clone().finish(now);
            metrics.put("raft.term", &labels, Value::Level { unit: "term", summary });
        }
        // A region without evaluations shows the one trigger every region with work has.
        for region in self.spec.regions.ids() {
            if !self.evals.keys().any(|(of, _)| *of == region) {
                self.evals.insert((region, Trigger::JobRegister.to_string()), Evals::default());
            }
        }
        for ((region, trigger), evals) in self.evals {
            let labels = [("region", &*self.spec.regions[region].name), ("trigger", &*trigger)];
            metrics.put("eval.wait", &labels, Value::Times(evals.wait));
            metrics.put("eval.age", &labels, Value::Times(evals.age));
        }
        for (region, time) in self.eval_time {
            metrics.put("eval.time", &[("region", &*self.spec.regions[region].name)], Value::Times(time));
        }
        for region in self.spec.regions.ids() {
            let count = self.refused.get(&region).copied().unwrap_or(0);
            let labels = [("region", &*self.spec.regions[region].name)];
            metrics.put("operators.refused", &labels, Value::Total { unit: "commands", count });
        }
        for (region, plans) in self.plans {
            let labels = [("region", &*self.spec.regions[region].name)];
            metrics.put("plan.wait", &labels, Value::Times(plans.wait));
            metrics.put("plan.rejected", &labels, Value::Total { unit: "nodes", count: plans.rejected });
            let share = Value::Share { part: plans.rejected, whole: plans.nodes };
            metrics.put("plan.rejection_ratio", &labels, share);
            let share = Value::Share { part: plans.conflicts, whole: plans.count };
            metrics.put("plan.conflict_ratio", &labels, share);
        }
        (self.reigns, self.refusals)
    }

    fn end_reign(&mut self, at: Time, group: Group, of: Option<MachineId>) {
        let open = self.reigns.iter_mut().rev().find(|reign| {
            reign.group == group && reign.until.is_none() && of.is_none_or(|machine| reign.machine == machine)
        });
        if let Some(reign) = open {
            reign.until = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::model::evaluation::EvalId;
    use crate::protocol::scheduler::plan::Rejection;

    /// The world of `scenarios/node-crash.ron`: one region, `us-east-1`.
    fn recorder() -> ControlRecorder {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/node-crash.ron");
        let mut world = crate::scenario::load(&path, &[]).lowered.expect("the shipped scenario loads").world;
        world.warmup = Duration::ZERO;
        ControlRecorder::new(&Arc::new(world))
    }

    fn figures(recorder: ControlRecorder, name: &str) -> Vec<(String, Vec<f64>)> {
        let mut metrics = Metrics::default();
        recorder.finish(Time::ZERO, &mut metrics);
        let named = metrics.0.iter().filter(|(key, _)| key.name == name);
        named.map(|(key, value)| (key.to_string(), value.figures().into_iter().map(|(_, f)| f).collect())).collect()
    }

    #[test]
    fn an_evaluation_is_as_old_as_its_creation_and_waits_from_when_it_is_ready() {
        let mut recorder = recorder();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let (region, eval, trigger) = (RegionId(0), EvalId(0), Trigger::QueuedAllocs);
        let (created, waited) = (at(1), Duration::from_secs(2));
        recorder.observe(at(9), &Notice::EvalDequeued { region, eval, trigger, created, waited });
        let of = |name: &str| format!("{name}{{region=us-east-1,trigger=queued-allocs}}");
        assert_eq!(figures(recorder.clone(), "eval.age"), [(of("eval.age"), vec![8_000.0; 7])]);
        assert_eq!(figures(recorder, "eval.wait"), [(of("eval.wait"), vec![2_000.0; 7])]);
    }

    #[test]
    fn refusals_of_the_warm_up_are_listed_and_not_counted() {
        let mut recorder = recorder();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let mut spec = WorldSpec::clone(&recorder.spec);
        spec.warmup = Duration::from_secs(60);
        recorder = ControlRecorder::new(&Arc::new(spec));
        for seconds in [30, 90, 91] {
            let (command, reason) = ("promote web".into(), RpcError::UnknownJob);
            recorder.observe(at(seconds), &Notice::Refused { region: RegionId(0), command, reason });
        }
        let named = "operators.refused{region=us-east-1}".to_owned();
        assert_eq!(figures(recorder.clone(), "operators.refused"), [(named, vec![2.0])]);
        let (_, listed) = recorder.finish(at(100), &mut Metrics::default());
        assert_eq!(listed.iter().map(|refused| (refused.first, refused.count)).collect::<Vec<_>>(), [(at(30), 3)]);
    }

    #[test]
    fn a_plan_conflicts_once_however_many_nodes_refuse() {
        let mut recorder = recorder();
        for (nodes, rejected) in [(3, 0), (3, 2), (1, 1), (1, 0)] {
            let (region, eval, waited) = (RegionId(0), EvalId(0), Duration::ZERO);
            let rejected = vec![(MachineId(0), Rejection::NotReady); rejected];
            recorder.observe(Time::ZERO, &Notice::PlanApplied { region, eval, waited, nodes, rejected });
        }
        let of = |name: &str| format!("{name}{{region=us-east-1}}");
        let conflicts = figures(recorder.clone(), "plan.conflict_ratio");
        assert_eq!(conflicts, [(of("plan.conflict_ratio"), vec![50.0])]);
        assert_eq!(figures(recorder, "plan.rejection_ratio"), [(of("plan.rejection_ratio"), vec![37.5])]);
    }
}
