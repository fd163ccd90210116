//! A comparison in the formats of those who read it: people ([`text`]), programs ([`json`]), pull requests
//! ([`markdown`]), and the views of tests and annotations that build servers have ([`junit`], [`github`]).
//!
//! Nothing of the host is in it: the same results give the same bytes.

pub mod github;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod text;

use crate::analysis::compare::decisions::Changed;
use crate::analysis::compare::{Comparison, Exact, Gate, Row, Side, Verdict, listed};
use crate::report::text::{number, plural, quoted};

/// Figures with seeds left out that are named; the JSON has all.
const UNPAIRED_MAX: usize = 8;

/// A comparison and what its sides are called.
#[derive(Debug, Clone)]
pub struct Account {
    /// The base as it was named on the command line.
    pub base: String,
    /// The head as it was named.
    pub head: String,
    /// What came of it.
    pub comparison: Comparison,
    /// Placement decisions that changed, or why they are not known.
    pub decisions: Result<Vec<Changed>, String>,
    /// What it must not show; `None` if it may show anything.
    pub gate: Option<Gate>,
}

impl Account {
    /// One word for all of it.
    pub fn word(&self) -> &'static str {
        let comparison = &self.comparison;
        match comparison {
            _ if comparison.regressed() => "regression",
            _ if self.is_undecided() => "undecided",
            _ if comparison.is_same() => "identical",
            _ if comparison.identical && comparison.exact.is_empty() => "identical runs, other expectations",
            _ if comparison.count(Verdict::Improvement) > 0 => "improvement",
            _ if comparison.count(Verdict::Moved) > 0 => "moved",
            _ if comparison.differs() => "different in what is measured",
            _ if comparison.count(Verdict::Tolerated) > 0 => "different, within tolerance",
            _ => "no evidence of a difference",
        }
    }

    /// Whether what is asked cannot be told: whether anything became worse, unless the gate asks for more.
    pub fn is_undecided(&self) -> bool {
        self.comparison.undecided(self.asked())
    }

    fn asked(&self) -> Gate {
        self.gate.unwrap_or(Gate::Regression)
    }

    /// Whether this is what makes the gate fail. Without a gate, what became worse is.
    fn fails(&self, verdict: Verdict) -> bool {
        verdict == Verdict::Regression || self.gate == Some(Gate::Difference) && verdict < Verdict::NoEvidence
    }

    /// How many figures, laws, expectations and metrics that were measured more or less often came to what.
    fn counts(&self) -> String {
        let runs = plural(self.comparison.seeds.len(), "run");
        let equal = self.comparison.identical.then(|| format!("{runs} equal, event for event"));
        let kinds = [
            (Verdict::Regression, "regression"),
            (Verdict::Improvement, "improvement"),
            (Verdict::Moved, "move that is neither"),
            (Verdict::Tolerated, "within tolerance"),
            (Verdict::NoEvidence, "without evidence"),
            (Verdict::Same, "the same"),
        ];
        let some = kinds.iter().filter_map(|(verdict, word)| {
            let count = self.comparison.count(*verdict);
            let plain = matches!(verdict, Verdict::Tolerated | Verdict::NoEvidence | Verdict::Same);
            (count > 0).then(|| match (*verdict, plain) {
                (_, true) => format!("{count} {word}"),
                (Verdict::Moved, _) => format!("{count} moved, neither way is worse"),
                _ => plural(count, word),
            })
        });
        let (gained, expected) = (self.gained().len(), self.newly_expected().len());
        let gained = (gained > 0).then(|| format!("{gained} in the head alone"));
        let expected = (expected > 0).then(|| format!("{} of the head alone", plural(expected, "expectation")));
        let some: Vec<String> = equal.into_iter().chain(some).chain(gained).chain(expected).collect();
        if some.is_empty() { "no figures in common".to_owned() } else { some.join(", ") }
    }

    /// What a reader should know before trusting it: holes, too few seeds, sides that are not of one kind.
    pub fn caveats(&self) -> Vec<String> {
        let comparison = &self.comparison;
        let mut caveats = Vec::new();
        let sides = [("base", &comparison.only_base), ("head", &comparison.only_head)];
        for (side, seeds) in sides.into_iter().filter(|(_, seeds)| !seeds.is_empty()) {
            caveats.push(format!(
                "seeds {} are only in the {side} and are left out; run both with the same seeds",
                listed(seeds)
            ));
        }
        caveats.extend(self.why_undecided());
        let is_told = comparison.seeds_needed(self.asked()).is_some();
        if comparison.seeds.len() == 1 && !comparison.identical && !is_told {
            caveats.push(
                "one seed cannot bear evidence: what is other in it is other, and whether it is so in others is unknown; \
                 run both with more, as with `--seeds 10`"
                    .to_owned(),
            );
        }
        for (what, base, head) in [
            ("scenarios", &comparison.base.scenario, &comparison.head.scenario),
            ("versions of cossim", &comparison.base.cossim, &comparison.head.cossim),
        ] {
            if base != head {
                caveats.push(format!("the sides are of different {what}: {base} and {head}"));
            }
        }
        let unpaired: Vec<&Row> = comparison.rows.iter().filter(|row| row.unpaired > 0).collect();
        if !unpaired.is_empty() {
            let named = |row: &&Row| format!("{} ({} of {})", name(row), row.unpaired, row.unpaired + row.pairs);
            let mut all: Vec<String> = unpaired.iter().take(UNPAIRED_MAX).map(named).collect();
            let more = unpaired.len() - all.len();
            all.extend((more > 0).then(|| format!("and {more} more")));
            caveats.push(format!(
                "in {}, some seeds have data on one side only and are left out: {}",
                plural(unpaired.len(), "figure"),
                all.join(", ")
            ));
        }
        caveats.extend(self.of_head_alone());
        if !comparison.idle.is_empty() {
            let idle: Vec<String> = comparison.idle.iter().map(|entry| format!("`{entry}`")).collect();
            caveats.push(format!(
                "tolerances that fit nothing that was measured do nothing; look whether they are spelt right: {}",
                idle.join(", ")
            ));
        }
        if let Err(reason) = &self.decisions {
            caveats.push(format!("placement decisions are not compared: {reason}"));
        }
        caveats
    }

    /// What the base has nothing of. What the head has lost is among the regressions.
    fn of_head_alone(&self) -> Vec<String> {
        let gained = self.gained();
        let metrics = (!gained.is_empty()).then(|| format!("only the head has {}, in every seed", gained.join(", ")));
        let expected = self.newly_expected().into_iter().map(|text| format!("`{text}`")).collect::<Vec<String>>();
        let expected = (!expected.is_empty()).then(|| format!("only the head expects {}", expected.join(", ")));
        metrics.into_iter().chain(expected).collect()
    }

    /// Metrics that the head has in every seed and the base in none.
    fn gained(&self) -> Vec<&str> {
        let gained = self.comparison.unmatched.iter().filter(|(_, is_base)| !is_base);
        gained.map(|(key, _)| key.as_str()).collect()
    }

    /// Expectations that only the head has.
    fn newly_expected(&self) -> Vec<&str> {
        let expected = self.comparison.unmatched_expectations.iter().filter(|(_, is_base)| !is_base);
        expected.map(|(text, _)| text.as_str()).collect()
    }

    /// What stands in the way of a verdict, and what to do: too few seeds for any figure, seeds of the base that the
    /// head lacks, or waits that do not end any more.
    fn why_undecided(&self) -> Vec<String> {
        let comparison = &self.comparison;
        let few = comparison.seeds_needed(self.asked()).map(|needed| {
            let (seeds, moved) = (comparison.seeds.len(), comparison.seeds_moved(self.asked()));
            let (some, rest) = match moved {
                all if all >= seeds => (format!("{} can show", plural(seeds, "seed")), ""),
                some => {
                    (format!("{some} of {seeds} seeds moved, which can show"), ", if as large a part of them moves")
                }
            };
            format!(
                "{some} no difference among {} at {}, however clear: at least {needed} are needed, as with \
                 `--seeds {needed}`{rest}",
                plural(comparison.power.tested, "figure"),
                percent(comparison.level),
            )
        });
        let starved = few.is_none().then(|| self.starved()).flatten();
        let common = comparison.seeds.len();
        let lacking = comparison.lacks_seeds().then(|| {
            format!(
                "only {common} of the {} seeds of the base can be compared, fewer than half; run the head with the \
                 seeds of the base",
                common + comparison.only_base.len()
            )
        });
        let thinned = (!comparison.thinned.is_empty()).then(|| {
            format!(
                "the base measured {} in every seed and the head in fewer than half of them, and {} are too few to tell \
                 whether that is chance; run more",
                comparison.thinned.join(", "),
                plural(common, "seed")
            )
        });
        let unended = (!comparison.unended.is_empty()).then(|| {
            format!(
                "in some seeds {} never ended in the head and did in the base, and these are too few to tell whether that \
                 is chance; run more",
                comparison.unended.join(", ")
            )
        });
        few.into_iter().chain(starved).chain(lacking).chain(thinned).chain(unended).collect()
    }

    /// Which figures are as much worse as they can be, in too few seeds.
    fn starved(&self) -> Option<String> {
        let seeds = self.comparison.seeds.len();
        let all: Vec<&Row> = self.comparison.starved().collect();
        let named = |row: &&Row| format!("{} (all {} of {seeds})", name(row), row.pairs);
        let mut told: Vec<String> = all.iter().take(UNPAIRED_MAX).map(named).collect();
        let more = all.len() - told.len();
        told.extend((more > 0).then(|| format!("and {more} more")));
        (!all.is_empty()).then(|| {
            format!(
                "worse in every seed that has data, and these are too few to tell whether that is chance: {}; run more",
                told.join(", ")
            )
        })
    }

    /// The commands that tell more of the first decision that changed, if the results tell scores alone.
    fn how_to_explain(&self) -> Option<[String; 3]> {
        let first = self.decisions.as_ref().ok()?.first().filter(|changed| !changed.explained)?;
        let run = |side: &Side, out: &str| {
            let set = side.set.iter().map(|edit| format!(" --set {}", quoted(edit))).collect::<Vec<_>>().concat();
            let (file, seed) = (quoted(&side.file), first.seed);
            format!("cossim run {file}{set} --seed {seed} --explain --out explained/{out}")
        };
        let (base, head) = (&self.comparison.base, &self.comparison.head);
        let apart = if base.scenario == head.scenario { "" } else { " --across-scenarios" };
        let compare = format!("cossim compare explained/base explained/head{apart}");
        Some([run(base, "base"), run(head, "head"), compare])
    }

    /// The rows of a verdict: largest change relative to the base first.
    fn rows(&self, verdict: Verdict) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.comparison.rows.iter().filter(|row| row.verdict == verdict).collect();
        rows.sort_by(|a, b| relative(b).abs().total_cmp(&relative(a).abs()));
        rows
    }

    fn exact(&self, verdict: Verdict) -> impl Iterator<Item = &Exact> {
        self.comparison.exact.iter().filter(move |exact| exact.verdict == verdict)
    }

    /// For each seed with changed decisions: how many, and the first.
    fn first_changes(&self) -> Vec<(usize, &Changed)> {
        let all = self.decisions.as_deref().unwrap_or_default();
        let seeds = all.chunk_by(|a, b| a.seed == b.seed);
        seeds.filter_map(|of_seed| Some((of_seed.len(), of_seed.first()?))).collect()
    }
}

/// A row's name: metric and statistic.
fn name(row: &Row) -> String {
    format!("{} {}", row.metric, row.statistic)
}

/// The same for people, who are told which other row it repeats.
fn told(row: &Row) -> String {
    let same = row.same_as.as_ref().map(|other| format!(", the same as {other}")).unwrap_or_default();
    format!("{}{same}", name(row))
}

/// Effect over base; infinite from nothing.
fn relative(row: &Row) -> f64 {
    let share = row.effect / row.base.abs();
    if share.is_nan() { 0.0 } else { share }
}

/// A value with its unit.
fn value(value: f64, unit: &str) -> String {
    if value.is_finite() { format!("{} {unit}", number(value)) } else { "never".to_owned() }
}

/// A difference with its sign.
fn signed(value: f64) -> String {
    match value {
        _ if value.is_infinite() => if value > 0.0 { "to never" } else { "from never" }.to_owned(),
        _ if value > 0.0 => format!("+{}", number(value)),
        _ => number(value),
    }
}

/// Effect with unit and share of the base.
fn change(row: &Row) -> String {
    if row.is_never() {
        return "never / never".to_owned();
    }
    if row.effect.is_infinite() {
        return signed(row.effect);
    }
    let share = relative(row);
    let share = if share.is_finite() { format!(" ({}%)", signed(100.0 * share)) } else { String::new() };
    format!("{} {}{share}", signed(row.effect), row.unit)
}

/// In how many seeds of how many it moved.
fn moved(row: &Row) -> String {
    format!("{} of {}", row.moved, row.pairs)
}

fn interval(row: &Row) -> String {
    row.interval.map_or_else(|| "-".to_owned(), |(low, high)| format!("{} … {}", signed(low), signed(high)))
}

fn probability(row: &Row) -> String {
    match row.p {
        None => "-".to_owned(),
        Some((_, p)) if p < 0.000_1 => "< 0.0001".to_owned(),
        Some((_, p)) => format!("{p:.4}"),
    }
}

fn detectable(row: &Row) -> String {
    row.detectable.map_or_else(|| "none".to_owned(), |by| format!("{} {}", number(by), row.unit))
}

fn percent(share: f64) -> String {
    format!("{} %", number(100.0 * share))
}

/// One decision in a line.
fn decision(changed: &Changed) -> String {
    let place = |place: &Option<(String, f64)>| {
        place.as_ref().map_or_else(|| "nowhere".to_owned(), |(machine, at)| format!("{machine} at {at:.3} s"))
    };
    let again = if changed.before > 0 { format!(", replacement {}", changed.before) } else { String::new() };
    let (base, head) = (place(&changed.base), place(&changed.head));
    format!("{} in {}{again}: {base} → {head} ({})", changed.name, changed.region, changed.reason)
}

#[cfg(test)]
mod comparison_tests;
