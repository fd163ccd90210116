//! Health checks whose answer is known: counted, not carried out.
//!
//! A check asks the task runtime of its own machine. While no port opens or closes there and nothing disturbs the two
//! processes or what they say to each other, every answer is the last one again, and asking changes nothing but counts.
//! Such a check sleeps: its alarm is kept in [`Checks`] instead of the engine. When its answer may be another one it
//! wakes, and runs next when it would have run had it never slept:
//!
//! - The runtime tells the agent that its ports have changed ([`ports_changed`]). Its answers take the same stream, so
//!   none from before the change comes after that message. The message takes a moment, and so would a question: a check
//!   whose question would have met the change runs at once.
//! - The timeline wakes the checks of machines that are about to be hit, and keeps those awake that stay disturbed: by
//!   a pause of either process, or by a rule of the network that may speak of what they say.
//! - The agent sets or stops the alarm itself: the service was registered anew, or is gone.
//!
//! A run that is counted takes the mean round trip on the machine, one that is carried out a round trip that is drawn;
//! so a check that has slept runs a fraction of a millisecond earlier or later than it would have. Where messages on a
//! machine can be lost, and with [`Routine::Simulated`](crate::world::routine::Routine), every check is carried out.

use std::mem;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Token};
use crate::base::math;
use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::model::service::CheckStatus;
use crate::protocol::catalog::agent::{AgentEvent, AgentTimer, CatalogAgent};
use crate::protocol::catalog::message::CatalogMsg;
use crate::world::atlas::Atlas;
use crate::world::process::Process;
use crate::world::routine::Routine;
use crate::world::spec::{LinkSpec, MachineId};
use crate::world::wire::{TaskMsg, Wire};

/// The answer to a check.
#[derive(Debug, Clone, Copy)]
pub struct CheckAnswer {
    /// Who gave it.
    pub from: ProcessId,
    /// The check's place.
    pub place: u32,
    /// What it says.
    pub status: CheckStatus,
    /// Stands for its text.
    pub output: u32,
}

impl CheckAnswer {
    /// The answer in a message, if it is one.
    pub fn of(from: ProcessId, msg: &CatalogMsg) -> Option<Self> {
        match *msg {
            CatalogMsg::ProbeReply { check, status, output, .. } => Some(Self { from, place: check, status, output }),
            _ => None,
        }
    }
}

/// The checks of an agent that sleep.
#[derive(Debug, Clone)]
pub struct Checks {
    /// Whose answers can be known.
    runtime: Option<ProcessId>,
    /// From a question to its answer on this machine, on average.
    round_trip: Duration,
    routine: Routine,
    /// By place.
    asleep: OrdMap<u32, Sleeper>,
}

#[derive(Debug, Clone, Copy)]
struct Sleeper {
    /// When its alarm would have gone off first.
    due: Time,
    /// From one run to the next.
    period: Duration,
}

impl Checks {
    /// Those of the agent of this machine; all are carried out until the machine [is left in peace](Checks::settle).
    pub fn new(atlas: &Atlas, machine: MachineId) -> Self {
        Self {
            runtime: atlas.processes[machine].runtime,
            round_trip: mean(atlas.spec.network.same_host) * 2,
            routine: Routine::Simulated,
            asleep: OrdMap::new(),
        }
    }

    /// An answer has been taken in; its check sleeps if another one like it would change nothing.
    pub fn answered(&mut self, now: Time, answer: CheckAnswer, agent: &CatalogAgent, fx: &mut impl Fx<CatalogAgent>) {
        let CheckAnswer { from, place, status, output } = answer;
        if self.routine == Routine::Counted
            && self.runtime == Some(from)
            && let Some(interval) = agent.routine(place, status, output)
        {
            fx.disarm(AgentTimer::Check(place));
            self.asleep.insert(place, Sleeper { due: now + interval, period: interval + self.round_trip });
        }
    }

    /// Something disturbs the machine's processes, or what they say to each other: no check falls asleep.
    pub fn disturb(&mut self) {
        self.routine = Routine::Simulated;
    }

    /// Nothing disturbs them any longer.
    pub fn settle(&mut self) {
        self.routine = Routine::Counted;
    }

    /// Nobody sleeps any longer: answers may be others since the instant `change`. A check that would have been asked
    /// so shortly before that its question had arrived after, or since then, is asked now.
    pub fn wake(&mut self, now: Time, change: Time, agent: &mut CatalogAgent, fx: &mut impl Fx<CatalogAgent>) {
        let known = change - self.round_trip / 2;
        for (place, Sleeper { due, period }) in mem::take(&mut self.asleep) {
            let times = known.since(due).as_nanos().div_ceil(period.as_nanos().max(1));
            let next = due + period * times;
            agent.answered_as_before(place, u32::try_from(times).unwrap_or(u32::MAX), next.since(now), fx);
        }
    }

    /// When something happened of which a message on the machine tells now.
    pub fn message_sent(&self, now: Time) -> Time {
        now - self.round_trip / 2
    }

    /// The agent died, and its alarms with it.
    pub fn forget(&mut self) {
        self.asleep.clear();
    }
}

/// The effects of an agent. An alarm that it sets or stops itself is the engine's again.
#[derive(Debug)]
pub struct Alarms<'a, F> {
    /// Where they go.
    pub fx: F,
    /// Who sleeps.
    pub checks: &'a mut Checks,
}

impl<F> Alarms<'_, F> {
    fn take_over(&mut self, timer: AgentTimer) {
        if let AgentTimer::Check(place) = timer {
            self.checks.asleep.remove(&place);
        }
    }
}

impl<F: Fx<CatalogAgent>> Fx<CatalogAgent> for Alarms<'_, F> {
    #[inline]
    fn send(&mut self, to: ProcessId, msg: CatalogMsg) {
        self.fx.send(to, msg);
    }

    #[inline]
    fn arm(&mut self, timer: AgentTimer, delay: Duration) {
        self.take_over(timer);
        self.fx.arm(timer, delay);
    }

    #[inline]
    fn disarm(&mut self, timer: AgentTimer) {
        self.take_over(timer);
        self.fx.disarm(timer);
    }

    fn write(&mut self, token: Token, bytes: u32) {
        self.fx.write(token, bytes);
    }

    fn compute(&mut self, token: Token, cost: Duration) {
        self.fx.compute(token, cost);
    }

    #[inline]
    fn emit(&mut self, event: AgentEvent) {
        self.fx.emit(event);
    }
}

/// The task runtime of a machine says that something listens on a port there, or no longer does.
pub fn ports_changed(atlas: &Atlas, machine: MachineId, fx: &mut impl Fx<Process>) {
    if atlas.routine == Routine::Counted
        && let Some(agent) = atlas.processes[machine].agent
    {
        fx.send(agent, Wire::Task(TaskMsg::PortsChanged));
    }
}

/// The mean delay of a link.
fn mean(link: LinkSpec) -> Duration {
    link.delay.mul_f64(math::exp(link.jitter_sigma * link.jitter_sigma / 2.0))
}
