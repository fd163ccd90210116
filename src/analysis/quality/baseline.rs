//! Baselines: what a workload came to before, as a small text that is fit to be committed and reviewed.
//!
//! ```text
//! cossim quality baseline 1
//! workload near-full
//! digest 0123456789abcdef
//! seeds 1 2 3
//! placement.queued{region=r} mean allocs = 3.017348 2.5 3
//! placement.time_to_running{region=r} p99 ms = 812.5 never -
//! ```
//!
//! `never` is a wait that had not ended with its run, `-` no data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::analysis::quality::{Figure, Scores, TELLING};
use crate::base::ordered::OrdSet;
use crate::measure::catalogue::{Kind, Metric, Unit};
use crate::measure::objective::Subject;
use crate::measure::tolerance::compared;

/// The first line; the number is the version of the format.
const HEAD: &str = "cossim quality baseline 1";
const NEVER: &str = "never";
const NO_DATA: &str = "-";

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file cannot be read or written.
    #[error("cannot {verb} `{}`: {cause}", path.display())]
    Unusable {
        /// `read` or `write`.
        verb: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is not one of ours.
    #[error("`{}`, line {line}: {what}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// Where the baseline of a workload stands: `baselines/NAME.txt` beside it.
pub fn path(folder: &Path, workload: &str) -> PathBuf {
    folder.join("baselines").join(format!("{workload}.txt"))
}

/// Scores as text.
pub fn text(scores: &Scores) -> String {
    let mut text = format!("{HEAD}\nworkload {}\ndigest {}\nseeds", scores.workload, scores.digest);
    for seed in &scores.seeds {
        write!(text, " {seed}").expect("a string takes every character");
    }
    for Figure { metric, statistic, unit, values } in &scores.figures {
        write!(text, "\n{metric} {statistic} {unit} =").expect("a string takes every character");
        for value in values {
            text.push(' ');
            match value {
                None => text.push_str(NO_DATA),
                Some(value) if value.is_infinite() => text.push_str(NEVER),
                Some(value) => write!(text, "{value}").expect("a string takes every character"),
            }
        }
    }
    text.push('\n');
    text
}

/// Writes a baseline, complete or not at all.
pub fn write(path: &Path, scores: &Scores) -> Result<(), BaselineError> {
    let failed = |cause| BaselineError::Unusable { verb: "write", path: path.to_owned(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let beside = path.with_extension("new");
    std::fs::write(&beside, text(scores)).and_then(|()| std::fs::rename(&beside, path)).map_err(failed)
}

/// Reads a baseline.
pub fn read(path: &Path) -> Result<Scores, BaselineError> {
    let failed = |cause| BaselineError::Unusable { verb: "read", path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    parse(&text).map_err(|(line, what)| BaselineError::Malformed { path: path.to_owned(), line, what })
}

/// Reads the baselines of these workloads, which stand in `folder`.
pub fn read_all<'a>(folder: &Path, workloads: impl Iterator<Item = &'a str>) -> Result<Vec<Scores>, BaselineError> {
    workloads.map(|workload| read(&path(folder, workload))).collect()
}

/// The first file of a baseline in `folder` that belongs to none of these workloads.
pub fn without_workload<'a>(
    folder: &Path,
    workloads: impl Iterator<Item = &'a str>,
) -> Result<Option<PathBuf>, BaselineError> {
    let known: OrdSet<PathBuf> = workloads.map(|workload| path(folder, workload)).collect();
    let stand = folder.join("baselines");
    let unusable = |cause| BaselineError::Unusable { verb: "read", path: stand.clone(), cause };
    let mut orphans = OrdSet::new();
    for entry in std::fs::read_dir(&stand).map_err(unusable)? {
        let file = entry.map_err(unusable)?.path();
        if file.extension().is_some_and(|extension| extension == "txt") && !known.contains(&file) {
            orphans.insert(file);
        }
    }
    Ok(orphans.pop_first())
}

/// The scores, or the line that is wrong and why.
fn parse(text: &str) -> Result<Scores, (usize, String)> {
    let mut lines = text.lines().zip(1..);
    match lines.next() {
        Some((HEAD, _)) => {}
        _ => return Err((1, format!("not a baseline of this version, which begins with `{HEAD}`"))),
    }
    let mut header = |word: &str, line: usize| {
        let value = lines.next().and_then(|(line, _)| line.strip_prefix(word)?.strip_prefix(' '));
        value.map(str::to_owned).ok_or_else(|| (line, format!("`{word}` and its value belong here")))
    };
    let (workload, digest) = (header("workload", 2)?, header("digest", 3)?);
    let seeds: Result<Vec<u64>, _> = header("seeds", 4)?.split(' ').map(str::parse).collect();
    let seeds = seeds.map_err(|_| (4, "a seed is not a whole number".to_owned()))?;
    if seeds.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err((4, "the seeds are not in order, each once".to_owned()));
    }
    let mut figures: Vec<Figure> = Vec::new();
    for (line, at) in lines {
        let read = figure(line, seeds.len()).map_err(|what| (at, what))?;
        if figures.iter().any(|known| (&known.metric, &known.statistic) == (&read.metric, &read.statistic)) {
            return Err((at, format!("`{} {}` stands there twice", read.metric, read.statistic)));
        }
        figures.push(read);
    }
    if !text.ends_with('\n') {
        return Err((text.lines().count(), "the file ends within a line: its end is missing".to_owned()));
    }
    Ok(Scores { workload, digest, seeds, figures, broken: Vec::new() })
}

/// `METRIC STATISTIC UNIT = VALUES`
fn figure(line: &str, seeds: usize) -> Result<Figure, String> {
    let shape = || "a figure is written `METRIC STATISTIC UNIT = VALUES`".to_owned();
    let (head, values) = line.split_once(" = ").ok_or_else(shape)?;
    let [metric, statistic, unit] = head.split(' ').collect::<Vec<_>>()[..] else { return Err(shape()) };
    let of = known(metric, statistic, unit)?;
    let value = |word: &str| match word {
        NO_DATA => Some(None),
        NEVER => Some(Some(f64::INFINITY)),
        number => number.parse::<f64>().ok().filter(|value| value.is_finite()).map(Some),
    };
    let values: Option<Vec<Option<f64>>> = values.split(' ').map(value).collect();
    let values = values.ok_or_else(|| format!("a value is neither a number nor `{NEVER}` nor `{NO_DATA}`"))?;
    if values.len() != seeds {
        return Err(format!("{} values for {seeds} seeds", values.len()));
    }
    values.iter().flatten().try_for_each(|value| possible(of, *value))?;
    Ok(Figure { metric: metric.to_owned(), statistic: statistic.to_owned(), unit: unit.to_owned(), values })
}

/// The metric of a figure, if it is one that is written into baselines: a metric that tells of quality, with its own
/// labels, statistics and unit.
fn known(metric: &str, statistic: &str, unit: &str) -> Result<&'static Metric, String> {
    let subject = Subject::parse(metric).map_err(|error| error.to_string())?;
    let of = subject.metric;
    let labels: Vec<String> = subject.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let has_all = subject.labels.iter().map(|(label, _)| label.as_str()).eq(of.labels.iter().copied());
    if !has_all || metric != format!("{}{{{}}}", of.name, labels.join(",")) {
        let form = of.labels.join("=…,");
        return Err(format!("`{metric}` is no series: one of `{}` is written `{}{{{form}=…}}`", of.name, of.name));
    }
    if !TELLING.iter().any(|(name, _)| *name == of.name) {
        return Err(format!("`{}` tells nothing of the quality of placements", of.name));
    }
    if !compared(of.kind).contains(&statistic) {
        let statistics = compared(of.kind).join("` or `");
        return Err(format!("of `{}` a baseline has `{statistics}`, not `{statistic}`", of.name));
    }
    if unit != of.unit.name() {
        return Err(format!("`{}` is in `{}`, not in `{unit}`", of.name, of.unit.name()));
    }
    Ok(of)
}

/// Refuses what no run comes to.
fn possible(of: &Metric, value: f64) -> Result<(), String> {
    let name = of.name;
    match of.kind {
        _ if value < 0.0 => Err(format!("`{name}` is never below zero: {value}")),
        Kind::Total if libm::trunc(value).to_bits() != value.to_bits() => {
            Err(format!("`{name}` is a whole number: {value}"))
        }
        Kind::Level | Kind::Share | Kind::Total if value.is_infinite() => {
            Err(format!("only a wait can be `{NEVER}`, and `{name}` is none"))
        }
        _ if of.unit == Unit::Percent && value > 100.0 => Err(format!("`{name}` is at most 100 %: {value}")),
        Kind::Times | Kind::Level | Kind::Share | Kind::Total => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores() -> Scores {
        let figure = |metric: &str, statistic: &str, unit: &str, values: &[Option<f64>]| Figure {
            metric: metric.to_owned(),
            statistic: statistic.to_owned(),
            unit: unit.to_owned(),
            values: values.to_vec(),
        };
        Scores {
            workload: "near-full".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            seeds: vec![1, 2],
            broken: Vec::new(),
            figures: vec![
                figure("placement.queued{region=r}", "mean", "allocs", &[Some(3.017_348), Some(2.5)]),
                figure("placement.largest_fit.cpu{region=r}", "mean", "MHz", &[Some(5e-7), Some(0.0)]),
                figure("placement.time_to_running{region=r}", "p99", "ms", &[Some(f64::INFINITY), None]),
            ],
        }
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        assert_eq!(parse(&text(&scores())), Ok(scores()));
    }

    #[test]
    fn mistakes_have_their_line() {
        let text = text(&scores());
        for (from, to, line) in [
            ("baseline 1", "baseline 2", 1),
            ("workload near", "work near", 2),
            ("digest ", "", 3),
            ("seeds 1", "seeds one", 4),
            (" mean allocs", " allocs", 5),
            (" 2.5", "", 5),
            ("2.5", "NaN", 5),
            ("MHz =", "MHz", 6),
            ("never", "ever", 7),
            ("mean allocs", "mean ms", 5),
            ("mean allocs", "p99 allocs", 5),
            ("placement.queued{", "placement.qeued{", 5),
            ("placement.queued{region", "placement.queued{colour", 5),
            ("placement.queued{region=r}", "placement.queued", 5),
            ("placement.queued{region=r} mean", "placement.utilization.cpu{region=r} mean", 5),
            ("3.017348", "-3.017348", 5),
            ("3.017348", "never", 5),
        ] {
            let mistake = parse(&text.replacen(from, to, 1)).expect_err(from);
            assert_eq!(mistake.0, line, "{from} {mistake:?}");
        }
        let other = |line: &str| parse(&format!("{text}{line}\n")).map_err(|(at, _)| at);
        assert_eq!(other("placement.replaced{region=r} total allocs = 3 0").map(|scores| scores.figures.len()), Ok(4));
        for wrong in [
            "placement.replaced{region=r} total allocs = -3 0",
            "placement.replaced{region=r} total allocs = 2.5 0",
            "placement.stranded{dimension=cpu,region=r} mean % = 101 0",
        ] {
            assert_eq!(other(wrong), Err(8), "{wrong}");
        }
        assert_eq!(parse("").expect_err("nothing is there").0, 1);
        for seeds in ["seeds 2 1", "seeds 1 1"] {
            assert_eq!(parse(&text.replace("seeds 1 2", seeds)).expect_err(seeds).0, 4);
        }
        let twice = format!("{text}placement.queued{{region=r}} mean allocs = 1 2\n");
        let (line, what) = parse(&twice).expect_err("one figure has two lines");
        assert_eq!((line, &*what), (8, "`placement.queued{region=r} mean` stands there twice"));
        // Cut off within a number, which is one all the same.
        let end = text.find("2.5").expect("a value") + 1;
        assert_eq!(parse(&text[..end]).expect_err("its end is missing").0, 5);
    }
}
