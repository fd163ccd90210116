//! As much of Go's `net/url` as fabio's answers depend on: splitting, percent-encoding, printing.
//!
//! What is refused is what Go 1.14 to 1.24.7 refuse. Left out: the Go of fabio 1.5.10 takes ports that are no numbers,
//! and control characters; a `?` without a query is not printed; bytes that are no UTF-8 are replaced.

use std::fmt;

/// Why a text is not a URL. The message is Go's, but for how characters that do not print are escaped in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse {text:?}: {mistake}")]
pub struct UrlError {
    /// The whole text; up to its fragment, if the mistake lies before that.
    pub text: String,
    /// What is wrong with it.
    pub mistake: UrlMistake,
}

/// What can be wrong with a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlMistake {
    /// `://…`: nothing before the colon.
    #[error("missing protocol scheme")]
    MissingScheme,
    /// A relative path whose first segment holds a colon.
    #[error("first path segment in URL cannot contain colon")]
    ColonInFirstSegment,
    /// A `%` that is not followed by two hexadecimal digits, or stands for what may not be escaped there.
    #[error("invalid URL escape {0:?}")]
    Escape(String),
    /// `[` at the start of the host, without its `]`.
    #[error("missing ']' in host")]
    Bracket,
    /// Something else than a colon and digits after the host.
    #[error("invalid port {0:?} after host")]
    Port(String),
    /// A character no host name has.
    #[error("invalid character \"{}\" in host name", .0.escape_default())]
    HostCharacter(char),
    /// A character that must be escaped before the `@`.
    #[error("net/url: invalid userinfo")]
    UserInfo,
    /// A control character before the fragment.
    #[error("net/url: invalid control character in URL")]
    Control,
}

/// A URL split into the parts fabio uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Url {
    /// Lower case; empty in a relative reference.
    pub scheme: String,
    /// What stands before the `@`, in its default encoding.
    pub user: Option<String>,
    /// Decoded host with port.
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
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let url = Self::without_fragment(rest).map_err(|mistake| UrlError { text: rest.to_owned(), mistake })?;
        unescape(fragment).map_err(|mistake| UrlError { text: text.to_owned(), mistake })?;
        Ok(Self { fragment: fragment.to_owned(), ..url })
    }

    fn without_fragment(text: &str) -> Result<Self, UrlMistake> {
        let mut url = Self::default();
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(UrlMistake::Control);
        }
        if text == "*" {
            text.clone_into(&mut url.path);
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_lowercase();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        query.clone_into(&mut url.query);
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                rest.clone_into(&mut url.opaque);
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|first| first.contains(':')) {
                return Err(UrlMistake::ColonInFirstSegment);
            }
        }
        let has_authority = (!url.scheme.is_empty() || !rest.starts_with("///")) && rest.starts_with("//");
        let path = if has_authority {
            let authority = &rest[2..];
            let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
            let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
            url.host = parse_host(host)?;
            url.user = user.map(parse_user).transpose()?;
            path
        } else {
            rest
        };
        url.path = unescape(path)?;
        encoded_if_unusual(path, &url.path).clone_into(&mut url.raw_path);
        Ok(url)
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
            if !self.host.is_empty() || self.user.is_some() || !self.scheme.is_empty() && !self.path.is_empty() {
                f.write_str("//")?;
            }
            if let Some(user) = &self.user {
                write!(f, "{user}@")?;
            }
            f.write_str(&escape(&self.host, is_plain_in_host))?;
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

/// The scheme, and what follows its colon. A text that does not begin with a scheme has none.
fn split_scheme(text: &str) -> Result<(&str, &str), UrlMistake> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err(UrlMistake::MissingScheme),
            b':' => return Ok((&text[..index], &text[index + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

/// User and password in their default encoding.
fn parse_user(text: &str) -> Result<String, UrlMistake> {
    let is_plain = |byte: u8| {
        is_unreserved(byte) || matches!(byte, b'!' | b'%' | b'&' | b':' | b';' | b'=' | b'@' | b'$' | b'\''..=b',')
    };
    if !text.bytes().all(is_plain) {
        return Err(UrlMistake::UserInfo);
    }
    let encoded = |part: &str| {
        let is_plain = |byte| is_unreserved(byte) || matches!(byte, b'$' | b'&' | b'+' | b',' | b';' | b'=');
        unescape(part).map(|part| escape(&part, is_plain))
    };
    match text.split_once(':') {
        Some((user, password)) => Ok(format!("{}:{}", encoded(user)?, encoded(password)?)),
        None => encoded(text),
    }
}

/// The decoded host. Its port is all digits; `[…]` may hold a zone after `%25` (RFC 6874).
fn parse_host(host: &str) -> Result<String, UrlMistake> {
    let (name, port) = if host.starts_with('[') {
        host.split_at(host.rfind(']').ok_or(UrlMistake::Bracket)? + 1)
    } else {
        host.split_at(host.rfind(':').unwrap_or(host.len()))
    };
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_number) {
        return Err(UrlMistake::Port(port.to_owned()));
    }
    let zone = name.find("%25").filter(|_| name.starts_with('['));
    let (before, zone) = name.split_at(zone.unwrap_or(name.len()));
    check_host(before, |byte| !byte.is_ascii() || byte == b'%')?;
    check_host(zone, |byte| matches!(byte, b' ' | b'%') || is_plain_in_host(byte))?;
    Ok(unescape(name)? + port)
}

/// Whether a part of a host is made of what hosts may hold, as it is or escaped.
fn check_host(part: &str, may_be_escaped: impl Fn(u8) -> bool) -> Result<(), UrlMistake> {
    let bytes = part.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            escaped(part, at).filter(|byte| may_be_escaped(*byte)).ok_or_else(|| bad_escape(part, at))?;
            at += 3;
        } else if bytes[at].is_ascii() && !is_plain_in_host(bytes[at]) {
            return Err(UrlMistake::HostCharacter(char::from(bytes[at])));
        } else {
            at += 1;
        }
    }
    Ok(())
}

fn encoded_if_unusual<'a>(encoded: &'a str, path: &str) -> &'a str {
    if escape_path(path) == encoded { "" } else { encoded }
}

fn is_valid_encoding(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' | b'%') || is_plain_in_path(byte))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn is_plain_in_path(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@')
}

fn is_plain_in_host(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'[' | b']' | b'<' | b'>' | b'"')
}

/// Go's default encoding of a decoded path.
pub fn escape_path(path: &str) -> String {
    escape(path, is_plain_in_path)
}

fn escape(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}

/// Decodes percent-encoding. Bytes that are no UTF-8 are replaced.
fn unescape(text: &str) -> Result<String, UrlMistake> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(escaped(text, at).ok_or_else(|| bad_escape(text, at))?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The byte that the escape at `at` stands for.
fn escaped(text: &str, at: usize) -> Option<u8> {
    let pair = text.as_bytes().get(at + 1..at + 3)?;
    Some(hex(pair[0])? << 4 | hex(pair[1])?)
}

fn bad_escape(text: &str, at: usize) -> UrlMistake {
    let end = (at + 3).min(text.len());
    UrlMistake::Escape(text.get(at..end).unwrap_or("%").to_owned())
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
    fn what_is_refused_is_named_as_go_names_it() {
        for (text, mistake) in [
            ("://bad", "missing protocol scheme"),
            (":", "missing protocol scheme"),
            ("1:2", "first path segment in URL cannot contain colon"),
            ("a_b:c/d", "first path segment in URL cannot contain colon"),
            ("10.0.0.1:80", "first path segment in URL cannot contain colon"),
            ("http://h/\u{1}", "net/url: invalid control character in URL"),
            ("http://h/\u{7f}", "net/url: invalid control character in URL"),
            ("http://h:x/", "invalid port \":x\" after host"),
            ("http://h:-1/", "invalid port \":-1\" after host"),
            ("http://h:80:x/", "invalid port \":x\" after host"),
            ("http://[::1", "missing ']' in host"),
            ("http://[::1/x]", "missing ']' in host"),
            ("http://[::1]80/", "invalid port \"80\" after host"),
            ("http://[::1]:8o/", "invalid port \":8o\" after host"),
            ("http://%zz/", "invalid URL escape \"%zz\""),
            ("http://%/", "invalid URL escape \"%\""),
            ("http://h%41/", "invalid URL escape \"%41\""),
            ("http://[::1%20]/", "invalid URL escape \"%20\""),
            ("http://[fe80::1%25e%5cn]/", "invalid URL escape \"%5c\""),
            ("http://[fe80::1%25%C3%A9]/", "invalid URL escape \"%C3\""),
            ("http://a b/", "invalid character \" \" in host name"),
            ("http://a\\b/", "invalid character \"\\\\\" in host name"),
            ("http://{h}/", "invalid character \"{\" in host name"),
            ("//a^b", "invalid character \"^\" in host name"),
            ("http://u ser@h/", "net/url: invalid userinfo"),
            ("http://u[@h/", "net/url: invalid userinfo"),
            ("http://u%4@h/", "invalid URL escape \"%4\""),
            ("http://u:%x@h/", "invalid URL escape \"%x\""),
            ("http://h/%zz", "invalid URL escape \"%zz\""),
            ("http://h/a%2", "invalid URL escape \"%2\""),
            ("/%g1", "invalid URL escape \"%g1\""),
        ] {
            let found = Url::parse(text).err().map(|error| error.mistake.to_string());
            assert_eq!(found.unwrap_or_default(), mistake, "{text}");
        }
        for (text, message) in [
            ("http://h:x/#f", "parse \"http://h:x/\": invalid port \":x\" after host"),
            ("http://h/#%zz", "parse \"http://h/#%zz\": invalid URL escape \"%zz\""),
        ] {
            assert_eq!(Url::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_go_takes_is_taken() {
        for (text, host, path, printed) in [
            ("", "", "", ""),
            ("*", "", "*", "*"),
            ("h/x", "", "h/x", "h/x"),
            ("HTTP://h", "h", "", "http://h"),
            ("a+b-1.c://h/", "h", "/", "a+b-1.c://h/"),
            ("http:", "", "", "http:"),
            ("http:///x", "", "/x", "http:///x"),
            ("///x:y", "", "///x:y", "///x:y"),
            ("http://h:/", "h:", "/", "http://h:/"),
            ("http://h:1:2/", "h:1:2", "/", "http://h:1:2/"),
            ("http://::1/", "::1", "/", "http://::1/"),
            ("http://[]/", "[]", "/", "http://[]/"),
            ("http://[fe80::1%25e%20n]:80/", "[fe80::1%e n]:80", "/", "http://[fe80::1%25e%20n]:80/"),
            ("http://%C3%A9/", "é", "/", "http://%C3%A9/"),
            ("http://é/", "é", "/", "http://%C3%A9/"),
            ("http://%25/", "%", "/", "http://%25/"),
            ("http://a<\"'b>/", "a<\"'b>", "/", "http://a<\"'b>/"),
            ("http://u:p:q@h:1/", "h:1", "/", "http://u:p%3Aq@h:1/"),
            ("http://a@b%41@h/", "h", "/", "http://a%40bA@h/"),
            ("http://@h/", "h", "/", "http://@h/"),
            ("http://u/@h", "u", "/@h", "http://u/@h"),
            ("http://h/a b%2Fc", "h", "/a b/c", "http://h/a%20b/c"),
            ("http://h/a%2Fc", "h", "/a/c", "http://h/a%2Fc"),
            ("http://h?%zz", "h", "", "http://h?%zz"),
        ] {
            let url = Url::parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((url.host.as_str(), url.path.as_str()), (host, path), "{text}");
            assert_eq!(url.to_string(), printed, "{text}");
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
