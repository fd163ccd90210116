//! Where a world is calm enough for its routine to be counted: looked at when an entry of the timeline strikes or ends.

use crate::base::id::Id;
use crate::sim::trace::Cause;
use crate::world::checks::Checks;
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::run::{Ear, Witness, World};
use crate::world::spec::MachineId;

impl World {
    /// Something is about to strike these machines: what is counted on them is carried out from this instant on.
    pub(super) fn brace(&mut self, machines: &[MachineId], cause: Cause, witness: &mut dyn Witness) {
        for &machine in machines {
            self.disturb_checks(machine, cause, witness);
        }
    }

    /// It has struck, or is over: only where something lasts is all carried out.
    pub(super) fn take_stock(&mut self, cause: Cause, witness: &mut dyn Witness) {
        for machine in (0..self.atlas.processes.len()).map(MachineId::from_index) {
            if self.is_disturbed(machine) {
                self.disturb_checks(machine, cause, witness);
            } else if let Some(checks) = self.checks(machine) {
                checks.settle();
            }
        }
    }

    /// Nothing has happened yet.
    pub(super) fn begin_calm(&mut self) {
        for machine in (0..self.atlas.processes.len()).map(MachineId::from_index) {
            if !self.is_disturbed(machine)
                && let Some(checks) = self.checks(machine)
            {
                checks.settle();
            }
        }
    }

    /// Whether something that lasts may change what the checks on a machine are answered, or when.
    fn is_disturbed(&self, machine: MachineId) -> bool {
        let processes = self.atlas.processes[machine];
        let Some(runtime) = processes.runtime else { return true };
        let pair = [processes.agent, runtime];
        self.atlas.routine == Routine::Simulated
            || self.atlas.spec.network.same_host.loss.get() > 0.0
            || pair.iter().any(|&process| self.engine.is_paused(process))
            || self.engine.rules_touch(&pair)
    }

    fn disturb_checks(&mut self, machine: MachineId, cause: Cause, witness: &mut dyn Witness) {
        let Some(checks) = self.checks(machine) else { return };
        checks.disturb();
        // An agent that is paused was woken before, one that is dead has no alarms.
        let agent = self.atlas.processes[machine].agent;
        let ear = &mut Ear { chronicle: &mut self.chronicle, witness };
        self.engine.with_cause(agent, cause, ear, |process, now, fx| {
            if let Process::ConsulAgent(agent) = process {
                agent.wake_checks(now, fx);
            }
        });
    }

    fn checks(&mut self, machine: MachineId) -> Option<&mut Checks> {
        match self.engine.process_mut(self.atlas.processes[machine].agent) {
            Process::ConsulAgent(agent) => Some(agent.checks_mut()),
            _ => None,
        }
    }
}
