//! What is under way besides timers, in one slab; queue entries name the place.

use crate::base::id::ProcessId;
use crate::base::machine::Token;
use crate::sim::trace::Cause;

/// Something that will reach a process, or the stream it belongs to.
#[derive(Debug, Clone)]
pub(super) enum Parcel<M> {
    /// An unused place; the next one.
    Free(u32),
    Start(Ticket),
    Datagram {
        from: ProcessId,
        to: ProcessId,
        cause: Cause,
        msg: M,
    },
    Segment(Segment<M>),
    Refused {
        ticket: Ticket,
        peer: ProcessId,
    },
    Done {
        ticket: Ticket,
        token: Token,
        work: Work,
    },
    /// Time to try again what a stream could not send.
    Retry {
        stream: u32,
        side: usize,
        attempt: u32,
    },
}

/// A message on a stream.
#[derive(Debug, Clone)]
pub(super) struct Segment<M> {
    pub(super) from: ProcessId,
    pub(super) to: ProcessId,
    pub(super) cause: Cause,
    pub(super) stream: u32,
    /// Of the lane, when it was sent.
    pub(super) generation: u32,
    /// In the order sent on the lane.
    pub(super) number: u32,
    pub(super) msg: M,
}

/// Addressed to one life of a process.
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
    places: Vec<Parcel<M>>,
    free: u32,
}

impl<M> Parcels<M> {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), free: NONE }
    }

    #[inline]
    pub(super) fn put(&mut self, parcel: Parcel<M>) -> u32 {
        if self.free == NONE {
            let place = u32::try_from(self.places.len()).expect("fewer than 2^32 messages are under way");
            self.places.push(parcel);
            return place;
        }
        let place = self.free;
        let Parcel::Free(next) = std::mem::replace(&mut self.places[place as usize], parcel) else {
            unreachable!("the free list holds free places")
        };
        self.free = next;
        place
    }

    #[inline]
    pub(super) fn take(&mut self, place: u32) -> Parcel<M> {
        let parcel = std::mem::replace(&mut self.places[place as usize], Parcel::Free(self.free));
        self.free = place;
        parcel
    }

    /// The stream segment at a place that holds one.
    pub(super) fn segment(&self, place: u32) -> &Segment<M> {
        match &self.places[place as usize] {
            Parcel::Segment(segment) => segment,
            _ => unreachable!("streams keep segments only"),
        }
    }
}

const NONE: u32 = u32::MAX;
