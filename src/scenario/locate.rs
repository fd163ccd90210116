//! Where the values of a RON text stand: a tree of spans, found by path (`timeline[0].zone`).
//!
//! The typed reader of the `ron` crate says what a file means and forgets where it said so; this scanner remembers only
//! where. It accepts what the reader accepts and gives up (`None`) on anything else, so it never has an error of its
//! own.

use std::ops::Range;

use crate::scenario::quantity::are_equal;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// From its first to past its last character, its type's name included.
    pub span: Range<usize>,
    /// What it is made of.
    pub shape: Shape,
}

/// Forms of RON values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// `Name(field: value, …)`: the name of each field, where it stands, and its value.
    Struct(Vec<(String, Range<usize>, Node)>),
    /// `Name(value, …)` or `[value, …]`.
    List(Vec<Node>),
    /// `{key: value, …}`; keys as text without quotes.
    Map(Vec<(String, Range<usize>, Node)>),
    /// A string.
    Text,
    /// A number, a character, a truth value, a name.
    Plain,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// `.name`
    Field(&'a str),
    /// `[3]`
    Index(usize),
}

/// Splits `regions[0].clients[1].count` into steps; `None` if it is not a path.
pub fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (number, tail) = after.split_once(']')?;
            out.push(Step::Index(number.trim().parse().ok()?));
            rest = tail;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let name = rest[..end].trim();
        out.push(name.parse().map_or(Step::Field(name), Step::Index));
        rest = &rest[end..];
    }
    Some(out)
}

/// Whether a path is that of what stands at `outer`, or of a part of it, however the two are written.
pub fn lies_within(path: &str, outer: &str) -> bool {
    steps(path).zip(steps(outer)).is_some_and(|(path, outer)| path.starts_with(&outer))
}

impl Node {
    /// The node one step further. A field is also looked for inside the items of `At("10m", ZoneOutage(zone: …))` and
    /// of `Some(…)`, so that paths need not name them.
    pub fn child(&self, step: &Step<'_>) -> Option<&Self> {
        match (&self.shape, step) {
            (Shape::Struct(fields) | Shape::Map(fields), Step::Field(name)) => {
                fields.iter().find(|(key, _, _)| key == name).map(|(_, _, node)| node)
            }
            (Shape::Struct(fields) | Shape::Map(fields), Step::Index(index)) => {
                let name = index.to_string();
                fields.iter().find(|(key, _, _)| *key == name).map(|(_, _, node)| node)
            }
            (Shape::List(items), Step::Index(index)) => {
                items.get(*index).or_else(|| items.last().filter(|_| items.len() == 1)?.child(step))
            }
            (Shape::List(items), Step::Field(_)) => items.iter().find_map(|item| item.child(step)),
            (Shape::Text | Shape::Plain, Step::Field(_) | Step::Index(_)) => None,
        }
    }

    /// The node at the end of the path, or the deepest one on the way there with the number of steps taken.
    pub fn follow(&self, steps: &[Step<'_>]) -> (&Self, usize) {
        let mut node = self;
        for (taken, step) in steps.iter().enumerate() {
            match node.child(step) {
                Some(next) => node = next,
                None => return (node, taken),
            }
        }
        (node, steps.len())
    }

    /// Where the value at `path` stands; for one that was left out, the opening of what should hold it.
    pub fn find(&self, path: &str) -> Range<usize> {
        let steps = steps(path).unwrap_or_default();
        let (node, taken) = self.follow(&steps);
        if taken == steps.len() { node.span.clone() } else { node.opening() }
    }

    /// Whether something is written at `path`.
    pub fn has(&self, path: &str) -> bool {
        steps(path).is_some_and(|steps| self.follow(&steps).1 == steps.len())
    }

    /// The names of the fields that are written at `path`; none if it is no struct.
    pub fn fields(&self, path: &str) -> Vec<String> {
        let (node, _) = self.follow(&steps(path).unwrap_or_default());
        let node = match &node.shape {
            // Of `Some(…)` what it holds.
            Shape::List(items) if items.len() == 1 => &items[0],
            _ => node,
        };
        match &node.shape {
            Shape::Struct(fields) => fields.iter().map(|(name, _, _)| name.clone()).collect(),
            Shape::List(_) | Shape::Map(_) | Shape::Text | Shape::Plain => Vec::new(),
        }
    }

    /// The first few characters: its name, or its bracket.
    pub fn opening(&self) -> Range<usize> {
        self.span.start..self.span.end.min(self.span.start + 1)
    }

    /// What stands in `Some(…)`, which may be left out; another value itself. `text` is what it was read from.
    fn without_some(&self, text: &str) -> &Self {
        match &self.shape {
            Shape::List(items) if items.len() == 1 && opening_of(&text[self.span.clone()]) == ("Some", Some('(')) => {
                &items[0]
            }
            _ => self,
        }
    }

    /// The innermost struct, list or map around an offset.
    pub fn around(&self, offset: usize) -> &Self {
        let inside = |node: &&Self| node.span.start < offset && offset <= node.span.end;
        let next = match &self.shape {
            Shape::Struct(fields) | Shape::Map(fields) => fields.iter().map(|(_, _, node)| node).find(inside),
            Shape::List(items) => items.iter().find(inside),
            Shape::Text | Shape::Plain => None,
        };
        match next {
            Some(node) if !matches!(node.shape, Shape::Text | Shape::Plain) => node.around(offset),
            Some(_) | None => self,
        }
    }
}

/// The tree of a whole text; `None` if it is no RON, nests deeper than 100 levels or holds more than a million values.
pub fn scan(text: &str) -> Option<Node> {
    let mut scanner = Scanner { text, at: 0, left: VALUES_MAX };
    scanner.blank()?;
    while scanner.rest().starts_with("#![") {
        scanner.at += scanner.rest().find(']')? + 1;
        scanner.blank()?;
    }
    let node = scanner.value(DEPTH_MAX)?;
    scanner.blank()?;
    scanner.rest().is_empty().then_some(node)
}

/// Whether two texts are one value, however they are written: fields in another order, other spaces, other units
/// (`Exponential("10s")` and `Exponential( "10000ms" )`). What is no RON is like nothing.
pub fn are_alike(one: &str, two: &str) -> bool {
    let (trees, texts) = ((scan(one), scan(two)), (one, two));
    matches!(trees, (Some(one), Some(two)) if is_like(&one, &two, texts))
}

/// Where a line of the string at `whole` stands, counted from zero and without the spaces around it; `None` if that
/// cannot be told, or there is nothing in it.
pub fn line_of(text: &str, whole: &Range<usize>, line: usize) -> Option<Range<usize>> {
    let written = &text[whole.clone()];
    let (open, close) = (written.find('"')? + 1, written.rfind('"')?);
    let mut start = open;
    let mut lines: Vec<Range<usize>> = Vec::new();
    let mut characters = written.get(open..close)?.char_indices();
    while let Some((at, c)) = characters.next() {
        let end = open + at;
        let escaped = if c == '\\' && !written.starts_with('r') { characters.next().map(|(_, c)| c) } else { None };
        if c == '\n' || escaped == Some('n') {
            lines.push(start..end);
            start = end + if c == '\n' { 1 } else { 2 };
        }
    }
    lines.push(start..close);
    // There are other ways to write the end of a line.
    if ron::from_str::<String>(written).ok()?.split('\n').count() != lines.len() {
        return None;
    }
    let line = lines.get(line)?.clone();
    let inside = written[line.clone()].trim();
    let start = whole.start + line.start + written[line].find(inside)?;
    (!inside.is_empty()).then_some(start..start + inside.len())
}

/// Whether two nodes, each of its text, are one value.
fn is_like(one: &Node, two: &Node, texts: (&str, &str)) -> bool {
    let (one, two) = (one.without_some(texts.0), two.without_some(texts.1));
    let own = (&texts.0[one.span.clone()], &texts.1[two.span.clone()]);
    let is_of_kind = || opening_of(own.0) == opening_of(own.1);
    match (&one.shape, &two.shape) {
        (Shape::Struct(one), Shape::Struct(two)) | (Shape::Map(one), Shape::Map(two)) => {
            let has = |name: &String, node: &Node| {
                two.iter().any(|(other, _, twin)| name == other && is_like(node, twin, texts))
            };
            is_of_kind() && one.len() == two.len() && one.iter().all(|(name, _, node)| has(name, node))
        }
        (Shape::List(one), Shape::List(two)) => {
            let mut pairs = one.iter().zip(two);
            is_of_kind() && one.len() == two.len() && pairs.all(|(one, two)| is_like(one, two, texts))
        }
        (Shape::Text, Shape::Text) => match (ron::from_str::<String>(own.0), ron::from_str::<String>(own.1)) {
            // A number in quotes is a name like any other: release 1.10 is not 1.1.
            (Ok(one), Ok(two)) => one == two || one.trim().parse::<f64>().is_err() && are_equal(&one, &two),
            _ => false,
        },
        (Shape::Plain, Shape::Plain) => own.0 == own.1 || are_equal(own.0, own.1),
        _ => false,
    }
}

/// The name and the bracket a struct or a list begins with, without spaces between them.
fn opening_of(text: &str) -> (&str, Option<char>) {
    let end = text.find(['(', '[', '{']).unwrap_or(text.len());
    (text[..end].trim(), text[end..].chars().next())
}

const DEPTH_MAX: usize = 100;
const VALUES_MAX: usize = 1_000_000;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    left: usize,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips spaces and comments; `None` if a comment has no end.
    fn blank(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if self.rest().starts_with("/*") {
                let mut depth = 0_usize;
                loop {
                    if self.rest().starts_with("/*") {
                        depth += 1;
                        self.at += 2;
                    } else if self.rest().starts_with("*/") {
                        depth -= 1;
                        self.at += 2;
                        if depth == 0 {
                            break;
                        }
                    } else {
                        self.at += self.peek()?.len_utf8();
                    }
                }
            } else {
                return Some(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        self.left = self.left.checked_sub(1)?;
        let start = self.at;
        let shape = match self.peek()? {
            '"' => self.string()?,
            'r' if self.rest().starts_with("r\"") || self.rest().starts_with("r#") => self.raw_string()?,
            '\'' => {
                let quoted = self.rest()[1..].char_indices().find(|(at, c)| *c == '\'' && *at > 0)?.0;
                self.at += quoted + 2;
                Shape::Plain
            }
            '[' => Shape::List(self.items(']', depth)?),
            '{' => Shape::Map(self.entries('}', depth)?),
            '(' => self.parentheses(depth)?,
            c if c.is_alphabetic() || c == '_' => {
                self.word();
                let after_word = self.at;
                self.blank()?;
                if self.peek() == Some('(') {
                    self.parentheses(depth)?
                } else {
                    self.at = after_word;
                    Shape::Plain
                }
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => {
                self.at += c.len_utf8();
                self.word();
                Shape::Plain
            }
            _ => return None,
        };
        Some(Node { span: start..self.at, shape })
    }

    /// Letters, digits and what else names and numbers are made of.
    fn word(&mut self) -> Range<usize> {
        let start = self.at;
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-' | '#');
        self.at += self.rest().find(|c| !word(c)).unwrap_or(self.rest().len());
        start..self.at
    }

    fn string(&mut self) -> Option<Shape> {
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => {
                    characters.next()?;
                }
                '"' => {
                    self.at += at + 1;
                    return Some(Shape::Text);
                }
                _ => {}
            }
        }
        None
    }

    fn raw_string(&mut self) -> Option<Shape> {
        let hashes = self.rest()[1..].chars().take_while(|c| *c == '#').count();
        let close = format!("\"{}", "#".repeat(hashes));
        let body = self.rest().get(1 + hashes + 1..)?;
        self.at += 2 + hashes + body.find(&close)? + close.len();
        Some(Shape::Text)
    }

    /// `(field: value, …)` or `(value, …)`.
    fn parentheses(&mut self, depth: usize) -> Option<Shape> {
        let back = self.at;
        self.at += 1;
        self.blank()?;
        let named = self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') && {
            self.word();
            self.blank()?;
            self.rest().starts_with(':')
        };
        self.at = back;
        if named { self.entries(')', depth).map(Shape::Struct) } else { self.items(')', depth).map(Shape::List) }
    }

    fn items(&mut self, close: char, depth: usize) -> Option<Vec<Node>> {
        let depth = depth.checked_sub(1)?;
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.blank()?;
            if self.peek()? == close {
                self.at += 1;
                return Some(items);
            }
            items.push(self.value(depth)?);
            self.comma(close)?;
        }
    }

    fn entries(&mut self, close: char, depth: usize) -> Option<Vec<(String, Range<usize>, Node)>> {
        let depth = depth.checked_sub(1)?;
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.blank()?;
            if self.peek()? == close {
                self.at += 1;
                return Some(entries);
            }
            let key = if close == ')' { self.word() } else { self.value(depth)?.span };
            let name = self.text[key.clone()].trim_matches('"').to_owned();
            self.blank()?;
            if self.peek()? != ':' {
                return None;
            }
            self.at += 1;
            self.blank()?;
            entries.push((name, key, self.value(depth)?));
            self.comma(close)?;
        }
    }

    fn comma(&mut self, close: char) -> Option<()> {
        self.blank()?;
        match self.peek()? {
            ',' => {
                self.at += 1;
                Some(())
            }
            c if c == close => Some(()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"// a comment
Scenario(
    name: "x", /* one /* nested */ */
    regions: [Region(name: r"a", clients: [Clients(count: 6), Clients(count: 200)])],
    timeline: [At("10m", ZoneOutage(zone: "a/b", kind: Power))],
    meta: {"rack": "r1"},
)"#;

    #[test]
    fn paths_lead_to_values() {
        let tree = scan(TEXT).unwrap();
        for (path, expected) in [
            ("name", "\"x\""),
            ("regions[0].name", "r\"a\""),
            ("regions[0].clients[1].count", "200"),
            ("timeline[0].zone", "\"a/b\""),
            ("timeline[0][0]", "\"10m\""),
            ("timeline[0].kind", "Power"),
            ("meta.rack", "\"r1\""),
            ("regions[0].zones", "R"),
        ] {
            assert_eq!(&TEXT[tree.find(path)], expected, "{path}");
            assert_eq!(tree.has(path), path != "regions[0].zones", "{path}");
        }
    }

    #[test]
    fn paths_are_compared_by_their_steps() {
        for (path, outer, expected) in [
            ("a[0].count", "a[0].count", true),
            ("a[ 0 ].count", "a[00].count", true),
            ("a[0].count", "a[0]", true),
            ("a[0]", "a[0].count", false),
            ("a[0].counts", "a[0].count", false),
            ("a[10]", "a[1]", false),
        ] {
            assert_eq!(lies_within(path, outer), expected, "{path} {outer}");
        }
    }

    #[test]
    fn values_are_alike_however_they_are_written() {
        for (one, two, expected) in [
            ("(a: 1, b: 2)", "(b:2,a:1,)", true),
            ("A(x: \"10s\")", "A ( x: /* as long */ r\"10000ms\" )", true),
            ("A(x: 1)", "B(x: 1)", false),
            ("A(x: 1)", "A(x: 1, y: 2)", false),
            ("A(\"1s\", \"2s\")", "A(\"2s\", \"1s\")", false),
            ("[1.0, 2]", "[1, 2]", true),
            ("[1, 2]", "(1, 2)", false),
            ("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true),
            ("(a: Some(3))", "(a: 3)", true),
            ("(a: \"1.1\")", "(a: \"1.10\")", false),
            ("(a: \"3\")", "(a: 3)", false),
            ("(a: \"x\\ty\")", "(a: \"x\\u{9}y\")", true),
            ("(a: 1", "(a: 1", false),
        ] {
            assert_eq!((are_alike(one, two), are_alike(two, one)), (expected, expected), "{one} {two}");
        }
    }

    #[test]
    fn lines_of_strings_are_found() {
        for (written, line, expected) in [
            ("\"one\"", 0, Some("one")),
            ("\"one\\n two\\n\\nthree\"", 1, Some("two")),
            ("\"one\\n two\\n\\nthree\"", 2, None),
            ("\"one\\n two\\n\\nthree\"", 3, Some("three")),
            ("\"a\\\\n\\nb\"", 1, Some("b")),
            ("\"one\n  two\"", 1, Some("two")),
            ("r#\"one\\n\n  two \"x\"\n\"#", 1, Some("two \"x\"")),
            ("\"one\\u{a}two\"", 1, None),
            ("\"\"", 0, None),
            ("\"one\"", 1, None),
        ] {
            let text = format!("(a: {written})");
            let found = line_of(&text, &(4..4 + written.len()), line);
            assert_eq!(found.map(|span| &text[span]), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_ron_has_no_tree() {
        for text in ["", "(", "(a: )", "(a 1)", "\"", "/*", "[1 2]", &"(".repeat(100_000), &"[".repeat(100_000)] {
            assert_eq!(scan(text), None);
        }
    }
}
