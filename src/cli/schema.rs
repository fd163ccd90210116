//! `cossim schema`.

use super::Exit;
use super::args::SchemaOf;
use super::output::Output;
use crate::analysis::summary::Summary;
use crate::scenario::schema::Scenario;

pub(super) fn execute(of: SchemaOf, output: &mut Output) -> Exit {
    match of {
        SchemaOf::Scenario => output.data(&pretty(&schemars::schema_for!(Scenario))),
        SchemaOf::Summary => output.data(&pretty(&schemars::schema_for!(Summary))),
    }
    Exit::Fine
}

fn pretty(schema: &schemars::Schema) -> String {
    let text = serde_json::to_string_pretty(schema).expect("a schema is plain JSON");
    format!("{text}\n")
}
