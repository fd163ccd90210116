//! Ctrl-C: while there is nothing to lose it ends the command; then the first asks it to end, and the second ends it,
//! with nothing left that is half written.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::report::staged;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static AT_ONCE: AtomicBool = AtomicBool::new(false);

/// Whether the user asked to end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Listens for Ctrl-C from now on. Where that is not possible, Ctrl-C simply ends the process.
pub fn listen() {
    AT_ONCE.store(false, Ordering::Relaxed);
    set_handler();
}

/// Until somebody listens, Ctrl-C ends the command at once: nothing is made yet.
pub fn end_at_once() {
    AT_ONCE.store(true, Ordering::Relaxed);
    set_handler();
}

/// A second handler is refused, and not needed.
fn set_handler() {
    drop(ctrlc::set_handler(|| {
        if AT_ONCE.load(Ordering::Relaxed) || REQUESTED.swap(true, Ordering::Relaxed) {
            let _kept = staged::clear();
            std::process::exit(i32::from(super::Exit::Interrupted.code()));
        }
    }));
}
