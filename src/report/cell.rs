//! What `cossim compact` and `cossim remove` found, as text and as JSON.

use serde::Serialize;

use crate::analysis::compact::{Bereft, Compacted, Trial, p90};
use crate::analysis::remove::Removed;
use crate::analysis::summary::Refusals;
use crate::base::ordered::OrdMap;
use crate::report::text::{align, line, number, plural};
use crate::world::packing::Homeless;
use crate::world::spec::WorldSpec;

/// A group without a place.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonGroup {
    job: String,
    group: String,
    /// Allocations without a place.
    count: u32,
    /// Of which these had one before.
    lost: u32,
    #[serde(flatten)]
    refusals: Refusals,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonRemoved {
    region: String,
    machines: usize,
    removed: usize,
    /// Allocations that were placed anew, on other machines.
    allocations_moved: usize,
    fits: bool,
    unplaced: Vec<JsonGroup>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonTrials {
    p90: usize,
    min: usize,
    max: usize,
    p90_usd_per_hour: f64,
    trials: Vec<usize>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonCompacted {
    region: String,
    machines: usize,
    allocations: u64,
    /// Jobs whose constraints were taken as preferences.
    constraints_softened: Vec<String>,
    /// Copies of the cell that were packed.
    copies: u32,
    /// `null` if the work fits on no number of copies.
    needed: Option<JsonTrials>,
    /// Copies that were packed to survive the loss of any one zone; `null` in a region of one zone, which has nothing
    /// to survive on.
    copies_with_any_zone_lost: Option<u32>,
    /// `null` if the work survives on no number of copies, or has nothing to survive on.
    needed_with_any_zone_lost: Option<JsonTrials>,
    /// What fits on no number of copies.
    unplaced: Vec<JsonGroup>,
    /// What does not survive the loss of a zone on any number of copies, though it fits before.
    unplaced_with_zone_lost: Option<JsonBereft>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct JsonBereft {
    zone: String,
    groups: Vec<JsonGroup>,
}

/// The result of a compaction as text.
pub fn compacted_text(spec: &WorldSpec, cells: &[Compacted]) -> String {
    let mut out = String::new();
    let head = ["region", "machines now", "allocations", "needed (p90)", "least … most", "USD/h"];
    let mut rows = vec![head.map(str::to_owned)];
    for cell in cells {
        let name = &spec.regions[cell.region].name;
        let now = cell.machines.to_string();
        rows.push(trial_row(
            [name.to_string(), now, cell.wanted.to_string()],
            &cell.needed,
            cell.machines,
            cell.copies,
        ));
        let label = format!("{name}, any one zone lost");
        if let Some(copies) = cell.copies_surviving {
            rows.push(trial_row([label, String::new(), String::new()], &cell.surviving, cell.machines, copies));
        }
    }
    align(&rows, &[false, true, true, true, true, true], &mut out);
    for cell in cells {
        let name = &spec.regions[cell.region].name;
        if !cell.softened.is_empty() {
            let names = cell.softened.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
            let why = format!("more allocations than half of {}", plural(cell.machines, "machine"));
            line(&mut out, &format!("{name}: constraints taken as preferences, as Borg does ({why}): {names}"));
        }
        let more = [(cell.copies, ""), (cell.copies_surviving.unwrap_or(1), ", any one zone lost")];
        for (copies, when) in more.into_iter().filter(|(copies, _)| *copies > 1) {
            line(&mut out, &format!("{name}{when}: packed into {copies} copies of its machines, one was not enough"));
        }
        for group in &cell.homeless {
            line(&mut out, &format!("{name}: {}", homeless(group, group.count)));
        }
        if let Some(Bereft { zone, homeless: groups, .. }) = &cell.bereft {
            let zone = &spec.zones[*zone].name;
            for group in groups {
                line(&mut out, &format!("{name}, zone {zone} lost: {}", homeless(group, group.count)));
            }
        }
    }
    let trials = cells.iter().map(|cell| cell.needed.len()).max().unwrap_or(0);
    if trials > 0 {
        line(&mut out, &format!("{}; each removes machines in its own random order", plural(trials, "trial")));
    }
    out
}

fn trial_row(first: [String; 3], trials: &[Trial], machines: usize, copies: u32) -> [String; 6] {
    let [name, now, wanted] = first;
    let (Some(p90), Some(least), Some(most)) = (p90(trials), trials.first(), trials.last()) else {
        let never = format!("does not fit on {}", machines * copies as usize);
        return [name, now, wanted, never, String::new(), String::new()];
    };
    let range = format!("{} … {}", least.machines, most.machines);
    [name, now, wanted, p90.machines.to_string(), range, number(p90.micros_per_hour as f64 / 1e6)]
}

/// The result of a compaction as JSON.
pub fn compacted_json(spec: &WorldSpec, cells: &[Compacted]) -> String {
    let trials = |trials: &[Trial]| {
        let (p90, min, max) = (p90(trials)?, trials.first()?.machines, trials.last()?.machines);
        Some(JsonTrials {
            p90: p90.machines,
            min,
            max,
            p90_usd_per_hour: p90.micros_per_hour as f64 / 1e6,
            trials: trials.iter().map(|trial| trial.machines).collect(),
        })
    };
    let all: Vec<JsonCompacted> = cells
        .iter()
        .map(|cell| JsonCompacted {
            region: spec.regions[cell.region].name.to_string(),
            machines: cell.machines,
            allocations: cell.wanted,
            constraints_softened: cell.softened.iter().map(ToString::to_string).collect(),
            copies: cell.copies,
            needed: trials(&cell.needed),
            copies_with_any_zone_lost: cell.copies_surviving,
            needed_with_any_zone_lost: trials(&cell.surviving),
            unplaced: cell.homeless.iter().map(|group| json_group(group, 0)).collect(),
            unplaced_with_zone_lost: cell.bereft.as_ref().map(|bereft| JsonBereft {
                zone: spec.zones[bereft.zone].name.to_string(),
                groups: bereft.homeless.iter().map(|group| json_group(group, group.count)).collect(),
            }),
        })
        .collect();
    serde_json::to_string_pretty(&all).expect("plain JSON") + "\n"
}

/// What no longer fits, as text.
pub fn removed_text(spec: &WorldSpec, regions: &[Removed]) -> String {
    let mut out = String::new();
    for removed in regions {
        let name = &spec.regions[removed.region].name;
        let verdict = if removed.fits() { "FITS" } else { "DOES NOT FIT" };
        let gone = format!("{} of {} machines removed", removed.gone, removed.machines);
        line(&mut out, &format!("{verdict}  {name}: {gone}, {} moved", plural(removed.moved, "allocation")));
        for group in &removed.after {
            match removed.lost(group) {
                0 => line(&mut out, &format!("  before as well: {}", homeless(group, group.count))),
                lost => line(&mut out, &format!("  {}", homeless(group, lost))),
            }
        }
    }
    out
}

/// What no longer fits, as JSON.
pub fn removed_json(spec: &WorldSpec, regions: &[Removed]) -> String {
    let all: Vec<JsonRemoved> = regions
        .iter()
        .map(|removed| JsonRemoved {
            region: spec.regions[removed.region].name.to_string(),
            machines: removed.machines,
            removed: removed.gone,
            allocations_moved: removed.moved,
            fits: removed.fits(),
            unplaced: removed.after.iter().map(|group| json_group(group, removed.lost(group))).collect(),
        })
        .collect();
    serde_json::to_string_pretty(&all).expect("plain JSON") + "\n"
}

fn json_group(group: &Homeless, lost: u32) -> JsonGroup {
    JsonGroup {
        job: group.job.to_string(),
        group: group.group.to_string(),
        count: group.count,
        lost,
        refusals: Refusals::new(&group.record),
    }
}

/// `shop.web: 3 without a place; 12 machines had no room (memory 9, cpu 3), constraints ruled out 4 (…)`.
fn homeless(group: &Homeless, count: u32) -> String {
    let record = &group.record;
    let listed = |counts: &OrdMap<String, u32>| {
        let all: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
    };
    let mut reasons = Vec::new();
    if record.nodes_exhausted > 0 {
        let had = plural(record.nodes_exhausted as usize, "machine");
        reasons.push(format!("{had} had no room{}", listed(&record.dimension_exhausted)));
    }
    if record.nodes_filtered > 0 {
        reasons.push(format!("constraints ruled out {}{}", record.nodes_filtered, listed(&record.constraint_filtered)));
    }
    if reasons.is_empty() {
        reasons.push("no machine is left in its datacenters".to_owned());
    }
    format!("{}.{}: {count} without a place; {}", group.job, group.group, reasons.join(", "))
}
