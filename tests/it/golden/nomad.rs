//! Recordings of the Nomad 1.1.0 scheduler. A mismatch names the file, the case, both answers and the first step that
//! differs.
#![expect(clippy::unwrap_used, reason = "a recording that cannot be read must stop the test")]

mod build;
mod decide;
mod fits;
mod reconciles;
mod scores;

use std::fmt::Debug;
use std::io::Read as _;

use serde_json::Value;

/// The recording's copies, parsed.
fn load(name: &str) -> Vec<(String, Value)> {
    let parse = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        if path.extension().is_some_and(|extension| extension == "gz") {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(bytes).unwrap();
        }
        (path.display().to_string(), serde_json::from_str(&text).unwrap())
    };
    super::recordings(&format!("nomad/{name}")).into_iter().map(parse).collect()
}

/// The items of a list; none for null.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no integer"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

/// A float, which JSON cannot always say.
fn float(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        Some(other) => panic!("{other} is no number"),
        None => value.as_f64().unwrap_or_else(|| panic!("{value} is no number")),
    }
}

/// Equal up to the last bits.
fn close(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12
}

/// What differs between our answers and the recorded ones.
struct Mismatches {
    file: String,
    cases: usize,
    found: Vec<String>,
}

impl Mismatches {
    fn new(file: &str) -> Self {
        Self { file: file.into(), cases: 0, found: Vec::new() }
    }

    /// Notes a difference; true if there is none.
    fn same<T: PartialEq + Debug>(&mut self, place: &str, ours: &T, recorded: &T) -> bool {
        self.holds(ours == recorded, || format!("{place}: ours {ours:?}, recorded {recorded:?}"))
    }

    fn same_float(&mut self, place: &str, ours: f64, recorded: f64) -> bool {
        self.holds(close(ours, recorded), || format!("{place}: ours {ours}, recorded {recorded}"))
    }

    fn holds(&mut self, holds: bool, message: impl FnOnce() -> String) -> bool {
        if !holds {
            self.found.push(message());
        }
        holds
    }

    fn finish(self) {
        let shown = self.found.len().min(12);
        assert!(
            self.found.is_empty(),
            "{}: {} differences in {} cases:\n{}",
            self.file,
            self.found.len(),
            self.cases,
            self.found[..shown].join("\n")
        );
    }
}
