//! What Nomad refuses when a job is registered (`Job.Validate` and what it calls), as far as the model holds it.
//! Preferences and requirements are in [`super::placement_rules`].

use crate::base::ordered::OrdSet;
use crate::base::time::Duration;
use crate::base::units::Mebibytes;
use crate::base::units::MegaHertz;
use crate::model::job::DelayFunction;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::Reschedule;
use crate::model::job::Restart;
use crate::model::job::RestartMode;
use crate::model::job::Task;
use crate::model::job::TaskGroup;
use crate::model::job::Update;
use crate::model::service::CheckKind;
use crate::model::service::Service;
use crate::scenario::import::placement_rules;

/// A part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The job itself.
    Job,
    /// Its datacenters.
    Datacenters,
    /// A group.
    Group(usize),
    /// A task of a group.
    Task(usize, usize),
    /// A group's ask for processor.
    Cpu(usize),
    /// A group's ask for memory.
    Memory(usize),
    /// A piece of the job itself.
    OfJob(Piece),
    /// A piece of a group.
    OfGroup(usize, Piece),
    /// A piece of a task of a group.
    OfTask(usize, usize, Piece),
}

/// What a job, a group or a task can be wrong in; lists by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// One of its constraints.
    Constraint(usize),
    /// One of its affinities.
    Affinity(usize),
    /// One of its spreads.
    Spread(usize),
    /// How it is updated.
    Update,
    /// How it is moved off draining nodes.
    Migrate,
    /// How its tasks are restarted.
    Restart,
    /// How it is placed again after a failure.
    Reschedule,
}

/// An item of a list, by its place.
pub type Numbered = fn(usize) -> Piece;

impl Piece {
    /// Lists, by the name of one item and of all.
    pub const LISTS: [(&str, &str, Numbered); 3] = [
        ("constraint", "constraints", Self::Constraint),
        ("affinity", "affinities", Self::Affinity),
        ("spread", "spreads", Self::Spread),
    ];
    /// What there is once, by name.
    pub const BLOCKS: [(&str, Self); 4] = [
        ("update", Self::Update),
        ("migrate", Self::Migrate),
        ("restart", Self::Restart),
        ("reschedule", Self::Reschedule),
    ];

    /// What one is called.
    const fn name(self) -> &'static str {
        match self {
            Self::Constraint(_) => "constraint",
            Self::Affinity(_) => "affinity",
            Self::Spread(_) => "spread",
            Self::Update => "update",
            Self::Migrate => "migrate",
            Self::Restart => "restart",
            Self::Reschedule => "reschedule",
        }
    }
}

/// A rule that a job breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub part: Part,
    /// The fields of a piece that are to blame; none if there is but one, or if it is not a matter of fields.
    pub fields: &'static [&'static str],
    /// How.
    pub message: String,
    /// A way out.
    pub hint: String,
}

impl Broken {
    /// A piece is corrected in its fields, or left out.
    fn of_piece(part: Part, piece: Piece, fields: &'static [&'static str], message: String) -> Self {
        let hint = if fields.is_empty() {
            format!("correct it, or leave this {} out", piece.name())
        } else {
            format!("change `{}`, or leave its `{}` out", fields.join("` or `"), piece.name())
        };
        Self { part, fields, message, hint }
    }
}

/// What is wrong with a policy: the fields that are to blame, and how.
type Fault = (&'static [&'static str], String);

/// All rules the job breaks.
pub fn broken(job: &Job) -> Vec<Broken> {
    let mut out = Vec::new();
    for (piece, message) in placement_rules::broken(&job.constraints, &job.affinities, &job.spreads) {
        out.push(Broken::of_piece(Part::OfJob(piece), piece, &[], format!("job `{}` {message}", job.name)));
    }
    // System jobs keep their block to themselves; the groups of others have taken it over.
    if let Some(Err((fields, message))) = job.update.as_ref().map(update_rules) {
        let message = format!("job `{}` {message}", job.name);
        out.push(Broken::of_piece(Part::OfJob(Piece::Update), Piece::Update, fields, message));
    }
    let mut job_rule = |part: Part, fine: bool, message: &str, hint: &str| {
        if !fine {
            let message = format!("job `{}` {message}", job.name);
            out.push(Broken { part, fields: &[], message, hint: hint.to_owned() });
        }
    };
    let spaces = job.name.chars().any(char::is_whitespace);
    job_rule(Part::Job, !job.name.is_empty() && !spaces, "needs a name without spaces", NAME);
    job_rule(Part::Job, !unprintable(&job.name), CONTROL, NAME);
    job_rule(Part::Job, (1..=100).contains(&job.priority), "needs a priority within 1..=100", "50 is the default");
    job_rule(
        Part::Datacenters,
        !job.datacenters.is_empty(),
        "names no datacenter",
        "name that of the machines it is for",
    );
    job_rule(Part::Job, !job.groups.is_empty(), "has no task group", "add one with a task");
    let batch = matches!(job.kind, JobKind::Batch | JobKind::SysBatch);
    let launched = "is periodic or parameterized, which only batch jobs can be";
    job_rule(Part::Job, batch || !job.is_parent(), launched, "make it a batch job");
    let system = matches!(job.kind, JobKind::System | JobKind::SysBatch);
    let preferences = !job.affinities.is_empty() || !job.spreads.is_empty();
    let message = "is a system job and may have neither affinities nor spreads";
    job_rule(Part::Job, !(system && preferences), message, PREFERENCES);
    let largest = job.groups.iter().map(|group| group.tasks.len()).max().unwrap_or(0);
    let fine = job.groups.len() <= PARTS_MAX && largest <= PARTS_MAX;
    job_rule(Part::Job, fine, "has more than 1000 groups, or tasks in one", "split it into several jobs");
    if !fine {
        return out;
    }
    for (index, group) in job.groups.iter().enumerate() {
        let twin = job.groups[..index].iter().any(|other| other.name == group.name);
        if twin {
            let message = format!("task group `{}` is defined twice", group.name);
            out.push(Broken { part: Part::Group(index), fields: &[], message, hint: TWICE.to_owned() });
        }
        group_rules(job.kind, index, group, &mut out);
    }
    out
}

/// Takes away what means that there is no update strategy: `max_parallel` 0 (Nomad `UpdateStrategy.IsEmpty`). It has to
/// keep the rules all the same. One that asks for canaries stays: Nomad places them, though no deployment will promote
/// them.
pub fn drop_empty_updates(job: &mut Job) {
    for group in &mut job.groups {
        group.update.take_if(|update| update.max_parallel == 0 && update.canary == 0);
    }
}

/// Nomad refuses NUL; other control characters would tear every line a name is printed in.
const CONTROL: &str = "needs a name without control characters";

fn unprintable(name: &str) -> bool {
    name.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Rules of what a group wishes, and of how it is updated, moved and started again.
fn policy_rules(index: usize, group: &TaskGroup, out: &mut Vec<Broken>) {
    let mut broken = |piece: Piece, (fields, message): Fault| {
        let message = format!("task group `{}` {message}", group.name);
        out.push(Broken::of_piece(Part::OfGroup(index, piece), piece, fields, message));
    };
    for (piece, message) in placement_rules::broken(&group.constraints, &group.affinities, &group.spreads) {
        broken(piece, (&[], message));
    }
    if let Some(migrate) = group.migrate.as_ref().filter(|migrate| migrate.min_healthy_time >= migrate.healthy_deadline)
    {
        let deadline = migrate.healthy_deadline;
        let message = format!("migrates with a `healthy_deadline` of {deadline} within its `min_healthy_time`");
        broken(Piece::Migrate, (&["healthy_deadline", "min_healthy_time"], message));
    }
    let updates = group.update.as_ref().map_or(Ok(()), update_rules);
    let reschedules = group.reschedule.as_ref().map_or(Ok(()), reschedule_rules);
    for (piece, result) in
        [(Piece::Update, updates), (Piece::Restart, restart_rules(&group.restart)), (Piece::Reschedule, reschedules)]
    {
        if let Err(fault) = result {
            broken(piece, fault);
        }
    }
}

fn group_rules(kind: JobKind, index: usize, group: &TaskGroup, out: &mut Vec<Broken>) {
    policy_rules(index, group, out);
    let system = matches!(kind, JobKind::System | JobKind::SysBatch);
    let mut rule = |fine: bool, message: String, hint: &str| {
        if !fine {
            let message = format!("task group `{}` {message}", group.name);
            out.push(Broken { part: Part::Group(index), fields: &[], message, hint: hint.to_owned() });
        }
    };
    rule(!group.name.is_empty(), "needs a name".to_owned(), NAME);
    rule(!group.name.chars().any(char::is_control), CONTROL.to_owned(), NAME);
    rule(
        !(system && group.count > 1),
        "of a system job has a count of 0 or 1".to_owned(),
        "leave `count` out: it runs on every node",
    );
    rule(!group.tasks.is_empty(), "has no task".to_owned(), "add a task");
    rule(
        group.tasks.iter().filter(|task| task.leader).count() <= 1,
        "has several leaders".to_owned(),
        "let one task be the `leader`",
    );
    rule(
        group.disk.size >= Mebibytes(10),
        "asks for less than 10 MiB of disk".to_owned(),
        "ask for more, or leave it out: 300 MiB",
    );
    rule(
        !(system && (!group.affinities.is_empty() || !group.spreads.is_empty())),
        "of a system job may have neither affinities nor spreads".to_owned(),
        PREFERENCES,
    );
    rule(
        !(system && group.tasks.iter().any(|task| !task.affinities.is_empty())),
        "of a system job may have no task with affinities".to_owned(),
        PREFERENCES,
    );
    rule(
        !(kind != JobKind::Service && group.migrate.is_some()),
        "has a `migrate` block, which only service jobs may".to_owned(),
        "leave it out",
    );
    rule(
        !(system && group.stop_after_client_disconnect.is_some()),
        "of a system job may not have `stop_after_client_disconnect`".to_owned(),
        "leave it out",
    );
    rule(
        group.stop_after_client_disconnect.is_none() || group.max_client_disconnect.is_none(),
        "has both `max_client_disconnect` and `stop_after_client_disconnect`".to_owned(),
        "leave one of the two out",
    );
    rule(
        group.update.is_none() || matches!(kind, JobKind::Service | JobKind::System),
        "may only be updated in service and system jobs".to_owned(),
        "leave `update` out",
    );
    rule(
        !(system && group.reschedule.is_some()),
        "of a system job is never rescheduled; remove `reschedule`".to_owned(),
        "leave `reschedule` out",
    );
    let mut fixed = OrdSet::new();
    for port in
        group.networks.iter().chain(group.tasks.iter().flat_map(|task| &task.resources.networks)).flat_map(|n| &n.ports)
    {
        if let Some(number) = port.fixed {
            rule(
                (1..=65_535).contains(&number),
                format!("asks for port {number}, which is not within 1..=65535"),
                PORT,
            );
            rule(fixed.insert(number), format!("asks for port {number} twice"), PORT);
        }
    }
    for service in &group.services {
        if let Err(message) = service_rules(service) {
            rule(false, message, SERVICE);
        }
    }
    for (number, task) in group.tasks.iter().enumerate() {
        let twin = group.tasks[..number].iter().any(|other| other.name == task.name);
        task_rules((index, number), task, twin, out);
    }
}

fn task_rules((group, number): (usize, usize), task: &Task, twin: bool, out: &mut Vec<Broken>) {
    let mut of_piece = |piece: Piece, fields: &'static [&'static str], message: &str| {
        let message = format!("task `{}` {message}", task.name);
        out.push(Broken::of_piece(Part::OfTask(group, number, piece), piece, fields, message));
    };
    for (piece, message) in placement_rules::broken(&task.constraints, &task.affinities, &[]) {
        of_piece(piece, &[], &message);
    }
    if let Some(Err((fields, message))) = task.restart.as_ref().map(restart_rules) {
        of_piece(Piece::Restart, fields, &message);
    }
    let mut rule = |fine: bool, message: String, hint: &str| {
        if !fine {
            let message = format!("task `{}` {message}", task.name);
            out.push(Broken { part: Part::Task(group, number), fields: &[], message, hint: hint.to_owned() });
        }
    };
    rule(!twin, "is defined twice".to_owned(), TWICE);
    rule(!task.name.is_empty() && !task.name.contains(['/', '\\']), "needs a name without slashes".to_owned(), NAME);
    rule(!task.driver.is_empty(), "names no driver".to_owned(), "name one, as `docker`");
    rule(
        task.resources.cpu >= MegaHertz(1) || task.resources.cores > 0,
        "asks for less than 1 MHz".to_owned(),
        "ask for more, or leave it out: 100 MHz",
    );
    rule(
        task.resources.memory >= Mebibytes(10),
        "asks for less than 10 MiB of memory".to_owned(),
        "ask for more, or leave it out: 300 MiB",
    );
    let most = task.resources.memory_max;
    rule(
        most.is_none_or(|most| most >= task.resources.memory),
        "has a `memory_max` below its `memory`".to_owned(),
        "raise `memory_max`, or leave it out",
    );
    for service in &task.services {
        if let Err(message) = service_rules(service) {
            rule(false, message, SERVICE);
        }
    }
}

/// Healthy before its deadline, before the deployment's.
fn update_rules(update: &Update) -> Result<(), Fault> {
    let (healthy, deadline, progress) = (update.min_healthy_time, update.healthy_deadline, update.progress_deadline);
    if healthy >= deadline {
        let message = format!("has a `healthy_deadline` of {deadline} within its `min_healthy_time`");
        return Err((&["healthy_deadline", "min_healthy_time"], message));
    }
    if !progress.is_zero() && deadline >= progress {
        let message = format!("has a `progress_deadline` of {progress} within its `healthy_deadline`");
        return Err((&["progress_deadline", "healthy_deadline"], message));
    }
    if update.stagger.is_zero() {
        return Err((&["stagger"], "has a `stagger` of zero".to_owned()));
    }
    if update.auto_promote && update.canary == 0 {
        return Err((&["auto_promote", "canary"], "promotes canaries by itself but has none".to_owned()));
    }
    Ok(())
}

fn restart_rules(restart: &Restart) -> Result<(), Fault> {
    let (attempts, delay, interval) = (restart.attempts, restart.delay, restart.interval);
    if interval < Duration::from_secs(5) {
        return Err((&["interval"], format!("has a restart `interval` of {interval}, below 5 s")));
    }
    if attempts == 0 && restart.mode == RestartMode::Delay {
        let message = "would wait for ever: no restart attempts, mode `delay`".to_owned();
        return Err((&["attempts", "mode"], message));
    }
    if delay * u64::from(attempts) > interval {
        let message = format!("cannot restart {attempts} times, {delay} apart, within {interval}");
        return Err((&["attempts", "delay", "interval"], message));
    }
    Ok(())
}

fn reschedule_rules(reschedule: &Reschedule) -> Result<(), Fault> {
    let (attempts, delay, interval) = (reschedule.attempts, reschedule.delay, reschedule.interval);
    if attempts == 0 && !reschedule.unlimited {
        return Ok(());
    }
    if delay < Duration::from_secs(5) {
        return Err((&["delay"], format!("has a reschedule `delay` of {delay}, below 5 s")));
    }
    if reschedule.unlimited && attempts > 0 {
        let default = "the default of service jobs: write `unlimited` false";
        let message = format!("has both reschedule `attempts` and `unlimited` ({default})");
        return Err((&["attempts", "unlimited"], message));
    }
    if reschedule.delay_function != DelayFunction::Constant && reschedule.max_delay < delay {
        let message = format!("has a reschedule `max_delay` of {}, below its `delay` of {delay}", reschedule.max_delay);
        return Err((&["max_delay", "delay", "delay_function"], message));
    }
    if !reschedule.unlimited && interval < Duration::from_secs(15) {
        return Err((&["interval"], format!("has a reschedule `interval` of {interval}, below 15 s")));
    }
    Ok(())
}

fn service_rules(service: &Service) -> Result<(), String> {
    if service.name.is_empty() {
        return Err("has a service without a name".to_owned());
    }
    for check in &service.checks {
        let name = &service.name;
        if check.interval < Duration::from_secs(1) {
            return Err(format!("checks service `{name}` every {}, below 1 s", check.interval));
        }
        if check.timeout < Duration::from_secs(1) {
            return Err(format!("gives a check of service `{name}` {}, below 1 s", check.timeout));
        }
        if check.kind == CheckKind::Http && check.path.is_empty() {
            return Err(format!("has an http check of service `{name}` without a path"));
        }
    }
    Ok(())
}

const NAME: &str = "letters, digits, `-` and `_` will do";
const TWICE: &str = "give one of them another name";
const PREFERENCES: &str = "leave them out: it runs on every node that its constraints allow";
const PORT: &str = "take another port, or leave the number out for any that is free";
const SERVICE: &str = "correct the service, or leave it out";
/// Groups of a job and tasks of a group; Nomad has no limit, files by hand do.
const PARTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::constraint::Affinity;
    use crate::scenario::import::defaults;

    fn messages(change: impl FnOnce(&mut Job)) -> Vec<String> {
        let mut job = defaults::job("web", JobKind::Service);
        job.datacenters.push("dc1".into());
        let mut group = defaults::group("web", JobKind::Service);
        group.tasks.push(Task::new("server", "docker"));
        job.groups.push(group);
        change(&mut job);
        let found = broken(&job);
        assert!(found.iter().all(|broken| !broken.hint.is_empty()), "each has a way out: {found:?}");
        found.into_iter().map(|broken| broken.message).collect()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(messages(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_rule_names_what_breaks_it() {
        type Change = fn(&mut Job);
        let cases: [(Change, &str); 16] = [
            (|job| job.name = "we\0b".into(), "needs a name without control characters"),
            (|job| job.name = "we\u{7}b".into(), "needs a name without control characters"),
            (|job| job.groups[0].name = "we\0b".into(), "needs a name without control characters"),
            (|job| job.datacenters.clear(), "names no datacenter"),
            (|job| job.groups.clear(), "has no task group"),
            (|job| job.priority = 0, "priority"),
            (|job| job.groups[0].tasks.clear(), "has no task"),
            (|job| job.groups[0].tasks[0].resources.memory = Mebibytes(9), "10 MiB of memory"),
            (|job| job.groups[0].restart.attempts = 1_000, "cannot restart"),
            (
                |job| job.groups[0].update.as_mut().unwrap().healthy_deadline = Duration::from_secs(1),
                "healthy_deadline",
            ),
            (|job| job.groups[0].update.as_mut().unwrap().auto_promote = true, "canaries"),
            (
                |job| {
                    let update = job.groups[0].update.as_mut().unwrap();
                    (update.max_parallel, update.auto_promote) = (0, true);
                },
                "canaries",
            ),
            (|job| job.groups[0].reschedule.as_mut().unwrap().attempts = 3, "unlimited"),
            (|job| job.groups[0].reschedule.as_mut().unwrap().max_delay = Duration::from_secs(9), "max_delay"),
            (
                |job| {
                    let group = &mut job.groups[0];
                    (group.update, group.migrate, group.reschedule) = (None, None, None);
                    let (left, operator, right) = ("${attr.x}".into(), "=".into(), "y".into());
                    group.tasks[0].affinities.push(Affinity { left, operator, right, weight: 50 });
                    job.kind = JobKind::System;
                },
                "affinities",
            ),
            (
                |job| {
                    let group = &mut job.groups[0];
                    (group.update, group.migrate, group.reschedule) = (None, None, None);
                    job.kind = JobKind::System;
                    job.update = Some(Update { stagger: Duration::ZERO, ..Update::default() });
                },
                "has a `stagger` of zero",
            ),
        ];
        for (change, part) in cases {
            let found = messages(change);
            assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:?}");
        }
    }
}
