//! The CSV files: one row per metric, bucket, stage or allocation, written as they are made, as there may be millions.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use crate::analysis::ensemble::Ensemble;
use crate::analysis::hit;
use crate::analysis::summary::make::stages;
use crate::analysis::summary::rounded;
use crate::base::time::Time;
use crate::report::reason;

/// `metrics.csv`: every figure of every metric of every run.
pub fn metrics(ensemble: &Ensemble, to: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(to, &["seed", "metric", "unit", "samples", "statistic", "value"])?;
    for run in &ensemble.runs {
        for (key, value) in &run.metrics.0 {
            let samples = value.samples().map_or(String::new(), |n| n.to_string());
            let figures = value.figures();
            let unended = value.unended().map(|unended| ("unended", unended as f64));
            let figures: Vec<_> = figures.into_iter().chain(unended).collect();
            if figures.is_empty() {
                table.row(&[&run.seed, &key, &value.unit(), &samples, &"", &""])?;
            }
            for (statistic, figure) in figures {
                table.row(&[&run.seed, &key, &value.unit(), &samples, &statistic, &rounded(figure, value.unit())])?;
            }
        }
    }
    table.finish()
}

/// `series.csv`: every bucket of every series of every run.
pub fn series(ensemble: &Ensemble, to: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(to, &["seed", "series", "unit", "from_s", "value"])?;
    for run in &ensemble.runs {
        for series in &run.series {
            for (bucket, value) in series.values.iter().enumerate() {
                if let Some(value) = value {
                    let from = series.width.as_secs_f64() * bucket as f64;
                    table.row(&[&run.seed, &series.name, &series.unit, &from, &rounded(*value, series.unit)])?;
                }
            }
        }
    }
    table.finish()
}

/// `failovers.csv`: every stage of every fault of every run. The first row of each says how many machines it hit, and
/// which, unless it names whole zones or regions.
pub fn failovers(ensemble: &Ensemble, to: &mut dyn Write) -> io::Result<()> {
    let header = [
        "seed",
        "fault",
        "at_s",
        "case",
        "stage",
        "critical_path_ms",
        "p50_ms",
        "max_ms",
        "count",
        "unreplaced",
        "hit",
    ];
    let mut table = Table::new(to, &header)?;
    let shown = |ms: Option<f64>| ms.map_or(String::new(), |ms| ms.to_string());
    for run in &ensemble.runs {
        for failover in &run.failovers {
            let label = &ensemble.spec.timeline[failover.entry].label;
            let at = failover.at.as_secs_f64();
            let (none, case) = (&"", &failover.case);
            let hit = hit::machines(&ensemble.spec, failover).unwrap_or_default().join(" ");
            table.row(&[&run.seed, label, &at, case, &"hit", none, none, none, &failover.hit.len(), none, &hit])?;
            for election in &failover.elections {
                let region = &ensemble.spec.regions[election.group.region].name;
                let stage = format!("elect {} {region}", election.group.system.name());
                let ms = shown(election.elected.map(|end| end.since(failover.at).as_millis_f64()));
                let count = usize::from(election.elected.is_some());
                table.row(&[&run.seed, label, &at, case, &stage, &ms, &ms, &ms, &count, none, none])?;
            }
            for stage in stages(failover) {
                let (ms, p50, max) = (shown(stage.ms), shown(stage.p50_ms), shown(stage.max_ms));
                let unreplaced = failover.unreplaced();
                let stage_name = &stage.stage;
                table.row(&[
                    &run.seed,
                    label,
                    &at,
                    case,
                    stage_name,
                    &ms,
                    &p50,
                    &max,
                    &stage.count,
                    &unreplaced,
                    none,
                ])?;
            }
        }
    }
    table.finish()
}

/// `placements.csv`: every allocation of every run, with why it was placed there if the runs explain themselves.
pub fn placements(ensemble: &Ensemble, to: &mut dyn Write) -> io::Result<()> {
    let header = [
        "seed",
        "region",
        "alloc",
        "name",
        "machine",
        "zone",
        "previous",
        "cpu_mhz",
        "memory_mib",
        "asked_s",
        "placed_s",
        "running_s",
        "ended_s",
        "desired",
        "client",
        "eval",
        "score",
        "preempted",
    ];
    let mut table = Table::new(to, &[&header[..], &reason::CELLS].concat())?;
    for run in &ensemble.runs {
        for placement in &run.placements {
            let machine = &ensemble.spec.machines[placement.machine];
            let (desired, client) = placement.ended.map_or((String::new(), String::new()), |(_, desired, client)| {
                (format!("{desired:?}").to_lowercase(), format!("{client:?}").to_lowercase())
            });
            let preempted: Vec<String> = placement.preempted.iter().map(ToString::to_string).collect();
            table.whole(run.seed)?;
            table.text(&ensemble.spec.regions[placement.instance.region].name)?;
            table.shown(&placement.instance.alloc)?;
            table.text(&placement.name())?;
            table.text(&machine.name)?;
            table.text(&ensemble.spec.zones[machine.zone].name)?;
            match placement.previous {
                Some(previous) => table.shown(&previous)?,
                None => table.text("")?,
            }
            table.whole(placement.resources.cpu.get())?;
            table.whole(placement.resources.memory.get())?;
            table.seconds(Some(placement.asked_at))?;
            table.seconds(Some(placement.placed_at))?;
            table.seconds(placement.running_at)?;
            table.seconds(placement.ended.map(|(at, ..)| at))?;
            table.text(&desired)?;
            table.text(&client)?;
            table.shown(&placement.eval)?;
            table.shown(&rounded(placement.score, "ratio"))?;
            table.text(&preempted.join(" "))?;
            for cell in reason::cells(&ensemble.spec, placement.instance.region, placement.why.as_deref()) {
                table.text(&cell)?;
            }
            table.end()?;
        }
    }
    table.finish()
}

/// A CSV file being written.
pub(crate) struct Table<'a> {
    writer: csv::Writer<&'a mut dyn Write>,
    /// The text of one cell.
    cell: String,
}

impl<'a> Table<'a> {
    pub(crate) fn new(to: &'a mut dyn Write, header: &[&str]) -> io::Result<Self> {
        let mut table = Self { writer: csv::Writer::from_writer(to), cell: String::new() };
        table.writer.write_record(header)?;
        Ok(table)
    }

    /// A whole row.
    pub(crate) fn row(&mut self, cells: &[&dyn Display]) -> io::Result<()> {
        for cell in cells {
            self.shown(*cell)?;
        }
        self.end()
    }

    /// The next cell of a row.
    fn text(&mut self, text: &str) -> io::Result<()> {
        Ok(self.writer.write_field(text)?)
    }

    fn shown(&mut self, what: &dyn Display) -> io::Result<()> {
        self.cell.clear();
        write!(self.cell, "{what}").expect("a string takes every character");
        Ok(self.writer.write_field(&self.cell)?)
    }

    fn whole(&mut self, number: u64) -> io::Result<()> {
        self.text(itoa::Buffer::new().format(number))
    }

    /// Seconds since the start as [`Time::as_secs_f64`] has them; nothing for what never was.
    fn seconds(&mut self, at: Option<Time>) -> io::Result<()> {
        let Some(at) = at else { return self.text("") };
        if at.as_nanos() >= NANOS_MAX {
            return self.shown(&at.as_secs_f64());
        }
        self.cell.clear();
        write_seconds(&mut self.cell, at);
        Ok(self.writer.write_field(&self.cell)?)
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Fifteen decimal digits survive the way into a float and back, so below this the digits are known without it.
const NANOS_MAX: u64 = 1_000_000_000_000_000;

/// Seconds with as many digits as they need.
fn write_seconds(to: &mut String, at: Time) {
    let mut digits = itoa::Buffer::new();
    let (whole, rest) = (at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
    to.push_str(digits.format(whole));
    if rest > 0 {
        // A one in front keeps the zeros behind the point.
        let rest = digits.format(1_000_000_000 + rest);
        to.push('.');
        to.push_str(rest[1..].trim_end_matches('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn seconds_are_written_as_floats_are() {
        let mut rng = Rng::stream(7, "seconds");
        let edges = [0, 1, 10, 999_999_999, 1_000_000_000, 1_500_000_000, NANOS_MAX - 1, NANOS_MAX, NANOS_MAX + 1];
        let random: Vec<u64> = (0..10_000).map(|at| rng.below(1 << (1 + at % 60))).collect();
        let mut bytes = Vec::new();
        let mut table = Table::new(&mut bytes, &["nanos", "seconds"]).expect("memory takes all");
        let mut expected = "nanos,seconds\n0,\n".to_owned();
        let mut row = |nanos: u64, at: Option<Time>| {
            table.whole(nanos).and_then(|()| table.seconds(at)).and_then(|()| table.end()).expect("memory takes all");
        };
        row(0, None);
        for nanos in edges.into_iter().chain(random) {
            let at = Time::from_nanos(nanos);
            row(nanos, Some(at));
            writeln!(expected, "{nanos},{}", at.as_secs_f64()).expect("a string takes every character");
        }
        table.finish().expect("memory takes all");
        assert_eq!(String::from_utf8(bytes).expect("text"), expected);
    }
}
