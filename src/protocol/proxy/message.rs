//! What travels between clients, balancers, proxies and instances: requests as numbers.
//!
//! A hop names a request by its own slot (`id`), small and recycled, and by its number, unique in the run; an answer
//! repeats both, so that an answer to a slot that was recycled meanwhile is recognised and dropped.

use std::fmt;

use crate::base::machine::{Channel, Message};

crate::id!(
    /// A (host, path) pair that clients ask for; numbered across the run.
    RouteId,
    "route"
);

/// A request's number: its source, its sequence there, and which attempt this is. Draws that belong to the request are
/// indexed by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestNumber(pub u64);

impl RequestNumber {
    const ATTEMPT_BITS: u32 = 8;
    const SEQUENCE_BITS: u32 = 44;

    /// Packs the three parts: 4 096 sources, 2^44 requests each, 256 attempts.
    pub fn new(source: u16, sequence: u64, attempt: u8) -> Self {
        assert!(source < 1 << 12, "fewer than 4096 sources");
        assert!(sequence < 1 << Self::SEQUENCE_BITS, "fewer than 2^44 requests per source");
        let source = u64::from(source) << (Self::SEQUENCE_BITS + Self::ATTEMPT_BITS);
        Self(source | sequence << Self::ATTEMPT_BITS | u64::from(attempt))
    }

    /// The source.
    pub fn source(self) -> u16 {
        (self.0 >> (Self::SEQUENCE_BITS + Self::ATTEMPT_BITS)) as u16
    }

    /// Counted from zero at the source; the same for all attempts.
    pub fn sequence(self) -> u64 {
        self.0 >> Self::ATTEMPT_BITS & ((1 << Self::SEQUENCE_BITS) - 1)
    }

    /// Zero for the first try.
    pub fn attempt(self) -> u8 {
        (self.0 & 0xFF) as u8
    }
}

impl fmt::Display for RequestNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.source(), self.sequence(), self.attempt())
    }
}

/// A request of one hop: the sender's slot and the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// Slot at the sender of the request.
    pub id: u32,
    /// Number of the request.
    pub number: RequestNumber,
}

/// What hops say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMsg {
    /// SYN: a new connection for this request.
    Connect {
        /// Slot at the sender.
        id: u32,
        /// Number.
        number: RequestNumber,
        /// Listener.
        port: u32,
    },
    /// SYN-ACK.
    Accepted {
        /// Slot of the one who connects.
        id: u32,
        /// Number.
        number: RequestNumber,
    },
    /// The request itself, on an open connection.
    Request {
        /// Slot at the sender.
        id: u32,
        /// Number.
        number: RequestNumber,
        /// What is asked for.
        route: RouteId,
        /// Listener.
        port: u32,
    },
    /// The whole response.
    Response {
        /// Slot of the one who asked.
        id: u32,
        /// Number.
        number: RequestNumber,
        /// HTTP status.
        status: u16,
    },
    /// RST: nothing listens on that port, or the listener died with the request outstanding.
    Reset {
        /// Slot of the one who asked.
        id: u32,
        /// Number.
        number: RequestNumber,
    },
    /// The one who asked closed the connection.
    Cancel {
        /// Slot of the one who asked.
        id: u32,
        /// Number.
        number: RequestNumber,
        /// Listener.
        port: u32,
    },
    /// A health check: connect and GET.
    Probe {
        /// The checker's name for the target.
        slot: u32,
        /// Which probe of this target.
        sequence: u32,
        /// Listener.
        port: u32,
    },
    /// The answer; a refused connection has none but [`HttpMsg::ProbeRefused`].
    ProbeReply {
        /// As asked.
        slot: u32,
        /// As asked.
        sequence: u32,
        /// HTTP status.
        status: u16,
    },
    /// RST to a health check.
    ProbeRefused {
        /// As asked.
        slot: u32,
        /// As asked.
        sequence: u32,
    },
}

impl Message for HttpMsg {
    #[inline]
    fn channel(&self) -> Channel {
        Channel::Stream
    }

    #[inline]
    fn bytes(&self) -> u32 {
        match self {
            Self::Connect { .. }
            | Self::Accepted { .. }
            | Self::Reset { .. }
            | Self::Cancel { .. }
            | Self::ProbeRefused { .. } => 60,
            Self::Request { .. } => 700,
            Self::Response { .. } => 2_000,
            Self::Probe { .. } => 200,
            Self::ProbeReply { .. } => 150,
        }
    }

    #[inline]
    fn fingerprint(&self) -> u64 {
        let mix = |tag: u64, a: u64, b: u64| {
            (a ^ tag << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ b.wrapping_mul(0xD1B5_4A32_D192_ED03)
        };
        let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        match *self {
            Self::Connect { id, number, port } => mix(1, number.0, pair(id, port)),
            Self::Accepted { id, number } => mix(2, number.0, pair(id, 0)),
            Self::Request { id, number, route, port } => mix(3, number.0, pair(id, port) ^ u64::from(route.0) << 20),
            Self::Response { id, number, status } => mix(4, number.0, pair(id, u32::from(status))),
            Self::Reset { id, number } => mix(5, number.0, pair(id, 0)),
            Self::Cancel { id, number, port } => mix(6, number.0, pair(id, port)),
            Self::Probe { slot, sequence, port } => mix(7, pair(slot, sequence), u64::from(port)),
            Self::ProbeReply { slot, sequence, status } => mix(8, pair(slot, sequence), u64::from(status)),
            Self::ProbeRefused { slot, sequence } => mix(9, pair(slot, sequence), 0),
        }
    }
}

impl fmt::Display for HttpMsg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { number, port, .. } => write!(f, "Connect {number} port={port}"),
            Self::Accepted { number, .. } => write!(f, "Accepted {number}"),
            Self::Request { number, route, port, .. } => write!(f, "Request {number} {route} port={port}"),
            Self::Response { number, status, .. } => write!(f, "Response {number} {status}"),
            Self::Reset { number, .. } => write!(f, "Reset {number}"),
            Self::Cancel { number, .. } => write!(f, "Cancel {number}"),
            Self::Probe { slot, sequence, port } => write!(f, "Probe {slot}#{sequence} port={port}"),
            Self::ProbeReply { slot, sequence, status } => write!(f, "ProbeReply {slot}#{sequence} {status}"),
            Self::ProbeRefused { slot, sequence } => write!(f, "ProbeRefused {slot}#{sequence}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_tiny() {
        assert!(size_of::<HttpMsg>() <= 24, "{}", size_of::<HttpMsg>());
        let number = RequestNumber::new(4_095, 1 << 43, 3);
        assert_eq!((number.source(), number.sequence(), number.attempt()), (4_095, 1 << 43, 3));
    }
}
