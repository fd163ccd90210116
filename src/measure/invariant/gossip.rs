//! The laws of gossip: incarnations never go back, and a live reachable member is not dead for ever (SWIM §3, its
//! completeness and the part of accuracy that suspicion and reconnection promise).
//!
//! The observers keep a record of their own, fed with [`Observation`]s of one pool in the order things happened. They
//! know who runs and whether a fault is on, which no member does.

use crate::base::math;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::protocol::gossip::members::Member;
use crate::protocol::gossip::members::State;
use crate::protocol::gossip::swim;

/// Something that happened in a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Time,
    /// What.
    pub fact: Fact,
}

/// What happened, as far as the laws are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A member's agent starts, with an empty table or with that of an established pool.
    Started(Member),
    /// A member's agent is gone: crashed, killed, or left.
    Stopped(Member),
    /// An agent changed its mind about a member.
    Changed {
        /// Whose table it is.
        by: Member,
        /// Whose row.
        about: Member,
        /// The state before.
        before: State,
        /// The state now.
        after: State,
        /// The incarnation now.
        incarnation: u32,
    },
    /// A fault that can keep members of the pool apart or silent begins; faults are counted.
    FaultBegan,
    /// One of those faults ends.
    FaultEnded,
}

impl Fact {
    /// The fact in an event of `by`'s membership layer, if it is one.
    pub fn of(by: Member, event: &swim::Event) -> Option<Self> {
        match *event {
            swim::Event::Changed { member, before, after, incarnation, .. } => {
                Some(Self::Changed { by, about: member, before, after, incarnation })
            }
            swim::Event::Updated { .. }
            | swim::Event::Purged { .. }
            | swim::Event::ProbeFailed { .. }
            | swim::Event::ProbeRescued { .. }
            | swim::Event::Answered { .. }
            | swim::Event::Expired { .. }
            | swim::Event::Refuted { .. }
            | swim::Event::Heard(_)
            | swim::Event::Merged { .. }
            | swim::Event::Exchanged { .. }
            | swim::Event::Spent(_) => None,
        }
    }
}

/// While a row stays in a table, its incarnation never goes back.
#[derive(Debug, Clone, Default)]
pub struct IncarnationNeverGoesBack {
    /// What it has seen.
    pub tally: Tally,
    highest: OrdMap<(Member, Member), u32>,
}

impl IncarnationNeverGoesBack {
    /// Looks at one fact.
    pub fn observe(&mut self, observation: &Observation) {
        match observation.fact {
            Fact::Started(member) => self.highest.retain(|&(by, _), _| by != member),
            Fact::Changed { by, about, before, incarnation, .. } => {
                let last = self.highest.insert((by, about), incarnation);
                let floor = if before == State::Absent { 0 } else { last.unwrap_or(0) };
                self.tally.check(observation.at, incarnation >= floor, || {
                    format!("at {by}, the incarnation of {about} went from {floor} back to {incarnation}")
                });
            }
            Fact::Stopped(_) | Fact::FaultBegan | Fact::FaultEnded => {}
        }
    }
}

/// A member that has lost all others tries to reconnect to one of them this often (Serf `ReconnectInterval`); those
/// that have lost few try more rarely, together about as often for each that is lost.
const RECONNECT_EVERY: Duration = Duration::from_secs(30);
/// The chance that attempts at random miss for longer than they are given.
const UNLUCKY: f64 = 1e-6;

/// Once faults have been over for long enough, no running member holds another running member for dead.
///
/// The bound must leave time for a probe lap, for suspicion and refutation, and for Serf's reconnect interval: 90 s for
/// a LAN pool of some hundred members and 5 min for a WAN pool are ample while everybody runs. Who was cut off from all
/// others is found by reconnecting, and each attempt picks one of the failed members at random: those that are really
/// dead cost attempts.
#[derive(Debug, Clone)]
pub struct NotDeadForEver {
    /// What it has seen.
    pub tally: Tally,
    bound: Duration,
    running: OrdSet<Member>,
    stopped: OrdSet<Member>,
    /// Who is held for dead, and by whom.
    dead: OrdMap<Member, OrdSet<Member>>,
    faults: u32,
    /// When a fault last ended, or somebody started or stopped.
    disturbed: Time,
}

impl NotDeadForEver {
    /// Allows this long after the last disturbance.
    pub fn new(bound: Duration) -> Self {
        Self {
            tally: Tally::default(),
            bound,
            running: OrdSet::new(),
            stopped: OrdSet::new(),
            dead: OrdMap::new(),
            faults: 0,
            disturbed: Time::ZERO,
        }
    }

    /// Looks at one fact.
    pub fn observe(&mut self, observation: &Observation) {
        match observation.fact {
            Fact::Started(member) => {
                self.running.insert(member);
                self.stopped.remove(&member);
                self.dead.values_mut().for_each(|holders| holders.retain(|by| *by != member));
                self.disturbed = observation.at;
            }
            Fact::Stopped(member) => {
                self.running.remove(&member);
                self.stopped.insert(member);
                self.disturbed = observation.at;
            }
            Fact::Changed { by, about, after, .. } => match after {
                State::Dead => {
                    self.dead.entry(about).or_default().insert(by);
                }
                State::Alive | State::Suspect | State::Left | State::Absent => {
                    if let Some(holders) = self.dead.get_mut(&about) {
                        holders.remove(&by);
                    }
                }
            },
            Fact::FaultBegan => self.faults += 1,
            Fact::FaultEnded => {
                self.faults = self.faults.saturating_sub(1);
                self.disturbed = observation.at;
            }
        }
    }

    /// The bound, and as many attempts to reconnect as it takes to find a running member among the stopped ones, but
    /// for a chance of [`UNLUCKY`]. One of twelve that has stopped makes 90 s into three minutes, ten of them make it
    /// more than an hour, so that shorter runs are not judged.
    fn patience(&self) -> Duration {
        let others = (self.running.len() + self.stopped.len()).saturating_sub(1);
        if self.stopped.is_empty() || self.stopped.len() >= others {
            return self.bound;
        }
        let share = self.stopped.len() as f64 / others as f64;
        let attempts = libm::ceil(math::ln(UNLUCKY) / math::ln(share));
        self.bound + RECONNECT_EVERY * attempts as u64
    }

    /// Looks at the pool as it is now; call it now and then, and at the end. While faults last, and for
    /// [its patience](Self::patience) after, nothing is judged.
    pub fn check(&mut self, now: Time) {
        let calm = now.since(self.disturbed);
        if self.faults > 0 || calm <= self.patience() {
            return;
        }
        let wronged =
            self.dead.iter().filter(|(about, _)| self.running.contains(about)).find_map(|(about, holders)| {
                let by = holders.iter().find(|by| self.running.contains(by))?;
                Some((by, about))
            });
        self.tally.check(now, wronged.is_none(), || match wronged {
            Some((by, about)) => format!("{by} still holds {about} for dead, {calm} after the last fault"),
            None => String::new(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn changed(before: State, after: State, incarnation: u32) -> Fact {
        Fact::Changed { by: Member(0), about: Member(1), before, after, incarnation }
    }

    #[test]
    fn an_incarnation_that_goes_back_is_noticed_unless_the_row_is_new() {
        for (facts, violations) in [
            (vec![changed(State::Absent, State::Alive, 4), changed(State::Alive, State::Suspect, 4)], 0),
            (vec![changed(State::Absent, State::Alive, 4), changed(State::Alive, State::Dead, 3)], 1),
            (vec![changed(State::Absent, State::Alive, 4), changed(State::Absent, State::Alive, 1)], 0),
            (
                vec![
                    changed(State::Absent, State::Alive, 4),
                    Fact::Started(Member(0)),
                    changed(State::Dead, State::Alive, 1),
                ],
                0,
            ),
        ] {
            let mut law = IncarnationNeverGoesBack::default();
            for fact in facts {
                law.observe(&Observation { at: at(1), fact });
            }
            assert_eq!(law.tally.violations, violations, "{:?}", law.tally.first);
        }
    }

    #[test]
    fn a_live_member_may_be_dead_to_another_only_while_faults_excuse_it() {
        let mut law = NotDeadForEver::new(Duration::from_secs(90));
        let mut tell = |seconds, fact| {
            law.observe(&Observation { at: at(seconds), fact });
            law.check(at(seconds + 89));
            law.tally.violations
        };
        tell(0, Fact::Started(Member(0)));
        tell(0, Fact::Started(Member(1)));
        tell(10, Fact::FaultBegan);
        assert_eq!(tell(20, changed(State::Suspect, State::Dead, 1)), 0);
        assert_eq!(tell(400, Fact::FaultEnded), 0);
        law.check(at(490));
        assert_eq!(law.tally.violations, 0);
        law.check(at(491));
        assert_eq!(law.tally.violations, 1);
        law.observe(&Observation { at: at(492), fact: changed(State::Dead, State::Alive, 2) });
        law.check(at(600));
        assert_eq!(law.tally.violations, 1);
    }

    #[test]
    fn members_that_are_really_dead_cost_attempts_to_reconnect() {
        // Of eleven others each; 0.545^23 and 0.91^145 are the first below a millionth.
        for (stopped, attempts) in [(0, 0), (6, 23), (10, 145), (11, 0)] {
            let mut law = NotDeadForEver::new(Duration::from_secs(90));
            let mut tell = |fact| law.observe(&Observation { at: at(0), fact });
            (0..12).for_each(|member| tell(Fact::Started(Member(member))));
            (0..stopped).for_each(|member| tell(Fact::Stopped(Member(11 - member))));
            tell(changed(State::Suspect, State::Dead, 1));
            law.check(at(90 + 30 * attempts));
            assert_eq!(law.tally.checks, 0, "{stopped} stopped");
            law.check(at(91 + 30 * attempts));
            assert_eq!((law.tally.checks, law.tally.violations), (1, u64::from(stopped < 11)), "{stopped} stopped");
        }
    }

    #[test]
    fn the_dead_and_the_left_are_rightly_dead() {
        for fact in [Fact::Stopped(Member(1)), changed(State::Dead, State::Left, 1)] {
            let mut law = NotDeadForEver::new(Duration::from_secs(90));
            let facts =
                [Fact::Started(Member(0)), Fact::Started(Member(1)), changed(State::Suspect, State::Dead, 1), fact];
            for fact in facts {
                law.observe(&Observation { at: at(1), fact });
            }
            law.check(at(1_000));
            assert_eq!((law.tally.checks, law.tally.violations), (1, 0));
        }
    }
}
