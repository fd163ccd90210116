//! The law of changing who belongs to the group.

use crate::base::id::ProcessId;
use crate::base::ordered::OrdMap;
use crate::measure::invariant::Tally;
use crate::measure::invariant::raft::Fact;
use crate::measure::invariant::raft::Law;
use crate::measure::invariant::raft::Observation;
use crate::measure::invariant::raft::voters;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Index;

/// Quorums of neighbouring configurations meet (Raft thesis §4.1): a log holds at most one configuration that nobody
/// has committed yet, and two that were committed one after the other differ by at most one voter.
#[derive(Debug, Clone)]
pub struct ConfigurationSafety {
    /// The configurations in each log that were not committed when they came, oldest first.
    open: OrdMap<ProcessId, Vec<(Index, Vec<ProcessId>)>>,
    /// The highest index that any server has committed.
    highest: Index,
    /// The last committed configuration.
    settled: (Index, Vec<ProcessId>),
    tally: Tally,
}

impl ConfigurationSafety {
    /// For a group founded with this configuration.
    pub fn new(founding: &Configuration) -> Self {
        Self {
            open: OrdMap::new(),
            highest: Index::ZERO,
            settled: (Index::ZERO, voters(founding).collect()),
            tally: Tally::default(),
        }
    }

    fn configured(&mut self, seen: &Observation, index: Index, configuration: &Configuration) {
        if index <= self.settled.0 {
            return;
        }
        let open = self.open.entry(seen.who).or_default();
        open.retain(|(at, _)| *at < index);
        open.push((index, voters(configuration).collect()));
        let uncommitted = open.iter().filter(|(at, _)| *at > self.highest).count();
        self.tally.check(seen.at, uncommitted <= 1, || {
            format!("{} has {uncommitted} uncommitted configurations in its log, the last one at {index}", seen.who)
        });
    }

    fn committed(&mut self, seen: &Observation, index: Index) {
        self.highest = self.highest.max(index);
        let Some(open) = self.open.get_mut(&seen.who) else { return };
        let count = open.iter().take_while(|(at, _)| *at <= index).count();
        for (at, voters) in open.drain(..count) {
            let (before, known) = &self.settled;
            if at <= *before {
                continue;
            }
            let changed = known.iter().filter(|voter| !voters.contains(voter)).count()
                + voters.iter().filter(|voter| !known.contains(voter)).count();
            self.tally.check(seen.at, changed <= 1, || {
                format!("the configurations at {before} and {at} differ by {changed} voters")
            });
            self.settled = (at, voters);
        }
        if open.is_empty() {
            self.open.remove(&seen.who);
        }
    }
}

impl Law for ConfigurationSafety {
    fn name(&self) -> &'static str {
        "raft.configuration_safety"
    }

    fn see(&mut self, seen: &Observation) {
        match &seen.fact {
            Fact::Configured { index, configuration } => self.configured(seen, *index, configuration),
            Fact::Committed(index) => self.committed(seen, *index),
            // What stood there before, or after it, is gone.
            Fact::Appended { index, .. } | Fact::Truncated(index) => {
                if let Some(open) = self.open.get_mut(&seen.who) {
                    open.retain(|(at, _)| at < index);
                }
            }
            Fact::Restored { index, .. } => {
                if let Some(open) = self.open.get_mut(&seen.who) {
                    open.retain(|(at, _)| at > index);
                }
            }
            Fact::Restarted
            | Fact::Stopped
            | Fact::Became(..)
            | Fact::Term(_)
            | Fact::Voted { .. }
            | Fact::Applied { .. }
            | Fact::HandsOver
            | Fact::KeepsLeading
            | Fact::CutOff
            | Fact::Rejoined => {}
        }
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
