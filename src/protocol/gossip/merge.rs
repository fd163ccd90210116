//! What to believe: rumours and tables against the own table (memberlist `aliveNode`, `suspectNode`, `deadNode`,
//! `refute`, `mergeState`; SWIM §4.2).

use crate::base::id::ProcessId;
use crate::base::machine::Fx;
use crate::base::time::Time;
use crate::protocol::gossip::broadcast::Ticket;
use crate::protocol::gossip::members::{Entry, Member, Meta, State};
use crate::protocol::gossip::message::{Record, Rumour};
use crate::protocol::gossip::suspicion::{Bounds, Confirmation};
use crate::protocol::gossip::swim::{Event, Swim, Timer};

impl Swim {
    /// Puts the own row in its table as alive and tells everybody (memberlist `setAlive`).
    pub(super) fn announce(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        let (me, address, incarnation, meta) = (self.me, self.address, self.incarnation, self.meta);
        let entry = self.table.get_mut(me);
        let before = entry.state;
        let changed = if before == State::Alive { entry.changed } else { now };
        *entry = Entry { changed, address, incarnation, meta, state: State::Alive };
        if before == State::Absent {
            self.insert(me);
        }
        self.tell(now, me, Rumour::Alive { member: me, address, incarnation, meta }, None, fx);
        fx.emit(Event::Changed { member: me, address, before, after: State::Alive, incarnation, by: me });
    }

    /// New rows go to a random place of the probing order, so that a first probe does not come late on average.
    fn insert(&mut self, member: Member) {
        let end = self.list.len();
        let place = if end == 0 { 0 } else { self.rng.below(end as u64) as usize };
        self.list.push(member);
        self.list.swap(place, end);
    }

    /// Queues a rumour about a member in place of the one that waits.
    fn tell(&mut self, now: Time, about: Member, rumour: Rumour, ticket: Option<Ticket>, fx: &mut impl Fx<Self>) {
        if let Some(ticket) = self.queue.push_named(about, rumour, ticket) {
            fx.emit(Event::Spent(ticket));
        }
        self.wake_gossip(now, fx);
    }

    pub(super) fn alive(
        &mut self,
        now: Time,
        member: Member,
        address: ProcessId,
        incarnation: u32,
        meta: Meta,
        fx: &mut impl Fx<Self>,
    ) {
        let mine = member == self.me;
        if mine && self.leaving {
            return;
        }
        let old = *self.table.get(member);
        let moved = old.state != State::Absent && old.address != address;
        if moved && !self.may_move(now, &old) {
            return;
        }
        if mine {
            if incarnation > old.incarnation || (incarnation == old.incarnation && meta != self.meta) {
                self.refute(now, incarnation, fx);
            }
            return;
        }
        let known = old.state != State::Absent;
        if known && incarnation <= old.incarnation && !moved {
            return;
        }
        self.suspicions_clear(now, member, fx);
        if !known {
            self.insert(member);
        }
        let changed = if old.state == State::Alive { old.changed } else { now };
        *self.table.get_mut(member) = Entry { changed, address, incarnation, meta, state: State::Alive };
        self.tell(now, member, Rumour::Alive { member, address, incarnation, meta }, None, fx);
        let before = old.state;
        fx.emit(Event::Changed { member, address, before, after: State::Alive, incarnation, by: member });
        if matches!(before, State::Alive | State::Suspect) && old.meta != meta {
            fx.emit(Event::Updated { member, address, meta });
        }
    }

    /// A name may come back with another address once its owner left, or has been dead for long enough.
    fn may_move(&self, now: Time, old: &Entry) -> bool {
        match old.state {
            State::Left => true,
            State::Dead => self.config.dead_node_reclaim.is_some_and(|age| now.since(old.changed) > age),
            State::Alive | State::Suspect | State::Absent => false,
        }
    }

    pub(super) fn suspect(
        &mut self,
        now: Time,
        member: Member,
        incarnation: u32,
        from: Member,
        fx: &mut impl Fx<Self>,
    ) {
        let old = *self.table.get(member);
        if old.state == State::Absent || incarnation < old.incarnation {
            return;
        }
        let rumour = Rumour::Suspect { member, incarnation, from };
        if let Some(confirmation) = self.suspicions.confirm(now, member, from) {
            match confirmation {
                Confirmation::Ignored => {}
                Confirmation::Counted => {
                    self.tell(now, member, rumour, None, fx);
                    self.arm_suspicion(now, fx);
                }
                Confirmation::RanOut => {
                    self.tell(now, member, rumour, None, fx);
                    self.expire(now, member, fx);
                    self.arm_suspicion(now, fx);
                }
            }
            return;
        }
        if old.state != State::Alive {
            return;
        }
        if member == self.me {
            self.refute(now, incarnation, fx);
            return;
        }
        self.tell(now, member, rumour, None, fx);
        let entry = self.table.get_mut(member);
        *entry = Entry { changed: now, incarnation, state: State::Suspect, ..*entry };
        let bounds = Bounds::of(&self.config, self.list.len());
        self.suspicions.start(now, member, from, bounds);
        self.arm_suspicion(now, fx);
        let (address, before) = (old.address, old.state);
        fx.emit(Event::Changed { member, address, before, after: State::Suspect, incarnation, by: from });
    }

    pub(super) fn on_suspicion_over(&mut self, now: Time, fx: &mut impl Fx<Self>) {
        while let Some((_, member)) = self.suspicions.next().filter(|&(due, _)| due <= now) {
            self.expire(now, member, fx);
        }
        self.arm_suspicion(now, fx);
    }

    /// Our own suspicion of a member ran out.
    fn expire(&mut self, now: Time, member: Member, fx: &mut impl Fx<Self>) {
        let confirmations = self.suspicions.clear(member).expect("only a suspicion under way expires");
        let Entry { address, incarnation, .. } = *self.table.get(member);
        fx.emit(Event::Expired { target: address, confirmations });
        self.dead(now, member, incarnation, self.me, fx);
    }

    fn suspicions_clear(&mut self, now: Time, member: Member, fx: &mut impl Fx<Self>) {
        if self.suspicions.clear(member).is_some() {
            self.arm_suspicion(now, fx);
        }
    }

    fn arm_suspicion(&self, now: Time, fx: &mut impl Fx<Self>) {
        match self.suspicions.next() {
            Some((due, _)) => fx.arm(Timer::Suspicion, due.since(now)),
            None => fx.disarm(Timer::Suspicion),
        }
    }

    pub(super) fn dead(&mut self, now: Time, member: Member, incarnation: u32, from: Member, fx: &mut impl Fx<Self>) {
        let old = *self.table.get(member);
        if old.state == State::Absent || incarnation < old.incarnation {
            return;
        }
        self.suspicions_clear(now, member, fx);
        if old.state.is_gone() {
            return;
        }
        let mut ticket = None;
        if member == self.me {
            if !self.leaving {
                self.refute(now, incarnation, fx);
                return;
            }
            ticket = Some(Ticket::Goodbye);
        }
        self.tell(now, member, Rumour::Dead { member, incarnation, from }, ticket, fx);
        let after = if member == from { State::Left } else { State::Dead };
        let entry = self.table.get_mut(member);
        *entry = Entry { changed: now, incarnation, state: after, ..*entry };
        let (address, before) = (old.address, old.state);
        fx.emit(Event::Changed { member, address, before, after, incarnation, by: from });
    }

    /// Beats an accusation with a higher incarnation; being accused also costs some self-confidence.
    fn refute(&mut self, now: Time, accused: u32, fx: &mut impl Fx<Self>) {
        self.incarnation = (self.incarnation + 1).max(accused.saturating_add(1));
        self.awareness.apply(1);
        self.announce(now, fx);
        fx.emit(Event::Refuted { incarnation: self.incarnation });
    }

    /// Takes in another's table. Its dead are only suspected here, by ourselves, so that they may still refute.
    pub(super) fn merge(&mut self, now: Time, records: &[Record], fx: &mut impl Fx<Self>) {
        for &Record { member, address, incarnation, meta, state } in records {
            match state {
                State::Alive => self.alive(now, member, address, incarnation, meta, fx),
                State::Left => self.dead(now, member, incarnation, member, fx),
                State::Suspect | State::Dead => self.suspect(now, member, incarnation, self.me, fx),
                State::Absent => {}
            }
        }
    }

    /// The own table, for an exchange.
    pub(super) fn records(&self) -> Box<[Record]> {
        let row = |&member: &Member| {
            let &Entry { address, incarnation, meta, state, .. } = self.table.get(member);
            Record { member, address, incarnation, meta, state }
        };
        self.list.iter().map(row).collect()
    }
}
