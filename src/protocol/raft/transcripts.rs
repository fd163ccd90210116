//! Runs the stories in `tests/transcripts/raft`: a script, a line of dashes, everything that happened.
//! `COSSIM_REWRITE=1` writes down what happens now; review the difference.

use std::fs;
use std::path::PathBuf;

use crate::base::time::Duration;
use crate::protocol::raft::Config;
use crate::protocol::raft::PreVote;
use crate::protocol::raft::Timer;
use crate::protocol::raft::testing::Script;
use crate::protocol::raft::testing::Sync;

const RULE: &str = "----\n";

fn play(story: &str) -> String {
    let mut config = Config::default();
    let mut sync = Sync::AtOnce;
    let mut script: Option<Script> = None;
    let mut told = String::new();
    for line in story.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |place: usize| words[place].parse::<u32>().unwrap_or_else(|_| panic!("a number in `{line}`"));
        match (words[0], script.as_mut()) {
            ("prevote", None) => config.pre_vote = if words[1] == "on" { PreVote::On } else { PreVote::Off },
            ("disk", None) => sync = if words[1] == "manual" { Sync::ByHand } else { Sync::AtOnce },
            ("nodes", None) => {
                let names: Vec<u32> = (1..words.len()).map(number).collect();
                script = Some(Script::new(&names, &config, sync));
            }
            ("fire", Some(script)) => script.fire(number(1), timer(words[2])),
            ("deliver", Some(script)) => script.deliver(),
            ("sync", Some(script)) => script.sync(number(1)),
            ("propose", Some(script)) => assert!(script.propose(number(1), number(2).into()), "{line}"),
            ("verify", Some(script)) => assert!(script.verify(number(1)), "{line}"),
            ("transfer", Some(script)) => assert!(script.transfer(number(1), number(2)), "{line}"),
            ("replicate", Some(script)) => script.replicate(number(1)),
            ("crash", Some(script)) => script.crash(number(1)),
            ("restart", Some(script)) => script.restart(number(1)),
            ("isolate", Some(script)) => script.isolate(number(1), true),
            ("rejoin", Some(script)) => script.isolate(number(1), false),
            ("pass", Some(script)) => script.pass(Duration::from_millis(number(1).into())),
            _ => panic!("`{line}` is not understood here"),
        }
        for happened in script.as_mut().map(Script::lines).unwrap_or_default() {
            told.push_str(&happened);
            told.push('\n');
        }
    }
    told
}

fn timer(name: &str) -> Timer {
    match name {
        "Contact" => Timer::Contact,
        "Election" => Timer::Election,
        "Lease" => Timer::Lease,
        "Transfer" => Timer::Transfer,
        "Snapshot" => Timer::Snapshot,
        other => panic!("no timer is called {other}"),
    }
}

#[test]
fn transcripts_are_what_happens() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/raft");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let (story, expected) = text.split_once(RULE).unwrap_or((&text, ""));
        let told = play(story);
        if std::env::var_os("COSSIM_REWRITE").is_some() {
            fs::write(&path, format!("{story}{RULE}{told}")).unwrap();
        } else {
            assert_eq!(told, expected, "{}", path.display());
        }
    }
}
