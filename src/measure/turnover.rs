//! How much placements come and go: ends, replacements, preemptions; and how long work takes from its registration
//! until it runs.

use crate::base::ordered::OrdMap;
use crate::base::time::{Duration, Time};
use crate::measure::balance::GroupNumber;
use crate::measure::distribution::Distribution;
use crate::measure::metric::{Metrics, Value};
use crate::model::alloc::{ClientStatus, Desired};
use crate::model::evaluation::{EvalId, Trigger};
use crate::model::job::JobId;
use crate::model::topology::RegionId;
use crate::world::spec::{Action, WorldSpec};

/// How an allocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Complete,
    Evicted,
    Failed,
    Lost,
    Stopped,
}

impl End {
    /// In label order.
    const ALL: [Self; 5] = [Self::Complete, Self::Evicted, Self::Failed, Self::Lost, Self::Stopped];

    /// What its record became first. A stop that gives the allocation up with its node is a loss.
    fn of(desired: Desired, client: ClientStatus) -> Self {
        match (desired, client) {
            (_, ClientStatus::Lost) => Self::Lost,
            (_, ClientStatus::Failed) => Self::Failed,
            (Desired::Evict, _) => Self::Evicted,
            (_, ClientStatus::Complete) => Self::Complete,
            (Desired::Run | Desired::Stop, _) => Self::Stopped,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Evicted => "evicted",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
        }
    }
}

/// Ends of allocations, as in metric labels.
pub(super) fn ends() -> impl Iterator<Item = &'static str> {
    End::ALL.into_iter().map(End::name)
}

/// What comes and goes in one region.
#[derive(Debug, Clone)]
pub(super) struct Turnover {
    from: Time,
    ends: OrdMap<End, u64>,
    replaced: u64,
    /// By priority of the job that lost an allocation.
    preempted: OrdMap<u8, u64>,
    /// The newest evaluation that came from a registration, by job, and when it was written.
    registered: OrdMap<JobId, (EvalId, Time)>,
    /// Names of service and batch jobs that were given out.
    names: OrdMap<Name, Use>,
    until_running: Distribution,
}

/// A group, and the number in the allocation's name.
type Name = (GroupNumber, u32);

/// What became of the last allocation of a name.
#[derive(Debug, Clone, Copy)]
struct Use {
    placed: Time,
    ended: Option<Time>,
}

impl Turnover {
    /// Nothing yet; counts from the end of the warm-up.
    pub(super) fn new(spec: &WorldSpec, region: RegionId) -> Self {
        let registered = spec.jobs.iter().filter(|(_, job)| job.region == region).map(|(_, job)| job.job.priority);
        let later = spec.timeline.iter().filter_map(|(_, entry)| match &entry.action {
            Action::RegisterJob { region: of, job } if *of == region => Some(job.priority),
            _ => None,
        });
        Self::with(registered.chain(later), Time::ZERO + spec.warmup)
    }

    fn with(priorities: impl Iterator<Item = u8>, from: Time) -> Self {
        Self {
            from,
            ends: End::ALL.into_iter().map(|end| (end, 0)).collect(),
            replaced: 0,
            preempted: priorities.map(|priority| (priority, 0)).collect(),
            registered: OrdMap::new(),
            names: OrdMap::new(),
            until_running: Distribution::new(),
        }
    }

    /// An evaluation was written. After a change of leaders it may be told again.
    pub(super) fn evaluation(&mut self, at: Time, eval: EvalId, job: JobId, trigger: Trigger) {
        if matches!(trigger, Trigger::JobRegister | Trigger::JobScaling | Trigger::PeriodicJob) {
            let newest = self.registered.entry(job).or_insert((eval, at));
            if newest.0 < eval {
                *newest = (eval, at);
            }
        }
    }

    /// When a job was last registered, scaled or launched.
    fn registered(&self, job: JobId) -> Option<Time> {
        self.registered.get(&job).map(|(_, at)| *at)
    }

    /// An allocation was placed. Returns when its job was last registered, if it is the first of its name since then,
    /// and does not stand in for one that was lost since.
    pub(super) fn placed(&mut self, at: Time, job: JobId, name: Name) -> Option<Time> {
        let before = self.names.insert(name, Use { placed: at, ended: None });
        let since = self.registered(job)?;
        let is_older =
            before.is_none_or(|before| before.placed <= since && before.ended.is_none_or(|end| end <= since));
        is_older.then_some(since)
    }

    /// The last allocation of a name has ended.
    pub(super) fn left(&mut self, at: Time, name: Name) {
        if let Some(last) = self.names.get_mut(&name) {
            last.ended.get_or_insert(at);
        }
    }

    /// An allocation took the place of another.
    pub(super) fn replaced(&mut self, at: Time) {
        self.replaced += u64::from(self.from <= at);
    }

    /// An allocation first ran this long after its job's registration.
    pub(super) fn running(&mut self, at: Time, after: Duration) {
        if self.from <= at {
            self.until_running.record(after.as_nanos());
        }
    }

    /// An allocation of a job of this priority no longer holds resources.
    pub(super) fn ended(&mut self, at: Time, priority: u8, (desired, client): (Desired, ClientStatus)) {
        if at < self.from {
            return;
        }
        *self.ends.entry(End::of(desired, client)).or_default() += 1;
        if desired == Desired::Evict {
            *self.preempted.entry(priority).or_default() += 1;
        }
    }

    /// Writes the metrics.
    pub(super) fn finish(self, region: &str, metrics: &mut Metrics) {
        let total = |count| Value::Total { unit: "allocs", count };
        for (end, count) in self.ends {
            metrics.put("placement.churn", &[("end", end.name()), ("region", region)], total(count));
        }
        metrics.put("placement.replaced", &[("region", region)], total(self.replaced));
        for (priority, count) in self.preempted {
            let priority = priority.to_string();
            metrics.put("placement.preemptions", &[("priority", &*priority), ("region", region)], total(count));
        }
        metrics.put("placement.time_to_running", &[("region", region)], Value::Times(self.until_running));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn figures(turnover: Turnover) -> Vec<(String, f64)> {
        let mut metrics = Metrics::default();
        turnover.finish("eu", &mut metrics);
        let first = |value: &Value| value.figures().first().map_or(0.0, |(_, figure)| *figure);
        metrics.0.iter().map(|(key, value)| (key.to_string(), first(value))).filter(|(_, f)| *f > 0.0).collect()
    }

    fn check(turnover: Turnover, expected: &[(&str, f64)]) {
        let expected: Vec<(String, f64)> = expected.iter().map(|(key, figure)| ((*key).to_owned(), *figure)).collect();
        assert_eq!(figures(turnover), expected);
    }

    #[test]
    fn every_end_is_counted_once_under_its_cause() {
        let mut turnover = Turnover::with([50].into_iter(), at(10));
        turnover.ended(at(9), 50, (Desired::Stop, ClientStatus::Running));
        for ended in [
            (Desired::Stop, ClientStatus::Running),
            (Desired::Stop, ClientStatus::Lost),
            (Desired::Run, ClientStatus::Failed),
            (Desired::Run, ClientStatus::Complete),
            (Desired::Run, ClientStatus::Complete),
        ] {
            turnover.ended(at(10), 50, ended);
        }
        turnover.replaced(at(9));
        turnover.replaced(at(11));
        check(
            turnover,
            &[
                ("placement.churn{end=complete,region=eu}", 2.0),
                ("placement.churn{end=failed,region=eu}", 1.0),
                ("placement.churn{end=lost,region=eu}", 1.0),
                ("placement.churn{end=stopped,region=eu}", 1.0),
                ("placement.replaced{region=eu}", 1.0),
            ],
        );
    }

    #[test]
    fn preemptions_count_under_the_priority_of_their_victims() {
        let mut turnover = Turnover::with([50, 70].into_iter(), at(0));
        for priority in [20, 20, 50] {
            turnover.ended(at(1), priority, (Desired::Evict, ClientStatus::Running));
        }
        check(
            turnover,
            &[
                ("placement.churn{end=evicted,region=eu}", 3.0),
                ("placement.preemptions{priority=20,region=eu}", 2.0),
                ("placement.preemptions{priority=50,region=eu}", 1.0),
            ],
        );
    }

    #[test]
    fn work_waits_from_the_newest_registration_until_it_runs() {
        let mut turnover = Turnover::with(std::iter::empty(), at(0));
        let job = JobId(1);
        turnover.evaluation(at(1), EvalId(3), job, Trigger::JobRegister);
        // A new leader tells of the evaluation again; another kind of evaluation is no registration.
        turnover.evaluation(at(2), EvalId(3), job, Trigger::JobRegister);
        turnover.evaluation(at(3), EvalId(4), job, Trigger::NodeUpdate);
        assert_eq!(turnover.registered(job), Some(at(1)));
        turnover.evaluation(at(4), EvalId(5), job, Trigger::JobScaling);
        assert_eq!(turnover.registered(job), Some(at(4)));
        turnover.running(at(6), Duration::from_secs(2));
        check(turnover, &[("placement.time_to_running{region=eu}", 2_000.0)]);
    }

    #[test]
    fn only_the_first_allocation_of_a_name_waits_from_the_registration() {
        let mut turnover = Turnover::with(std::iter::empty(), at(0));
        let (job, zero, one) = (JobId(1), (GroupNumber(0), 0), (GroupNumber(0), 1));
        assert_eq!(turnover.placed(at(0), job, zero), None, "nobody registered it");
        turnover.evaluation(at(10), EvalId(1), job, Trigger::JobRegister);
        assert_eq!(turnover.placed(at(11), job, zero), Some(at(10)), "a canary beside an older version");
        turnover.left(at(60), zero);
        assert_eq!(turnover.placed(at(90), job, zero), None, "the name was given out again");
        assert_eq!(turnover.placed(at(91), job, one), Some(at(10)), "it waited for room");
        turnover.left(at(95), zero);
        turnover.left(at(95), one);
        turnover.evaluation(at(100), EvalId(2), job, Trigger::JobScaling);
        assert_eq!(turnover.placed(at(101), job, zero), Some(at(100)), "scaled down and up");
        turnover.evaluation(at(110), EvalId(3), job, Trigger::JobScaling);
        turnover.left(at(120), zero);
        assert_eq!(turnover.placed(at(121), job, zero), None, "lost after another scaling");
    }
}
