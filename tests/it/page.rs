//! `report.html`: written by a run, made anew from its folder, and read by a browser where one is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::cossim;

/// A folder for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cossim-page-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch folder can be made");
        Self(path)
    }

    /// A finished run of ten minutes in which a machine is lost.
    fn report(&self) -> PathBuf {
        let folder = self.0.join("node crash");
        let path = folder.to_str().expect("the path is text");
        let ended =
            cossim(&["run", "scenarios/node-crash.ron", "--seeds", "2", "--set", "seeds=3", "--quiet", "--out", path]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn summary(folder: &Path) -> serde_json::Value {
    let text = fs::read(folder.join("summary.json")).expect("a run writes a summary");
    serde_json::from_slice(&text).expect("the summary is JSON")
}

#[test]
fn a_page_made_anew_is_the_one_the_run_wrote() {
    let scratch = Scratch::new("anew");
    let folder = scratch.report();
    let page = folder.join("report.html");
    let first = fs::read(&page).expect("a run writes the page");
    let scenario = fs::read("scenarios/node-crash.ron").expect("the scenario is there");
    assert_eq!(fs::read(folder.join("scenario.ron")).ok(), Some(scenario), "the scenario as it was read");
    fs::write(&page, "gone").expect("the page can be overwritten");
    let ended = cossim(&["report", folder.to_str().expect("the path is text")]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(ended.stdout, format!("{}\n", page.display()));
    assert!(fs::read(&page).ok() == Some(first), "made anew it differs");
    // Nothing else is left, so the folder is still one that a run may replace.
    assert_eq!(fs::read_dir(&scratch.0).expect("it can be listed").count(), 1);
    fs::remove_file(folder.join("placements.csv")).expect("a file can be removed");
    let ended = cossim(&["report", folder.to_str().expect("the path is text")]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("`placements.csv` is missing\nhint: run the scenario again"), "{}", ended.stderr);
}

#[test]
fn what_is_no_report_is_refused_with_a_way_out() {
    let scratch = Scratch::new("foreign");
    let path = scratch.0.to_str().expect("the path is text");
    for (summary, reason) in [
        (None, "`summary.json` is missing"),
        (Some("{\"total\": 3}"), "`summary.json` was not written by cossim"),
        (Some("{\"schema\": 1, \"cossim\""), "`summary.json` is damaged"),
        (Some("{\"schema\": 99, \"cossim\": \"9.0.0\"}"), "error[E093]"),
    ] {
        if let Some(text) = summary {
            fs::write(scratch.0.join("summary.json"), text).expect("a file can be written");
        }
        let ended = cossim(&["report", path]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{reason}");
        assert!(ended.stderr.contains(reason) && ended.stderr.contains("\nhint: "), "{}", ended.stderr);
    }
    let ended = cossim(&["report", "no/such/folder"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.starts_with("error[E092]: cannot read `no/such/folder`"), "{}", ended.stderr);
}

#[test]
fn a_folder_that_was_edited_is_refused() {
    let scratch = Scratch::new("edited");
    let folder = scratch.report();
    let path = folder.to_str().expect("the path is text");
    let refused = |code: &str, reason: &str| {
        let ended = cossim(&["report", path]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{reason}");
        assert!(
            ended.stderr.starts_with(&format!("error[{code}]")) && ended.stderr.contains(reason),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("\nhint: run the scenario again"), "{}", ended.stderr);
    };
    for (file, from, to) in [
        ("summary.json", "\"verdict\": \"pass\"", "\"verdict\": \"fail\""),
        ("summary.json", "\"lost\": ", "\"lost\": 9"),
        ("timeline.csv", "warm-up,0,", "warm-up,1,"),
        ("scenario.ron", "Scenario(", "Scenario( "),
    ] {
        let whole = fs::read_to_string(folder.join(file)).expect("a run writes it");
        assert!(whole.contains(from), "{file}");
        fs::write(folder.join(file), whole.replacen(from, to, 1)).expect("it can be written");
        refused("E096", &format!("`{file}` is not what its run wrote"));
        fs::write(folder.join(file), whole).expect("it can be written");
    }
    for file in ["series.csv", "placements.csv", "machines.csv", "metrics.csv"] {
        let whole = fs::read_to_string(folder.join(file)).expect("a run writes it");
        let half: Vec<&str> = whole.lines().take(5).collect();
        fs::write(folder.join(file), half.join("\n") + "\n").expect("it can be written");
        refused("E096", &format!("`{file}` is not what its run wrote"));
        fs::write(folder.join(file), whole).expect("it can be written");
    }
    for file in ["failovers.csv", "waterfall.svg", "scenario.ron", "checksums.txt"] {
        let whole = fs::read(folder.join(file)).expect("a run writes it");
        fs::remove_file(folder.join(file)).expect("it can be removed");
        refused("E092", &format!("`{file}` is missing"));
        fs::write(folder.join(file), whole).expect("it can be written");
    }
    assert_eq!(cossim(&["report", path]).code, Some(0));
}

/// Chromium, if it is in the path.
fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// What a browser makes of a page, and what it complains about.
fn opened(browser: &str, page: &Path, profile: &Path) -> (String, String) {
    let output = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .arg("--virtual-time-budget=5000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", page.display().to_string().replace(' ', "%20")))
        .output()
        .expect("the browser starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let complaints =
        text(&output.stderr).lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (text(&output.stdout), complaints)
}

#[test]
fn a_browser_draws_the_charts_and_shows_the_figures_of_the_summary() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium in the path");
        return;
    };
    let scratch = Scratch::new("browser");
    let folder = scratch.report();
    let (dom, complaints) = opened(browser, &folder.join("report.html"), &scratch.0.join("profile"));
    assert_eq!(complaints, "", "the page has errors");
    assert!(dom.contains("<html lang=\"en\" class=\"live\">"), "its script ran to the end");
    // Good and failed requests, latency, allocations, processor and memory: one canvas each.
    assert_eq!(dom.matches("<canvas").count(), 6);
    assert_eq!(dom.matches("role=\"application\"").count(), 6, "each can be reached by keyboard");
    let summary = summary(&folder);
    let key = "request.success_ratio{service=frontend,traffic=users}";
    let good = summary["across_runs"][key]["value"]["value"].as_f64().expect("there were requests");
    let shown = format!("{good:.3}");
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    assert!(dom.contains(&format!("<td class=\"n\">{shown}<")), "{shown} % good");
    for run in summary["runs"].as_array().expect("there are runs") {
        let digest = run["digest"].as_str().expect("a run has a digest");
        assert!(dom.contains(&format!("<td>{digest}</td>")), "{digest}");
    }
    for expectation in summary["runs"][0]["expectations"].as_array().expect("there are expectations") {
        let observed = expectation["observed"].as_str().expect("something was seen");
        assert!(dom.contains(observed), "{observed}");
    }
    for law in summary["runs"][0]["invariants"].as_array().expect("laws are watched") {
        assert!(dom.contains(law["name"].as_str().expect("a law has a name")), "{law}");
    }
}
