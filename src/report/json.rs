//! `summary.json`, printed.

use crate::analysis::summary::Summary;

/// The file's text, ending in a newline.
pub fn text(summary: &Summary) -> String {
    let mut text = serde_json::to_string_pretty(summary).expect("a tree of strings and finite numbers");
    text.push('\n');
    text
}
