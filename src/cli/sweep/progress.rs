//! How far a sweep is, on stderr: a bar on a terminal, plain lines elsewhere, nothing if nobody wants to know.

use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::analysis::sweep::plan::Checked;
use crate::analysis::sweep::work::Far;
use crate::cli::output::Output;

/// Seconds between plain lines.
const LINE_EVERY_S: f64 = 10.0;
/// A sweep that takes less is over before anybody asks how far it is.
const PATIENCE_S: f64 = 2.0;

/// Shows how far a sweep is.
pub(super) struct Progress {
    runs: usize,
    simulated_s: f64,
    started: Instant,
    said_at_s: f64,
    view: View,
}

enum View {
    None,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// Progress of these runs.
    #[expect(clippy::disallowed_methods, reason = "time left is about the host's clock")]
    pub(super) fn new(sweep: &Checked, runs: &[usize], quiet: bool) -> Self {
        let simulated_s: f64 = runs.iter().map(|&run| sweep.lengths_s[sweep.place(run).0]).sum();
        let view = if quiet {
            View::None
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(simulated_s as u64), ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}  {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            View::Bar(bar)
        } else {
            View::Lines
        };
        Self { runs: runs.len(), simulated_s, started: Instant::now(), said_at_s: 0.0, view }
    }

    /// Shows the present state.
    pub(super) fn show(&mut self, far: Far, output: &mut Output) {
        match &self.view {
            View::None => {}
            View::Bar(bar) => {
                bar.set_position(far.simulated_s as u64);
                bar.set_message(format!("{} of {} runs", far.runs, self.runs));
            }
            View::Lines => {
                let elapsed = self.started.elapsed().as_secs_f64();
                if elapsed < PATIENCE_S || elapsed < self.said_at_s + LINE_EVERY_S || far.runs == self.runs {
                    return;
                }
                self.said_at_s = elapsed;
                let left = elapsed * (self.simulated_s - far.simulated_s) / far.simulated_s.max(1e-9);
                let share = 100.0 * far.simulated_s / self.simulated_s;
                output.say(&format!("{} of {} runs, {share:.0} % simulated, {left:.0} s left", far.runs, self.runs));
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let View::Bar(bar) = self.view {
            bar.finish_and_clear();
        }
    }
}
