//! The glob dialect of gobwas/glob without separators, as fabio uses it for hosts and paths.
//!
//! `*` and `**` match any text (dots and slashes too), `?` one character, `[a-z]` and `[!a-z]` one character of a set,
//! `{a,b}` either pattern, `\` the next character itself. Matching is anchored at both ends.

/// Why a pattern does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// `[` without its `]`, or a range without its end.
    #[error("unexpected end of input")]
    UnexpectedEnd,
    /// `{` without its `}`, or the reverse.
    #[error("invalid alternatives")]
    Alternatives,
    /// `[]`, or a range whose end lies before its start.
    #[error("unexpected token in character class")]
    Class,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyOne,
    AnyText,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Either(Vec<Vec<Token>>),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    is_literal: bool,
}

impl Glob {
    /// Compiles `pattern`.
    pub fn compile(pattern: &str) -> Result<Self, GlobError> {
        let mut rest = pattern.chars().peekable();
        let tokens = parse(&mut rest, 0)?;
        if rest.next().is_some() {
            return Err(GlobError::Alternatives);
        }
        let is_literal = tokens.iter().all(|token| matches!(token, Token::Literal(_)));
        Ok(Self { tokens, is_literal })
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        if self.is_literal {
            let mut characters = text.chars();
            return self.tokens.iter().all(|token| matches!(token, Token::Literal(c) if characters.next() == Some(*c)))
                && characters.next().is_none();
        }
        let text: Vec<char> = text.chars().collect();
        matches_from(&[&self.tokens], &text)
    }
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads tokens up to the end, or inside alternatives (`depth` > 0) up to `,` or `}`.
fn parse(rest: &mut Characters<'_>, depth: u32) -> Result<Vec<Token>, GlobError> {
    let mut tokens = Vec::new();
    while let Some(&next) = rest.peek() {
        if depth > 0 && (next == ',' || next == '}') {
            break;
        }
        rest.next();
        tokens.push(match next {
            '*' => {
                while rest.peek() == Some(&'*') {
                    rest.next();
                }
                Token::AnyText
            }
            '?' => Token::AnyOne,
            '\\' => Token::Literal(rest.next().ok_or(GlobError::UnexpectedEnd)?),
            '[' => class(rest)?,
            '{' => either(rest, depth)?,
            '}' => return Err(GlobError::Alternatives),
            literal => Token::Literal(literal),
        });
    }
    Ok(tokens)
}

fn either(rest: &mut Characters<'_>, depth: u32) -> Result<Token, GlobError> {
    const DEPTH_MAX: u32 = 16;
    if depth == DEPTH_MAX {
        return Err(GlobError::Alternatives);
    }
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(parse(rest, depth + 1)?);
        match rest.next() {
            Some(',') => {}
            Some('}') => return Ok(Token::Either(alternatives)),
            _ => return Err(GlobError::Alternatives),
        }
    }
}

fn class(rest: &mut Characters<'_>) -> Result<Token, GlobError> {
    let negated = rest.next_if_eq(&'!').is_some();
    let mut ranges = Vec::new();
    loop {
        let mut low = rest.next().ok_or(GlobError::UnexpectedEnd)?;
        if low == ']' {
            return if ranges.is_empty() { Err(GlobError::Class) } else { Ok(Token::Class { negated, ranges }) };
        }
        if low == '\\' {
            low = rest.next().ok_or(GlobError::UnexpectedEnd)?;
        }
        let mut high = low;
        if rest.next_if_eq(&'-').is_some() {
            high = rest.next().ok_or(GlobError::UnexpectedEnd)?;
            if high < low {
                return Err(GlobError::Class);
            }
        }
        ranges.push((low, high));
    }
}

/// Matches the concatenation of `parts` against all of `text`.
fn matches_from(parts: &[&[Token]], text: &[char]) -> bool {
    let Some((&first, later)) = parts.split_first() else { return text.is_empty() };
    let Some((token, tokens)) = first.split_first() else { return matches_from(later, text) };
    let mut with_rest: Vec<&[Token]> = Vec::with_capacity(parts.len());
    with_rest.push(tokens);
    with_rest.extend_from_slice(later);
    match token {
        Token::Literal(c) => text.first() == Some(c) && matches_from(&with_rest, &text[1..]),
        Token::AnyOne => !text.is_empty() && matches_from(&with_rest, &text[1..]),
        Token::Class { negated, ranges } => {
            text.first().is_some_and(|c| ranges.iter().any(|(low, high)| low <= c && c <= high) != *negated)
                && matches_from(&with_rest, &text[1..])
        }
        Token::AnyText => (0..=text.len()).any(|skipped| matches_from(&with_rest, &text[skipped..])),
        Token::Either(alternatives) => alternatives.iter().any(|alternative| {
            let mut parts = with_rest.clone();
            parts.insert(0, alternative);
            matches_from(&parts, text)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialect() {
        for (pattern, text, matched) in [
            ("*.com", "a.b.com", true),
            ("*.com", "com", false),
            ("/foo/*", "/foo/a/b", true),
            ("**", "", true),
            ("[x-z]??.net", "yab.net", true),
            ("[!x-z]", "y", false),
            ("{p,q*}.org", "qq.org", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("/v[12]/x", "/v3/x", false),
        ] {
            assert_eq!(Glob::compile(pattern).unwrap().matches(text), matched, "{pattern} {text}");
        }
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in ["/[", "/[a", "{a", "a\\", "[]", "[z-a]"] {
            assert!(Glob::compile(pattern).is_err(), "{pattern}");
        }
    }
}
