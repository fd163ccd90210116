//! `cossim list`: the words scenarios can use, from the tables the program itself uses.

use serde_json::Value;
use serde_json::json;

use super::Exit;
use super::args::Table;
use super::output::Output;
use super::output::table;
use crate::measure::catalogue::METRICS;
use crate::measure::objective::Statistic;
use crate::scenario::library::disk::DISKS;
use crate::scenario::library::instance::TYPES;
use crate::scenario::library::network::PRESETS;
use crate::scenario::parameters::KNOWN;
use crate::scenario::schema::JSON_SCHEMA;
use crate::world::spec::LinkSpec;

pub(super) fn execute(which: Option<Table>, json: bool, output: &mut Output) -> Exit {
    let (rows, value) = match which {
        Some(Table::Timeline) => timeline(),
        Some(Table::Metrics) => metrics(),
        Some(Table::Presets) => presets(),
        Some(Table::Instances) => instances(),
        Some(Table::Parameters) => parameters(),
        None => overview(),
    };
    if json {
        let text = serde_json::to_string_pretty(&value).expect("tables are plain JSON");
        output.data(&format!("{text}\n"));
    } else {
        output.data(&table(&rows));
    }
    Exit::Fine
}

type Listing = (Vec<Vec<String>>, Value);

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn overview() -> Listing {
    let tables = [
        ("timeline", "what can happen to a world"),
        ("metrics", "what is measured, for `expect`"),
        ("presets", "networks and disks by name"),
        ("instances", "machine types"),
        ("parameters", "values the model rests on, and where each comes from"),
    ];
    let rows = tables.iter().map(|(name, about)| row(&[&format!("cossim list {name}"), about])).collect();
    (rows, json!(tables.iter().map(|(name, about)| json!({"table": name, "about": about})).collect::<Vec<_>>()))
}

/// Actions and their fields, read off the schema of the scenario.
fn timeline() -> Listing {
    let schema: Value = serde_json::from_str(JSON_SCHEMA).expect("the schema is JSON");
    let schema = &schema["$defs"]["Action"];
    let mut rows = vec![row(&["action", "fields", "what happens"])];
    let mut out = Vec::new();
    for variant in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
        let Some((name, inner)) = variant.get("properties").and_then(Value::as_object).and_then(|p| p.iter().next())
        else {
            continue;
        };
        let about = variant.get("description").and_then(Value::as_str).unwrap_or("").replace('\n', " ");
        let Some(properties) = inner.get("properties").and_then(Value::as_object) else {
            // What is registered is no named field: it stands in the brackets by itself.
            rows.push(row(&[name, "File(…), FileWith(…) or Inline(…)", &about]));
            out.push(json!({"action": name, "fields": [], "required": [], "takes": "JobSource", "about": about}));
            continue;
        };
        let required: Vec<&str> =
            inner.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let fields: Vec<String> = properties.keys().cloned().collect();
        let marked: Vec<String> = fields
            .iter()
            .map(|field| if required.contains(&field.as_str()) { field.clone() } else { format!("[{field}]") })
            .collect();
        rows.push(vec![name.clone(), marked.join(" "), about.clone()]);
        out.push(json!({"action": name, "fields": fields, "required": required, "about": about}));
    }
    (rows, Value::Array(out))
}

fn metrics() -> Listing {
    let mut rows = vec![row(&["metric", "unit", "kind", "worse", "labels", "what it is"])];
    let mut out = Vec::new();
    for metric in METRICS {
        let statistics: Vec<&str> = Statistic::of(metric.kind).iter().map(|statistic| statistic.name()).collect();
        let (unit, kind, worse) = (metric.unit.name(), metric.kind.name(), metric.worse.name());
        rows.push(row(&[metric.name, unit, kind, worse, &metric.labels.join(","), metric.about]));
        out.push(json!({
            "metric": metric.name, "unit": unit, "kind": kind, "worse": worse, "labels": metric.labels,
            "statistics": statistics, "about": metric.about, "product": metric.product,
        }));
    }
    (rows, Value::Array(out))
}

fn parameters() -> Listing {
    let mut rows = vec![row(&["parameter", "default", "comes from", "source", "plausible values"])];
    let mut out = Vec::new();
    for known in &KNOWN {
        rows.push(row(&[known.path, known.default, known.origin.name(), known.source, known.plausible]));
        out.push(json!({
            "path": known.path, "default": known.default, "origin": known.origin.name(), "source": known.source,
            "plausible": known.plausible,
        }));
    }
    (rows, Value::Array(out))
}

fn presets() -> Listing {
    let delay = |link: &LinkSpec| link.delay.to_string();
    let mut rows =
        vec![row(&["network", "same host", "same zone", "same region", "users", "what it is (delays one way)"])];
    let mut networks = Vec::new();
    for preset in &PRESETS {
        let links = [&preset.same_host, &preset.same_zone, &preset.same_region, &preset.internet];
        let delays: Vec<String> = links.iter().map(|link| delay(link)).collect();
        rows.push(row(&[preset.name, &delays[0], &delays[1], &delays[2], &delays[3], preset.about]));
        let micros: Vec<u64> = links.iter().map(|link| link.delay.as_nanos() / 1_000).collect();
        networks.push(json!({
            "network": preset.name, "about": preset.about, "same_host_us": micros[0], "same_zone_us": micros[1],
            "same_region_us": micros[2], "internet_us": micros[3],
        }));
    }
    rows.push(Vec::new());
    rows.push(row(&["disk", "fastest", "mean", "what it is (synced write)"]));
    let mut disks = Vec::new();
    for disk in &DISKS {
        let mean = disk.spec.shift + disk.spec.mean;
        rows.push(row(&[disk.name, &disk.spec.shift.to_string(), &mean.to_string(), disk.about]));
        disks.push(json!({"disk": disk.name, "about": disk.about, "mean_us": mean.as_nanos() / 1_000}));
    }
    (rows, json!({"networks": networks, "disks": disks}))
}

fn instances() -> Listing {
    let mut rows = vec![row(&["instance", "cores", "cpu", "memory", "usable", "bandwidth", "arch", "usd/h"])];
    let mut out = Vec::new();
    for kind in TYPES {
        let price = kind.price_per_million_hours.unwrap_or(0) as f64 / 1e6;
        rows.push(row(&[
            &kind.name,
            &kind.cores.to_string(),
            &kind.cpu().to_string(),
            &kind.memory.to_string(),
            &kind.usable.to_string(),
            &kind.bandwidth.to_string(),
            kind.arch.name(),
            &format!("{price}"),
        ]));
        out.push(json!({
            "instance": kind.name, "cores": kind.cores, "cpu_mhz": kind.cpu().get(), "memory_mib": kind.memory.get(),
            "usable_mib": kind.usable.get(), "bandwidth_mbit_per_s": kind.bandwidth.get(), "arch": kind.arch.name(),
            "usd_per_h": price,
        }));
    }
    (rows, Value::Array(out))
}
