//! Jobs: read from files or written in the scenario, checked against Nomad's rules and against the machines there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ALLOCATIONS_MAX;
use super::JOBS_MAX;
use super::LIST_MAX;
use super::Lowering;
use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::base::time::Time;
use crate::base::units::Mebibytes;
use crate::base::units::MegaHertz;
use crate::model::job::Job;
use crate::model::job::JobKind;
use crate::model::job::TaskGroup;
use crate::model::topology::RegionId;
use crate::protocol::scheduler::operators::glob;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::diagnostic::Place;
use crate::scenario::diagnostic::Severity;
use crate::scenario::diagnostic::SourceId;
use crate::scenario::import::nomad_job;
use crate::scenario::import::rules;
use crate::scenario::import::rules::Part;
use crate::scenario::import::spots::Spots;
use crate::scenario::schema;
use crate::scenario::suggest;
use crate::world::spec::JobSpec;
use crate::world::spec::MachineId;
use crate::world::spec::MachineRole;
use crate::world::spec::MachineSpec;

/// A job to register, and where its parts were written.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) spec: JobSpec,
    /// Nodes a system job would run on; filled in by the check against the machines.
    pub(super) nodes: u64,
    origin: Arc<Origin>,
}

#[derive(Debug)]
struct Origin {
    source: SourceId,
    spots: Spots,
}

impl Origin {
    fn place(&self, part: Part) -> Place {
        Place { source: self.source, span: self.spots.of(part) }
    }
}

impl Placed {
    /// Where a part of it was written.
    pub(super) fn place(&self, part: Part) -> Place {
        self.origin.place(part)
    }

    /// Allocations it asks for.
    pub(super) fn allocations(&self) -> u64 {
        let count: u64 = self.spec.job.groups.iter().map(|group| u64::from(group.count)).sum();
        match self.spec.job.kind {
            JobKind::Service | JobKind::Batch => count,
            JobKind::System | JobKind::SysBatch => self.nodes * self.spec.job.groups.len() as u64,
        }
    }
}

/// Largest free capacity of any one node of a datacenter, and how many nodes it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Roof {
    nodes: u64,
    cpu: (MegaHertz, Arc<str>),
    memory: (Mebibytes, Arc<str>),
    disk: (Mebibytes, Arc<str>),
}

pub(super) type Roofs = OrdMap<(RegionId, Arc<str>), Roof>;

impl Lowering<'_> {
    pub(super) fn jobs(&mut self, roofs: &Roofs) -> Vec<Placed> {
        let mut out: Vec<Placed> = Vec::new();
        let mut names: OrdSet<(RegionId, Arc<str>)> = OrdSet::new();
        for (index, source) in self.scenario.jobs.iter().enumerate() {
            for mut placed in self.job_source(&format!("jobs[{index}]"), source) {
                let (job, region) = (&placed.spec.job, placed.spec.region);
                let path = format!("jobs[{index}]");
                if !names.insert((region, Arc::clone(&job.name))) && self.is_of_one_namespace(&path, &placed, &out) {
                    let region = &self.geography.regions[region].name;
                    self.error("E005", &path, format!("job `{}` is registered twice in `{region}`", job.name))
                        .hint("give it another name, or register the new version in the timeline");
                }
                let in_job = |name: &Arc<str>| matches_datacenter(&job.datacenters, name);
                let nodes = roofs.iter().filter(|((of, name), _)| *of == region && in_job(name));
                placed.nodes = nodes.map(|(_, roof)| roof.nodes).sum();
                out.push(placed);
            }
            if out.len() > JOBS_MAX {
                let message = format!("these are more jobs than cossim runs ({JOBS_MAX})");
                self.error("E006", "jobs", message).hint("lower their `copies`, or name fewer `regions`");
                break;
            }
        }
        let total = out.iter().map(Placed::allocations).fold(0, u64::saturating_add);
        if total > ALLOCATIONS_MAX {
            let message = format!("{total} allocations are more than cossim runs ({ALLOCATIONS_MAX})");
            self.error("E006", "jobs", message).hint("lower the counts of the jobs");
        }
        out
    }

    /// Whether the first job of this name in the region, if there is one, is of the same namespace; reports it if not.
    pub(super) fn is_of_one_namespace(&mut self, path: &str, placed: &Placed, known: &[Placed]) -> bool {
        let (job, region) = (&placed.spec.job, placed.spec.region);
        let first = known.iter().find(|known| known.spec.region == region && known.spec.job.name == job.name);
        let other = first.map(|known| &known.spec.job.namespace).filter(|other| **other != job.namespace);
        let Some(other) = other else { return true };
        let message = format!(
            "job `{}` is registered in `{}` in the namespaces `{other}` and `{}`, but jobs are told apart by their names \
             alone",
            job.name, self.geography.regions[region].name, job.namespace
        );
        self.error("E005", path, message).hint("give one of them another name");
        false
    }

    /// Jobs of one source, one per region.
    pub(super) fn job_source(&mut self, path: &str, source: &schema::JobSource) -> Vec<Placed> {
        match source {
            schema::JobSource::File(file) => {
                self.job_file(&format!("{path}[0]"), file, &schema::JobSource::File(String::new()))
            }
            schema::JobSource::FileWith { path: file, .. } => self.job_file(&format!("{path}.path"), file, source),
            schema::JobSource::Inline(job) => self.inline_job(&format!("{path}[0]"), job),
        }
    }

    fn job_file(&mut self, path: &str, file: &str, source: &schema::JobSource) -> Vec<Placed> {
        let (name, text) = match self.files.read(file) {
            Ok(found) => found,
            Err(reason) => {
                self.error("E001", path, format!("cannot read job file `{file}`: {reason}"))
                    .hint("paths are relative to the scenario file");
                return Vec::new();
            }
        };
        let nothing = BTreeMap::new();
        let no_counts = BTreeMap::new();
        let (regions, vars, counts, at) = match source {
            schema::JobSource::FileWith { regions, vars, counts, at, .. } => {
                (regions.as_ref(), vars, counts, at.as_ref())
            }
            schema::JobSource::File(_) | schema::JobSource::Inline(_) => (None, &nothing, &no_counts, None),
        };
        let (imported, findings) = nomad_job::import(&text, vars);
        let source = self.sources.add(name, text);
        for finding in findings {
            let place = Place { source, span: finding.span };
            let diagnostic = match finding.severity {
                Severity::Error => Diagnostic::error(finding.code, finding.message),
                Severity::Warning => Diagnostic::warning(finding.code, finding.message),
            };
            let diagnostic = diagnostic.at(Some(place));
            self.report(match finding.hint {
                Some(hint) => diagnostic.hint(hint),
                None => diagnostic,
            });
        }
        let Some(mut imported) = imported else { return Vec::new() };
        let base = path.trim_end_matches(".path");
        for (group, count) in counts {
            let path = format!("{base}.counts.{group}");
            let count = self.count(&path, *count, 0..=ALLOCATIONS_MAX);
            if let Some(known) = imported.job.groups.iter_mut().find(|known| *known.name == **group) {
                known.count = count;
            } else {
                let names: Vec<Arc<str>> = imported.job.groups.iter().map(|group| group.name.clone()).collect();
                self.unknown(&path, "group", group, names.iter().map(|name| &**name));
            }
        }
        let at = self.instant_or_zero(&format!("{base}.at"), at);
        let regions = self.file_regions(base, regions, imported.region.as_ref(), source);
        self.placed(imported.job, &regions, at, Origin { source, spots: imported.spots })
    }

    /// The regions written in the scenario, or the one the file names, or the first.
    fn file_regions(
        &mut self,
        base: &str,
        regions: Option<&Vec<String>>,
        named: Option<&(String, std::ops::Range<usize>)>,
        source: SourceId,
    ) -> Vec<RegionId> {
        if regions.is_some() {
            return self.regions(&format!("{base}.regions"), regions);
        }
        let Some((name, span)) = named.filter(|(name, _)| name != "global") else { return self.regions(base, None) };
        let found = self.geography.region(name);
        if found.is_none() {
            let hint = suggest::hint(name, self.geography.region_names());
            let hint = format!("{hint}; or write `FileWith(path: …, regions: […])` in the scenario");
            let place = Place { source, span: span.clone() };
            let message = format!("the job names region `{name}`, which the scenario does not have");
            self.report(Diagnostic::error("E004", message).at(Some(place)).hint(hint));
        }
        found.into_iter().collect()
    }

    fn inline_job(&mut self, path: &str, written: &schema::Job) -> Vec<Placed> {
        let (job, spots) = self.build_inline(path, written);
        let at = self.instant_or_zero(&format!("{path}.at"), written.at.as_ref());
        let regions = self.regions(&format!("{path}.regions"), written.regions.as_ref());
        let source = self.text.source;
        let placed = self.placed(job, &regions, at, Origin { source, spots });
        let Some(copies) = written.copies else { return placed };
        let copies = self.count(&format!("{path}.copies"), copies, 1..=LIST_MAX as u64);
        let copy = |placed: &Placed, number: u32| {
            let job = &placed.spec.job;
            let job = Job { name: format!("{}-{number}", job.name).into(), ..Job::clone(job) };
            Placed { spec: JobSpec { job: Arc::new(job), ..placed.spec.clone() }, ..placed.clone() }
        };
        placed.iter().flat_map(|placed| (1..=copies).map(move |number| copy(placed, number))).collect()
    }

    fn placed(&mut self, mut job: Job, regions: &[RegionId], at: Time, origin: Origin) -> Vec<Placed> {
        // Since Nomad 1.5 datacenters may be patterns, and none at all means all.
        if job.datacenters.is_empty() && self.nomad_release_of_scenario() >= (1, 5, 0) {
            job.datacenters.push("*".into());
        }
        self.known_to_release(&job, &origin);
        for broken in rules::broken(&job) {
            let place = Place { source: origin.source, span: origin.spots.of_broken(&broken) };
            self.report(Diagnostic::error("E011", broken.message).at(Some(place)).hint(broken.hint));
        }
        rules::drop_empty_updates(&mut job);
        let origin = Arc::new(origin);
        let mut out = Vec::new();
        for region in regions {
            if !self.geography.regions[*region].has_consul()
                && let Some(service) = job.service_names().next()
            {
                let region = &self.geography.regions[*region].name;
                let message = format!("job `{}` registers `{service}`, but `{region}` has no Consul", job.name);
                let finding = Diagnostic::error("E015", message).at(Some(origin.place(Part::Job)));
                self.report(finding.hint("leave its services out, or give the region Consul servers"));
            }
            let mut job = job.clone();
            job.datacenters = self.expanded(&job.datacenters, *region);
            let spec = JobSpec { region: *region, job: Arc::new(job), at };
            out.push(Placed { spec, nodes: 0, origin: origin.clone() });
        }
        out
    }

    /// What later releases brought, an earlier one refuses.
    fn known_to_release(&mut self, job: &Job, origin: &Origin) {
        let release = self.nomad_release_of_scenario();
        let mut refuse = |part: Part, what: &str, since: (u16, u16, u16)| {
            let message = format!("job `{}` {what}, which Nomad knows from 1.{}.{} on", job.name, since.1, since.2);
            let finding = Diagnostic::error("E011", message).at(Some(origin.place(part)));
            self.report(finding.hint("leave it out, or follow a later release in `versions`"));
        };
        if job.kind == JobKind::SysBatch && release < (1, 2, 0) {
            refuse(Part::Job, "is of type `sysbatch`", (1, 2, 0));
        }
        for (index, group) in job.groups.iter().enumerate() {
            if group.max_client_disconnect.is_some() && release < (1, 3, 0) {
                refuse(Part::Group(index), "has `max_client_disconnect`", (1, 3, 0));
            }
        }
    }

    /// Patterns replaced by the datacenters they match; one that matches none stays, to be reported. Before Nomad 1.5
    /// they are names like others.
    fn expanded(&self, wanted: &[Arc<str>], region: RegionId) -> Vec<Arc<str>> {
        let globs = self.nomad_release_of_scenario() >= (1, 5, 0);
        let mut out: Vec<Arc<str>> = Vec::new();
        for name in wanted {
            let here = self.geography.datacenters.iter().filter(|(of, _)| *of == region).map(|(_, known)| known);
            let mut matching: Vec<Arc<str>> = here.filter(|known| globs && glob(name, known)).cloned().collect();
            if matching.is_empty() {
                matching.push(name.clone());
            }
            for name in matching {
                if !out.contains(&name) {
                    out.push(name);
                }
            }
        }
        out
    }

    /// Warns of groups that could run on no machine. Nomad registers them all the same, and their work waits.
    pub(super) fn fit(&mut self, roofs: &Roofs, jobs: &[Placed]) {
        for placed in jobs {
            let job = &placed.spec.job;
            let region = placed.spec.region;
            let here: Vec<(&Arc<str>, &Roof)> =
                roofs.iter().filter(|((of, _), _)| *of == region).map(|((_, name), roof)| (name, roof)).collect();
            self.datacenters(placed, &here);
            let usable: Vec<&Roof> = here
                .iter()
                .filter(|(name, _)| matches_datacenter(&job.datacenters, name))
                .map(|(_, roof)| *roof)
                .collect();
            if usable.is_empty() {
                continue;
            }
            for (index, group) in job.groups.iter().enumerate() {
                self.group_fits(placed, index, group, &usable);
            }
        }
    }

    fn datacenters(&mut self, placed: &Placed, here: &[(&Arc<str>, &Roof)]) {
        let job = &placed.spec.job;
        let region = self.geography.regions[placed.spec.region].name.clone();
        let nobody: Vec<&str> = job
            .datacenters
            .iter()
            .filter(|wanted| !here.iter().any(|(name, _)| matches_datacenter(std::slice::from_ref(wanted), name)))
            .map(|name| &**name)
            .collect();
        if nobody.is_empty() {
            return;
        }
        let names = nobody.join("`, `");
        let known = suggest::hint(nobody[0], here.iter().map(|(name, _)| &***name));
        let place = Some(placed.origin.place(Part::Datacenters));
        let finding = if nobody.len() == job.datacenters.len() {
            let message =
                format!("job `{}` will wait unplaced in `{region}`: no machine is in datacenter `{names}`", job.name);
            Diagnostic::warning("W006", message)
        } else {
            let message = format!("no machine of `{region}` is in datacenter `{names}` of job `{}`", job.name);
            Diagnostic::warning("W002", message)
        };
        self.report(finding.at(place).hint(known));
    }

    fn group_fits(&mut self, placed: &Placed, index: usize, group: &TaskGroup, usable: &[&Roof]) {
        let region = self.geography.regions[placed.spec.region].name.clone();
        let main = || group.tasks.iter().filter(|task| task.lifecycle.is_none());
        let cpu: MegaHertz = main().map(|task| task.resources.cpu).sum();
        let memory: Mebibytes = main().map(|task| task.resources.memory).sum();
        let best_cpu = usable.iter().map(|roof| &roof.cpu).max_by_key(|(most, _)| *most);
        let best_memory = usable.iter().map(|roof| &roof.memory).max_by_key(|(most, _)| *most);
        let best_disk = usable.iter().map(|roof| &roof.disk).max_by_key(|(most, _)| *most);
        let mut too_much = |part: Part, what: &str, asked: String, most: String, name: &str| {
            let message = format!(
                "task group `{}` of job `{}` will wait unplaced: it asks for more {what} than any machine of \
                 `{region}` that it may use has",
                group.name, placed.spec.job.name
            );
            let finding = Diagnostic::warning("W006", message)
                .at(Some(placed.origin.place(part)))
                .label(format!("largest machine type `{name}` has {most}"))
                .hint(format!("add machines with at least {asked} in its datacenters, or lower `{what}`"));
            self.report(finding);
        };
        if let Some((most, name)) = best_cpu
            && cpu > *most
        {
            too_much(Part::Cpu(index), "cpu", cpu.to_string(), most.to_string(), name);
        }
        if let Some((most, name)) = best_memory
            && memory > *most
        {
            too_much(Part::Memory(index), "memory", memory.to_string(), most.to_string(), name);
        }
        if let Some((most, name)) = best_disk
            && group.disk.size > *most
        {
            too_much(Part::Group(index), "disk", group.disk.size.to_string(), most.to_string(), name);
        }
    }
}

/// Whether a job is to run in a datacenter. What is still a pattern matches none.
pub(super) fn matches_datacenter(wanted: &[Arc<str>], name: &str) -> bool {
    wanted.iter().any(|wanted| **wanted == *name)
}

/// Roofs of all datacenters.
pub(super) fn roofs(
    machines: &IdVec<MachineId, MachineSpec>,
    zones: &IdVec<crate::model::topology::ZoneId, crate::world::spec::ZoneSpec>,
) -> Roofs {
    let mut roofs = Roofs::new();
    for machine in machines.as_slice() {
        let MachineRole::Client(node) = &machine.role else { continue };
        let roof = roofs.entry((zones[machine.zone].region, node.datacenter.clone())).or_default();
        let (capacity, reserved) = (&node.capacity, &node.reserved);
        let raise = |best: &mut (Mebibytes, Arc<str>), free: Mebibytes| {
            if free > best.0 {
                *best = (free, machine.instance.clone());
            }
        };
        roof.nodes += 1;
        raise(&mut roof.memory, capacity.memory.saturating_sub(reserved.memory));
        raise(&mut roof.disk, capacity.disk.saturating_sub(reserved.disk));
        let free = capacity.cpu.saturating_sub(reserved.cpu);
        if free > roof.cpu.0 {
            roof.cpu = (free, machine.instance.clone());
        }
    }
    roofs
}
