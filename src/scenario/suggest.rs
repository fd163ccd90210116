//! "Did you mean": the known name that is written most like an unknown one.

use std::fmt::Write as _;

/// The known name within two edits of `word`, ignoring case; the nearest, then the first.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    let lower = word.to_lowercase();
    for name in known.into_iter().take(CANDIDATES_MAX) {
        if name.len().abs_diff(word.len()) > EDITS_MAX * 4 {
            continue;
        }
        let distance = distance(&lower, &name.to_lowercase());
        let allowed = EDITS_MAX.min(name.chars().count().saturating_sub(1).max(1));
        if distance <= allowed && best.is_none_or(|(nearest, _)| distance < nearest) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Names in backticks, at most two dozen.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut text = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_MAX {
        let _ = write!(text, " and {} more", names.len() - LISTED_MAX);
    }
    text
}

/// A hint for an unknown name: what was perhaps meant, or all known ones.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    guess(word, known.clone()).unwrap_or_else(|| {
        let known = listed(known);
        if known.is_empty() { "there are none".to_owned() } else { format!("known are {known}") }
    })
}

/// What was perhaps meant: the nearest known name, or else those that begin with the word, ignoring case.
pub fn guess<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(name) = closest(word, known.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let begins = |name: &&str| name.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    let longer: Vec<&str> = known.into_iter().take(CANDIDATES_MAX).filter(begins).take(BEGUN_MAX + 1).collect();
    if word.len() < BEGINNING_MIN || longer.is_empty() || longer.len() > BEGUN_MAX {
        return None;
    }
    Some(format!("did you mean `{}`?", longer.join("` or `")))
}

/// Edits that turn one text into the other: insertions, deletions, replacements, swaps of neighbours. Texts longer
/// than 64 characters are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut older: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(older[j - 2] + 1);
            }
            row.push(fewest);
        }
        older = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Beyond two edits a suggestion is a guess.
const EDITS_MAX: usize = 2;
/// Names beyond these are not looked at; machines can be many.
const CANDIDATES_MAX: usize = 1_000;
/// Shorter words are the beginning of too much.
const BEGINNING_MIN: usize = 3;
/// More names that begin alike say nothing.
const BEGUN_MAX: usize = 4;
/// Longer lists are cut.
const LISTED_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_within_two_edits() {
        for (word, expected) in [
            ("druation", Some("duration")),
            ("duratoin", Some("duration")),
            ("Regions", Some("regions")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(closest(word, ["duration", "regions", "name"]), expected, "{word}");
        }
    }

    #[test]
    fn a_word_may_be_the_beginning_of_what_was_meant() {
        for (word, expected) in [
            ("drain", "did you mean `DrainNodes`?"),
            ("Node", "did you mean `NodeCrash` or `NodeEligibility`?"),
            ("Dr", "known are `DrainNodes`, `NodeCrash`, `NodeEligibility`"),
            ("NodeCrahs", "did you mean `NodeCrash`?"),
        ] {
            assert_eq!(hint(word, ["DrainNodes", "NodeCrash", "NodeEligibility"]), expected, "{word}");
        }
    }
}
