//! What is under way besides timers, in one slab; queue entries name the place. A message is moved twice: in by its
//! sender, out to its receiver.

use crate::base::id::ProcessId;
use crate::base::machine::Token;
use crate::sim::trace::Cause;

/// What is due at its place's time. Those that carry a message have it beside them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parcel {
    /// A process starts.
    Start(Ticket),
    /// A message that nobody vouches for.
    Datagram { from: ProcessId, to: ProcessId, cause: Cause },
    /// A message in a stream.
    Segment(Segment),
    /// Word that a stream was refused or reset.
    Refused { ticket: Ticket, peer: ProcessId },
    /// A write or computation is done.
    Done { ticket: Ticket, token: Token, work: Work },
    /// A stream tries again what it holds back.
    Retry { stream: u32, side: usize, attempt: u32 },
}

/// A message in a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) from: ProcessId,
    pub(super) to: ProcessId,
    pub(super) cause: Cause,
    /// Which stream.
    pub(super) stream: u32,
    /// Generation of its lane when it was sent.
    pub(super) generation: u32,
    /// Which of its lane, for its draws.
    pub(super) number: u32,
}

/// Something for one life of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) process: ProcessId,
    pub(super) incarnation: u32,
    pub(super) cause: Cause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Write,
    Compute,
}

/// The slab.
#[derive(Debug, Clone)]
pub(super) struct Parcels<M> {
    places: Vec<(Parcel, Option<M>)>,
    free: Vec<u32>,
}

impl<M> Parcels<M> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Keeps a parcel and the message it carries, if it carries one.
    #[inline]
    pub(super) fn put(&mut self, parcel: Parcel, message: Option<M>) -> u32 {
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = (parcel, message);
            return place;
        }
        let place = u32::try_from(self.places.len()).expect("fewer than 2^32 messages are under way");
        self.places.push((parcel, message));
        place
    }

    /// What lies at a place in use.
    #[inline]
    pub(super) fn at(&self, place: u32) -> Parcel {
        self.places[place as usize].0
    }

    /// The message at a place whose parcel carries one.
    #[inline]
    pub(super) fn message(&self, place: u32) -> Option<&M> {
        self.places[place as usize].1.as_ref()
    }

    /// Frees a place in use; the message it held, if any.
    #[inline]
    pub(super) fn take(&mut self, place: u32) -> Option<M> {
        self.free.push(place);
        self.places[place as usize].1.take()
    }
}
