//! As much of Go's `net/url` as fabio's answers depend on: splitting, percent-encoding of paths, printing.
//!
//! Left out: user information, opaque forms and the rarer parse errors; no route target uses them.

use std::fmt;

/// Why a text is not a URL. The message is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// `://…`: nothing before the colon.
    #[error("parse \"{0}\": missing protocol scheme")]
    MissingScheme(String),
    /// A relative path whose first segment holds a colon.
    #[error("parse \"{0}\": first path segment in URL cannot contain colon")]
    ColonInFirstSegment(String),
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("parse \"{text}\": invalid URL escape \"{escape}\"")]
    Escape {
        /// The whole text.
        text: String,
        /// The offending three characters or fewer.
        escape: String,
    },
    /// Something else than digits after the colon of the host.
    #[error("parse \"{text}\": invalid port \"{port}\" after host")]
    Port {
        /// The whole text.
        text: String,
        /// From the colon on.
        port: String,
    },
    /// A character no host name has.
    #[error("parse \"{text}\": invalid character \"{character}\" in host name")]
    HostCharacter {
        /// The whole text.
        text: String,
        /// The character.
        character: char,
    },
    /// A control character anywhere.
    #[error("parse \"{0}\": net/url: invalid control character in URL")]
    Control(String),
}

/// A URL split into the parts fabio uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Url {
    /// Lower case; empty in a relative reference.
    pub scheme: String,
    /// Host with port, as written.
    pub host: String,
    /// Decoded path.
    pub path: String,
    /// The encoded path as written, kept only when it differs from the default encoding of `path`.
    pub raw_path: String,
    /// Query without `?`.
    pub query: String,
    /// Fragment without `#`, as written.
    pub fragment: String,
    /// Something preceded by no slash followed the scheme (`mailto:x`).
    pub opaque: String,
}

impl Url {
    /// Splits `text` as Go's `url.Parse` does.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(UrlError::Control(text.to_owned()));
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut url = Self { fragment: fragment.to_owned(), ..Self::default() };
        let (scheme, rest) = split_scheme(text, rest)?;
        url.scheme = scheme.to_lowercase();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        query.clone_into(&mut url.query);
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|first| first.contains(':')) {
                return Err(UrlError::ColonInFirstSegment(text.to_owned()));
            }
        }
        let has_authority = (!url.scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//");
        let path = if has_authority {
            let authority = &rest[2..];
            let end = authority.find('/').unwrap_or(authority.len());
            let (host, path) = authority.split_at(end);
            url.host = check_host(text, host)?;
            path
        } else {
            rest
        };
        url.set_path(text, path)?;
        Ok(url)
    }

    fn set_path(&mut self, text: &str, encoded: &str) -> Result<(), UrlError> {
        self.path = unescape(encoded)
            .map_err(|escape| UrlError::Escape { text: text.to_owned(), escape: escape.to_owned() })?;
        encoded_if_unusual(encoded, &self.path).clone_into(&mut self.raw_path);
        Ok(())
    }

    /// The path as it is printed: `raw_path` if it is a valid encoding of `path`, else the default encoding.
    pub fn escaped_path(&self) -> String {
        if !self.raw_path.is_empty()
            && is_valid_encoding(&self.raw_path)
            && unescape(&self.raw_path).is_ok_and(|path| path == self.path)
        {
            return self.raw_path.clone();
        }
        if self.path == "*" { "*".to_owned() } else { escape_path(&self.path) }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            if !self.scheme.is_empty() || !self.host.is_empty() {
                if !self.host.is_empty() || !self.path.is_empty() {
                    f.write_str("//")?;
                }
                write!(f, "{}", self.host)?;
            }
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                f.write_str("/")?;
            }
            f.write_str(&path)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", self.fragment)?;
        }
        Ok(())
    }
}

fn split_scheme<'a>(text: &str, rest: &'a str) -> Result<(&'a str, &'a str), UrlError> {
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err(UrlError::MissingScheme(text.to_owned())),
            b':' => return Ok((&rest[..index], &rest[index + 1..])),
            _ => return Ok(("", rest)),
        }
    }
    Ok(("", rest))
}

fn check_host(text: &str, host: &str) -> Result<String, UrlError> {
    if let Some(character) = host.chars().find(|c| matches!(c, ' ' | '"' | '\\' | '^' | '`' | '{' | '|' | '}')) {
        return Err(UrlError::HostCharacter { text: text.to_owned(), character });
    }
    let after_bracket = host.rfind(']').map_or(0, |end| end + 1);
    if let Some(colon) = host[after_bracket..].rfind(':').map(|at| at + after_bracket) {
        let port = &host[colon..];
        if !port[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(UrlError::Port { text: text.to_owned(), port: port.to_owned() });
        }
    }
    Ok(host.to_owned())
}

fn encoded_if_unusual<'a>(encoded: &'a str, path: &str) -> &'a str {
    if escape_path(path) == encoded { "" } else { encoded }
}

fn is_valid_encoding(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' | b'%') || !needs_escape(byte))
}

fn needs_escape(byte: u8) -> bool {
    !(byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@'))
}

/// Go's default encoding of a decoded path.
pub fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if needs_escape(byte) {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

/// Decodes percent-encoding, or returns the escape that is none. Bytes that are no UTF-8 are replaced.
pub fn unescape(text: &str) -> Result<String, &str> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = bytes.get(at + 1..at + 3).and_then(|pair| Some((hex(pair[0])?, hex(pair[1])?)));
            let Some((high, low)) = digits else {
                let end = (at + 3).min(bytes.len());
                return Err(text.get(at..end).unwrap_or("%"));
            };
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Shortest equivalent path: no `.`, `..` or empty segments, as Go's `path.Clean`; empty becomes `.`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if !rooted => kept.push(".."),
                _ => {}
            },
            segment => kept.push(segment),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_print_as_they_were_read() {
        for text in [
            "http://h:1/x?y=z",
            "tcp://h:1",
            "https://foo.com$path",
            "http://[fe80::1]:80/",
            "http://h/%2f/a",
            "http://h/a%20b",
            "/rel",
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn mistakes_are_named_as_go_names_them() {
        for (text, message) in [
            ("://bad", "parse \"://bad\": missing protocol scheme"),
            ("http://h:x/", "parse \"http://h:x/\": invalid port \":x\" after host"),
            ("http://h/%zz", "parse \"http://h/%zz\": invalid URL escape \"%zz\""),
            ("1:2", "parse \"1:2\": first path segment in URL cannot contain colon"),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in
            [("/a//b", "/a/b"), ("/a/../b", "/b"), ("/..", "/"), ("", "."), ("a/./b", "a/b"), ("../a", "../a")]
        {
            assert_eq!(clean(path), cleaned);
        }
    }
}
