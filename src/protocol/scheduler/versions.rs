//! Version texts and version constraints, as `hashicorp/go-version` reads them: more lenient than `SemVer`.

use std::cmp::Ordering;

/// A parsed version. Build metadata is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// At least three, padded with zeros.
    numbers: Vec<u64>,
    /// How many were written.
    written: usize,
    /// Dot-separated identifiers, or empty.
    prerelease: String,
}

impl Version {
    /// Reads an optional `v`, numbers, an optional pre-release (its hyphen may be missing before a letter unless
    /// `strict`), optional metadata. No blanks.
    pub fn parse(text: &str, strict: bool) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (body, metadata) = match text.split_once('+') {
            Some((body, metadata)) => (body, Some(metadata)),
            None => (text, None),
        };
        if metadata.is_some_and(|metadata| !is_identifiers(metadata)) {
            return None;
        }
        let mut numbers = Vec::new();
        let mut rest = body;
        loop {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 {
                return None;
            }
            numbers.push(rest[..digits].parse::<i64>().ok()? as u64);
            rest = &rest[digits..];
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        let prerelease = match rest.strip_prefix('-') {
            Some(prerelease) => prerelease,
            None if rest.is_empty() || !strict => rest,
            None => return None,
        };
        if !rest.is_empty() && !is_identifiers(prerelease) {
            return None;
        }
        let written = numbers.len();
        numbers.resize(written.max(3), 0);
        Some(Self { numbers, written, prerelease: prerelease.into() })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.compare(other))
    }
}

impl Version {
    /// Numbers first; lists that differ only in length by zeros are equal whatever their pre-release.
    fn compare(&self, other: &Self) -> Ordering {
        if self.numbers == other.numbers {
            return compare_prereleases(&self.prerelease, &other.prerelease);
        }
        let shared = self.numbers.len().min(other.numbers.len());
        match self.numbers[..shared].cmp(&other.numbers[..shared]) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        if self.numbers[shared..].iter().any(|number| *number != 0) {
            Ordering::Greater
        } else if other.numbers[shared..].iter().any(|number| *number != 0) {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'~')
    })
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (a.is_empty(), b.is_empty()) {
        (true, _) => return Ordering::Greater,
        (_, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            // A surplus identifier counts as greater if it is a number and as smaller otherwise.
            (Some(surplus), None) => {
                if is_number(surplus) {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (None, Some(surplus)) => {
                if is_number(surplus) {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (Some(a), Some(b)) => match (a.parse::<i64>(), b.parse::<i64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// How a version list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Operator `version`: pre-releases are gated, `~>` is known.
    Version,
    /// Operator `semver`: no gate, no `~>`.
    Semver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Pessimistic,
}

/// A comma-separated list of what a version has to satisfy, read once. A malformed item is satisfied by nothing.
#[derive(Debug, Clone)]
pub struct VersionList {
    items: Option<Vec<(Comparison, Version)>>,
    rules: Rules,
}

impl VersionList {
    /// Reads a list.
    pub fn read(list: &str, rules: Rules) -> Self {
        Self { items: list.split(',').map(|item| parse_item(item, rules)).collect(), rules }
    }

    /// Whether a version satisfies every item. A malformed version does not.
    pub fn admits(&self, version: &str) -> bool {
        let Some(items) = &self.items else { return false };
        let Some(version) = Version::parse(version, false) else { return false };
        items.iter().all(|(comparison, item)| compares(&version, *comparison, item, self.rules))
    }
}

/// Whether every item of a list can be read.
pub fn is_list(list: &str, rules: Rules) -> bool {
    VersionList::read(list, rules).items.is_some()
}

fn parse_item(item: &str, rules: Rules) -> Option<(Comparison, Version)> {
    let item = item.trim();
    let operators = [
        ("~>", Comparison::Pessimistic),
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        ("!=", Comparison::NotEqual),
        ("=", Comparison::Equal),
        (">", Comparison::Greater),
        ("<", Comparison::Less),
    ];
    let found = operators.into_iter().find_map(|(text, comparison)| Some((comparison, item.strip_prefix(text)?)));
    let (comparison, text) = found.unwrap_or((Comparison::Equal, item));
    if rules == Rules::Semver && comparison == Comparison::Pessimistic {
        return None;
    }
    Some((comparison, Version::parse(text.trim(), rules == Rules::Semver)?))
}

fn compares(version: &Version, comparison: Comparison, item: &Version, rules: Rules) -> bool {
    let order = version.compare(item);
    let gate = rules == Rules::Semver || prerelease_gate(version, item);
    match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Greater => gate && order == Ordering::Greater,
        Comparison::Less => gate && order == Ordering::Less,
        Comparison::AtLeast => gate && order != Ordering::Less,
        Comparison::AtMost => gate && order != Ordering::Greater,
        Comparison::Pessimistic => gate && pessimistic(version, item),
    }
}

fn prerelease_gate(version: &Version, item: &Version) -> bool {
    match (version.prerelease.is_empty(), item.prerelease.is_empty()) {
        (false, false) => version.numbers == item.numbers,
        (false, true) => false,
        (true, _) => true,
    }
}

/// `~> 1.2`: at least 1.2, equal in all written numbers but the last.
fn pessimistic(version: &Version, item: &Version) -> bool {
    if !item.prerelease.is_empty() && version.prerelease.is_empty() {
        return false;
    }
    if version.compare(item) == Ordering::Less || version.numbers.len() < item.numbers.len() {
        return false;
    }
    let fixed = item.written - 1;
    let last = item.numbers.len() - 1;
    version.numbers[..fixed] == item.numbers[..fixed] && item.numbers[last] <= version.numbers[last]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_lists() {
        for (version, list, rules, expected) in [
            ("1.2.3", ">= 1.0, < 2", Rules::Version, true),
            ("1.2.3-beta", ">= 1.0", Rules::Version, false),
            ("1.2.3-beta", ">= 1.0", Rules::Semver, true),
            ("1.9", "~> 1.2", Rules::Version, true),
            ("2.0", "~> 1.2", Rules::Version, false),
            ("7", "~> 1", Rules::Version, true),
            ("1.0.0.0", "= 1", Rules::Version, true),
            ("1", "=> 1", Rules::Version, false),
            ("1", "", Rules::Version, false),
        ] {
            assert_eq!(VersionList::read(list, rules).admits(version), expected, "{version} {list} {rules:?}");
        }
    }
}
