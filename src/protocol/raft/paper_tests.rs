//! Claims of the Raft papers, and of HashiCorp raft where it differs.

use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::Input;
use crate::base::time::Duration;
use crate::protocol::raft::Config;
use crate::protocol::raft::Index;
use crate::protocol::raft::Msg;
use crate::protocol::raft::PreVote;
use crate::protocol::raft::Snapshot;
use crate::protocol::raft::State;
use crate::protocol::raft::Term;
use crate::protocol::raft::Timer;
use crate::protocol::raft::VoteKind;
use crate::protocol::raft::node::Role;
use crate::protocol::raft::testing::Script;
use crate::protocol::raft::testing::Sync;

fn cluster(names: &[u32]) -> Script {
    Script::new(names, &Config { pre_vote: PreVote::Off, ..Config::default() }, Sync::AtOnce)
}

fn ask(from: u32, kind: VoteKind, term: u64, last: (u64, u64)) -> Input<Msg<super::testing::Word>, Timer> {
    let (last_index, last_term) = (Index(last.0), Term(last.1));
    Input::Message {
        from: ProcessId(from),
        msg: Msg::RequestVote { round: 1, kind, term: Term(term), last_index, last_term },
    }
}

/// Whether the last answer among the lines grants the vote.
fn granted(script: &mut Script) -> bool {
    let lines = script.lines();
    let answer = lines.iter().rfind(|line| line.contains("Vote term=")).expect("a request for a vote is answered");
    answer.ends_with("ok")
}

#[test]
fn raft_5_2_a_majority_of_votes_makes_a_leader_and_its_first_entry_is_committed() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    assert_eq!((script.node(1).state(), script.node(1).term()), (State::Leader, Term(1)));
    assert_eq!(script.node(2).leader(), Some(ProcessId(1)));
    assert_eq!(script.node(1).commit_index(), Index(1));
}

#[test]
fn raft_5_2_a_server_votes_once_per_term_restarts_included() {
    let mut script = cluster(&[1, 2, 3]);
    script.input(2, ask(1, VoteKind::Real, 1, (0, 0)));
    assert!(granted(&mut script));
    script.crash(2);
    script.restart(2);
    script.input(2, ask(3, VoteKind::Real, 1, (0, 0)));
    assert!(!granted(&mut script));
    script.input(2, ask(1, VoteKind::Real, 1, (0, 0)));
    assert!(granted(&mut script), "the same candidate may ask again");
}

#[test]
fn raft_5_2_a_vote_is_not_given_before_it_is_durable() {
    let mut script = Script::new(&[1, 2, 3], &Config::default(), Sync::ByHand);
    script.input(2, ask(1, VoteKind::Real, 1, (0, 0)));
    assert!(!script.lines().iter().any(|line| line.contains("->")));
    script.crash(2);
    script.restart(2);
    assert_eq!(script.node(2).term(), Term(0), "nothing of it had reached the disk");
    script.input(2, ask(3, VoteKind::Real, 1, (0, 0)));
    script.sync(2);
    assert!(granted(&mut script));
}

#[test]
fn raft_5_3_a_conflicting_tail_is_replaced_by_the_leaders() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.isolate(1, true);
    for word in 1..=3 {
        assert!(script.propose(1, word));
    }
    script.deliver();
    script.elect(2);
    assert!(script.propose(2, 9));
    script.deliver();
    script.isolate(1, false);
    script.replicate(2);
    for _ in 0..20 {
        script.pass(Duration::from_secs(11));
        script.fire(2, Timer::Due(0));
        script.replicate(2);
    }
    assert_eq!(script.node(1).state(), State::Follower);
    assert_eq!(script.node(1).last_entry(), script.node(2).last_entry());
    assert_eq!(script.node(1).commit_index(), script.node(2).commit_index());
    let lines = script.lines();
    assert!(lines.contains(&"1 cuts its log at 2".to_owned()), "{lines:?}");
    assert!(lines.contains(&"1 applies 3: 9".to_owned()) && !lines.contains(&"1 applies 2: 1".to_owned()));
}

#[test]
fn raft_5_4_1_a_candidate_with_an_older_log_gets_no_vote() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.propose(1, 5);
    script.deliver();
    script.crash(1);
    script.nodes.get_mut(&2).unwrap().leader = None;
    for (last, expected) in [((9, 0), false), ((1, 1), false), ((2, 1), true)] {
        let term = script.node(2).term().0 + 1;
        script.input(2, ask(3, VoteKind::Real, term, last));
        assert_eq!(granted(&mut script), expected, "last entry {last:?}");
    }
}

#[test]
fn raft_5_4_2_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() {
    let config = Config { pre_vote: PreVote::Off, append_entries_max: 1, ..Config::default() };
    let mut script = Script::new(&[1, 2, 3, 4, 5], &config, Sync::AtOnce);
    script.elect(1);
    let old = script.node(1).last_entry().0.next();
    // Server 1 stores an entry that reaches nobody, and comes back to lead the next term.
    script.isolate(1, true);
    script.propose(1, 2);
    script.deliver();
    script.crash(1);
    script.isolate(1, false);
    script.restart(1);
    script.lines();
    script.elect(1);
    // The old entry travels alone and is on all servers before the first entry of the new term is on any other.
    let lines = script.lines();
    let place = |line: String| lines.iter().position(|told| *told == line);
    assert!(
        place(format!("5 stores entry {old} of term 1")) < place(format!("2 stores entry {} of term 2", old.next()))
    );
    assert_eq!(place(format!("1 commits up to {old}")), None, "{lines:?}");
    assert!(place(format!("1 commits up to {}", old.next())).is_some(), "both are committed together");
}

#[test]
fn raft_7_entries_after_an_installed_image_stay_if_the_log_agrees_with_it() {
    for (term, last) in [(Term(1), Index(3)), (Term(9), Index(2))] {
        let mut script = cluster(&[1, 2, 3]);
        script.elect(1);
        script.propose(1, 5);
        script.propose(1, 6);
        script.isolate(2, true);
        script.deliver();
        script.isolate(2, false);
        let mut node = script.nodes.remove(&1).expect("it is there");
        let (hash, configuration) =
            (node.durable.log.hash_at(Index(2)).unwrap_or_default(), node.membership.latest.clone());
        let image = Snapshot {
            index: Index(2),
            term,
            hash,
            configuration,
            configuration_index: Index::ZERO,
            state: 5,
            bytes: 100,
        };
        node.commit = Index(1);
        node.role = Role::Follower;
        script.nodes.insert(1, node);
        let msg = Msg::InstallSnapshot { seq: 1, term: Term(9), snapshot: Arc::new(image) };
        script.input(1, Input::Message { from: ProcessId(2), msg });
        assert_eq!((script.node(1).last_entry().0, script.node(1).commit_index()), (last, Index(2)));
    }
}

#[test]
fn raft_8_a_verified_leader_had_a_quorum_after_the_question() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.lines();
    assert!(script.verify(1));
    assert!(!script.lines().iter().any(|line| line.contains("still leads")));
    script.deliver();
    assert!(script.lines().contains(&"1 still leads (ticket 1)".to_owned()));
    assert!(!script.verify(2), "a follower cannot be verified");
}

#[test]
fn thesis_9_6_a_pre_vote_changes_nothing_at_the_one_asked() {
    let mut script = cluster(&[1, 2, 3]);
    script.input(2, ask(1, VoteKind::Pre, 7, (0, 0)));
    assert!(granted(&mut script));
    assert_eq!((script.node(2).term(), script.node(2).last_contact()), (Term(0), None));
}

#[test]
fn thesis_9_6_a_server_cut_off_does_not_raise_its_term_with_pre_vote() {
    for (pre_vote, raised) in [(PreVote::On, false), (PreVote::Off, true)] {
        let config = Config { pre_vote, ..Config::default() };
        let mut script = Script::new(&[1, 2, 3], &config, Sync::AtOnce);
        script.elect(1);
        let term = script.node(3).term();
        script.isolate(3, true);
        script.pass(Duration::from_secs(5));
        script.fire(3, Timer::Contact);
        script.deliver();
        for _ in 0..3 {
            script.fire(3, Timer::Election);
            script.deliver();
        }
        assert_eq!(script.node(3).term() > term, raised);
    }
}

#[test]
fn hashicorp_a_known_leader_is_defended_before_terms_are_compared() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.input(2, ask(3, VoteKind::Real, 99, (99, 99)));
    assert!(!granted(&mut script));
    assert_eq!(script.node(2).term(), Term(1), "the term of a refused candidate is not adopted");
    script.input(2, ask(3, VoteKind::Transfer, 99, (99, 99)));
    assert!(granted(&mut script), "a candidate the leader handed over to is heard");
}

#[test]
fn hashicorp_contact_does_not_move_the_followers_timer() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.lines();
    script.pass(Duration::from_millis(999));
    script.fire(2, Timer::Contact);
    assert_eq!(script.node(2).state(), State::Follower);
    assert_eq!(script.lines().len(), 1, "the timer is armed again and nothing else happens");
    script.pass(Duration::from_millis(1));
    script.fire(2, Timer::Contact);
    assert_eq!(script.node(2).state(), State::Candidate);
}

#[test]
fn hashicorp_heartbeats_are_answered_while_the_main_loop_waits_for_the_disk() {
    let mut script = Script::new(&[1, 2, 3], &Config::default(), Sync::ByHand);
    script.input(2, ask(1, VoteKind::Real, 1, (0, 0)));
    script.sync(2);
    script.lines();
    script.input(2, ask(3, VoteKind::Real, 2, (0, 0)));
    let beat = Msg::Heartbeat { seq: 1, term: Term(1) };
    script.input(2, Input::Message { from: ProcessId(1), msg: beat });
    let pre = ask(1, VoteKind::Pre, 9, (0, 0));
    script.input(2, pre);
    let lines = script.lines();
    assert!(lines.contains(&"2 -> 1 HeartbeatReply term=1 ok".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("Vote term=")), "votes wait for the disk: {lines:?}");
    script.sync(2);
    let lines = script.lines();
    assert!(lines.iter().any(|line| line.contains("2 -> 1 Vote term=")), "{lines:?}");
}

#[test]
fn hashicorp_what_gathers_during_a_write_is_written_together() {
    let mut script = Script::new(&[1], &Config::default(), Sync::ByHand);
    script.fire(1, Timer::Contact);
    script.sync(1);
    assert!(script.node(1).is_leader());
    script.lines();
    for word in 1..=4 {
        assert!(script.propose(1, word));
    }
    script.sync(1);
    let lines = script.lines();
    let writes = lines.iter().filter(|line| line.contains("writes")).count();
    assert_eq!(writes, 2, "one for the first, one for the three that waited: {lines:?}");
    assert_eq!(script.node(1).commit_index(), Index(5));
}

#[test]
fn hashicorp_leadership_is_handed_over_without_pre_vote_and_proposals_are_refused_meanwhile() {
    let mut script = Script::new(&[1, 2, 3], &Config::default(), Sync::AtOnce);
    script.elect(1);
    script.lines();
    assert!(script.transfer(1, 3));
    assert!(!script.propose(1, 1));
    script.deliver();
    assert_eq!((script.node(3).state(), script.node(3).term()), (State::Leader, Term(2)));
    assert!(!script.lines().iter().any(|line| line.contains("PreVote")));
}

#[test]
fn hashicorp_a_leader_without_contact_to_a_quorum_steps_down_before_anybody_stands() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    script.isolate(1, true);
    script.pass(Duration::from_millis(500));
    script.fire(1, Timer::Lease);
    assert_eq!((script.node(1).state(), script.node(1).leader()), (State::Follower, None));
}

#[test]
fn hashicorp_what_was_tested_before_the_term_was_written_is_not_tested_again() {
    let mut script = Script::new(&[1, 2, 3], &Config::default(), Sync::ByHand);
    script.input(2, ask(1, VoteKind::Real, 1, (0, 0)));
    script.sync(2);
    script.input(2, ask(3, VoteKind::Real, 2, (0, 0)));
    script.input(2, Input::Message { from: ProcessId(1), msg: Msg::Heartbeat { seq: 1, term: Term(1) } });
    assert_eq!(script.node(2).leader(), Some(ProcessId(1)));
    script.sync(2);
    assert!(granted(&mut script), "the old leader spoke up after the test of loyalty");
}

#[test]
fn hashicorp_a_rejected_request_of_a_pipeline_only_ends_the_pipeline() {
    let mut script = cluster(&[1, 2, 3]);
    script.elect(1);
    assert!(script.node(1).peers[0].progress.pipeline);
    script.nodes.get_mut(&2).expect("it is there").durable.log.truncate(Index(1));
    script.lines();
    assert!(script.propose(1, 5));
    script.deliver();
    let sent = |script: &mut Script| script.lines().iter().filter(|line| line.starts_with("1 -> 2 Append")).count();
    assert_eq!(sent(&mut script), 1, "it is not sent again at once");
    let progress = &script.node(1).peers[0].progress;
    assert_eq!((progress.pipeline, progress.failures, progress.next), (false, 0, Index(2)));
    script.replicate(1);
    assert_eq!(sent(&mut script), 2, "at the next occasion one that fails, and one with all that is missing");
    assert_eq!(script.node(2).last_entry().0, Index(2));
}

#[test]
fn hashicorp_a_leader_has_the_more_patience_with_an_image_the_larger_it_is() {
    for (bytes, seconds) in [(100, 10), (300 * 1_024, 10), (1_024 * 1_024, 40)] {
        let mut script = cluster(&[1, 2, 3]);
        script.elect(1);
        let node = script.nodes.get_mut(&1).expect("it is there");
        let (last, term) = node.last_entry();
        node.durable.snapshot = Some(Arc::new(Snapshot {
            index: last,
            term,
            hash: 0,
            configuration: node.membership.latest.clone(),
            configuration_index: Index::ZERO,
            state: 0,
            bytes,
        }));
        node.durable.log.compact(last);
        node.peers[0].progress.next = last;
        node.peers[0].progress.pipeline = false;
        script.isolate(2, true);
        script.fire(1, Timer::Replicate(0));
        script.deliver();
        for second in 1..=seconds {
            assert_eq!(script.node(1).peers[0].progress.failures, 0, "{bytes} bytes, {second} s");
            script.pass(Duration::from_secs(1));
            script.fire(1, Timer::Due(0));
        }
        assert_eq!(script.node(1).peers[0].progress.failures, 1, "{bytes} bytes");
    }
}
