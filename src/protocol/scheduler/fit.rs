//! How well an allocation fits a node (Nomad `ScoreFitBinPack`, `ScoreFitSpread`), and what a group asks for
//! (Nomad `AllocatedResources.Comparable`).

use crate::base::math;
use crate::base::units::MegaHertz;
use crate::model::job::{Hook, Task, TaskGroup};
use crate::model::resources::Comparable;
use crate::protocol::scheduler::release::Algorithm;
use crate::protocol::scheduler::state::Amounts;

/// Largest raw fit score; scores are divided by it.
pub const FIT_MAX: f64 = 18.0;

/// The fit score in 0..=18 of a node whose use, the new allocation included, would be `used`.
///
/// Plain IEEE arithmetic: a node without capacity gives plus infinity (nothing left) or, unused, not-a-number, and a
/// node that reserves more than it has counts as more than empty.
#[expect(clippy::manual_clamp, reason = "what is undefined stays undefined, also in older compilers")]
pub fn score_fit(available: Amounts, used: Amounts, algorithm: Algorithm) -> f64 {
    let free_cpu = 1.0 - used.cpu as f64 / available.cpu as f64;
    let free_memory = 1.0 - used.memory as f64 / available.memory as f64;
    let total = math::pow(10.0, free_cpu) + math::pow(10.0, free_memory);
    let score = match algorithm {
        Algorithm::Binpack => 20.0 - total,
        Algorithm::Spread => total - 2.0,
    };
    if score > FIT_MAX {
        FIT_MAX
    } else if score < 0.0 {
        0.0
    } else {
        score
    }
}

/// What a group asks for on a node, cores by number left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ask {
    /// Processor, memory, disk; processor of tasks with whole cores is not in it.
    pub amounts: Amounts,
    /// Some task wants whole cores, so the processor share depends on the node.
    pub wants_cores: bool,
}

/// The ask of a group: long-lived prestart tasks, plus the largest of the phases that do not overlap.
/// Poststart tasks are not counted (a quirk until 1.9.2).
pub fn ask(group: &TaskGroup) -> Ask {
    let wants_cores = group.tasks.iter().any(|task| task.resources.cores > 0);
    let amounts = Amounts::of(&flatten(group, |_, task| Comparable {
        cpu: if task.resources.cores > 0 { MegaHertz::ZERO } else { task.resources.cpu },
        memory: task.resources.memory,
        ..Comparable::default()
    }));
    Ask { amounts, wants_cores }
}

/// The peak of a group's tasks, given what each holds, and the group's disk.
pub fn flatten(group: &TaskGroup, held: impl Fn(usize, &Task) -> Comparable) -> Comparable {
    let (mut sidecars, mut prestart) = (Comparable::default(), Comparable::default());
    let (mut main, mut poststop) = (Comparable::default(), Comparable::default());
    for (at, task) in group.tasks.iter().enumerate() {
        let phase = match task.lifecycle {
            None => &mut main,
            Some(lifecycle) => match lifecycle.hook {
                Hook::Prestart if lifecycle.sidecar => &mut sidecars,
                Hook::Prestart => &mut prestart,
                Hook::Poststart => continue,
                Hook::Poststop => &mut poststop,
            },
        };
        phase.add(&held(at, task));
    }
    let mut peak = Comparable {
        cpu: prestart.cpu.max(main.cpu).max(poststop.cpu),
        memory: prestart.memory.max(main.memory).max(poststop.memory),
        ..Comparable::default()
    };
    // Of cores the longest list counts, the first of equals, whichever numbers the other phases use.
    for phase in [prestart, main, poststop] {
        if phase.cores.len() > peak.cores.len() {
            peak.cores = phase.cores;
        }
    }
    peak.add(&sidecars);
    peak.disk = group.disk.size;
    peak
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_vectors() {
        for (cpu, memory, binpack) in
            [(0, 0, 0.0), (100, 100, 0.228_524), (500, 250, 0.623_017), (900, 500, 0.865_489), (1_000, 1_000, 1.0)]
        {
            let available = Amounts { cpu: 1_000, memory: 1_000, disk: 0 };
            let score = |algorithm| score_fit(available, Amounts { cpu, memory, disk: 0 }, algorithm) / FIT_MAX;
            assert!((score(Algorithm::Binpack) - binpack).abs() < 1e-6, "{cpu} {memory}");
            assert!((score(Algorithm::Spread) - (1.0 - binpack)).abs() < 1e-6, "{cpu} {memory}");
        }
    }

    #[test]
    fn phases_that_do_not_overlap_share_what_a_group_holds() {
        use crate::base::units::Mebibytes;
        use crate::model::job::Lifecycle;
        let mut group = TaskGroup::new("g");
        for (name, hook, sidecar) in [
            ("sidecar", Some(Hook::Prestart), true),
            ("init", Some(Hook::Prestart), false),
            ("main", None, false),
            ("after", Some(Hook::Poststart), false),
            ("clean", Some(Hook::Poststop), false),
        ] {
            let mut task = Task::new(name, "mock");
            task.lifecycle = hook.map(|hook| Lifecycle { hook, sidecar });
            group.tasks.push(task);
        }
        let held =
            [(100, 10, vec![0]), (900, 20, vec![1]), (300, 50, vec![2, 3]), (5_000, 5_000, vec![4]), (1, 1, vec![5])];
        let peak = flatten(&group, |at, _| Comparable {
            cpu: MegaHertz(held[at].0),
            memory: Mebibytes(held[at].1),
            cores: held[at].2.clone(),
            ..Comparable::default()
        });
        assert_eq!((peak.cpu, peak.memory), (MegaHertz(1_000), Mebibytes(60)), "poststart tasks are not counted");
        assert_eq!(peak.cores, [0, 2, 3]);
        assert_eq!(peak.disk, group.disk.size);
    }
}
