//! Whether the files of a result are what its run wrote: `checksums.txt` has the 64-bit XXH3 checksum of each of them.
//!
//! It shows files that were edited, cut or mixed up. It is no proof against forgery: who edits a file can edit its
//! checksum as well.

use std::fmt::Write as _;

use crate::base::ordered::OrdMap;

use xxhash_rust::xxh3::xxh3_64;

/// Name of the file in a report folder.
pub const FILE: &str = "checksums.txt";

/// Checksums by name of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums(pub OrdMap<String, u64>);

/// What shows that a file is not what its run wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// It was changed.
    #[error("its checksum is another than in `checksums.txt`")]
    Changed,
    /// It was put there.
    #[error("`checksums.txt` does not name it")]
    Unknown,
}

impl Checksums {
    /// A line for each file: its checksum in 16 hexadecimal digits, two spaces, its name.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (name, sum) in &self.0 {
            writeln!(out, "{sum:016x}  {name}").expect("a string takes every character");
        }
        out
    }

    /// Checksums from their text, or the line that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let one = |line: &str| {
            let (sum, name) = line.split_once("  ")?;
            Some((name.to_owned(), u64::from_str_radix(sum, 16).ok()?))
        };
        let all = text.lines().map(|line| one(line).ok_or_else(|| format!("`{line}` is no checksum of a file")));
        all.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a file holds what its run wrote.
    pub fn check(&self, name: &str, bytes: &[u8]) -> Result<(), Difference> {
        match self.0.get(name) {
            Some(sum) if *sum == xxh3_64(bytes) => Ok(()),
            Some(_) => Err(Difference::Changed),
            None => Err(Difference::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_others() {
        let sums = Checksums(OrdMap::from([("a.csv".to_owned(), xxh3_64(b"1,2\n")), ("b c".to_owned(), 3)]));
        let again = Checksums::parse(&sums.text()).unwrap();
        assert_eq!(again, sums);
        assert_eq!(again.check("a.csv", b"1,2\n"), Ok(()));
        assert_eq!(again.check("a.csv", b"1,3\n"), Err(Difference::Changed));
        assert_eq!(again.check("d", b"1,2\n"), Err(Difference::Unknown));
        assert!(Checksums::parse("12 a.csv\n").unwrap_err().contains("`12 a.csv`"));
    }
}
