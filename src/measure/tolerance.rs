//! What a comparison of two results lets pass: how far a figure may move before it counts.

use std::fmt;

use crate::measure::catalogue::{self, Kind, Worse};

/// Tolerances of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerances {
    /// Changes up to this share of the base are noise, unless an entry says otherwise. Default 0.01.
    pub noise: f64,
    /// Chance of even one false alarm in the whole comparison. Default 0.05.
    pub level: f64,
    /// Single metrics; a later entry that matches goes before an earlier one.
    pub entries: Vec<Tolerance>,
}

/// The tolerance of some metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerance {
    /// Name of the metric.
    pub metric: String,
    /// Labels it must have; others may be there.
    pub labels: Vec<(String, String)>,
    /// Only this statistic; `None` is all that are compared. One that is not compared otherwise is, by this.
    pub statistic: Option<&'static str>,
    /// How far it may move.
    pub limit: Limit,
}

/// How far a figure may move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// By the larger of these.
    Up {
        /// Share of the base, or of what shares lack of all if that is less.
        relative: f64,
        /// In the unit of the metric.
        absolute: f64,
    },
    /// It is not compared.
    Ignored,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self { noise: 0.01, level: 0.05, entries: Vec::new() }
    }
}

/// The figures of a kind of metric that are compared: few, because each further one costs all others some power.
pub const fn compared(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Times => &["p50", "p99"],
        Kind::Level => &["mean"],
        Kind::Total => &["total"],
        Kind::Share => &["value"],
    }
}

impl Tolerances {
    /// The statistics of a metric that are compared, in order.
    pub fn statistics(&self, key: &str, kind: Kind) -> Vec<&'static str> {
        let mut statistics = compared(kind).to_vec();
        for named in self.entries.iter().filter(|entry| entry.is_about(key)).filter_map(|entry| entry.statistic) {
            if !statistics.contains(&named) {
                statistics.push(named);
            }
        }
        statistics
    }

    /// Whether no figure of this metric is compared: only then may it vanish.
    pub fn ignores(&self, key: &str) -> bool {
        let known = catalogue::of_key(key);
        let statistics = self.statistics(key, known.map_or(Kind::Times, |metric| metric.kind));
        statistics.iter().all(|statistic| matches!(self.limit(key, statistic), Limit::Ignored))
    }

    /// How far this figure may move.
    pub fn limit(&self, key: &str, statistic: &str) -> Limit {
        let matching = |entry: &&Tolerance| entry.is_about(key) && entry.statistic.is_none_or(|own| own == statistic);
        let found = self.entries.iter().rev().find(matching).map(|entry| entry.limit);
        found.unwrap_or(Limit::Up { relative: self.noise, absolute: 0.0 })
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.metric)?;
        if !self.labels.is_empty() {
            let labels: Vec<String> = self.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            write!(f, "{{{}}}", labels.join(","))?;
        }
        self.statistic.map_or(Ok(()), |statistic| write!(f, " {statistic}"))
    }
}

impl Tolerance {
    /// Whether it is about this metric, whatever statistic it names.
    pub fn is_about(&self, key: &str) -> bool {
        let (name, labels) = key.split_once('{').unwrap_or((key, ""));
        let labels: Vec<(&str, &str)> =
            labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('=')).collect();
        let has = |(label, value): &(String, String)| labels.contains(&(label.as_str(), value.as_str()));
        name == self.metric && self.labels.iter().all(has)
    }
}

/// What a relative tolerance is taken of: of a share the smaller part, in percent, because 99 % of good answers instead
/// of 100 % are no small difference.
pub fn shared(base: f64, kind: Kind) -> f64 {
    match kind {
        Kind::Share => base.abs().min((100.0 - base).abs()),
        Kind::Times | Kind::Level | Kind::Total => base.abs(),
    }
}

/// Whether a move of `by` in a metric that gets worse this way is for the worse; `None` where neither way is.
pub fn is_worse(by: f64, worse: Worse) -> Option<bool> {
    match worse {
        Worse::More => Some(by > 0.0),
        Worse::Less => Some(by < 0.0),
        Worse::Neither => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(metric: &str, label: Option<(&str, &str)>, statistic: Option<&'static str>, limit: Limit) -> Tolerance {
        let labels = label.into_iter().map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
        Tolerance { metric: metric.to_owned(), labels, statistic, limit }
    }

    #[test]
    fn a_tolerance_of_a_share_is_one_of_its_smaller_part() {
        let near = |base, kind, expected: f64| assert!((shared(base, kind) - expected).abs() < 1e-9);
        near(99.9, Kind::Share, 0.1);
        near(2.0, Kind::Share, 2.0);
        near(100.0, Kind::Share, 0.0);
        near(99.9, Kind::Level, 99.9);
    }

    #[test]
    fn the_last_entry_that_matches_decides() {
        let up = |absolute| Limit::Up { relative: 0.1, absolute };
        let tolerances = Tolerances {
            entries: vec![
                entry("request.latency", None, None, up(1.0)),
                entry("request.latency", Some(("traffic", "users")), Some("p999"), up(2.0)),
                entry("plan.wait", None, None, Limit::Ignored),
            ],
            ..Tolerances::default()
        };
        let users = "request.latency{service=web,traffic=users}";
        assert_eq!(tolerances.statistics(users, Kind::Times), ["p50", "p99", "p999"]);
        assert_eq!(tolerances.limit(users, "p999"), up(2.0));
        assert_eq!(tolerances.limit(users, "p50"), up(1.0));
        assert_eq!(tolerances.limit("request.latency{service=web,traffic=bots}", "p999"), up(1.0));
        assert_eq!(tolerances.limit("plan.wait{region=a}", "p50"), Limit::Ignored);
        assert_eq!(tolerances.limit("plan.rejected", "total"), Limit::Up { relative: 0.01, absolute: 0.0 });
        assert_eq!(tolerances.statistics("plan.wait{region=a}", Kind::Total), ["total"]);
    }

    #[test]
    fn a_metric_is_ignored_if_all_of_its_figures_are() {
        let up = Limit::Up { relative: 0.05, absolute: 0.0 };
        let ignores = |entries: &[(Option<&'static str>, Limit)]| {
            let of = |(statistic, limit): &(_, _)| entry("plan.wait", None, *statistic, *limit);
            let entries = entries.iter().map(of).collect();
            Tolerances { entries, ..Tolerances::default() }.ignores("plan.wait{region=a}")
        };
        let ignored = Limit::Ignored;
        assert!(ignores(&[(None, ignored)]) && ignores(&[(Some("p50"), ignored), (Some("p99"), ignored)]));
        assert!(!ignores(&[]) && !ignores(&[(None, up)]) && !ignores(&[(Some("p99"), up)]));
        assert!(!ignores(&[(Some("p99"), ignored)]), "the median is compared");
        assert!(!ignores(&[(None, ignored), (Some("p99"), up)]), "the percentile is");
    }
}
