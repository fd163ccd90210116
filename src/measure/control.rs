//! The control planes: elections and terms, and the waits of evaluations and plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::time::Time;
use crate::measure::distribution::Distribution;
use crate::measure::gauge::Gauge;
use crate::measure::metric::{Metrics, Value};
use crate::model::evaluation::Trigger;
use crate::model::topology::RegionId;
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

/// Measures the control planes.
#[derive(Debug, Clone)]
pub struct ControlRecorder {
    spec: Arc<WorldSpec>,
    groups: BTreeMap<Group, GroupState>,
    /// By region and trigger text.
    eval_wait: BTreeMap<(RegionId, String), Distribution>,
    eval_time: BTreeMap<RegionId, Distribution>,
    plans: BTreeMap<RegionId, Plans>,
    reigns: Vec<Reign>,
}

#[derive(Debug, Clone)]
struct GroupState {
    elections: u64,
    term: Gauge,
}

#[derive(Debug, Clone, Default)]
struct Plans {
    wait: Distribution,
    nodes: u64,
    rejected: u64,
}

impl ControlRecorder {
    /// A recorder for this world.
    pub fn new(spec: &Arc<WorldSpec>) -> Self {
        let from = Time::ZERO + spec.warmup;
        let groups = spec
            .regions
            .ids()
            .flat_map(|region| [System::Nomad, System::Consul].map(|system| Group { system, region }))
            .map(|group| (group, GroupState { elections: 0, term: Gauge::new(0.0, from) }))
            .collect();
        Self {
            spec: Arc::clone(spec),
            groups,
            eval_wait: BTreeMap::new(),
            eval_time: spec.regions.ids().map(|r| (r, Distribution::new())).collect(),
            plans: spec.regions.ids().map(|r| (r, Plans::default())).collect(),
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
            Notice::EvalDequeued { region, trigger, waited, .. } if counted => {
                self.eval_wait.entry((*region, trigger.to_string())).or_default().record(waited.as_nanos());
            }
            Notice::EvalFinished { region, took, .. } if counted => {
                self.eval_time.entry(*region).or_default().record(took.as_nanos());
            }
            Notice::PlanApplied { region, waited, nodes, rejected, .. } if counted => {
                let plans = self.plans.entry(*region).or_default();
                plans.wait.record(waited.as_nanos());
                plans.nodes += u64::from(*nodes);
                plans.rejected += u64::from(*rejected);
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
    pub fn finish(mut self, now: Time, metrics: &mut Metrics) -> Vec<Reign> {
        for (group, state) in &self.groups {
            let labels = [("region", &*self.spec.regions[group.region].name), ("system", group.system.name())];
            metrics.put("raft.elections", &labels, Value::Total { unit: "elections", count: state.elections });
            let summary = state.term.clone().finish(now);
            metrics.put("raft.term", &labels, Value::Level { unit: "term", summary });
        }
        // A region without evaluations shows the one trigger every region with work has.
        for region in self.spec.regions.ids() {
            if !self.eval_wait.keys().any(|(of, _)| *of == region) {
                self.eval_wait.insert((region, Trigger::JobRegister.to_string()), Distribution::new());
            }
        }
        for ((region, trigger), wait) in self.eval_wait {
            let labels = [("region", &*self.spec.regions[region].name), ("trigger", &*trigger)];
            metrics.put("eval.wait", &labels, Value::Times(wait));
        }
        for (region, time) in self.eval_time {
            metrics.put("eval.time", &[("region", &*self.spec.regions[region].name)], Value::Times(time));
        }
        for (region, plans) in self.plans {
            let labels = [("region", &*self.spec.regions[region].name)];
            metrics.put("plan.wait", &labels, Value::Times(plans.wait));
            metrics.put("plan.rejected", &labels, Value::Total { unit: "nodes", count: plans.rejected });
            let share = Value::Share { part: plans.rejected, whole: plans.nodes };
            metrics.put("plan.rejection_ratio", &labels, share);
        }
        self.reigns
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
