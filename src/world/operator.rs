//! The operators of a region: they act on jobs, deployments and nodes, one command after the other, and try again until
//! a server takes it, as a pipeline that runs `nomad job run` in a loop would. What a server refuses for good is
//! dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Fx, Input};
use crate::base::time::{Duration, Time};
use crate::model::topology::RegionId;
use crate::protocol::scheduler::message::{Call, Message, Reply, Request, RpcError};
use crate::protocol::scheduler::operation::Operation;
use crate::world::build::FIRST_JOB;
use crate::world::event::{Event, Notice};
use crate::world::process::Process;
use crate::world::wire::{Alarm, Wire};

/// The operators of one region.
#[derive(Debug, Clone)]
pub struct Operator {
    region: RegionId,
    /// The region's servers; the first is asked, a failing one goes to the end.
    servers: VecDeque<ProcessId>,
    /// What to do, by time.
    schedule: VecDeque<Errand>,
    /// The command under way: its number and until when to wait for the answer.
    under_way: Option<(Call, Time)>,
    /// Not before this, after a failure.
    retry_at: Time,
    calls: u32,
}

/// One command.
#[derive(Debug, Clone)]
pub struct Errand {
    /// Not before this.
    pub due: Time,
    /// What reports call it.
    pub label: Arc<str>,
    /// What is asked for.
    pub operation: Arc<Operation>,
}

/// Wait for an answer before another server is asked. The command line's own limit is longer; a server that is cut off
/// should not stop a pipeline for that long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Wait before another try.
const RETRY: Duration = Duration::from_secs(1);

impl Operator {
    /// Operators with a plan; `schedule` is sorted by time.
    pub fn new(region: RegionId, servers: Vec<ProcessId>, schedule: Vec<Errand>) -> Self {
        debug_assert!(schedule.is_sorted_by_key(|errand| errand.due));
        Self {
            region,
            servers: servers.into(),
            schedule: schedule.into(),
            under_way: None,
            retry_at: Time::ZERO,
            calls: 0,
        }
    }

    /// One more command, after everything that is due before it.
    pub fn ask(&mut self, now: Time, label: Arc<str>, operation: Operation, fx: &mut impl Fx<Process>) {
        let due = now.max(Time::ZERO + FIRST_JOB);
        let place = self.schedule.partition_point(|errand| errand.due <= due);
        // The command under way stays in front.
        let place = place.max(usize::from(self.under_way.is_some()));
        self.schedule.insert(place, Errand { due, label, operation: Arc::new(operation) });
        self.go_on(now, fx);
    }

    /// Reacts to one input.
    pub fn handle(&mut self, now: Time, input: Input<Wire, Alarm>, fx: &mut impl Fx<Process>) {
        match input {
            Input::Start => {}
            Input::Message { msg: Wire::Nomad(Message::Reply { call, reply }), .. } => {
                self.answered(now, call, &reply, fx);
            }
            Input::Message { from, msg: Wire::Nomad(Message::Ping) } => fx.send(from, Wire::Nomad(Message::Pong)),
            Input::Message { msg, .. } => unreachable!("nobody says `{msg}` to an operator"),
            Input::Refused { to } => {
                if self.under_way.is_some() && self.servers.front() == Some(&to) {
                    self.failed(now);
                }
            }
            Input::Fired(_) => {
                if self.under_way.is_some_and(|(_, until)| until <= now) {
                    self.failed(now);
                }
            }
            Input::Done(token) => unreachable!("an operator writes nothing, so nothing is done: {token:?}"),
        }
        self.go_on(now, fx);
    }

    /// Sends what is due, and sets the alarm for what comes next.
    fn go_on(&mut self, now: Time, fx: &mut impl Fx<Process>) {
        if let Some((_, until)) = self.under_way {
            fx.arm(Alarm::Operator, until.since(now));
            return;
        }
        let Some(errand) = self.schedule.front() else {
            fx.disarm(Alarm::Operator);
            return;
        };
        let due = errand.due.max(self.retry_at);
        if due > now {
            fx.arm(Alarm::Operator, due.since(now));
            return;
        }
        let Some(&server) = self.servers.front() else { return };
        self.calls += 1;
        let call = Call(self.calls);
        let request = Request::Operate { region: self.region, operation: Arc::clone(&errand.operation) };
        self.under_way = Some((call, now + PATIENCE));
        fx.send(server, Wire::Nomad(Message::Request { call, request }));
        fx.arm(Alarm::Operator, PATIENCE);
    }

    fn answered(&mut self, now: Time, call: Call, reply: &Reply, fx: &mut impl Fx<Process>) {
        if self.under_way.is_none_or(|(waiting, _)| waiting != call) {
            return;
        }
        match reply {
            Reply::Failed(error) if can_retry(*error) => self.failed(now),
            Reply::Failed(reason) => {
                self.under_way = None;
                if let Some(Errand { label: command, .. }) = self.schedule.pop_front() {
                    fx.emit(Event::Notice(Notice::Refused { region: self.region, command, reason: *reason }));
                }
            }
            Reply::Beat { .. }
            | Reply::ClientAllocs(_)
            | Reply::Allocs(_)
            | Reply::Alloc { .. }
            | Reply::Done { .. }
            | Reply::Operated { .. }
            | Reply::Dequeued(_)
            | Reply::Nothing
            | Reply::Planned(_)
            | Reply::Written { .. } => {
                self.under_way = None;
                self.schedule.pop_front();
            }
        }
    }

    fn failed(&mut self, now: Time) {
        self.under_way = None;
        self.retry_at = now + RETRY;
        self.servers.rotate_left(usize::from(!self.servers.is_empty()));
    }
}

/// Whether the same command may succeed later.
fn can_retry(error: RpcError) -> bool {
    match error {
        RpcError::NoLeader
        | RpcError::NotReady
        | RpcError::NoPath
        | RpcError::Lost
        | RpcError::BrokerDisabled
        | RpcError::PlanQueueDisabled
        | RpcError::Flushed
        | RpcError::StateTimeout
        | RpcError::NotCommitted => true,
        // Whoever is refused because of these does not wait at the terminal.
        RpcError::RegistrationsRejected
        | RpcError::DeploymentActive
        | RpcError::UnknownNode
        | RpcError::NodeDraining
        | RpcError::SilentNode
        | RpcError::UnknownSwitch
        | RpcError::UnknownJob
        | RpcError::UnknownVersion
        | RpcError::UnknownGroup
        | RpcError::UnknownAlloc
        | RpcError::UnsupportedKind
        | RpcError::UnknownDeployment
        | RpcError::DeploymentTerminal
        | RpcError::PriorityOutOfRange
        | RpcError::NotPeriodic
        | RpcError::NotTracked
        | RpcError::NotEvaluated
        | RpcError::Dispatch(_)
        | RpcError::Refused(_)
        | RpcError::Broker(_) => false,
    }
}
