//! Parts of a run, measured on their own: `during ENTRY` and `after ENTRY` of an expectation.

use std::sync::Arc;

use crate::base::ordered::OrdMap;
use crate::base::time::Time;
use crate::measure::metric::Metrics;
use crate::measure::objective::Window;
use crate::measure::recorder::Facts;
use crate::measure::recorder::Recorder;
use crate::world::event::Notice;
use crate::world::spec::WorldSpec;

/// The span of a window, both ends included; `None` if it begins when the run is over.
///
/// An entry without a length lasts for ever, so `during` reaches to the end of the run; whether it was over at once
/// cannot be told from its effects. `after` begins with such an entry itself. What happens before the end of the
/// warm-up
/// never counts.
pub fn span(spec: &WorldSpec, window: Window) -> Option<(Time, Time)> {
    let end_of_run = Time::ZERO + spec.duration;
    let (from, until) = match window {
        Window::Whole => (Time::ZERO, end_of_run),
        Window::During(entry) => {
            let entry = &spec.timeline[entry];
            (entry.at, entry.lasts.map_or(end_of_run, |lasts| entry.at + lasts))
        }
        Window::After(entry) => {
            let entry = &spec.timeline[entry];
            (entry.lasts.map_or(entry.at, |lasts| entry.at + lasts), end_of_run)
        }
    };
    let (from, until) = (from.max(Time::ZERO + spec.warmup), until.min(end_of_run));
    (from < until).then_some((from, until))
}

/// Measures several windows of one run.
///
/// A window has a recorder of its own that hears everything from the beginning of the run, so that levels are what they
/// are when the window begins, and counts from there on, as after a warm-up. Requests belong to the window in which
/// they
/// were sent, if they also end in it; faults to the one in which they strike.
#[derive(Debug, Clone)]
pub struct Windows {
    open: Vec<Open>,
    closed: OrdMap<Window, Metrics>,
}

#[derive(Debug, Clone)]
struct Open {
    window: Window,
    until: Time,
    recorder: Recorder,
}

impl Windows {
    /// Recorders for these windows; one that cannot be has none.
    pub fn new(spec: &Arc<WorldSpec>, windows: &[Window]) -> Self {
        let open = windows.iter().filter_map(|&window| {
            let (from, until) = span(spec, window)?;
            let spec = Arc::new(WorldSpec { warmup: from.since(Time::ZERO), ..WorldSpec::clone(spec) });
            Some(Open { window, until, recorder: Recorder::new(&spec) })
        });
        Self { open: open.collect(), closed: OrdMap::new() }
    }

    /// Takes in a notice.
    pub fn observe(&mut self, at: Time, notice: &Notice) {
        if self.open.is_empty() {
            return;
        }
        self.close(|open| open.until < at);
        for open in &mut self.open {
            open.recorder.observe(at, notice);
        }
    }

    /// The run is over.
    pub fn finish(mut self) -> OrdMap<Window, Metrics> {
        self.close(|_| true);
        self.closed
    }

    fn close(&mut self, is_over: impl Fn(&Open) -> bool) {
        for open in self.open.extract_if(.., |open| is_over(open)) {
            let facts = Facts { seed: 0, digest: 0, events: 0, end: open.until, invariants: Vec::new() };
            self.closed.insert(open.window, open.recorder.finish(facts).metrics);
        }
    }
}
