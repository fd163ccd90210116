//! The route command language (fabio `route.Parse`).
//!
//! One command per line; any mistake fails the whole text, so that one bad tag keeps every fabio at its last table.

use crate::base::ordered::OrdMap;

/// One line of a routing configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `route add`.
    Add(Add),
    /// `route del`.
    Delete(Delete),
    /// `route weight`.
    Weigh(Weigh),
}

/// `route add <svc> <src> <dst>[ weight <w>][ tags "…"][ opts "…"]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Add {
    /// Service name.
    pub service: String,
    /// `host/path` or `:port`.
    pub source: String,
    /// Target URL.
    pub target: String,
    /// Share of the route's traffic; zero or less is dynamic.
    pub weight: f64,
    /// Tags of the service.
    pub tags: Vec<String>,
    /// Options; `None` unless given.
    pub options: OrdMap<String, String>,
}

/// `route del`: what is empty matches anything.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Delete {
    /// Service name, or empty.
    pub service: String,
    /// `host/path`, or empty.
    pub source: String,
    /// Target URL, or empty.
    pub target: String,
    /// Tags that must all be present.
    pub tags: Vec<String>,
}

/// `route weight`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weigh {
    /// Service name, or empty for any.
    pub service: String,
    /// `host/path`.
    pub source: String,
    /// Total share of all matching targets; zero or less is dynamic.
    pub weight: f64,
    /// Tags that must all be present.
    pub tags: Vec<String>,
}

/// A line that is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: syntax error: {mistake}")]
pub struct CommandError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong.
    pub mistake: Mistake,
}

/// What can be wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It starts with none of the three commands.
    #[error("'route' expected")]
    NotARoute,
    /// `route add` with other words than its own.
    #[error("'route add' invalid")]
    Add,
    /// `route del` with other words than its own.
    #[error("'route del' invalid")]
    Delete,
    /// `route weight` with other words than its own.
    #[error("'route weight' invalid")]
    Weigh,
    /// The weight is not a number.
    #[error("weight value invalid")]
    Weight,
}

/// Reads a configuration, commands in order.
pub fn parse_config(text: &str) -> Result<Vec<Command>, CommandError> {
    let mut commands = Vec::new();
    for (index, line) in lines(text) {
        commands.push(parse_line(line).map_err(|mistake| CommandError { line: index + 1, mistake })?);
    }
    Ok(commands)
}

/// The lines of a configuration that are commands, or ought to be, each with its number from zero.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_command = |line: &str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("//");
    text.split('\n').map(str::trim).enumerate().filter(move |(_, line)| is_command(line))
}

fn parse_line(line: &str) -> Result<Command, Mistake> {
    let verb = line
        .strip_prefix("route")
        .map(|rest| (rest.len() - rest.trim_start_matches(is_space).len(), rest.trim_start_matches(is_space)))
        .and_then(|(spaces, rest)| (spaces > 0).then_some(rest))
        .ok_or(Mistake::NotARoute)?;
    if let Some(rest) = verb.strip_prefix("add") {
        add(rest).map(Command::Add)
    } else if let Some(rest) = verb.strip_prefix("del") {
        delete(rest).map(Command::Delete)
    } else if let Some(rest) = verb.strip_prefix("weight") {
        weigh(rest).map(Command::Weigh)
    } else {
        Err(Mistake::NotARoute)
    }
}

fn add(text: &str) -> Result<Add, Mistake> {
    let mut rest = Words(text);
    let words = [rest.word(), rest.word(), rest.word()];
    let [Some(service), Some(source), Some(target)] = words else { return Err(Mistake::Add) };
    let weight = rest.after("weight", Words::word);
    let tags = rest.after("tags", Words::quoted);
    let options = rest.after("opts", Words::quoted);
    if !rest.0.is_empty() {
        return Err(Mistake::Add);
    }
    Ok(Add {
        service: service.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        weight: weight.map_or(Ok(0.0), parse_weight)?,
        tags: parse_tags(tags.unwrap_or("")),
        options: parse_options(options.unwrap_or("")),
    })
}

fn delete(text: &str) -> Result<Delete, Mistake> {
    let tagged = |mut rest: Words<'_>| rest.after("tags", Words::quoted).map(parse_tags).filter(|_| rest.0.is_empty());
    let mut rest = Words(text);
    let service = rest.word().ok_or(Mistake::Delete)?.to_owned();
    if let Some(tags) = tagged(rest) {
        return Ok(Delete { service, tags, ..Delete::default() });
    }
    if let Some(tags) = tagged(Words(text)) {
        return Ok(Delete { tags, ..Delete::default() });
    }
    let source = rest.word().unwrap_or("").to_owned();
    let target = rest.word().unwrap_or("").to_owned();
    if !rest.0.is_empty() {
        return Err(Mistake::Delete);
    }
    Ok(Delete { service, source, target, tags: Vec::new() })
}

fn weigh(text: &str) -> Result<Weigh, Mistake> {
    let mut rest = Words(text);
    if let (Some(service), Some(source), Some(weight)) = (rest.word(), rest.word(), rest.after("weight", Words::word)) {
        let tags = rest.after("tags", Words::quoted);
        if rest.0.is_empty() {
            let (service, source) = (service.to_owned(), source.to_owned());
            return Ok(Weigh { service, source, weight: parse_weight(weight)?, tags: parse_tags(tags.unwrap_or("")) });
        }
    }
    let mut rest = Words(text);
    if let (Some(source), Some(weight), Some(tags)) =
        (rest.word(), rest.after("weight", Words::word), rest.after("tags", Words::quoted))
        && rest.0.is_empty()
    {
        let (service, source) = (String::new(), source.to_owned());
        return Ok(Weigh { service, source, weight: parse_weight(weight)?, tags: parse_tags(tags) });
    }
    Err(Mistake::Weigh)
}

/// Rest of a line; every element is preceded by white space.
#[derive(Clone, Copy)]
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    /// The text after at least one space, if there is any.
    fn spaced(self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches(is_space);
        (rest.len() < self.0.len() && !rest.is_empty()).then_some(rest)
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.spaced()?;
        let (word, rest) = rest.split_at(rest.find(is_space).unwrap_or(rest.len()));
        self.0 = rest;
        Some(word)
    }

    fn quoted(&mut self) -> Option<&'a str> {
        let (inside, rest) = self.spaced()?.strip_prefix('"')?.split_once('"')?;
        self.0 = rest;
        Some(inside)
    }

    /// What `read` finds after the word `name`, or nothing, and then nothing is consumed.
    fn after(&mut self, name: &str, read: impl Fn(&mut Self) -> Option<&'a str>) -> Option<&'a str> {
        let mut ahead = *self;
        let found = ahead.word().filter(|word| *word == name).and_then(|_| read(&mut ahead));
        if found.is_some() {
            *self = ahead;
        }
        found
    }
}

/// White space of Go's regular expressions.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

fn parse_tags(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(',').map(|tag| tag.trim().to_owned()).collect() }
}

fn parse_options(text: &str) -> OrdMap<String, String> {
    text.split_whitespace()
        .map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// Go's `strconv.ParseFloat`: decimal with exponent and sign, hexadecimal with a binary exponent, infinities and NaN,
/// underscores only in hexadecimal; a value out of range is an error.
fn parse_weight(text: &str) -> Result<f64, Mistake> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let is_word = unsigned.eq_ignore_ascii_case("inf")
        || unsigned.eq_ignore_ascii_case("infinity")
        || unsigned.eq_ignore_ascii_case("nan");
    if is_word && text.len() > unsigned.len() && unsigned.eq_ignore_ascii_case("nan") {
        return Err(Mistake::Weight);
    }
    if !is_word && unsigned.len() > 2 && unsigned[..2].eq_ignore_ascii_case("0x") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return parse_hexadecimal(&unsigned[2..]).map(|value| sign * value).ok_or(Mistake::Weight);
    }
    let value: f64 = text.parse().map_err(|_| Mistake::Weight)?;
    if value.is_infinite() && !is_word { Err(Mistake::Weight) } else { Ok(value) }
}

fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let value = libm::scalbn(value, exponent.checked_sub(places)?);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        assert_eq!(parse_config(line).unwrap_err().to_string(), expected, "{line}");
    }

    #[test]
    fn a_mistake_names_its_line() {
        check("\nroute add a", "line 2: syntax error: 'route add' invalid");
        check("routeadd a b c", "line 1: syntax error: 'route' expected");
        check("route weight /a weight 1", "line 1: syntax error: 'route weight' invalid");
        check("route weight a /a weight x", "line 1: syntax error: weight value invalid");
        check("route add a /a http://b tags \"x\" weight 1", "line 1: syntax error: 'route add' invalid");
        check("route del a b c d", "line 1: syntax error: 'route del' invalid");
    }

    #[test]
    fn a_service_may_be_called_tags() {
        let commands = parse_config("route del tags \"x\"\nroute del tags").unwrap();
        assert_eq!(commands[0], Command::Delete(Delete { tags: vec!["x".into()], ..Delete::default() }));
        assert_eq!(commands[1], Command::Delete(Delete { service: "tags".into(), ..Delete::default() }));
    }

    #[test]
    fn weights_are_read_as_go_reads_them() {
        for (text, value) in [("1e-1", 0.1), ("-2", -2.0), (".5", 0.5), ("0x1p-2", 0.25), ("+1", 1.0)] {
            assert!((parse_weight(text).unwrap() - value).abs() < 1e-15, "{text}");
        }
        for text in ["1e999", "", "1,5", "+nan"] {
            assert!(parse_weight(text).is_err(), "{text}");
        }
    }
}
