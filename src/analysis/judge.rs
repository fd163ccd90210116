//! Judges runs by what the scenario expects.
//!
//! Several series that match an expectation are taken together: times are pooled, totals added, shares pooled. Levels
//! are not: each must hold the expectation, and the one that is furthest from holding it is reported.
//!
//! An expectation without data is *not exercised*: no sample, no request, no series with these labels, or a window that
//! begins after the end of the run. A wait that had not ended with the run is data, though it is no sample: a leader
//! that was never elected is later than any bound. A count is data even if it is zero, and so are totals and levels. A
//! run that does not exercise an expectation counts as failed, or is left out if it says `if exercised`; of the others
//! as many must hold as it says.

use crate::measure::distribution::Distribution;
use crate::measure::metric::Key;
use crate::measure::metric::Metrics;
use crate::measure::metric::Value;
use crate::measure::objective::Comparison;
use crate::measure::objective::Objective;
use crate::measure::objective::Statistic;
use crate::measure::objective::Window;
use crate::measure::outcome::Outcome;
use crate::scenario::lower::Expectation;
use crate::scenario::lower::GroupBy;

/// What is shown for an expectation without data.
pub const NO_DATA: &str = "no data";
/// What is shown when the statistic falls on a wait that had not ended with the run.
pub const NEVER: &str = "never";

/// The parts of a run that these expectations look at, each once, without the whole.
pub fn windows<'e>(expectations: impl IntoIterator<Item = &'e Expectation>) -> Vec<Window> {
    let mut windows: Vec<Window> = expectations.into_iter().map(|expectation| expectation.objective.window).collect();
    windows.retain(|window| *window != Window::Whole);
    windows.sort_unstable();
    windows.dedup();
    windows
}

/// How an expectation fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It held.
    Pass,
    /// It did not.
    Fail,
    /// There was nothing to judge.
    NotExercised,
}

impl Judgement {
    /// As in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotExercised => "not exercised",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::NotExercised].into_iter().find(|judgement| judgement.name() == name)
    }
}

/// An expectation, per run and over all.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// As written.
    pub text: String,
    /// What was observed in each run (with its unit), and how that run fared.
    pub runs: Vec<(String, Judgement)>,
    /// Whether the expectation holds for the ensemble; not exercised counts as held only if it says `if exercised`.
    pub overall: Judgement,
    /// Whether the build fails on it.
    pub met: bool,
    /// The place of the run that is furthest from holding it, or nearest to failing it; `None` if nothing was observed.
    pub nearest: Option<usize>,
}

/// Judges all runs, which must have been watched through [`windows`].
pub fn judge(expectations: &[Expectation], runs: &[Outcome]) -> Vec<Verdict> {
    expectations.iter().map(|expectation| verdict(&expectation.text, &expectation.objective, runs)).collect()
}

fn verdict(text: &str, objective: &Objective, runs: &[Outcome]) -> Verdict {
    let slack_of = |(place, run): (usize, &Outcome)| Some((slack(objective, observed(objective, run)?), place));
    let nearest = runs.iter().enumerate().filter_map(slack_of).min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let nearest = nearest.map(|(_, place)| place);
    let runs: Vec<(String, Judgement)> = runs.iter().map(|run| seen(objective, run)).collect();
    let judgements: Vec<Judgement> = runs.iter().map(|(_, judgement)| *judgement).collect();
    let (overall, met) = over_runs(objective, &judgements);
    Verdict { text: text.to_owned(), runs, overall, met, nearest }
}

/// How an expectation fares over several runs, and whether it is met.
pub fn over_runs(objective: &Objective, runs: &[Judgement]) -> (Judgement, bool) {
    over_seeds((objective.quorum, objective.if_exercised), runs)
}

/// The same of one that asks this of the seeds: the share of them that must hold it, and whether it holds without data.
pub fn over_seeds((quorum, if_exercised): (f64, bool), runs: &[Judgement]) -> (Judgement, bool) {
    let count = |wanted: Judgement| runs.iter().filter(|judgement| **judgement == wanted).count();
    let (passed, idle) = (count(Judgement::Pass), count(Judgement::NotExercised));
    let counted = if if_exercised { runs.len() - idle } else { runs.len() };
    // A share of whole seeds, so that a rounding error cannot decide.
    let holds = passed as f64 + 1e-9 >= quorum * counted as f64;
    let overall = match (passed, holds) {
        _ if idle == runs.len() => Judgement::NotExercised,
        (_, true) => Judgement::Pass,
        (_, false) if count(Judgement::Fail) == 0 => Judgement::NotExercised,
        (_, false) => Judgement::Fail,
    };
    let met = match overall {
        Judgement::Pass => true,
        Judgement::Fail => false,
        Judgement::NotExercised => if_exercised,
    };
    (overall, met)
}

/// The case of each run, by what the scenario says tells them apart.
pub fn cases(by: &GroupBy, runs: &[Outcome]) -> Vec<String> {
    let case = |run: &Outcome| {
        let leaders = by.leaders.then(|| run.case()).filter(|case| !case.is_empty());
        let facts = by.facts.iter().map(|fact| match seen(&fact.objective, run).1 {
            Judgement::Pass => fact.text.to_string(),
            Judgement::Fail => format!("not {}", fact.text),
            Judgement::NotExercised => format!("no data for {}", fact.text),
        });
        leaders.into_iter().chain(facts).collect::<Vec<String>>().join("; ")
    };
    runs.iter().map(case).collect()
}

/// What an objective is about in a run, in the unit of its metric; infinite if it falls on a wait that had not ended,
/// and `None` if the run does not exercise it.
pub fn observed(objective: &Objective, run: &Outcome) -> Option<f64> {
    let metrics = match objective.window {
        Window::Whole => Some(&run.metrics),
        window => run.windows.get(&window),
    };
    metrics.and_then(|metrics| observe(objective, metrics))
}

/// Whether what a run came to meets the objective.
pub fn judgement(objective: &Objective, observed: Option<f64>) -> Judgement {
    match observed {
        None => Judgement::NotExercised,
        Some(observed) if objective.comparison.holds(observed, objective.bound) => Judgement::Pass,
        Some(_) => Judgement::Fail,
    }
}

/// What was seen of an objective in one run, and how the run fared.
pub fn seen(objective: &Objective, run: &Outcome) -> (String, Judgement) {
    let observed = observed(objective, run);
    let shown = match observed {
        None => NO_DATA.to_owned(),
        Some(observed) if observed.is_finite() => objective.show(observed),
        Some(_) => NEVER.to_owned(),
    };
    (shown, judgement(objective, observed))
}

/// The one number an objective is about; `None` if there is no data.
fn observe(objective: &Objective, metrics: &Metrics) -> Option<f64> {
    let has = |key: &Key| {
        objective.labels.iter().all(|(label, value)| key.labels.get(label).is_some_and(|known| known == value))
    };
    let matching: Vec<&Value> = metrics
        .0
        .iter()
        .filter(|(key, _)| key.name == objective.metric.name && has(key))
        .map(|(_, value)| value)
        .collect();
    if let Some(Value::Level { .. }) = matching.first() {
        let levels = matching.iter().filter_map(|value| figure(value, objective.statistic));
        return levels.min_by(|a, b| slack(objective, *a).total_cmp(&slack(objective, *b)));
    }
    let pooled = pool(&matching)?;
    if objective.statistic == Statistic::Count {
        return pooled.samples().map(|count| count as f64);
    }
    match &pooled {
        Value::Times(times) if times.unended() > 0 => Some(among_unended(times, objective.statistic)),
        _ => figure(&pooled, objective.statistic),
    }
}

/// A statistic of waits some of which had not ended with the run: they count as longer than any that had.
fn among_unended(times: &Distribution, statistic: Statistic) -> f64 {
    let share = match statistic {
        Statistic::Min => 0.0,
        Statistic::P50 => 0.5,
        Statistic::P90 => 0.9,
        Statistic::P99 => 0.99,
        Statistic::P999 => 0.999,
        _ => 1.0,
    };
    // Even a mean falls on the one that never ended.
    times.quantile_of_all(share).map_or(f64::INFINITY, |nanos| nanos / 1e6)
}

fn figure(value: &Value, statistic: Statistic) -> Option<f64> {
    value.figures().into_iter().find(|(name, _)| *name == statistic.name()).map(|(_, figure)| figure)
}

/// How far within its bound a figure is; negative if it is outside.
fn slack(objective: &Objective, figure: f64) -> f64 {
    let above = figure - objective.bound;
    match objective.comparison {
        Comparison::Less | Comparison::AtMost => -above,
        Comparison::Greater | Comparison::AtLeast => above,
        Comparison::Equal => -above.abs(),
        Comparison::NotEqual => above.abs(),
    }
}

/// Times, totals or shares as one; `None` for nothing at all. A metric is of one kind.
fn pool(values: &[&Value]) -> Option<Value> {
    let mut pooled = (*values.first()?).clone();
    for value in &values[1..] {
        match (&mut pooled, value) {
            (Value::Times(all), Value::Times(more)) => Distribution::merge(all, more),
            (Value::Total { count, .. }, Value::Total { count: more, .. }) => *count += more,
            (Value::Share { part, whole }, Value::Share { part: more, whole: all }) => {
                *part += more;
                *whole += all;
            }
            (Value::Times(_) | Value::Total { .. } | Value::Share { .. } | Value::Level { .. }, _) => {
                unreachable!("series of one metric are of one kind, and levels are not pooled")
            }
        }
    }
    Some(pooled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::measure::gauge::Gauge;
    use crate::measure::objective::Named;
    use crate::scenario::diagnostic::{Place, SourceId};

    fn run(seed: u64, metrics: Vec<(&str, &str, Value)>) -> Outcome {
        let mut all = Metrics::default();
        metrics.into_iter().for_each(|(name, region, value)| all.put(name, &[("region", region)], value));
        Outcome { metrics: all, ..Outcome::empty(seed) }
    }

    fn times(millis: &[u64]) -> Value {
        let mut times = Distribution::new();
        millis.iter().for_each(|at| times.record(at * 1_000_000));
        Value::Times(times)
    }

    fn level(value: f64) -> Value {
        Value::Level { unit: "allocs", summary: Gauge::new(value, Time::ZERO).finish(Time::from_nanos(1)) }
    }

    fn share(part: u64, whole: u64) -> Value {
        Value::Share { part, whole }
    }

    fn judged(text: &str, runs: &[Outcome]) -> Verdict {
        verdict(text, &Objective::parse(text, &Named::in_order(&["crash", "scale"])).unwrap(), runs)
    }

    #[test]
    fn series_are_pooled_added_or_each_held_to_it() {
        let rejected = |count| Value::Total { unit: "nodes", count };
        let run = run(
            1,
            vec![
                ("plan.wait", "eu", times(&[1, 2, 3])),
                ("plan.wait", "us", times(&[10])),
                ("plan.rejected", "eu", rejected(2)),
                ("plan.rejected", "us", rejected(3)),
                ("plan.rejection_ratio", "eu", share(1, 100)),
                ("plan.rejection_ratio", "us", share(0, 0)),
                ("placement.queued", "eu", level(0.0)),
                ("placement.queued", "us", level(7.0)),
                ("failover.replace", "eu", times(&[])),
            ],
        );
        for (text, observed, judgement) in [
            ("plan.wait max <= 10ms", "10ms", Judgement::Pass),
            ("plan.wait count == 4", "4", Judgement::Pass),
            ("plan.wait{region=eu} max < 3ms", "3ms", Judgement::Fail),
            ("plan.rejected == 5", "5", Judgement::Pass),
            ("plan.rejection_ratio <= 1%", "1%", Judgement::Pass),
            ("plan.rejection_ratio{region=us} <= 1%", NO_DATA, Judgement::NotExercised),
            ("placement.queued == 0", "7", Judgement::Fail),
            ("placement.queued >= 0", "0", Judgement::Pass),
            ("placement.queued != 7", "7", Judgement::Fail),
            ("placement.queued{region=mars} == 0", NO_DATA, Judgement::NotExercised),
            ("failover.replace max < 1s", NO_DATA, Judgement::NotExercised),
            ("failover.replace count == 0", "0", Judgement::Pass),
        ] {
            let verdict = judged(text, std::slice::from_ref(&run));
            assert_eq!(verdict.runs, [(observed.to_owned(), judgement)], "{text}");
        }
    }

    #[test]
    fn a_quorum_of_seeds_must_hold_it_and_idle_seeds_count_as_it_says() {
        let with = |values: &[&[u64]]| -> Vec<Outcome> {
            (0..).zip(values).map(|(seed, values)| run(seed, vec![("failover.leader", "eu", times(values))])).collect()
        };
        let (good, bad, none): (&[u64], &[u64], &[u64]) = (&[1], &[9], &[]);
        let exercised = "failover.leader max < 5ms if exercised";
        let three_quarters = "failover.leader max < 5ms in 75% of seeds";
        for (text, values, overall, met) in [
            ("failover.leader max < 5ms", vec![good, good], Judgement::Pass, true),
            ("failover.leader max < 5ms", vec![good, bad], Judgement::Fail, false),
            ("failover.leader max < 5ms", vec![good, none], Judgement::NotExercised, false),
            ("failover.leader max < 5ms", vec![bad, none], Judgement::Fail, false),
            (exercised, vec![good, none], Judgement::Pass, true),
            (exercised, vec![bad, none], Judgement::Fail, false),
            (exercised, vec![none, none], Judgement::NotExercised, true),
            (three_quarters, vec![good, good, good, bad], Judgement::Pass, true),
            (three_quarters, vec![good, good, good, none], Judgement::Pass, true),
            (three_quarters, vec![good, good, bad, bad], Judgement::Fail, false),
        ] {
            let verdict = judged(text, &with(&values));
            assert_eq!((verdict.overall, verdict.met), (overall, met), "{text} {values:?}");
        }
    }

    #[test]
    fn a_wait_without_end_is_longer_than_any_bound() {
        let mut waits = Distribution::new();
        [1, 2, 3].iter().for_each(|at| waits.record(at * 1_000_000));
        waits.record_unended();
        let mut only = Distribution::new();
        only.record_unended();
        let run = run(
            1,
            vec![("failover.replace", "eu", Value::Times(waits)), ("failover.replace", "us", Value::Times(only))],
        );
        for (text, observed, judgement) in [
            ("failover.replace{region=eu} max < 1h", NEVER, Judgement::Fail),
            ("failover.replace{region=eu} mean < 1h", NEVER, Judgement::Fail),
            ("failover.replace{region=eu} max > 1h", NEVER, Judgement::Pass),
            ("failover.replace{region=eu} p50 <= 2ms", "2ms", Judgement::Pass),
            ("failover.replace{region=eu} p90 <= 1h", NEVER, Judgement::Fail),
            ("failover.replace{region=eu} count == 3", "3", Judgement::Pass),
            ("failover.replace{region=us} min < 1h if exercised", NEVER, Judgement::Fail),
            ("failover.replace p50 <= 3ms", "3ms", Judgement::Pass),
        ] {
            let verdict = judged(text, std::slice::from_ref(&run));
            assert_eq!(verdict.runs, [(observed.to_owned(), judgement)], "{text}");
        }
    }

    #[test]
    fn cases_are_told_apart_by_what_holds_in_a_run() {
        let place = Place { source: SourceId(0), span: 0..0 };
        let text = "failover.leader max > 5ms";
        let fact = Expectation { text: text.into(), objective: Objective::parse(text, &[]).unwrap(), place };
        let with = |values| run(1, vec![("failover.leader", "eu", times(values))]);
        let by = GroupBy { leaders: true, facts: vec![fact] };
        let cases = cases(&by, &[with(&[9]), with(&[1]), with(&[])]);
        assert_eq!(cases, [text, "not failover.leader max > 5ms", "no data for failover.leader max > 5ms"]);
    }

    #[test]
    fn a_window_looks_at_its_own_metrics() {
        let mut run = run(1, vec![("placement.queued", "eu", level(9.0))]);
        let text = "placement.queued max during crash == 2";
        assert_eq!(judged(text, std::slice::from_ref(&run)).overall, Judgement::NotExercised);
        let mut inside = Metrics::default();
        inside.put("placement.queued", &[("region", "eu")], level(2.0));
        let objective = Objective::parse(text, &Named::in_order(&["crash"])).unwrap();
        run.windows.insert(objective.window, inside);
        assert_eq!(judged(text, &[run]).overall, Judgement::Pass);
    }
}
