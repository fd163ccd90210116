//! `cossim schema`.

use super::Exit;
use super::args::SchemaOf;
use super::output::Output;
use crate::analysis::summary::Summary;
use crate::analysis::summary::sensitivity::Sensitivity;
use crate::report::comparison::json::Document;
use crate::report::sweep::json::SweepSummary;
use crate::scenario::schema::Scenario;

pub(super) fn execute(of: SchemaOf, output: &mut Output) -> Exit {
    match of {
        SchemaOf::Scenario => output.data(&pretty(&schemars::schema_for!(Scenario))),
        SchemaOf::Comparison => output.data(&pretty(&schemars::schema_for!(Document))),
        SchemaOf::Sweep => output.data(&pretty(&schemars::schema_for!(SweepSummary))),
        SchemaOf::Sensitivity => output.data(&pretty(&schemars::schema_for!(Sensitivity))),
        SchemaOf::Summary => output.data(&pretty(&schemars::schema_for!(Summary))),
    }
    Exit::Fine
}

fn pretty(schema: &schemars::Schema) -> String {
    let text = serde_json::to_string_pretty(schema).expect("a schema is plain JSON");
    format!("{text}\n")
}
