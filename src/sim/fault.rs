//! Rules the network obeys on top of its own nature: an ordered list, each answering pass, deliver with this delay, or
//! drop; some only make the link worse and let the next rule speak.
//!
//! A rule is asked when a message leaves its sender. What is already on its way arrives.

use crate::base::id::{HostId, Id, ProcessId};
use crate::base::machine::Channel;
use crate::base::time::{Duration, Time};
use crate::base::units::BitsPerSecond;

/// Picks the ends of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Everybody.
    Any,
    /// One process.
    Process(ProcessId),
    /// A set of processes, sorted by [`Selector::processes`].
    Processes(Vec<ProcessId>),
    /// All processes of one host.
    Host(HostId),
    /// All processes of a set of hosts.
    Hosts(HostSet),
    /// All processes in one zone, by the number given in the host's specification.
    Zone(u32),
    /// All processes in one region.
    Region(u32),
    /// Everybody else.
    Not(Box<Selector>),
}

impl Selector {
    /// A set of processes.
    pub fn processes(mut set: Vec<ProcessId>) -> Self {
        set.sort_unstable();
        set.dedup();
        Self::Processes(set)
    }

    /// A set of hosts.
    pub fn hosts(set: impl IntoIterator<Item = HostId>) -> Self {
        let mut hosts = HostSet::default();
        set.into_iter().for_each(|host| hosts.insert(host));
        Self::Hosts(hosts)
    }

    fn selects(&self, end: End) -> bool {
        match self {
            Self::Any => true,
            Self::Process(process) => *process == end.process,
            Self::Processes(set) => set.binary_search(&end.process).is_ok(),
            Self::Host(host) => *host == end.host,
            Self::Hosts(set) => set.contains(end.host),
            Self::Zone(zone) => *zone == end.zone,
            Self::Region(region) => *region == end.region,
            Self::Not(other) => !other.selects(end),
        }
    }
}

/// A set of hosts, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostSet(Vec<u64>);

impl HostSet {
    fn insert(&mut self, host: HostId) {
        let word = host.index() / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (host.index() % 64);
    }

    /// Whether `host` is in the set.
    pub fn contains(&self, host: HostId) -> bool {
        self.0.get(host.index() / 64).is_some_and(|word| word >> (host.index() % 64) & 1 == 1)
    }
}

/// One end of a message, as selectors see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) process: ProcessId,
    pub(super) host: HostId,
    pub(super) zone: u32,
    pub(super) region: u32,
}

/// Which way a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Only messages from `from` to `to`.
    OneWay,
    /// Messages between the two, either way.
    BothWays,
}

/// Something done to messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Whose messages.
    pub from: Selector,
    /// To whom.
    pub to: Selector,
    /// Either way, or only one.
    pub direction: Direction,
    /// Only messages of this channel; `None` for both.
    pub channel: Option<Channel>,
    /// What happens to them.
    pub verdict: Verdict,
}

impl Rule {
    /// Nothing passes between `a` and `b`, either way.
    pub fn cut(a: Selector, b: Selector) -> Self {
        Self { from: a, to: b, direction: Direction::BothWays, channel: None, verdict: Verdict::Drop }
    }

    /// What passes between `a` and `b`, either way, suffers.
    pub fn degrade(a: Selector, b: Selector, how: Degrade) -> Self {
        Self { from: a, to: b, direction: Direction::BothWays, channel: None, verdict: Verdict::Degrade(how) }
    }

    fn applies(&self, from: End, to: End, channel: Channel) -> bool {
        self.channel.is_none_or(|only| only == channel)
            && (self.from.selects(from) && self.to.selects(to)
                || self.direction == Direction::BothWays && self.from.selects(to) && self.to.selects(from))
    }
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The message goes its normal way; later rules are not asked.
    Allow,
    /// The message arrives after exactly this delay; later rules are not asked.
    Deliver(Duration),
    /// A datagram is lost; a stream keeps trying. Later rules are not asked.
    Drop,
    /// The link is worse than it was; the next rule is asked.
    Degrade(Degrade),
}

/// How much worse a link is. [`Degrade::NONE`] changes nothing; several add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Degrade {
    /// Added to the delay.
    pub delay: Duration,
    /// Upper bound of a further delay, uniform from zero.
    pub jitter: Duration,
    /// Share of packets lost, in 0..=1. Streams see it as retransmission delay.
    pub loss: f64,
    /// When it is over, if that is known: what a stream sends again after that gets through, and what has waited for
    /// the pipe passes then.
    pub until: Time,
    /// Share of datagrams that arrive twice, in 0..=1.
    pub duplicate: f64,
    /// Share of datagrams held back by up to `reorder_delay`, in 0..=1.
    pub reorder: f64,
    /// Upper bound of that delay, uniform from zero.
    pub reorder_delay: Duration,
    /// All messages under this rule share a pipe this wide; `None` for no limit.
    pub bandwidth: Option<BitsPerSecond>,
}

impl Degrade {
    /// Nothing wrong.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        until: Time::NEVER,
        duplicate: 0.0,
        reorder: 0.0,
        reorder_delay: Duration::from_millis(10),
        bandwidth: None,
    };
}

impl Default for Degrade {
    fn default() -> Self {
        Self::NONE
    }
}

/// Names a rule, to take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u64);

/// What all rules together say of one message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ruling {
    Pass(Degrade),
    Deliver(Duration),
    Drop,
}

/// The rules in force, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    rules: Vec<(RuleId, Rule, Option<Pipe>)>,
    next: u64,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next);
        self.next += 1;
        let pipe = match &rule.verdict {
            Verdict::Degrade(how) => how.bandwidth.map(Pipe::new),
            Verdict::Allow | Verdict::Deliver(_) | Verdict::Drop => None,
        };
        self.rules.push((id, rule, pipe));
        id
    }

    pub(super) fn remove(&mut self, id: RuleId) -> bool {
        let before = self.rules.len();
        self.rules.retain(|(kept, ..)| *kept != id);
        self.rules.len() < before
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The ruling for a message of `bytes` that leaves now; it takes its share of any limited pipe.
    pub(super) fn judge(&mut self, now: Time, from: End, to: End, channel: Channel, bytes: u32) -> Ruling {
        let mut sum = Degrade::NONE;
        for (_, rule, pipe) in &mut self.rules {
            if !rule.applies(from, to, channel) {
                continue;
            }
            match &rule.verdict {
                Verdict::Allow => return Ruling::Pass(Degrade::NONE),
                Verdict::Deliver(delay) => return Ruling::Deliver(*delay),
                Verdict::Drop => return Ruling::Drop,
                Verdict::Degrade(more) => {
                    sum.delay += more.delay;
                    sum.jitter += more.jitter;
                    if more.loss > 0.0 {
                        // Of several, all losses last until the last of them ends.
                        let others = if sum.loss > 0.0 { sum.until } else { Time::ZERO };
                        sum.until = others.max(more.until);
                    }
                    sum.loss = either(sum.loss, more.loss);
                    sum.duplicate = either(sum.duplicate, more.duplicate);
                    sum.reorder = either(sum.reorder, more.reorder);
                    sum.reorder_delay = sum.reorder_delay.max(more.reorder_delay);
                    if let Some(pipe) = pipe {
                        sum.delay += pipe.occupy(now, bytes).min(more.until.since(now));
                    }
                }
            }
        }
        Ruling::Pass(sum)
    }

    /// Whether a rule may speak of messages among these: some of them are on each of its sides.
    pub(super) fn touch(&self, ends: &[End]) -> bool {
        let on = |side: &Selector| ends.iter().any(|end| side.selects(*end));
        self.rules.iter().any(|(_, rule, _)| on(&rule.from) && on(&rule.to))
    }

    /// Whether a packet could pass at all.
    pub(super) fn lets_through(&self, from: End, to: End, channel: Channel) -> bool {
        for (_, rule, _) in self.rules.iter().filter(|(_, rule, _)| rule.applies(from, to, channel)) {
            match &rule.verdict {
                Verdict::Allow | Verdict::Deliver(_) => return true,
                Verdict::Drop => return false,
                Verdict::Degrade(how) if how.loss >= 1.0 => return false,
                Verdict::Degrade(_) => {}
            }
        }
        true
    }
}

/// What packets pass through one after the other. Left out: queues of routers are short, so that what would wait for
/// more than a second is mostly lost; here it is late.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pipe {
    /// Time per byte, in 2^-32 ns.
    per_byte: u64,
    free: Time,
}

impl Pipe {
    /// An empty one of this width; of at least two bits per second, so that it ends.
    pub(super) fn new(width: BitsPerSecond) -> Self {
        let per_byte = (8_000_000_000_u128 << 32).div_ceil(u128::from(width.get().max(2)));
        Self { per_byte: u64::try_from(per_byte).unwrap_or(u64::MAX), free: Time::ZERO }
    }

    /// Waiting for the pipe and passing through it.
    #[inline]
    pub(super) fn occupy(&mut self, now: Time, bytes: u32) -> Duration {
        let passing = (u128::from(bytes) * u128::from(self.per_byte)) >> 32;
        self.free = self.free.max(now) + Duration::from_nanos(passing as u64);
        self.free.since(now)
    }
}

/// The chance that at least one of two independent things happens.
fn either(a: f64, b: f64) -> f64 {
    1.0 - (1.0 - a) * (1.0 - b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(process: u32) -> End {
        End { process: ProcessId(process), host: HostId(process), zone: process / 2, region: process / 4 }
    }

    fn rule(from: Selector, to: Selector, verdict: Verdict) -> Rule {
        Rule { from, to, direction: Direction::OneWay, channel: None, verdict }
    }

    #[test]
    fn the_first_rule_with_an_answer_decides_and_degradations_add_up() {
        let mut rules = Rules::default();
        let slow = Degrade { delay: Duration::from_millis(5), loss: 0.5, ..Degrade::NONE };
        let allowed = rules.add(rule(Selector::Process(ProcessId(1)), Selector::Any, Verdict::Allow));
        rules.add(rule(Selector::Zone(0), Selector::hosts([HostId(4)]), Verdict::Drop));
        rules.add(rule(Selector::Any, Selector::Region(1), Verdict::Degrade(slow)));
        rules.add(Rule::degrade(Selector::Region(1), Selector::Any, slow));
        let judge = |rules: &mut Rules, from, to| rules.judge(Time::ZERO, end(from), end(to), Channel::Datagram, 100);
        assert_eq!(judge(&mut rules, 1, 4), Ruling::Pass(Degrade::NONE));
        assert_eq!(judge(&mut rules, 0, 4), Ruling::Drop);
        let twice = Degrade { delay: Duration::from_millis(10), loss: 0.75, ..Degrade::NONE };
        assert_eq!(judge(&mut rules, 0, 5), Ruling::Pass(twice));
        assert_eq!(judge(&mut rules, 5, 0), Ruling::Pass(slow));
        assert!(rules.remove(allowed) && !rules.remove(allowed));
        assert_eq!(judge(&mut rules, 1, 4), Ruling::Drop);
        assert!(!rules.lets_through(end(1), end(4), Channel::Stream));
        let ends = |processes: [u32; 2]| processes.map(end);
        assert!(rules.touch(&ends([1, 4])) && rules.touch(&ends([3, 4])) && !rules.touch(&ends([2, 3])));
    }

    #[test]
    fn what_waits_for_a_pipe_passes_when_the_pipe_is_gone() {
        let until = Time::ZERO + Duration::from_secs(15);
        let narrow = Degrade { bandwidth: Some(BitsPerSecond(1_000)), until, ..Degrade::NONE };
        let mut rules = Rules::default();
        rules.add(rule(Selector::Any, Selector::Any, Verdict::Degrade(narrow)));
        for (second, delay) in [(0, 10), (0, 15), (7, 8)] {
            let now = Time::ZERO + Duration::from_secs(second);
            let Ruling::Pass(how) = rules.judge(now, end(0), end(1), Channel::Stream, 1_250) else {
                panic!("it passes")
            };
            assert_eq!(how.delay, Duration::from_secs(delay), "sent at {second} s");
        }
    }

    #[test]
    fn a_pipe_serves_one_packet_after_the_other() {
        let mut gigabit = Pipe::new(BitsPerSecond(1_000_000_000));
        assert_eq!(gigabit.occupy(Time::ZERO, 1_250), Duration::from_micros(10));
        assert_eq!(gigabit.occupy(Time::ZERO, 1_250), Duration::from_micros(20));
        for (width, bytes, nanos) in [
            (10_000_000_000, 1_250, 1_000),
            (3_000_000_000, u32::MAX, 11_453_246_120),
            (1_000, 1_250, 10_000_000_000),
            (2, u32::MAX, u64::from(u32::MAX) * 4_000_000_000),
            (0, 1, 4_000_000_000),
        ] {
            let passing = Pipe::new(BitsPerSecond(width)).occupy(Time::ZERO, bytes);
            assert_eq!(passing, Duration::from_nanos(nanos), "{width} {bytes}");
        }
    }
}
