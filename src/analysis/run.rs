//! One run: a world, a seed, and everything that is measured in it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::analysis::window::Windows;
use crate::base::id::ProcessId;
use crate::base::time::{Duration, Time};
use crate::measure::laws::Laws;
use crate::measure::objective::Window;
use crate::measure::outcome::Outcome;
use crate::measure::recorder::{Facts, Recorder};
use crate::world::event::{Event, Notice};
use crate::world::run::{Witness, World};
use crate::world::spec::WorldSpec;

/// What a run shares with whoever waits for it.
#[derive(Debug, Default)]
pub struct Shared {
    /// Set from outside to end all runs soon.
    pub stop: AtomicBool,
    /// Whether schedulers say why they place as they do. Changes no result.
    pub explains: bool,
}

/// How far one run is; read from outside while it goes on.
#[derive(Debug, Default)]
pub struct Progress {
    /// Virtual nanoseconds.
    pub simulated: AtomicU64,
}

/// Why a run has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// It was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// No threads to be had.
    #[error("cannot start threads: {reason}")]
    Threads {
        /// What the system said.
        reason: String,
    },
    /// Virtual time stands still: a mistake of cossim's own.
    #[error("seed {seed}: {reason}")]
    Livelock {
        /// The seed.
        seed: u64,
        /// What the engine says.
        reason: String,
    },
}

/// How much virtual time passes between two looks at `stop`.
const SLICE: Duration = Duration::from_secs(1);

/// Runs a world to its end; these parts of the run are also measured on their own.
pub fn run(
    spec: &Arc<WorldSpec>,
    windows: &[Window],
    seed: u64,
    shared: &Shared,
    progress: &Progress,
) -> Result<Outcome, RunError> {
    let _under_way = UnderWay::new(seed);
    let mut world = if shared.explains { World::explaining(spec, seed) } else { World::new(spec, seed) };
    let (recorder, laws) = (Recorder::new(spec), Laws::new(world.atlas()));
    let mut watch = Watch { recorder, windows: Windows::new(spec, windows), laws };
    let end = Time::ZERO + spec.duration;
    advance(&mut world, end, seed, &mut watch, shared, &mut |now| {
        progress.simulated.store(now.as_nanos(), Ordering::Relaxed);
    })?;
    let invariants = watch.laws.finish(end, world.open_requests());
    let facts = Facts { seed, digest: world.digest(), events: world.events(), end, invariants };
    let mut outcome = watch.recorder.finish(facts);
    outcome.windows = watch.windows.finish();
    Ok(outcome)
}

/// Lets a world run to `end`, telling `tick` how far it is and looking whether to stop.
pub(super) fn advance(
    world: &mut World,
    end: Time,
    seed: u64,
    witness: &mut dyn Witness,
    shared: &Shared,
    tick: &mut dyn FnMut(Time),
) -> Result<(), RunError> {
    while world.now() < end {
        if shared.stop.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted);
        }
        let until = (world.now() + SLICE).min(end);
        world.advance(until, witness).map_err(|livelock| RunError::Livelock { seed, reason: livelock.to_string() })?;
        tick(until);
    }
    Ok(())
}

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The seed of the run that this thread is at, for whoever tells of its panic.
pub fn seed_under_way() -> Option<u64> {
    SEED.get()
}

/// While it lives, its thread is at a run.
pub(super) struct UnderWay;

impl UnderWay {
    /// A run of this seed begins.
    pub(super) fn new(seed: u64) -> Self {
        SEED.set(Some(seed));
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        SEED.set(None);
    }
}

/// Listens to nothing.
pub(super) struct Silent;

impl Witness for Silent {
    fn notice(&mut self, _: Time, _: &Notice) {}
}

/// Listens to a world for everything that is measured.
struct Watch {
    recorder: Recorder,
    windows: Windows,
    laws: Laws,
}

impl Witness for Watch {
    fn notice(&mut self, at: Time, notice: &Notice) {
        self.recorder.observe(at, notice);
        self.windows.observe(at, notice);
        self.laws.notice(at, notice);
    }

    fn event(&mut self, at: Time, process: ProcessId, event: &Event) {
        self.laws.event(at, process, event);
    }
}
