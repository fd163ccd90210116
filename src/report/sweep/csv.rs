//! `points.csv`, one row per point, and `runs.csv`, one row per run and measure.

use crate::analysis::sweep::table::Swept;
use crate::report::sweep::json::nine;
use crate::report::sweep::store::NEVER;

/// Columns of a measure at a point.
const COLUMNS: [&str; 9] = [
    "mean",
    "ci95_low",
    "ci95_high",
    "seeds",
    "never",
    "from_first",
    "from_first_ci95_low",
    "from_first_ci95_high",
    "from_first_seeds",
];

/// One row per point: its values, then mean, interval and counts of every measure and the same of its difference to the
/// first point within seeds, then whether expectations are met (empty where they are not exercised), in how many seeds
/// they held, and in how many there was nothing to judge.
pub fn points(swept: &Swept) -> Vec<u8> {
    let readings = &swept.sweep.readings;
    let mut header = vec!["point".to_owned()];
    header.extend(swept.sweep.dimensions.iter().map(|dimension| dimension.path.clone()));
    for measure in &readings.measures {
        let name = match measure.unit() {
            "" => measure.measured(),
            unit => format!("{} [{unit}]", measure.measured()),
        };
        header.extend(COLUMNS.map(|column| format!("{name} {column}")));
    }
    for (text, ..) in &readings.expectations {
        header.extend(["met", "passed", "not_exercised"].map(|column| format!("{text} {column}")));
    }
    let mut rows = vec![header];
    for point in 0..swept.points() {
        let mut row = vec![point.to_string()];
        row.extend(swept.sweep.layout.values[point].iter().cloned());
        for measure in 0..readings.measures.len() {
            let estimate = swept.estimate(point, measure);
            let shown = |figure: Option<f64>| figure.map_or(String::new(), |figure| nine(figure).to_string());
            row.push(shown(estimate.mean));
            row.push(shown(estimate.interval.map(|(low, _)| low)));
            row.push(shown(estimate.interval.map(|(_, high)| high)));
            row.extend([estimate.seeds.to_string(), estimate.never.to_string()]);
            let found = swept.difference(point, measure);
            let interval = found.and_then(|found| found.interval);
            row.extend(
                [found.map(|found| found.mean), interval.map(|(low, _)| low), interval.map(|(_, high)| high)]
                    .map(shown),
            );
            row.push(found.map_or(String::new(), |found| found.seeds.to_string()));
        }
        for expectation in 0..readings.expectations.len() {
            let held = swept.held(point, expectation);
            let met = if held.is_exercised() { held.met.to_string() } else { String::new() };
            row.extend([met, held.passed.to_string(), held.idle.to_string()]);
        }
        rows.push(row);
    }
    written(&rows)
}

/// One row per run and measure.
pub fn runs(swept: &Swept) -> Vec<u8> {
    let mut header = vec!["point".to_owned(), "seed".to_owned()];
    header.extend(swept.sweep.dimensions.iter().map(|dimension| dimension.path.clone()));
    header.extend(["run_digest", "measure", "unit", "value"].map(str::to_owned));
    let mut rows = vec![header];
    for (number, run) in swept.rows.iter().enumerate() {
        let (point, seed) = swept.sweep.place(number);
        for (measure, value) in swept.sweep.readings.measures.iter().zip(&run.values) {
            let mut row = vec![point.to_string(), seed.to_string()];
            row.extend(swept.sweep.layout.values[point].iter().cloned());
            row.push(format!("{:016x}", run.digest));
            row.extend([measure.measured(), measure.unit().to_owned()]);
            row.push(match value {
                None => String::new(),
                Some(value) if value.is_infinite() => NEVER.to_owned(),
                Some(value) => nine(*value).to_string(),
            });
            rows.push(row);
        }
    }
    written(&rows)
}

fn written(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("a row into memory");
    }
    writer.into_inner().expect("a table in memory")
}
