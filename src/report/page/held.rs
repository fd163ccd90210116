//! What allocations hold where: over time by zone, and at some instants by group, zone and machine.

use crate::base::ordered::OrdMap;
use crate::report::page::record::{Alloc, Machine, Record, Shown};

/// Most points of a line.
const POINTS_MAX: f64 = 240.0;
/// Widths of a step in seconds; wider ones are multiples of the last.
const STEPS_S: [f64; 11] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Processor in MHz, memory in MiB.
type Amounts = [u64; 2];

/// The client machines of a zone.
#[derive(Debug)]
pub(super) struct Zone {
    /// As `us-east-1/a`.
    pub(super) name: String,
    pub(super) region: String,
    /// As `a`.
    pub(super) short: String,
    pub(super) machines: usize,
    pub(super) room: Amounts,
}

/// The zones and machines work can stand on.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// Regions and groups of the record.
    groups: &'a [(String, String)],
    pub(super) zones: Vec<Zone>,
    /// Client machines, by zone, each with the place of its zone.
    pub(super) clients: Vec<(usize, &'a Machine)>,
    /// Places in `clients`, by place in the record's machines.
    by_machine: Vec<Option<usize>>,
}

/// Shares of a zone over time, in percent.
#[derive(Debug)]
pub(super) struct Shares {
    /// Seconds between two values; the first is one step after zero.
    pub(super) step_s: f64,
    /// By zone, then dimension: processor, memory.
    pub(super) values: Vec<[Vec<f64>; 2]>,
}

/// Where the allocations of one group stand.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// How many, by zone.
    pub(super) by_zone: Vec<u32>,
    /// How many, by client machine that has any.
    pub(super) by_machine: OrdMap<usize, u32>,
}

/// What stands where at one instant.
#[derive(Debug)]
pub(super) struct Stand<'a> {
    /// By region and group.
    pub(super) groups: OrdMap<&'a (String, String), Placed>,
    /// What each client machine has given away.
    pub(super) held: Vec<Amounts>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        let mut zones: Vec<Zone> = Vec::new();
        let mut clients = Vec::new();
        for (place, machine) in record.machines.iter().enumerate().filter(|(_, machine)| machine.role == "client") {
            let name = format!("{}/{}", machine.region, machine.zone);
            let at = zones.iter().position(|zone| zone.name == name).unwrap_or_else(|| {
                let (region, short) = (machine.region.clone(), machine.zone.clone());
                zones.push(Zone { name, region, short, machines: 0, room: [0, 0] });
                zones.len() - 1
            });
            zones[at].machines += 1;
            let room = [machine.cpu_mhz, machine.memory_mib].map(Option::unwrap_or_default);
            zones[at].room = [zones[at].room[0] + room[0], zones[at].room[1] + room[1]];
            clients.push((at, place));
        }
        // A zone not met in order (its first machines are of another datacenter) still stands with its region.
        clients.sort_by_key(|(zone, _)| *zone);
        let mut by_machine = vec![None; record.machines.len()];
        clients.iter().enumerate().for_each(|(at, &(_, place))| by_machine[place] = Some(at));
        let clients = clients.into_iter().map(|(zone, place)| (zone, &record.machines[place])).collect();
        Self { groups: &record.groups, zones, clients, by_machine }
    }

    /// The place in `clients` of the machine it stands on.
    fn client_of(&self, alloc: &Alloc) -> Option<usize> {
        self.by_machine[alloc.machine?]
    }

    /// What the allocations of a run hold of each zone, until `end_s`.
    pub(super) fn shares(&self, run: &Shown, end_s: f64) -> Shares {
        let wanted = end_s / POINTS_MAX;
        let step_s = STEPS_S.into_iter().find(|&step| step >= wanted).unwrap_or(libm::ceil(wanted / 600.0) * 600.0);
        let points = libm::floor(end_s / step_s) as usize;
        // Changes between two points, then their sums.
        let mut changes = vec![[vec![0_i64; points + 1], vec![0_i64; points + 1]]; self.zones.len()];
        for alloc in &run.allocs {
            let Some(client) = self.client_of(alloc) else { continue };
            let zone = self.clients[client].0;
            let mut add = |at_s: f64, sign: i64| {
                let at = libm::ceil(at_s / step_s).max(1.0) as usize - 1;
                for (changes, amount) in changes[zone].iter_mut().zip([alloc.cpu_mhz, alloc.memory_mib]) {
                    changes[at.min(points)] += sign * amount as i64;
                }
            };
            add(alloc.placed_s, 1);
            alloc.ended_s.into_iter().for_each(|ended| add(ended, -1));
        }
        let share = |(zone, changes): (&Zone, [Vec<i64>; 2])| {
            let mut dimension = 0;
            changes.map(|changes| {
                let room = zone.room[dimension];
                dimension += 1;
                let mut held = 0;
                let sums = changes.into_iter().take(points).map(|change| {
                    held += change;
                    percent(held as u64, room)
                });
                sums.collect()
            })
        };
        Shares { step_s, values: self.zones.iter().zip(changes).map(share).collect() }
    }

    /// What stands where just before an instant.
    pub(super) fn stand(&self, run: &Shown, at_s: f64) -> Stand<'a> {
        let mut groups: Vec<Placed> = Vec::new();
        groups.resize_with(self.groups.len(), Placed::default);
        let mut held = vec![[0, 0]; self.clients.len()];
        for alloc in run.allocs.iter().filter(|alloc| alloc.holds(at_s)) {
            let Some(client) = self.client_of(alloc) else { continue };
            let placed = &mut groups[alloc.group];
            placed.by_zone.resize(self.zones.len(), 0);
            placed.by_zone[self.clients[client].0] += 1;
            *placed.by_machine.entry(client).or_default() += 1;
            held[client] = [held[client][0] + alloc.cpu_mhz, held[client][1] + alloc.memory_mib];
        }
        let placed = self.groups.iter().zip(groups).filter(|(_, placed)| !placed.by_machine.is_empty());
        Stand { groups: placed.collect(), held }
    }
}

/// A part of a whole in percent; zero of nothing.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
