//! Redirect targets: what `Location` says (fabio `BuildRedirectURL`).

use crate::protocol::proxy::url::Url;

/// What a redirect template may use of the target's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite<'a> {
    /// Removed from the front of the request path; empty for none.
    pub strip: &'a str,
    /// Put before it; empty for none.
    pub prepend: &'a str,
}

/// The URL a request is redirected to. `template` is the target; `request` carries the request's host, path and query.
pub fn location(template: &Url, rewrite: Rewrite<'_>, request: &Url) -> Url {
    let mut to = Url {
        scheme: template.scheme.clone(),
        host: template.host.clone(),
        path: template.path.clone(),
        raw_path: template.path.clone(),
        query: template.query.clone(),
        ..Url::default()
    };
    if let Some(host) = to.host.strip_suffix("$path") {
        to.host = host.to_owned();
        "$path".clone_into(&mut to.path);
    }
    if to.path.contains("/$path") {
        to.path = to.path.replacen("/$path", "$path", 1);
        to.raw_path = to.raw_path.replacen("/$path", "$path", 1);
    }
    if to.path.contains("$path") {
        let raw = if request.raw_path.is_empty() { &request.path } else { &request.raw_path };
        let rewritten = |path: &str| format!("{}{}", rewrite.prepend, path.strip_prefix(rewrite.strip).unwrap_or(path));
        to.path = to.path.replacen("$path", &rewritten(&request.path), 1);
        to.raw_path = to.raw_path.replacen("$path", &rewritten(raw), 1);
        if to.query.is_empty() {
            to.query.clone_from(&request.query);
        }
    }
    if to.path.is_empty() {
        "/".clone_into(&mut to.path);
    }
    to.host = to.host.replacen("$host", &request.host, 1);
    to
}
