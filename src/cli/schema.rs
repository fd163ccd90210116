//! `cossim schema`.

use super::Exit;
use super::args::SchemaOf;
use super::output::Output;
use crate::scenario::schema::Scenario;

pub(super) fn execute(of: SchemaOf, output: &mut Output) -> Exit {
    match of {
        SchemaOf::Scenario => {
            let schema = schemars::schema_for!(Scenario);
            let text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
            output.data(&format!("{text}\n"));
        }
        SchemaOf::Summary => output.data(SUMMARY),
    }
    Exit::Fine
}

/// The schema of `summary.json`, version 1.
pub(super) const SUMMARY: &str = include_str!("summary.schema.json");
