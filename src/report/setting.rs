//! What a run took place in: `machines.csv` and `timeline.csv`, with which the other files can be read without the
//! scenario.

use crate::analysis::ensemble::Ensemble;
use crate::report::style;
use crate::report::table::Table;
use crate::world::spec::MachineRole;

/// `machines.csv`: every machine of the world. Amounts of client machines are what the scheduler may hand out: capacity
/// less what the node keeps for itself.
pub fn machines(ensemble: &Ensemble) -> Vec<u8> {
    let header =
        ["machine", "region", "zone", "role", "instance", "datacenter", "class", "cpu_mhz", "memory_mib", "disk_mib"];
    let mut table = Table::new(&header);
    let spec = &ensemble.spec;
    for (_, machine) in spec.machines.iter() {
        let zone = &spec.zones[machine.zone];
        let whole = [machine.cpu.get(), machine.memory.get()].map(|amount| amount.to_string());
        let [cpu, memory] = whole;
        let (role, datacenter, class, amounts) = match &machine.role {
            MachineRole::NomadServer => ("nomad-server", "", "", [cpu, memory, String::new()]),
            MachineRole::ConsulServer => ("consul-server", "", "", [cpu, memory, String::new()]),
            MachineRole::Client(node) => {
                let (all, kept) = (&node.capacity, &node.reserved);
                let amounts = [
                    all.cpu.saturating_sub(kept.cpu).get().to_string(),
                    all.memory.saturating_sub(kept.memory).get().to_string(),
                    all.disk.saturating_sub(kept.disk).get().to_string(),
                ];
                ("client", &*node.datacenter, &*node.class, amounts)
            }
        };
        let region = &spec.regions[zone.region].name;
        let [cpu, memory, disk] = &amounts;
        let (instance, zone) = (&machine.instance, &zone.name);
        table.row(&[&machine.name, region, zone, &role, instance, &datacenter, &class, cpu, memory, disk]);
    }
    table.finish()
}

/// `timeline.csv`: the warm-up, if there is one, then faults and what operators did, in order of time. What ends at
/// once ends when it begins; what does not end, with the run.
pub fn timeline(ensemble: &Ensemble) -> Vec<u8> {
    let mut table = Table::new(&["kind", "from_s", "until_s", "what"]);
    let warmup = ensemble.spec.warmup.as_secs_f64();
    if warmup > 0.0 {
        table.row(&[&"warm-up", &0, &warmup, &"not measured"]);
    }
    for band in style::bands(&ensemble.spec) {
        let kind = if band.fault { "fault" } else { "operator" };
        table.row(&[&kind, &band.from.as_secs_f64(), &band.until.as_secs_f64(), &band.label]);
    }
    table.finish()
}
