//! Compares recorded and simulated distributions, and says which differ too much.

use super::*;
use cossim::base::math;

/// Measured values by kind of trial and quantity. Infinite where the quantity was not reached.
#[derive(Default)]
pub(super) struct Samples(BTreeMap<(String, String), Vec<Value>>);

/// A value, and the cluster it was measured in.
#[derive(Clone, Copy)]
struct Value {
    value: f64,
    cluster: usize,
}

impl Samples {
    pub(super) fn add(&mut self, kind: &str, quantity: &str, value: f64) {
        self.add_in(usize::MAX, kind, quantity, value);
    }

    /// A value from this cluster; `usize::MAX` if it is not known which.
    pub(super) fn add_in(&mut self, cluster: usize, kind: &str, quantity: &str, value: f64) {
        self.0.entry((kind.to_owned(), quantity.to_owned())).or_default().push(Value { value, cluster });
    }
}

#[derive(Default)]
pub(super) struct Judge {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    p_value: f64,
    line: String,
    quantiles_agree: [bool; 2],
}

impl Judge {
    pub(super) fn compare(&mut self, set: &str, recorded: &Samples, simulated: &Samples) {
        for ((kind, quantity), real) in &recorded.0 {
            let key = (kind.clone(), quantity.clone());
            let ours = simulated.0.get(&key).unwrap_or_else(|| panic!("{set}: nothing simulated for {key:?}"));
            let boot = Bootstrap::new(real);
            let (real, ours) = (sorted(real), sorted(ours));
            let (distance, p_value) = kolmogorov_smirnov(&real, &ours);
            let p50 = agrees(&real, &ours, 0.5, 0.05, &boot);
            let p90 = agrees(&real, &ours, 0.9, 0.10, &boot);
            let mut line = format!("{set:<22} {kind:<10.10} {quantity:<18.18} n={:<4} p50 ", real.len());
            let _ = write!(line, "{:>8.0}/{:>8.0}{} ", quantile(&real, 0.5), quantile(&ours, 0.5), mark(p50));
            let _ = write!(line, "p90 {:>8.0}/{:>8.0}{} ", quantile(&real, 0.9), quantile(&ours, 0.9), mark(p90));
            let _ = write!(line, "ks {distance:.3} p={p_value:.4}");
            let what = format!("{set} {kind} {quantity}");
            self.rows.push(Row { what, p_value, line, quantiles_agree: [p50, p90] });
        }
    }

    /// Holm's procedure over all rows, and the quantiles of each: one in twenty may miss, since that is what an
    /// interval
    /// of 95 % means.
    pub(super) fn verdict(mut self) -> Result<String, String> {
        let mut table: String = self.rows.iter().fold(String::new(), |table, row| table + &row.line + "\n");
        self.rows.sort_by(|a, b| a.p_value.total_cmp(&b.p_value));
        let count = self.rows.len();
        let rejected =
            self.rows.iter().enumerate().take_while(|(i, row)| row.p_value < 0.01 / (count - i) as f64).count();
        let differ: Vec<&str> = self.rows[..rejected].iter().map(|row| row.what.as_str()).collect();
        let missed: Vec<&str> = self
            .rows
            .iter()
            .flat_map(|row| row.quantiles_agree.map(|ok| (!ok).then_some(row.what.as_str())))
            .flatten()
            .collect();
        let _ = write!(table, "distributions that differ: {differ:?}\nquantiles that miss: {missed:?}");
        if differ.is_empty() && missed.len() * 20 <= count * 2 { Ok(table) } else { Err(table) }
    }
}

fn mark(agrees: bool) -> char {
    if agrees { ' ' } else { '!' }
}

fn sorted(values: &[Value]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().map(|v| v.value).collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1]
}

/// Within the tolerance of the recorded quantile, or inside its 95 % interval: the wider of the one by clusters and the
/// distribution-free one by trials, since few clusters tell little about how clusters vary.
fn agrees(real: &[f64], ours: &[f64], share: f64, tolerance: f64, boot: &Bootstrap) -> bool {
    let (r, o) = (quantile(real, share), quantile(ours, share));
    let n = real.len() as f64;
    let half = 1.96 * (n * share * (1.0 - share)).sqrt();
    let at = |rank: f64| real[(rank.max(1.0) as usize).min(real.len()) - 1];
    let (low, high) = boot.interval(share);
    let low = low.min(at((n * share - half).floor()));
    let high = high.max(at((n * share + half).ceil() + 1.0));
    (o - r).abs() <= tolerance * r || (low <= o && o <= high)
}

/// Resamples a recording by cluster: the trials of one cluster share its phases and its layout over the sites, so they
/// vary less than trials of different clusters do.
struct Bootstrap(Vec<Vec<f64>>);

impl Bootstrap {
    fn new(values: &[Value]) -> Self {
        let mut groups: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
        for (i, v) in values.iter().enumerate() {
            let group = if v.cluster == usize::MAX { (v.cluster, i) } else { (v.cluster, 0) };
            groups.entry(group).or_default().push(v.value);
        }
        let groups: Vec<Vec<f64>> = groups.into_values().collect();
        let mut rng = Rng::stream(7, "bootstrap");
        let resample = |_| {
            let mut sample: Vec<f64> = (0..groups.len()).flat_map(|_| rng.pick(&groups).unwrap().clone()).collect();
            sample.sort_by(f64::total_cmp);
            sample
        };
        Self((0..1_000).map(resample).collect())
    }

    fn interval(&self, share: f64) -> (f64, f64) {
        let mut values: Vec<f64> = self.0.iter().map(|sample| quantile(sample, share)).collect();
        values.sort_by(f64::total_cmp);
        (quantile(&values, 0.025), quantile(&values, 0.975))
    }
}

/// The largest distance between the two distributions, and the asymptotic p-value (Stephens' correction).
fn kolmogorov_smirnov(real: &[f64], ours: &[f64]) -> (f64, f64) {
    let (mut below_real, mut below_ours, mut distance) = (0, 0, 0.0_f64);
    let (count_real, count_ours) = (real.len() as f64, ours.len() as f64);
    while below_real < real.len() && below_ours < ours.len() {
        let value = real[below_real].min(ours[below_ours]);
        below_real += real[below_real..].iter().take_while(|v| **v <= value).count();
        below_ours += ours[below_ours..].iter().take_while(|v| **v <= value).count();
        distance = distance.max((below_real as f64 / count_real - below_ours as f64 / count_ours).abs());
    }
    let effective = (count_real * count_ours / (count_real + count_ours)).sqrt();
    let scaled = (effective + 0.12 + 0.11 / effective) * distance;
    let term = |k: i32| (if k % 2 == 1 { 2.0 } else { -2.0 }) * math::exp(-2.0 * f64::from(k * k) * scaled * scaled);
    (distance, (1..=100).map(term).sum::<f64>().clamp(0.0, 1.0))
}
