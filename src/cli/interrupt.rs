//! Ctrl-C: the first asks the command to end, the second ends it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the user asked to end.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Listens for Ctrl-C from now on. Where that is not possible, Ctrl-C simply ends the process.
pub fn listen() {
    drop(ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(super::Exit::Interrupted.code()));
        }
    }));
}
