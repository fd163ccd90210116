//! Summaries of finished runs, read back.
//!
//! What is wrong with a file is told apart: nothing there, damaged, another tool's, of another format, of another
//! cossim. Only then are its fields looked at; the first one that is not as it should be is named by its path.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IgnoredAny};

use super::checksums::{self, Checksums, Difference};
use super::{SCHEMA, Summary};
use crate::analysis::compare::decisions::FILE as PLACEMENTS;
use crate::analysis::judge::Judgement;

/// Name of the file in a report folder.
pub const FILE: &str = "summary.json";

/// A report that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{}` {flaw}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a summary.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It is not there, or cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is not JSON.
    #[error("is damaged: {reason}")]
    Damaged {
        /// What and where, as the parser says.
        reason: String,
    },
    /// It is JSON, but not of cossim.
    #[error("was not written by cossim: it has no `{missing}`")]
    Foreign {
        /// What every summary has.
        missing: &'static str,
    },
    /// It has another format.
    #[error("has format {found}, and this cossim reads format {known}")]
    Schema {
        /// Its format.
        found: u64,
        /// The format that can be read.
        known: u32,
    },
    /// Another cossim wrote it, which may come to other results.
    #[error("was written by cossim {found}, and this is cossim {}", env!("CARGO_PKG_VERSION"))]
    Version {
        /// Who wrote it.
        found: String,
    },
    /// Somebody changed it.
    #[error("is not what its run wrote: {0}")]
    Edited(Difference),
    /// A field is missing or not what it should be.
    #[error("is damaged: `{field}`: {reason}")]
    Field {
        /// As `runs[3].metrics`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Flaw {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "name the folder of a finished run; `cossim run FILE --out DIR` makes one",
            Self::Foreign { .. } => "name a folder that `cossim run` wrote",
            Self::Damaged { .. } | Self::Field { .. } | Self::Edited(_) => {
                "run the scenario again; reports are not meant to be edited"
            }
            Self::Schema { .. } | Self::Version { .. } => "run the scenario again with this cossim",
        }
    }
}

/// Whose files are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Those of this version of cossim.
    This,
    /// Those of every version, as long as the format is this one's.
    Any,
}

/// The summary in a report folder. It has to be what its run wrote, and the placements beside it as well.
pub fn read(folder: &Path, writer: Writer) -> Result<Summary, ReadError> {
    let summary = unchecked(folder, writer)?;
    let path = folder.join(checksums::FILE);
    // Another version may know no checksums.
    if summary.cossim != env!("CARGO_PKG_VERSION") && !path.exists() {
        return Ok(summary);
    }
    let sums = file(path, |text| Checksums::parse(text).map_err(|reason| Flaw::Damaged { reason }))?;
    for name in [FILE, PLACEMENTS] {
        let path = folder.join(name);
        // Whoever needs what is not there says so.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        sums.check(name, &bytes).map_err(|difference| ReadError { path, flaw: Flaw::Edited(difference) })?;
    }
    Ok(summary)
}

/// The summary in a report folder, whether or not somebody edited it.
pub fn unchecked(folder: &Path, writer: Writer) -> Result<Summary, ReadError> {
    file(folder.join(FILE), |text| parse(text, writer))
}

/// A summary from its text.
pub fn parse(text: &str, writer: Writer) -> Result<Summary, Flaw> {
    let summary: Summary = typed(text, SCHEMA, writer)?;
    sound(&summary)?;
    Ok(summary)
}

/// What a file holds.
pub(super) fn file<T>(path: PathBuf, parse: impl Fn(&str) -> Result<T, Flaw>) -> Result<T, ReadError> {
    let text = std::fs::read_to_string(&path).map_err(Flaw::Unreadable);
    text.and_then(|text| parse(&text)).map_err(|flaw| ReadError { path, flaw })
}

/// What a text of this format holds.
pub(super) fn typed<T: DeserializeOwned>(text: &str, schema: u32, writer: Writer) -> Result<T, Flaw> {
    let found = head(text, schema)?;
    if writer == Writer::This && found != env!("CARGO_PKG_VERSION") {
        return Err(Flaw::Version { found });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Flaw::Field { field: error.path().to_string(), reason: error.inner().to_string() })
}

/// The version of cossim that wrote a text, if it is a file of cossim's in this format.
fn head(text: &str, schema: u32) -> Result<String, Flaw> {
    let damaged = |error: serde_json::Error| Flaw::Damaged { reason: error.to_string() };
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(damaged)?;
        return Err(Flaw::Foreign { missing: "schema" });
    }
    let head: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).map_err(damaged)?;
    for key in ["schema", "cossim"] {
        if !head.contains_key(key) {
            return Err(Flaw::Foreign { missing: key });
        }
    }
    match head["schema"].as_u64() {
        Some(found) if found == u64::from(schema) => {}
        Some(found) => return Err(Flaw::Schema { found, known: schema }),
        None => return Err(Flaw::Foreign { missing: "schema" }),
    }
    head["cossim"].as_str().map(str::to_owned).ok_or(Flaw::Foreign { missing: "cossim" })
}

/// What the types do not say: there are runs, each seed once, in order, with a digest, and every expectation is judged
/// in each of them.
fn sound(summary: &Summary) -> Result<(), Flaw> {
    let field = |field: String, reason: String| Err(Flaw::Field { field, reason });
    if summary.runs.is_empty() {
        return field("runs".to_owned(), "there are none".to_owned());
    }
    for (index, run) in summary.runs.iter().enumerate() {
        if index > 0 && run.seed <= summary.runs[index - 1].seed {
            let before = summary.runs[index - 1].seed;
            return field(format!("runs[{index}].seed"), format!("{} comes after {before}", run.seed));
        }
        let digest = &run.digest;
        if digest.len() != 16 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return field(format!("runs[{index}].digest"), format!("`{digest}` is not 16 hexadecimal digits"));
        }
        if let Some(place) = run.expectations.iter().position(|one| Judgement::named(&one.verdict).is_none()) {
            let verdict = &run.expectations[place].verdict;
            return field(format!("runs[{index}].expectations[{place}].verdict"), format!("there is no `{verdict}`"));
        }
        let is_judged = |text: &str| run.expectations.iter().any(|one| one.text == text);
        if let Some(lacks) = summary.expectations.iter().find(|one| !is_judged(&one.text)) {
            return field(format!("runs[{index}].expectations"), format!("`{}` is missing", lacks.text));
        }
    }
    match summary.expectations.iter().position(|one| Judgement::named(&one.verdict).is_none()) {
        None => Ok(()),
        Some(place) => {
            let verdict = &summary.expectations[place].verdict;
            field(format!("expectations[{place}].verdict"), format!("there is no `{verdict}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"schema": 1, "cossim": "9.9.9", "scenario": "s", "scenario_digest": "ab", "file": "s.ron",
        "set": [], "passed": true, "across_runs": {}, "cases": [], "expectations": [], "runs": [{"seed": 2,
        "digest": "00000000000000ab", "simulated_s": 1.5, "events": 7, "case": "", "failovers": [], "unplaced": [], "operators_refused": [],
        "expectations": [], "invariants": [], "metrics": {"plan.wait{region=a}": {"unit": "ms", "count": 2, "p50": 0.1}}
        }]}"#;

    #[test]
    fn a_summary_is_read_with_its_figures() {
        let summary = parse(GOOD, Writer::Any).unwrap();
        let metric = &summary.runs[0].metrics["plan.wait{region=a}"];
        assert_eq!((metric.count, metric.figures.len(), &*metric.unit), (Some(2), 1, "ms"));
        assert!((metric.figures["p50"] - 0.1).abs() < 1e-15);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let twice = GOOD.replacen("\"runs\": [", "\"runs\": [{\"seed\": 2, \"digest\": \"00000000000000ab\", \
            \"simulated_s\": 1, \"events\": 7, \"case\": \"\", \"failovers\": [], \"unplaced\": [], \"operators_refused\": [], \"expectations\": [], \
            \"invariants\": [], \"metrics\": {}}, ", 1);
        let expected = |overall: &str, verdict: &str| {
            let counts = "\"passed\": 1, \"failed\": 0, \"not_exercised\": 0";
            let overall = format!("[{{\"text\": \"x\", \"verdict\": \"{overall}\", {counts}}}], \"runs\"");
            let of_run =
                format!("[{{\"text\": \"x\", \"observed\": \"1\", \"verdict\": \"{verdict}\"}}], \"invariants\"");
            let text = GOOD.replacen("[], \"runs\"", &overall, 1);
            text.replacen("[], \"invariants\"", &of_run, 1)
        };
        assert!(parse(&expected("pass", "not exercised"), Writer::Any).is_ok());
        for (text, expected) in [
            ("", "is damaged: EOF while parsing"),
            (&GOOD[..200], "is damaged: EOF while parsing"),
            ("[1, 2]", "was not written by cossim: it has no `schema`"),
            (r#"{"total": 3}"#, "was not written by cossim: it has no `schema`"),
            (r#"{"schema": "x", "cossim": "1"}"#, "was not written by cossim"),
            (r#"{"schema": 1}"#, "was not written by cossim: it has no `cossim`"),
            (r#"{"schema": 7, "cossim": "1.0.0"}"#, "has format 7, and this cossim reads format 1"),
            (&GOOD.replace("\"seed\": 2", "\"seed\": \"two\""), "is damaged: `runs[0].seed`: invalid type"),
            (&GOOD.replace("\"events\": 7,", ""), "is damaged: `runs[0]`: missing field `events`"),
            (&GOOD.replace("\"count\": 2", "\"count\": -2"), "is damaged: `runs[0].metrics.plan.wait{region=a}"),
            (&GOOD.replace("00ab", "zz"), "`runs[0].digest`: `000000000000zz` is not 16 hexadecimal digits"),
            (&twice, "`runs[1].seed`: 2 comes after 2"),
            (&expected("passed", "pass"), "`expectations[0].verdict`: there is no `passed`"),
            (&expected("pass", "Pass"), "`runs[0].expectations[0].verdict`: there is no `Pass`"),
            (
                &expected("pass", "pass").replacen("\"text\": \"x\"", "\"text\": \"y\"", 1),
                "`runs[0].expectations`: `y` is missing",
            ),
        ] {
            let flaw = parse(text, Writer::Any).unwrap_err();
            assert!(flaw.to_string().contains(expected), "{flaw}");
            assert!(!flaw.hint().is_empty());
        }
    }

    #[test]
    fn another_version_is_refused_unless_it_is_asked_for() {
        let folder = std::env::temp_dir().join(format!("cossim-summary-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), GOOD).unwrap();
        let error = read(&folder, Writer::This).unwrap_err().to_string();
        assert!(error.contains("was written by cossim 9.9.9, and this is cossim"), "{error}");
        assert_eq!(read(&folder, Writer::Any).unwrap().scenario, "s");
        std::fs::write(folder.join(checksums::FILE), "0000000000000001  summary.json\n").unwrap();
        assert!(matches!(read(&folder, Writer::Any).unwrap_err().flaw, Flaw::Edited(Difference::Changed)));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(read(&folder, Writer::This).unwrap_err().flaw, Flaw::Unreadable(_)));
    }

    #[test]
    fn a_result_that_was_edited_is_refused() {
        let folder = std::env::temp_dir().join(format!("cossim-sums-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let here = GOOD.replace("9.9.9", env!("CARGO_PKG_VERSION"));
        let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let flaw = || read(&folder, Writer::This).map_err(|error| error.to_string());
        put(FILE, &here);
        assert!(flaw().unwrap_err().contains("checksums.txt` cannot be read"));
        let sum = |text: &str| xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        let sums = Checksums([(FILE.to_owned(), sum(&here)), (PLACEMENTS.to_owned(), sum("seed\n"))].into());
        put(checksums::FILE, &sums.text());
        assert!(flaw().is_ok(), "who needs the placements says that they are missing");
        put(PLACEMENTS, "seed\n1\n");
        assert!(flaw().unwrap_err().contains("placements.csv` is not what its run wrote: its checksum is another"));
        put(PLACEMENTS, "seed\n");
        assert!(flaw().is_ok());
        put(FILE, &here.replace("\"passed\": true", "\"passed\": false"));
        assert!(flaw().unwrap_err().contains("summary.json` is not what its run wrote"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
