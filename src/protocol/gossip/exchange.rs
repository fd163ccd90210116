//! Whole tables over streams: joins and the periodic push/pull (memberlist `pushPullNode`, `handleConn`, `Join`).

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::math;
use crate::base::time::{Duration, Time};
use crate::protocol::gossip::members::State;
use crate::protocol::gossip::message::{Knowledge, Msg, Stream};
use crate::protocol::gossip::swim::{Event, Swim, Timer};

/// An exchange we began.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    id: u32,
    peer: ProcessId,
    purpose: Purpose,
    due: Time,
}

/// What the push/pull alarm waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The end of the stagger after the start.
    Stagger,
    /// The next exchange.
    Interval,
}

/// Why an exchange was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The periodic push/pull.
    Periodic,
    /// A join that was asked for.
    Join,
    /// A join after a restart, from the snapshot.
    Rejoin,
    /// An attempt to reach a failed member again.
    Reconnect,
}

impl Swim {
    /// Begins to exchange tables with whoever is at this address; [`Event::Exchanged`] tells the outcome.
    pub fn exchange(&mut self, now: Time, peer: ProcessId, purpose: Purpose, fx: &mut impl Fx<Self>) {
        self.exchange_count = self.exchange_count.wrapping_add(1);
        let id = self.exchange_count;
        self.exchanges.push(Exchange { id, peer, purpose, due: now + self.config.tcp_timeout });
        fx.send(peer, Msg::Dial(Stream::Exchange(id)));
        self.arm_exchange(now, fx);
    }

    /// The periodic exchange with a random live member. The next one is due an interval after this one has ended.
    /// Before the first comes an interval too, as long as the table that was joined meanwhile makes it (memberlist
    /// `pushPullTrigger`).
    pub(super) fn push_pull(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        if std::mem::replace(&mut self.push_pull_wait, Wait::Interval) == Wait::Stagger {
            fx.arm(Timer::PushPull, self.push_pull_interval());
            return;
        }
        match self.pick(1, |me, entry| !me && entry.state == State::Alive).first() {
            Some(&peer) => self.exchange(now, self.table.get(peer).address, Purpose::Periodic, fx),
            None => fx.arm(Timer::PushPull, self.push_pull_interval()),
        }
    }

    /// memberlist `pushPullScale`: larger pools exchange less often.
    pub(super) fn push_pull_interval(&self) -> Duration {
        self.config.push_pull_interval * push_pull_factor(self.list.len())
    }

    fn arm_exchange(&self, now: Time, fx: &mut impl Fx<Self>) {
        match self.exchanges.iter().map(|exchange| exchange.due).min() {
            Some(due) => fx.arm(Timer::Exchange, due.since(now)),
            None => fx.disarm(Timer::Exchange),
        }
    }

    pub(super) fn on_exchange_open(&mut self, now: Time, id: u32, fx: &mut impl Fx<Self>) {
        let Some(exchange) = self.exchanges.iter_mut().find(|exchange| exchange.id == id) else { return };
        exchange.due = now + self.config.tcp_timeout;
        let (peer, join) = (exchange.peer, exchange.purpose != Purpose::Periodic);
        let knowledge = Knowledge { exchange: id, join, members: self.records(), serf: self.knowledge.take() };
        fx.send(peer, Msg::Push(Box::new(knowledge)));
        self.arm_exchange(now, fx);
    }

    /// Answers with the own table as it was before the other's is merged.
    pub(super) fn on_push(&mut self, now: Time, from: ProcessId, theirs: Knowledge, fx: &mut impl Fx<Self>) {
        let Knowledge { exchange, join, members, serf } = theirs;
        let mine = Knowledge { exchange, join, members: self.records(), serf: self.knowledge.take() };
        fx.send(from, Msg::Pull(Box::new(mine)));
        self.merge(now, &members, fx);
        fx.emit(Event::Merged { serf, join });
    }

    pub(super) fn on_pull(&mut self, now: Time, theirs: Knowledge, fx: &mut impl Fx<Self>) {
        let Some(place) = self.exchanges.iter().position(|exchange| exchange.id == theirs.exchange) else { return };
        let exchange = self.exchanges.remove(place);
        self.merge(now, &theirs.members, fx);
        fx.emit(Event::Merged { serf: theirs.serf, join: exchange.purpose != Purpose::Periodic });
        self.conclude(now, &exchange, true, fx);
    }

    pub(super) fn on_exchange_late(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        self.fail_exchanges(now, |exchange| exchange.due <= now, fx);
    }

    pub(super) fn on_refused(&mut self, now: Time, to: ProcessId, fx: &mut impl Fx<Self>) {
        self.fail_exchanges(now, |exchange| exchange.peer == to, fx);
    }

    fn fail_exchanges(&mut self, now: Time, failed: impl Fn(&Exchange) -> bool, fx: &mut impl Fx<Self>) {
        while let Some(place) = self.exchanges.iter().position(&failed) {
            let exchange = self.exchanges.remove(place);
            self.conclude(now, &exchange, false, fx);
        }
        self.arm_exchange(now, fx);
    }

    fn conclude(&mut self, now: Time, exchange: &Exchange, reached: bool, fx: &mut impl Fx<Self>) {
        if exchange.purpose == Purpose::Periodic {
            fx.arm(Timer::PushPull, self.push_pull_interval());
        }
        fx.emit(Event::Exchanged { peer: exchange.peer, purpose: exchange.purpose, reached });
        self.arm_exchange(now, fx);
    }
}

/// How many base intervals apart push/pulls are in a table of `count` rows.
fn push_pull_factor(count: usize) -> u64 {
    if count <= 32 {
        return 1;
    }
    // At least log2(33) - 5 > 0 here.
    libm::ceil(math::log2(count as f64) - 5.0) as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_pulls_slow_down_beyond_32_members() {
        for (count, factor) in [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (230, 4), (10_000, 10)] {
            assert_eq!(push_pull_factor(count), factor, "{count}");
        }
    }
}
