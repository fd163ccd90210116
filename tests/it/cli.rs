//! The command line: the real binary, its exit code, its stdout and stderr.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs cossim in the project's folder.
pub(crate) fn cossim(arguments: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_cossim"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("NO_COLOR")
        .output()
        .expect("the binary was built");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("cossim writes UTF-8");
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn check_shows_what_was_understood() {
    let ended = cossim(&["check", "scenarios/node-crash.ron"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "scenario  node-crash
run       10 min, warm-up 120 s, 10 seeds
region    us-east-1 (zones a, b, c): 3 Nomad and 3 Consul servers, 15 clients
job       fabio in us-east-1: system, one per node
job       frontend in us-east-1: service, 24 instances
traffic   users: 100/s to shop.example.com/ in us-east-1
timeline  240.000 s: node-crash 1 random machines of frontend in us-east-1
expect    failover.detect max < 45s
expect    failover.replace max < 60s
expect    placement.queued final == 0
expect    request.success_ratio{traffic=users} >= 95%
"
    );
}

#[test]
fn a_quiet_check_says_nothing_but_mistakes() {
    let ended = cossim(&["check", "--quiet", "scenarios/node-crash.ron"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "", ""));
    let ended = cossim(&["check", "--quiet", "tests/bad-input/duplicates.ron"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("there are two regions"), "{}", ended.stderr);
}

#[test]
fn a_quiet_replay_says_nothing_if_both_runs_are_the_same() {
    let path = std::env::temp_dir().join(format!("cossim-quiet-replay-{}.ron", std::process::id()));
    let text = r#"Scenario(name: "quiet", duration: "20s", regions: [
        Region(name: "r", zones: ["a"], clients: [Clients(datacenter: "apps", count: 1, instance: "m5.large")]),
    ])"#;
    std::fs::write(&path, text).unwrap();
    let file = path.display().to_string();
    let (quiet, loud) = (cossim(&["check", "--quiet", "--replay", &file]), cossim(&["check", "--replay", &file]));
    std::fs::remove_file(&path).unwrap();
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    assert!(loud.code == Some(0) && loud.stdout.contains("replay  seed 1 twice"), "{}", loud.stdout);
}

#[test]
fn copies_of_a_job_are_shown_in_one_line() {
    let ended = cossim(&["check", "scenarios/c1m.ron"]);
    assert_eq!(ended.code, Some(0));
    let jobs: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("job ")).collect();
    let copies = "job       service-1 … service-1000 in us-east-1: 1000 copies, each service, 1000 instances";
    assert_eq!(jobs, [copies]);
}

#[test]
fn check_draws_every_mistake() {
    let ended = cossim(&["check", "tests/bad-input/duplicates.ron"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for part in
        ["there are two regions `us-east-1`\n", "there are two zones `a` in", "  --> tests/bad-input/duplicates.ron:"]
    {
        assert!(ended.stderr.contains(part), "no `{part}` in\n{}", ended.stderr);
    }
    assert!(ended.stderr.contains("\n4 errors, "), "{}", ended.stderr);
}

#[test]
fn a_mistake_in_a_job_file_is_shown_there() {
    let ended = cossim(&["check", "tests/bad-input/invalid-job.ron"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("tests/bad-input/jobs/invalid.nomad.hcl:6:13"), "{}", ended.stderr);
}

#[test]
fn a_value_can_be_set_and_a_mistake_in_it_is_shown() {
    let ended = cossim(&["check", "scenarios/node-crash.ron", "--set", "seeds=1", "--set", "traffic[0].rate=7/s"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.contains("1 seed\n") && ended.stdout.contains("users: 7/s"), "{}", ended.stdout);
    let ended = cossim(&["check", "scenarios/node-crash.ron", "--set", "traffic[0].rate=fast"]);
    assert_eq!(ended.code, Some(2));
    assert_eq!(
        ended.stderr,
        "error[E003]: `fast` does not begin with a number
 --> --set:1:17
  |
1 | traffic[0].rate=fast
  |                 ^^^^
hint: write a number and a unit, as `400/s`

1 error, 0 warnings
"
    );
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [
        &[] as &[&str],
        &["walk"],
        &["check"],
        &["check", "no/such/file.ron"],
        &["check", "."],
        &["run", "x.ron", "--seeds", "0"],
        &["run", "x.ron", "--seed", "1", "--seeds", "2"],
        &["list", "colours"],
        &["completions", "tcsh"],
        &["check", "scenarios/node-crash.ron", "--set", "seeds"],
    ] {
        let ended = cossim(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_data() {
    for arguments in [&["--help"] as &[&str], &["--version"], &["run", "--help"], &["help", "check"]] {
        let ended = cossim(arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!ended.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn tables_are_complete_and_are_json_if_asked() {
    for (table, words) in [
        ("timeline", ["ZoneOutage", "LinkDegrade", "ScaleJob"]),
        ("metrics", ["placement.queued", "failover.leader", "request.success_ratio"]),
        ("presets", ["aws", "lan", "gp3"]),
        ("instances", ["t3.medium", "m5.large", "c5.large"]),
    ] {
        let ended = cossim(&["list", table]);
        assert_eq!(ended.code, Some(0));
        for word in words {
            assert!(ended.stdout.contains(word), "{word}: {}", ended.stdout);
        }
        let ended = cossim(&["list", table, "--json"]);
        let value: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(value.is_array() || value.is_object());
    }
}

#[test]
fn schemas_are_json() {
    for of in ["scenario", "summary"] {
        let ended = cossim(&["schema", of]);
        let value: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert!(value.get("properties").is_some());
    }
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = cossim(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains("check") && ended.stdout.contains("explain"), "{shell}");
    }
}

#[test]
fn init_writes_a_scenario_that_passes_and_never_overwrites() {
    let folder = std::env::temp_dir().join(format!("cossim-init-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("first.ron");
    let name = file.to_str().unwrap();
    assert_eq!(cossim(&["init", name]).code, Some(0));
    let ended = cossim(&["check", name]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let ended = cossim(&["init", name]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("exists already"), "{}", ended.stderr);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(cossim(&["init", "-"]).stdout.starts_with("// A scenario to start from"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cossim"))
        .args(["schema", "scenario"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
