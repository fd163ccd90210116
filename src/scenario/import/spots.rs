//! Where the parts of a job were written, for findings about them.

use std::ops::Range;

use crate::base::ordered::OrdMap;

use super::rules::Broken;
use super::rules::Part;
use super::rules::Piece;

/// Places of a job's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spots {
    /// The job itself.
    pub job: Spot,
    /// Its datacenters.
    pub datacenters: Option<Range<usize>>,
    /// Its groups, in order.
    pub groups: Vec<GroupSpots>,
}

/// Places of a group's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpots {
    /// The group itself.
    pub own: Spot,
    /// The largest ask for processor.
    pub cpu: Option<Range<usize>>,
    /// The largest ask for memory.
    pub memory: Option<Range<usize>>,
    /// Its tasks, in order.
    pub tasks: Vec<Spot>,
}

/// Places of a job, a group or a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Its name.
    pub name: Range<usize>,
    /// Its pieces, as far as they were written.
    pub pieces: OrdMap<Piece, Range<usize>>,
    /// What is written in those that there are once: the names of their fields.
    pub fields: OrdMap<Piece, Vec<String>>,
}

impl Spot {
    /// All of it stands at its name.
    pub const fn new(name: Range<usize>) -> Self {
        Self { name, pieces: OrdMap::new(), fields: OrdMap::new() }
    }
}

impl Spots {
    /// A job whose parts all stand at its name.
    pub const fn new(job: Range<usize>) -> Self {
        Self { job: Spot::new(job), datacenters: None, groups: Vec::new() }
    }

    /// Where what breaks a rule stands. A group that says itself how it is updated, and the like, takes over what it
    /// leaves out from its job: then it stands in its job, unless one of the fields that the rule is about is its own.
    pub fn of_broken(&self, broken: &Broken) -> Range<usize> {
        let inherited = match broken.part {
            Part::OfGroup(index, piece) if !broken.fields.is_empty() => {
                let own = self.groups.get(index).and_then(|group| group.own.fields.get(&piece));
                let is_own = own.is_some_and(|own| own.iter().any(|field| broken.fields.contains(&field.as_str())));
                self.job.pieces.get(&piece).filter(|_| !is_own).cloned()
            }
            _ => None,
        };
        inherited.unwrap_or_else(|| self.of(broken.part))
    }

    /// Where a part stands, or what holds it.
    pub fn of(&self, part: Part) -> Range<usize> {
        let group = |index: usize| self.groups.get(index);
        let own = |index: usize| group(index).map_or(&self.job, |group| &group.own);
        let task = |index: usize, task: usize| {
            group(index).and_then(|group| group.tasks.get(task)).unwrap_or_else(|| own(index))
        };
        let piece = |spot: &Spot, piece: Piece| spot.pieces.get(&piece).cloned();
        let (holder, found) = match part {
            Part::Job => (&self.job, None),
            Part::Datacenters => (&self.job, self.datacenters.clone()),
            Part::Group(index) => (own(index), None),
            Part::Task(index, at) => (task(index, at), None),
            Part::Cpu(index) => (own(index), group(index).and_then(|group| group.cpu.clone())),
            Part::Memory(index) => (own(index), group(index).and_then(|group| group.memory.clone())),
            Part::OfJob(which) => (&self.job, piece(&self.job, which)),
            Part::OfGroup(index, which @ (Piece::Constraint(_) | Piece::Affinity(_) | Piece::Spread(_))) => {
                (own(index), piece(own(index), which))
            }
            // Groups take over what their job says of updates and the like.
            Part::OfGroup(index, which) => (own(index), piece(own(index), which).or_else(|| piece(&self.job, which))),
            Part::OfTask(index, at, which) => (task(index, at), piece(task(index, at), which)),
        };
        found.unwrap_or_else(|| holder.name.clone())
    }
}
