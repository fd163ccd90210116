//! Metrics by name and labels, as every output shows them.

use std::fmt;

use crate::base::ordered::OrdMap;
use crate::measure::distribution::Distribution;
use crate::measure::gauge::GaugeSummary;

/// A name and its labels, ordered by label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// As `failover.leader`.
    pub name: String,
    /// As `region=us-east-1`.
    pub labels: OrdMap<String, String>,
}

impl Key {
    /// A key; `labels` in any order.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            labels: labels.iter().map(|&(label, value)| (label.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (position, (label, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{label}={value}", if position == 0 { '{' } else { ',' })?;
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Samples of time, in nanoseconds; shown in milliseconds.
    Times(Distribution),
    /// A level over time.
    Level {
        /// Its unit.
        unit: &'static str,
        /// Over the run.
        summary: GaugeSummary,
    },
    /// A number of occurrences.
    Total {
        /// What was counted.
        unit: &'static str,
        /// How many.
        count: u64,
    },
    /// A share of occurrences, shown in percent.
    Share {
        /// Those that qualify.
        part: u64,
        /// All.
        whole: u64,
    },
}

impl Value {
    /// The unit its figures are shown in.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Times(_) => "ms",
            Self::Level { unit, .. } | Self::Total { unit, .. } => unit,
            Self::Share { .. } => "%",
        }
    }

    /// Number of samples behind it; `None` for levels, which hold at every instant.
    pub fn samples(&self) -> Option<u64> {
        match self {
            Self::Times(distribution) => Some(distribution.count()),
            Self::Level { .. } => None,
            Self::Total { count, .. } => Some(*count),
            Self::Share { whole, .. } => Some(*whole),
        }
    }

    /// Waits that had not ended with the run; `None` if there are none.
    pub fn unended(&self) -> Option<u64> {
        match self {
            Self::Times(distribution) => Some(distribution.unended()).filter(|unended| *unended > 0),
            Self::Level { .. } | Self::Total { .. } | Self::Share { .. } => None,
        }
    }

    /// The figures by statistic name, in the order they are shown; empty without samples. Of times, those that fall on
    /// a wait that had not ended are left out: they are longer than any that had.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Times(d) => {
                let ended = d.unended() == 0;
                let at = |q: f64| d.quantile_of_all(q);
                let figures = [
                    ("min", d.min().map(|min| min as f64)),
                    ("mean", Some(d.mean()).filter(|_| ended && d.count() > 0)),
                    ("p50", at(0.5)),
                    ("p90", at(0.9)),
                    ("p99", at(0.99)),
                    ("p999", at(0.999)),
                    ("max", at(1.0)),
                ];
                figures.into_iter().filter_map(|(name, nanos)| Some((name, nanos? / 1e6))).collect()
            }
            Self::Level { summary, .. } => {
                vec![("final", summary.last), ("mean", summary.mean), ("min", summary.min), ("max", summary.max)]
            }
            Self::Total { count, .. } => vec![("total", *count as f64)],
            Self::Share { whole: 0, .. } => Vec::new(),
            Self::Share { part, whole } => vec![("value", 100.0 * *part as f64 / *whole as f64)],
        }
    }
}

/// The metrics of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics(pub OrdMap<Key, Value>);

impl Metrics {
    /// Adds a metric. A key is written once.
    pub fn put(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        let previous = self.0.insert(Key::new(name, labels), value);
        assert!(previous.is_none(), "metric `{name}` with labels {labels:?} is written once");
    }

    /// Those of this name whose labels include `labels`.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a OrdMap<String, String>,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.0.iter().filter(move |(key, _)| {
            key.name == name && labels.iter().all(|(label, value)| key.labels.get(label) == Some(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_print_with_sorted_labels_or_none() {
        assert_eq!(
            Key::new("raft.term", &[("system", "nomad"), ("region", "eu")]).to_string(),
            "raft.term{region=eu,system=nomad}"
        );
        assert_eq!(Key::new("placement.queued", &[]).to_string(), "placement.queued");
    }
}
