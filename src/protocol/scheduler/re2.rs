//! Regular expressions as Go reads them (RE2, its package `regexp/syntax`), for the operator `regexp`.
//!
//! A pattern is rewritten for Rust's engine, whose dialect is close: what only one of them has (`\Q…\E`, octal
//! numbers, set operations in classes, braces that are no repetition, quantifiers of quantifiers) is spelt out or
//! refused. Perl's classes such as `\w` are ASCII in RE2 and Unicode in Rust. Left out: RE2's bound on nested
//! repetitions, that `\B` is Unicode here, and the lists of Unicode classes, which may differ by release; such patterns
//! could be taken or refused differently, or match another text that is not ASCII.

use regex::Regex;

/// Most repetitions of one quantifier.
const REPEAT_MAX: u32 = 1_000;
/// Names within `[:…:]`.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A pattern, read once. One that does not parse matches nothing.
#[derive(Debug, Clone)]
pub struct Pattern(Option<Regex>);

impl Pattern {
    /// Reads a pattern.
    pub fn read(pattern: &str) -> Self {
        Self(compile(pattern))
    }

    /// Whether a text contains a match.
    pub fn matches(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// Whether a pattern parses.
pub fn is_pattern(pattern: &str) -> bool {
    compile(pattern).is_some()
}

fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(&translate(pattern)?).ok()
}

/// The pattern in Rust's dialect; `None` if RE2 refuses it. What both refuse may be left to Rust.
fn translate(pattern: &str) -> Option<String> {
    let mut spelt = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut follows_quantifier = false;
    while let Some((c, after)) = split(rest) {
        let mut quantifier = None;
        rest = match c {
            '*' | '+' | '?' => {
                quantifier = Some(&rest[..1]);
                after
            }
            '{' => {
                if let Some((low, high, after)) = repetition(after) {
                    if REPEAT_MAX < low || high.is_some_and(|high| REPEAT_MAX < high || high < low) {
                        return None;
                    }
                    quantifier = Some(&rest[..rest.len() - after.len()]);
                    after
                } else {
                    literal('{', &mut spelt);
                    after
                }
            }
            '[' => class(after, &mut spelt)?,
            '(' if after.starts_with('?') && !after.starts_with("?P<") => flags(after, &mut spelt)?,
            '\\' => escape(after, &mut spelt)?,
            '(' | ')' | '|' | '^' | '$' | '.' => {
                spelt.push(c);
                after
            }
            _ => {
                literal(c, &mut spelt);
                after
            }
        };
        if let Some(quantifier) = quantifier {
            if follows_quantifier {
                return None;
            }
            spelt.push_str(quantifier);
            if let Some(after) = rest.strip_prefix('?') {
                spelt.push('?');
                rest = after;
            }
        }
        follows_quantifier = quantifier.is_some();
    }
    Some(spelt)
}

/// The first character and what follows it.
fn split(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|c| (c, chars.as_str()))
}

/// A character that means itself.
fn literal(c: char, spelt: &mut String) {
    spelt.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

/// The bounds of a repetition from behind its `{` on, the upper one if it has one, and what follows; `None` if it is
/// none and the brace means itself.
fn repetition(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (low, rest) = number(text)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((low, Some(low), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((low, None, rest));
    }
    let (high, rest) = number(rest)?;
    Some((low, Some(high), rest.strip_prefix('}')?))
}

/// A number without zeros in front, of the largest kind if it is too large.
fn number(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !is_padded).then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

/// A group that begins with `(?`, but for its name, from behind the parenthesis on. Only RE2's four flags.
fn flags<'p>(text: &'p str, spelt: &mut String) -> Option<&'p str> {
    let end = text.find([')', ':'])?;
    if !text[1..end].chars().all(|c| "imsU-".contains(c)) {
        return None;
    }
    spelt.push('(');
    spelt.push_str(&text[..=end]);
    Some(&text[end + 1..])
}

/// What stands behind a backslash outside of classes.
fn escape<'p>(text: &'p str, spelt: &mut String) -> Option<&'p str> {
    let (c, after) = split(text)?;
    if let Some(class) = perl(c) {
        spelt.push('[');
        spelt.push_str(class);
        spelt.push(']');
        return Some(after);
    }
    match c {
        'Q' => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            spelt.push_str(&regex::escape(quoted));
            Some(after)
        }
        'b' => {
            spelt.push_str("(?-u:\\b)");
            Some(after)
        }
        'A' | 'B' | 'z' => {
            spelt.push('\\');
            spelt.push(c);
            Some(after)
        }
        'p' | 'P' => unicode(text, spelt),
        _ => {
            let (c, after) = character(text)?;
            literal(c, spelt);
            Some(after)
        }
    }
}

/// The members of one of Perl's classes.
fn perl(name: char) -> Option<&'static str> {
    Some(match name {
        'd' => "0-9",
        'D' => "^0-9",
        'w' => "0-9A-Za-z_",
        'W' => "^0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'S' => "^\\t\\n\\f\\r ",
        _ => return None,
    })
}

/// A Unicode class, from its `p` or `P` on.
fn unicode<'p>(text: &'p str, spelt: &mut String) -> Option<&'p str> {
    let (first, _) = split(&text[1..])?;
    let length = if first == '{' { text.find('}')? + 1 } else { 1 + first.len_utf8() };
    spelt.push('\\');
    spelt.push_str(&text[..length]);
    Some(&text[length..])
}

/// A single character from behind its backslash on, and what follows.
fn character(text: &str) -> Option<(char, &str)> {
    let (c, after) = split(text)?;
    let plain = |c| Some((c, after));
    match c {
        'a' => plain('\u{7}'),
        'f' => plain('\u{c}'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\u{b}'),
        '0'..='7' => {
            let digits = text.bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            // One digit alone would refer back to a group, which RE2 cannot.
            let is_number = c == '0' || digits > 1;
            let value = u32::from_str_radix(&text[..digits], 8).ok().filter(|_| is_number)?;
            Some((char::from_u32(value)?, &text[digits..]))
        }
        'x' => {
            let (digits, after) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}')?,
                None => (after.get(..2)?, &after[2..]),
            };
            let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            let value = u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
            Some((char::from_u32(value)?, after))
        }
        _ => (c.is_ascii() && !c.is_ascii_alphanumeric()).then_some((c, after)),
    }
}

/// A class in brackets, from behind the first on.
fn class<'p>(text: &'p str, spelt: &mut String) -> Option<&'p str> {
    spelt.push('[');
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        spelt.push('^');
        rest = after;
    }
    let mut is_first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !is_first) {
            spelt.push(']');
            return Some(after);
        }
        is_first = false;
        if let Some((name, after)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
            if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return None;
            }
            spelt.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        }
        let escaped = rest.strip_prefix('\\').and_then(|text| Some((text, split(text)?)));
        if let Some((text, (c, after))) = escaped {
            if let Some(members) = perl(c) {
                spelt.push('[');
                spelt.push_str(members);
                spelt.push(']');
                rest = after;
                continue;
            }
            if matches!(c, 'p' | 'P') {
                rest = unicode(text, spelt)?;
                continue;
            }
        }
        let (low, after) = member(rest)?;
        literal(low, spelt);
        rest = after;
        if let Some(after) = rest.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']')) {
            let (high, after) = member(after)?;
            if high < low {
                return None;
            }
            spelt.push('-');
            literal(high, spelt);
            rest = after;
        }
    }
}

/// A single character of a class and what follows it.
fn member(text: &str) -> Option<(char, &str)> {
    match text.strip_prefix('\\') {
        Some(escaped) => character(escaped),
        None => split(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_read_as_re2_reads_them() {
        for (text, pattern, expected) in [
            ("linux", "^lin", true),
            ("gnu linux", "^linux$", false),
            ("größe", "^\\w+$", false),
            ("٣", "\\d", false),
            ("a b", "a\\sb\\b", true),
            ("a.b", "^\\Qa.b\\E+$", true),
            ("axb", "\\Qa.b", false),
            ("[x", "^[[]x$", true),
            ("]", "^[]]$", true),
            ("{", "linux|{", true),
            ("a{,2}", "^a{,2}$", true),
            ("a{01}", "^a{01}$", true),
            ("aa", "^a{2}$", true),
            ("aaa", "^a{2,}?$", true),
            ("&", "^[a&&b]$", true),
            ("a", "^[a&&b]$", true),
            (",", "^[+--]$", true),
            ("~", "^[a~~b]$", true),
            ("b", "^[a~~b]$", true),
            ("5-", "^[\\d-]+$", true),
            ("x", "^[^\\W_]$", true),
            ("k", "^[[:alpha:]]$", true),
            ("1", "^[[:^alpha:]]$", true),
            ("<", "^\\<$", true),
            ("A", "^\\101\\x{0041}?\\x41?$", true),
            ("Linux", "(?i)^(?P<os>linux)$", true),
            ("Αθήνα", "^\\p{Greek}+$", true),
            ("x y", "^x y$", true),
            ("a#", "^a#$", true),
        ] {
            assert!(is_pattern(pattern), "{pattern}");
            assert_eq!(Pattern::read(pattern).matches(text), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn what_re2_refuses_is_no_pattern() {
        for pattern in [
            "^linux**$",
            "a+*",
            "a{2}{3}",
            "a{2}??",
            "(linux){1,1001}",
            "a{1001}",
            "a{3,2}",
            "(?<n>linux)",
            "(?=a)",
            "(?x)a b",
            "*a",
            "[a",
            "[b-a]",
            "[a--b]",
            "[[:letter:]]",
            "(a",
            "a)",
            "\\1",
            "\\e",
            "\\u0041",
            "[\\b]",
            "[\\Qa\\E]",
            "a\\",
        ] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
    }
}
