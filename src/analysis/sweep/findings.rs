//! What a sweep teaches, in figures and in sentences: where answers flip, what the results depend on, and which
//! assumed values they rest on.

use std::fmt::Write as _;

use crate::analysis::sensitivity::morris::{self, Effect, Turns};
use crate::analysis::sensitivity::sobol::{self, Index, Share};
use crate::analysis::sensitivity::tipping::{self, Cut};
use crate::analysis::sweep::design::Design;
use crate::analysis::sweep::table::Swept;
use crate::base::math;
use crate::scenario::parameters::Parameter;
use crate::scenario::vary::{self, Dimension};

/// What a sweep teaches.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Where expectations stop to hold.
    pub flips: Vec<Flip>,
    /// What each measure depends on, by elementary effects; of a Morris design.
    pub screenings: Vec<Screening>,
    /// What each measure depends on, by shares of its variance; of a Sobol design.
    pub shares: Vec<Shares>,
    /// Parameters whose values are assumed.
    pub assumed: Vec<Assumption>,
    /// All of it in sentences, the most useful first; those about assumed values come last.
    pub sentences: Vec<String>,
    /// How many of the sentences are not about assumed values.
    lessons: usize,
}

/// An expectation that stops to hold at a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Flip {
    /// Which expectation.
    pub expectation: usize,
    /// Of which dimension the value is.
    pub dimension: usize,
    /// Where; times in seconds.
    pub cut: Cut,
    /// Unit of the value.
    pub unit: String,
    /// Points that do not exercise the expectation; they say nothing of it and are left out of the cut.
    pub left_out: usize,
}

/// Elementary effects on a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Screening {
    /// Which measure.
    pub measure: usize,
    /// By dimension; `None` for one without any complete move.
    pub effects: Vec<Option<Effect>>,
    /// How often a move of each dimension changed whether the measure ends in every seed.
    pub ends: Vec<Turns>,
    /// Points without a value, which are left out.
    pub left_out: usize,
    /// How much of the squared effects of a dimension luck alone would make; `None` without effects or with one seed.
    pub luck: Vec<Option<f64>>,
}

/// Shares of the variance of a measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Which measure.
    pub measure: usize,
    /// By dimension; `None` if the measure does not vary, or hardly ever has a value.
    pub indices: Option<Vec<Index>>,
    /// The same of the share of seeds in which the measure does not end with the run; `None` if it is the same at every
    /// point.
    pub ends: Option<Vec<Index>>,
    /// Points without a value; their rows are left out.
    pub left_out: usize,
    /// Share of the variance between points that seeds alone would make, roughly; `None` with one seed.
    pub noise: Option<f64>,
}

/// A parameter whose value is assumed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumption {
    /// The parameter.
    pub parameter: Parameter,
    /// The dimension that varies it, if it is varied.
    pub dimension: Option<usize>,
    /// The measure it influences most, and its total share of that variance; of a Sobol design that varies it.
    pub largest_share: Option<(usize, f64)>,
}

/// A dimension matters for a measure if its mean absolute effect is at least this share of the largest.
pub const MATTERS: f64 = 0.1;
/// Intervals of a share that are wider say little.
const WIDE: f64 = 0.3;
/// If seeds alone make more than this of the variance between points, or of the squared effects of a value, what is
/// seen of it is luck: seeds may fall out otherwise at every point (more servers draw other phases of their
/// heartbeats), and then they are no pairs.
const LUCK: f64 = 0.5;
/// Shares below this are not worth a sentence.
const SHARE_MIN: f64 = 0.05;

impl Findings {
    /// What a sweep teaches.
    pub fn of(swept: &Swept) -> Self {
        let measures = 0..swept.sweep.readings.measures.len();
        let (screenings, shares) = match (swept.sweep.plan.design, &swept.sweep.layout.shares) {
            (Design::Morris { .. }, Some(points)) => {
                (measures.map(|measure| screening(swept, points, measure)).collect(), Vec::new())
            }
            (Design::Sobol { .. }, _) => (Vec::new(), measures.map(|measure| shares_of(swept, measure)).collect()),
            (Design::Grid | Design::List | Design::Latin { .. } | Design::Morris { .. }, _) => (Vec::new(), Vec::new()),
        };
        let flips = flips(swept);
        let assumed = assumptions(swept, &shares);
        let mut findings = Self { flips, screenings, shares, assumed, sentences: Vec::new(), lessons: 0 };
        findings.sentences = findings.in_words(swept);
        findings.lessons = findings.sentences.len();
        findings.sentences.extend(findings.assumed_in_words());
        findings
    }

    /// The sentences that are not about assumed values.
    pub fn lessons(&self) -> &[String] {
        &self.sentences[..self.lessons]
    }

    /// The dimensions that matter for at least one measure, by their elementary effects or because they decide whether
    /// it ends at all, in order.
    pub fn that_matter(&self) -> Vec<usize> {
        let of = |screening: &Screening| [screening.decisive(), screening.ranked().0].concat();
        let mut dimensions: Vec<usize> = self.screenings.iter().flat_map(of).collect();
        dimensions.sort_unstable();
        dimensions.dedup();
        dimensions
    }

    fn in_words(&self, swept: &Swept) -> Vec<String> {
        let mut out: Vec<String> =
            self.screenings.iter().filter_map(|screening| screening.ends_in_words(swept)).collect();
        out.extend(self.shares.iter().filter_map(|shares| shares.ends_in_words(swept)));
        out.extend(self.flips.iter().map(|flip| flip.in_words(swept)));
        for shares in &self.shares {
            shares.in_words(swept, &mut out);
        }
        out.extend(self.screenings.iter().map(|screening| screening.in_words(swept)));
        out
    }

    fn assumed_in_words(&self) -> Vec<String> {
        let mut out = Vec::new();
        let (varied, fixed): (Vec<&Assumption>, Vec<&Assumption>) =
            self.assumed.iter().partition(|assumption| assumption.dimension.is_some());
        let named = |all: &[&Assumption]| -> String {
            let name = |a: &&Assumption| format!("`{}` = {}", a.parameter.path, a.parameter.value);
            all.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        if !varied.is_empty() {
            out.push(format!("assumed values that were varied here: {}", named(&varied)));
        }
        if !fixed.is_empty() {
            out.push(format!("assumed values that were not varied, and that all of this rests on: {}", named(&fixed)));
        }
        out
    }
}

/// What a measure comes to at every point; `None` where a seed has no end or no value.
fn results(swept: &Swept, measure: usize) -> Vec<Option<f64>> {
    let at = |point| {
        let estimate = swept.estimate(point, measure);
        estimate.mean.filter(|_| estimate.never == 0 && estimate.seeds == swept.sweep.plan.seeds.len())
    };
    (0..swept.points()).map(at).collect()
}

/// Whether a measure ends with the run in every seed, at every point; `None` where it has no value at all.
fn ends(swept: &Swept, measure: usize) -> Vec<Option<bool>> {
    let at = |point| {
        let estimate = swept.estimate(point, measure);
        (estimate.never > 0 || estimate.seeds > 0).then_some(estimate.never == 0)
    };
    (0..swept.points()).map(at).collect()
}

fn screening(swept: &Swept, points: &[Vec<f64>], measure: usize) -> Screening {
    let results = results(swept, measure);
    let left_out = results.iter().filter(|result| result.is_none()).count();
    let values = swept.sweep.layout.values.iter().zip(points);
    let place = |(values, point): (&Vec<String>, &Vec<f64>)| {
        let each = swept.sweep.dimensions.iter().zip(values).zip(point);
        each.map(|((dimension, value), share)| realised(dimension, value, *share)).collect()
    };
    let points: Vec<Vec<f64>> = values.map(place).collect();
    let ends = morris::turns(&points, &ends(swept, measure));
    let values: Vec<Vec<f64>> = (0..results.len()).map(|point| values_at(swept, measure, &results, point)).collect();
    let luck = morris::luck(&points, &values);
    Screening { measure, effects: morris::effects(&points, &results), ends, left_out, luck }
}

/// Where in its range a dimension stands that was to stand at a `share` of it: of few values, it takes the nearest, and
/// moves further or less far than it was to.
fn realised(dimension: &Dimension, value: &str, share: f64) -> f64 {
    if let Some(list) = dimension.listed() {
        let index = list.iter().position(|known| known == value).unwrap_or(0);
        return index as f64 / (list.len() - 1).max(1) as f64;
    }
    let ends = vary::number(&dimension.at(0.0)).zip(vary::number(&dimension.at(1.0)));
    match (ends, vary::number(value)) {
        (Some((low, high)), Some(number)) if high > low => (number - low) / (high - low),
        _ => share,
    }
}

fn shares_of(swept: &Swept, measure: usize) -> Shares {
    let results = results(swept, measure);
    let left_out = results.iter().filter(|result| result.is_none()).count();
    let noise = noise_of(swept, measure, &results);
    let inputs = swept.sweep.dimensions.len();
    let share_without_end =
        |point| Some(swept.estimate(point, measure).never as f64 / swept.sweep.plan.seeds.len() as f64);
    let ends = sobol::indices(inputs, &(0..swept.points()).map(share_without_end).collect::<Vec<_>>());
    Shares { measure, indices: sobol::indices(inputs, &results), ends, left_out, noise }
}

/// The noise of a measure over the points at which it has a result.
fn noise_of(swept: &Swept, measure: usize, results: &[Option<f64>]) -> Option<f64> {
    let values = (0..results.len()).map(|point| values_at(swept, measure, results, point));
    noise(&values.filter(|values| !values.is_empty()).collect::<Vec<_>>())
}

/// What a measure comes to at a point, seed by seed; nothing if it has no result there.
fn values_at(swept: &Swept, measure: usize, results: &[Option<f64>], point: usize) -> Vec<f64> {
    let runs = swept.runs(point).iter().filter(|_| results[point].is_some());
    runs.filter_map(|run| run.values[measure]).collect()
}

fn is_luck(noise: Option<f64>) -> bool {
    noise.is_some_and(|noise| noise > LUCK)
}

/// That what is seen of a measure is luck.
fn luck_in_words(name: &str, noise: Option<f64>) -> String {
    let share = percent(noise.unwrap_or(1.0));
    format!(
        "what `{name}` depends on cannot be told from luck: {share} of its variance between points is as much as seeds \
         alone make; run more seeds"
    )
}

/// Share of the variance between points that the seeds alone would make, given the values of each point, one per seed;
/// `None` with one seed, or without any variance. What a seed adds at every point alike is no noise: all points have
/// the same seeds, and it cancels out.
fn noise(points: &[Vec<f64>]) -> Option<f64> {
    let seeds = points.first().map_or(0, Vec::len);
    if seeds < 2 || points.len() < 2 {
        return None;
    }
    let (count, all) = (points.len() as f64, seeds as f64);
    let of_point: Vec<f64> = points.iter().map(|values| values.iter().sum::<f64>() / all).collect();
    let of_seed: Vec<f64> =
        (0..seeds).map(|seed| points.iter().map(|values| values[seed]).sum::<f64>() / count).collect();
    let mean = of_seed.iter().sum::<f64>() / all;
    let variance = of_point.iter().map(|own| (own - mean) * (own - mean)).sum::<f64>() / (count - 1.0);
    let mut squares = 0.0;
    for (values, own) in points.iter().zip(&of_point) {
        for (value, common) in values.iter().zip(&of_seed) {
            let rest = value - own - common + mean;
            squares += rest * rest;
        }
    }
    let error = squares / ((count - 1.0) * (all - 1.0)) / all;
    (variance > 0.0).then(|| (error / variance).min(1.0))
}

fn flips(swept: &Swept) -> Vec<Flip> {
    let mut flips = Vec::new();
    for expectation in 0..swept.sweep.readings.expectations.len() {
        for dimension in 0..swept.sweep.dimensions.len() {
            let Some(numbers) = swept.numbers(dimension) else { continue };
            let held = |(point, number)| {
                let held = swept.held(point, expectation);
                held.is_exercised().then_some((number, held.met))
            };
            let points: Vec<(f64, bool)> = numbers.into_iter().enumerate().filter_map(held).collect();
            let left_out = swept.points() - points.len();
            if let Some(cut) = tipping::cut(&points) {
                let unit = vary::unit(swept.value(0, dimension)).to_owned();
                flips.push(Flip { expectation, dimension, cut, unit, left_out });
            }
        }
    }
    flips
}

fn assumptions(swept: &Swept, shares: &[Shares]) -> Vec<Assumption> {
    let of_assumed = swept.sweep.parameters.iter().filter(|parameter| parameter.is_assumed());
    of_assumed
        .map(|parameter| {
            let dimension = swept.sweep.dimensions.iter().position(|dimension| dimension.path == parameter.path);
            let total = |shares: &Shares| Some((shares.measure, shares.total(dimension?)?.value));
            let largest_share = shares.iter().filter_map(total).max_by(|a, b| a.1.total_cmp(&b.1));
            Assumption { parameter: parameter.clone(), dimension, largest_share }
        })
        .collect()
}

fn measure_name(swept: &Swept, measure: usize) -> String {
    swept.sweep.readings.measures[measure].measured()
}

fn path(swept: &Swept, dimension: usize) -> &str {
    &swept.sweep.dimensions[dimension].path
}

/// `, which is an assumed value`, where the table of parameters knows it.
fn which_is(swept: &Swept, dimension: usize) -> String {
    let parameter = swept.sweep.parameter(path(swept, dimension));
    parameter.map_or(String::new(), |parameter| format!(", which is {}", parameter.is_what()))
}

/// Four significant digits, without needless zeros.
fn short(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { libm::floor(math::log10(value.abs())) };
    let decimals = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share.clamp(0.0, 1.0))
}

impl Flip {
    fn in_words(&self, swept: &Swept) -> String {
        let cut = self.cut;
        let shown = |value: f64| match self.unit.as_str() {
            "" => short(value),
            unit if unit.starts_with(['/', '%']) => format!("{}{unit}", short(value)),
            unit => format!("{} {unit}", short(value)),
        };
        let (text, path) = (&swept.sweep.readings.expectations[self.expectation].0, path(swept, self.dimension));
        let (first, then) = if cut.holds_below { ("holds", "fails") } else { ("fails", "holds") };
        let (below, above) = (shown(cut.below), shown(cut.above));
        let points = if self.left_out > 0 { "points that exercise it" } else { "points" };
        let agree = if cut.agree == cut.points {
            format!("all {} {points} agree", cut.points)
        } else {
            format!("{} of {} {points} agree", cut.agree, cut.points)
        };
        let (between, others) = match self.left_out {
            0 => ("nothing was sampled", String::new()),
            others => ("nothing exercised it", format!("; {others} do not and are left out")),
        };
        format!(
            "the answer to `{text}` flips between {below} and {above} of `{path}`, between which {between}: it {first} \
             up to {below} and {then} from {above} on ({agree}{others}){}",
            match swept.sweep.parameter(path) {
                Some(parameter) => format!("; the scenario has {}, {}", parameter.value, parameter.is_what()),
                None => String::new(),
            },
        )
    }
}

impl Shares {
    /// The total share of an input, unless it comes from too few rows or seeds to mean anything.
    pub fn total(&self, input: usize) -> Option<Share> {
        let indices = self.indices.as_ref().filter(|indices| !is_luck(self.noise) && !sobol::are_too_few(indices))?;
        indices.get(input).map(|index| index.total)
    }

    fn in_words(&self, swept: &Swept, out: &mut Vec<String>) {
        let name = measure_name(swept, self.measure);
        let Some(indices) = &self.indices else {
            out.push(format!("`{name}` does not vary over these points, or has too few values to say why"));
            return;
        };
        if is_luck(self.noise) {
            out.push(luck_in_words(&name, self.noise));
        } else if let Some(text) = too_few_rows(swept, &name, indices) {
            out.push(text);
        } else {
            each_in_words(swept, &name, indices, out);
        }
        if let Some(noise) = self.noise.filter(|noise| *noise > 0.2 && *noise <= LUCK) {
            let text = "of the variance of it between points is as much as seeds alone make: run more seeds";
            out.push(format!("`{name}` is noisy: {} {text}", percent(noise)));
        }
        if self.left_out > 0 {
            let text = "points at which it has no value or does not end are left out of the shares of";
            out.push(format!("{} {text} `{name}`", self.left_out));
        }
    }

    fn ends_in_words(&self, swept: &Swept) -> Option<String> {
        let indices = self.ends.as_ref()?;
        let name = measure_name(swept, self.measure);
        let named = |dimension: usize| {
            let total = indices[dimension].total;
            let interval = total
                .interval
                .map_or(String::new(), |(low, high)| format!(", 95 % interval {} to {}", percent(low), percent(high)));
            let share = percent(total.value);
            format!("`{}` ({share} of its variance{interval}{})", path(swept, dimension), which_is(swept, dimension))
        };
        let all: Vec<String> = by_total(indices).into_iter().map(named).collect();
        let all = all.join(", then by ");
        (!all.is_empty()).then(|| format!("whether `{name}` ends at all with the run is decided by {all}"))
    }
}

/// What each dimension makes of the variance, the largest share first.
fn each_in_words(swept: &Swept, name: &str, indices: &[Index], out: &mut Vec<String>) {
    for dimension in by_total(indices) {
        let index = &indices[dimension];
        let interval = index
            .first
            .interval
            .map_or(String::new(), |(low, high)| format!(" (95 % interval {} to {})", percent(low), percent(high)));
        // The two are estimated apart; with few rows, what cannot be may come out.
        let (alone, with) = (percent(index.first.value), percent(index.total.value));
        let together = if alone == with {
            String::new()
        } else if index.total.value < index.first.value {
            format!("; together with the others {with}, though that cannot be less")
        } else {
            format!("; together with the others {with}")
        };
        let wide = index.first.interval.is_none_or(|(low, high)| high - low > WIDE);
        out.push(format!(
            "{alone} of the variance of `{name}` comes from `{}` alone{interval}{}{together}{}",
            path(swept, dimension),
            which_is(swept, dimension),
            if wide { "; the interval is wide, more rows narrow it" } else { "" },
        ));
    }
}

/// Dimensions whose share is worth a sentence, the largest total share first.
fn by_total(indices: &[Index]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..indices.len()).filter(|&at| indices[at].total.value >= SHARE_MIN).collect();
    order.sort_by(|&a, &b| indices[b].total.value.total_cmp(&indices[a].total.value));
    order
}

/// That there are too few rows to share out a variance, where the estimates show it: what inputs make alone cannot be
/// more than all of it together, and no input makes more with the others.
fn too_few_rows(swept: &Swept, name: &str, indices: &[Index]) -> Option<String> {
    if !sobol::are_too_few(indices) {
        return None;
    }
    let named = |(dimension, index): (usize, &Index)| {
        let (low, high) = index.first.interval.filter(|(low, high)| high > low)?;
        // As estimated: what cannot be shows how far off they are.
        Some(format!("`{}` {:.0} % to {:.0} %", path(swept, dimension), 100.0 * low, 100.0 * high))
    };
    let intervals: Vec<String> = indices.iter().enumerate().filter_map(named).collect();
    let sure = match intervals.as_slice() {
        [] => " (so few rows make no interval)".to_owned(),
        intervals => format!(" (95 % intervals: {})", intervals.join(", ")),
    };
    let sum = sobol::sum_of_first(indices);
    let below = indices.iter().position(|index| index.first.value < -sobol::ERROR_MAX);
    let above = indices.iter().position(|index| index.total.value > 1.0 + sobol::ERROR_MAX);
    let more = indices.iter().position(Index::exceeds_itself);
    let shown = match (below, above) {
        _ if sum > 1.0 + sobol::ERROR_MAX => {
            format!("what each value makes alone adds up to {:.0} %, and cannot be more than 100 %", 100.0 * sum)
        }
        (Some(below), _) => {
            let share = 100.0 * indices[below].first.value;
            format!("what `{}` makes alone comes to {share:.0} %, and cannot be less than none", path(swept, below))
        }
        (None, None) => {
            let more = more.unwrap_or_default();
            let Index { first, total } = indices[more];
            let (alone, with, path) = (100.0 * first.value, 100.0 * total.value, path(swept, more));
            format!(
                "what `{path}` makes alone comes to {alone:.0} %, and cannot be more than the {with:.0} % with the others"
            )
        }
        (None, Some(above)) => {
            let share = 100.0 * indices[above].total.value;
            let with = if indices.len() > 1 { "with the others " } else { "" };
            format!("what `{}` makes {with}comes to {share:.0} %, and cannot be more than 100 %", path(swept, above))
        }
    };
    Some(format!("the sample is too small to share out the variance of `{name}`: {shown}{sure}; more rows narrow it"))
}

impl Screening {
    /// Dimensions a move of which changed whether the measure ends at all, the one that did so most often first.
    fn decisive(&self) -> Vec<usize> {
        let share = |turns: &Turns| turns.turned as f64 / turns.moves.max(1) as f64;
        let mut order: Vec<usize> = (0..self.ends.len()).filter(|&at| self.ends[at].turned > 0).collect();
        order.sort_by(|&a, &b| share(&self.ends[b]).total_cmp(&share(&self.ends[a])));
        order
    }

    fn ends_in_words(&self, swept: &Swept) -> Option<String> {
        let decisive = self.decisive();
        let named = |&dimension: &usize| {
            let Turns { turned, moves } = self.ends[dimension];
            format!(
                "`{}` ({turned} of {moves} moves of it change that{})",
                path(swept, dimension),
                which_is(swept, dimension)
            )
        };
        let all = decisive.iter().map(named).collect::<Vec<_>>().join(", then by ");
        let name = measure_name(swept, self.measure);
        (!decisive.is_empty()).then(|| format!("whether `{name}` ends at all with the run is decided by {all}"))
    }

    /// Whether what is seen of a dimension is luck: then its effect says nothing.
    pub fn is_luck(&self, dimension: usize) -> bool {
        is_luck(self.luck[dimension])
    }

    /// Dimensions of which only luck is seen.
    pub fn lucky(&self) -> Vec<usize> {
        (0..self.effects.len()).filter(|&dimension| self.is_luck(dimension)).collect()
    }

    /// Dimensions that matter, the most important first, and those that do not; without those of which only luck is
    /// seen.
    fn ranked(&self) -> (Vec<usize>, Vec<usize>) {
        let size = |dimension: usize| self.effects[dimension].map_or(0.0, |effect| effect.mean_absolute);
        let mut order: Vec<usize> = (0..self.effects.len()).filter(|&dimension| !self.is_luck(dimension)).collect();
        order.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
        let largest = order.first().map_or(0.0, |&dimension| size(dimension));
        order.into_iter().partition(|&dimension| largest > 0.0 && size(dimension) >= MATTERS * largest)
    }

    fn in_words(&self, swept: &Swept) -> String {
        let (matter, mut others) = self.ranked();
        // What decides whether it ends at all has been named.
        others.retain(|&dimension| self.ends[dimension].turned == 0);
        let unit = swept.sweep.readings.measures[self.measure].unit();
        let named = |dimension: &usize| {
            let effect = self.effects[*dimension].map_or(0.0, |effect| effect.mean_absolute);
            format!(
                "`{}` ({} {unit} over its range{})",
                path(swept, *dimension),
                short(effect),
                which_is(swept, *dimension)
            )
        };
        let name = measure_name(swept, self.measure);
        if self.effects.iter().all(Option::is_none) {
            let text = "cannot be told: no move of a value has one at both of its ends";
            return format!("how much `{name}` depends on what was varied {text}");
        }
        let quoted = |all: &[usize]| {
            all.iter().map(|dimension| format!("`{}`", path(swept, *dimension))).collect::<Vec<_>>().join(", ")
        };
        let lucky = self.lucky();
        let luck = || format!("what {} does to it cannot be told from luck: run more seeds", quoted(&lucky));
        if matter.is_empty() && !lucky.is_empty() {
            return format!("nothing that was varied is seen to matter for `{name}`; {}", luck());
        }
        if matter.is_empty() {
            let where_it_ends = if self.decisive().is_empty() { "" } else { "where it ends, " };
            return format!("{where_it_ends}`{name}` depends on nothing that was varied");
        }
        let mut text =
            format!("`{name}` depends most on {}", matter.iter().map(named).collect::<Vec<_>>().join(", then on "));
        if !others.is_empty() {
            let _ = write!(text, "; hardly on {}", quoted(&others));
        }
        if !lucky.is_empty() {
            let _ = write!(text, "; {}", luck());
        }
        if self.left_out > 0 {
            let _ = write!(text, "; {} points at which it has no value or does not end are left out", self.left_out);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::sweep::testing::swept;

    /// Morris moves by two thirds of a range; of two values that is all of it, of three whole numbers half or all.
    #[test]
    fn few_values_move_as_far_as_they_do() {
        let near = |text: &str, share: f64, expected: f64| {
            let dimension = Dimension::parse(text).unwrap();
            let found = realised(&dimension, &dimension.at(share), share);
            assert!((found - expected).abs() < 1e-9, "{text} at {share}: {found}");
        };
        near("x=5s,10s", 1.0 / 3.0, 0.0);
        near("x=5s,10s", 2.0 / 3.0, 1.0);
        near("x=0..2", 1.0 / 3.0, 0.5);
        near("x=0..2", 2.0 / 3.0, 1.0);
        near("x=2s..62s", 1.0 / 3.0, 1.0 / 3.0);
    }

    /// Every run has a value of its own, whatever was varied.
    #[test]
    fn luck_is_no_cause() {
        let figure = |at: &[f64], seed: u64| {
            let mut rng = crate::base::rng::Rng::stream(seed, &format!("luck/{at:?}"));
            Some(100.0 + rng.uniform())
        };
        let vary = ["options.heartbeat_grace=10s..30s", "services[0].image_pull=0s..20s"];
        for design in [Design::Morris { trajectories: 6 }, Design::Sobol { rows: 16 }] {
            let found = Findings::of(&swept(design, &vary, 3, figure));
            assert!(found.sentences[0].contains("cannot be told from luck: "), "{:?}", found.sentences);
            let said = ["depends most on", "of the variance of"];
            assert!(found.lessons().iter().all(|text| said.iter().all(|said| !text.contains(said))), "{found:?}");
            assert!(found.that_matter().is_empty());
            assert!(found.shares.iter().all(|shares| shares.total(0).is_none()));
        }
    }

    #[test]
    fn a_value_that_decides_whether_a_wait_ends_comes_first_and_is_looked_at_again() {
        // A grace of half its range or more, and nothing ends; the time to fetch an image moves what ends.
        let figure = |at: &[f64], _| Some(if at[0] >= 20.0 { f64::INFINITY } else { 100.0 + at[1] });
        let vary = ["options.heartbeat_grace=10s..30s", "services[0].image_pull=0s..20s"];
        let screened = Findings::of(&swept(Design::Morris { trajectories: 6 }, &vary, 2, figure));
        let first = &screened.sentences[0];
        let decided =
            "whether `failover.replace max` ends at all with the run is decided by `options.heartbeat_grace` (6 of 6";
        assert!(first.starts_with(decided), "{first}");
        assert_eq!(screened.that_matter(), [0, 1]);
        assert!(screened.screenings[0].effects[0].is_none(), "no move of it has an end on both sides");
        let depends = screened.sentences.iter().find(|text| text.starts_with("`failover.replace max` depends most on"));
        assert!(!depends.expect("what ends has effects").contains("hardly on"), "{depends:?}");
        let shared = Findings::of(&swept(Design::Sobol { rows: 64 }, &vary, 2, figure));
        let first = &shared.sentences[0];
        assert!(first.starts_with("whether `failover.replace max` ends at all with the run is decided by"), "{first}");
        assert!(first.contains("`options.heartbeat_grace` (100 % of its variance") && !first.contains("image_pull"));
        // Nothing ends whatever is varied: that is no decision of a value.
        let never = Findings::of(&swept(Design::Morris { trajectories: 6 }, &vary, 2, |_, _| Some(f64::INFINITY)));
        assert!(never.that_matter().is_empty());
        assert!(never.sentences[0].contains("cannot be told: no move of a value"), "{:?}", never.sentences);
    }

    #[test]
    fn shares_that_cannot_be_are_not_told_as_if_they_were() {
        let vary = ["options.heartbeat_grace=10s..30s", "services[0].image_pull=0s..20s"];
        // Neither value makes anything alone.
        let figure = |at: &[f64], _| Some((at[0] - 20.0) * (at[1] - 10.0));
        let mut impossible = 0;
        for rows in 3..12 {
            let findings = Findings::of(&swept(Design::Sobol { rows }, &vary, 1, figure));
            let small = findings.sentences.iter().any(|text| {
                text.starts_with("the sample is too small to share out the variance of `failover.replace max`")
                    && text.contains(", and cannot be ")
                    && text.contains("(95 % intervals: `options.heartbeat_grace` ")
            });
            let told = findings.sentences.iter().any(|text| text.contains("of `failover.replace max` comes from"));
            let indices = findings.shares[0].indices.as_ref().expect("it varies");
            let below = indices.iter().any(|index| index.first.value < -0.1);
            let above = indices.iter().any(|index| index.total.value > 1.1);
            let more = indices.iter().any(|index| index.first.value > index.total.value + 0.2);
            let impossible_now = below || above || more || sobol::sum_of_first(indices) > 1.1;
            assert_eq!(findings.shares[0].total(0).is_none(), impossible_now, "no output tells a share");
            assert_eq!((small, told), (impossible_now, !impossible_now), "{:?}", findings.sentences);
            impossible += usize::from(small);
        }
        assert!(impossible > 0, "few rows come to shares that cannot be");
        // One of two values in four rows: whatever rows are drawn, the share comes out the same, and cannot be.
        let two = |rows: usize| {
            let step = |at: &[f64], _| Some(if at[0] < 20.0 { 1.0 } else { 3.0 });
            let findings = Findings::of(&swept(Design::Sobol { rows }, &vary[..1], 1, step));
            findings.sentences.iter().any(|text| text.contains("too small to share out")).then_some(findings)
        };
        for findings in (3..12).filter_map(two) {
            let text = &findings.sentences[0];
            assert!(text.contains("and cannot be more than ") && !text.contains("100 % to 100 %"), "{text}");
        }
    }

    #[test]
    fn an_answer_flips_between_two_values_that_were_sampled() {
        let figure = |at: &[f64], _| Some(if at[0] < 20.0 { 1e3 } else { 1e6 });
        let findings = Findings::of(&swept(Design::Grid, &["options.heartbeat_grace=5s,10s,60s,90s"], 1, figure));
        let text = &findings.sentences[0];
        assert!(
            text.contains("flips between 10 s and 60 s of `options.heartbeat_grace`, between which nothing was"),
            "{text}"
        );
        assert!(text.contains("it holds up to 10 s and fails from 60 s on (all 4 points agree)"), "{text}");
    }

    /// Where nothing happened an expectation is neither held nor failed, whether or not it says `if exercised`.
    #[test]
    fn points_that_do_not_exercise_an_expectation_are_no_side_of_a_cut() {
        let of = |figure: fn(f64) -> Option<f64>| {
            let vary = ["options.heartbeat_grace=5s,6s,7s,8s"];
            let swept = swept(Design::Grid, &vary, 2, |at, _| figure(at[0]));
            (Findings::of(&swept), swept)
        };
        let (findings, swept) = of(|at| (at > 6.5).then_some(1e6));
        assert!(findings.flips.is_empty(), "all points that say anything agree: {:?}", findings.sentences);
        assert_eq!([0, 2].map(|point| swept.held(point, 0).is_exercised()), [false, true]);
        let (findings, _) = of(|at| (!(5.5..6.5).contains(&at)).then_some(if at < 6.0 { 1e3 } else { 1e6 }));
        assert_eq!((findings.flips[0].cut.points, findings.flips[0].left_out), (3, 1));
        let text = &findings.sentences[0];
        assert!(text.contains("between 5 s and 7 s of `options.heartbeat_grace`, between which nothing exercised"));
        assert!(text.contains("(all 3 points that exercise it agree; 1 do not and are left out)"), "{text}");
    }

    #[test]
    fn what_a_seed_adds_everywhere_is_no_noise() {
        // Points 10, 20 and 30, seeds that add -50 and 50 to each.
        let alike: Vec<Vec<f64>> = [10.0, 20.0, 30.0].map(|y| vec![y - 50.0, y + 50.0]).to_vec();
        assert!(noise(&alike).unwrap() < 1e-12);
        // By hand: rests of -3 and 3, 3 and -3, 0 and 0: squares 36 over 2 × 1, over two seeds 9; variance 100.
        let apart = vec![vec![7.0, 13.0], vec![23.0, 17.0], vec![30.0, 30.0]];
        assert!((noise(&apart).unwrap() - 0.09).abs() < 1e-12);
        assert_eq!((noise(&[vec![1.0], vec![2.0]]), noise(&[vec![1.0, 2.0], vec![2.0, 1.0]])), (None, None));
    }
}
