//! Regions, zones and machines.

use std::sync::Arc;

use super::Lowering;
use super::MACHINES_MAX;
use super::plan::price_of;
use crate::base::id::IdVec;
use crate::base::ordered::OrdMap;
use crate::base::ordered::OrdSet;
use crate::model::node::NodeCapacity;
use crate::model::node::NodeDevice;
use crate::model::node::NodeNetwork;
use crate::model::node::NodeReserved;
use crate::model::node::NodeSpec;
use crate::model::node::POOL_ALL;
use crate::model::node::POOL_DEFAULT;
use crate::model::topology::RegionId;
use crate::model::topology::ZoneId;
use crate::scenario::library::disk;
use crate::scenario::library::instance;
use crate::scenario::library::instance::Arch;
use crate::scenario::library::instance::InstanceType;
use crate::scenario::quantity;
use crate::scenario::schema;
use crate::world::spec::DiskSpec;
use crate::world::spec::MachineId;
use crate::world::spec::MachineRole;
use crate::world::spec::MachineSpec;
use crate::world::spec::RegionSpec;
use crate::world::spec::ZoneSpec;

/// A region with everything it takes from the one it is like.
#[derive(Clone, Copy)]
struct Merged<'a> {
    zones: Option<(&'a Vec<String>, usize)>,
    nomad: Option<(&'a schema::Servers, usize)>,
    consul: Option<(&'a schema::Servers, usize)>,
    clients: Option<(&'a Vec<schema::Clients>, usize)>,
}

/// Machines of one kind.
struct Kind<'a> {
    path: String,
    instance: InstanceType,
    disk: DiskSpec,
    zones: Vec<ZoneId>,
    role: KindRole<'a>,
}

#[derive(Clone, Copy)]
enum KindRole<'a> {
    Nomad,
    Consul,
    Client(&'a schema::Clients),
}

impl<'a> Lowering<'a> {
    /// Fills in the geography and returns the machines; `None` if there are too many to go on.
    pub(super) fn places(&mut self) -> Option<IdVec<MachineId, MachineSpec>> {
        let regions = &self.scenario.regions;
        if regions.is_empty() {
            self.error("E013", "regions", "a world needs at least one region")
                .hint("`cossim init` writes a scenario to start from");
            return None;
        }
        let custom = self.custom_instances();
        let merged: Vec<Merged<'a>> = (0..regions.len()).map(|index| self.merge(index)).collect();
        let machines: u64 = merged.iter().fold(0, |sum, region| machine_count(region).saturating_add(sum));
        if machines > MACHINES_MAX {
            self.error("E006", "regions", format!("{machines} machines are more than cossim runs ({MACHINES_MAX})"))
                .hint("lower the `count` of servers or clients");
            return None;
        }
        let mut out = IdVec::new();
        for (index, merged) in merged.iter().enumerate() {
            self.region_places(index, merged, &custom, &mut out);
        }
        Some(out)
    }

    fn custom_instances(&mut self) -> Vec<InstanceType> {
        let mut out: Vec<InstanceType> = Vec::new();
        for (index, written) in self.scenario.instances.iter().enumerate() {
            let path = format!("instances[{index}]");
            if instance::find(&written.name).is_some() || out.iter().any(|other| other.name == written.name) {
                let message = format!("there is an instance type `{}` already", written.name);
                self.error("E005", &format!("{path}.name"), message).hint("give it another name");
            }
            let memory = self.size(&format!("{path}.memory"), &written.memory);
            out.push(InstanceType {
                name: written.name.clone().into(),
                cores: self.count(&format!("{path}.cores"), written.cores, 1..=1_024) as u16,
                clock: self.frequency(&format!("{path}.clock"), &written.clock),
                memory,
                usable: memory,
                bandwidth: self.bandwidth(&format!("{path}.bandwidth"), &written.bandwidth),
                arch: Arch::Amd64,
                price_per_million_hours: written
                    .price
                    .as_ref()
                    .map(|text| self.quantity(&format!("{path}.price"), quantity::price(&text.0))),
            });
        }
        out
    }

    /// Follows `like` as far as it leads; the numbers say which region each part was written in.
    fn merge(&mut self, index: usize) -> Merged<'a> {
        let regions = &self.scenario.regions;
        let mut merged = Merged { zones: None, nomad: None, consul: None, clients: None };
        let (mut at, mut seen) = (index, vec![index]);
        loop {
            let region = &regions[at];
            merged.zones = merged.zones.or(region.zones.as_ref().map(|zones| (zones, at)));
            merged.nomad = merged.nomad.or(region.nomad.as_ref().map(|servers| (servers, at)));
            merged.consul = merged.consul.or(region.consul.as_ref().map(|servers| (servers, at)));
            merged.clients = merged.clients.or(region.clients.as_ref().map(|clients| (clients, at)));
            let Some(like) = &region.like else { return merged };
            let path = format!("regions[{at}].like");
            match regions.iter().position(|other| other.name == *like) {
                Some(next) if !seen.contains(&next) => {
                    seen.push(next);
                    at = next;
                }
                Some(_) => {
                    self.error("E015", &path, format!("region `{}` is like itself", regions[index].name))
                        .hint("let one of these regions say what it has");
                    return merged;
                }
                None => {
                    if at == index {
                        self.unknown(&path, "region", like, regions.iter().map(|other| other.name.as_str()));
                    }
                    return merged;
                }
            }
        }
    }

    fn region_places(
        &mut self,
        index: usize,
        merged: &Merged<'a>,
        custom: &[InstanceType],
        out: &mut IdVec<MachineId, MachineSpec>,
    ) {
        let id = self.new_region(index, merged);
        if self.geography.regions[id].zones.is_empty() {
            return;
        }
        let default = schema::Servers::default();
        let (nomad, nomad_at) = merged.nomad.unwrap_or((&default, index));
        let (consul, consul_at) = merged.consul.unwrap_or((&default, index));
        let nomad_path = format!("regions[{nomad_at}].nomad");
        let consul_path = format!("regions[{consul_at}].consul");
        let kind = self.server_kind(id, &nomad_path, nomad, KindRole::Nomad, custom);
        let servers = self.add_machines(id, &kind, "nomad", 1, nomad.count, out);
        self.geography.regions[id].first_nomad_leader = self.first_leader(&nomad_path, nomad, &servers, out);
        self.geography.regions[id].nomad = servers;
        let kind = self.server_kind(id, &consul_path, consul, KindRole::Consul, custom);
        let servers = self.add_machines(id, &kind, "consul", 1, consul.count, out);
        self.geography.regions[id].first_consul_leader = self.first_leader(&consul_path, consul, &servers, out);
        self.geography.regions[id].consul = servers;
        self.client_machines(id, index, merged, custom, out);
    }

    fn new_region(&mut self, index: usize, merged: &Merged<'a>) -> RegionId {
        let name = &self.scenario.regions[index].name;
        let path = format!("regions[{index}]");
        if name.is_empty() || name.contains(['/', ' ']) {
            self.error("E015", &format!("{path}.name"), "a region's name has no spaces and no `/`, and is not empty")
                .hint("call it as AWS does, as `us-east-1`");
        }
        if self.geography.region(name).is_some() {
            self.error("E005", &format!("{path}.name"), format!("there are two regions `{name}`"))
                .hint("give one of them another name");
        }
        let id = self.geography.regions.next_id();
        let mut zones = Vec::new();
        let (names, at) = merged.zones.map_or((&[] as &[String], index), |(names, at)| (names.as_slice(), at));
        for (number, zone) in names.iter().enumerate() {
            let path = format!("regions[{at}].zones[{number}]");
            if zone.is_empty() || zone.contains(['/', ' ']) {
                self.error("E015", &path, "a zone's name has no spaces and no `/`, and is not empty")
                    .hint("a letter will do, as `a`");
            }
            if names[..number].contains(zone) {
                self.error("E005", &path, format!("there are two zones `{zone}` in `{name}`"))
                    .hint("give one of them another name");
            }
            zones.push(self.geography.zones.push(ZoneSpec { name: zone.as_str().into(), region: id }));
        }
        if zones.is_empty() {
            self.error("E013", &format!("{path}.zones"), format!("region `{name}` has no zones"))
                .hint("write `zones: [\"a\", \"b\", \"c\"]`, or `like:` a region that has them");
        }
        self.geography.regions.push(RegionSpec {
            name: name.as_str().into(),
            zones,
            nomad: Vec::new(),
            consul: Vec::new(),
            clients: Vec::new(),
            first_nomad_leader: None,
            first_consul_leader: None,
        })
    }

    fn server_kind<'b>(
        &mut self,
        region: RegionId,
        path: &str,
        servers: &schema::Servers,
        role: KindRole<'b>,
        custom: &[InstanceType],
    ) -> Kind<'b> {
        let least = u64::from(matches!(role, KindRole::Nomad));
        if servers.count < least || servers.count > SERVERS_MAX {
            let message = format!("a region has {least} to {SERVERS_MAX} of these servers, not {}", servers.count);
            self.error("E013", &format!("{path}.count"), message).hint("3 or 5 are usual");
        } else if servers.count > 0 && servers.count.is_multiple_of(2) {
            let message = format!("{} servers tolerate no more failures than {}", servers.count, servers.count - 1);
            let hint = format!("write {} or {}", servers.count - 1, servers.count + 1);
            self.warning("W003", &format!("{path}.count"), message).hint(hint);
        }
        Kind {
            path: path.to_owned(),
            instance: self.instance(&format!("{path}.instance"), &servers.instance, custom),
            disk: self.disk(&format!("{path}.disk"), &servers.disk),
            zones: self.zones_of(region, &format!("{path}.zones"), servers.zones.as_ref()),
            role,
        }
    }

    fn client_machines(
        &mut self,
        id: RegionId,
        index: usize,
        merged: &Merged<'a>,
        custom: &[InstanceType],
        out: &mut IdVec<MachineId, MachineSpec>,
    ) {
        let name = &self.scenario.regions[index].name;
        let (groups, at) = merged.clients.map_or((&[] as &[schema::Clients], index), |(c, at)| (c.as_slice(), at));
        if groups.iter().all(|group| group.count == 0) {
            let path = format!("regions[{at}].clients");
            let counts: Vec<String> = (0..groups.len()).map(|group| format!("{path}[{group}].count")).collect();
            // Of several counts of zero, the one that was typed on the command line is to blame.
            let is_typed = |path: &&String| {
                let origin = self.sources.origin(&self.place(path));
                self.sources.get(origin.source).name.starts_with("--")
            };
            let blamed = counts.iter().find(is_typed).or_else(|| counts.first());
            let hint = match blamed {
                Some(_) => "let one of its `clients` have a `count` of 1 or more",
                None => "write `clients: [Clients(datacenter: \"dc1\", count: 3, instance: \"m5.large\")]`",
            };
            let blamed = blamed.unwrap_or(&path).clone();
            self.error("E013", &blamed, format!("region `{name}` has no client machines")).hint(hint);
        }
        let mut numbers: OrdMap<&str, u64> = OrdMap::new();
        for (group_index, group) in groups.iter().enumerate() {
            let path = format!("regions[{at}].clients[{group_index}]");
            let prefix = group.name.as_ref().unwrap_or(&group.datacenter);
            let plain = |text: &str| !text.is_empty() && !text.contains(['/', ' ', '"']);
            if !plain(prefix) || !plain(&group.datacenter) {
                let message = "a datacenter's name has no spaces and no `/`, and is not empty";
                self.error("E015", &format!("{path}.datacenter"), message).hint("letters, digits and `-` will do");
            }
            if ["nomad", "consul"].contains(&prefix.as_str()) {
                self.error("E005", &path, format!("machines called `{prefix}-1` are the servers"))
                    .hint("give the clients another `name`");
            }
            let kind = Kind {
                instance: self.instance(&format!("{path}.instance"), &group.instance, custom),
                disk: self.disk(&format!("{path}.disk"), &group.disk),
                zones: self.zones_of(id, &format!("{path}.zones"), group.zones.as_ref()),
                role: KindRole::Client(group),
                path,
            };
            let datacenter: Arc<str> = group.datacenter.as_str().into();
            if group.count > 0 && !self.geography.datacenters.iter().any(|(of, name)| *of == id && *name == datacenter)
            {
                self.geography.datacenters.push((id, datacenter));
            }
            let first = numbers.entry(prefix).or_insert(1);
            let added = self.add_machines(id, &kind, prefix, *first, group.count, out);
            *first += group.count;
            self.geography.regions[id].clients.extend(added);
        }
    }

    fn instance(&mut self, path: &str, name: &str, custom: &[InstanceType]) -> InstanceType {
        let found = instance::find(name).or_else(|| custom.iter().find(|kind| kind.name == name));
        if found.is_none() {
            let known: Vec<&str> = instance::TYPES.iter().chain(custom).map(|kind| &*kind.name).collect();
            self.unknown(path, "instance type", name, known.iter().copied());
        }
        found.cloned().unwrap_or_else(|| instance::TYPES[0].clone())
    }

    fn disk(&mut self, path: &str, name: &str) -> DiskSpec {
        let found = disk::find(name);
        if found.is_none() {
            self.unknown(path, "disk type", name, disk::DISKS.iter().map(|disk| disk.name));
        }
        found.unwrap_or(&disk::DISKS[0]).spec
    }

    fn zones_of(&mut self, region: RegionId, path: &str, names: Option<&Vec<String>>) -> Vec<ZoneId> {
        let all = self.geography.regions[region].zones.clone();
        let Some(names) = names else { return all };
        let mut out = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let found = self.geography.zone_in(region, name);
            if found.is_none() {
                let known: Vec<Arc<str>> = all.iter().map(|zone| self.geography.zones[*zone].name.clone()).collect();
                self.unknown(&format!("{path}[{index}]"), "zone", name, known.iter().map(|name| &**name));
            }
            out.extend(found);
        }
        if out.is_empty() { all } else { out }
    }

    fn first_leader(
        &mut self,
        path: &str,
        servers: &schema::Servers,
        machines: &[MachineId],
        all: &IdVec<MachineId, MachineSpec>,
    ) -> Option<MachineId> {
        let wanted = servers.first_leader.as_ref()?;
        let found = machines.iter().copied().find(|machine| {
            let machine = &all[*machine];
            *self.geography.zones[machine.zone].name == **wanted || short_name(&machine.name) == wanted
        });
        if found.is_none() {
            let known: OrdSet<&str> = machines
                .iter()
                .flat_map(|machine| {
                    let machine = &all[*machine];
                    [&*self.geography.zones[machine.zone].name, short_name(&machine.name)]
                })
                .collect();
            let hint = crate::scenario::suggest::hint(wanted, known);
            let message = format!("no server stands in a zone `{wanted}` or has that name");
            self.error("E004", &format!("{path}.first_leader"), message).hint(hint);
        }
        found
    }

    fn add_machines(
        &mut self,
        region: RegionId,
        kind: &Kind<'_>,
        prefix: &str,
        first: u64,
        count: u64,
        out: &mut IdVec<MachineId, MachineSpec>,
    ) -> Vec<MachineId> {
        let region_name = self.geography.regions[region].name.clone();
        let template = match kind.role {
            KindRole::Nomad | KindRole::Consul => None,
            KindRole::Client(group) => Some(self.node_template(kind, group)),
        };
        let mut added = Vec::new();
        for number in first..first + count {
            let name: Arc<str> = format!("{region_name}/{prefix}-{number}").into();
            let zone = kind.zones[((number - 1) % kind.zones.len() as u64) as usize];
            let role = match (kind.role, &template) {
                (KindRole::Consul, _) => MachineRole::ConsulServer,
                (KindRole::Nomad, _) | (KindRole::Client(_), None) => MachineRole::NomadServer,
                (KindRole::Client(_), Some(node)) => {
                    let zone_name = self.geography.zones[zone].name.clone();
                    let machine = out.next_id();
                    MachineRole::Client(Arc::new(node_at(node, &name, zone, (&region_name, &zone_name), machine)))
                }
            };
            added.push(out.push(MachineSpec {
                name,
                zone,
                role,
                instance: kind.instance.name.as_ref().into(),
                cores: kind.instance.cores,
                cpu: kind.instance.cpu(),
                memory: kind.instance.usable,
                bandwidth: kind.instance.bandwidth,
                disk: kind.disk,
                price_per_million_hours: price_of(self.scenario, &kind.instance.name),
            }));
        }
        added
    }

    fn pool(&mut self, path: &str, written: Option<&str>) -> Arc<str> {
        let path = format!("{path}.pool");
        match written {
            None => {}
            Some("" | POOL_ALL) => {
                self.error("E015", &path, "a machine is in one pool").hint("`all` is for jobs; name another pool");
            }
            Some(_) => self.needs_node_pools(&path),
        }
        written.unwrap_or(POOL_DEFAULT).into()
    }

    fn node_devices(&mut self, path: &str, written: &[schema::Device]) -> Vec<NodeDevice> {
        let mut out: Vec<NodeDevice> = Vec::new();
        for (index, device) in written.iter().enumerate() {
            let path = format!("{path}.devices[{index}]");
            let count = self.count(&format!("{path}.count"), device.count.unwrap_or(1), 1..=1_024);
            let parts: Vec<&str> = device.name.splitn(3, '/').collect();
            let &[vendor, kind, name] = &*parts else {
                self.error("E015", &format!("{path}.name"), format!("`{}` names no device", device.name))
                    .hint("write vendor, type and model, as `nvidia/gpu/A100`");
                continue;
            };
            if out.iter().any(|other| other.is_named(&device.name)) {
                self.error("E005", &format!("{path}.name"), format!("`{}` is there twice", device.name))
                    .hint("say its `count` instead");
            }
            out.push(NodeDevice {
                vendor: vendor.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                instances: (0..count).map(|number| format!("{name}-{number:04}")).collect(),
                attributes: device.attributes.clone().into_iter().collect(),
            });
        }
        out
    }

    /// What all nodes of a group have in common; attributes are those a Linux machine on EC2 has.
    fn node_template(&mut self, kind: &Kind<'_>, group: &schema::Clients) -> NodeSpec {
        let path = &kind.path;
        let instance = &kind.instance;
        let disk = self.size(&format!("{path}.disk_size"), &group.disk_size);
        let reserved = &group.reserved;
        let reserved = NodeReserved {
            cpu: reserved.cpu.as_ref().map(|t| self.frequency(&format!("{path}.reserved.cpu"), t)).unwrap_or_default(),
            memory: reserved
                .memory
                .as_ref()
                .map(|t| self.size(&format!("{path}.reserved.memory"), t))
                .unwrap_or_default(),
            disk: reserved.disk.as_ref().map(|t| self.size(&format!("{path}.reserved.disk"), t)).unwrap_or_default(),
            cores: Vec::new(),
            ports: reserved.ports.clone(),
        };
        if reserved.cpu >= instance.cpu() || reserved.memory >= instance.usable || reserved.disk >= disk {
            let message = format!("nothing of a `{}` is left to the scheduler", instance.name);
            self.error("E015", &format!("{path}.reserved"), message).hint("reserve less, or take a larger `instance`");
        }
        let mut attributes = linux_attributes(instance, &group.drivers);
        attributes.extend(group.attributes.clone());
        let mut drivers = group.drivers.clone();
        drivers.sort();
        drivers.dedup();
        NodeSpec {
            name: "".into(),
            datacenter: group.datacenter.as_str().into(),
            class: group.class.as_str().into(),
            pool: self.pool(path, group.pool.as_deref()),
            zone: ZoneId(0),
            attributes,
            meta: group.meta.clone().into_iter().collect(),
            drivers,
            capacity: NodeCapacity { cpu: instance.cpu(), cores: instance.cores, memory: instance.usable, disk },
            reserved,
            networks: vec![NodeNetwork {
                mode: "host".to_owned(),
                device: "eth0".to_owned(),
                ip: String::new(),
                alias: "default".to_owned(),
                bandwidth: instance.bandwidth,
            }],
            devices: self.node_devices(path, &group.devices),
            host_volumes: group
                .host_volumes
                .iter()
                .map(|name| name.strip_prefix("ro:").map_or((name.clone(), false), |name| (name.to_owned(), true)))
                .collect(),
        }
    }
}

fn machine_count(region: &Merged<'_>) -> u64 {
    let servers = |part: Option<(&schema::Servers, usize)>| part.map_or(3, |(servers, _)| servers.count);
    let clients =
        region.clients.map_or(0, |(groups, _)| groups.iter().fold(0, |sum: u64, g| sum.saturating_add(g.count)));
    servers(region.nomad).saturating_add(servers(region.consul)).saturating_add(clients)
}

/// `nomad-2` of `us-east-1/nomad-2`.
fn short_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Attributes of a Nomad client on Amazon Linux (client fingerprinters `arch`, `cpu`, `host`, `memory`, `env_aws`,
/// drivers), without the leading `attr.`.
fn linux_attributes(instance: &InstanceType, drivers: &[String]) -> OrdMap<String, String> {
    let mut attributes: OrdMap<String, String> = [
        ("cpu.arch", instance.arch.name().to_owned()),
        ("cpu.frequency", instance.clock.get().to_string()),
        ("cpu.numcores", instance.cores.to_string()),
        ("cpu.totalcompute", instance.cpu().get().to_string()),
        ("kernel.name", "linux".to_owned()),
        ("kernel.version", "5.10.0".to_owned()),
        ("memory.totalbytes", (instance.usable.get() << 20).to_string()),
        ("os.name", "amazon".to_owned()),
        ("os.version", "2".to_owned()),
        ("platform.aws.instance-type", instance.name.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for driver in drivers {
        attributes.insert(format!("driver.{driver}"), "1".to_owned());
    }
    if drivers.iter().any(|driver| driver == "docker") {
        attributes.insert("driver.docker.version".to_owned(), "20.10.25".to_owned());
    }
    attributes
}

/// One node of a group.
fn node_at(template: &NodeSpec, name: &Arc<str>, zone: ZoneId, place: (&str, &str), machine: MachineId) -> NodeSpec {
    let (region, zone_name) = place;
    let mut node = template.clone();
    let short = short_name(name);
    let [_, high, middle, low] = machine.0.to_be_bytes();
    let ip = format!("10.{high}.{middle}.{low}");
    let cloud_zone = if zone_name.len() <= 2 { format!("{region}{zone_name}") } else { zone_name.to_owned() };
    for (key, value) in [
        ("platform.aws.placement.availability-zone", cloud_zone),
        ("unique.hostname", short.to_owned()),
        ("unique.network.ip-address", ip.clone()),
    ] {
        node.attributes.entry(key.to_owned()).or_insert(value);
    }
    node.meta.entry("zone".to_owned()).or_insert_with(|| zone_name.to_owned());
    node.networks[0].ip = ip;
    node.name = short.into();
    node.zone = zone;
    node
}

/// Beyond this, Raft groups are slower, not safer.
const SERVERS_MAX: u64 = 31;
