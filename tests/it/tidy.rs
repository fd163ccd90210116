//! The source keeps its own rules: arrows between layers, sizes, leftovers.

use std::fs;
use std::path::{Path, PathBuf};

/// A layer and the layers it may name (`docs/ARCHITECTURE.md`).
const ARROWS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("model", &["base"]),
    ("protocol", &["model", "base"]),
    ("sim", &["base"]),
    ("world", &["protocol", "sim", "model", "base"]),
    ("measure", &["world", "protocol", "model", "base"]),
    ("scenario", &["measure", "world", "protocol", "sim", "model", "base"]),
    ("analysis", &["scenario", "measure", "world", "model", "base"]),
    ("report", &["analysis", "scenario", "measure", "world", "model", "base"]),
    ("cli", &["report", "analysis", "scenario", "measure", "world", "protocol", "sim", "model", "base"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The lines of a file before its tests, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether a file holds tests only, as its name says.
fn is_test_module(path: &Path) -> bool {
    let name = path.file_stem().map_or("", |stem| stem.to_str().unwrap_or(""));
    name.ends_with("_tests") || ["transcripts", "testing", "test_support", "story", "stories"].contains(&name)
}

fn complain(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn layers_name_only_the_layers_below_them() {
    let mut mistakes = Vec::new();
    for (layer, allowed) in ARROWS {
        for path in rust_files(&root().join("src").join(layer)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            for (number, line) in code_lines(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for (other, _) in ARROWS {
                    let named =
                        line.contains(&format!("crate::{other}::")) || line.contains(&format!("cossim::{other}::"));
                    if named && other != layer && !allowed.contains(&other) {
                        mistakes.push(format!("{}:{number}: `{layer}` names `{other}`", path.display()));
                    }
                }
            }
        }
    }
    complain(&mistakes);
}

#[test]
fn only_the_edges_speak_serde_and_only_the_outermost_layers_know_threads_and_the_host() {
    let banned: [(&str, &[&str]); 3] = [
        ("Serialize", &["scenario", "analysis/summary", "report", "cli"]),
        ("rayon::", &["analysis"]),
        ("std::env", &["cli"]),
    ];
    let mut mistakes = Vec::new();
    for (layer, _) in ARROWS {
        for path in rust_files(&root().join("src").join(layer)).into_iter().filter(|path| !is_test_module(path)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let within = |part: &&str| path.starts_with(root().join("src").join(part));
            for (number, line) in code_lines(&text).filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for (word, allowed) in banned {
                    if line.contains(word) && !allowed.iter().any(within) {
                        mistakes.push(format!("{}:{number}: `{layer}` uses `{word}`", path.display()));
                    }
                }
            }
        }
    }
    complain(&mistakes);
}

#[test]
fn files_and_lines_stay_short() {
    let mut mistakes = Vec::new();
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("a source file is text");
        let length = code_lines(&text).count();
        if length > 700 {
            mistakes.push(format!("{}: {length} lines before its tests", path.display()));
        }
        // rustfmt sees to code; what it cannot break is a string or a row of a table.
        let long = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > 120;
        for (index, line) in text.lines().enumerate().filter(|(_, line)| long(line)) {
            mistakes.push(format!("{}:{}: {} columns", path.display(), index + 1, line.chars().count()));
        }
    }
    complain(&mistakes);
}

#[test]
fn nothing_is_left_over() {
    // Spelt in two parts, so that this file does not complain about itself.
    let leftovers = [["to", "do!("], ["unimpl", "emented!("], ["FIX", "ME"], ["dbg", "!("], ["#[ig", "nore"]]
        .map(|[a, b]| format!("{a}{b}"));
    let mut mistakes = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            for (index, line) in text.lines().enumerate() {
                for leftover in leftovers.iter().filter(|leftover| line.contains(leftover.as_str())) {
                    mistakes.push(format!("{}:{}: `{leftover}`", path.display(), index + 1));
                }
            }
        }
    }
    complain(&mistakes);
}
