//! Whom an entry aims at, as text. The grammar:
//!
//! ```text
//! target  := [count] who
//! count   := "all" | "a" | "one" | NUMBER ["random"]
//! who     := MACHINE                                    us-east-1/nomad-1
//!          | ["nomad"|"consul"] "leader" [of REGION]
//!          | ["nomad"|"consul"] "follower(s)" [of REGION]
//!          | ["nomad"|"consul"] "server(s)" [of REGION]
//!          | [DATACENTER] "client(s)" [in PLACE]
//!          | ["instances of"|"machines of"] JOB [in REGION]
//! PLACE   := REGION | REGION/ZONE | REGION/DATACENTER
//! ```
//!
//! Without a product, Nomad is meant. The region may be left out where the world has one. `of` and `in` are the same.

use std::sync::Arc;

use super::Lowering;
use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::model::topology::RegionId;
use crate::scenario::suggest;
use crate::world::spec::Among;
use crate::world::spec::Count;
use crate::world::spec::MachineId;
use crate::world::spec::MachineRole;
use crate::world::spec::MachineSpec;
use crate::world::spec::ProcessKind;
use crate::world::spec::Side;
use crate::world::spec::Target;

/// What targets are resolved against.
#[derive(Clone, Copy)]
pub(super) struct Cast<'a> {
    /// All machines.
    pub(super) specs: &'a IdVec<MachineId, MachineSpec>,
    /// Their numbers by name.
    pub(super) machines: &'a OrdMap<&'a str, MachineId>,
    /// Names of all jobs, with the regions they are registered in.
    pub(super) jobs: &'a [(Arc<str>, RegionId)],
    /// Nomad datacenters by region.
    pub(super) datacenters: &'a [(RegionId, Arc<str>)],
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum TargetError {
    #[error("a target is missing")]
    Empty,
    #[error("`{0}` is not a target")]
    Unknown(String),
    #[error("there is no machine `{0}`")]
    Machine(String),
    #[error("there is no region `{0}`")]
    Region(String),
    #[error("there is no zone or datacenter `{0}`")]
    Place(String),
    #[error("no job `{job}` is registered in `{region}`")]
    Job { job: String, region: String },
    #[error("`{0}` does not say in which region")]
    NoRegion(String),
    #[error("there is no Consul in `{0}`")]
    NoConsul(String),
    #[error("`0` machines cannot be hit")]
    Zero,
    #[error("{wanted} are wanted, but there are {there}")]
    TooMany { wanted: u32, there: usize },
}

impl Lowering<'_> {
    /// Reads a target; reports and returns `None` if it is none.
    pub(super) fn target(&mut self, path: &str, text: &str, cast: Cast<'_>) -> Option<Target> {
        match self.read_target(text, cast) {
            Ok(target) => Some(target),
            Err(error) => {
                let wanted = self.findings.len() < super::FINDINGS_MAX;
                let hint = if wanted { self.target_hint(&error, cast) } else { String::new() };
                self.error("E008", path, error.to_string()).hint(hint);
                None
            }
        }
    }

    /// Reads one side of a cut: `rest`, a region, a zone, or a target.
    pub(super) fn side(&mut self, path: &str, text: &str, cast: Cast<'_>) -> Option<Side> {
        let name = text.trim();
        if name == "rest" {
            return Some(Side::Rest);
        }
        if let Some(region) = self.geography.region(name) {
            return Some(Side::Region(region));
        }
        if let Some((region, zone)) = name.split_once('/')
            && let Some(region) = self.geography.region(region)
            && let Some(zone) = self.geography.zone_in(region, zone)
        {
            return Some(Side::Zone(zone));
        }
        self.target(path, text, cast).map(Side::Machines)
    }

    fn read_target(&self, text: &str, cast: Cast<'_>) -> Result<Target, TargetError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (count, words) = read_count(&words)?;
        let among = self.read_among(words, cast)?;
        if let Among::ConsulLeader(region) | Among::ConsulFollowers(region) | Among::ConsulServers(region) = among
            && !self.geography.regions[region].has_consul()
        {
            return Err(TargetError::NoConsul(self.geography.regions[region].name.to_string()));
        }
        if let Count::Random(wanted) = count
            && let Some(there) = self.reach(&among, cast).filter(|&there| there < wanted as usize)
        {
            return Err(TargetError::TooMany { wanted, there });
        }
        let process = match &among {
            Among::JobMachines { job, .. } => ProcessKind::Tasks(job.clone()),
            Among::Machine(_)
            | Among::NomadLeader(_)
            | Among::ConsulLeader(_)
            | Among::NomadFollowers(_)
            | Among::ConsulFollowers(_)
            | Among::NomadServers(_)
            | Among::ConsulServers(_)
            | Among::Clients { .. } => ProcessKind::Main,
        };
        Ok(Target { among, process, count })
    }

    /// Where the machines are that a target names.
    pub(super) fn region_hit(&self, among: &Among, cast: Cast<'_>) -> RegionId {
        match among {
            Among::Machine(machine) => self.geography.zones[cast.specs[*machine].zone].region,
            Among::NomadLeader(region)
            | Among::ConsulLeader(region)
            | Among::NomadFollowers(region)
            | Among::ConsulFollowers(region)
            | Among::NomadServers(region)
            | Among::ConsulServers(region)
            | Among::Clients { region, .. }
            | Among::JobMachines { region, .. } => *region,
        }
    }

    /// Whether a target names machines that work is placed on.
    pub(super) fn are_clients(among: &Among, cast: Cast<'_>) -> bool {
        match among {
            Among::Clients { .. } | Among::JobMachines { .. } => true,
            Among::Machine(machine) => matches!(cast.specs[*machine].role, MachineRole::Client(_)),
            Among::NomadLeader(_)
            | Among::ConsulLeader(_)
            | Among::NomadFollowers(_)
            | Among::ConsulFollowers(_)
            | Among::NomadServers(_)
            | Among::ConsulServers(_) => false,
        }
    }

    /// How many machines a target can name; `None` if that is known only when it strikes.
    fn reach(&self, among: &Among, cast: Cast<'_>) -> Option<usize> {
        let count = |among: &Among| {
            let there = cast.specs.iter();
            there.filter(|(machine, spec)| self.is_among(among, *machine, spec) == Some(true)).count()
        };
        match among {
            Among::Machine(_) | Among::NomadLeader(_) | Among::ConsulLeader(_) => Some(1),
            Among::NomadServers(_) | Among::ConsulServers(_) | Among::Clients { .. } => Some(count(among)),
            Among::NomadFollowers(of) => Some(count(&Among::NomadServers(*of)).saturating_sub(1)),
            Among::ConsulFollowers(of) => Some(count(&Among::ConsulServers(*of)).saturating_sub(1)),
            Among::JobMachines { .. } => None,
        }
    }

    /// Whether a machine is one of these; `None` if that is known only when the entry strikes.
    fn is_among(&self, among: &Among, machine: MachineId, spec: &MachineSpec) -> Option<bool> {
        let is_in = |region: RegionId| self.geography.zones[spec.zone].region == region;
        match among {
            Among::Machine(only) => Some(machine == *only),
            Among::NomadServers(of) => Some(matches!(spec.role, MachineRole::NomadServer) && is_in(*of)),
            Among::ConsulServers(of) => Some(matches!(spec.role, MachineRole::ConsulServer) && is_in(*of)),
            Among::Clients { region, zone, datacenter } => Some(match &spec.role {
                MachineRole::Client(node) => {
                    is_in(*region)
                        && zone.is_none_or(|zone| zone == spec.zone)
                        && datacenter.as_ref().is_none_or(|name| **name == *node.datacenter)
                }
                MachineRole::NomadServer | MachineRole::ConsulServer => false,
            }),
            Among::NomadLeader(_)
            | Among::ConsulLeader(_)
            | Among::NomadFollowers(_)
            | Among::ConsulFollowers(_)
            | Among::JobMachines { .. } => None,
        }
    }

    /// Whether two sides of a cut are the same machines, however they are written.
    pub(super) fn is_same_side(&self, left: &Side, right: &Side, cast: Cast<'_>) -> bool {
        let is_on = |side: &Side, machine: MachineId, spec: &MachineSpec| match side {
            Side::Rest => None,
            Side::Region(region) => Some(self.geography.zones[spec.zone].region == *region),
            Side::Zone(zone) => Some(spec.zone == *zone),
            Side::Machines(Target { among, count: Count::All, .. }) => self.is_among(among, machine, spec),
            Side::Machines(Target { count: Count::Random(_), .. }) => None,
        };
        let alike = |(machine, spec)| {
            is_on(left, machine, spec).is_some_and(|on_left| is_on(right, machine, spec) == Some(on_left))
        };
        let on_left = |(machine, spec)| is_on(left, machine, spec) == Some(true);
        left == right || cast.specs.iter().all(alike) && cast.specs.iter().any(on_left)
    }

    fn read_among(&self, words: &[&str], cast: Cast<'_>) -> Result<Among, TargetError> {
        if words.is_empty() {
            return Err(TargetError::Empty);
        }
        if let [name] = words
            && name.contains('/')
        {
            let found = cast.machines.get(name).copied().map(Among::Machine);
            return found.ok_or_else(|| TargetError::Machine((*name).to_owned()));
        }
        let split = words.iter().rposition(|word| matches!(*word, "of" | "in"));
        let (who, place) = match split {
            // `instances of fabio` names a job after its `of`, not a place.
            Some(at) if at + 2 == words.len() && !is_job_prefix(&words[..=at]) => (&words[..at], Some(words[at + 1])),
            Some(_) | None => (words, None),
        };
        let (product, role) = match who {
            ["consul", role] => (Product::Consul, *role),
            ["nomad", role] | [role] => (Product::Nomad, *role),
            [_, "client" | "clients"] => (Product::Nomad, "clients"),
            _ => (Product::Nomad, ""),
        };
        let whole = || words.join(" ");
        match (role, product) {
            ("leader", Product::Nomad) => Ok(Among::NomadLeader(self.read_region(place, whole)?)),
            ("leader", Product::Consul) => Ok(Among::ConsulLeader(self.read_region(place, whole)?)),
            ("follower" | "followers", Product::Nomad) => Ok(Among::NomadFollowers(self.read_region(place, whole)?)),
            ("follower" | "followers", Product::Consul) => Ok(Among::ConsulFollowers(self.read_region(place, whole)?)),
            ("server" | "servers", Product::Nomad) => Ok(Among::NomadServers(self.read_region(place, whole)?)),
            ("server" | "servers", Product::Consul) => Ok(Among::ConsulServers(self.read_region(place, whole)?)),
            ("client" | "clients", _) => self.read_clients(who, place, whole, cast),
            _ => self.read_job(who, place, whole, cast),
        }
    }

    fn read_region(&self, place: Option<&str>, whole: impl Fn() -> String) -> Result<RegionId, TargetError> {
        match place {
            Some(name) => self.geography.region(name).ok_or_else(|| TargetError::Region(name.to_owned())),
            None if self.geography.regions.len() == 1 => Ok(RegionId(0)),
            None => Err(TargetError::NoRegion(whole())),
        }
    }

    fn read_clients(
        &self,
        who: &[&str],
        place: Option<&str>,
        whole: impl Fn() -> String,
        cast: Cast<'_>,
    ) -> Result<Among, TargetError> {
        let (region_name, rest) = match place.and_then(|place| place.split_once('/')) {
            Some((region, rest)) => (Some(region), Some(rest)),
            None => (place, None),
        };
        let region = self.read_region(region_name, whole)?;
        let datacenter = |name: &str| {
            cast.datacenters
                .iter()
                .find(|(of, known)| *of == region && **known == *name)
                .map(|(_, known)| known.clone())
        };
        let (mut zone, mut wanted) = (None, None);
        if let Some(rest) = rest {
            zone = self.geography.zone_in(region, rest);
            wanted = if zone.is_some() { None } else { datacenter(rest) };
            if zone.is_none() && wanted.is_none() {
                return Err(TargetError::Place(place.unwrap_or(rest).to_owned()));
            }
        }
        if let [name, _] = who
            && *name != "nomad"
        {
            wanted = Some(datacenter(name).ok_or_else(|| TargetError::Place((*name).to_owned()))?);
        }
        Ok(Among::Clients { region, zone, datacenter: wanted })
    }

    fn read_job(
        &self,
        who: &[&str],
        place: Option<&str>,
        whole: impl Fn() -> String + Copy,
        cast: Cast<'_>,
    ) -> Result<Among, TargetError> {
        let name = match who {
            ["instances" | "instance" | "machines" | "machine", "of", name] | [name] => *name,
            _ => return Err(TargetError::Unknown(whole())),
        };
        let region = self.read_region(place, whole)?;
        match cast.jobs.iter().find(|(job, of)| **job == *name && *of == region) {
            Some((job, _)) => Ok(Among::JobMachines { region, job: job.clone() }),
            None if who.len() == 1 && place.is_none() => Err(TargetError::Unknown(whole())),
            None => {
                let region = self.geography.regions[region].name.to_string();
                Err(TargetError::Job { job: name.to_owned(), region })
            }
        }
    }

    fn target_hint(&self, error: &TargetError, cast: Cast<'_>) -> String {
        match error {
            TargetError::Machine(name) => suggest::hint(name, cast.machines.keys().copied()),
            TargetError::Region(name) => suggest::hint(name, self.geography.region_names()),
            TargetError::Place(name) => {
                let mut known = self.geography.zone_names();
                let regions = &self.geography.regions;
                known.extend(cast.datacenters.iter().map(|(region, name)| format!("{}/{name}", regions[*region].name)));
                suggest::hint(name, known.iter().map(String::as_str))
            }
            TargetError::Job { job, .. } => suggest::hint(job, cast.jobs.iter().map(|(name, _)| &**name)),
            TargetError::NoConsul(_) => "give the region Consul servers, or hit something else".to_owned(),
            TargetError::TooMany { there, .. } => format!("write `{there}` or `all`"),
            TargetError::NoRegion(text) => {
                let region = self.geography.region_names().next().unwrap_or("us-east-1");
                format!("write `{text} in {region}`")
            }
            TargetError::Empty | TargetError::Unknown(_) | TargetError::Zero => {
                "write for example `leader of us-east-1`, `2 random clients in us-east-1/b`, `fabio in us-east-1`"
                    .to_owned()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Product {
    Nomad,
    Consul,
}

fn is_job_prefix(words: &[&str]) -> bool {
    matches!(words, ["instances" | "instance" | "machines" | "machine", "of"])
}

fn read_count<'w, 't>(words: &'w [&'t str]) -> Result<(Count, &'w [&'t str]), TargetError> {
    match words {
        ["all", rest @ ..] => Ok((Count::All, rest)),
        ["a" | "one", "random", rest @ ..] | ["a" | "one", rest @ ..] => Ok((Count::Random(1), rest)),
        [number, rest @ ..] if number.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty() => {
            let count = number.parse().map_err(|_| TargetError::Unknown((*number).to_owned()))?;
            if count == 0 {
                return Err(TargetError::Zero);
            }
            Ok((Count::Random(count), rest.strip_prefix(&["random"]).unwrap_or(rest)))
        }
        _ => Ok((Count::All, words)),
    }
}
