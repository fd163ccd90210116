//! Several pieces of work at once, on threads, with a caller that hears how far they are and may stop them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration as HostDuration;

use rayon::prelude::*;

use crate::analysis::run::{RunError, Shared};

/// What the caller of some work wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// More.
    GoOn,
    /// To end soon, without a result.
    Stop,
}

/// How often the caller hears how far the work is.
const TICK: HostDuration = HostDuration::from_millis(100);

/// Does every task and returns the results in order. `work` is told by what it shares to end soon; `tick` is called ten
/// times a second with how many are done. `threads` left out means one per core. A panic is passed on.
pub fn batch<T: Sync, R: Send>(
    tasks: &[T],
    threads: Option<usize>,
    work: impl Fn(&T, &Shared) -> Result<R, RunError> + Sync,
    tick: &mut dyn FnMut(usize) -> Wish,
) -> Result<Vec<R>, RunError> {
    let (shared, count) = (Shared::default(), AtomicUsize::new(0));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|error| RunError::Threads { reason: error.to_string() })?;
    let (done, finished) = channel::<()>();
    std::thread::scope(|scope| {
        let all = scope.spawn(|| {
            // Dropped when this thread ends, however it ends.
            let _done = done;
            let one = |task: &T| {
                let stopped = shared.stop.load(Ordering::Relaxed);
                let result = if stopped { Err(RunError::Interrupted) } else { work(task, &shared) };
                count.fetch_add(1, Ordering::Relaxed);
                result
            };
            pool.install(|| tasks.par_iter().map(one).collect::<Vec<_>>())
        });
        while finished.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if tick(count.load(Ordering::Relaxed)) == Wish::Stop {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
        match all.join() {
            Ok(results) => results.into_iter().collect(),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
