//! The grammar of job files before Nomad 1.0, turned into today's without moving anything.
//!
//! HCL1 allowed commas between the attributes of a block, quoted attribute names, and several things on the line of a
//! brace. Each is replaced by characters of the same length, so that every offset still points at what was written;
//! quoted names are remembered. Strings, comments and heredocs are left alone.

use crate::base::ordered::OrdMap;

/// A text in today's grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Modern {
    /// As long as the original.
    pub(super) text: String,
    /// Attribute names that could not be kept, by the offset of their stand-in.
    pub(super) names: OrdMap<usize, String>,
    /// Where the first string or heredoc begins that does not end.
    pub(super) open: Option<usize>,
}

/// What a brace or bracket opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Block,
    Value,
}

/// Rewrites a text.
pub(super) fn modernise(text: &str) -> Modern {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut names = OrdMap::new();
    let mut open = None;
    let mut frames: Vec<Frame> = Vec::new();
    let mut last = b'\n';
    let mut at = 0;
    while at < bytes.len() {
        let in_block = !matches!(frames.last(), Some(Frame::Value));
        match bytes[at] {
            b'#' => at = line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => at = line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = text[at..].find("*/").map_or(bytes.len(), |end| at + end + 2);
            }
            b'<' if bytes.get(at + 1) == Some(&b'<') => {
                let end = heredoc_end(text, at);
                open = open.or(end.is_none().then_some(at));
                at = end.unwrap_or(text.len());
                last = b'"';
            }
            b'"' => {
                let (end, is_closed) = string_end(bytes, at);
                open = open.or((!is_closed).then_some(at));
                if in_block && last != b'=' && next_significant(bytes, end) == Some(b'=') && end - at > 2 {
                    names.insert(at, text[at + 1..end - 1].to_owned());
                    for (index, slot) in out[at..end].iter_mut().enumerate() {
                        let keep = slot.is_ascii_alphabetic() || index > 0 && slot.is_ascii_digit();
                        *slot = if keep { *slot } else { b'_' };
                    }
                }
                last = b'"';
                at = end;
            }
            b'{' => {
                let value = !in_block || matches!(last, b'=' | b':' | b'(' | b'[' | b',');
                frames.push(if value { Frame::Value } else { Frame::Block });
                last = b'{';
                at += 1;
                if !value && bytes.get(at) == Some(&b' ') && next_significant(bytes, at) != Some(b'}') {
                    out[at] = b'\n';
                }
            }
            b'}' => {
                if in_block && last != b'{' && at > 0 && bytes[at - 1] == b' ' {
                    out[at - 1] = b'\n';
                }
                frames.pop();
                last = b'}';
                at += 1;
            }
            open @ (b'[' | b'(') => {
                frames.push(Frame::Value);
                last = open;
                at += 1;
            }
            close @ (b']' | b')') => {
                frames.pop();
                last = close;
                at += 1;
            }
            b',' if in_block => {
                out[at] = if rest_is_blank(bytes, at + 1) { b' ' } else { b'\n' };
                at += 1;
            }
            other => {
                if !other.is_ascii_whitespace() {
                    last = other;
                }
                at += 1;
            }
        }
    }
    // Only ASCII was replaced, and by ASCII, except within quoted names, which become ASCII as a whole.
    let text = String::from_utf8(out).unwrap_or_else(|_| text.to_owned());
    Modern { text, names, open }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end)
}

/// The first byte after spaces on the same line and the next ones.
fn next_significant(bytes: &[u8], at: usize) -> Option<u8> {
    bytes[at..].iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Whether nothing but a comment or a closing brace follows on the line.
fn rest_is_blank(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at..line_end(bytes, at)];
    let first = rest.iter().position(|byte| !byte.is_ascii_whitespace());
    first.is_none_or(|first| matches!(rest[first], b'#' | b'}') || rest[first..].starts_with(b"//"))
}

/// Past the closing quote, or the end of the line without one; interpolations may hold strings of their own.
fn string_end(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start + 1;
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'$' | b'%' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth > 0 => depth -= 1,
            b'"' if depth == 0 => return (at + 1, true),
            b'\n' => return (at, false),
            _ => {}
        }
        at += 1;
    }
    (bytes.len(), false)
}

/// Past the line that closes the heredoc; `None` if there is none.
fn heredoc_end(text: &str, start: usize) -> Option<usize> {
    let body = text[start..].find('\n').map_or(text.len(), |end| start + end);
    let marker = text[start + 2..body].trim_start_matches('-').trim();
    if marker.is_empty() {
        return Some(start + 2);
    }
    let mut at = body;
    for line in text[body..].split_inclusive('\n') {
        at += line.len();
        if line.trim() == marker {
            return Some(at - usize::from(line.ends_with('\n')));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str) {
        let modern = modernise(old);
        assert_eq!(modern.text, new);
        assert_eq!(modern.text.len(), old.len());
    }

    #[test]
    fn each_old_form_becomes_todays_without_moving() {
        check("env {\n A = \"x\",\n B = \"y\", # z\n}", "env {\n A = \"x\" \n B = \"y\"  # z\n}");
        check("env { A = 1, B = 2 }", "env {\nA = 1\n B = 2\n}");
        check("port \"http\" {}", "port \"http\" {}");
        check("a = [1, 2]\nb = { x = 1, y = 2 }", "a = [1, 2]\nb = { x = 1, y = 2 }");
        check("config {\n \"my.key\" = \"a,b\"\n}", "config {\n _my_key_ = \"a,b\"\n}");
        check("data = <<EOF\n{{ a, b }}\nEOF\nx = 1", "data = <<EOF\n{{ a, b }}\nEOF\nx = 1");
        check("a = \"${f(\"x\", 1)}\" # b, c", "a = \"${f(\"x\", 1)}\" # b, c");
        assert_eq!(modernise("c {\n \"my.key\" = 1\n}").names, OrdMap::from([(5, "my.key".to_owned())]));
    }

    #[test]
    fn broken_texts_do_no_harm() {
        for text in ["\"", "<<", "<<EOF", "/*", "}}}]", "{", "\"${", "ä, \"ö\" = 1", "\\", "\"\\"] {
            assert_eq!(modernise(text).text.len(), text.len(), "{text}");
        }
    }

    #[test]
    fn what_does_not_end_is_known_by_its_beginning() {
        for (text, open) in [
            ("a = \"x\"\nb = \"${f(\"y\")}\"\nc = <<EOF\nz\nEOF", None),
            ("a = \"x\"\nb = \"y\nc = \"z\"", Some(12)),
            ("a = \"x\\\"\nb = 1", Some(4)),
            ("a = \"${b\"\n", Some(4)),
            ("a = <<EOF\nz\n", Some(4)),
        ] {
            assert_eq!(modernise(text).open, open, "{text}");
        }
    }
}
