//! Which service a stream of requests is for: the one whose `urlprefix-` tag its host and path fall under (fabio's
//! registry). For labels only; the proxies find their own way.

use crate::model::job::Job;
use crate::protocol::proxy::glob::Glob;

/// The service whose tag matches best: a tag with a host goes before one without, a longer path before a shorter one.
pub(super) fn service_of<'j>(jobs: impl Iterator<Item = &'j Job>, host: &str, path: &str) -> Option<&'j str> {
    jobs.flat_map(|job| &job.groups)
        .flat_map(|group| group.services.iter().chain(group.tasks.iter().flat_map(|task| &task.services)))
        .flat_map(|service| service.tags.iter().map(|tag| (&*service.name, &**tag)))
        .filter_map(|(service, tag)| Some((fit(tag, host, path)?, service)))
        .max_by_key(|(fit, service)| (*fit, std::cmp::Reverse(*service)))
        .map(|(_, service)| service)
}

/// How well a tag fits: whether it names the host, and how much of the path.
fn fit(tag: &str, host: &str, path: &str) -> Option<(bool, usize)> {
    let route = tag.strip_prefix("urlprefix-")?.split_whitespace().next()?;
    let (wanted, prefix) = route.split_at(route.find('/')?);
    let is_host = |wanted: &str| {
        let (wanted, host) = (wanted.to_ascii_lowercase(), host.to_ascii_lowercase());
        wanted == host || Glob::compile(&wanted).is_ok_and(|glob| glob.matches(&host))
    };
    ((wanted.is_empty() || is_host(wanted)) && path.starts_with(prefix)).then_some((!wanted.is_empty(), prefix.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_before_none_and_a_longer_path_before_a_shorter() {
        for (tag, expected) in [
            ("urlprefix-shop.example.com/", Some((true, 1))),
            ("urlprefix-*.example.com/cart strip=/cart", Some((true, 5))),
            ("urlprefix-/cart", Some((false, 5))),
            ("urlprefix-/help", None),
            ("urlprefix-other.example.com/", None),
            ("urlprefix-:3306", None),
            ("v1", None),
        ] {
            assert_eq!(fit(tag, "shop.example.com", "/cart/7"), expected, "{tag}");
        }
    }
}
