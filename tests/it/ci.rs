//! `docs/ci.md`: its workflow files are YAML of the shape the servers ask for, and its commands are cossim's.

use clap::Parser as _;
use cossim::cli::args::Args;
use serde_json::Value;

const MANUAL: &str = include_str!("../../docs/ci.md");

/// The blocks of a language, without their fences.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    MANUAL.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap_or("").to_owned()).collect()
}

/// The words of a shell command; variables and expressions stand for some word.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(if c == '$' { 'x' } else { c }),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn check_command(command: &str) {
    if let Err(error) = Args::try_parse_from(words(command)) {
        panic!("`{command}` in docs/ci.md: {error}");
    }
}

/// The cossim commands of a script.
fn check_script(script: &str) -> usize {
    let commands: Vec<&str> = script.lines().map(str::trim).filter(|line| line.starts_with("cossim ")).collect();
    commands.iter().for_each(|command| check_command(command));
    commands.len()
}

#[test]
fn commands_in_the_text_are_understood() {
    let commands: Vec<&str> = MANUAL.lines().filter_map(|line| line.strip_prefix("    cossim ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands.iter().filter(|command| **command != "compare BASE HEAD") {
        check_command(&format!("cossim {command}"));
    }
    assert!(Args::try_parse_from(words("cossim compare a b --fail-on nothing")).is_err());
    assert!(Args::try_parse_from(words("cossim compare a b --format pdf")).is_err());
}

#[test]
fn workflow_files_are_complete_and_their_commands_are_understood() {
    let files = blocks("yaml");
    assert_eq!(files.len(), 3);
    let (mut github, mut gitlab) = (0, 0);
    for file in files {
        let workflow: Value = serde_saphyr::from_str(&file).unwrap_or_else(|error| panic!("{error}\n{file}"));
        if let Some(jobs) = workflow.get("jobs") {
            github += 1;
            assert!(workflow["name"].is_string() && workflow["on"]["pull_request"].is_object(), "{file}");
            for (name, job) in jobs.as_object().expect("jobs by name") {
                assert!(job["runs-on"].is_string(), "{name}");
                let steps = job["steps"].as_array().expect("steps");
                assert!(steps.iter().all(|step| step["uses"].is_string() != step["run"].is_string()), "{name}");
                let commands = steps.iter().filter_map(|step| step["run"].as_str()).map(check_script).sum::<usize>();
                assert!(commands >= 2, "{name}");
            }
        } else {
            gitlab += 1;
            let job = &workflow["compare"];
            let stage = job["stage"].as_str().expect("a stage");
            assert!(workflow["stages"].as_array().expect("stages").iter().any(|known| known == stage));
            assert!(job["artifacts"]["reports"]["junit"].is_string() && job["image"].is_string());
            let script = job["script"].as_array().expect("a script");
            let lines = script.iter().map(|line| line.as_str().expect("a line of text"));
            assert_eq!(lines.map(check_script).sum::<usize>(), 2);
        }
    }
    assert_eq!((github, gitlab), (2, 1));
}

#[test]
fn the_example_of_tolerances_is_understood() {
    let text = blocks("ron").remove(0);
    let path = std::env::temp_dir().join(format!("cossim-tolerances-{}.ron", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let tolerances = cossim::scenario::tolerances::load(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(tolerances.unwrap().entries.len(), 4);
}
