//! Addresses as text: how a process and a port of it look in the catalog and in a route.
//!
//! Process `n` has the address `10.a.b.c`, where `a.b.c` are the three bytes of `n`. A port names one listener of the
//! process: `9999` of fabio, or the host port of an instance behind the task runtime of its host.

use std::fmt;

use crate::base::id::ProcessId;

/// One listener of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The process. Only numbers below 2^24 have an address.
    pub process: ProcessId,
    /// The port.
    pub port: u32,
}

impl Endpoint {
    /// Reads `10.a.b.c:port`; `None` if the text is the address of no process.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, port) = text.rsplit_once(':')?;
        let mut bytes = address.split('.').map(|byte| byte.parse::<u8>().ok());
        let [Some(Some(10)), Some(Some(a)), Some(Some(b)), Some(Some(c)), None] =
            [bytes.next(), bytes.next(), bytes.next(), bytes.next(), bytes.next()]
        else {
            return None;
        };
        let port = port.parse().ok()?;
        Some(Self { process: ProcessId(u32::from_be_bytes([0, a, b, c])), port })
    }

    /// The address without the port, as a catalog entry carries it.
    pub fn address(process: ProcessId) -> String {
        let [_, a, b, c] = process.0.to_be_bytes();
        format!("10.{a}.{b}.{c}")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Self::address(self.process), self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        let endpoint = Endpoint { process: ProcessId(0x00_03_11), port: 23_456 };
        assert_eq!(endpoint.to_string(), "10.0.3.17:23456");
        assert_eq!(Endpoint::parse("10.0.3.17:23456"), Some(endpoint));
        for text in ["10.0.3.17", "h:1", "11.0.0.1:1", "10.0.0:1", "10.0.0.1.2:1", "10.0.0.1:x"] {
            assert_eq!(Endpoint::parse(text), None);
        }
    }
}
