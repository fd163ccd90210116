//! Objectives: `metric[{label=value,…}] [statistic] [during|after ENTRY] op value [in N% of seeds] [if exercised]`.
//!
//! An objective holds for every seed unless it says otherwise; one without data is not exercised and counts as failed
//! unless it ends in `if exercised`. Spaces are free. ENTRY is the label of an entry of the timeline as reports show it
//! (`zone-outage us-east-1/b`), or `#2` for the second one as written: an entry that acts in several regions is one.

use std::fmt;

use crate::base::id::{Id, IdVec};
use crate::base::time::{Duration, Time};
use crate::measure::bound;
use crate::measure::bound::Foregone;
use crate::measure::catalogue;
use crate::measure::catalogue::Kind;
use crate::measure::catalogue::Metric;
use crate::measure::catalogue::Unit;
use crate::measure::failover::is_fault;
use crate::world::spec::{Entry, EntryId};

/// One number out of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// Number of samples.
    Count,
    /// Smallest.
    Min,
    /// Mean; of levels, over time.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Largest.
    Max,
    /// The last value of a level.
    Final,
    /// The one number of a total.
    Total,
    /// The one number of a share.
    Value,
}

impl Statistic {
    /// As written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Min => "min",
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p999",
            Self::Max => "max",
            Self::Final => "final",
            Self::Total => "total",
            Self::Value => "value",
        }
    }

    /// Statistics of a kind of metric; the first is meant if none is written.
    pub const fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Times => {
                &[Self::Max, Self::Count, Self::Min, Self::Mean, Self::P50, Self::P90, Self::P99, Self::P999]
            }
            Kind::Level => &[Self::Final, Self::Min, Self::Mean, Self::Max],
            Kind::Total => &[Self::Total],
            Kind::Share => &[Self::Value],
        }
    }
}

/// How a statistic is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Comparison {
    /// As written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }

    /// Whether `observed` meets `bound`.
    pub fn holds(self, observed: f64, bound: f64) -> bool {
        match observed.partial_cmp(&bound) {
            None => false,
            Some(order) => match self {
                Self::Less => order.is_lt(),
                Self::AtMost => order.is_le(),
                Self::Greater => order.is_gt(),
                Self::AtLeast => order.is_ge(),
                Self::Equal => order.is_eq(),
                Self::NotEqual => order.is_ne(),
            },
        }
    }
}

/// Which part of a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    /// All of it, after the warm-up.
    Whole,
    /// While an entry of the timeline lasts; to the end of the run, if it has no length.
    During(EntryId),
    /// From its end on; from its beginning, if it has no length.
    After(EntryId),
}

/// An entry of the timeline, as an objective can name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its label.
    pub label: &'a str,
    /// Which entry of the scenario's timeline it comes from, from 0.
    pub written: usize,
}

impl<'a> Named<'a> {
    /// The entries of a timeline.
    pub fn all(timeline: &'a IdVec<EntryId, Entry>) -> Vec<Self> {
        timeline.as_slice().iter().map(|entry| Self { label: &entry.label, written: entry.written }).collect()
    }

    /// A list for messages: each written entry once, with its number.
    fn listed(entries: &[Self]) -> String {
        let mut once = entries.to_vec();
        once.dedup_by_key(|named| named.written);
        let numbered = once.iter().map(|named| format!("#{} {}", named.written + 1, named.label));
        numbered.map(|text| format!("`{}`", text.trim_end())).collect::<Vec<_>>().join(", ")
    }

    /// Entries as they are written, by their labels.
    pub fn in_order(labels: &[&'a str]) -> Vec<Self> {
        labels.iter().enumerate().map(|(written, &label)| Self { label, written }).collect()
    }
}

/// An objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// What is looked at.
    pub metric: &'static Metric,
    /// Only series with these labels, sorted by label. Several series that match are taken together.
    pub labels: Vec<(String, String)>,
    /// One number out of it.
    pub statistic: Statistic,
    /// When.
    pub window: Window,
    /// Which entry of the scenario's timeline the window is about, from 0.
    pub written: Option<usize>,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what, in the unit of the metric (milliseconds, percent, counts).
    pub bound: f64,
    /// Share of seeds that must hold it, in 0..=1. Default all.
    pub quorum: f64,
    /// Holds if there is no data.
    pub if_exercised: bool,
}

/// Why a text is not an objective.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// No such metric.
    #[error("there is no metric `{name}`")]
    UnknownMetric {
        /// As written.
        name: String,
    },
    /// The metric has no such label.
    #[error("metric `{metric}` has no label `{label}`")]
    UnknownLabel {
        /// The metric.
        metric: &'static str,
        /// As written.
        label: String,
        /// Labels it has.
        known: &'static [&'static str],
    },
    /// Braces that are not `{label=value, …}`.
    #[error("labels are written `{{label=value, …}}`, not `{text}`")]
    Labels {
        /// As written.
        text: String,
    },
    /// A word where a statistic should be.
    #[error("metric `{metric}` has no statistic `{word}`")]
    UnknownStatistic {
        /// The metric.
        metric: &'static str,
        /// As written.
        word: String,
        /// Statistics it has.
        known: String,
    },
    /// `during` or `after` in a place where it is not read.
    #[error("`{word} ENTRY` stands after the statistic and before the comparison")]
    WindowPlace {
        /// `during` or `after`.
        word: &'static str,
    },
    /// The timeline has no such entry.
    #[error("`{entry}` is not one entry of the timeline")]
    UnknownEntry {
        /// As written.
        entry: String,
        /// Entries there are.
        known: String,
    },
    /// The timeline has several such entries.
    #[error("`{entry}` is not one entry of the timeline but several")]
    SeveralEntries {
        /// As written.
        entry: String,
        /// Entries there are.
        known: String,
    },
    /// No comparison.
    #[error("an expectation compares: one of `<`, `<=`, `>`, `>=`, `==`, `!=` is missing")]
    NoComparison,
    /// The bound is not a value of the metric's unit.
    #[error("`{text}` is not a value of `{metric}`")]
    Bound {
        /// The metric.
        metric: &'static str,
        /// As written.
        text: String,
        /// What a value looks like.
        example: &'static str,
    },
    /// No value meets it.
    #[error("no value of `{metric}` is {comparison}")]
    Never {
        /// The metric.
        metric: &'static str,
        /// Comparison and bound.
        comparison: String,
        /// The values there are.
        values: String,
    },
    /// No seed has to hold it.
    #[error("`in {text} of seeds` asks for nothing: it holds whatever happens")]
    NoSeeds {
        /// The share, as written.
        text: String,
    },
    /// Something after the bound that is not understood.
    #[error("`{text}` is not understood after the bound")]
    Trailing {
        /// As written.
        text: String,
    },
}

impl ObjectiveError {
    /// Which written entry is missing, from 0, if it was named by its number.
    pub fn missing_entry(&self) -> Option<usize> {
        match self {
            Self::UnknownEntry { entry, .. } => number_of(entry)?.checked_sub(1),
            _ => None,
        }
    }

    /// The entry that is missing, if it was named by its label.
    pub fn missing_label(&self) -> Option<&str> {
        match self {
            Self::UnknownEntry { entry, .. } if !entry.is_empty() && !entry.starts_with('#') => Some(entry),
            _ => None,
        }
    }

    /// A way out.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownMetric { name } => Some(metric_hint(name)),
            Self::UnknownLabel { known, .. } => Some(if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("its labels are `{}`", known.join("`, `"))
            }),
            Self::UnknownStatistic { known, .. } => Some(format!("its statistics are {known}")),
            Self::UnknownEntry { known, .. } | Self::SeveralEntries { known, .. } => Some(if known.is_empty() {
                "the timeline is empty".to_owned()
            } else {
                format!("its entries are {known}; write its number or its name")
            }),
            Self::WindowPlace { word } => Some(format!("for example `failover.replace p99 {word} #1 < 30s`")),
            Self::Bound { example, .. } => {
                let range = if example.ends_with('%') { "from 0% to 100%" } else { "zero or more" };
                Some(format!("write it as `{example}`, {range}"))
            }
            Self::NoComparison => Some(format!("for example `{EXAMPLE}`")),
            Self::Labels { .. } => Some(
                "each label has a value, commas stand between them alone, and empty braces are left out".to_owned(),
            ),
            Self::Never { values, .. } => Some(values.clone()),
            Self::NoSeeds { .. } => {
                Some("ask for a share above zero, as `in 90% of seeds`, or leave it out".to_owned())
            }
            Self::Trailing { .. } => Some("what can follow is `in 90% of seeds` and `if exercised`".to_owned()),
        }
    }
}

/// Figures of a metric: `metric[{label=value,…}] [statistic]`.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The metric.
    pub metric: &'static Metric,
    /// Labels it must have.
    pub labels: Vec<(String, String)>,
    /// One statistic; `None` if none is written.
    pub statistic: Option<Statistic>,
}

impl Subject {
    /// Reads a subject.
    pub fn parse(text: &str) -> Result<Self, ObjectiveError> {
        let text = text.trim();
        let (metric, rest) = parse_metric(text)?;
        let (labels, rest) = parse_labels(metric, rest)?;
        let (statistic, rest) = parse_statistic(metric, rest.trim())?;
        if !rest.is_empty() {
            return Err(ObjectiveError::Trailing { text: rest.to_owned() });
        }
        let written = text.split(|c: char| c.is_whitespace() || c == '}').next_back() == Some(statistic.name());
        Ok(Self { metric, labels, statistic: written.then_some(statistic) })
    }

    /// A value of the metric with its unit, in the unit reports show it in.
    pub fn value(&self, text: &str) -> Result<f64, ObjectiveError> {
        let unit = (self.statistic != Some(Statistic::Count)).then_some(self.metric.unit);
        let words: Vec<&str> = text.split_whitespace().collect();
        bound::read(self.metric, unit, &words)
    }
}

/// The metric a text begins with, and the rest.
fn parse_metric(text: &str) -> Result<(&'static Metric, &str), ObjectiveError> {
    let end = text.find(|c: char| c.is_whitespace() || c == '{').unwrap_or(text.len());
    let name = &text[..end];
    let metric = catalogue::find(name).ok_or_else(|| ObjectiveError::UnknownMetric { name: name.to_owned() })?;
    Ok((metric, text[end..].trim_start()))
}

impl Objective {
    /// Reads an objective; `entries` are those of the timeline, in order.
    pub fn parse(text: &str, entries: &[Named<'_>]) -> Result<Self, ObjectiveError> {
        let (at, symbol, comparison) = find_comparison(text).ok_or(ObjectiveError::NoComparison)?;
        let (left, right) = (text[..at].trim(), text[at + symbol.len()..].trim());
        let (metric, labels, statistic, (window, written)) = parse_left(left, entries)?;
        let (bound, quorum, if_exercised) = parse_right(metric, statistic, right)?;
        let read = Self { metric, labels, statistic, window, written, comparison, bound, quorum, if_exercised };
        if read.foregone() == Some(Foregone::Never) {
            let (metric, values) = (metric.name, read.values());
            return Err(ObjectiveError::Never { metric, comparison: format!("{symbol} {}", read.show(bound)), values });
        }
        Ok(read)
    }

    /// Reads a measure: an objective without its comparison, as `failover.replace p99 during #1`. It holds nothing to
    /// anything; of several levels that match, the largest is its value.
    pub fn measure(text: &str, entries: &[Named<'_>]) -> Result<Self, ObjectiveError> {
        let (metric, labels, statistic, (window, written)) = parse_left(text.trim(), entries)?;
        let comparison = Comparison::AtMost;
        Ok(Self { metric, labels, statistic, window, written, comparison, bound: 0.0, quorum: 1.0, if_exercised: true })
    }

    /// The measure it is about, in one way of writing it.
    pub fn measured(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let window = match self.window {
            Window::Whole => String::new(),
            Window::During(entry) => format!(" during #{}", self.written.unwrap_or(entry.index()) + 1),
            Window::After(entry) => format!(" after #{}", self.written.unwrap_or(entry.index()) + 1),
        };
        format!("{}{labels} {}{window}", self.metric.name, self.statistic.name())
    }

    /// The unit its values are in; empty for a number of samples.
    pub fn unit(&self) -> &'static str {
        if self.statistic == Statistic::Count { "" } else { self.metric.unit.name() }
    }

    /// A value of this metric, for people: `3.1s`, `95.2%`, `12`.
    pub fn show(&self, value: f64) -> String {
        if self.statistic == Statistic::Count {
            return format!("{value}");
        }
        match self.metric.unit {
            Unit::Milliseconds if value.abs() >= 1_000.0 => format!("{}s", thousandths(value / 1_000.0)),
            unit => thousandths(value) + bound::ways(Some(unit)).0[0].0,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name)?;
        if !self.labels.is_empty() {
            let labels: Vec<String> = self.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            write!(f, "{{{}}}", labels.join(","))?;
        }
        write!(f, " {} {} {}", self.statistic.name(), self.comparison.symbol(), self.show(self.bound))
    }
}

/// Three decimals at most, no trailing zeros.
fn thousandths(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first comparison outside braces.
fn find_comparison(text: &str) -> Option<(usize, &'static str, Comparison)> {
    let mut depth = 0_i32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '<' | '>' | '=' | '!' if depth <= 0 => {
                let known = COMPARISONS.iter().find(|comparison| text[at..].starts_with(comparison.symbol()))?;
                return Some((at, known.symbol(), *known));
            }
            _ => {}
        }
    }
    None
}

/// `metric{label=value} statistic during ENTRY`
fn parse_left(left: &str, entries: &[Named<'_>]) -> Result<(&'static Metric, Labels, Statistic, Part), ObjectiveError> {
    if let Some(word) = left.split_whitespace().next().and_then(window_word) {
        return Err(ObjectiveError::WindowPlace { word });
    }
    let (metric, rest) = parse_metric(left)?;
    let (labels, rest) = parse_labels(metric, rest)?;
    let (statistic, rest) = parse_statistic(metric, rest)?;
    let window = parse_window(metric, rest, entries).map_err(|error| {
        let last = rest.split_whitespace().next_back();
        let is_statistic = Statistic::of(metric.kind).iter().any(|statistic| Some(statistic.name()) == last);
        match (&error, rest.split_whitespace().next().and_then(window_word)) {
            // The entry's name goes on to the end: the statistic was taken for part of it.
            (ObjectiveError::UnknownEntry { .. }, Some(word)) if is_statistic => ObjectiveError::WindowPlace { word },
            _ => error,
        }
    })?;
    Ok((metric, labels, statistic, window))
}

/// The word that begins a window, if this is one.
fn window_word(word: &str) -> Option<&'static str> {
    ["during", "after"].into_iter().find(|known| *known == word)
}

/// Labels and their values, sorted by label.
pub type Labels = Vec<(String, String)>;
/// A part of the run, and which written entry it is about.
type Part = (Window, Option<usize>);

fn parse_labels<'t>(metric: &'static Metric, text: &'t str) -> Result<(Labels, &'t str), ObjectiveError> {
    let Some(inner) = text.strip_prefix('{') else { return Ok((Vec::new(), text)) };
    let end = text.find('}').map_or(text.len(), |at| at + 1);
    let wrong = || ObjectiveError::Labels { text: text[..end].to_owned() };
    let (inner, rest) = inner.split_once('}').ok_or_else(wrong)?;
    let mut labels = Vec::new();
    for part in inner.split(',') {
        let (label, value) = part.split_once('=').ok_or_else(wrong)?;
        let (label, value) = (label.trim(), value.trim());
        if !metric.labels.contains(&label) {
            let (metric, known, label) = (metric.name, metric.labels, label.to_owned());
            return Err(ObjectiveError::UnknownLabel { metric, label, known });
        }
        if value.is_empty() || labels.iter().any(|(known, _)| known == label) {
            return Err(wrong());
        }
        labels.push((label.to_owned(), value.to_owned()));
    }
    labels.sort();
    Ok((labels, rest.trim_start()))
}

fn parse_statistic<'t>(metric: &'static Metric, text: &'t str) -> Result<(Statistic, &'t str), ObjectiveError> {
    let known = Statistic::of(metric.kind);
    let word = text.split_whitespace().next().unwrap_or("");
    if word.is_empty() || word == "during" || word == "after" {
        return Ok((known[0], text));
    }
    match known.iter().find(|statistic| statistic.name() == word) {
        Some(statistic) => Ok((*statistic, text[word.len()..].trim_start())),
        None => Err(ObjectiveError::UnknownStatistic {
            metric: metric.name,
            word: word.to_owned(),
            known: known.iter().map(|statistic| format!("`{}`", statistic.name())).collect::<Vec<_>>().join(", "),
        }),
    }
}

fn parse_window(metric: &'static Metric, text: &str, entries: &[Named<'_>]) -> Result<Part, ObjectiveError> {
    if text.is_empty() {
        return Ok((Window::Whole, None));
    }
    let (word, entry) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let entry = entry.trim().trim_matches('"');
    if word != "during" && word != "after" {
        let (metric, word, known) =
            (metric.name, word.to_owned(), "followed by `during ENTRY` or `after ENTRY`".into());
        return Err(ObjectiveError::UnknownStatistic { metric, word, known });
    }
    let number = number_of(entry);
    // What one written entry does in several regions it does at one time: the first stands for all.
    let matching = |is_it: &dyn Fn(&Named<'_>) -> bool| -> Vec<(usize, usize)> {
        let all = entries.iter().enumerate().filter(|(_, named)| is_it(named));
        let mut found: Vec<(usize, usize)> = all.map(|(index, named)| (index, named.written)).collect();
        found.dedup_by_key(|(_, written)| *written);
        found
    };
    let found = match number {
        Some(number) => matching(&|named| named.written + 1 == number),
        None if entry.is_empty() => Vec::new(),
        None => Some(matching(&|named| named.label == entry))
            .filter(|exact| exact.len() == 1)
            .unwrap_or_else(|| matching(&|named| named.label.starts_with(entry))),
    };
    let [(index, written)] = found[..] else {
        let (entry, known) = (entry.to_owned(), Named::listed(entries));
        return Err(if found.is_empty() {
            ObjectiveError::UnknownEntry { entry, known }
        } else {
            ObjectiveError::SeveralEntries { entry, known }
        });
    };
    let entry = EntryId::from_index(index);
    Ok((if word == "during" { Window::During(entry) } else { Window::After(entry) }, Some(written)))
}

/// N of `#N`, in plain digits.
fn number_of(entry: &str) -> Option<usize> {
    entry.strip_prefix('#').filter(|digits| digits.starts_with(|c: char| matches!(c, '1'..='9')))?.parse().ok()
}

/// `value [in N% of seeds] [if exercised]`
fn parse_right(metric: &Metric, statistic: Statistic, text: &str) -> Result<(f64, f64, bool), ObjectiveError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Some(word) = words.iter().find_map(|word| window_word(word)) {
        return Err(ObjectiveError::WindowPlace { word });
    }
    let (value, tail) = words.split_at(bound_end(&words));
    let unit = (statistic != Statistic::Count).then_some(metric.unit);
    let bound = bound::read(metric, unit, value)?;
    let trailing = || ObjectiveError::Trailing { text: tail.join(" ") };
    let (quorum, if_exercised) = parse_tail(tail).ok_or_else(trailing)?;
    if quorum <= 0.0 {
        return Err(ObjectiveError::NoSeeds { text: tail.get(1).copied().unwrap_or_default().to_owned() });
    }
    Ok((bound, quorum, if_exercised))
}

/// What stands after the bound: the share of seeds that must hold it, and whether it holds without data.
fn parse_tail(tail: &[&str]) -> Option<(f64, bool)> {
    let (quorum, tail) = match tail {
        ["in", share, "of", "seeds", rest @ ..] => {
            let plain = |text: &&str| text.chars().all(|c| c.is_ascii_digit() || c == '.');
            let percent = share.strip_suffix('%').filter(plain).and_then(|percent| percent.parse::<f64>().ok());
            (percent.filter(|percent| (0.0..=100.0).contains(percent))? / 100.0, rest)
        }
        _ => (1.0, tail),
    };
    match tail {
        [] => Some((quorum, false)),
        ["if", "exercised"] => Some((quorum, true)),
        _ => None,
    }
}

/// What an objective asks of the seeds, whatever timeline it is about: the share of them that must hold it, and whether
/// it holds without data. `None` if the text is none.
pub fn asked_of_seeds(text: &str) -> Option<(f64, bool)> {
    let (at, symbol, _) = find_comparison(text)?;
    let words: Vec<&str> = text[at + symbol.len()..].split_whitespace().collect();
    parse_tail(&words[bound_end(&words)..])
}

/// What an objective is about, whatever timeline: the metric, and the labels its series must have. `None` if the text
/// is none.
pub fn about(text: &str) -> Option<(&'static Metric, Labels)> {
    let (at, ..) = find_comparison(text)?;
    let (metric, rest) = parse_metric(text[..at].trim()).ok()?;
    Some((metric, parse_labels(metric, rest).ok()?.0))
}

/// An objective in one way of writing it, whatever timeline it is about: texts that mean the same are equal. An entry
/// of the timeline is as it was written. `None` if the text is none.
pub fn meaning(text: &str) -> Option<String> {
    let (at, symbol, comparison) = find_comparison(text)?;
    let (metric, rest) = parse_metric(text[..at].trim()).ok()?;
    let (labels, rest) = parse_labels(metric, rest).ok()?;
    let (statistic, rest) = parse_statistic(metric, rest).ok()?;
    let window = rest.split_whitespace().map(|word| word.trim_matches('"')).collect::<Vec<&str>>().join(" ");
    let (bound, quorum, if_exercised) = parse_right(metric, statistic, &text[at + symbol.len()..]).ok()?;
    let (statistic, symbol) = (statistic.name(), comparison.symbol());
    // What is left of the conversion of a unit is no other bound.
    Some(format!("{} {labels:?} {statistic} {window} {symbol} {bound:.9e} {quorum:.9e} {if_exercised}", metric.name))
}

/// How many words the bound has.
fn bound_end(words: &[&str]) -> usize {
    words.iter().position(|word| *word == "in" || *word == "if").unwrap_or(words.len())
}

/// The metrics of the same family, or all families.
fn metric_hint(name: &str) -> String {
    let family = name.split('.').next().unwrap_or(name);
    let mut known: Vec<&str> = catalogue::METRICS
        .iter()
        .map(|metric| metric.name)
        .filter(|known| known.split('.').next() == Some(family))
        .collect();
    if known.is_empty() {
        known = catalogue::METRICS.iter().map(|metric| metric.name.split('.').next().unwrap_or("")).collect();
        known.dedup();
        return format!("families are `{}`; `cossim list metrics` shows all", known.join("`, `"));
    }
    format!("known are `{}`", known.join("`, `"))
}

impl Objective {
    /// The fault after which a run that ends at `end` is watched for less than this bound on what follows a fault, and
    /// for how long: what lasts longer than that is never seen to, be it within the bound or not. `None` without such a
    /// fault, and for objectives of other kinds.
    pub fn outlasts(&self, timeline: &IdVec<EntryId, Entry>, end: Duration) -> Option<(EntryId, Duration)> {
        let is_bound = self.metric.name.starts_with("failover.")
            && self.metric.kind == Kind::Times
            && self.statistic != Statistic::Count
            && matches!(self.comparison, Comparison::Less | Comparison::AtMost)
            && self.window == Window::Whole;
        let end = Time::ZERO + end;
        let faults = timeline.iter().filter(|(_, entry)| is_fault(&entry.action) && entry.at < end);
        let (id, entry) = faults.max_by_key(|(_, entry)| entry.at).filter(|_| is_bound)?;
        let left = end.since(entry.at);
        (left.as_millis_f64() < self.bound).then_some((id, left))
    }
}

const EXAMPLE: &str = "failover.leader{system=nomad} max < 6s if exercised";

/// Longer symbols first.
const COMPARISONS: [Comparison; 6] = [
    Comparison::AtMost,
    Comparison::AtLeast,
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::Greater,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_writing_one_objective_have_one_meaning() {
        let same = [
            "failover.replace{region=a} max during #1 < 45s in 90% of seeds",
            "failover.replace{ region = a }  max  during  #1<45 s in 90.0% of seeds",
            "failover.replace{region=a} during #1 < 45000ms  in 90% of seeds",
            "failover.replace{region=a} max during \"#1\" < 0.75min in 90% of seeds",
        ];
        let first = meaning(same[0]);
        assert!(first.is_some() && same.iter().all(|text| meaning(text) == first), "{:?}", same.map(meaning));
        for other in [
            "failover.replace{region=b} max during #1 < 45s in 90% of seeds",
            "failover.replace max during #1 < 45s in 90% of seeds",
            "failover.replace{region=a} p99 during #1 < 45s in 90% of seeds",
            "failover.replace{region=a} max after #1 < 45s in 90% of seeds",
            "failover.replace{region=a} max during #2 < 45s in 90% of seeds",
            "failover.replace{region=a} max during #1 <= 45s in 90% of seeds",
            "failover.replace{region=a} max during #1 < 45.001s in 90% of seeds",
            "failover.replace{region=a} max during #1 < 45s in 91% of seeds",
            "failover.replace{region=a} max during #1 < 45s in 90% of seeds if exercised",
        ] {
            assert!(meaning(other).is_some() && meaning(other) != first, "{other}");
        }
        assert_eq!([meaning("failover.replace max"), meaning("what it may be < 4")], [None, None]);
    }

    fn entries() -> Vec<Named<'static>> {
        Named::in_order(&["zone-outage us-east-1/b", "scale frontend"])
    }

    #[test]
    fn the_grammar_of_objectives() {
        let objective = Objective::parse(
            "failover.leader{system=nomad, region=us-east-1} p99 during zone-outage us-east-1/b < 6s in 90% of seeds if exercised",
            &entries(),
        )
        .unwrap();
        assert_eq!(objective.metric.name, "failover.leader");
        assert_eq!(objective.labels[0], ("region".to_owned(), "us-east-1".to_owned()));
        assert_eq!(objective.statistic, Statistic::P99);
        assert_eq!(objective.window, Window::During(EntryId(0)));
        assert_eq!(objective.comparison, Comparison::Less);
        assert!((objective.bound - 6_000.0).abs() < 1e-9 && (objective.quorum - 0.9).abs() < 1e-9);
        assert!(objective.if_exercised);
        assert_eq!(objective.to_string(), "failover.leader{region=us-east-1,system=nomad} p99 < 6s");
    }

    #[test]
    fn no_entry_and_several_entries_are_told_apart() {
        let entries = Named::in_order(&["zone-outage eu/a", "zone-outage eu/b", "zone-outage eu/b"]);
        let parse = |entry: &str| Objective::parse(&format!("placement.queued during {entry} == 0"), &entries);
        let index = |entry: &str| parse(entry).map(|objective| objective.window);
        assert_eq!(index("zone-outage eu/a"), Ok(Window::During(EntryId(0))));
        assert_eq!(index("#3"), Ok(Window::During(EntryId(2))));
        for entry in ["zone-outage", "zone-outage eu/b"] {
            assert!(matches!(parse(entry), Err(ObjectiveError::SeveralEntries { .. })), "{entry}");
        }
        for entry in ["flood", "#4", "#0", "#+1", "#01", "# 1", ""] {
            assert!(matches!(parse(entry), Err(ObjectiveError::UnknownEntry { .. })), "{entry}");
        }
    }

    #[test]
    fn an_entry_in_several_regions_is_one_entry() {
        let named = |label, written| Named { label, written };
        let entries = [named("scale web in eu", 0), named("scale web in us", 0), named("zone-outage eu/a", 1)];
        let window = |entry: &str| {
            let text = format!("placement.queued max after {entry}");
            Objective::measure(&text, &entries).map(|objective| (objective.window, objective.measured()))
        };
        let scaled = Ok((Window::After(EntryId(0)), "placement.queued max after #1".to_owned()));
        assert_eq!([window("scale"), window("scale web"), window("#1")], [scaled.clone(), scaled.clone(), scaled]);
        let lost = Ok((Window::After(EntryId(2)), "placement.queued max after #2".to_owned()));
        assert_eq!([window("zone-outage"), window("#2")], [lost.clone(), lost]);
        let missing = window("#3").expect_err("there are two");
        assert_eq!((missing.missing_entry(), window("flood").expect_err("nor that").missing_entry()), (Some(2), None));
        let known = "its entries are `#1 scale web in eu`, `#2 zone-outage eu/a`; write its number or its name";
        assert_eq!(missing.hint().as_deref(), Some(known));
        assert_eq!(window("scale web in us").map(|(window, _)| window), Ok(Window::After(EntryId(1))));
    }

    #[test]
    fn a_measure_is_an_objective_without_its_comparison() {
        for (text, expected) in [
            ("placement.queued", "placement.queued final"),
            ("failover.replace p99 during zone-outage", "failover.replace p99 during #1"),
            ("request.success_ratio{traffic=users} after #2", "request.success_ratio{traffic=users} value after #2"),
        ] {
            assert_eq!(Objective::measure(text, &entries()).unwrap().measured(), expected);
        }
        assert!(Objective::measure("placement.queued < 3", &entries()).is_err());
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        for (text, statistic, window, bound) in [
            ("placement.queued final == 0", Statistic::Final, Window::Whole, 0.0),
            ("request.success_ratio{service=frontend} >= 95%", Statistic::Value, Window::Whole, 95.0),
            ("request.latency p50<100ms", Statistic::P50, Window::Whole, 100.0),
            ("request.latency count > 10", Statistic::Count, Window::Whole, 10.0),
            ("placement.queued max after #2 <= 3", Statistic::Max, Window::After(EntryId(1)), 3.0),
            ("placement.queued after scale != 3", Statistic::Final, Window::After(EntryId(1)), 3.0),
        ] {
            let objective = Objective::parse(text, &entries()).unwrap();
            assert_eq!((objective.statistic, objective.window), (statistic, window), "{text}");
            assert!((objective.bound - bound).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("placement.qeued == 0", "no metric `placement.qeued`"),
            ("placement.queued{color=red} == 0", "no label `color`"),
            ("placement.queued{region} == 0", "labels are written"),
            ("placement.queued{region=a == 0", "is missing"),
            ("placement.queued{} == 0", "labels are written `{label=value, …}`, not `{}`"),
            (
                "request.latency{traffic=users,} p99 < 1s",
                "labels are written `{label=value, …}`, not `{traffic=users,}`",
            ),
            ("request.latency{,traffic=users} p99 < 1s", "labels are written"),
            ("placement.queued < 0", "no value of `placement.queued` is < 0"),
            ("placement.queued p99 == 0", "no statistic `p99`"),
            ("placement.queued", "is missing"),
            ("placement.queued = 0", "is missing"),
            ("placement.queued == 0s", "not a value"),
            ("placement.queued == NaN", "not a value"),
            ("placement.queued == -1", "not a value"),
            ("request.latency p50 < 100", "not a value"),
            ("request.success_ratio >= 120%", "not a value"),
            ("placement.queued during flood == 0", "not one entry"),
            ("placement.queued during == 0", "not one entry"),
            (
                "placement.queued max == 0 during #1",
                "`during ENTRY` stands after the statistic and before the comparison",
            ),
            (
                "placement.queued during #1 max == 0",
                "`during ENTRY` stands after the statistic and before the comparison",
            ),
            (
                "after #1 placement.queued max == 0",
                "`after ENTRY` stands after the statistic and before the comparison",
            ),
            ("placement.queued == 0 in 90 of seeds", "not understood"),
            ("placement.queued == 0 in +90% of seeds", "not understood"),
            ("placement.queued == 0 in 0% of seeds", "`in 0% of seeds` asks for nothing"),
            ("placement.queued == 0 in 0.0% of seeds if exercised", "`in 0.0% of seeds` asks for nothing"),
            ("placement.queued == 0 if convenient", "not understood"),
            ("", "is missing"),
        ] {
            let error = Objective::parse(text, &entries()).unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
            assert!(error.hint().is_some(), "{text}");
        }
    }
}
