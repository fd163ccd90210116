//! Where two results placed allocations differently, and why.
//!
//! Allocations are matched by seed, region, name and how often the name had been placed before; numbers of allocations
//! are given in log order and shift. Within a seed the first difference is the one to look at: later ones may be its
//! consequences.

use std::path::{Path, PathBuf};

use crate::base::ordered::OrdMap;

/// Name of the file in a report folder.
pub const FILE: &str = "placements.csv";

/// A decision that came out otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The seed.
    pub seed: u64,
    /// Region.
    pub region: String,
    /// As `shop.web[3]`.
    pub name: String,
    /// How often the name had been placed before, in the run.
    pub before: usize,
    /// Machine and time in seconds in the base; `None` if it was not placed.
    pub base: Option<(String, f64)>,
    /// The same in the head.
    pub head: Option<(String, f64)>,
    /// Why, as far as the files tell.
    pub reason: String,
    /// Whether the files tell more than scores: what ruled nodes out, and the best candidates (`--explain`).
    pub explained: bool,
}

/// One placement, as its row says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Placed {
    machine: String,
    /// In seconds.
    at_s: f64,
    previous: String,
    score: String,
    /// Columns that are filled by `--explain`, by name.
    told: OrdMap<String, String>,
}

/// Placements by seed, region, name and count.
pub type Placements = OrdMap<(u64, String, String, usize), Placed>;

/// A `placements.csv` that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{}` {reason}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// The placements of a report folder.
pub fn read(folder: &Path) -> Result<Placements, ReadError> {
    let path = folder.join(FILE);
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"));
    bytes.and_then(|bytes| parse(&bytes)).map_err(|reason| ReadError { path, reason })
}

/// Placements from the bytes of `placements.csv`.
pub fn parse(bytes: &[u8]) -> Result<Placements, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(|error| format!("is damaged: {error}"))?.clone();
    let column = |name: &str| {
        header.iter().position(|header| header == name).ok_or_else(|| format!("is damaged: it has no column `{name}`"))
    };
    let (seed, region, name, machine) = (column("seed")?, column("region")?, column("name")?, column("machine")?);
    let (placed, previous, score) = (column("placed_s")?, column("previous")?, column("score")?);
    let mut placements = Placements::new();
    let mut counts: OrdMap<(u64, String, String), usize> = OrdMap::new();
    for (line, record) in (2..).zip(reader.records()) {
        let record = record.map_err(|error| format!("is damaged: {error}"))?;
        let cell = |column: usize| record.get(column).unwrap_or_default().to_owned();
        let wrong = |what: &str| format!("is damaged: line {line} has no {what}");
        let group = (cell(seed).parse().map_err(|_| wrong("seed"))?, cell(region), cell(name));
        let count = counts.entry(group.clone()).or_default();
        let told = TOLD.iter().filter_map(|name| {
            let at = header.iter().position(|header| header == *name)?;
            Some(((*name).to_owned(), cell(at))).filter(|(_, text)| !text.is_empty())
        });
        let placed = Placed {
            machine: cell(machine),
            at_s: cell(placed).parse().map_err(|_| wrong("time of placement"))?,
            previous: cell(previous),
            score: cell(score),
            told: told.collect(),
        };
        placements.insert((group.0, group.1, group.2, *count), placed);
        *count += 1;
    }
    Ok(placements)
}

/// The decisions of these seeds that differ, by seed and then by time.
pub fn changed(base: &Placements, head: &Placements, seeds: &[u64]) -> Vec<Changed> {
    let mut keys: Vec<_> = base.keys().chain(head.keys()).filter(|key| seeds.contains(&key.0)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut changed: Vec<Changed> = keys
        .into_iter()
        .filter_map(|key| {
            let (was, is) = (base.get(key), head.get(key));
            if was.zip(is).is_some_and(|(was, is)| was.machine == is.machine) {
                return None;
            }
            let place = |placed: &Placed| (placed.machine.clone(), placed.at_s);
            let (seed, region, name, before) = key.clone();
            Some(Changed {
                seed,
                region,
                name,
                before,
                base: was.map(place),
                head: is.map(place),
                reason: reason(was, is),
                explained: [was, is].into_iter().flatten().all(|placed| !placed.told.is_empty()),
            })
        })
        .collect();
    let at = |changed: &Changed| {
        let times = [&changed.base, &changed.head].into_iter().flatten().map(|(_, at)| *at);
        times.fold(f64::INFINITY, f64::min)
    };
    changed.sort_by(|a, b| a.seed.cmp(&b.seed).then(at(a).total_cmp(&at(b))).then(a.name.cmp(&b.name)));
    changed
}

/// Columns that say how a decision was made.
const TOLD: [&str; 4] = ["filtered", "exhausted", "evaluated", "best"];

fn reason(base: Option<&Placed>, head: Option<&Placed>) -> String {
    let (base, head) = match (base, head) {
        (Some(base), Some(head)) => (base, head),
        (Some(_), None) => return "the head did not place it (again)".to_owned(),
        (None, Some(head)) if head.previous.is_empty() => return "the base did not place it".to_owned(),
        (None, Some(head)) => return format!("the base did not place it again; it replaces {}", head.previous),
        (None, None) => return String::new(),
    };
    let mut parts = Vec::new();
    if base.previous.is_empty() != head.previous.is_empty() {
        let side = if head.previous.is_empty() { "base" } else { "head" };
        parts.push(format!("only in the {side} does it replace an earlier one"));
    }
    for column in TOLD {
        if let (Some(was), Some(is)) = (base.told.get(column), head.told.get(column))
            && was != is
        {
            parts.push(format!("{column}: {was} → {is}"));
        }
    }
    match (base.score == head.score, parts.is_empty()) {
        (false, _) => parts.push(format!("score {} → {}", base.score, head.score)),
        (true, true) => parts.push(format!("equal score {}: other candidates were met first", base.score)),
        (true, false) => {}
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "seed,region,alloc,name,machine,previous,placed_s,score,best\n";

    fn of(rows: &str) -> Placements {
        parse(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    #[test]
    fn decisions_are_matched_by_name_and_count_and_told_in_order_of_time() {
        let base = of("1,eu,a0,web[0],m1,,5,0.5,\n1,eu,a1,web[1],m2,,5,0.4,\n1,eu,a2,web[0],m3,a0,90,0.7,\n\
            2,eu,a0,web[0],m1,,5,0.5,\n");
        let head = of("1,eu,a0,web[1],m2,,6,0.4,\n1,eu,a1,web[0],m4,,6,0.6,\n1,eu,a7,web[0],m3,a1,80,0.7,\n\
            1,eu,a8,web[0],m5,a7,99,0.7,\n2,eu,a0,web[0],m9,,5,0.5,\n");
        let changed = changed(&base, &head, &[1]);
        let told: Vec<(&str, usize, &str)> =
            changed.iter().map(|changed| (&*changed.name, changed.before, &*changed.reason)).collect();
        assert_eq!(
            told,
            [("web[0]", 0, "score 0.5 → 0.6"), ("web[0]", 2, "the base did not place it again; it replaces a7"),]
        );
        assert_eq!(changed[0].base, Some(("m1".to_owned(), 5.0)));
    }

    #[test]
    fn reasons_are_taken_from_what_the_runs_told() {
        let base = of("1,eu,a0,web[0],m1,,5,0.5,m1 0.5\n1,eu,a1,web[1],m1,,5,0.5,\n1,eu,a2,web[2],m1,,5,0.5,\n");
        let head = of("1,eu,a0,web[0],m4,,5,0.5,m4 0.5\n1,eu,a1,web[1],m2,,5,0.5,\n1,eu,a2,web[2],m2,a1,5,0.5,\n");
        let reasons: Vec<String> = changed(&base, &head, &[1]).into_iter().map(|changed| changed.reason).collect();
        let expected = [
            "best: m1 0.5 → m4 0.5",
            "equal score 0.5: other candidates were met first",
            "only in the head does it replace an earlier one",
        ];
        assert_eq!(reasons, expected);
        let explained: Vec<bool> = changed(&base, &head, &[1]).into_iter().map(|changed| changed.explained).collect();
        assert_eq!(explained, [true, false, false], "the others have no candidates");
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_line() {
        for (text, expected) in [
            ("seed,region,alloc,name,machine,previous,score\n", "no column `placed_s`"),
            (&*format!("{HEADER}1,eu,a0,web[0],m1,,late,0.5,\n"), "line 2 has no time of placement"),
            (&*format!("{HEADER}1,eu,a0\n"), "is damaged"),
        ] {
            let reason = parse(text.as_bytes()).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
