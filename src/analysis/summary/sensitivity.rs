//! What `sensitivity.json` holds: what `cossim sensitivity` found, as plain data that a report of the same scenario can
//! show beside the assumed values it rests on.

use std::cmp::Ordering;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use super::read::{self, Flaw, ReadError, Writer, typed};
use super::rounded;
use crate::analysis::sweep::findings::{self, Findings};
use crate::analysis::sweep::table::Swept;

/// The version of this format; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 2;

/// Name of the file in the folder of a sensitivity analysis, and in a report that shows it.
pub const FILE: &str = "sensitivity.json";

/// An effect of less than this share of the largest one on a measure hardly matters, in percent.
pub const MATTERS: f64 = 100.0 * findings::MATTERS;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sensitivity {
    /// Version of this format.
    pub schema: u32,
    /// Version of cossim.
    pub cossim: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Fingerprint of the scenario after its changes and the files it names, as in `summary.json`.
    pub scenario_digest: String,
    /// The scenario file, as it was named.
    pub file: String,
    /// Changes made to it (`--set`), in order.
    pub set: Vec<String>,
    /// Seeds run at each point.
    pub seeds: Vec<u64>,
    /// Trajectories of the screening.
    pub trajectories: usize,
    /// Rows of the indices; absent if nothing that was varied matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Runs of both stages.
    pub runs: usize,
    /// What was varied.
    pub varied: Vec<Varied>,
    /// What each value does to each measure.
    pub influences: Vec<Influence>,
    /// What it teaches, in sentences.
    pub sentences: Vec<String>,
}

/// A value that was varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Varied {
    /// Its path, as in `--set`.
    pub path: String,
    /// Its values, as in `--vary`.
    pub values: String,
}

/// What one value does to one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Influence {
    /// The value.
    pub path: String,
    /// The measure, as `failover.replace max`.
    pub measure: String,
    /// Unit of the effect.
    pub unit: String,
    /// How often it decides whether the measure ends at all; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Ends>,
    /// Mean absolute effect over the whole range of the value (mu* of Morris); absent if no move of the value has an
    /// end of the measure on both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<f64>,
    /// The same in percent of the largest effect of any value on the measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_largest: Option<f64>,
    /// Total share of the variance of the measure, in percent; absent if the value hardly matters for any measure, the
    /// measure does not vary, or there were too few rows to share its variance out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// 95 % interval of the share; absent with fewer than three rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_ci95: Option<[f64; 2]>,
}

/// How often moves of a value changed whether a measure ends at all: in every seed on one side, not in every seed on
/// the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ends {
    /// Moves that changed it.
    pub turned: usize,
    /// All moves.
    pub moves: usize,
}

impl Influence {
    /// The weaker influence first: those that decide whether the measure ends at all come last, by how often; then by
    /// share of the variance, those without one before all others; then by effect.
    pub fn by_weight(&self, other: &Self) -> Ordering {
        let share = |influence: &Self| influence.share.unwrap_or(-1.0);
        let turned =
            |influence: &Self| influence.ends.map_or(0.0, |ends| ends.turned as f64 / ends.moves.max(1) as f64);
        let effect = |influence: &Self| influence.of_largest.unwrap_or(0.0);
        let ends = turned(self).total_cmp(&turned(other));
        ends.then(share(self).total_cmp(&share(other))).then(effect(self).total_cmp(&effect(other)))
    }
}

/// A sensitivity analysis of something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is of a scenario with digest {found}, and this one has {wanted}")]
pub struct OtherScenario {
    /// Digest of what was analysed.
    pub found: String,
    /// Digest of what it was to be shown beside.
    pub wanted: String,
}

impl Sensitivity {
    /// What came of both stages. `digest` is the scenario's.
    pub fn new(digest: String, screened: (&Swept, &Findings), indices: Option<(&Swept, &Findings)>) -> Self {
        let (swept, findings) = screened;
        let plan = &swept.sweep.plan;
        let values = |text: &String| text.split_once('=').map_or(String::new(), |(_, values)| values.trim().to_owned());
        let varied = swept.sweep.dimensions.iter().zip(&plan.vary);
        let mut sentences = indices.map_or(Vec::new(), |(_, findings)| findings.lessons().to_vec());
        let more = findings.lessons().iter().filter(|sentence| !sentences.contains(sentence)).cloned();
        let more: Vec<String> = more.collect();
        sentences.extend(more);
        Self {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: swept.sweep.name.clone(),
            scenario_digest: digest,
            file: plan.file.clone(),
            set: plan.edits.clone(),
            seeds: plan.seeds.clone(),
            trajectories: plan.design.samples().unwrap_or(0),
            rows: indices.and_then(|(swept, _)| swept.sweep.plan.design.samples()),
            runs: swept.rows.len() + indices.map_or(0, |(swept, _)| swept.rows.len()),
            varied: varied.map(|(of, text)| Varied { path: of.path.clone(), values: values(text) }).collect(),
            influences: influences(screened, indices),
            sentences,
        }
    }

    /// Refuses what is not of this scenario.
    pub fn check(&self, scenario_digest: &str) -> Result<(), OtherScenario> {
        if self.scenario_digest == scenario_digest {
            return Ok(());
        }
        Err(OtherScenario { found: self.scenario_digest.clone(), wanted: scenario_digest.to_owned() })
    }

    /// What the value at a path does to the measure it matters most for; `None` if it was not varied.
    pub fn most(&self, path: &str) -> Option<&Influence> {
        let of_path = self.influences.iter().filter(|influence| influence.path == path);
        of_path.max_by(|a, b| a.by_weight(b))
    }

    /// The file's text, ending in a newline.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a tree of strings and finite numbers");
        text.push('\n');
        text
    }
}

fn influences(screened: (&Swept, &Findings), indices: Option<(&Swept, &Findings)>) -> Vec<Influence> {
    let (swept, findings) = screened;
    let mut out = Vec::new();
    for screening in &findings.screenings {
        let measure = &swept.sweep.readings.measures[screening.measure];
        let size =
            |at: usize| screening.effects[at].filter(|_| !screening.is_luck(at)).map(|effect| effect.mean_absolute);
        let largest = (0..screening.effects.len()).filter_map(size).fold(0.0, f64::max);
        for (at, dimension) in swept.sweep.dimensions.iter().enumerate() {
            let effect = size(at);
            let ends = screening.ends.get(at).filter(|turns| turns.turned > 0);
            if effect.is_none() && ends.is_none() {
                continue;
            }
            let share = indices.and_then(|(swept, findings)| {
                let at = swept.sweep.dimensions.iter().position(|other| other.path == dimension.path)?;
                let name = measure.measured();
                let of = |measure: usize| swept.sweep.readings.measures[measure].measured() == name;
                let shares = findings.shares.iter().find(|shares| of(shares.measure))?;
                shares.total(at)
            });
            let percent = |share: f64| rounded(100.0 * share, "%");
            // Estimated, it can lie a little beyond what can be.
            let possible = |share: f64| percent(share.clamp(0.0, 1.0));
            out.push(Influence {
                path: dimension.path.clone(),
                measure: measure.measured(),
                unit: measure.unit().to_owned(),
                ends: ends.map(|turns| Ends { turned: turns.turned, moves: turns.moves }),
                effect: effect.map(|effect| rounded(effect, measure.unit())),
                of_largest: effect.map(|effect| if largest > 0.0 { percent(effect / largest) } else { 0.0 }),
                share: share.map(|share| possible(share.value)),
                share_ci95: share.and_then(|share| share.interval).map(|(low, high)| [possible(low), possible(high)]),
            });
        }
    }
    out
}

/// The result in the folder of a sensitivity analysis, if this version of cossim wrote it.
pub fn in_folder(folder: &Path) -> Result<Sensitivity, ReadError> {
    read::file(folder.join(FILE), parse)
}

/// A result from its text.
pub fn parse(text: &str) -> Result<Sensitivity, Flaw> {
    typed(text, SCHEMA, Writer::This)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn influence(measure: &str, of_largest: f64, share: Option<f64>) -> Influence {
        let (path, measure) = ("traffic[0].timeout".to_owned(), measure.to_owned());
        let (effect, of_largest) = (Some(5.0), Some(of_largest));
        Influence { path, measure, unit: "ms".to_owned(), ends: None, effect, of_largest, share, share_ci95: None }
    }

    fn sensitivity() -> Sensitivity {
        Sensitivity {
            schema: SCHEMA,
            cossim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: "s".to_owned(),
            scenario_digest: "ab".to_owned(),
            file: "s.ron".to_owned(),
            set: Vec::new(),
            seeds: vec![1],
            trajectories: 4,
            rows: None,
            runs: 8,
            varied: vec![Varied { path: "traffic[0].timeout".to_owned(), values: "2s..60s".to_owned() }],
            influences: vec![influence("a", 3.0, None), influence("b", 90.0, Some(4.0)), influence("c", 95.0, None)],
            sentences: Vec::new(),
        }
    }

    #[test]
    fn a_value_is_told_by_the_measure_it_matters_most_for() {
        let mut found = sensitivity();
        assert_eq!(found.most("traffic[0].timeout").map(|most| &*most.measure), Some("b"), "shares go before effects");
        found.influences[1].share = None;
        assert_eq!(found.most("traffic[0].timeout").map(|most| &*most.measure), Some("c"));
        assert_eq!(found.most("traffic[0].retries"), None);
        found.influences[0].ends = Some(Ends { turned: 1, moves: 4 });
        let most = found.most("traffic[0].timeout").map(|most| &*most.measure);
        assert_eq!(most, Some("a"), "whether it ends at all goes before all else");
    }

    #[test]
    fn what_was_written_is_read_and_another_scenario_or_file_is_refused() {
        let found = sensitivity();
        assert_eq!(parse(&found.text()).unwrap(), found);
        assert!(found.check("ab").is_ok());
        assert!(found.check("cd").unwrap_err().to_string().contains("digest ab, and this one has cd"));
        let of = |from: &str, to: &str| parse(&found.text().replacen(from, to, 1)).unwrap_err();
        assert!(matches!(of("\"schema\": 2", "\"schema\": 7"), Flaw::Schema { found: 7, known: SCHEMA }));
        assert!(matches!(of("\"cossim\": \"", "\"cossim\": \"9"), Flaw::Version { .. }));
        assert!(matches!(of("\"runs\": 8", "\"runs\": true"), Flaw::Field { .. }));
    }
}
