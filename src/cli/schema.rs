//! `cossim schema`. The schemas are made from the types by the test below and kept beside the documents, so that
//! editors can be pointed at them and the program need not carry what makes them.

use super::Exit;
use super::args::SchemaOf;
use super::output::Output;
use crate::scenario::schema::JSON_SCHEMA;

pub(super) fn execute(of: SchemaOf, output: &mut Output) -> Exit {
    output.data(text(of));
    Exit::Fine
}

fn text(of: SchemaOf) -> &'static str {
    match of {
        SchemaOf::Scenario => JSON_SCHEMA,
        SchemaOf::Comparison => include_str!("../../docs/schema/comparison.json"),
        SchemaOf::Sweep => include_str!("../../docs/schema/sweep.json"),
        SchemaOf::Sensitivity => include_str!("../../docs/schema/sensitivity.json"),
        SchemaOf::Summary => include_str!("../../docs/schema/summary.json"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::ValueEnum;
    use schemars::schema_for;

    use super::*;
    use crate::analysis::summary::Summary;
    use crate::analysis::summary::sensitivity::Sensitivity;
    use crate::report::comparison::json::Document;
    use crate::report::sweep::json::SweepSummary;
    use crate::scenario::schema::Scenario;

    /// `COSSIM_REWRITE=1` writes them anew.
    #[test]
    fn the_schemas_are_those_of_the_types() {
        for of in SchemaOf::value_variants() {
            let made = match of {
                SchemaOf::Scenario => schema_for!(Scenario),
                SchemaOf::Comparison => schema_for!(Document),
                SchemaOf::Sweep => schema_for!(SweepSummary),
                SchemaOf::Sensitivity => schema_for!(Sensitivity),
                SchemaOf::Summary => schema_for!(Summary),
            };
            let name = of.to_possible_value().expect("no schema is hidden").get_name().to_owned();
            if std::env::var_os("COSSIM_REWRITE").is_some() {
                let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
                let text = serde_json::to_string_pretty(&made).expect("a schema is plain JSON") + "\n";
                std::fs::write(place, text).expect("the documents can be written");
            } else {
                // In which order fields are kept depends on the features that other libraries ask for.
                let kept: serde_json::Value = serde_json::from_str(text(*of)).expect("JSON");
                assert!(
                    made.to_value() == kept,
                    "docs/schema/{name}.json is out of date: COSSIM_REWRITE=1 cargo test --lib"
                );
            }
        }
    }
}
