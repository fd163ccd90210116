//! What comes out of the queue: for whom, whether it still counts, and what streams make of it.

use std::collections::VecDeque;

use crate::base::id::ProcessId;
use crate::base::machine::{Channel, Message, Token};
use crate::base::time::{Duration, Time};
use crate::sim::core::{Core, Held, SHORTEST, State, TIMER, timer_item};
use crate::sim::engine::Actor;
use crate::sim::network::{RETRANSMIT_FIRST, RETRANSMIT_MAX};
use crate::sim::parcel::{Parcel, Segment, Ticket, Work};
use crate::sim::queue::Entry;
use crate::sim::record::Kind;
use crate::sim::stream::{CONNECT_RETRY, GIVE_UP, Stalled, StreamState, WAITING_MAX, Waiting};
use crate::sim::timers::Pop;
use crate::sim::trace::Cause;

/// What is due for a process and is not a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    /// It starts.
    Start,
    /// A peer refused.
    Refused(ProcessId),
    /// A write or computation is done.
    Done(Token),
}

impl<P: Actor> Core<P> {
    /// A pop has come from the queue: the alarm that goes off with it, if one does, its slot, and what caused it.
    #[inline]
    pub(super) fn ring(&mut self, process: ProcessId, entry: Entry) -> Option<(P::Timer, usize, Cause)> {
        let slot = ((entry.item & !TIMER) >> 32) as usize;
        let seat = &mut self.seats[process];
        let (pop, timer) = seat.timers.pop(slot, self.now, entry.rank as u32);
        match pop {
            Pop::Stale => None,
            Pop::Due(_) if seat.paused => {
                seat.timers.put_back(slot, self.now);
                self.lockers[process].held.push_back(Held::Timer(slot));
                None
            }
            Pop::Due(cause) => Some((timer?, slot, cause)),
            Pop::Again(time, count) => {
                let rank = seat.rank_of(count);
                self.queue.push(Entry { time: time.as_nanos(), rank, item: timer_item(process, slot) });
                None
            }
        }
    }

    /// Whether a datagram that lies at `place` is handed out now; otherwise it is kept, or gone.
    #[inline]
    pub(super) fn admits_datagram(&mut self, to: ProcessId, place: u32) -> bool {
        let seat = &self.seats[to];
        let is_heard = seat.state == State::Running && !seat.paused;
        if !is_heard {
            self.miss_datagram(to, place);
        }
        is_heard
    }

    #[cold]
    fn miss_datagram(&mut self, to: ProcessId, place: u32) {
        let seat = &self.seats[to];
        if seat.state == State::Running && seat.paused {
            self.hold(to, place);
        } else {
            self.parcels.take(place);
        }
    }

    /// What carries no message.
    #[inline(never)]
    pub(super) fn open_other(&mut self, parcel: Parcel, place: u32) -> Option<(ProcessId, Cause, Due)> {
        match parcel {
            Parcel::Start(ticket) => {
                let seat = &mut self.seats[ticket.process];
                let is_due = seat.incarnation == ticket.incarnation && seat.state == State::Starting;
                if is_due && seat.paused {
                    self.hold(ticket.process, place);
                    return None;
                }
                self.parcels.take(place);
                if !is_due {
                    return None;
                }
                seat.state = State::Running;
                Some((ticket.process, ticket.cause, Due::Start))
            }
            Parcel::Refused { ticket, peer } => {
                self.due(ticket, place).then_some((ticket.process, ticket.cause, Due::Refused(peer)))
            }
            Parcel::Done { ticket, token, work } => {
                if work == Work::Write && self.is_current(ticket) && self.disk_stalls(ticket.process) {
                    let until = self.hosts[self.seats[ticket.process].host].disk_stalled_until;
                    self.post_place(until, ticket.process, place);
                    return None;
                }
                if !self.due(ticket, place) {
                    return None;
                }
                if work == Work::Write {
                    let first = self.lockers[ticket.process].writes.pop_front();
                    assert_eq!(first.map(|(first, _)| first), Some(token), "writes complete in order");
                }
                Some((ticket.process, ticket.cause, Due::Done(token)))
            }
            Parcel::Retry { stream, side, attempt } => {
                self.parcels.take(place);
                self.retry(stream, side, attempt);
                None
            }
            Parcel::Segment(_) | Parcel::Datagram { .. } => unreachable!("messages are opened apart"),
        }
    }

    /// Whether a parcel of one life is to be handed out now; otherwise it is held back or gone.
    fn due(&mut self, ticket: Ticket, place: u32) -> bool {
        if !self.is_current(ticket) {
            self.parcels.take(place);
            return false;
        }
        if self.seats[ticket.process].paused {
            self.hold(ticket.process, place);
            return false;
        }
        self.parcels.take(place);
        true
    }

    /// Keeps a parcel until its process goes on.
    #[cold]
    fn hold(&mut self, process: ProcessId, place: u32) {
        self.lockers[process].held.push_back(Held::Parcel(place));
    }

    fn is_current(&self, ticket: Ticket) -> bool {
        let seat = &self.seats[ticket.process];
        seat.incarnation == ticket.incarnation && seat.state == State::Running
    }

    /// Whether the disk stands still; writes that were under way are then safe when it moves again, at the earliest.
    fn disk_stalls(&mut self, process: ProcessId) -> bool {
        let until = self.hosts[self.seats[process].host].disk_stalled_until;
        if until <= self.now {
            return false;
        }
        let locker = &mut self.lockers[process];
        locker.writes.iter_mut().for_each(|(_, done)| *done = (*done).max(until));
        locker.disk_free = locker.disk_free.max(until);
        true
    }

    /// Whether a segment that lies at `place` is handed out now; otherwise it is kept, or gone.
    #[inline]
    pub(super) fn admits_segment(&mut self, segment: Segment, place: u32) -> bool {
        let Segment { from, to, cause, stream: index, generation, .. } = segment;
        let stream = &mut self.streams[index];
        let side = stream.side_of(from);
        if stream.lanes[side].generation != generation {
            self.parcels.take(place);
            return false;
        }
        let seat = &self.seats[to];
        if seat.state != State::Running {
            self.miss_segment(place, side);
            return false;
        }
        let life = &mut stream.lives[1 - side];
        if *life.get_or_insert(seat.incarnation) != seat.incarnation {
            self.parcels.take(place);
            self.refuse(index, side, cause);
            return false;
        }
        if stream.state == StreamState::Opening {
            stream.state = StreamState::Established;
        }
        if seat.paused {
            self.hold(to, place);
            return false;
        }
        true
    }

    /// A segment came to a process that does not run.
    #[cold]
    fn miss_segment(&mut self, place: u32, side: usize) {
        let Parcel::Segment(segment) = self.parcels.at(place) else { return };
        if self.hosts[self.seats[segment.to].host].up {
            self.parcels.take(place);
            self.refuse(segment.stream, side, segment.cause);
        } else {
            self.stall(segment.stream, side, segment.number, place);
        }
    }

    #[inline]
    pub(super) fn send_segment(&mut self, from: ProcessId, cause: Cause, to: ProcessId, msg: P::Msg) {
        let (index, is_new) = self.streams.between(from, to);
        if is_new {
            self.enlist(index, from, to);
        }
        let life = Some(self.seats[from].incarnation);
        let stream = &mut self.streams[index];
        let side = stream.side_of(from);
        let is_bound = stream.state != StreamState::Closed && stream.lives[side] == life;
        if !is_bound || stream.lanes[side].stalled.is_some() {
            self.clear_way(index, side, is_bound, cause);
        }
        let lane = &mut self.streams[index].lanes[side];
        let number = lane.sent;
        lane.sent = number.wrapping_add(1);
        let generation = lane.generation;
        let is_stalled = lane.stalled.is_some();
        let bytes = msg.bytes();
        let segment = Segment { from, to, cause, stream: index, generation, number };
        let place = self.parcels.put(Parcel::Segment(segment), Some(msg));
        if is_stalled {
            self.stall(index, side, number, place);
            return;
        }
        match self.segment_transit(from, to, bytes, number) {
            Some(delay) => self.dispatch(index, side, place, self.now + delay.max(SHORTEST)),
            None => self.stall(index, side, number, place),
        }
    }

    /// A stream is new.
    #[cold]
    fn enlist(&mut self, index: u32, from: ProcessId, to: ProcessId) {
        self.lockers[from].streams.push(index);
        if from != to {
            self.lockers[to].streams.push(index);
        }
    }

    /// Before something is sent on a stream that is not bound to the sender's life, or on which something waits.
    #[cold]
    fn clear_way(&mut self, index: u32, side: usize, is_bound: bool, cause: Cause) {
        if !is_bound {
            self.open_stream(index, side, cause);
        }
        if self.streams[index].lanes[side].stalled.is_some() && self.is_way_open(index, side) {
            self.send_waiting(index, side);
            if self.streams[index].state == StreamState::Closed {
                self.open_stream(index, side, cause);
            }
        }
    }

    /// Lets a segment arrive, not before those sent earlier.
    #[inline]
    fn dispatch(&mut self, index: u32, side: usize, place: u32, at: Time) {
        let stream = &mut self.streams[index];
        let sender = stream.ends[side];
        let lane = &mut stream.lanes[side];
        lane.arrived = lane.arrived.max(at);
        let at = lane.arrived;
        self.post_place(at, sender, place);
    }

    /// Binds a stream to the present life of the side that sends.
    #[cold]
    fn open_stream(&mut self, index: u32, side: usize, cause: Cause) {
        let other = 1 - side;
        let stream = &mut self.streams[index];
        let life = Some(self.seats[stream.ends[side]].incarnation);
        let is_answer = stream.state != StreamState::Closed && stream.lives[side].is_none();
        if is_answer {
            stream.lives[side] = life;
            return;
        }
        // What the other side has under way, or waits for, was meant for an earlier life.
        let knew = stream.state == StreamState::Established
            && stream.lives[other] == Some(self.seats[stream.ends[other]].incarnation);
        let is_half_open = stream.state != StreamState::Closed && (knew || stream.lanes[other].stalled.is_some());
        if stream.state != StreamState::Closed {
            stream.lanes[other].generation = stream.lanes[other].generation.wrapping_add(1);
        }
        stream.lives = [None, None];
        stream.lives[side] = life;
        stream.state = StreamState::Opening;
        self.forget_stalled(index, side);
        self.forget_stalled(index, other);
        if is_half_open {
            self.report_refused(index, other, cause);
        }
    }

    /// A live host answers a segment from `side` that nobody there wants: the stream is over.
    #[cold]
    fn refuse(&mut self, index: u32, side: usize, cause: Cause) {
        self.close_towards(index, side);
        self.report_refused(index, side, cause);
    }

    /// Ends a stream and drops what `side` has under way on it.
    pub(super) fn close_towards(&mut self, index: u32, side: usize) {
        let stream = &mut self.streams[index];
        stream.state = StreamState::Closed;
        stream.lanes[side].generation = stream.lanes[side].generation.wrapping_add(1);
        self.forget_stalled(index, side);
        self.forget_stalled(index, 1 - side);
    }

    /// Tells the process on `side` that its peer refused, one way later, if the way is open.
    pub(super) fn report_refused(&mut self, index: u32, side: usize, cause: Cause) {
        let stream = &self.streams[index];
        let (told, peer) = (stream.ends[side], stream.ends[1 - side]);
        // Refusals count their own draws; bit 31 keeps them apart from the segments of that lane.
        let number = 1 << 31 | stream.lanes[side].generation;
        if let Some(delay) = self.segment_transit(peer, told, RESET_BYTES, number) {
            let lane = &mut self.streams[index].lanes[1 - side];
            lane.arrived = lane.arrived.max(self.now + delay.max(SHORTEST));
            let at = lane.arrived;
            self.post(at, told, Parcel::Refused { ticket: self.ticket(told, cause), peer });
        }
    }

    /// Keeps a segment until the way is open.
    #[cold]
    fn stall(&mut self, index: u32, side: usize, number: u32, place: u32) {
        let now = self.now;
        let stream = &mut self.streams[index];
        let first = if stream.state == StreamState::Established { RETRANSMIT_FIRST } else { CONNECT_RETRY };
        let is_first = stream.lanes[side].stalled.is_none();
        let stalled = stream.lanes[side]
            .stalled
            .get_or_insert_with(|| Box::new(Stalled { waiting: VecDeque::new(), timeout: first, next: now + first }));
        if stalled.waiting.len() == WAITING_MAX {
            self.parcels.take(place);
            return;
        }
        let at = stalled.waiting.partition_point(|earlier| number.wrapping_sub(earlier.number) as i32 > 0);
        stalled.waiting.insert(at, Waiting { number, place, since: now });
        if is_first {
            self.schedule_retry(index, side);
        } else if stalled.next > now + CONNECT_RETRY {
            stalled.timeout = CONNECT_RETRY;
            self.schedule_retry(index, side);
        }
    }

    fn is_way_open(&self, index: u32, side: usize) -> bool {
        let ends = self.streams[index].ends;
        let (from, to) = (ends[side], ends[1 - side]);
        self.hosts[self.seats[to].host].up
            && (self.rules.is_empty() || self.rules.lets_through(self.end(from), self.end(to), Channel::Stream))
    }

    fn schedule_retry(&mut self, index: u32, side: usize) {
        let stream = &mut self.streams[index];
        let sender = stream.ends[side];
        let lane = &mut stream.lanes[side];
        let Some(stalled) = &mut lane.stalled else { return };
        lane.attempts = lane.attempts.wrapping_add(1);
        stalled.next = self.now + stalled.timeout;
        if stream.state != StreamState::Established {
            let ends = stalled.waiting.iter().map(|waiting| {
                let patience = self.parcels.message(waiting.place).map_or(Duration::ZERO, Message::dial_patience);
                waiting.since + patience
            });
            let given_up = ends.min();
            stalled.next = given_up.map_or(stalled.next, |end| stalled.next.min(end.max(self.now)));
        }
        let (at, attempt) = (stalled.next, lane.attempts);
        self.post(at, sender, Parcel::Retry { stream: index, side, attempt });
    }

    fn retry(&mut self, index: u32, side: usize, attempt: u32) {
        if self.streams[index].lanes[side].attempts != attempt || self.streams[index].lanes[side].stalled.is_none() {
            return;
        }
        if self.is_way_open(index, side) {
            self.send_waiting(index, side);
            return;
        }
        if let Some(cause) = self.hang_up(index, side) {
            self.give_up(index, side, cause);
            return;
        }
        let stream = &mut self.streams[index];
        let Some(stalled) = &mut stream.lanes[side].stalled else { return };
        if stalled.waiting.is_empty() {
            stream.lanes[side].stalled = None;
            if stream.state != StreamState::Established {
                self.close_towards(index, side);
            }
        } else {
            stalled.timeout = (stalled.timeout * 2).min(RETRANSMIT_MAX);
            self.schedule_retry(index, side);
        }
    }

    /// The way is open: what waits passes, as far as its sender waits for it.
    #[cold]
    fn send_waiting(&mut self, index: u32, side: usize) {
        if let Some(cause) = self.hang_up(index, side) {
            self.give_up(index, side, cause);
            return;
        }
        let [from, to] = [side, 1 - side].map(|end| self.streams[index].ends[end]);
        let Some(stalled) = self.streams[index].lanes[side].stalled.take() else { return };
        for Waiting { number, place, .. } in stalled.waiting {
            let bytes = self.parcels.message(place).map_or(0, Message::bytes);
            match self.segment_transit(from, to, bytes, number) {
                Some(delay) => self.dispatch(index, side, place, self.now + delay.max(SHORTEST)),
                None => self.stall(index, side, number, place),
            }
        }
    }

    /// Drops what waits for longer than its sender does. The cause of the last of it that its sender would have waited
    /// for longer, if the connection has given up on it.
    fn hang_up(&mut self, index: u32, side: usize) -> Option<Cause> {
        let now = self.now;
        let stream = &mut self.streams[index];
        let is_open = stream.state == StreamState::Established;
        let stalled = stream.lanes[side].stalled.as_mut()?;
        let (parcels, mut given_up) = (&mut self.parcels, None);
        stalled.waiting.retain(|waiting| {
            let Some(message) = parcels.message(waiting.place) else { return false };
            let patience = message.patience();
            let limit = if is_open { GIVE_UP } else { message.dial_patience() };
            let stays = now.since(waiting.since) < patience.min(limit);
            if !stays {
                if let Parcel::Segment(segment) = parcels.at(waiting.place)
                    && limit < patience
                {
                    given_up = Some(segment.cause);
                }
                parcels.take(waiting.place);
            }
            stays
        });
        given_up
    }

    /// A connection, or an attempt at one, has failed: its sender is told, if it still lives, and what else waits on it
    /// is gone.
    fn give_up(&mut self, index: u32, side: usize, cause: Cause) {
        self.close_towards(index, side);
        let stream = &self.streams[index];
        let (told, peer) = (stream.ends[side], stream.ends[1 - side]);
        if stream.lives[side] == Some(self.seats[told].incarnation) {
            self.post(self.now + SHORTEST, told, Parcel::Refused { ticket: self.ticket(told, cause), peer });
        }
    }

    pub(super) fn forget_stalled(&mut self, index: u32, side: usize) {
        if let Some(stalled) = self.streams[index].lanes[side].stalled.take() {
            for waiting in stalled.waiting {
                self.parcels.take(waiting.place);
            }
        }
    }

    /// A process handles the message that lies at `place`: takes it out.
    #[inline]
    pub(super) fn hand_out(&mut self, from: ProcessId, to: ProcessId, place: u32) -> P::Msg {
        let print = self.parcels.message(place).map_or(0, |msg| print_of(from, msg));
        if self.record.note(self.now, to, Kind::Message, print) {
            self.tell_place(from, to, place);
        }
        self.parcels.take(place).expect("a message lies where its parcel is")
    }

    /// Notes a message that its receiver has been told of in another way.
    #[inline]
    pub(super) fn attest(&mut self, at: Time, from: ProcessId, to: ProcessId, msg: &P::Msg) {
        if self.record.note(at, to, Kind::Message, print_of(from, msg)) {
            let words = format!("{} <- {}: {msg}", self.lockers[to].name, self.lockers[from].name);
            self.record.tell(at, &words);
        }
    }

    /// A process handles an alarm.
    #[inline]
    pub(super) fn note_fired(&mut self, process: ProcessId, timer: P::Timer, slot: usize) {
        if self.record.note(self.now, process, Kind::Fired, slot as u64) {
            self.tell_fired(process, timer);
        }
    }

    /// A process handles anything else.
    pub(super) fn note_other(&mut self, process: ProcessId, due: Due) {
        let (kind, content) = match due {
            Due::Start => (Kind::Start, 0),
            Due::Refused(peer) => (Kind::Refused, u64::from(peer.0)),
            Due::Done(token) => (Kind::Done, token.0),
        };
        if self.record.note(self.now, process, kind, content) {
            let name = &self.lockers[process].name;
            let words = match due {
                Due::Start => format!("{name} starts"),
                Due::Refused(peer) => format!("{name} refused by {}", self.lockers[peer].name),
                Due::Done(token) => format!("{name} done {}", token.0),
            };
            self.record.tell(self.now, &words);
        }
    }

    #[cold]
    fn tell_place(&mut self, from: ProcessId, to: ProcessId, place: u32) {
        if let Some(msg) = self.parcels.message(place) {
            let words = format!("{} <- {}: {msg}", self.lockers[to].name, self.lockers[from].name);
            self.record.tell(self.now, &words);
        }
    }

    #[cold]
    fn tell_fired(&mut self, process: ProcessId, timer: P::Timer) {
        let words = format!("{} fires {timer:?}", self.lockers[process].name);
        self.record.tell(self.now, &words);
    }
}

/// A message's part of the digest.
#[inline]
fn print_of(from: ProcessId, msg: &impl Message) -> u64 {
    msg.fingerprint() ^ u64::from(from.0).rotate_left(40)
}

/// A TCP segment without data, with headers.
const RESET_BYTES: u32 = 54;
