//! The same run twice: a check that nothing but scenario and seed decides it.

use std::sync::Arc;

use crate::analysis::run::{RunError, Shared, Silent, UnderWay, advance};
use crate::base::time::Time;
use crate::world::run::World;
use crate::world::spec::WorldSpec;

/// What two runs of one seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// The same, event by event.
    Same {
        /// Digest of both.
        digest: u64,
        /// Events of each.
        events: u64,
    },
    /// They part ways.
    Differ {
        /// Number of the first event that differs.
        event: u64,
        /// What it was in the first run.
        first: String,
        /// What it was in the second.
        second: String,
    },
}

/// Runs `seed` twice. If the digests differ, both are run again with a trace of where they part.
pub fn replay(spec: &Arc<WorldSpec>, seed: u64, shared: &Shared) -> Result<Replay, RunError> {
    let end = Time::ZERO + spec.duration;
    let run = |window: std::ops::Range<u64>| -> Result<World, RunError> {
        let _under_way = UnderWay::new(seed);
        let mut world = World::new(spec, seed);
        world.engine_mut().trace(window);
        advance(&mut world, end, seed, &mut Silent, shared, &mut |_| {})?;
        Ok(world)
    };
    let (a, b) = (run(0..0)?, run(0..0)?);
    if a.digest() == b.digest() && a.events() == b.events() {
        return Ok(Replay::Same { digest: a.digest(), events: a.events() });
    }
    let least = a.events().min(b.events());
    let window = crate::world::run::first_difference(&a, &b).unwrap_or(0..least);
    let from = window.start;
    let (a, b) = (run(window.clone())?, run(window)?);
    let (left, right) = (a.engine().trace_lines(), b.engine().trace_lines());
    let place = left.iter().zip(right).position(|(x, y)| x != y).unwrap_or(left.len().min(right.len()));
    let line = |lines: &[String]| lines.get(place).cloned().unwrap_or_else(|| "nothing more".to_owned());
    Ok(Replay::Differ { event: from + place as u64, first: line(left), second: line(right) })
}
