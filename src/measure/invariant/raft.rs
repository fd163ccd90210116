//! The laws of Raft (extended paper, figure 3), and those that keep its implementation honest.
//!
//! The observers keep a record of their own: each server's log as it became durable, what was committed and applied,
//! who led and voted. They are fed with [`Observation`]s of one group of servers, in the order things happened, and
//! count votes for themselves. Logs are remembered for the last 32 768 to 65 536 entries per server; what is older is
//! not compared.
//!
//! Two laws rest on timing, [`LeaseSafety`] and [`PreVoteSafety`]. What may upset it beyond what Raft promises is told
//! to [`Laws::excuse`], and nothing is judged until it is over.

mod configurations;
mod elections;
mod entries;
mod liveness;
mod logs;

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::measure::invariant::Tally;
use crate::protocol::raft::Command;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Event;
use crate::protocol::raft::Index;
use crate::protocol::raft::PreVote;
use crate::protocol::raft::State;
use crate::protocol::raft::Suffrage;
use crate::protocol::raft::Term;

pub use configurations::ConfigurationSafety;
pub use elections::ElectionSafety;
pub use elections::LeaseSafety;
pub use elections::PreVoteSafety;
pub use elections::VoteSafety;
pub use entries::CommitSafety;
pub use entries::LeaderAppendOnly;
pub use entries::LeaderCompleteness;
pub use entries::LogMatching;
pub use entries::StateMachineSafety;
pub use liveness::Liveness;

/// Something that happened at one server.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When.
    pub at: Time,
    /// Where.
    pub who: ProcessId,
    /// What.
    pub fact: Fact,
}

/// What happened, as far as the laws are concerned.
#[derive(Debug, Clone)]
pub enum Fact {
    /// The process came back after a crash; what was volatile is gone.
    Restarted,
    /// The process is gone.
    Stopped,
    /// The server is now this.
    Became(State, Term),
    /// A term became durable.
    Term(Term),
    /// A vote became durable.
    Voted {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: ProcessId,
    },
    /// An entry became durable.
    Appended {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// Hash of its content alone.
        digest: u64,
    },
    /// The log was cut from here on.
    Truncated(Index),
    /// The server considers this index committed.
    Committed(Index),
    /// A committed entry reached the state machine, or was passed because consensus made it for itself.
    Applied {
        /// Its place.
        index: Index,
        /// Its term.
        term: Term,
        /// The server's hash of its log up to it.
        hash: u64,
    },
    /// The state machine was replaced by an image.
    Restored {
        /// The last entry it contains.
        index: Index,
        /// Its term.
        term: Term,
        /// The hash of the log up to it.
        hash: u64,
    },
    /// The configuration in use at this server changed.
    Configured {
        /// Where it stands in the log; zero if it is the founding one.
        index: Index,
        /// What it is now.
        configuration: Arc<Configuration>,
    },
    /// The server, a leader, hands leadership to another one.
    HandsOver,
    /// Nobody took it: the server goes on to lead.
    KeepsLeading,
    /// From now on nothing passes between the server and any other, either way.
    CutOff,
    /// The server may hear others again.
    Rejoined,
}

/// What the laws that rest on timing have to know of a group.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which a follower looks for a new leader.
    pub heartbeat: Duration,
    /// Whether candidates ask first.
    pub pre_vote: PreVote,
}

impl Fact {
    /// What an event of a server tells; `None` if the laws do not care.
    pub fn of<E: Command>(event: &Event<E>) -> Option<Self> {
        match event {
            Event::StateChanged { state, term } => Some(Self::Became(*state, *term)),
            Event::TermChanged { term } => Some(Self::Term(*term)),
            Event::VoteGranted { term, candidate } => Some(Self::Voted { term: *term, candidate: *candidate }),
            Event::Appended { index, term, digest, .. } => {
                Some(Self::Appended { index: *index, term: *term, digest: *digest })
            }
            Event::Truncated { from } => Some(Self::Truncated(*from)),
            Event::Committed { index } => Some(Self::Committed(*index)),
            Event::Apply { index, term, hash, .. } | Event::Passed { index, term, hash, .. } => {
                Some(Self::Applied { index: *index, term: *term, hash: *hash })
            }
            Event::Restore { snapshot } => {
                Some(Self::Restored { index: snapshot.index, term: snapshot.term, hash: snapshot.hash })
            }
            Event::ConfigurationChanged { index, configuration } => {
                Some(Self::Configured { index: *index, configuration: Arc::clone(configuration) })
            }
            Event::TransferStarted { .. } => Some(Self::HandsOver),
            Event::TransferFailed => Some(Self::KeepsLeading),
            Event::LeaderChanged { .. }
            | Event::LeadershipGained { .. }
            | Event::LeadershipLost { .. }
            | Event::Verified { .. }
            | Event::SnapshotDue
            | Event::SnapshotStored { .. } => None,
        }
    }
}

/// A law that is checked while the run goes on.
pub trait Law {
    /// Its name in reports: `raft.election_safety`.
    fn name(&self) -> &'static str;
    /// Takes note of what happened.
    fn see(&mut self, seen: &Observation);
    /// What it has found so far.
    fn tally(&self) -> &Tally;
}

/// All laws of one group of servers.
#[derive(Debug, Clone)]
pub struct Laws {
    /// At most one leader per term.
    pub election_safety: ElectionSafety,
    /// A leader only adds to its log.
    pub leader_append_only: LeaderAppendOnly,
    /// Entries with equal index and term have equal histories.
    pub log_matching: LogMatching,
    /// A new leader has everything that was committed before.
    pub leader_completeness: LeaderCompleteness,
    /// All apply the same, in order, without gaps.
    pub state_machine_safety: StateMachineSafety,
    /// What is committed is on a quorum, and stays committed.
    pub commit_safety: CommitSafety,
    /// Terms grow, and one vote per term.
    pub vote_safety: VoteSafety,
    /// One change of the configuration at a time, of one voter at most.
    pub configuration_safety: ConfigurationSafety,
    /// Who led has stopped when another is elected.
    pub lease_safety: LeaseSafety,
    /// Who is cut off keeps its term.
    pub pre_vote_safety: PreVoteSafety,
}

impl Laws {
    /// The laws for a group founded with this configuration.
    pub fn new(founding: &Configuration, timing: Timing) -> Self {
        Self {
            election_safety: ElectionSafety::default(),
            leader_append_only: LeaderAppendOnly::default(),
            log_matching: LogMatching::default(),
            leader_completeness: LeaderCompleteness::default(),
            state_machine_safety: StateMachineSafety::default(),
            commit_safety: CommitSafety::new(founding),
            vote_safety: VoteSafety::default(),
            configuration_safety: ConfigurationSafety::new(founding),
            lease_safety: LeaseSafety::new(timing),
            pre_vote_safety: PreVoteSafety::new(founding, timing),
        }
    }

    /// Until then, processes may stand still or answers come late: nothing is judged that rests on timing.
    pub fn excuse(&mut self, until: Time) {
        self.lease_safety.excuse(until);
        self.pre_vote_safety.excuse(until);
    }

    /// Shows an observation to each law.
    pub fn see(&mut self, seen: &Observation) {
        self.election_safety.see(seen);
        self.leader_append_only.see(seen);
        self.log_matching.see(seen);
        self.leader_completeness.see(seen);
        self.state_machine_safety.see(seen);
        self.commit_safety.see(seen);
        self.vote_safety.see(seen);
        self.configuration_safety.see(seen);
        self.lease_safety.see(seen);
        self.pre_vote_safety.see(seen);
    }

    /// Each law: those of the paper in its order, then the others.
    pub fn each(&self) -> [&dyn Law; 10] {
        [
            &self.election_safety,
            &self.leader_append_only,
            &self.log_matching,
            &self.leader_completeness,
            &self.state_machine_safety,
            &self.commit_safety,
            &self.vote_safety,
            &self.configuration_safety,
            &self.lease_safety,
            &self.pre_vote_safety,
        ]
    }
}

/// Those with a vote, read from the list of servers.
pub fn voters(configuration: &Configuration) -> impl Iterator<Item = ProcessId> {
    configuration.servers().iter().filter(|(_, suffrage)| *suffrage == Suffrage::Voter).map(|(server, _)| *server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::entry::NomadEntry;

    const A: ProcessId = ProcessId(1);
    const B: ProcessId = ProcessId(2);
    const C: ProcessId = ProcessId(3);

    fn appended(index: u64, term: u64, digest: u64) -> Fact {
        Fact::Appended { index: Index(index), term: Term(term), digest }
    }

    fn applied(index: u64, hash: u64) -> Fact {
        Fact::Applied { index: Index(index), term: Term(1), hash }
    }

    fn leads(term: u64) -> Fact {
        Fact::Became(State::Leader, Term(term))
    }

    /// Shows the story, one millisecond apart, and expects the law to hold until its last line, which breaks it.
    fn breaks(mut law: impl Law, story: Vec<(ProcessId, Fact)>) {
        let count = story.len();
        for (step, (who, fact)) in story.into_iter().enumerate() {
            assert_eq!(law.tally().violations, 0, "{} broke before step {step}", law.name());
            law.see(&Observation { at: Time::from_nanos(step as u64 * 1_000_000), who, fact });
        }
        assert_eq!(law.tally().violations, 1, "{} must notice step {count}", law.name());
        assert!(law.tally().first.is_some());
    }

    #[test]
    fn two_leaders_in_a_term_are_noticed() {
        breaks(ElectionSafety::default(), vec![(A, leads(1)), (B, leads(2)), (A, leads(1)), (B, leads(1))]);
    }

    #[test]
    fn a_leader_that_cuts_or_overwrites_is_noticed() {
        let cut = || Fact::Truncated(Index(1));
        let start = vec![(A, appended(1, 1, 0)), (A, cut()), (A, leads(2)), (A, appended(1, 2, 0))];
        breaks(LeaderAppendOnly::default(), [start.clone(), vec![(A, cut())]].concat());
        breaks(LeaderAppendOnly::default(), [start, vec![(A, appended(1, 2, 1))]].concat());
    }

    #[test]
    fn a_differing_entry_or_history_is_noticed() {
        breaks(LogMatching::default(), vec![(A, appended(1, 1, 7)), (B, appended(1, 1, 8))]);
        let history =
            vec![(A, appended(1, 1, 7)), (A, appended(2, 3, 9)), (B, appended(1, 2, 7)), (B, appended(2, 3, 9))];
        breaks(LogMatching::default(), history);
    }

    #[test]
    fn a_leader_without_a_committed_entry_is_noticed() {
        let story = vec![
            (A, Fact::Term(Term(1))),
            (A, appended(1, 1, 7)),
            (B, appended(1, 1, 7)),
            (A, Fact::Committed(Index(1))),
            (B, leads(2)),
            (C, leads(1)),
            (C, leads(3)),
        ];
        breaks(LeaderCompleteness::default(), story);
    }

    #[test]
    fn applying_something_else_or_leaving_a_gap_is_noticed() {
        breaks(StateMachineSafety::default(), vec![(A, applied(1, 5)), (B, applied(1, 6))]);
        breaks(StateMachineSafety::default(), vec![(A, applied(1, 5)), (A, applied(3, 6))]);
        breaks(
            StateMachineSafety::default(),
            vec![(A, applied(1, 5)), (A, Fact::Restarted), (A, applied(1, 5)), (A, applied(1, 5))],
        );
    }

    #[test]
    fn a_commit_without_a_quorum_or_backwards_is_noticed() {
        let law = || CommitSafety::new(&Configuration::of_voters(&[A, B, C]));
        let commit = |index| Fact::Committed(Index(index));
        breaks(law(), vec![(A, appended(1, 1, 7)), (C, appended(1, 2, 7)), (A, commit(1))]);
        let fine = vec![(A, appended(1, 1, 7)), (A, appended(2, 1, 7)), (B, appended(1, 1, 7)), (B, appended(2, 1, 7))];
        breaks(law(), [fine.clone(), vec![(A, commit(2)), (A, commit(1))]].concat());
        breaks(law(), [fine.clone(), vec![(A, commit(2)), (C, commit(2))]].concat());
        breaks(law(), [fine, vec![(A, commit(1)), (A, applied(1, 7)), (A, applied(2, 7))]].concat());
    }

    #[test]
    fn a_second_vote_or_a_term_that_falls_is_noticed() {
        let vote = |term, candidate| Fact::Voted { term: Term(term), candidate };
        breaks(VoteSafety::default(), vec![(A, vote(1, B)), (A, vote(1, B)), (A, Fact::Restarted), (A, vote(1, C))]);
        breaks(VoteSafety::default(), vec![(A, Fact::Term(Term(3))), (A, Fact::Restarted), (A, Fact::Term(Term(2)))]);
    }

    const TIMING: Timing = Timing { heartbeat: Duration::from_millis(2), pre_vote: PreVote::On };

    fn quiet() -> (ProcessId, Fact) {
        (C, Fact::Term(Term(1)))
    }

    #[test]
    fn a_second_change_before_the_first_is_committed_or_one_of_two_voters_is_noticed() {
        let law = || ConfigurationSafety::new(&Configuration::of_voters(&[A, B, C]));
        let configured = |who, index, voters: &[ProcessId]| {
            let configuration = Arc::new(Configuration::of_voters(voters));
            (who, Fact::Configured { index: Index(index), configuration })
        };
        let (first, second) = (configured(A, 2, &[A, B]), configured(A, 3, &[A]));
        breaks(law(), vec![first.clone(), (A, appended(3, 1, 0)), second.clone()]);
        let fine = vec![
            first.clone(),
            (A, Fact::Truncated(Index(2))),
            (A, appended(2, 2, 0)),
            first,
            (A, Fact::Committed(Index(2))),
            second,
            configured(B, 2, &[A, B]),
        ];
        breaks(law(), [fine, vec![configured(A, 4, &[A, B])]].concat());
        breaks(law(), vec![configured(A, 2, &[A]), (A, Fact::Committed(Index(2)))]);
    }

    #[test]
    fn a_leader_that_holds_on_when_another_is_elected_is_noticed() {
        let law = || LeaseSafety::new(TIMING);
        let calm = vec![quiet(), quiet(), (A, leads(1)), quiet(), quiet()];
        breaks(law(), [calm.clone(), vec![(B, leads(2))]].concat());
        let fact = |event: Event<NomadEntry>| (A, Fact::of(&event).expect("it matters"));
        let kept = vec![fact(Event::TransferStarted { target: B }), quiet(), quiet(), fact(Event::TransferFailed)];
        breaks(law(), [calm.clone(), kept.clone(), vec![quiet(), (B, leads(2))]].concat());
        let excuses = [vec![(A, Fact::HandsOver)], kept, vec![(C, Fact::Restarted)], vec![(A, Fact::Stopped)]];
        for excuse in excuses {
            let quiet = || vec![quiet(), quiet()];
            let story = [calm.clone(), excuse, vec![(B, leads(2)), (A, leads(3))], quiet(), vec![(C, leads(4))]];
            breaks(law(), story.concat());
        }
    }

    #[test]
    fn a_server_that_is_cut_off_and_enters_another_term_is_noticed() {
        let law = || PreVoteSafety::new(&Configuration::of_voters(&[A, B, C]), TIMING);
        let stands = (A, Fact::Became(State::Candidate, Term(1)));
        let start = vec![(A, Fact::CutOff), (A, Fact::Term(Term(1))), quiet(), quiet(), stands];
        breaks(law(), [start.clone(), vec![(A, Fact::Term(Term(2)))]].concat());
        let again = vec![(A, Fact::Rejoined), (A, Fact::Term(Term(2)))];
        breaks(law(), [start.clone(), again, start, vec![(A, Fact::Voted { term: Term(2), candidate: A })]].concat());
    }

    #[test]
    fn missing_leaders_and_commits_are_noticed() {
        let ms = Duration::from_millis;
        let mut law = Liveness::new(ms(3), ms(2));
        law.faults_ended(Time::ZERO);
        let quiet = |term| (A, Fact::Term(Term(term)));
        breaks(law.clone(), vec![quiet(1), quiet(2), quiet(3), quiet(4), quiet(5)]);
        let led = vec![quiet(1), (A, leads(1)), (A, Fact::Committed(Index(1))), (B, leads(2)), quiet(2), quiet(3)];
        breaks(law.clone(), [led, vec![quiet(4)]].concat());
        law.fault_began();
        law.look(Time::NEVER);
        assert_eq!(law.tally().violations, 0);
    }
}
