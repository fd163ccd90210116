//! Making the runs of a sweep.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration as HostDuration;

use rayon::prelude::*;

use crate::analysis::batch::Wish;
use crate::analysis::judge::Judgement;
use crate::analysis::run::{Progress, RunError, Shared, run};
use crate::analysis::sweep::plan::Checked;
use crate::base::ordered::OrdMap;

/// What one run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// By measure: infinity for a wait that had not ended with the run, `None` without data.
    pub values: Vec<Option<f64>>,
    /// By expectation.
    pub judgements: Vec<Judgement>,
    /// Violations of invariants.
    pub violations: u64,
    /// Digest over every event.
    pub digest: u64,
    /// Events handled.
    pub events: u64,
}

/// How far a sweep is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Far {
    /// Runs that are over.
    pub runs: usize,
    /// Virtual seconds simulated, of these runs and those that go on.
    pub simulated_s: f64,
}

/// Why a sweep ended early.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// A run failed, or was told to stop.
    #[error("{0}")]
    Run(#[from] RunError),
    /// What a run came to could not be kept.
    #[error("{0}")]
    Keep(String),
}

/// How often the caller hears how far it is.
const TICK: HostDuration = HostDuration::from_millis(100);

/// Makes these runs, several at once, in any order, and gives each to `keep` as soon as it is over. `tick` is called
/// ten times a second. A panic in a run is passed on.
pub fn make(
    sweep: &Checked,
    runs: &[usize],
    threads: Option<usize>,
    keep: &(dyn Fn(usize, &Row) -> Result<(), String> + Sync),
    mut tick: impl FnMut(Far) -> Wish,
) -> Result<(), WorkError> {
    let shared = Shared::default();
    let (over, done_s) = (AtomicUsize::new(0), Mutex::new(0.0));
    let going: Mutex<OrdMap<usize, Arc<Progress>>> = Mutex::default();
    let failed: Mutex<Option<WorkError>> = Mutex::default();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|error| RunError::Threads { reason: error.to_string() })?;
    let one = |number: usize| -> Result<(), WorkError> {
        let (point, seed) = sweep.place(number);
        let progress = Arc::new(Progress::default());
        locked(&going).insert(number, Arc::clone(&progress));
        let world = sweep.point(point);
        let spec = Arc::new(world.lowered().world.clone());
        let outcome = run(&spec, &world.windows(), seed, &shared, &progress)?;
        keep(number, &world.read(&outcome)).map_err(WorkError::Keep)?;
        locked(&going).remove(&number);
        *locked(&done_s) += sweep.lengths_s[point];
        over.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let far = || {
        let nanos: u64 = locked(&going).values().map(|run| run.simulated.load(Ordering::Relaxed)).sum();
        Far { runs: over.load(Ordering::Relaxed), simulated_s: *locked(&done_s) + nanos as f64 / 1e9 }
    };
    let (done, finished) = channel::<()>();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Dropped when this thread ends, however it ends.
            let _done = done;
            // One after the other, in order: what is kept of an interrupted sweep is its beginning.
            pool.install(|| {
                runs.iter().par_bridge().for_each(|&number| {
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Err(error) = one(number) {
                        // That others are told to stop is a consequence and hides no cause.
                        let mut failed = locked(&failed);
                        if failed.as_ref().is_none_or(WorkError::is_interruption) {
                            *failed = Some(error);
                        }
                        shared.stop.store(true, Ordering::Relaxed);
                    }
                });
            });
        });
        while finished.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if tick(far()) == Wish::Stop {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        tick(far());
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    if let Some(error) = locked(&failed).take() {
        return Err(error);
    }
    // Told to stop between two runs.
    let left = over.load(Ordering::Relaxed) < runs.len();
    if left { Err(RunError::Interrupted.into()) } else { Ok(()) }
}

impl WorkError {
    const fn is_interruption(&self) -> bool {
        matches!(self, Self::Run(RunError::Interrupted))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
