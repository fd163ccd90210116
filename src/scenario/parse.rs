//! From bytes to the typed scenario: limits, text, syntax. The first mistake ends it; what can be said about a file
//! that parses is said by [`crate::scenario::lower`].

use ron::error::Error;
use ron::error::SpannedError;
use ron::extensions::Extensions;

use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::SourceId;
use crate::scenario::diagnostic::offset_of;
use crate::scenario::locate;
use crate::scenario::schema;
use crate::scenario::schema::Scenario;
use crate::scenario::suggest;

/// Larger files are refused unread.
pub const FILE_MAX: u64 = 4 << 20;

/// Reads the text of a file, with a limit on its size; the reason if there is none.
pub fn read_text(path: &std::path::Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| reason(&error))?;
    if about.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if about.len() > FILE_MAX {
        return Err(format!("it has {} bytes, more than {FILE_MAX}", about.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| reason(&error))?;
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 text (byte {})", error.utf8_error().valid_up_to()))
}

/// An error of the file system in plain words; the system's own text differs between platforms.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The scenario a text says, or its first mistake.
pub fn parse(source: SourceId, text: &str) -> Result<Scenario, Box<Diagnostic>> {
    if text.trim().is_empty() {
        let place = Place { source, span: 0..0 };
        let finding = Diagnostic::error("E002", "the file is empty").at(Some(place));
        return Err(Box::new(finding.hint("`cossim init` writes a scenario to start from")));
    }
    read(source, text)
}

/// What a text of RON says, or its first mistake.
pub fn read<T: serde::de::DeserializeOwned>(source: SourceId, text: &str) -> Result<T, Box<Diagnostic>> {
    let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
    options.from_str(text).map_err(|error| Box::new(explain(source, text, &error)))
}

fn explain(source: SourceId, text: &str, error: &SpannedError) -> Diagnostic {
    let end = offset_of(text, error.span.end.line, error.span.end.col);
    let start = offset_of(text, error.span.start.line, error.span.start.col);
    let mut span = token(text, start, end);
    let (message, hint) = match &error.code {
        Error::NoSuchStructField { expected, found, outer } => {
            span = name_before(text, span, found);
            let of = outer.as_ref().map(|outer| format!(" of `{outer}`")).unwrap_or_default();
            (format!("there is no field `{found}`{of}"), suggest::hint(found, expected.iter().copied()))
        }
        Error::NoSuchEnumVariant { expected, found, outer } => {
            span = name_before(text, span, found);
            let of = outer.as_ref().map(|outer| format!(" as `{outer}`")).unwrap_or_default();
            let hint = variant(found, expected).unwrap_or_else(|names| {
                let all = if outer.as_deref() == Some("Action") { "; `cossim list timeline` shows all" } else { "" };
                format!("known are {}{all}", suggest::listed(names))
            });
            (format!("`{found}` is not known{of}"), hint)
        }
        Error::MissingStructField { field, outer } => {
            if let Some(tree) = locate::scan(text) {
                let holder = tree.around(start.min(text.len())).span.clone();
                span = holder.start..text[holder.clone()].find('(').map_or(holder.end, |at| holder.start + at.max(1));
            }
            let of = outer.as_ref().map(|outer| format!(" of `{outer}`")).unwrap_or_default();
            (format!("field `{field}`{of} is missing"), format!("add `{field}: …` within the brackets"))
        }
        Error::DuplicateStructField { field, .. } => {
            span = name_before(text, span, field);
            (format!("field `{field}` is written twice"), "leave one of the two out".to_owned())
        }
        Error::ExpectedDifferentStructName { expected, found } => {
            span = name_before(text, span, found);
            (format!("`{expected}(…)` belongs here, not `{found}`"), format!("write `{expected}` in its place"))
        }
        Error::IntegerOutOfBounds => (
            "this number is too large, or negative".to_owned(),
            "write one nearer to zero; numbers that count something are 0 or more".to_owned(),
        ),
        Error::InvalidValueForType { expected, found } => {
            (format!("{expected} belongs here, not {found}"), format!("write {expected}"))
        }
        Error::ExpectedDifferentLength { expected, found } => {
            (format!("{expected} belongs here, not {found} values"), format!("write {expected}"))
        }
        other => unread(text, &span, start, other),
    };
    Diagnostic::error("E002", message).at(Some(Place { source, span })).hint(hint)
}

/// What is wrong with the signs of a text, and a way out.
fn unread(text: &str, span: &std::ops::Range<usize>, at: usize, error: &Error) -> (String, String) {
    let whole = || ("a whole number, 0 or more, belongs here", "write digits alone, without a unit and without quotes");
    let (message, hint) = match error {
        Error::ExpectedString => {
            ("a text in double quotes belongs here", "quantities are texts with their unit, as `\"40m\"`")
        }
        Error::ExpectedStringEnd => ("this text does not end", "close it with `\"`; within a text, write `\\\"`"),
        Error::InvalidEscape(_) => ("`\\` means nothing in front of this", "write `\\\\` for the sign itself"),
        Error::UnclosedBlockComment => ("this comment does not end", "close it with `*/`"),
        Error::ExceededRecursionLimit => ("brackets are nested too deeply", "look for one that is opened too often"),
        Error::TrailingCharacters => (
            "a file holds one scenario; something follows it",
            "take it out, or look for a bracket that closes too early",
        ),
        Error::ExpectedComma if is_within_decimals(text, span, at) => whole(),
        Error::ExpectedComma => match missing_bracket(text, at) {
            Some((missing, found)) => {
                return (
                    format!("a `{missing}` is missing before this `{found}`"),
                    format!("write `{missing}` where its bracket is meant to close"),
                );
            }
            None if text[..span.start].trim_end().ends_with('"') => (
                "a comma is missing",
                "write `,` in front of this, or close the text before it with `\"` where it is meant to end",
            ),
            None => ("a comma is missing", "write `,` in front of this"),
        },
        Error::ExpectedIdentifier => return nameless(text, span.start),
        Error::Eof => ("the file ends in the middle", "a bracket is not closed"),
        Error::ExpectedInteger | Error::InvalidIntegerDigit { .. } => whole(),
        Error::ExpectedFloat => ("a number belongs here", "write it without quotes and without a unit, as `1.5`"),
        Error::ExpectedBoolean => ("`true` or `false` belongs here", "write one of the two, without quotes"),
        Error::ExpectedArray => ("`[` belongs here", "write a list in brackets, as `[…, …]`"),
        Error::ExpectedMap => ("`{` belongs here", "write `{\"name\": value}`"),
        Error::ExpectedMapColon => ("`:` belongs here", "write it between a name and its value"),
        Error::ExpectedNamedStructLike(name) if !name.is_empty() => {
            return (format!("`{name}(…)` belongs here"), format!("write `{name}(field: value, …)`"));
        }
        Error::ExpectedStructLike | Error::ExpectedNamedStructLike(_) => {
            ("`(` belongs here", "write the fields in brackets, as `(field: value, …)`")
        }
        other => return (lowered(&other.to_string()), "`cossim schema` says what belongs where".to_owned()),
    };
    (message.to_owned(), hint.to_owned())
}

/// The name of several that was perhaps meant, in words; else all of them. A name that is like an old one is answered
/// with what that is called now.
fn variant<'a>(found: &str, expected: &[&'a str]) -> Result<String, Vec<&'a str>> {
    let (old, names): (Vec<&str>, Vec<&str>) =
        expected.iter().copied().partition(|name| schema::OLD_NAMES.iter().any(|(old, _)| old == name));
    let is_called = |old: &str| schema::OLD_NAMES.iter().find(|(known, _)| *known == old).map(|(_, name)| *name);
    let renamed = || suggest::closest(found, old).and_then(is_called).map(|name| format!("did you mean `{name}`?"));
    suggest::guess(found, names.iter().copied()).or_else(renamed).ok_or(names)
}

/// The reader ends where it noticed; the mistake is the whole word or number there.
fn token(text: &str, start: usize, end: usize) -> std::ops::Range<usize> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+');
    let start = start.min(text.len());
    let start = start + text[start..].len() - text[start..].trim_start().len();
    let end = end.clamp(start, text.len());
    if end > start && end - start > 1 {
        return start..end;
    }
    let head = text[..start].char_indices().rev().take_while(|(_, c)| word(*c)).last().map_or(start, |(at, _)| at);
    let tail = text[start..].find(|c| !word(c)).map_or(text.len(), |at| start + at);
    if head < tail { head..tail } else { start..end }
}

/// Whether the reader ended within a number with decimals: it had read a whole one before the point.
fn is_within_decimals(text: &str, span: &std::ops::Range<usize>, at: usize) -> bool {
    let word = text.get(span.clone()).unwrap_or_default();
    at > span.start && word.contains('.') && word.parse::<f64>().is_ok()
}

/// A value stands where a name does: in the brackets of something whose fields are named, or where one of several
/// names is chosen. Returns the message and a way out.
fn nameless(text: &str, at: usize) -> (String, String) {
    let before = text[..at].trim_end();
    let Some(holder) = before.strip_suffix('(').filter(|holder| !holder.ends_with("RegisterJob")) else {
        let hint = "names stand without quotes, as `kind: System`, `File(\"web.nomad.hcl\")` or `Preset(\"aws\")`";
        return ("a name belongs here".to_owned(), hint.to_owned());
    };
    let start = holder.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
    let (field, name) = (first_field(&holder[start..]), &holder[start..]);
    let of = if name.is_empty() { String::new() } else { format!(" of `{name}`") };
    let example = field.map_or("field: value".to_owned(), |field| format!("{field}: …"));
    (format!("the fields{of} are named"), format!("write `{example}`"))
}

/// The first field that an action must have.
fn first_field(action: &str) -> Option<String> {
    let known: serde_json::Value = serde_json::from_str(schema::JSON_SCHEMA).ok()?;
    let actions = known["$defs"]["Action"]["oneOf"].as_array()?;
    let fields = actions.iter().find_map(|known| known["properties"].get(action))?;
    fields["required"].get(0)?.as_str().map(str::to_owned)
}

/// The bracket that is missing before one that closes another, and the latter; `None` if none stands at `at`.
fn missing_bracket(text: &str, at: usize) -> Option<(char, char)> {
    let found = text.get(at..)?.trim_start().chars().next().filter(|c| matches!(c, ')' | ']' | '}'))?;
    let mut open: Vec<char> = Vec::new();
    let mut rest = text.get(..at)?;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => {
                open.pop();
            }
            '"' => {
                let mut escaped = false;
                let end = rest.find(|c| {
                    let closes = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    closes
                });
                rest = &rest[end? + 1..];
            }
            'r' if rest.trim_start_matches('#').starts_with('"') => {
                let hashes = rest.len() - rest.trim_start_matches('#').len();
                let body = &rest[hashes + 1..];
                rest = &body[body.find(&format!("\"{}", &rest[..hashes]))? + 1 + hashes..];
            }
            '/' if rest.starts_with('/') => rest = &rest[rest.find('\n')?..],
            '/' if rest.starts_with('*') => rest = &rest[rest.find("*/")? + 2..],
            _ => {}
        }
    }
    open.pop().filter(|missing| *missing != found).map(|missing| (missing, found))
}

/// The last time `name` stands at or before the end of `span`; the span itself if it does not.
fn name_before(text: &str, span: std::ops::Range<usize>, name: &str) -> std::ops::Range<usize> {
    if name.is_empty() || text[span.clone()] == *name {
        return span;
    }
    let found = text.get(..span.end).and_then(|before| before.rfind(name));
    match found {
        Some(at) if span.end - at < name.len() + 80 => at..at + name.len(),
        Some(_) | None => span,
    }
}

fn lowered(message: &str) -> String {
    let mut characters = message.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::Sources;

    fn check(text: &str, expected: &str) {
        let mut sources = Sources::default();
        let source = sources.add("s.ron", text);
        let finding = parse(source, text).expect_err("a mistake was made");
        let place = sources.position(finding.place.as_ref().expect("mistakes of syntax have a place"));
        let hint = finding.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        assert_eq!(format!("{place}: {}{hint}", finding.message), expected);
    }

    #[test]
    fn the_first_mistake_is_placed_and_explained() {
        for (text, expected) in [
            ("", "s.ron:1:1: the file is empty (`cossim init` writes a scenario to start from)"),
            (
                "Scenario(\n  nmae: \"x\",\n)",
                "s.ron:2:3: there is no field `nmae` of `Scenario` (did you mean `name`?)",
            ),
            (
                "Scenario(name: \"x\",\n  duration: 40)",
                "s.ron:2:13: a text in double quotes belongs here (quantities are texts with their unit, as `\"40m\"`)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [Region(name: \"a\", clients: [Clients(datacenter: \"d\", count: 3.25)])])",
                "s.ron:1:107: a whole number, 0 or more, belongs here (write digits alone, without a unit and without quotes)",
            ),
            (
                "Scenario(name: \"x\" seeds: 3)",
                "s.ron:1:20: a comma is missing (write `,` in front of this, or close the text before it with `\"` where it is meant to end)",
            ),
            ("Scenario(seeds: 3 name: \"x\")", "s.ron:1:19: a comma is missing (write `,` in front of this)"),
            (
                "Scenario(name: \"x)",
                "s.ron:1:16: this text does not end (close it with `\"`; within a text, write `\\\"`)",
            ),
            (
                "Scenario(name: \"x\", regions: 3)",
                "s.ron:1:30: `[` belongs here (write a list in brackets, as `[…, …]`)",
            ),
            (
                "Scenario(name: \"x\", regions: [Region(name: \"(r\", /* ( */ zones: [\"a\"]],\n)",
                "s.ron:1:70: a `)` is missing before this `]` (write `)` where its bracket is meant to close)",
            ),
            (
                "Scenario(name: r#\"a\"b\"#, about: r\"\\\", regions: [Region(name: \"r\", zones: [\"a\"]],\n)",
                "s.ron:1:79: a `)` is missing before this `]` (write `)` where its bracket is meant to close)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [], timeline: [At(\"1s\", NodeCrash(\"r/d-1\"))])",
                "s.ron:1:80: the fields of `NodeCrash` are named (write `target: …`)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [], timeline: [At(\"1s\", Drain(target: \"r/d-1\"))])",
                "s.ron:1:70: `Drain` is not known as `Action` (did you mean `DrainNodes`?)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [], timeline: [At(\"1s\", Scalle(job: \"a\", count: 1))])",
                "s.ron:1:70: `Scalle` is not known as `Action` (did you mean `ScaleJob`?)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [], timeline: [At(\"1s\", RestartAgen(target: \"a\"))])",
                "s.ron:1:70: `RestartAgen` is not known as `Action` (did you mean `ProcessRestart`?)",
            ),
            (
                "Scenario(name: \"x\")",
                "s.ron:1:1: field `duration` of `Scenario` is missing (add `duration: …` within the brackets)",
            ),
            (
                "Scenario(name: \"x\", duration: \"1m\", regions: [], timeline: [At(\"1s\", ZoneOutge(zone: \"b\"))])",
                "s.ron:1:70: `ZoneOutge` is not known as `Action` (did you mean `ZoneOutage`?)",
            ),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn hostile_texts_are_refused_quickly() {
        let sources = &mut Sources::default();
        let escapes = format!("Scenario(name: \"{}\")", "\\n".repeat(1_000_000));
        let brackets = ["(", "["].map(|bracket| bracket.repeat(100_000));
        let short = ["Scenario(", "\u{0}", "\""].map(str::to_owned);
        for text in brackets.into_iter().chain(short).chain([escapes]) {
            let source = sources.add("s.ron", text.clone());
            assert!(parse(source, &text).is_err());
        }
    }
}
