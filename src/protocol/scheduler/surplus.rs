//! Which surplus allocations the reconciler stops and which missing ones it places (Nomad `computeStop`,
//! `computePlacements`).

use std::sync::Arc;

use crate::base::ordered::OrdSet;
use crate::model::alloc::{Alloc, AllocId};
use crate::model::job::TaskGroup;
use crate::protocol::scheduler::names::Names;
use crate::protocol::scheduler::reconcile::Place;

/// Allocations of one group, by number unless said.
pub(super) type Set<'a> = Vec<&'a Arc<Alloc>>;

/// Sets among which surplus allocations are chosen.
pub(super) struct Stopping<'a, 's> {
    pub(super) untainted: Set<'a>,
    pub(super) migrate: Set<'a>,
    pub(super) lost: &'s Set<'a>,
    pub(super) canaries: &'s Set<'a>,
    pub(super) canary_state: bool,
}

/// Chooses `surplus` allocations to stop: doubles of promoted canaries, then migrating ones, then the highest numbers.
/// Takes chosen ones out of `sets.migrate`.
pub(super) fn choose_stops<'a>(
    names: &mut Names,
    sets: &mut Stopping<'a, '_>,
    counted: Set<'a>,
    surplus: usize,
) -> Set<'a> {
    let mut left = surplus;
    let mut stopped: Set<'a> = Vec::new();
    if left == 0 {
        return stopped;
    }
    let mut candidates: Set<'a> = counted.into_iter().filter(|alloc| !alloc.is_terminal()).collect();
    let mut take = |candidates: &mut Set<'a>, left: &mut usize, wanted: &dyn Fn(&Alloc) -> bool| {
        let mut taken = Vec::new();
        candidates.retain(|alloc| {
            let take = *left > 0 && wanted(alloc);
            if take {
                *left -= 1;
                taken.push(*alloc);
            }
            !take
        });
        stopped.extend(&taken);
        taken
    };
    if !sets.canary_state && !sets.canaries.is_empty() {
        let doubles: OrdSet<u32> = sets.canaries.iter().map(|alloc| alloc.name_index).collect();
        let canaries = sets.canaries;
        let is_double =
            |alloc: &Alloc| doubles.contains(&alloc.name_index) && canaries.iter().all(|canary| canary.id != alloc.id);
        take(&mut candidates, &mut left, &is_double);
    }
    if left > 0 && !sets.migrate.is_empty() {
        let numbers = sets.migrate.iter().map(|alloc| alloc.name_index);
        let highest = Names::new(0, numbers).highest(left);
        let mut migrate = std::mem::take(&mut sets.migrate);
        for alloc in take(&mut migrate, &mut left, &|alloc| highest.contains(&alloc.name_index)) {
            names.release(alloc.name_index);
        }
        sets.migrate = migrate;
    }
    if left > 0 {
        let highest = names.highest(left);
        take(&mut candidates, &mut left, &|alloc| highest.contains(&alloc.name_index));
    }
    // Doubled numbers, or the highest ones belonged to allocations that are stopped or replaced anyway.
    candidates.sort_by_key(|alloc| std::cmp::Reverse((alloc.name_index, alloc.create_index, alloc.id)));
    take(&mut candidates, &mut left, &|_| true);
    stopped
}

/// Sets that keep or pass on their numbers.
#[derive(Clone, Copy)]
pub(super) struct Kept<'a, 's> {
    pub(super) untainted: &'s Set<'a>,
    pub(super) migrate: &'s Set<'a>,
    pub(super) now: &'s Set<'a>,
    pub(super) lost: &'s Set<'a>,
    /// How many are unknown and not replaced.
    pub(super) absent: usize,
}

/// Reschedules, then lost ones up to the count, then fresh numbers.
pub(super) fn compute_placements<'a>(
    group: &'a TaskGroup,
    names: &mut Names,
    kept: Kept<'a, '_>,
    canary_state: bool,
) -> Vec<Place<'a>> {
    let by_number = |set: &Set<'a>| {
        let mut set = set.clone();
        set.sort_by_key(|alloc| (alloc.name_index, alloc.id));
        set
    };
    let mut place: Vec<Place<'a>> = Vec::new();
    for alloc in by_number(kept.now) {
        place.push(Place { reschedule: true, ..successor(group, alloc, canary_state) });
    }
    let mut existing = kept.untainted.len() + kept.migrate.len() + kept.now.len() + kept.absent;
    let count = group.count as usize;
    for alloc in by_number(kept.lost) {
        if existing >= count {
            break;
        }
        existing += 1;
        place.push(Place { lost: true, ..successor(group, alloc, canary_state) });
    }
    if existing < count {
        for name_index in names.next(count - existing) {
            place.push(Place { downgrade_non_canary: canary_state, ..fresh(group, name_index) });
        }
    }
    place
}

/// A placement of a fresh number.
pub(super) fn fresh(group: &TaskGroup, name_index: u32) -> Place<'_> {
    Place {
        group,
        name_index,
        canary: false,
        previous: None,
        reschedule: false,
        lost: false,
        downgrade_non_canary: false,
        min_job_version: 0,
    }
}

/// A placement that replaces an allocation.
pub(super) fn successor<'a>(group: &'a TaskGroup, previous: &'a Arc<Alloc>, canary_state: bool) -> Place<'a> {
    let canary = previous.health.is_some_and(|health| health.canary);
    Place {
        canary,
        previous: Some(previous),
        downgrade_non_canary: canary_state && !canary,
        min_job_version: previous.job.version,
        ..fresh(group, previous.name_index)
    }
}

/// `all` without `others`.
pub(super) fn subtract<'a>(all: &Set<'a>, others: &Set<'a>) -> Set<'a> {
    if others.is_empty() {
        return all.clone();
    }
    let others: OrdSet<AllocId> = others.iter().map(|alloc| alloc.id).collect();
    all.iter().filter(|alloc| !others.contains(&alloc.id)).copied().collect()
}
