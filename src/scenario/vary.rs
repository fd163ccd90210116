//! What a sweep varies: `PATH=VALUES`, where the path is one of `--set` and the values are a list (`10s,30s`), a range
//! with a step (`12..36/6`), a range by a factor (`1ms..64ms*2`) or a free range (`10s..60s`) for designs that sample.
//!
//! A range keeps the unit it is written in and no more decimals than it was written with, so that the values read as a
//! person would have written them. Two whole numbers without a unit mean whole numbers in between.

use std::ops::Range as Span;

use crate::base::math;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::SourceId;
use crate::scenario::locate;
use crate::scenario::locate::are_alike;
use crate::scenario::quantity::are_equal;

/// One thing that is varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// As `options.heartbeat_grace`.
    pub path: String,
    /// The values it can take.
    pub values: Values,
}

/// Values of a dimension.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// These, in this order; at least one.
    List(Vec<String>),
    /// Numbers from a range.
    Range(Range),
}

/// Numbers with a unit, both ends included.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
    spacing: Spacing,
    unit: String,
    /// Digits after the point; `None` for whatever six significant digits need.
    decimals: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spacing {
    Free,
    Step(f64),
    Factor(f64),
}

/// Entries of a scenario that say how it is named, run or looked at.
const IDLE: [&str; 6] = ["name", "about", "seeds", "sources", "vary", "plan"];
/// What a run is judged by.
const JUDGED: &str = "expect";
/// More values of one dimension than anybody can run.
const VALUES_MAX: usize = 100_000;

/// Why a text is not a dimension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaryError {
    /// No `=`, or nothing before it.
    #[error("what varies is written `PATH=VALUES`")]
    Form,
    /// The left side is no path.
    #[error("`{0}` is not a path")]
    Path(String),
    /// The left side is nothing that is simulated.
    #[error("`{0}` is no part of what is simulated: every point would be the same")]
    Idle(String),
    /// The left side is an expectation.
    #[error("`{0}` says how a run is judged, and every point is judged alike")]
    Judged(String),
    /// A value that is listed twice.
    #[error("the value `{0}` is listed twice")]
    Same(String),
    /// A value that is listed twice, written in two ways.
    #[error("`{0}` and `{1}` are the same value")]
    Equal(String, String),
    /// A range among the values of a list.
    #[error("a range and a list cannot be mixed, as `{0}` among other values")]
    Mixed(String),
    /// No value, or nothing between two commas.
    #[error("a value is missing")]
    Missing,
    /// The end of a range lies below its beginning.
    #[error("the range `{0}` is empty: its end lies below its beginning")]
    Empty(String),
    /// A range whose ends are the same.
    #[error("the range `{0}` has no width: its ends are the same value")]
    NoWidth(String),
    /// A range of something that is no number.
    #[error("`{0}` does not begin with a number, and only numbers have ranges")]
    NoNumber(String),
    /// Ends of different units.
    #[error("the ends of a range have the same unit, not `{0}` and `{1}`")]
    Units(String, String),
    /// A step of another unit than the ends.
    #[error("the step of a range has the unit of its ends, `{0}`, not `{1}`")]
    StepUnit(String, String),
    /// A step that leads nowhere.
    #[error("`{0}` is no step: it must be above zero")]
    Step(String),
    /// A factor that leads nowhere.
    #[error("`{0}` is no factor: it must be a number above 1, and the range must begin above zero")]
    Factor(String),
    /// Too fine a step.
    #[error("the range has {0} values, more than {VALUES_MAX}")]
    TooMany(u128),
}

impl VaryError {
    /// A way out.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Form | Self::Path(_) | Self::Missing | Self::NoNumber(_) => {
                "for example `regions[0].clients[1].count=12..36/6`, `options.heartbeat_grace=10s,30s` or \
                 `services[0].start=1s..60s`"
            }
            Self::Idle(_) => "vary what the scenario describes; `--seeds N` says how many seeds every point runs",
            Self::Mixed(_) => "list every value of the range, or give the range alone, as `5s..30s/5s`",
            Self::Same(_) | Self::Equal(..) => "list every value once; `--seeds N` says how often each is run",
            Self::Judged(_) => {
                "write every expectation into `expect` of the scenario: each is told of every point, and nothing runs twice"
            }
            Self::Empty(_) => "swap its ends",
            Self::NoWidth(_) => "let its ends differ; a value that does not vary is given by `--set`",
            Self::Units(..) => "write both ends in one unit, as `500ms..2000ms`",
            Self::StepUnit(..) => "write ends and step in one unit, as `500ms..2000ms/100ms`",
            Self::Step(_) => "write the step after a slash, as `12..36/6`",
            Self::Factor(_) => "write the factor after a star, as `1ms..64ms*2`",
            Self::TooMany(_) => "widen the step, or leave it out and sample the range with `--design lhs`",
        }
    }

    /// As a finding; `text` is what was read, from `start` on in `source`.
    pub fn finding(&self, source: SourceId, span: Span<usize>) -> Diagnostic {
        Diagnostic::error("E100", self.to_string()).at(Some(Place { source, span })).hint(self.hint())
    }
}

impl Dimension {
    /// Reads `PATH=VALUES`; an error comes with its place in the text.
    pub fn parse(text: &str) -> Result<Self, (VaryError, Span<usize>)> {
        let Some((path, values)) = text.split_once('=') else { return Err((VaryError::Form, 0..text.len())) };
        let path = path.trim();
        if locate::steps(path).is_none_or(|steps| steps.is_empty()) {
            let error = if path.is_empty() { VaryError::Form } else { VaryError::Path(path.to_owned()) };
            return Err((error, 0..text.find('=').unwrap_or(0).max(1)));
        }
        let entry = path.split(['.', '[']).next().unwrap_or_default().trim();
        let idle = IDLE.contains(&entry).then(|| VaryError::Idle(path.to_owned()));
        if let Some(error) = idle.or_else(|| (entry == JUDGED).then(|| VaryError::Judged(path.to_owned()))) {
            return Err((error, 0..text.find('=').unwrap_or(0).max(1)));
        }
        let start = text.len() - values.len();
        let whole = start..text.len().max(start + 1);
        let pieces = split(values);
        let values = match pieces.as_slice() {
            [one] if is_range(one) => Values::Range(Range::parse(one.trim()).map_err(|error| (error, whole))?),
            _ if pieces.iter().any(|piece| piece.trim().is_empty()) => return Err((VaryError::Missing, whole)),
            _ => {
                let list: Vec<String> = pieces.iter().map(|piece| piece.trim().to_owned()).collect();
                let begins_with_number = |low: &str| number_and_unit(low.trim()).is_some();
                let is_mixed = |piece: &&String| {
                    is_range(piece) && piece.split_once("..").is_some_and(|(low, _)| begins_with_number(low))
                };
                if let Some(range) = list.iter().find(is_mixed) {
                    return Err((VaryError::Mixed(range.clone()), whole));
                }
                let plain = |value: &String| value.trim_matches('"').to_owned();
                for (at, value) in list.iter().enumerate() {
                    let is_same = |known: &&String| {
                        *known == value || are_equal(&plain(known), &plain(value)) || are_alike(known, value)
                    };
                    let known = list[..at].iter().find(is_same);
                    match known {
                        None => {}
                        Some(known) if known == value => return Err((VaryError::Same(value.clone()), whole)),
                        Some(known) => return Err((VaryError::Equal(known.clone(), value.clone()), whole)),
                    }
                }
                Values::List(list)
            }
        };
        Ok(Self { path: path.to_owned(), values })
    }

    /// Every value, in order; `None` for a free range, which has no end of them.
    pub fn listed(&self) -> Option<Vec<String>> {
        match &self.values {
            Values::List(list) => Some(list.clone()),
            Values::Range(range) => range.listed(),
        }
    }

    /// The value at a share of the way from the first to the last, in 0..=1. Values of a list, and those of a range
    /// with a step, are equally likely.
    pub fn at(&self, share: f64) -> String {
        match (self.listed(), &self.values) {
            (Some(list), _) => {
                let index = libm::floor(share * list.len() as f64) as usize;
                list[index.min(list.len() - 1)].clone()
            }
            // Every whole number is as likely as every other, the ends included.
            (None, Values::Range(range)) if range.decimals == Some(0) => {
                let count = range.high - range.low + 1.0;
                range.shown(range.low + libm::floor(share * count).min(count - 1.0))
            }
            (None, Values::Range(range)) => range.shown(range.low + share * (range.high - range.low)),
            (None, Values::List(_)) => unreachable!("a list is always listed"),
        }
    }
}

/// The number a value begins with, for axes; `None` if it does not begin with one. Values of one dimension may have
/// different units of time, which are brought to seconds.
pub fn number(value: &str) -> Option<f64> {
    let (number, unit) = number_and_unit(value.trim().trim_matches('"'))?;
    let factor = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => 1.0,
    };
    Some(number * factor)
}

/// The unit of [`number`]: `s` for every unit of time.
pub fn unit(value: &str) -> &str {
    match number_and_unit(value.trim().trim_matches('"')) {
        Some((_, "ns" | "us" | "µs" | "ms" | "m" | "min" | "h" | "d")) => "s",
        Some((_, unit)) => unit,
        None => "",
    }
}

/// The range from a value's `factor`th part to `factor` times it, as it would be written; `None` if it is no number
/// above zero.
pub fn around(value: &str, factor: f64) -> Option<String> {
    let (number, unit) = number_and_unit(value.trim().trim_matches('"')).filter(|(number, _)| *number > 0.0)?;
    let shown = |number: f64| {
        if unit.is_empty() && !value.contains('.') { format!("{number:.0}") } else { significant(number) }
    };
    let low = shown(if unit.is_empty() && !value.contains('.') { (number / factor).max(1.0) } else { number / factor });
    Some(format!("{low}{unit}..{}{unit}", shown(number * factor)))
}

impl Range {
    fn parse(text: &str) -> Result<Self, VaryError> {
        let (low_text, rest) = text.split_once("..").expect("it was seen to be a range");
        let (high_text, spacing) = match rest.find(['*', '/']) {
            // `400/s..800/s/100/s`: the slash of a rate is none of a step.
            Some(at) if rest[at..].starts_with('/') && per_time(&rest[at..]) => match rest[at + 1..].find(['*', '/']) {
                Some(next) => (&rest[..at + 1 + next], Some(&rest[at + 1 + next..])),
                None => (rest, None),
            },
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        let (low_text, high_text) = (low_text.trim(), high_text.trim());
        let parts = |text: &str| {
            number_and_unit(text)
                .map(|(number, unit)| (number, unit.to_owned()))
                .ok_or_else(|| VaryError::NoNumber(text.to_owned()))
        };
        let ((low, low_unit), (high, unit)) = (parts(low_text)?, parts(high_text)?);
        if low_unit != unit && !low_unit.is_empty() {
            return Err(VaryError::Units(low_unit, unit));
        }
        if high < low {
            return Err(VaryError::Empty(text.to_owned()));
        }
        let mut decimals = decimals_of(low_text).max(decimals_of(high_text));
        let spacing = match spacing {
            None => Spacing::Free,
            Some(written) if written.starts_with('/') => {
                let written = written[1..].trim();
                let (step, step_unit) = number_and_unit(written).ok_or_else(|| VaryError::Step(written.to_owned()))?;
                if !step_unit.is_empty() && step_unit != unit {
                    return Err(VaryError::StepUnit(unit, step_unit.to_owned()));
                }
                if step <= 0.0 {
                    return Err(VaryError::Step(written.to_owned()));
                }
                decimals = decimals.max(decimals_of(written));
                Spacing::Step(step)
            }
            Some(written) => {
                let written = written[1..].trim();
                let factor = written.parse::<f64>().ok().filter(|factor| *factor > 1.0 && factor.is_finite());
                Spacing::Factor(factor.filter(|_| low > 0.0).ok_or_else(|| VaryError::Factor(written.to_owned()))?)
            }
        };
        let whole = unit.is_empty() && decimals == 0;
        let decimals = if whole || matches!(spacing, Spacing::Step(_)) { Some(decimals) } else { None };
        let range = Self { low, high, spacing, unit, decimals };
        // Also where the ends differ by less than is written of a value.
        if range.shown(low) == range.shown(high) {
            return Err(VaryError::NoWidth(text.to_owned()));
        }
        match range.count() {
            count if count > VALUES_MAX as u128 => Err(VaryError::TooMany(count)),
            _ => Ok(range),
        }
    }

    /// How many values it has; 0 for a free range.
    fn count(&self) -> u128 {
        match self.spacing {
            Spacing::Free => 0,
            Spacing::Step(step) => libm::floor((self.high - self.low) / step + 1e-9) as u128 + 1,
            Spacing::Factor(factor) => {
                libm::floor(math::ln(self.high / self.low) / math::ln(factor) + 1e-9) as u128 + 1
            }
        }
    }

    fn listed(&self) -> Option<Vec<String>> {
        let value = |index: u128| match self.spacing {
            Spacing::Free => None,
            Spacing::Step(step) => Some(self.low + index as f64 * step),
            Spacing::Factor(factor) => Some(self.low * math::pow(factor, index as f64)),
        };
        let mut list = (0..self.count().max(1)).map(|i| value(i).map(|v| self.shown(v))).collect::<Option<Vec<_>>>()?;
        // Rounding to whole numbers can make neighbours equal.
        list.dedup();
        Some(list)
    }

    fn shown(&self, value: f64) -> String {
        let number = match self.decimals {
            Some(decimals) => format!("{value:.decimals$}"),
            None => significant(value),
        };
        format!("{number}{}", self.unit)
    }
}

/// Six significant digits without needless zeros, never with an exponent.
fn significant(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { libm::floor(math::log10(value.abs())) };
    let decimals = (5.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Whether a text is a range, not a value that happens to hold two points.
fn is_range(text: &str) -> bool {
    text.trim().split_once("..").is_some_and(|(low, _)| {
        let low = low.trim();
        !low.contains(['"', '(', '/'].as_slice()) || per_time(low.find('/').map_or("", |at| &low[at..]))
    })
}

/// Whether a text begins with the `/s` of a rate.
fn per_time(text: &str) -> bool {
    ["/s", "/min", "/m", "/h"].iter().any(|unit| {
        text.strip_prefix(unit).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '.'))
    })
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '+'))).unwrap_or(text.len());
    let number = text[..digits].replace('_', "").parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((number, text[digits..].trim()))
}

fn decimals_of(text: &str) -> usize {
    let digits = text.trim_start_matches(['-', '+']);
    let end = digits.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '_'))).unwrap_or(digits.len());
    digits[..end].split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// Pieces between commas that stand outside quotes and brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_u32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<String> {
        Dimension::parse(text).unwrap().listed().unwrap()
    }

    #[test]
    fn lists_and_ranges_become_values_as_people_write_them() {
        for (text, expected) in [
            ("a=12..36/6", "12 18 24 30 36"),
            ("a=12..30/7", "12 19 26"),
            ("a=10s,30s", "10s 30s"),
            ("a = 10s, 30s", "10s 30s"),
            ("a=5s..20s/5s", "5s 10s 15s 20s"),
            ("a=5..20s/5", "5s 10s 15s 20s"),
            ("a=0.1..0.5/0.2", "0.1 0.3 0.5"),
            ("a=1ms..16ms*4", "1ms 4ms 16ms"),
            ("a=1..10*1.5", "1 2 3 5 8"),
            ("a=400/s..800/s/200/s", "400/s 600/s 800/s"),
            ("a=400/s..800/s/200", "400/s 600/s 800/s"),
            ("a=512 MiB..1536 MiB/512", "512MiB 1024MiB 1536MiB"),
            ("a=BinPack,Spread", "BinPack Spread"),
            ("a=../one.nomad,../two.nomad", "../one.nomad ../two.nomad"),
        ] {
            assert_eq!(listed(text).join(" "), expected, "{text}");
        }
        assert_eq!(
            listed("services[0].service_time=Lognormal(p50: \"2ms\", p99: \"9ms\"),Exponential(\"3ms\")"),
            ["Lognormal(p50: \"2ms\", p99: \"9ms\")", "Exponential(\"3ms\")"]
        );
    }

    #[test]
    fn designs_that_sample_take_values_anywhere_in_a_free_range() {
        let free = Dimension::parse("a=10s..60s").unwrap();
        assert_eq!(free.listed(), None);
        assert_eq!([free.at(0.0), free.at(0.123_456_7), free.at(1.0)], ["10s", "16.1728s", "60s"]);
        let whole = Dimension::parse("a=1..4").unwrap();
        assert_eq!([whole.at(0.0), whole.at(0.5), whole.at(1.0)], ["1", "3", "4"]);
        let list = Dimension::parse("a=x,y").unwrap();
        assert_eq!([list.at(0.49), list.at(0.5), list.at(1.0)], ["x", "y", "y"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected, span) in [
            ("count", VaryError::Form, 0..5),
            ("=1,2", VaryError::Form, 0..1),
            ("a..b=1", VaryError::Path("a..b".into()), 0..4),
            ("seeds=1,2", VaryError::Idle("seeds".into()), 0..5),
            ("plan.confidence=0.9,0.95", VaryError::Idle("plan.confidence".into()), 0..15),
            ("a=3,4,3", VaryError::Same("3".into()), 2..7),
            ("a=5s,5000ms", VaryError::Equal("5s".into(), "5000ms".into()), 2..11),
            ("a=\"1/s\",60/min", VaryError::Equal("\"1/s\"".into(), "60/min".into()), 2..14),
            ("a=(b:2,c:1),(c: 1, b: 2)", VaryError::Equal("(b:2,c:1)".into(), "(c: 1, b: 2)".into()), 2..24),
            ("a=A(\"10s\"),A(\"10000ms\")", VaryError::Equal("A(\"10s\")".into(), "A(\"10000ms\")".into()), 2..23),
            ("a=5s..20s/5s,30s", VaryError::Mixed("5s..20s/5s".into()), 2..16),
            ("a=3,4..6", VaryError::Mixed("4..6".into()), 2..8),
            ("a=", VaryError::Missing, 2..3),
            ("a=1,,2", VaryError::Missing, 2..6),
            ("a=36..12/6", VaryError::Empty("36..12/6".into()), 2..10),
            ("a=7..7", VaryError::NoWidth("7..7".into()), 2..6),
            ("a=7..7/1", VaryError::NoWidth("7..7/1".into()), 2..8),
            ("a=100MHz..100MHz", VaryError::NoWidth("100MHz..100MHz".into()), 2..16),
            ("a=0.1s..0.10s*2", VaryError::NoWidth("0.1s..0.10s*2".into()), 2..15),
            ("a=1000000.1s..1000000.2s", VaryError::NoWidth("1000000.1s..1000000.2s".into()), 2..24),
            ("expect=[],[\"x\"]", VaryError::Judged("expect".into()), 0..6),
            ("expect[0]=a,b", VaryError::Judged("expect[0]".into()), 0..9),
            ("a=x..y", VaryError::NoNumber("x".into()), 2..6),
            ("a=10s..1m", VaryError::Units("s".into(), "m".into()), 2..9),
            ("a=1s..9s/1ms", VaryError::StepUnit("s".into(), "ms".into()), 2..12),
            ("a=1..9/0", VaryError::Step("0".into()), 2..8),
            ("a=1..9*1", VaryError::Factor("1".into()), 2..8),
            ("a=0..9*2", VaryError::Factor("2".into()), 2..8),
            ("a=0..1000000000/1", VaryError::TooMany(1_000_000_001), 2..17),
        ] {
            assert_eq!(Dimension::parse(text), Err((expected, span)), "{text}");
        }
    }

    #[test]
    fn values_have_numbers_for_axes() {
        for (value, expected, of) in [
            ("12", 12.0, ""),
            ("10s", 10.0, "s"),
            ("2min", 120.0, "s"),
            ("\"400/s\"", 400.0, "/s"),
            ("1.5ms", 0.0015, "s"),
        ] {
            let found = number(value).unwrap();
            assert!((found - expected).abs() < 1e-12, "{value}: {found}");
            assert_eq!(unit(value), of);
        }
        assert_eq!(number("BinPack"), None);
        for (value, expected) in
            [("10s", "5s..20s"), ("1", "1..2"), ("3", "2..6"), ("0.5", "0.25..1"), ("400/s", "200/s..800/s")]
        {
            assert_eq!(around(value, 2.0).as_deref(), Some(expected));
        }
        assert_eq!((around("0s", 2.0), around("BinPack", 2.0)), (None, None));
    }
}
