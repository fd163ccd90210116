//! The file of tolerances: how far figures may move in a comparison before it counts.
//!
//! ```ron
//! Tolerances(
//!     noise: "1%",
//!     metrics: [
//!         Metric(of: "request.latency{service=frontend} p99", relative: "5%", absolute: "2ms"),
//!         Metric(of: "raft.elections", ignore: true),
//!     ],
//! )
//! ```

use std::path::Path;

use serde::Deserialize;

use super::diagnostic::{Diagnostic, Place, SourceId, Sources};
use super::schema::ShareText;
use super::{locate, parse, quantity};
use crate::measure::objective::{Statistic, Subject};
use crate::measure::tolerance::{Limit, Tolerance, Tolerances};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Tolerances")]
struct File {
    /// Changes of any metric up to this share of the base are noise. Default 1 %.
    noise: Option<ShareText>,
    /// Chance of even one false alarm in a comparison. Default 5 %.
    level: Option<ShareText>,
    #[serde(default)]
    metrics: Vec<Metric>,
}

/// How far some figures may move: by the larger of the two, or as far as they like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metric {
    /// As in an expectation: `metric{label=value} statistic`.
    of: String,
    /// Share of the base. Default `noise`, or zero beside `absolute`.
    relative: Option<ShareText>,
    /// In the metric's unit. Default zero.
    absolute: Option<String>,
    /// Not compared at all.
    #[serde(default)]
    ignore: bool,
}

/// Reads a file of tolerances; what is wrong with it, drawn, if it cannot be.
pub fn load(path: &Path) -> Result<Tolerances, String> {
    let name = path.display().to_string();
    let mut sources = Sources::default();
    match parse::read_text(path) {
        Ok(text) => {
            let source = sources.add(&name, &text);
            read(source, &text).map_err(|findings| sources.render(&findings, false))
        }
        Err(reason) => {
            let finding = Diagnostic::error("E001", format!("cannot read tolerances `{name}`: {reason}"))
                .hint("name a file that holds `Tolerances(…)`");
            Err(sources.render(&[finding], false))
        }
    }
}

fn read(source: SourceId, text: &str) -> Result<Tolerances, Vec<Diagnostic>> {
    let file: File = parse::read(source, text).map_err(|finding| vec![*finding])?;
    let mut reading = Reading { source, tree: locate::scan(text), findings: Vec::new() };
    let default = Tolerances::default();
    let noise = reading.share("noise", file.noise.as_ref(), default.noise);
    let level = reading.share("level", file.level.as_ref(), default.level);
    if level <= 0.0 || level >= 0.5 {
        reading.wrong(
            "level",
            "E015",
            "`level` must be above 0% and below 50%",
            Some("leave it out for 5%".to_owned()),
        );
    }
    let metrics = file.metrics.iter().enumerate();
    let entries = metrics.filter_map(|(index, metric)| reading.entry(index, metric, noise)).collect();
    if reading.findings.is_empty() { Ok(Tolerances { noise, level, entries }) } else { Err(reading.findings) }
}

/// A file on its way, and what is wrong with it.
struct Reading {
    source: SourceId,
    tree: Option<locate::Node>,
    findings: Vec<Diagnostic>,
}

impl Reading {
    fn wrong(&mut self, path: &str, code: &'static str, message: impl Into<String>, hint: Option<String>) {
        let span = self.tree.as_ref().map_or(0..0, |tree| tree.find(path));
        let finding = Diagnostic::error(code, message).at(Some(Place { source: self.source, span }));
        self.findings.push(match hint {
            Some(hint) => finding.hint(hint),
            None => finding,
        });
    }

    fn share(&mut self, path: &str, text: Option<&ShareText>, default: f64) -> f64 {
        match text.map(|text| quantity::share(&text.0)) {
            None => default,
            Some(Ok(share)) => share.get(),
            Some(Err(error)) => {
                self.wrong(path, "E003", error.to_string(), Some(error.hint()));
                default
            }
        }
    }

    fn entry(&mut self, index: usize, metric: &Metric, noise: f64) -> Option<Tolerance> {
        let at = |field: &str| format!("metrics[{index}].{field}");
        let subject = match Subject::parse(&metric.of) {
            Ok(subject) => subject,
            Err(error) => {
                self.wrong(&at("of"), "E009", error.to_string(), error.hint());
                return None;
            }
        };
        if subject.statistic == Some(Statistic::Count) {
            let hint = "compare `request.total` for traffic, or leave it out".to_owned();
            self.wrong(&at("of"), "E009", "numbers of samples are not compared", Some(hint));
        }
        if metric.ignore && (metric.absolute.is_some() || metric.relative.is_some()) {
            let hint = "leave `ignore` or the limits out".to_owned();
            self.wrong(&at("ignore"), "E015", "a metric that is ignored has no limits", Some(hint));
        }
        let absolute = metric.absolute.as_ref().map_or(Ok(0.0), |text| subject.value(text)).unwrap_or_else(|error| {
            self.wrong(&at("absolute"), "E009", error.to_string(), error.hint());
            0.0
        });
        let default = if metric.absolute.is_some() { 0.0 } else { noise };
        let relative = self.share(&at("relative"), metric.relative.as_ref(), default);
        let limit = if metric.ignore { Limit::Ignored } else { Limit::Up { relative, absolute } };
        let (name, statistic) = (subject.metric.name.to_owned(), subject.statistic.map(Statistic::name));
        Some(Tolerance { metric: name, labels: subject.labels, statistic, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Tolerances, Vec<Diagnostic>> {
        read(Sources::default().add("t.ron", text), text)
    }

    #[test]
    fn limits_are_read_in_the_units_of_their_metrics() {
        let tolerances = of(r#"Tolerances(noise: "2%", metrics: [
            Metric(of: "request.latency{service=web} p99", relative: "5%", absolute: "1.5s"),
            Metric(of: "failover.detect", absolute: "2s"),
            Metric(of: "placement.queued"),
            Metric(of: "raft.elections", ignore: true),
        ])"#)
        .unwrap();
        let limits: Vec<Limit> = tolerances.entries.iter().map(|entry| entry.limit).collect();
        let up = |relative, absolute| Limit::Up { relative, absolute };
        assert_eq!(limits, [up(0.05, 1_500.0), up(0.0, 2_000.0), up(0.02, 0.0), Limit::Ignored]);
        assert_eq!(tolerances.entries[0].statistic, Some("p99"));
        assert_eq!((tolerances.noise, tolerances.level), (0.02, 0.05));
        assert_eq!(of("Tolerances()").unwrap(), Tolerances::default());
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let findings = of(r#"Tolerances(noise: "2", level: "60%", metrics: [
            Metric(of: "request.latancy p99"),
            Metric(of: "request.latency p98"),
            Metric(of: "request.latency", absolute: "5"),
            Metric(of: "request.latency count"),
            Metric(of: "request.latency", ignore: true, relative: "5%"),
        ])"#)
        .unwrap_err();
        let told: Vec<&str> = findings.iter().map(|finding| &*finding.message).collect();
        assert_eq!(told.len(), 7, "{told:?}");
        assert!(told[2].contains("no metric `request.latancy`") && told[3].contains("no statistic `p98`"), "{told:?}");
        assert!(findings.iter().all(|finding| finding.place.is_some()));
        let unknown = of("Tolerances(nose: \"1%\")").unwrap_err();
        assert!(unknown[0].message.contains("there is no field `nose`"), "{}", unknown[0].message);
    }
}
