//! Manual route commands that fabio can make no table of, whatever registers: a proxy that reads them keeps its last
//! table for ever.
//!
//! What a command finds depends on the services there are, so that the table is built as a proxy builds it, after the
//! commands of every service that some job could register in the region, all at once; a text without a table then has
//! none ever. Tags that make no table by themselves are left out: that they freeze a proxy is not the overrides' doing.

use std::sync::Arc;

use super::Lowering;
use super::plan::registers_jobs;
use super::wiring::Ingresses;
use crate::base::ordered::OrdSet;
use crate::model::job::Job;
use crate::model::topology::RegionId;
use crate::protocol::proxy::command::lines;
use crate::protocol::proxy::command::parse_config;
use crate::protocol::proxy::configuration::Configuration;
use crate::protocol::proxy::configuration::Piece;
use crate::protocol::proxy::registry::CatalogEntry;
use crate::protocol::proxy::registry::commands;
use crate::protocol::proxy::release::Release;
use crate::protocol::proxy::table::Refusal;
use crate::protocol::proxy::table::Table;
use crate::protocol::proxy::table::TableError;
use crate::protocol::proxy::watcher::WatchConfig;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::locate;

impl Lowering<'_> {
    /// Warns of overrides that fabio refuses; they may be what is to be tried. `jobs` are all that are ever registered.
    pub(super) fn overrides(&mut self, ingresses: &Ingresses, jobs: &[(RegionId, Arc<Job>)]) {
        // An ingress that was itself wrong has been reported already.
        if ingresses.len() != self.scenario.ingress.len() {
            return;
        }
        // Where jobs may be missing, what `route weight` looks for may be theirs.
        let plan = self.scenario.plan.as_ref();
        let is_open = self.failed() || plan.is_some_and(|plan| plan.under.iter().any(registers_jobs));
        for (index, (_, ingress)) in ingresses.iter().enumerate() {
            if ingress.overrides.trim().is_empty() {
                continue;
            }
            let release = if is_open { Release::V1_7_3 } else { ingress.release };
            let here = jobs.iter().filter(|(region, _)| *region == ingress.region).map(|(_, job)| &**job);
            let services = services_of(here, &self.geography.regions[ingress.region].name, release);
            let Some((line, error)) = refused(&services, &ingress.overrides, release) else { continue };
            let (mistake, hint) = told(error);
            let message = format!("fabio takes no routes at all with line {} of these: {mistake}", line + 1);
            let whole = self.text.tree.find(&format!("ingress[{index}].overrides"));
            let span = locate::line_of(self.text_of_scenario(), &whole, line).unwrap_or(whole);
            let place = Place { source: self.text.source, span };
            self.report(Diagnostic::warning("W009", message).at(Some(place)).hint(hint));
        }
    }
}

/// What the services of these jobs come to if all of them pass.
fn services_of<'j>(jobs: impl Iterator<Item = &'j Job>, datacenter: &str, release: Release) -> Configuration {
    let prefix = WatchConfig::default().tag_prefix;
    let mut lines: OrdSet<String> = OrdSet::new();
    for group in jobs.flat_map(|job| &job.groups) {
        for service in group.services.iter().chain(group.tasks.iter().flat_map(|task| &task.services)) {
            let entry = CatalogEntry {
                node: "".into(),
                service_id: "".into(),
                service: service.name.clone(),
                service_address: NOBODY.into(),
                node_address: "".into(),
                port: 0,
                tags: service.tags.iter().cloned().collect(),
            };
            lines.extend(commands(&entry, &prefix, datacenter, release));
        }
    }
    let is_fine = |line: &String| Table::parse(line, release).is_ok();
    Configuration::of_services(lines.into_iter().filter(is_fine).map(|line| Arc::new(Piece::read(line))).collect())
}

/// The first line without a table, counted from zero, and why.
fn refused(services: &Configuration, overrides: &str, release: Release) -> Option<(usize, TableError)> {
    let no_command = parse_config(overrides).err();
    // What stands before a line that is no command may be refused too, and is the first then.
    let count = no_command.map_or(usize::MAX, |error| error.line - 1);
    let before: Vec<&str> = overrides.split('\n').take(count).collect();
    let configuration = services.followed_by(&Arc::new(Piece::read(before.join("\n"))));
    match Table::build(&configuration, release) {
        Ok(_) => no_command.map(|error| (count, error.into())),
        Err(Refusal { carried_out, error }) => {
            let of_services = services.orders().map_or(0, Iterator::count);
            let (line, _) = lines(overrides).nth(carried_out.checked_sub(of_services)?)?;
            Some((line, error))
        }
    }
}

/// The mistake, and a way out.
fn told(error: TableError) -> (String, &'static str) {
    match error {
        TableError::Command(error) => (
            error.mistake.to_string(),
            "lines are commands as `route weight web shop.example.com/ weight 0.1`, `route del` or `route add`",
        ),
        TableError::Target(error) => (
            TableError::Target(error).to_string(),
            "a target is a URL with a scheme and a host, as `http://10.0.0.1:8080/`",
        ),
        TableError::Path(error) => (
            format!("the path is no glob ({error})"),
            "paths are read as globs whatever the `matcher`: close each `[` and `{`, or write `\\[` for the character",
        ),
        TableError::NoMatch => (
            TableError::NoMatch.to_string(),
            "weigh a service by its name and a route that one of its `urlprefix-` tags makes, host in lower case; or \
             follow fabio 1.7.3 in `versions`, which passes over others",
        ),
    }
}

/// An address no process has, so that no command speaks of it (RFC 5737).
const NOBODY: &str = "192.0.2.1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::JobKind;
    use crate::model::service::Service;
    use crate::scenario::import::defaults;

    /// The line and the message of what is refused beside a service `shop` with these tags.
    fn check(tags: &[&str], overrides: &str, release: Release, expected: Option<(usize, &str)>) {
        let mut job = defaults::job("shop", JobKind::Service);
        let mut group = defaults::group("shop", JobKind::Service);
        let tags = tags.iter().map(|tag| (*tag).into()).collect();
        group.services.push(Service { name: "shop".into(), port: None, tags, checks: Vec::new() });
        job.groups.push(group);
        let services = services_of([&job].into_iter(), "eu", release);
        let found = refused(&services, overrides, release).map(|(line, error)| (line, told(error).0));
        let found = found.as_ref().map(|(line, mistake)| (*line, mistake.as_str()));
        assert_eq!(found, expected, "{overrides}");
    }

    #[test]
    fn a_text_is_refused_from_its_first_line_without_a_table_on() {
        let check = |overrides, expected| check(&["urlprefix-/"], overrides, Release::V1_7_3, expected);
        check("", None);
        check("# none\n\nroute del shop\nroute weight other / weight 1", None);
        check("route wieght shop / weight 1", Some((0, "'route' expected")));
        check("route add a /[x http://h/\nroute", Some((0, "the path is no glob (unexpected end of input)")));
        check(
            "route del shop\nroute del shop / ://x\nroute add b /[ http://h/",
            Some((1, "route: invalid target. parse \"://x\": missing protocol scheme")),
        );
        check(
            "\n\n\nroute add a / http://1.2.3.4:x/\n",
            Some((3, "route: invalid target. parse \"http://1.2.3.4:x/\": invalid port \":x\" after host")),
        );
        check("# a\n\nroute add a / http://h/\n// b\nroute add b /[ http://h/\nroute", {
            Some((4, "the path is no glob (unexpected end of input)"))
        });
        check("route add a / http://h/\n\nroute add b /b http://h/\nroute\nroute add a /[ http://h/", {
            Some((3, "'route' expected"))
        });
    }

    #[test]
    fn a_long_text_under_one_host_is_read_once() {
        let mut lines: Vec<String> = (0..20_000).map(|at| format!("route add a h.com/{at} http://h/")).collect();
        check(&["urlprefix-/"], &lines.join("\n"), Release::V1_7_3, None);
        lines.push("route add a h.com/[ http://h/".to_owned());
        let expected = Some((20_000, "the path is no glob (unexpected end of input)"));
        check(&["urlprefix-/"], &lines.join("\n"), Release::V1_7_3, expected);
    }

    #[test]
    fn a_weight_is_refused_where_no_tag_makes_its_route() {
        let none = Some((0, "route: no target match"));
        for (tags, overrides, old) in [
            (&["urlprefix-/"][..], "route weight shop / weight 0.1", None),
            (&["urlprefix-$DC.x/"], "route weight shop eu.x/ weight 0.1", None),
            (&["urlprefix-/", "v1"], "route weight / weight 0.1 tags \"v1\"", None),
            (&[], "route add shop / http://h/\nroute weight shop / weight 0.1", None),
            (&["urlprefix-/", "v1"], "route weight / weight 0.1 tags \"v2\"", none),
            (&["urlprefix-/"], "route weight shpo / weight 0.1", none),
            (&["urlprefix-/"], "route weight shop /x weight 0.1", none),
            (&["urlprefix-X.com/"], "route weight shop X.com/ weight 0.1", none),
            (&["/"], "route weight shop / weight 0.1", none),
            // This tag alone freezes the proxy; the other one is there all the same.
            (&["urlprefix-/[", "urlprefix-/"], "route weight shop / weight 0.1", None),
        ] {
            check(tags, overrides, Release::V1_6_3, old);
            check(tags, overrides, Release::V1_5_10, old);
            check(tags, overrides, Release::V1_7_3, None);
        }
    }
}
