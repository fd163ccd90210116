//! The figures of a comparison: one per metric, statistic and pair of runs.

use super::{Limit, Power, Row, Tick, Tolerances, Verdict};
use crate::analysis::batch::Wish;
use crate::analysis::statistics::holm::{Tested, holm};
use crate::analysis::statistics::power::smallest_detectable;
use crate::analysis::statistics::shift::Shift;
use crate::analysis::statistics::{deviation, median, signed_rank};
use crate::analysis::summary::{Metric, Run};
use crate::base::math;
use crate::base::ordered::OrdSet;
use crate::measure::catalogue::{self, Kind, Worse};
use crate::measure::tolerance::shared;

const CONFIDENCE: f64 = 0.95;

/// Digits of the larger of two values that their difference is known to.
const DIGITS: i32 = 12;

/// A larger gain cannot be told from differences that do not vary at all.
const GAIN_MAX: f64 = 1e9;

/// A figure by seed.
struct Measured {
    row: Row,
    /// Head minus base.
    differences: Vec<f64>,
    /// Both sides.
    values: Vec<(f64, f64)>,
}

/// Every figure that both sides have in some seed, judged together; and how many of them were tested. Metrics that say
/// only what is are not tested: that would cost the others power. `tick` hears before each figure how many of how many
/// are done; `None` if it wants no more.
pub(super) fn rows(pairs: &[(&Run, &Run)], tolerances: &Tolerances, tick: &mut Tick<'_>) -> Option<(Vec<Row>, Power)> {
    let keys: OrdSet<&String> = pairs.iter().flat_map(|(base, _)| base.metrics.keys()).collect();
    let mut measured: Vec<Measured> = Vec::new();
    for key in keys {
        let known = catalogue::of_key(key);
        let (kind, worse) = known.map_or((Kind::Times, Worse::Neither), |metric| (metric.kind, metric.worse));
        for statistic in tolerances.statistics(key, kind) {
            if let Limit::Up { relative, absolute } = tolerances.limit(key, statistic) {
                measured.extend(measure(key, (statistic, kind), worse, (relative, absolute), pairs));
            }
        }
    }
    for at in 0..measured.len() {
        if tick(at, measured.len()) == Wish::Stop {
            return None;
        }
        measured[at].row.interval = interval(&measured[..at], &measured[at]);
    }
    Some(judge(measured, tolerances.level, pairs.len()))
}

/// The interval of a figure; that of an earlier one which differs in the same way, because equal data have equal
/// intervals.
fn interval(earlier: &[Measured], this: &Measured) -> Option<(f64, f64)> {
    if this.row.moved == 0 {
        return Some((0.0, 0.0));
    }
    match earlier.iter().find(|other| are_bits_equal(&other.differences, &this.differences)) {
        Some(known) => known.row.interval,
        None => {
            let name = format!("{} {}", this.row.metric, this.row.statistic);
            Shift::of(&this.differences).interval(&name, CONFIDENCE)
        }
    }
}

fn measure(
    key: &str,
    (statistic, kind): (&'static str, Kind),
    worse: Worse,
    limit: (f64, f64),
    pairs: &[(&Run, &Run)],
) -> Option<Measured> {
    let of = |run: &Run| run.metrics.get(key).and_then(|metric| figure(metric, statistic));
    let values: Vec<(Option<f64>, Option<f64>)> = pairs.iter().map(|(base, head)| (of(base), of(head))).collect();
    let unpaired = values.iter().filter(|(base, head)| base.is_some() != head.is_some()).count();
    let values: Vec<(f64, f64)> = values.into_iter().filter_map(|(base, head)| base.zip(head)).collect();
    let (base, head): (Vec<f64>, Vec<f64>) = values.iter().copied().unzip();
    let differences: Vec<f64> = values.iter().map(|(base, head)| difference(*base, *head)).collect();
    let (base_median, head_median) = (median(&base)?, median(&head)?);
    let shift = Shift::of(&differences);
    let unit = pairs.iter().find_map(|(base, _)| base.metrics.get(key)).map_or("", |metric| &metric.unit);
    let same = shift.moved == 0;
    let share = if base_median.is_finite() { limit.0 * shared(base_median, kind) } else { 0.0 };
    let row = Row {
        metric: key.to_owned(),
        statistic,
        unit: unit.to_owned(),
        worse,
        pairs: differences.len(),
        unpaired,
        base: base_median,
        head: head_median,
        effect: shift.by,
        moved: shift.moved,
        interval: None,
        tolerance: share.max(limit.1),
        p: None,
        detectable: None,
        gain: gain(&base, &head, &differences),
        verdict: if same { Verdict::Same } else { Verdict::NoEvidence },
        same_as: None,
    };
    Some(Measured { row, differences, values })
}

/// Whether two figures of one metric differ in the same way, as the percentiles of one sample a run do.
fn differ_alike(one: &Measured, two: &Measured) -> bool {
    one.row.metric == two.row.metric && are_bits_equal(&one.differences, &two.differences)
}

fn are_bits_equal(one: &[f64], two: &[f64]) -> bool {
    one.iter().map(|by| by.to_bits()).eq(two.iter().map(|by| by.to_bits()))
}

/// Whether two figures, be they of one metric or of two, have the same values on both sides in every seed.
fn are_equal(one: &Measured, two: &Measured) -> bool {
    let bits = |(base, head): &(f64, f64)| (base.to_bits(), head.to_bits());
    let are_alike = (one.row.worse, &one.row.unit) == (two.row.worse, &two.row.unit);
    are_alike && one.values.iter().map(bits).eq(two.values.iter().map(bits))
}

/// An earlier figure of the same metric that differs in the same way. It is tested for both: one fact is no two.
fn twin(measured: &[Measured], at: usize) -> Option<usize> {
    let mut earlier = (0..at).rev().take_while(|&other| measured[other].row.metric == measured[at].row.metric);
    earlier.find(|&other| differ_alike(&measured[other], &measured[at]))
}

/// Names the figure that each one repeats, if there is one and both come to the same.
fn name_repeated(measured: &mut [Measured]) {
    let mut own: Vec<usize> = Vec::new();
    for at in 0..measured.len() {
        let this = &measured[at];
        let repeats = |&&other: &&usize| {
            let other = &measured[other];
            other.row.verdict == this.row.verdict && (differ_alike(other, this) || are_equal(other, this))
        };
        let is_alike = this.row.verdict != Verdict::Same;
        let first = is_alike.then(|| own.iter().find(repeats)).flatten().map(|&other| &measured[other].row);
        match first.map(|first| format!("{} {}", first.metric, first.statistic)) {
            None => own.push(at),
            name => measured[at].row.same_as = name,
        }
    }
}

fn judge(mut measured: Vec<Measured>, level: f64, seeds: usize) -> (Vec<Row>, Power) {
    let is_tested = |row: &Row| row.verdict != Verdict::Same && row.worse != Worse::Neither;
    let test = |measured: &Measured| {
        let test = is_tested(&measured.row).then(|| signed_rank::test(&measured.differences)).flatten()?;
        Some(Tested { p: test.p_two_sided, least: test.least })
    };
    let twins: Vec<Option<usize>> = (0..measured.len()).map(|at| twin(&measured, at)).collect();
    let each: Vec<Option<Tested>> = measured.iter().map(test).collect();
    let is_own = |(_, twin): &(&Option<Tested>, &Option<usize>)| twin.is_none();
    let tested: Vec<Tested> = each.iter().zip(&twins).filter(is_own).filter_map(|(test, _)| *test).collect();
    let corrected = holm(&tested, level);
    let power = Power { tested: tested.len(), able: corrected.able };
    let strictest = level / corrected.factor as f64;
    let mut corrected = corrected.each.into_iter();
    let mut seen: Vec<Option<(f64, f64)>> = Vec::new();
    for ((Measured { row, differences, values }, test), twin) in measured.iter_mut().zip(each).zip(twins) {
        row.p = match twin {
            Some(twin) => seen[twin],
            None => test.and_then(|test| Some((test.p, corrected.next()?))),
        };
        seen.push(row.p);
        let able = test.filter(|test| test.least <= strictest);
        row.detectable = able.and_then(|_| smallest_detectable(differences, strictest)).filter(|by| by.is_finite());
        let beyond = row.is_beyond();
        let is_never = values.iter().any(|(base, head)| base.is_finite() && head.is_infinite());
        row.verdict = match (row.p, row.is_worse()) {
            // What never ends any more in some seed is not made up for by the others, and within no tolerance.
            (_, Some(worse)) if is_never && !(beyond && worse) => row.verdict,
            (Some((_, p)), _) if !beyond && p < level => Verdict::Tolerated,
            _ if !beyond => row.verdict,
            (Some((_, p)), Some(worse)) if p < level => {
                if worse {
                    Verdict::Regression
                } else {
                    Verdict::Improvement
                }
            }
            // A comparison of one seed bears no evidence, and what is other in it is other all the same.
            (None, None) if seeds == 1 || is_moved(row, differences, level) => Verdict::Moved,
            _ => row.verdict,
        };
    }
    name_repeated(&mut measured);
    (measured.into_iter().map(|measured| measured.row).collect(), power)
}

/// Whether a figure that neither way of which is worse has moved: its interval is off zero, and so did every seed, or
/// more of them one way than by chance. Its probability is not corrected, and corrects no other.
fn is_moved(row: &Row, differences: &[f64], level: f64) -> bool {
    let is_off = row.interval.is_some_and(|(low, high)| 0.0 < low || high < 0.0);
    let is_clear = || signed_rank::test(differences).is_some_and(|test| test.p_two_sided < level);
    is_off && (row.moved == row.pairs || is_clear())
}

/// A statistic of a run; infinite if it falls on a wait that had not ended, `None` without data.
pub(super) fn figure(metric: &Metric, statistic: &str) -> Option<f64> {
    let never = metric.unended.is_some_and(|unended| unended > 0).then_some(f64::INFINITY);
    metric.figures.get(statistic).copied().or(never)
}

/// Head minus base, to as many digits as the larger of them has, so that equal moves of values written in decimals are
/// equal to the last bit: 4.2 - 4.1 is 2.3 - 2.2. Of two that never ended there is none.
fn difference(base: f64, head: f64) -> f64 {
    let size = base.abs().max(head.abs());
    if base.is_infinite() && head.is_infinite() || size <= 0.0 {
        return 0.0;
    }
    if size.is_infinite() {
        return head - base;
    }
    let decimals = (DIGITS - 1 - libm::floor(math::log10(size)) as i32).clamp(0, 300) as usize;
    let text = format!("{:.decimals$}", head - base);
    // Adding zero turns a negative zero into a plain one.
    text.parse::<f64>().expect("a formatted number is a number") + 0.0
}

fn gain(base: &[f64], head: &[f64], differences: &[f64]) -> Option<f64> {
    let square = |values: &[f64]| deviation(values).map(|deviation| deviation * deviation);
    let gain = (square(base)? + square(head)?) / square(differences)?;
    // More than that is the noise of last bits: the differences are all the same.
    (gain < GAIN_MAX).then_some(gain)
}
