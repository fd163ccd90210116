//! Bounds of objectives: how they are read, and whether values of a metric can be on both sides of them.

use crate::measure::catalogue::Kind;
use crate::measure::catalogue::Metric;
use crate::measure::catalogue::Unit;
use crate::measure::objective::Comparison;
use crate::measure::objective::Objective;
use crate::measure::objective::ObjectiveError;
use crate::measure::objective::Statistic;

/// What a comparison comes to whatever is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foregone {
    /// Every value meets it.
    Always,
    /// No value does.
    Never,
}

impl Objective {
    /// Whether it fails if nothing is measured, and something need not be.
    pub fn asks_for_a_value(&self) -> bool {
        let is_never_without = match self.metric.kind {
            Kind::Level | Kind::Total => true,
            Kind::Times => self.statistic == Statistic::Count,
            Kind::Share => false,
        };
        !self.if_exercised && !is_never_without
    }

    /// Whether it is known beforehand what every value comes to; `None` if that is up to the run.
    pub fn foregone(&self) -> Option<Foregone> {
        let (low, high) = (low(self.metric, self.statistic), high(self.metric, self.statistic));
        let is_above = |bound: f64| high.is_some_and(|high| bound > high);
        let is_at_top = |bound: f64| high.is_some_and(|high| bound >= high);
        let (always, never) = match self.comparison {
            Comparison::Less => (is_above(self.bound), self.bound <= low),
            Comparison::AtMost => (is_at_top(self.bound), self.bound < low),
            Comparison::Greater => (self.bound < low, is_at_top(self.bound)),
            Comparison::AtLeast => (self.bound <= low, is_above(self.bound)),
            Comparison::Equal => (false, self.bound < low || is_above(self.bound)),
            Comparison::NotEqual => (self.bound < low || is_above(self.bound), false),
        };
        match (always, never) {
            (true, _) => Some(Foregone::Always),
            (false, true) => Some(Foregone::Never),
            (false, false) => None,
        }
    }

    /// The values there are, in words.
    pub fn values(&self) -> String {
        let low = self.show(low(self.metric, self.statistic));
        match high(self.metric, self.statistic) {
            Some(high) => format!("its values are from {low} to {}", self.show(high)),
            None => format!("its values are {low} or more"),
        }
    }
}

/// The smallest value that a statistic can have. No metric goes below zero.
fn low(metric: &Metric, statistic: Statistic) -> f64 {
    if metric.name == "placement.skew.zone" && statistic != Statistic::Count { 1.0 } else { 0.0 }
}

/// The largest value that a statistic can have; `None` if there is none.
fn high(metric: &Metric, statistic: Statistic) -> Option<f64> {
    match metric.unit {
        _ if statistic == Statistic::Count => None,
        Unit::Percent => Some(100.0),
        Unit::Ratio if metric.name == "placement.evenness" => Some(1.0),
        _ => None,
    }
}

/// A number and its unit, which may be a word of its own.
pub(super) fn read(metric: &Metric, unit: Option<Unit>, words: &[&str]) -> Result<f64, ObjectiveError> {
    match words {
        [_, others @ ..] if others.iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit() || c == '.')) => {
            Err(ObjectiveError::Trailing { text: others.join(" ") })
        }
        _ => parse(metric.name, unit, &words.concat()),
    }
}

/// Ways to write a value, each with what one of it is worth, the metric's unit first; and an example. A plain number if
/// there is no unit.
pub(super) fn ways(unit: Option<Unit>) -> (&'static [(&'static str, f64)], &'static str) {
    match unit {
        Some(Unit::Milliseconds) => {
            (&[("ms", 1.0), ("us", 1e-3), ("s", 1e3), ("m", 60e3), ("min", 60e3), ("h", 3_600e3)], "1.5s")
        }
        Some(Unit::Percent) => (&[("%", 1.0)], "95%"),
        Some(Unit::Megahertz) => (&[("MHz", 1.0), ("GHz", 1e3)], "500MHz"),
        Some(Unit::Mebibytes) => (&[("MiB", 1.0), ("GiB", 1_024.0)], "512MiB"),
        Some(Unit::Ratio) => (&[("", 1.0)], "1.5"),
        None
        | Some(
            Unit::Allocs
            | Unit::Evals
            | Unit::Nodes
            | Unit::Requests
            | Unit::Retries
            | Unit::Elections
            | Unit::Term
            | Unit::Declarations
            | Unit::Commands,
        ) => (&[("", 1.0)], "0"),
    }
}

/// A value with its unit, in the metric's unit.
fn parse(metric: &'static str, unit: Option<Unit>, text: &str) -> Result<f64, ObjectiveError> {
    let (units, example) = ways(unit);
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let number = text[..digits].replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite());
    let factor = units.iter().find(|(name, _)| *name == &text[digits..]).map(|(_, factor)| *factor);
    let wrong = || ObjectiveError::Bound { metric, text: text.to_owned(), example };
    let bound = number.zip(factor).map(|(number, factor)| number * factor).ok_or_else(wrong)?;
    if unit == Some(Unit::Percent) && bound > 100.0 { Err(wrong()) } else { Ok(bound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_comparison_comes_to_may_be_known_beforehand() {
        for (text, expected) in [
            ("failover.replace < 0s", Err("its values are 0ms or more")),
            ("failover.replace <= 0s", Ok(None)),
            ("failover.replace >= 0s", Ok(Some(Foregone::Always))),
            ("failover.replace > 0s", Ok(None)),
            ("failover.replace count < 0", Err("its values are 0 or more")),
            ("request.success_ratio > 100%", Err("its values are from 0% to 100%")),
            ("request.success_ratio >= 100%", Ok(None)),
            ("request.success_ratio <= 100%", Ok(Some(Foregone::Always))),
            ("request.success_ratio < 100%", Ok(None)),
            ("placement.evenness > 5", Err("its values are from 0 to 1")),
            ("placement.evenness == 5", Err("its values are from 0 to 1")),
            ("placement.evenness != 5", Ok(Some(Foregone::Always))),
            ("placement.skew.zone > 5", Ok(None)),
            ("placement.skew.zone < 1", Err("its values are 1 or more")),
            ("placement.skew.zone == 0.5", Err("its values are 1 or more")),
            ("placement.skew.zone >= 1", Ok(Some(Foregone::Always))),
            ("placement.queued >= 0", Ok(Some(Foregone::Always))),
        ] {
            let found = Objective::parse(text, &[]);
            let found = found.as_ref().map(Objective::foregone).map_err(|error| error.hint().unwrap_or_default());
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        }
    }
}
