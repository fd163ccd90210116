//! Where the parts of a job were written, for findings about them.

use std::ops::Range;

use super::rules::Part;

/// Places of a job's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spots {
    /// Its name.
    pub job: Range<usize>,
    /// Its datacenters.
    pub datacenters: Option<Range<usize>>,
    /// Its groups, in order.
    pub groups: Vec<GroupSpots>,
}

/// Places of a group's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpots {
    /// Its name.
    pub name: Range<usize>,
    /// The largest ask for processor.
    pub cpu: Option<Range<usize>>,
    /// The largest ask for memory.
    pub memory: Option<Range<usize>>,
    /// Names of its tasks, in order.
    pub tasks: Vec<Range<usize>>,
}

impl Spots {
    /// A job whose parts all stand at its name.
    pub const fn new(job: Range<usize>) -> Self {
        Self { job, datacenters: None, groups: Vec::new() }
    }

    /// Where a part stands, or what holds it.
    pub fn of(&self, part: Part) -> Range<usize> {
        let group = |index: usize| self.groups.get(index);
        let name = |index: usize| group(index).map(|group| group.name.clone());
        let found = match part {
            Part::Job => None,
            Part::Datacenters => self.datacenters.clone(),
            Part::Group(index) => name(index),
            Part::Task(index, task) => {
                group(index).and_then(|group| group.tasks.get(task).cloned()).or_else(|| name(index))
            }
            Part::Cpu(index) => group(index).and_then(|group| group.cpu.clone()).or_else(|| name(index)),
            Part::Memory(index) => group(index).and_then(|group| group.memory.clone()).or_else(|| name(index)),
        };
        found.unwrap_or_else(|| self.job.clone())
    }
}
