//! Access rules of a target: `allow=` and `deny=` options with blocks of addresses (fabio 1.6 `access_rules`).
//!
//! A rule that does not parse is no rule: traffic flows (fail open).

use std::net::IpAddr;

use crate::base::ordered::OrdMap;

/// Why a rule was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Only one of the two may be given.
    #[error("specifying allow and deny on the same route is not supported")]
    Both,
    /// An item without `type:`.
    #[error("invalid access item, expected <type>:<data>, got [{0}]")]
    Item(String),
    /// A type other than `ip`.
    #[error("unknown access item type: {0}")]
    Type(String),
    /// No address.
    #[error("failed to parse IP {0}")]
    Address(String),
    /// No block of addresses.
    #[error("failed to parse CIDR {0}")]
    Block(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    address: IpAddr,
    prefix: u32,
}

impl Block {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(block), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                block.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(block), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                block.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Who may use a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    allow: Option<Vec<Block>>,
    deny: Vec<Block>,
}

impl Access {
    /// Reads the options `allow` and `deny`. Blocks read before a mistake stay in force, as in the original.
    pub fn parse(options: &OrdMap<String, String>) -> (Self, Option<AccessError>) {
        let given = |key: &str| options.get(key).map_or("", String::as_str);
        let mut access = Self::default();
        let (allow, deny) = (given("allow"), given("deny"));
        if !allow.is_empty() && !deny.is_empty() {
            return (access, Some(AccessError::Both));
        }
        let mut blocks = Vec::new();
        let error = [allow, deny]
            .into_iter()
            .filter(|items| !items.is_empty())
            .flat_map(|items| items.split(','))
            .try_for_each(|item| parse_item(item).map(|block| blocks.push(block)))
            .err();
        if allow.is_empty() {
            access.deny = blocks;
        } else if !blocks.is_empty() {
            access.allow = Some(blocks);
        }
        (access, error)
    }

    /// Whether there are no rules.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// Whether a request is refused: the remote address first, then every other address in `X-Forwarded-For`.
    pub fn denies(&self, remote: &str, forwarded_for: &str) -> bool {
        if self.is_open() {
            return false;
        }
        let Some(host) = split_host(remote) else { return false };
        if parse_address(host).is_some_and(|address| self.denies_address(address)) {
            return true;
        }
        forwarded_for
            .split(',')
            .map(str::trim)
            .filter(|text| *text != host)
            .filter_map(parse_address)
            .any(|address| self.denies_address(address))
    }

    fn denies_address(&self, address: IpAddr) -> bool {
        match &self.allow {
            Some(allow) => !allow.iter().any(|block| block.contains(address)),
            None => self.deny.iter().any(|block| block.contains(address)),
        }
    }
}

fn parse_item(item: &str) -> Result<Block, AccessError> {
    let (kind, value) = item.split_once(':').ok_or_else(|| AccessError::Item(item.to_owned()))?;
    if !kind.trim().eq_ignore_ascii_case("ip") {
        return Err(AccessError::Type(kind.to_owned()));
    }
    let value = value.trim();
    let Some((address, prefix)) = value.split_once('/') else {
        let address = parse_address(value).ok_or_else(|| AccessError::Address(value.to_owned()))?;
        return Ok(Block { address, prefix: width(address) });
    };
    let block = || AccessError::Block(item.to_owned());
    let address = parse_address(address).ok_or_else(block)?;
    let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|&bits| is_number && bits <= width(address)).ok_or_else(block)?;
    Ok(Block { address, prefix })
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as Go reads it: an IPv4 address written as IPv6 is an IPv4 address.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The host of `host:port` or `[host]:port`; `None` without a port.
fn split_host(text: &str) -> Option<&str> {
    let (host, _) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inside) => inside.strip_suffix(']'),
        None => (!host.contains([':', '[', ']'])).then_some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_fail_open() {
        let check = |options: &[(&str, &str)], remote: &str, denied: bool, broken: bool| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let (access, error) = Access::parse(&options);
            assert_eq!((access.denies(remote, ""), error.is_some()), (denied, broken), "{options:?} {remote}");
        };
        check(&[("allow", "ip:10.0.0.0/8")], "10.1.1.1:1", false, false);
        check(&[("allow", "ip:10.0.0.0/8")], "11.1.1.1:1", true, false);
        check(&[("deny", "ip:fe80::/10")], "[fe80::1]:1", true, false);
        check(&[("deny", "ip:1.2.3.4"), ("allow", "ip:1.2.3.4")], "1.2.3.4:1", false, true);
        check(&[("allow", "ip:bogus")], "1.2.3.4:1", false, true);
        check(&[("allow", "ip:10.0.0.0/33")], "1.2.3.4:1", false, true);
    }
}
