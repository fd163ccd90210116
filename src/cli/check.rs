//! `cossim check`.

use std::sync::Arc;

use super::Check;
use super::Exit;
use super::output::Output;
use super::output::table;
use super::run::say_findings;
use crate::base::time::Duration;
use crate::model::job::{Job, JobKind};
use crate::model::topology::RegionId;
use crate::scenario::fleet::Fleets;
use crate::scenario::lower::Lowered;
use crate::world::spec::{JobSpec, WorldSpec};

pub(super) fn execute(check: &Check, output: &mut Output) -> Exit {
    // Its plan is looked at as `cossim plan` would.
    let (loaded, _) = Fleets::load(&check.scenario, &check.edits);
    say_findings(&loaded, output);
    let Some(lowered) = &loaded.lowered else { return Exit::Wrong };
    if !check.quiet {
        output.data(&overview(lowered));
    }
    if check.replay { super::run::replay(lowered, check.quiet, output) } else { Exit::Fine }
}

/// What the scenario is made of, as understood.
fn overview(lowered: &Lowered) -> String {
    let world = &lowered.world;
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
    row("scenario", world.name.to_string());
    let seeds = match lowered.precision {
        Some(precision) => format!("{} to {} seeds", lowered.seeds, precision.max),
        None if lowered.seeds == 1 => "1 seed".to_owned(),
        None => format!("{} seeds", lowered.seeds),
    };
    row("run", length(world.duration, world.warmup, &seeds));
    for (_, region) in world.regions.iter() {
        let zones: Vec<&str> = region.zones.iter().map(|zone| &*world.zones[*zone].name).collect();
        let servers = format!("{} Nomad and {} Consul servers", region.nomad.len(), region.consul.len());
        let text = format!("{} (zones {}): {servers}, {} clients", region.name, zones.join(", "), region.clients.len());
        row("region", text);
    }
    let jobs: Vec<&JobSpec> = world.jobs.iter().map(|(_, job)| job).collect();
    for alike in jobs.chunk_by(|one, next| are_copies(one, next)) {
        let [first, .., last] = alike else {
            let only = alike[0];
            row("job", format!("{} in {}: {}", only.job.name, region_name(world, only.region), size(&only.job)));
            continue;
        };
        let (region, size) = (region_name(world, first.region), size(&first.job));
        let (copies, first, last) = (alike.len(), &first.job.name, &last.job.name);
        row("job", format!("{first} … {last} in {region}: {copies} copies, each {size}"));
    }
    for (_, traffic) in world.traffic.iter() {
        let rate = traffic.rates_per_second[0].1;
        let to = region_name(world, world.ingress[traffic.ingress].region);
        row("traffic", format!("{}: {rate}/s to {}{} in {to}", traffic.name, traffic.host, traffic.path));
    }
    for (_, entry) in world.timeline.iter() {
        let lasts = entry.lasts.map(|lasts| format!(", for {lasts}")).unwrap_or_default();
        row("timeline", format!("{}: {}{lasts}", entry.at, entry.label));
    }
    for expectation in &lowered.expectations {
        row("expect", expectation.text.to_string());
    }
    table(&rows)
}

/// How long a run takes, and the part of it that is not measured, if there is one.
fn length(duration: Duration, warmup: Duration, seeds: &str) -> String {
    if warmup.is_zero() { format!("{duration}, {seeds}") } else { format!("{duration}, warm-up {warmup}, {seeds}") }
}

/// Whether two jobs differ in nothing but the number at the end of their names, as the `copies` of one entry do.
fn are_copies(one: &JobSpec, next: &JobSpec) -> bool {
    let parts = |job: &JobSpec| {
        let (stem, number) = job.job.name.rsplit_once('-')?;
        Some((stem.to_owned(), number.parse::<u64>().ok()?))
    };
    let follows = match (parts(one), parts(next)) {
        (Some((stem, number)), Some((other, after))) => stem == other && number + 1 == after,
        _ => false,
    };
    let renamed = || Job { name: Arc::clone(&one.job.name), id: one.job.id, ..Job::clone(&next.job) };
    follows && one.region == next.region && one.at == next.at && *one.job == renamed()
}

fn region_name(world: &WorldSpec, region: RegionId) -> &str {
    &world.regions[region].name
}

fn size(job: &crate::model::job::Job) -> String {
    let count: u64 = job.groups.iter().map(|group| u64::from(group.count)).sum();
    match job.kind {
        JobKind::Service => format!("service, {count} instances"),
        JobKind::Batch => format!("batch, {count} instances"),
        JobKind::System => "system, one per node".to_owned(),
        JobKind::SysBatch => "sysbatch, one per node".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_is_told_where_there_is_one() {
        let (hour, second) = (Duration::from_hours(1), Duration::from_secs(1));
        assert_eq!(length(hour, second, "2 seeds"), "60 min, warm-up 1 s, 2 seeds");
        assert_eq!(length(hour, Duration::ZERO, "2 seeds"), "60 min, 2 seeds");
    }
}
