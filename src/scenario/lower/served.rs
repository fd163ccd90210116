//! Which service a stream of requests is for: the one whose routing tag a proxy would choose. For labels only; where the
//! requests really go is the proxies' business.

use std::sync::Arc;

use crate::model::job::Job;
use crate::world::spec::{JobSpec, WorldSpec};

/// The label of a stream that no tag matches.
const UNKNOWN: &str = "unknown";

/// Names the service of every stream of requests.
pub(super) fn label(world: &mut WorldSpec) {
    for traffic in world.traffic.ids() {
        let spec = &world.traffic[traffic];
        let region = world.ingress.get(spec.ingress).map(|ingress| ingress.region);
        let jobs = world.jobs.iter().map(|(_, job)| job).filter(|job| Some(job.region) == region);
        let service = serving(&spec.host, &spec.path, jobs);
        world.traffic[traffic].service = service;
    }
}

/// An exact host goes before none, and then a longer path before a shorter one, as in fabio's table.
fn serving<'a>(host: &str, path: &str, jobs: impl Iterator<Item = &'a JobSpec>) -> Arc<str> {
    let mut best: Option<((bool, usize), Arc<str>)> = None;
    for (tag, service) in jobs.flat_map(|spec| tags(&spec.job)) {
        let Some(route) = tag.trim().strip_prefix("urlprefix-").and_then(|rest| rest.split_whitespace().next()) else {
            continue;
        };
        let (wanted_host, wanted_path) = route.split_at(route.find('/').unwrap_or(route.len()));
        let host_fits = wanted_host.is_empty() || wanted_host.eq_ignore_ascii_case(host);
        let rank = (!wanted_host.is_empty(), wanted_path.len());
        if host_fits && path.starts_with(wanted_path) && best.as_ref().is_none_or(|(other, _)| *other < rank) {
            best = Some((rank, Arc::clone(service)));
        }
    }
    best.map_or_else(|| UNKNOWN.into(), |(_, service)| service)
}

fn tags(job: &Job) -> impl Iterator<Item = (&str, &Arc<str>)> {
    let of_groups = job
        .groups
        .iter()
        .flat_map(|group| group.services.iter().chain(group.tasks.iter().flat_map(|task| &task.services)));
    of_groups.flat_map(|service| service.tags.iter().map(|tag| (&**tag, &service.name)))
}
