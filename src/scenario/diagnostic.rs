//! What is wrong with a file, where, and what to do about it; drawn as compilers do.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A text that findings point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// File name as the user typed it, or `--set`.
    pub name: String,
    /// What it holds.
    pub text: String,
    /// Where pieces of the text really come from, in order; empty for a text that was read as it is.
    pub pieces: Vec<Piece>,
}

/// A stretch of a text that was put together from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the text put together.
    pub span: Range<usize>,
    /// The text it comes from.
    pub source: SourceId,
    /// Where it begins there.
    pub start: usize,
    /// How many bytes of it were put in front and are nobody's.
    pub lead: usize,
}

/// One of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub usize);

/// A place in a source, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which text.
    pub source: SourceId,
    /// Where in it.
    pub span: Range<usize>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, perhaps not as meant.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// As `E014`; the list is in docs/scenario.md.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where, if anywhere.
    pub place: Option<Place>,
    /// What stands by the caret; may be empty.
    pub label: String,
    /// A way out.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        let (label, message) = (String::new(), message.into());
        Self { severity: Severity::Error, code, message, place: None, label, hint: None }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// With its place.
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// With a text by the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Every text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    texts: Vec<Source>,
}

impl Sources {
    /// Adds a text as it was read.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        self.add_source(Source { name: name.into(), text: text.into(), pieces: Vec::new() })
    }

    /// Adds a text.
    pub fn add_source(&mut self, source: Source) -> SourceId {
        self.texts.push(source);
        SourceId(self.texts.len() - 1)
    }

    /// All texts, in the order they were read.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|source| source.text.as_str())
    }

    /// What they are called, in the same order: paths of files, and options of the command line.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|source| source.name.as_str())
    }

    /// One of them.
    pub fn get(&self, id: SourceId) -> &Source {
        &self.texts[id.0]
    }

    /// The place in the text that the user wrote.
    pub fn origin(&self, place: &Place) -> Place {
        let source = self.get(place.source);
        let Some(piece) = source.pieces.iter().rev().find(|piece| piece.span.start <= place.span.start) else {
            return within(place, &source.text);
        };
        let start = piece.start + (place.span.start - piece.span.start).saturating_sub(piece.lead);
        let rest = self.get(piece.source).text.len().saturating_sub(start);
        let length = place.span.len().min(piece.span.end.saturating_sub(place.span.start)).min(rest);
        self.origin(&Place { source: piece.source, span: start..start + length })
    }

    /// `file:line:column` of a place, from 1, columns in characters.
    pub fn position(&self, place: &Place) -> String {
        let place = self.origin(place);
        let source = self.get(place.source);
        let line = line_around(&source.text, place.span.start);
        let column =
            source.text[line.span.start..place.span.start.clamp(line.span.start, line.span.end)].chars().count();
        format!("{}:{}:{}", source.name, line.number, column + 1)
    }

    /// Draws findings, errors first, with a summary when there are several. Colour only if asked for.
    pub fn render(&self, findings: &[Diagnostic], coloured: bool) -> String {
        let mut text = String::new();
        let mut ordered: Vec<&Diagnostic> = findings.iter().collect();
        ordered.sort_by_key(|finding| finding.severity);
        for finding in &ordered {
            text.push_str(&self.render_one(finding, coloured));
            text.push('\n');
        }
        text
    }

    fn render_one(&self, finding: &Diagnostic, coloured: bool) -> String {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let message = printable(&finding.message);
        let label = printable(&finding.label);
        let title = level.primary_title(&message).id(finding.code);
        let mut text = match finding.place.as_ref().map(|place| self.origin(place)) {
            None => renderer.render(&[annotate_snippets::Group::with_title(title)]),
            Some(place) => {
                let source = self.get(place.source);
                let line = line_around(&source.text, place.span.start);
                let start = place.span.start.clamp(line.span.start, line.span.end);
                let end = place.span.end.clamp(start, line.span.end);
                let window = window(&source.text, &line.span, start);
                let cut = |is_cut: bool| if is_cut { "…" } else { "" };
                let (left, right) = (cut(window.start > line.span.start), cut(window.end < line.span.end));
                let shown = format!("{left}{}{right}", &source.text[window.clone()]);
                let caret = [start, end.min(window.end)].map(|at| left.len() + at - window.start);
                let caret = AnnotationKind::Primary.span(caret[0]..caret[1]);
                let caret = if label.is_empty() { caret } else { caret.label(&label) };
                let snippet = Snippet::source(&shown).path(&source.name).line_start(line.number).annotation(caret);
                let drawn = renderer.render(&[title.element(snippet)]);
                let column = |before: &str| format!(":{}:{}", line.number, before.chars().count() + 1);
                let (of_shown, of_line) =
                    (column(&shown[..left.len() + start - window.start]), column(&source.text[line.span.start..start]));
                in_second_line(&drawn, &of_shown, &of_line)
            }
        };
        if let Some(hint) = &finding.hint {
            let _ = write!(text, "\nhint: {}", printable(hint));
        }
        text.push('\n');
        text
    }
}

/// A place on character boundaries of its text, whatever a parser said.
fn within(place: &Place, text: &str) -> Place {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(place.span.start);
    let mut end = place.span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    Place { source: place.source, span: start..end }
}

/// A line of a text.
struct Line {
    /// From 1.
    number: usize,
    /// Without its end.
    span: Range<usize>,
}

fn line_around(text: &str, offset: usize) -> Line {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    let end = if text[start..end].ends_with('\r') { end - 1 } else { end };
    Line { number: text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1, span: start..end.max(start) }
}

/// A drawing whose second line, which says where it is, has another text in place of one.
fn in_second_line(drawn: &str, from: &str, to: &str) -> String {
    let start = drawn.find('\n').map_or(drawn.len(), |at| at + 1);
    let end = drawn[start..].find('\n').map_or(drawn.len(), |at| start + at);
    match drawn[start..end].rfind(from) {
        Some(at) => format!("{}{to}{}", &drawn[..start + at], &drawn[start + at + from.len()..]),
        None => drawn.to_owned(),
    }
}

/// What is shown of a line for a place in it: all of it, or what stands around the place if it is long. A cut is made
/// in front of a plain character where there is one, since others may belong to the one before.
fn window(text: &str, line: &Range<usize>, at: usize) -> Range<usize> {
    if line.len() <= WIDTH_MAX {
        return line.clone();
    }
    let plain = |(_, c): &(usize, char)| c.is_ascii();
    let before: Vec<(usize, char)> = text[line.start..at].char_indices().rev().take(BEFORE_MAX).collect();
    let first = before.iter().rev().find(|found| plain(found)).or(before.last());
    let start = match first {
        Some((offset, _)) if before.len() == BEFORE_MAX => line.start + offset,
        Some(_) | None => line.start,
    };
    let after: Vec<(usize, char)> = text[at..line.end].char_indices().take(AFTER_MAX + 1).collect();
    let last = after[1.min(after.len())..].iter().rev().find(|found| plain(found)).or(after.last());
    let end = match last {
        Some((offset, _)) if after.len() > AFTER_MAX => at + offset,
        Some(_) | None => line.end,
    };
    start..end
}

/// The byte offset of a line and column, both from 1, columns in characters.
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(at) => start += at + 1,
            None => return text.len(),
        }
    }
    let rest = &text[start..];
    rest.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| start + at)
}

/// Texts quoted from files may hold anything; messages stay short and free of control characters.
fn printable(text: &str) -> String {
    let mut out: String = text.chars().take(MESSAGE_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > MESSAGE_MAX {
        out.push('…');
    }
    out
}

/// Of longer lines, in bytes, only a part is drawn.
const WIDTH_MAX: usize = 400;
/// Characters of such a line in front of the place.
const BEFORE_MAX: usize = 40;
/// And from the place on.
const AFTER_MAX: usize = 60;
/// Longer messages are cut.
const MESSAGE_MAX: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_drawn_with_its_line_and_a_way_out() {
        let mut sources = Sources::default();
        let source = sources.add("a.ron", "Scenario(\n    memory: \"48 GiB\",\n)");
        let finding = Diagnostic::error("E014", "too much memory")
            .at(Some(Place { source, span: 22..30 }))
            .label("largest has 32 GiB")
            .hint("lower `memory`");
        let text = sources.render(&[finding], false);
        assert!(text.starts_with("error[E014]: too much memory\n --> a.ron:2:13\n"), "{text}");
        assert!(text.contains("^^^^^^^^ largest has 32 GiB"), "{text}");
        assert!(text.ends_with("\nhint: lower `memory`\n\n"), "{text}");
    }

    #[test]
    fn of_a_long_line_what_stands_around_the_place_is_drawn() {
        let drawn = |before: &str, found: &str, after: &str| {
            let mut sources = Sources::default();
            let source = sources.add("a.ron", format!("one\n{before}{found}{after}\nthree"));
            let start = 4 + before.len();
            let place = Place { source, span: start..start + found.len() };
            let text = sources.render(&[Diagnostic::error("E014", "no").at(Some(place)).label("this")], false);
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let lines = drawn(&"ab, ".repeat(100), "oops", &" cd,".repeat(100));
        assert_eq!(lines[0], " --> a.ron:2:401");
        let expected = format!("2 | …{}oops{}…", "ab, ".repeat(10), " cd,".repeat(14));
        assert_eq!(lines[2..4], [expected, format!("  | {}^^^^ this", " ".repeat(41))]);
        // What begins or ends the line is not cut there; a long place is drawn as far as the line is.
        let lines = drawn("", "oops", &"x".repeat(500));
        assert_eq!(lines[2..4], [format!("2 | oops{}…", "x".repeat(56)), "  | ^^^^ this".to_owned()]);
        let lines = drawn(&"x".repeat(500), "oops", "");
        assert!(lines[2].starts_with("2 | …xxx") && lines[2].ends_with("xoops"), "{lines:?}");
        let lines = drawn("", &"x".repeat(500), "");
        assert_eq!(lines[3], format!("  | {} this", "^".repeat(60)));
        // Wide characters take two columns, and marks stay with the character they are on.
        let lines = drawn(&"界".repeat(200), "oops", "");
        assert_eq!(lines[3], format!("  | {}^^^^ this", " ".repeat(1 + 2 * 40)));
        let lines = drawn(&"e\u{301}".repeat(200), "oops", &"e\u{301}".repeat(200));
        assert!(lines[2].starts_with("2 | …e\u{301}") && lines[2].ends_with("e\u{301}…"), "{lines:?}");
        assert_eq!(lines[3], format!("  | {}^^^^ this", " ".repeat(1 + 20)));
    }

    #[test]
    fn lines_and_columns_become_offsets() {
        assert_eq!(offset_of("ab\ncä d\n", 2, 4), 7);
        assert_eq!(offset_of("ab", 7, 1), 2);
    }
}
