//! A cluster driven by hand: nothing happens unless the test says so. Paper tests and transcripts stand on it.

use std::fmt;

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::machine::Input;
use crate::base::machine::Kept;
use crate::base::machine::Machine;
use crate::base::machine::Token;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::rng::Rng;
use crate::base::time::Duration;
use crate::base::time::Time;
use crate::protocol::raft::Command;
use crate::protocol::raft::Config;
use crate::protocol::raft::Configuration;
use crate::protocol::raft::Event;
use crate::protocol::raft::Internal;
use crate::protocol::raft::Msg;
use crate::protocol::raft::RaftNode;
use crate::protocol::raft::State;
use crate::protocol::raft::Timer;

/// A command for tests: a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(pub(super) u64);

impl Command for Word {
    type Snapshot = u64;

    fn bytes(&self) -> u32 {
        8
    }

    fn fingerprint(&self) -> u64 {
        self.0
    }
}

/// When writes reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// As soon as they are issued.
    AtOnce,
    /// When [`Script::sync`] is called.
    ByHand,
}

/// What is under way.
#[derive(Debug)]
struct Outside {
    now: Time,
    sync: Sync,
    flying: Vec<(u32, u32, Msg<Word>)>,
    writes: Vec<(u32, Token)>,
    lines: Vec<String>,
}

/// The cluster.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) nodes: OrdMap<u32, RaftNode<Word>>,
    outside: Outside,
    down: OrdSet<u32>,
    cut: OrdSet<(u32, u32)>,
}

struct Effects<'a> {
    at: u32,
    outside: &'a mut Outside,
}

impl Effects<'_> {
    fn say(&mut self, what: impl fmt::Display) {
        self.outside.lines.push(format!("{} {what}", self.at));
    }
}

impl Fx<RaftNode<Word>> for Effects<'_> {
    fn send(&mut self, to: ProcessId, msg: Msg<Word>) {
        self.say(format_args!("-> {} {msg}", to.0));
        self.outside.flying.push((self.at, to.0, msg));
    }

    fn arm(&mut self, timer: Timer, delay: Duration) {
        if matches!(timer, Timer::Contact | Timer::Election | Timer::Lease | Timer::Transfer) {
            self.say(format_args!("arms {timer:?} in {delay}"));
        }
    }

    fn disarm(&mut self, _timer: Timer) {}

    fn write(&mut self, token: Token, bytes: u32) {
        if self.outside.sync == Sync::ByHand {
            self.say(format_args!("writes {bytes} bytes"));
        }
        self.outside.writes.push((self.at, token));
    }

    fn compute(&mut self, _token: Token, _cost: Duration) {
        unreachable!("Raft does not compute");
    }

    fn emit(&mut self, event: Event<Word>) {
        let line = match event {
            Event::StateChanged { state, term } => format!("becomes {state} in term {term}"),
            Event::LeaderChanged { leader: Some(leader) } => format!("knows leader {}", leader.0),
            Event::LeaderChanged { leader: None } => "knows no leader".to_owned(),
            Event::TermChanged { term } => format!("enters term {term}"),
            Event::VoteGranted { term, candidate } => format!("votes for {} in term {term}", candidate.0),
            Event::Appended { index, term, .. } => format!("stores entry {index} of term {term}"),
            Event::Truncated { from } => format!("cuts its log at {from}"),
            Event::Committed { index } => format!("commits up to {index}"),
            Event::Apply { index, entry, .. } => format!("applies {index}: {}", entry.0),
            Event::Passed { index, kind, .. } => {
                let name = match kind {
                    Internal::Noop => "noop",
                    Internal::Barrier => "barrier",
                    Internal::Configuration => "configuration",
                };
                format!("passes {index}: {name}")
            }
            Event::Restore { snapshot } => format!("restores the state of {}", snapshot.index),
            Event::LeadershipGained { term } => format!("leads term {term}"),
            Event::LeadershipLost { term } => format!("no longer leads in term {term}"),
            Event::Verified { ticket } => format!("still leads (ticket {ticket})"),
            Event::TransferStarted { target } => format!("hands over to {}", target.0),
            Event::TransferFailed => "keeps leadership".to_owned(),
            Event::SnapshotDue => "wants a snapshot".to_owned(),
            Event::SnapshotStored { index } => format!("has a snapshot of {index}"),
            Event::ConfigurationChanged { configuration, .. } => {
                let voters: Vec<String> = configuration.voters().map(|id| id.0.to_string()).collect();
                format!("counts votes of {}", voters.join(" "))
            }
        };
        self.say(line);
    }
}

impl Script {
    /// Voters with these names, started.
    pub(super) fn new(names: &[u32], config: &Config, sync: Sync) -> Self {
        let ids: Vec<ProcessId> = names.iter().map(|name| ProcessId(*name)).collect();
        let node = |name: u32| {
            let rng = Rng::stream(7, &format!("{name}/raft"));
            (name, RaftNode::new(ProcessId(name), Configuration::of_voters(&ids), config.clone(), rng))
        };
        let outside = Outside { now: Time::ZERO, sync, flying: Vec::new(), writes: Vec::new(), lines: Vec::new() };
        let nodes = names.iter().map(|name| node(*name)).collect();
        let mut script = Self { nodes, outside, down: OrdSet::new(), cut: OrdSet::new() };
        for name in names {
            script.input(*name, Input::Start);
        }
        script.outside.lines.clear();
        script
    }

    pub(super) fn node(&self, name: u32) -> &RaftNode<Word> {
        &self.nodes[&name]
    }

    pub(super) fn input(&mut self, at: u32, input: Input<Msg<Word>, Timer>) {
        if self.down.contains(&at) {
            return;
        }
        self.with(at, |node, now, fx| node.handle(now, input, fx));
    }

    fn with<R>(&mut self, at: u32, run: impl FnOnce(&mut RaftNode<Word>, Time, &mut Effects<'_>) -> R) -> R {
        let node = self.nodes.get_mut(&at).expect("the script names servers that exist");
        let answer = run(node, self.outside.now, &mut Effects { at, outside: &mut self.outside });
        if self.outside.sync == Sync::AtOnce {
            self.sync(at);
        }
        answer
    }

    /// Everything this server has written reaches its disk.
    pub(super) fn sync(&mut self, at: u32) {
        while let Some(place) = self.outside.writes.iter().position(|(server, _)| *server == at) {
            let (_, token) = self.outside.writes.remove(place);
            self.input(at, Input::Done(token));
        }
    }

    pub(super) fn fire(&mut self, at: u32, timer: Timer) {
        self.input(at, Input::Fired(timer));
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.outside.now += span;
    }

    /// Delivers messages, and those they cause, until none is left. What crosses a cut or meets a dead server is lost.
    pub(super) fn deliver(&mut self) {
        while !self.outside.flying.is_empty() {
            let (from, to, msg) = self.outside.flying.remove(0);
            if !self.cut.contains(&(from, to)) {
                self.input(to, Input::Message { from: ProcessId(from), msg });
            }
        }
    }

    pub(super) fn propose(&mut self, at: u32, word: u64) -> bool {
        self.with(at, |node, now, fx| node.propose(now, Word(word), fx).is_ok())
    }

    pub(super) fn verify(&mut self, at: u32) -> bool {
        self.with(at, |node, now, fx| node.verify_leader(now, fx).is_ok())
    }

    pub(super) fn transfer(&mut self, at: u32, to: u32) -> bool {
        self.with(at, |node, now, fx| node.transfer(now, Some(ProcessId(to)), fx).is_ok())
    }

    pub(super) fn crash(&mut self, at: u32) {
        self.down.insert(at);
    }

    /// Starts a dead server again; writes that were not synced are lost.
    pub(super) fn restart(&mut self, at: u32) {
        let lost: Vec<Token> =
            self.outside.writes.iter().filter(|(by, _)| *by == at).map(|(_, token)| *token).collect();
        self.outside.writes.retain(|(by, _)| *by != at);
        let now = self.outside.now;
        self.nodes.get_mut(&at).expect("the script names servers that exist").reboot(now, &Kept { lost });
        self.down.remove(&at);
        self.input(at, Input::Start);
    }

    /// Cuts a server off from the others, or ends that.
    pub(super) fn isolate(&mut self, at: u32, yes: bool) {
        for other in self.nodes.keys().copied().filter(|other| *other != at) {
            for link in [(at, other), (other, at)] {
                if yes {
                    self.cut.insert(link)
                } else {
                    self.cut.remove(&link)
                };
            }
        }
    }

    /// Lets a server stand for election and everybody answer; the others have not heard from a leader for long.
    pub(super) fn elect(&mut self, at: u32) {
        self.pass(Duration::from_secs(10));
        for name in self.nodes.keys().copied().collect::<Vec<_>>() {
            if name != at && self.node(name).state() == State::Follower {
                self.nodes.get_mut(&name).expect("it is there").leader = None;
            }
        }
        self.fire(at, Timer::Contact);
        self.deliver();
    }

    /// One idle interval passes at a leader: it sends to everybody, and they answer.
    pub(super) fn replicate(&mut self, at: u32) {
        for peer in 0..self.nodes.len() as u16 - 1 {
            self.fire(at, Timer::Replicate(peer));
        }
        self.deliver();
    }

    /// What has happened since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.outside.lines)
    }
}
