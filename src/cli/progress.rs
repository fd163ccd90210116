//! How far the runs are, on stderr: bars on a terminal, plain lines elsewhere, nothing if nobody wants to know.

use std::io::IsTerminal as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use crate::analysis::run::Progress as Far;
use crate::base::time::Duration;

/// Shows how far the runs are.
pub(super) struct Progress {
    seeds: Vec<u64>,
    length: Duration,
    started: Instant,
    said_at_s: u64,
    view: View,
}

enum View {
    None,
    Lines,
    Bars(Vec<ProgressBar>),
}

/// More seeds than this share one bar.
const BARS_MAX: usize = 12;
/// Seconds between plain lines.
const LINE_EVERY_S: u64 = 10;
/// A run that takes less is over before anybody asks how far it is.
const PATIENCE_S: f64 = 2.0;

impl Progress {
    /// Progress of these seeds, each `length` long.
    #[expect(clippy::disallowed_methods, reason = "speed and time left are about the host's clock")]
    pub(super) fn new(seeds: &[u64], length: Duration, quiet: bool) -> Self {
        let view = if quiet {
            View::None
        } else if std::io::stderr().is_terminal() {
            View::Bars(bars(seeds, length))
        } else {
            View::Lines
        };
        Self { seeds: seeds.to_vec(), length, started: Instant::now(), said_at_s: 0, view }
    }

    /// Shows the present state.
    pub(super) fn show(&mut self, runs: &[Far], output: &mut Output) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let simulated: Vec<f64> = runs.iter().map(|run| run.simulated.load(Ordering::Relaxed) as f64 / 1e9).collect();
        let total: f64 = simulated.iter().sum();
        let speed = if elapsed > 0.0 { total / elapsed } else { 0.0 };
        match &self.view {
            View::None => {}
            View::Bars(bars) if bars.len() == runs.len() => {
                for (bar, seconds) in bars.iter().zip(&simulated) {
                    show(bar, *seconds, if elapsed > 0.0 { seconds / elapsed } else { 0.0 });
                }
            }
            View::Bars(bars) => bars.iter().for_each(|bar| show(bar, total, speed)),
            View::Lines => {
                let whole = self.length.as_secs_f64() * self.seeds.len() as f64;
                let due = self.said_at_s + LINE_EVERY_S;
                if elapsed >= PATIENCE_S && elapsed as u64 >= due && total < whole {
                    self.said_at_s = elapsed as u64;
                    let left = if speed > 0.0 { (whole - total) / speed } else { 0.0 };
                    let done = 100.0 * total / whole;
                    output.say(&format!("{done:.0} % simulated, {speed:.0} times real time, {left:.0} s left"));
                }
            }
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(self) {
        if let View::Bars(bars) = self.view {
            bars.iter().for_each(ProgressBar::finish_and_clear);
        }
    }
}

/// How far something is that is not measured in virtual time: one line that is kept up to date on a terminal, a line
/// now and then elsewhere.
pub(super) struct Lines {
    started: Instant,
    said_at_s: u64,
    quiet: bool,
    bar: Option<ProgressBar>,
}

impl Lines {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "patience is about the host's clock")]
    pub(super) fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(ProgressBar::new_spinner);
        Self { started: Instant::now(), said_at_s: 0, quiet, bar }
    }

    /// Shows the present state, if somebody may wonder.
    pub(super) fn show(&mut self, output: &mut Output, text: impl FnOnce() -> String) {
        let elapsed = self.started.elapsed().as_secs_f64();
        if self.quiet || elapsed < PATIENCE_S {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_message(text());
                bar.tick();
            }
            None if self.said_at_s == 0 || elapsed as u64 >= self.said_at_s + LINE_EVERY_S => {
                self.said_at_s = elapsed as u64;
                output.say(&text());
            }
            None => {}
        }
    }

    /// Takes the line away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn show(bar: &ProgressBar, seconds: f64, speed: f64) {
    bar.set_position(seconds as u64);
    bar.set_message(format!("{:.0} min simulated, {speed:.0}x real time", seconds / 60.0));
}

fn bars(seeds: &[u64], length: Duration) -> Vec<ProgressBar> {
    let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{prefix:>12} {bar:32} {percent:>3} %  {msg}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = |name: String, seconds: u64| {
        let bar = all.add(ProgressBar::new(seconds));
        bar.set_style(style.clone());
        bar.set_prefix(name);
        bar
    };
    let seconds = length.as_secs_f64() as u64;
    if seeds.len() > BARS_MAX {
        return vec![bar(format!("{} seeds", seeds.len()), seconds * seeds.len() as u64)];
    }
    seeds.iter().map(|seed| bar(format!("seed {seed}"), seconds)).collect()
}
