//! What members of a pool say to each other: packets with rumours on their back, and state exchanges over streams.

use std::fmt;
use std::sync::Arc;

use crate::base::id::ProcessId;
use crate::base::machine::{Channel, Message};
use crate::protocol::gossip::coordinate::Coordinate;
use crate::protocol::gossip::lamport::LTime;
use crate::protocol::gossip::members::{Member, Meta, State};

/// The rumours in one packet.
pub type Rumours = Option<Box<[Rumour]>>;

/// Something that is passed on from member to member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rumour {
    /// A member is alive at this address.
    Alive {
        /// Who.
        member: Member,
        /// Where.
        address: ProcessId,
        /// In which of its lives.
        incarnation: u32,
        /// With which tags.
        meta: Meta,
    },
    /// `from` got no answer from a member.
    Suspect {
        /// The suspect.
        member: Member,
        /// In which of its lives.
        incarnation: u32,
        /// The accuser.
        from: Member,
    },
    /// `from` declared a member dead; if `from` is the member itself, it left.
    Dead {
        /// Who is dead.
        member: Member,
        /// In which of its lives.
        incarnation: u32,
        /// Who says so.
        from: Member,
    },
    /// Serf: a member means to join.
    JoinIntent {
        /// Who.
        member: Member,
        /// When, on the member clock.
        ltime: LTime,
    },
    /// Serf: a member means to leave, or is told to.
    LeaveIntent {
        /// Who.
        member: Member,
        /// When, on the member clock.
        ltime: LTime,
        /// Whether it is to be forgotten at once.
        prune: bool,
    },
    /// Serf: a user event; also any other payload of a layer above.
    User(Arc<UserEvent>),
    /// Serf: a query.
    Query(Arc<Query>),
}

/// A named payload for everybody (Serf `messageUserEvent`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserEvent {
    /// When, on the event clock.
    pub ltime: LTime,
    /// What it is called.
    pub name: Box<str>,
    /// Whatever it says.
    pub payload: Box<[u8]>,
}

/// A question to everybody (Serf `messageQuery`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// When, on the query clock.
    pub ltime: LTime,
    /// Tells it from other queries of the same time; random, 31 bits.
    pub id: u32,
    /// Who asks; answers go there.
    pub origin: ProcessId,
    /// What it is called.
    pub name: Box<str>,
    /// Whatever it asks.
    pub payload: Box<[u8]>,
}

/// What one member's table says of one member, for an exchange of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub member: Member,
    /// Where.
    pub address: ProcessId,
    /// In which of its lives.
    pub incarnation: u32,
    /// With which tags.
    pub meta: Meta,
    /// In which state.
    pub state: State,
}

/// Everything one member knows, for another one to merge (memberlist `pushPullHeader`, Serf `messagePushPull`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knowledge {
    /// The exchange it belongs to, as its initiator numbers them.
    pub exchange: u32,
    /// Whether the initiator joins.
    pub join: bool,
    /// The member table.
    pub members: Box<[Record]>,
    /// What the layer above adds.
    pub serf: Option<Arc<SerfKnowledge>>,
}

/// Serf's share of [`Knowledge`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SerfKnowledge {
    /// The member clock.
    pub clock: LTime,
    /// The event clock.
    pub event_clock: LTime,
    /// The query clock.
    pub query_clock: LTime,
    /// Members with the times of their last intents.
    pub statuses: Box<[(Member, LTime)]>,
    /// Those that left.
    pub left: Box<[Member]>,
    /// The event window.
    pub events: Box<[Arc<UserEvent>]>,
}

/// What a dialled stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The exchange of this number.
    Exchange(u32),
    /// The fallback ping of the probe with this sequence number.
    Ping(u32),
}

/// A message between two members.
#[derive(Debug, Clone, PartialEq)]
pub enum Msg {
    /// Are you there?
    Ping {
        /// The prober's sequence number.
        seq: u32,
        /// Who is meant; anybody else ignores it.
        target: Member,
        /// Rumours that travel along.
        rumours: Rumours,
    },
    /// Ask `target` whether it is there, for me.
    PingRequest {
        /// The prober's sequence number.
        seq: u32,
        /// Whom to ask.
        target: Member,
        /// Where it is.
        address: ProcessId,
        /// Rumours that travel along.
        rumours: Rumours,
    },
    /// I am, or the one you asked for is.
    Ack {
        /// The number of the ping.
        seq: u32,
        /// Where the answering member is, in network coordinates.
        coordinate: Option<Arc<Coordinate>>,
        /// Rumours that travel along.
        rumours: Rumours,
    },
    /// The one you asked for did not answer me.
    Nack {
        /// The number of the ping request.
        seq: u32,
        /// Rumours that travel along.
        rumours: Rumours,
    },
    /// Only rumours.
    Gossip(Box<[Rumour]>),
    /// Serf: an answer to a query of yours.
    Answer {
        /// The query's number.
        id: u32,
        /// The answering member.
        member: Member,
        /// What it says.
        payload: Arc<[u8]>,
    },
    /// Opens a stream (SYN).
    Dial(Stream),
    /// The stream is open (SYN, ACK).
    Accept(Stream),
    /// A ping over the stream.
    StreamPing {
        /// The prober's sequence number.
        seq: u32,
        /// Who is meant.
        target: Member,
    },
    /// Its answer.
    StreamAck {
        /// The number of the ping.
        seq: u32,
    },
    /// Here is what I know; tell me what you know.
    Push(Box<Knowledge>),
    /// Here is what I know.
    Pull(Box<Knowledge>),
}

/// Length assumed of a node name, in bytes.
const NAME_BYTES: u32 = 16;
/// Each rumour in a packet costs its length prefix (memberlist `compoundOverhead`).
pub(super) const COMPOUND_OVERHEAD: u32 = 2;
/// A packet with several rumours starts with this (memberlist `compoundHeaderOverhead`).
pub(super) const COMPOUND_HEADER: u32 = 2;

impl Rumour {
    /// Its encoded size in bytes: message type, field names of the msgpack maps, values.
    pub fn bytes(&self) -> u32 {
        match self {
            Self::Alive { meta, .. } => 56 + NAME_BYTES + u32::from(meta.bytes),
            Self::Suspect { .. } | Self::Dead { .. } => 26 + 2 * NAME_BYTES,
            Self::JoinIntent { .. } => 18 + NAME_BYTES,
            Self::LeaveIntent { .. } => 25 + NAME_BYTES,
            Self::User(event) => 35 + (event.name.len() + event.payload.len()) as u32,
            Self::Query(query) => 90 + NAME_BYTES + (query.name.len() + query.payload.len()) as u32,
        }
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Alive { member, address, incarnation, meta } => {
                mix(mix(pair(1, member.0), pair(address.0, *incarnation)), u64::from(meta.version))
            }
            Self::Suspect { member, incarnation, from } => mix(pair(2, member.0), pair(*incarnation, from.0)),
            Self::Dead { member, incarnation, from } => mix(pair(3, member.0), pair(*incarnation, from.0)),
            Self::JoinIntent { member, ltime } => mix(pair(4, member.0), ltime.0),
            Self::LeaveIntent { member, ltime, prune } => mix(pair(5 + u32::from(*prune), member.0), ltime.0),
            Self::User(event) => mix(mix(7, event.ltime.0), mix(text(event.name.as_bytes()), text(&event.payload))),
            Self::Query(query) => mix(mix(8, query.ltime.0), mix(pair(query.id, query.origin.0), text(&query.payload))),
        }
    }
}

impl fmt::Display for Rumour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive { member, incarnation, .. } => write!(f, "alive({member} inc={incarnation})"),
            Self::Suspect { member, incarnation, from } => write!(f, "suspect({member} inc={incarnation} by={from})"),
            Self::Dead { member, incarnation, from } if member == from => write!(f, "left({member} inc={incarnation})"),
            Self::Dead { member, incarnation, from } => write!(f, "dead({member} inc={incarnation} by={from})"),
            Self::JoinIntent { member, ltime } => write!(f, "joins({member} {ltime})"),
            Self::LeaveIntent { member, ltime, prune: false } => write!(f, "leaves({member} {ltime})"),
            Self::LeaveIntent { member, ltime, prune: true } => write!(f, "prune({member} {ltime})"),
            Self::User(event) => write!(f, "event({} {})", event.name, event.ltime),
            Self::Query(query) => write!(f, "query({} {})", query.name, query.ltime),
        }
    }
}

impl Msg {
    /// The rumours that travel along.
    pub fn rumours(&self) -> &[Rumour] {
        match self {
            Self::Ping { rumours, .. }
            | Self::PingRequest { rumours, .. }
            | Self::Ack { rumours, .. }
            | Self::Nack { rumours, .. } => rumours.as_deref().unwrap_or_default(),
            Self::Gossip(rumours) => rumours,
            Self::Answer { .. }
            | Self::Dial(_)
            | Self::Accept(_)
            | Self::StreamPing { .. }
            | Self::StreamAck { .. }
            | Self::Push(_)
            | Self::Pull(_) => &[],
        }
    }

    /// Its size without rumours, in bytes.
    fn own_bytes(&self) -> u32 {
        match self {
            Self::Ping { .. } | Self::StreamPing { .. } => PING_BYTES,
            Self::PingRequest { .. } => PING_REQUEST_BYTES,
            Self::Ack { coordinate, .. } => ACK_BYTES + if coordinate.is_some() { COORDINATE_BYTES } else { 0 },
            Self::Nack { .. } | Self::StreamAck { .. } => NACK_BYTES,
            Self::Gossip(_) => COMPOUND_HEADER,
            Self::Answer { payload, .. } => 60 + NAME_BYTES + payload.len() as u32,
            Self::Dial(_) | Self::Accept(_) => 0,
            Self::Push(knowledge) | Self::Pull(knowledge) => knowledge.bytes(),
        }
    }
}

/// A ping with its sender's address and name.
pub(super) const PING_BYTES: u32 = 60 + 2 * NAME_BYTES;
/// A ping request.
pub(super) const PING_REQUEST_BYTES: u32 = 72 + 2 * NAME_BYTES;
/// An ack without coordinate.
pub(super) const ACK_BYTES: u32 = 20;
/// A coordinate: eleven floats with their names.
pub(super) const COORDINATE_BYTES: u32 = 125;
/// A nack.
pub(super) const NACK_BYTES: u32 = 11;

impl Knowledge {
    fn bytes(&self) -> u32 {
        let members: u32 = self.members.iter().map(|r| 70 + NAME_BYTES + u32::from(r.meta.bytes)).sum();
        let above = self.serf.as_deref().map_or(0, |above| {
            let events: u32 = above.events.iter().map(|e| 20 + (e.name.len() + e.payload.len()) as u32).sum();
            100 + (above.statuses.len() + above.left.len()) as u32 * (NAME_BYTES + 6) + events
        });
        40 + members + above
    }

    fn fingerprint(&self) -> u64 {
        let mut hash = mix(u64::from(self.exchange), u64::from(self.join));
        for record in &self.members {
            hash =
                mix(hash, mix(pair(record.member.0, record.incarnation), pair(record.address.0, record.state as u32)));
            hash = mix(hash, u64::from(record.meta.version));
        }
        let Some(above) = self.serf.as_deref() else { return hash };
        hash = mix(hash, mix(above.clock.0, mix(above.event_clock.0, above.query_clock.0)));
        for (member, ltime) in &above.statuses {
            hash = mix(hash, mix(u64::from(member.0), ltime.0));
        }
        for member in &above.left {
            hash = mix(hash, u64::from(member.0));
        }
        for event in &above.events {
            hash = mix(hash, Rumour::User(event.clone()).fingerprint());
        }
        hash
    }
}

impl fmt::Display for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping { seq, .. } => write!(f, "Ping {seq}")?,
            Self::PingRequest { seq, target, .. } => write!(f, "PingRequest {seq} for {target}")?,
            Self::Ack { seq, .. } => write!(f, "Ack {seq}")?,
            Self::Nack { seq, .. } => write!(f, "Nack {seq}")?,
            Self::Gossip(_) => write!(f, "Gossip")?,
            Self::Answer { id, member, .. } => write!(f, "Answer to query {id} by {member}")?,
            Self::Dial(Stream::Exchange(id)) => write!(f, "Dial exchange {id}")?,
            Self::Dial(Stream::Ping(seq)) => write!(f, "Dial ping {seq}")?,
            Self::Accept(Stream::Exchange(id)) => write!(f, "Accept exchange {id}")?,
            Self::Accept(Stream::Ping(seq)) => write!(f, "Accept ping {seq}")?,
            Self::StreamPing { seq, .. } => write!(f, "StreamPing {seq}")?,
            Self::StreamAck { seq } => write!(f, "StreamAck {seq}")?,
            Self::Push(k) => write!(f, "Push {} members={} join={}", k.exchange, k.members.len(), k.join)?,
            Self::Pull(k) => write!(f, "Pull {} members={}", k.exchange, k.members.len())?,
        }
        self.rumours().iter().try_for_each(|rumour| write!(f, " {rumour}"))
    }
}

impl Message for Msg {
    fn channel(&self) -> Channel {
        match self {
            Self::Ping { .. }
            | Self::PingRequest { .. }
            | Self::Ack { .. }
            | Self::Nack { .. }
            | Self::Gossip(_)
            | Self::Answer { .. } => Channel::Datagram,
            Self::Dial(_)
            | Self::Accept(_)
            | Self::StreamPing { .. }
            | Self::StreamAck { .. }
            | Self::Push(_)
            | Self::Pull(_) => Channel::Stream,
        }
    }

    fn bytes(&self) -> u32 {
        /// IP and UDP headers; a TCP header is larger, and its acknowledgements are not counted.
        const HEADERS: u32 = 28;
        let rumours: u32 = self.rumours().iter().map(|rumour| rumour.bytes() + COMPOUND_OVERHEAD).sum();
        HEADERS + self.own_bytes() + rumours
    }

    fn fingerprint(&self) -> u64 {
        let own = match self {
            Self::Ping { seq, target, .. } => mix(1, pair(*seq, target.0)),
            Self::PingRequest { seq, target, address, .. } => mix(pair(2, address.0), pair(*seq, target.0)),
            Self::Ack { seq, coordinate, .. } => {
                mix(3, mix(u64::from(*seq), coordinate.as_deref().map_or(0, Coordinate::fingerprint)))
            }
            Self::Nack { seq, .. } => mix(4, u64::from(*seq)),
            Self::Gossip(_) => 5,
            Self::Answer { id, member, payload } => mix(mix(6, text(payload)), pair(*id, member.0)),
            Self::Dial(Stream::Exchange(id)) => mix(7, u64::from(*id)),
            Self::Dial(Stream::Ping(seq)) => mix(8, u64::from(*seq)),
            Self::Accept(Stream::Exchange(id)) => mix(9, u64::from(*id)),
            Self::Accept(Stream::Ping(seq)) => mix(10, u64::from(*seq)),
            Self::StreamPing { seq, target } => mix(11, pair(*seq, target.0)),
            Self::StreamAck { seq } => mix(12, u64::from(*seq)),
            Self::Push(knowledge) => mix(13, knowledge.fingerprint()),
            Self::Pull(knowledge) => mix(14, knowledge.fingerprint()),
        };
        self.rumours().iter().fold(own, |hash, rumour| mix(hash, rumour.fingerprint()))
    }
}

/// Two halves as one word.
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Takes a word into a running hash: a rotation and an odd multiplier.
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn text(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small_and_differ_in_their_fingerprints() {
        assert!(size_of::<Msg>() <= 40, "{}", size_of::<Msg>());
        assert!(size_of::<Rumour>() <= 24, "{}", size_of::<Rumour>());
        let suspect = Rumour::Suspect { member: Member(1), incarnation: 2, from: Member(3) };
        let dead = Rumour::Dead { member: Member(1), incarnation: 2, from: Member(3) };
        let prints = [
            Msg::Nack { seq: 1, rumours: None },
            Msg::Nack { seq: 2, rumours: None },
            Msg::StreamAck { seq: 1 },
            Msg::Gossip(Box::new([suspect])),
            Msg::Gossip(Box::new([dead])),
        ]
        .map(|msg| msg.fingerprint());
        for (i, print) in prints.iter().enumerate() {
            assert!(!prints[..i].contains(print));
        }
    }

    #[test]
    fn a_message_is_one_short_line() {
        let rumours: Rumours = Some(Box::new([Rumour::Dead { member: Member(1), incarnation: 2, from: Member(1) }]));
        let msg = Msg::Ping { seq: 7, target: Member(4), rumours };
        assert_eq!(msg.to_string(), "Ping 7 left(m1 inc=2)");
    }
}
