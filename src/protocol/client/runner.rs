//! One allocation on its node: hooks, task order, restarts, kill sequence, health.
//!
//! The runner is level-triggered: after every change [`Runner::advance`] looks at where every task stands and does what
//! comes next. Order of life: wait for the predecessor, set up, register group services, prestart tasks, main tasks,
//! poststart tasks; then either the main tasks end by themselves or the allocation is killed: deregister, wait the
//! shutdown delay,
//! leader, the others, poststop tasks.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::base::ordered::OrdSet;
use crate::base::time::{Duration, Time};
use crate::model::alloc::{Alloc, AllocId, ClientStatus};
use crate::model::deployment::DeploymentId;
use crate::model::job::{Hook, JobKind, Restart, Task};
use crate::protocol::client::alarms::Alarms;
use crate::protocol::client::config::ClientConfig;
use crate::protocol::client::event::{Event, Exit};
use crate::protocol::client::health::HealthWatch;
use crate::protocol::client::restart::{Decision, Restarts};
use crate::protocol::scheduler::command::AllocUpdate;

/// What a runner wakes up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Setup is done.
    Setup,
    /// The group's shutdown delay is over.
    ShutdownDelay,
    /// Ask for the predecessor again.
    Predecessor,
    /// Judge the health.
    Health,
    /// Something of this task is due.
    Task(u16),
}

/// Where the runner puts what it wants done, and finds the settings.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The time.
    pub now: Time,
    /// Settings.
    pub config: &'a ClientConfig,
    /// For the container.
    pub events: &'a mut Vec<Event>,
    /// Wake-ups of all runners; one that does not match the runner's own note is stale.
    pub alarms: &'a mut Alarms,
    /// Tasks whose image the node has, by a hash of driver and configuration.
    pub images: &'a mut OrdSet<u64>,
}

/// How the runner stands towards the allocation it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A predecessor or a preempted allocation still runs.
    Waiting,
    /// Hooks before the first task run; until then.
    Setup(Time),
    /// Tasks start and run.
    Up,
    /// To be killed; the shutdown delay of the group lasts until then.
    ShutdownDelay(Time),
    /// Tasks are being killed.
    Killing,
    /// Main tasks are gone, poststop tasks run.
    Poststop,
    /// Everything ended.
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    /// Not its turn yet.
    Waiting,
    /// The client restarted and the task is gone: it starts once the servers were reached.
    Held,
    /// The client restarted and asked the container about it.
    Reattaching,
    /// Image and start delay, until then.
    Preparing(Time),
    /// The container was told to start it.
    Starting,
    /// It runs since then.
    Running(Time),
    /// It ended and starts again then.
    Restarting(Time),
    /// To be stopped once its shutdown delay is over, then.
    ShutdownDelay(Time),
    /// Asked to stop; killed then.
    Stopping(Time),
    /// Killed.
    Killed,
    /// Ended; whether it failed.
    Dead { failed: bool },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct TaskRun {
    pub(super) state: TaskState,
    restarts: Restarts,
    runs: u32,
    services: bool,
}

/// An allocation on its node.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Also that of `alloc`; here, so that a report need not look there.
    id: AllocId,
    pub(super) alloc: Arc<Alloc>,
    stage: Stage,
    /// Mostly one.
    pub(super) tasks: SmallVec<[TaskRun; 1]>,
    /// The kill was decided (by the servers, a failed sibling, a dead leader).
    services: bool,
    started: bool,
    /// Whether the predecessor may still run.
    waits_for: Option<AllocId>,
    predecessor_retry: Option<Time>,
    preempted: Vec<AllocId>,
    pub(super) health: Option<HealthWatch>,
    pub(super) health_due: Option<Time>,
    health_for: Option<DeploymentId>,
    /// What the agent last said of its checks: a new deployment's watch does not wait for them to change.
    pub(super) checks_pass: bool,
    pub(super) decided: Option<(bool, Time)>,
    finished_at: Option<Time>,
    told: Option<AllocUpdate>,
    pub(super) status: ClientStatus,
}

impl Runner {
    /// A new allocation. `waits_for` is its predecessor and `preempted` those it pushed out, as far as they may still
    /// run.
    pub fn new(alloc: Arc<Alloc>, waits_for: Option<AllocId>, preempted: Vec<AllocId>, desk: &mut Desk) -> Self {
        desk.events.push(Event::AllocReceived { alloc: alloc.id });
        let tasks = smallvec![TaskRun::new(); alloc.task_group().tasks.len()];
        let mut runner = Self {
            id: alloc.id,
            stage: Stage::Waiting,
            tasks,
            services: false,
            started: false,
            waits_for,
            predecessor_retry: None,
            preempted,
            health: None,
            health_due: None,
            health_for: alloc.deployment,
            checks_pass: false,
            decided: None,
            finished_at: None,
            told: None,
            status: ClientStatus::Pending,
            alloc,
        };
        runner.advance(desk);
        runner
    }

    /// The allocation as last fetched.
    pub fn alloc(&self) -> &Arc<Alloc> {
        &self.alloc
    }

    /// The predecessor it waits for.
    pub fn waits_for(&self) -> Option<AllocId> {
        self.waits_for
    }

    /// Every task ended and none will start again.
    pub fn is_dead(&self) -> bool {
        self.stage == Stage::Dead
    }

    /// Whether the kill has begun or is over.
    pub fn is_ending(&self) -> bool {
        match self.stage {
            Stage::ShutdownDelay(_) | Stage::Killing | Stage::Poststop | Stage::Dead => true,
            Stage::Waiting | Stage::Setup(_) | Stage::Up => false,
        }
    }

    /// What the servers are to know; `None` when they have been told already.
    pub fn report(&self) -> Option<AllocUpdate> {
        let update = AllocUpdate {
            id: self.id,
            client: self.status,
            finished_at: self.finished_at,
            task_failed: self.tasks.iter().any(|task| task.state == TaskState::Dead { failed: true }),
            health: self.decided,
        };
        (self.told != Some(update)).then_some(update)
    }

    /// Whether the report says more than details: it changes the status the servers know (Nomad 1.6
    /// `GetUpdatePriority`).
    pub fn is_report_urgent(&self) -> bool {
        self.told.map_or(self.alloc.client, |told| told.client) != self.status
    }

    /// The servers acknowledged this report.
    pub fn acknowledged(&mut self, update: AllocUpdate) {
        self.told = Some(update);
    }

    /// The servers changed it.
    pub fn update(&mut self, alloc: Arc<Alloc>, desk: &mut Desk) {
        let services_changed = self.services && !Arc::ptr_eq(&self.alloc.job, &alloc.job);
        self.alloc = alloc;
        if self.alloc.client == ClientStatus::Unknown {
            // The servers lost sight of it, so they are told again (Nomad 1.3 `Reconnect`).
            self.told = None;
        }
        if self.alloc.is_server_terminal() {
            self.kill(desk);
            return;
        }
        if services_changed {
            desk.events.push(Event::RegisterServices { alloc: self.alloc.clone(), task: None });
            for (task, _) in self.tasks.iter().enumerate().filter(|(_, run)| run.services) {
                let task = Some(task as u16);
                desk.events.push(Event::RegisterServices { alloc: self.alloc.clone(), task });
            }
        }
        if self.alloc.deployment != self.health_for {
            self.health_for = self.alloc.deployment;
            self.decided = None;
            if self.stage != Stage::Waiting && !self.is_ending() {
                self.watch_health(desk);
            }
        }
        self.advance(desk);
    }

    /// Ends it: the servers want it gone, or the client does.
    pub fn kill(&mut self, desk: &mut Desk) {
        if self.is_ending() {
            return;
        }
        self.waits_for = None;
        self.preempted.clear();
        self.health = None;
        self.health_due = None;
        let running = self.tasks.iter().any(|task| task.state.holds_process());
        self.deregister_group(desk);
        let delay = self.alloc.task_group().shutdown_delay;
        if running && !delay.is_zero() {
            let until = desk.now + delay;
            self.stage = Stage::ShutdownDelay(until);
            desk.alarms.set(until, self.alloc.id, Wake::ShutdownDelay);
        } else {
            self.stage = Stage::Killing;
        }
        self.advance(desk);
    }

    /// An allocation that pushed nothing out waits no more for `other`: it has ended.
    pub fn other_ended(&mut self, other: AllocId, desk: &mut Desk) {
        if self.stage != Stage::Waiting {
            return;
        }
        self.preempted.retain(|id| *id != other);
        if self.waits_for == Some(other) {
            self.waits_for = None;
        }
        self.advance(desk);
    }

    /// The predecessor could not be asked about; ask again then.
    pub fn ask_again(&mut self, at: Time, desk: &mut Desk) {
        if self.waits_for.is_some() {
            self.predecessor_retry = Some(at);
            desk.alarms.set(at, self.alloc.id, Wake::Predecessor);
        }
    }

    /// A wake-up. Returns the predecessor when it is to be asked about again.
    pub fn wake(&mut self, at: Time, wake: Wake, desk: &mut Desk) -> Option<AllocId> {
        match wake {
            Wake::Setup if self.stage == Stage::Setup(at) => {
                self.stage = Stage::Up;
                self.services = true;
                desk.events.push(Event::RegisterServices { alloc: self.alloc.clone(), task: None });
            }
            Wake::ShutdownDelay if self.stage == Stage::ShutdownDelay(at) => self.stage = Stage::Killing,
            Wake::Predecessor if self.predecessor_retry == Some(at) => {
                self.predecessor_retry = None;
                return self.waits_for;
            }
            Wake::Health if self.health_due == Some(at) => self.health_due = None,
            Wake::Task(task) => self.wake_task(at, usize::from(task), desk),
            Wake::Setup | Wake::ShutdownDelay | Wake::Predecessor | Wake::Health => return None,
        }
        self.advance(desk);
        None
    }

    /// The container started the task.
    pub fn task_started(&mut self, task: usize, desk: &mut Desk) {
        if self.tasks[task].state == TaskState::Starting {
            self.run(task, desk);
            self.advance(desk);
        }
    }

    /// The task ended.
    pub fn task_exited(&mut self, task: usize, exit: Exit, desk: &mut Desk) {
        match self.tasks[task].state {
            TaskState::Starting | TaskState::Running(_) => self.ended_by_itself(task, exit, desk),
            TaskState::ShutdownDelay(_) | TaskState::Stopping(_) | TaskState::Killed => {
                self.bury(task, false, desk);
            }
            TaskState::Waiting
            | TaskState::Held
            | TaskState::Reattaching
            | TaskState::Preparing(_)
            | TaskState::Restarting(_)
            | TaskState::Dead { .. } => {}
        }
        self.advance(desk);
    }

    /// After the client restarted: whether the task still runs.
    pub fn task_reattached(&mut self, task: usize, alive: bool, desk: &mut Desk) {
        if self.tasks[task].state != TaskState::Reattaching {
            return;
        }
        if alive {
            self.run(task, desk);
        } else if self.is_ending() {
            self.bury(task, false, desk);
        } else {
            self.tasks[task].state = TaskState::Held;
        }
        self.advance(desk);
    }

    /// The servers were reached for the first time since the client restarted: tasks that are gone may start again.
    pub fn servers_reached(&mut self, desk: &mut Desk) {
        for task in 0..self.tasks.len() {
            if self.tasks[task].state == TaskState::Held {
                self.prepare(task, desk);
            }
        }
        self.advance(desk);
    }

    /// The client process died: what was under way is unknown.
    pub fn crash(&mut self) {
        self.health_due = None;
        self.predecessor_retry = None;
        self.told = None;
        for task in &mut self.tasks {
            task.state = match task.state {
                TaskState::Preparing(_) | TaskState::Restarting(_) => TaskState::Held,
                TaskState::Starting
                | TaskState::Running(_)
                | TaskState::ShutdownDelay(_)
                | TaskState::Stopping(_)
                | TaskState::Killed => TaskState::Reattaching,
                TaskState::Waiting | TaskState::Held | TaskState::Reattaching | TaskState::Dead { .. } => task.state,
            };
        }
    }

    /// The client process is back: asks for what was running.
    pub fn restore(&mut self, desk: &mut Desk) {
        match self.stage {
            Stage::Setup(_) => self.begin_setup(desk),
            Stage::ShutdownDelay(_) => self.stage = Stage::Killing,
            Stage::Waiting | Stage::Up | Stage::Killing | Stage::Poststop | Stage::Dead => {}
        }
        if self.stage == Stage::Up && self.decided.is_none() {
            self.watch_health(desk);
        }
        for (index, task) in self.tasks.iter().enumerate() {
            if task.state == TaskState::Reattaching {
                desk.events.push(Event::ReattachTask { alloc: self.alloc.clone(), task: index as u16 });
            }
        }
        self.advance(desk);
    }

    /// Takes the steps that have become possible.
    fn advance(&mut self, desk: &mut Desk) {
        if self.stage == Stage::Waiting && self.waits_for.is_none() && self.preempted.is_empty() {
            self.begin_setup(desk);
        }
        if self.stage == Stage::Up {
            self.start_due(desk);
        }
        if self.stage == Stage::Killing {
            self.kill_due(desk);
        }
        if self.stage == Stage::Poststop && self.tasks.iter().all(TaskRun::is_dead) {
            self.finish(desk);
        }
        self.note_status(desk);
        self.judge_health(desk);
    }

    fn begin_setup(&mut self, desk: &mut Desk) {
        self.watch_health(desk);
        let until = desk.now + desk.config.delays.setup(self.alloc.id);
        self.stage = Stage::Setup(until);
        desk.alarms.set(until, self.alloc.id, Wake::Setup);
    }

    /// Starts tasks whose turn it is; notices the end of the main tasks.
    fn start_due(&mut self, desk: &mut Desk) {
        let alloc = self.alloc.clone();
        let specs = &alloc.task_group().tasks;
        self.prepare_all(specs, Some(Hook::Prestart), desk);
        let prestarted =
            specs.iter().zip(&self.tasks).filter(|(spec, _)| hook(spec) == Some(Hook::Prestart)).all(|(spec, task)| {
                match task.state {
                    TaskState::Running(_) => is_sidecar(spec),
                    TaskState::Dead { failed } => !failed,
                    _ => false,
                }
            });
        if prestarted {
            self.prepare_all(specs, None, desk);
        }
        let mains = || specs.iter().zip(&self.tasks).filter(|(spec, _)| hook(spec).is_none());
        let mains_up = mains().all(|(_, task)| matches!(task.state, TaskState::Running(_)));
        self.started |= prestarted && mains_up;
        let failed = self.tasks.iter().any(|task| task.state == TaskState::Dead { failed: true });
        let leader_dead = specs.iter().zip(&self.tasks).any(|(spec, task)| spec.leader && task.is_dead());
        let mains_dead = mains().count() > 0 && mains().all(|(_, task)| task.is_dead());
        // Poststart tasks that are no sidecars may finish; those that have not begun will not.
        let lingers = specs.iter().zip(&self.tasks).any(|(spec, task)| {
            hook(spec) == Some(Hook::Poststart)
                && !is_sidecar(spec)
                && !task.is_dead()
                && task.state != TaskState::Waiting
        });
        if self.started {
            self.prepare_all(specs, Some(Hook::Poststart), desk);
        }
        if failed || leader_dead || mains_dead && !lingers {
            self.kill(desk);
        }
    }

    fn prepare_all(&mut self, specs: &[Task], which: Option<Hook>, desk: &mut Desk) {
        for (index, spec) in specs.iter().enumerate() {
            if hook(spec) == which && self.tasks[index].state == TaskState::Waiting {
                self.prepare(index, desk);
            }
        }
    }

    /// Image, then the start delay.
    fn prepare(&mut self, task: usize, desk: &mut Desk) {
        let spec = &self.alloc.task_group().tasks[task];
        let delays = &desk.config.delays;
        let mut wait = delays.start(self.alloc.id, task, self.tasks[task].runs);
        if desk.images.insert(image(spec)) {
            wait += delays.pull(self.alloc.id, task);
        }
        let until = desk.now + wait;
        self.tasks[task].state = TaskState::Preparing(until);
        desk.alarms.set(until, self.alloc.id, Wake::Task(task as u16));
    }

    fn wake_task(&mut self, at: Time, task: usize, desk: &mut Desk) {
        let (alloc, name) = (self.alloc.id, task as u16);
        match self.tasks[task].state {
            TaskState::Preparing(due) if due == at => {
                self.tasks[task].state = TaskState::Starting;
                self.tasks[task].runs += 1;
                desk.events.push(Event::StartTask { alloc: self.alloc.clone(), task: name });
            }
            TaskState::Restarting(due) if due == at => self.prepare(task, desk),
            TaskState::ShutdownDelay(due) if due == at => self.ask_to_stop(task, desk),
            TaskState::Stopping(due) if due == at => {
                self.tasks[task].state = TaskState::Killed;
                desk.events.push(Event::KillTask { alloc, task: name });
            }
            TaskState::Preparing(_)
            | TaskState::Restarting(_)
            | TaskState::ShutdownDelay(_)
            | TaskState::Stopping(_)
            | TaskState::Waiting
            | TaskState::Held
            | TaskState::Reattaching
            | TaskState::Starting
            | TaskState::Running(_)
            | TaskState::Killed
            | TaskState::Dead { .. } => {}
        }
    }

    fn run(&mut self, task: usize, desk: &mut Desk) {
        self.tasks[task].state = TaskState::Running(desk.now);
        if !self.alloc.task_group().tasks[task].services.is_empty() && !self.tasks[task].services {
            self.tasks[task].services = true;
            desk.events.push(Event::RegisterServices { alloc: self.alloc.clone(), task: Some(task as u16) });
        }
    }

    fn ended_by_itself(&mut self, task: usize, exit: Exit, desk: &mut Desk) {
        let group = self.alloc.task_group();
        let spec = &group.tasks[task];
        let policy: &Restart = spec.restart.as_ref().unwrap_or(&group.restart);
        let on_success = match hook(spec) {
            None => self.alloc.job.kind != JobKind::Batch && self.alloc.job.kind != JobKind::SysBatch,
            Some(Hook::Prestart | Hook::Poststart) => is_sidecar(spec),
            Some(Hook::Poststop) => false,
        };
        let run = &mut self.tasks[task];
        let jitter = desk.config.delays.restart_jitter(self.alloc.id, task, run.runs);
        match run.restarts.decide(desk.now, exit, policy, on_success, jitter) {
            Decision::Restart(delay) => {
                let at = desk.now + delay;
                run.state = TaskState::Restarting(at);
                desk.alarms.set(at, self.alloc.id, Wake::Task(task as u16));
                desk.events.push(Event::TaskRestarting { alloc: self.alloc.id, task: task as u16, delay });
                self.deregister_task(task, desk);
            }
            Decision::Done => self.bury(task, false, desk),
            Decision::Failed => {
                self.bury(task, true, desk);
                self.decide_health(false, desk);
            }
        }
    }

    fn bury(&mut self, task: usize, failed: bool, desk: &mut Desk) {
        self.tasks[task].state = TaskState::Dead { failed };
        self.deregister_task(task, desk);
    }

    /// Leader first, then the others, then poststop tasks.
    fn kill_due(&mut self, desk: &mut Desk) {
        let alloc = self.alloc.clone();
        let specs = &alloc.task_group().tasks;
        let leader = specs.iter().position(|spec| spec.leader).filter(|leader| !self.tasks[*leader].is_dead());
        if let Some(leader) = leader {
            self.stop(leader, desk);
        }
        if leader.is_none_or(|leader| self.tasks[leader].is_dead()) {
            for (task, spec) in specs.iter().enumerate() {
                if hook(spec) != Some(Hook::Poststop) {
                    self.stop(task, desk);
                }
            }
        }
        let over =
            specs.iter().zip(&self.tasks).all(|(spec, task)| hook(spec) == Some(Hook::Poststop) || task.is_dead());
        if !over {
            return;
        }
        self.stage = Stage::Poststop;
        if self.tasks.iter().any(|task| task.runs > 0) {
            self.prepare_all(specs, Some(Hook::Poststop), desk);
        } else {
            for task in &mut self.tasks {
                task.state = TaskState::Dead { failed: false };
            }
        }
    }

    fn stop(&mut self, task: usize, desk: &mut Desk) {
        match self.tasks[task].state {
            TaskState::Waiting | TaskState::Held | TaskState::Preparing(_) | TaskState::Restarting(_) => {
                self.bury(task, false, desk);
            }
            TaskState::Starting | TaskState::Running(_) => {
                self.deregister_task(task, desk);
                let delay = self.alloc.task_group().tasks[task].shutdown_delay;
                if delay.is_zero() {
                    self.ask_to_stop(task, desk);
                } else {
                    let until = desk.now + delay;
                    self.tasks[task].state = TaskState::ShutdownDelay(until);
                    desk.alarms.set(until, self.alloc.id, Wake::Task(task as u16));
                }
            }
            TaskState::Reattaching
            | TaskState::ShutdownDelay(_)
            | TaskState::Stopping(_)
            | TaskState::Killed
            | TaskState::Dead { .. } => {}
        }
    }

    fn ask_to_stop(&mut self, task: usize, desk: &mut Desk) {
        let patience = self.alloc.task_group().tasks[task].kill_timeout.min(desk.config.kill_timeout_max);
        let until = desk.now + patience;
        self.tasks[task].state = TaskState::Stopping(until);
        desk.alarms.set(until, self.alloc.id, Wake::Task(task as u16));
        desk.events.push(Event::StopTask { alloc: self.alloc.id, task: task as u16 });
    }

    fn finish(&mut self, desk: &mut Desk) {
        self.stage = Stage::Dead;
        self.finished_at = Some(desk.now);
        self.deregister_group(desk);
        self.health = None;
        self.health_due = None;
    }

    fn deregister_group(&mut self, desk: &mut Desk) {
        if self.services {
            self.services = false;
            desk.events.push(Event::DeregisterServices { alloc: self.alloc.id, task: None });
        }
    }

    fn deregister_task(&mut self, task: usize, desk: &mut Desk) {
        if self.tasks[task].services {
            self.tasks[task].services = false;
            desk.events.push(Event::DeregisterServices { alloc: self.alloc.id, task: Some(task as u16) });
        }
    }

    /// Aggregates the tasks: failed before running before pending before complete (Nomad `getClientStatus`).
    fn note_status(&mut self, desk: &mut Desk) {
        let any = |wanted: fn(&TaskState) -> bool| self.tasks.iter().any(|task| wanted(&task.state));
        let status = if any(|state| *state == TaskState::Dead { failed: true }) {
            ClientStatus::Failed
        } else if any(TaskState::is_running) {
            ClientStatus::Running
        } else if self.stage != Stage::Dead && any(|state| !matches!(state, TaskState::Dead { .. })) {
            ClientStatus::Pending
        } else {
            ClientStatus::Complete
        };
        if status != self.status {
            self.status = status;
            desk.events.push(Event::AllocStatus { alloc: self.alloc.id, status });
        }
        if status == ClientStatus::Failed {
            // The servers reckon from now on; siblings may still be on their way out (Nomad `clientAlloc`).
            self.finished_at.get_or_insert(desk.now);
            self.judge_failed(desk);
        }
    }
}

impl TaskRun {
    fn new() -> Self {
        Self { state: TaskState::Waiting, restarts: Restarts::default(), runs: 0, services: false }
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, TaskState::Dead { .. })
    }
}

impl TaskState {
    fn is_running(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Reattaching | Self::ShutdownDelay(_) | Self::Stopping(_) | Self::Killed)
    }

    fn holds_process(self) -> bool {
        self.is_running() || self == Self::Starting
    }
}

pub(super) fn hook(spec: &Task) -> Option<Hook> {
    spec.lifecycle.map(|lifecycle| lifecycle.hook)
}

fn is_sidecar(spec: &Task) -> bool {
    spec.lifecycle.is_some_and(|lifecycle| lifecycle.sidecar)
}

fn image(spec: &Task) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(spec.config.as_bytes(), xxhash_rust::xxh3::xxh3_64(spec.driver.as_bytes()))
}

/// Shortest `stop_after_client_disconnect` check (Nomad `heartbeatstop.go`).
pub const HEARTBEAT_STOP_CHECK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Draws;
    use crate::model::evaluation::EvalId;
    use crate::model::job::{Job, Lifecycle};
    use crate::model::node::NodeId;
    use crate::model::service::Service;
    use crate::protocol::client::config::{Delay, Delays};
    use crate::protocol::scheduler::story::{node_spec, place};
    use crate::protocol::scheduler::test_support::job;

    /// A runner whose tasks start at once, and end when told.
    struct Bench {
        config: ClientConfig,
        now: Time,
        runner: Option<Runner>,
        alarms: Alarms,
        images: OrdSet<u64>,
        /// Everything it asked for, in words.
        told: Vec<String>,
    }

    type Act = Box<dyn FnOnce(Option<Runner>, &mut Desk) -> Option<Runner>>;

    impl Bench {
        fn new() -> Self {
            let delays = Delays {
                setup: Delay::constant(Duration::ZERO),
                pull: Delay::constant(Duration::from_secs(3)),
                start: Delay::constant(Duration::from_secs(1)),
                draws: Draws::new(1, "starts"),
            };
            Self {
                config: ClientConfig::new(NodeId(0), node_spec(1_000), Vec::new(), delays),
                now: Time::ZERO,
                runner: None,
                alarms: Alarms::default(),
                images: OrdSet::new(),
                told: Vec::new(),
            }
        }

        fn start(job: Job) -> Self {
            let mut bench = Self::new();
            let mut alloc = place(&Arc::new(job), NodeId(0), EvalId(0), None, Time::ZERO);
            alloc.id = AllocId(1);
            bench.act(Box::new(|_, desk| Some(Runner::new(Arc::new(alloc), None, Vec::new(), desk))));
            bench
        }

        fn act(&mut self, act: Act) {
            let mut events = Vec::new();
            let mut desk = Desk {
                now: self.now,
                config: &self.config,
                events: &mut events,
                alarms: &mut self.alarms,
                images: &mut self.images,
            };
            self.runner = act(self.runner.take(), &mut desk);
            for event in events {
                match event {
                    Event::StartTask { task, .. } => {
                        self.say(&format!("start {task}"));
                        self.with(move |runner, desk| runner.task_started(usize::from(task), desk));
                    }
                    Event::StopTask { task, .. } => self.say(&format!("stop {task}")),
                    Event::KillTask { task, .. } => self.say(&format!("kill {task}")),
                    Event::RegisterServices { task: None, .. } => self.say("register"),
                    Event::DeregisterServices { task: None, .. } => self.say("deregister"),
                    Event::AllocHealth { healthy, .. } => self.say(&format!("healthy={healthy}")),
                    _ => {}
                }
            }
        }

        fn say(&mut self, what: &str) {
            self.told.push(format!("{} {what}", self.now.as_nanos() / 1_000_000_000));
        }

        fn with(&mut self, act: impl FnOnce(&mut Runner, &mut Desk) + 'static) {
            self.act(Box::new(|runner, desk| {
                let mut runner = runner.expect("it was made");
                act(&mut runner, desk);
                Some(runner)
            }));
        }

        fn exit(&mut self, task: usize, exit: Exit) {
            self.with(move |runner, desk| runner.task_exited(task, exit, desk));
        }

        fn run_until(&mut self, second: u64) {
            let until = Time::ZERO + Duration::from_secs(second);
            while let Some((at, _, wake)) = self.alarms.take_due(until) {
                self.now = at;
                self.with(move |runner, desk| {
                    runner.wake(at, wake, desk);
                });
            }
            self.now = until;
        }

        fn told(&mut self) -> Vec<String> {
            std::mem::take(&mut self.told)
        }

        fn status(&self) -> ClientStatus {
            self.runner.as_ref().expect("it was made").status
        }
    }

    fn with_tasks(kind: JobKind, tasks: &[(Option<(Hook, bool)>, bool)]) -> Job {
        let mut job = job(0, 50, 1);
        job.kind = kind;
        if kind == JobKind::Batch {
            job.groups[0].restart = Restart::BATCH;
        }
        job.groups[0].tasks = tasks
            .iter()
            .enumerate()
            .map(|(n, (hook, leader))| {
                let mut task = Task::new(&format!("t{n}"), "mock");
                task.lifecycle = hook.map(|(hook, sidecar)| Lifecycle { hook, sidecar });
                task.leader = *leader;
                task
            })
            .collect();
        job
    }

    #[test]
    fn the_image_is_fetched_once_per_node() {
        let mut bench = Bench::start(with_tasks(JobKind::Batch, &[(None, false)]));
        bench.run_until(10);
        assert_eq!(bench.told(), ["0 register", "4 start 0"]);
        bench.exit(0, Exit::Failure);
        bench.run_until(40);
        let restarted = bench.told();
        let second: u64 = restarted[0].split(' ').next().unwrap().parse().unwrap();
        assert!((26..=30).contains(&second), "15 s and up to a quarter, then the start: {restarted:?}");
    }

    #[test]
    fn tasks_start_in_the_order_of_their_hooks() {
        let tasks = [
            (Some((Hook::Poststop, false)), false),
            (None, false),
            (Some((Hook::Poststart, false)), false),
            (Some((Hook::Prestart, false)), false),
        ];
        let mut bench = Bench::start(with_tasks(JobKind::Batch, &tasks));
        bench.run_until(10);
        assert_eq!(bench.told(), ["0 register", "4 start 3"], "the prestart task alone");
        bench.exit(3, Exit::Success);
        bench.run_until(20);
        assert_eq!(bench.told(), ["11 start 1", "12 start 2"]);
        bench.exit(2, Exit::Success);
        bench.exit(1, Exit::Success);
        bench.run_until(30);
        assert_eq!(bench.told(), ["20 deregister", "21 start 0"], "poststop comes last");
        assert_eq!(bench.status(), ClientStatus::Running);
        bench.exit(0, Exit::Success);
        assert_eq!(bench.status(), ClientStatus::Complete);
    }

    #[test]
    fn killing_deregisters_waits_stops_the_leader_first_and_kills_in_the_end() {
        let mut job = with_tasks(JobKind::Service, &[(None, false), (None, true)]);
        job.groups[0].shutdown_delay = Duration::from_secs(6);
        job.groups[0].services = vec![Service { name: "web".into(), port: None, tags: Vec::new(), checks: Vec::new() }];
        let mut bench = Bench::start(job);
        bench.run_until(10);
        bench.told();
        bench.with(Runner::kill);
        bench.run_until(18);
        assert_eq!(bench.told(), ["10 deregister", "16 stop 1"]);
        bench.exit(1, Exit::Failure);
        bench.run_until(30);
        assert_eq!(bench.told(), ["18 stop 0", "23 kill 0"], "the default kill timeout is 5 s");
        bench.exit(0, Exit::Failure);
        assert_eq!(bench.status(), ClientStatus::Complete, "killed is not failed");
    }

    #[test]
    fn a_failed_task_takes_its_siblings_along() {
        let mut bench = Bench::start(with_tasks(JobKind::Service, &[(None, false), (None, false)]));
        bench.run_until(15);
        bench.told();
        for second in [15, 40, 70] {
            bench.run_until(second);
            bench.exit(0, Exit::Failure);
        }
        let told = bench.told();
        assert_eq!(told.last().map(String::as_str), Some("70 stop 1"), "{told:?}");
        let finished = |bench: &Bench| bench.runner.as_ref().and_then(|runner| runner.finished_at);
        assert_eq!(finished(&bench), Some(bench.now), "the failure counts, not the end of the sibling");
        bench.exit(1, Exit::Success);
        assert_eq!(bench.status(), ClientStatus::Failed);
        assert_eq!(told.iter().filter(|line| line.ends_with("healthy=true")).count(), 0, "decided before");
    }

    #[test]
    fn sidecars_end_with_the_main_tasks_and_a_dead_leader_ends_the_rest() {
        let sidecar = [(Some((Hook::Prestart, true)), false), (None, false)];
        let mut bench = Bench::start(with_tasks(JobKind::Batch, &sidecar));
        bench.run_until(10);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "5 start 1"]);
        bench.exit(1, Exit::Success);
        assert_eq!(bench.told(), ["10 deregister", "10 stop 0"]);
        let mut bench = Bench::start(with_tasks(JobKind::Batch, &[(None, true), (None, false)]));
        bench.run_until(10);
        bench.told();
        bench.exit(0, Exit::Success);
        assert_eq!(bench.told(), ["10 deregister", "10 stop 1"]);
    }

    #[test]
    fn health_needs_ten_seconds_of_running_and_passing_checks() {
        let mut bench = Bench::start(with_tasks(JobKind::Service, &[(None, false)]));
        bench.run_until(30);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "14 healthy=true"]);
        let mut checked = with_tasks(JobKind::Service, &[(None, false)]);
        let check =
            crate::model::service::Check::new("http", crate::model::service::CheckKind::Http, Duration::from_secs(1));
        checked.groups[0].services =
            vec![Service { name: "web".into(), port: None, tags: Vec::new(), checks: vec![check] }];
        let mut bench = Bench::start(checked.clone());
        for (second, passing) in [(10, true), (15, false), (20, true)] {
            bench.run_until(second);
            bench.with(move |runner, desk| runner.checks_passing(passing, desk));
        }
        bench.run_until(60);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "30 healthy=true"]);
        let mut bench = Bench::start(checked);
        bench.run_until(400);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "300 healthy=false"], "the deadline is 5 min");
    }

    #[test]
    fn a_poststart_task_that_ended_well_was_unhealthy_until_1_1_13_and_1_2_7() {
        let tasks = [(None, false), (Some((Hook::Poststart, false)), false)];
        let mut bench = Bench::start(with_tasks(JobKind::Service, &tasks));
        bench.run_until(8);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "5 start 1"]);
        bench.exit(1, Exit::Success);
        bench.run_until(60);
        assert_eq!(bench.told(), ["18 healthy=true"], "from its end on only the main task counts");
        let mut bench = Bench::new();
        bench.config.poststart_may_end = false;
        let mut alloc = place(&Arc::new(with_tasks(JobKind::Service, &tasks)), NodeId(0), EvalId(0), None, Time::ZERO);
        alloc.id = AllocId(1);
        bench.act(Box::new(|_, desk| Some(Runner::new(Arc::new(alloc), None, Vec::new(), desk))));
        bench.run_until(8);
        bench.told();
        bench.exit(1, Exit::Success);
        assert_eq!(bench.told(), ["8 healthy=false"]);
        assert_eq!(bench.status(), ClientStatus::Running);
    }

    #[test]
    fn a_new_deployment_s_watch_counts_from_its_start() {
        let mut bench = Bench::start(with_tasks(JobKind::Service, &[(None, false)]));
        bench.run_until(100);
        assert_eq!(bench.told(), ["0 register", "4 start 0", "14 healthy=true"]);
        bench.with(|runner, desk| {
            let updated = Alloc { deployment: Some(DeploymentId(1)), ..Alloc::clone(&runner.alloc) };
            runner.update(Arc::new(updated), desk);
        });
        bench.run_until(200);
        assert_eq!(bench.told(), ["110 healthy=true"], "it has run for long, and is watched for as long as any other");
    }

    #[test]
    fn the_health_watch_begins_when_the_predecessor_has_ended() {
        let job = Arc::new(with_tasks(JobKind::Service, &[(None, false)]));
        let mut alloc = place(&job, NodeId(0), EvalId(0), Some(AllocId(0)), Time::ZERO);
        alloc.id = AllocId(1);
        let mut bench = Bench::new();
        bench.act(Box::new(|_, desk| Some(Runner::new(Arc::new(alloc), Some(AllocId(0)), Vec::new(), desk))));
        bench.run_until(400);
        assert!(bench.told().is_empty(), "the healthy deadline of 5 min does not run yet");
        bench.with(|runner, desk| runner.other_ended(AllocId(0), desk));
        bench.run_until(450);
        assert_eq!(bench.told(), ["400 register", "404 start 0", "414 healthy=true"]);
    }

    #[test]
    fn a_client_restart_begins_the_health_watch_anew() {
        let mut job = with_tasks(JobKind::Service, &[(None, false)]);
        let check =
            crate::model::service::Check::new("http", crate::model::service::CheckKind::Http, Duration::from_secs(1));
        job.groups[0].services =
            vec![Service { name: "web".into(), port: None, tags: Vec::new(), checks: vec![check] }];
        let mut bench = Bench::start(job);
        bench.run_until(200);
        bench.told();
        bench.alarms.clear();
        bench.with(|runner, _| runner.crash());
        bench.with(Runner::restore);
        bench.with(|runner, desk| runner.task_reattached(0, true, desk));
        bench.run_until(499);
        assert!(bench.told().is_empty());
        bench.run_until(500);
        assert_eq!(bench.told(), ["500 healthy=false"]);
    }

    #[test]
    fn a_failed_allocation_of_a_deployment_is_unhealthy_even_if_nobody_watches() {
        let mut job = with_tasks(JobKind::Service, &[(None, false)]);
        job.groups[0].restart.attempts = 0;
        job.groups[0].update = Some(crate::model::job::Update {
            health_check: crate::model::job::HealthCheck::Manual,
            ..crate::model::job::Update::default()
        });
        let mut alloc = place(&Arc::new(job), NodeId(0), EvalId(0), None, Time::ZERO);
        (alloc.id, alloc.deployment) = (AllocId(1), Some(DeploymentId(0)));
        let mut bench = Bench::new();
        bench.act(Box::new(|_, desk| Some(Runner::new(Arc::new(alloc), None, Vec::new(), desk))));
        bench.run_until(20);
        bench.told();
        bench.exit(0, Exit::Failure);
        assert_eq!(bench.told(), ["20 deregister", "20 healthy=false"]);
    }

    #[test]
    fn sidecars_outlive_poststart_tasks_that_finish() {
        let tasks = [(Some((Hook::Prestart, true)), false), (None, false), (Some((Hook::Poststart, false)), false)];
        let mut bench = Bench::start(with_tasks(JobKind::Batch, &tasks));
        bench.run_until(10);
        bench.told();
        bench.exit(1, Exit::Success);
        assert!(bench.told().is_empty(), "the poststart task still works");
        bench.exit(2, Exit::Success);
        assert_eq!(bench.told(), ["10 deregister", "10 stop 0"]);
    }

    #[test]
    fn after_a_client_restart_dead_tasks_wait_for_the_servers() {
        let mut bench = Bench::start(with_tasks(JobKind::Service, &[(None, false)]));
        bench.run_until(10);
        bench.told();
        bench.alarms.clear();
        bench.with(|runner, _| runner.crash());
        bench.with(Runner::restore);
        bench.with(|runner, desk| runner.task_reattached(0, false, desk));
        bench.run_until(20);
        assert!(bench.told().is_empty());
        bench.with(Runner::servers_reached);
        bench.run_until(30);
        assert_eq!(bench.told()[0], "21 start 0");
    }
}
