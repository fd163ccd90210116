//! Screening by elementary effects (Morris 1991, "Factorial sampling plans for preliminary computational experiments";
//! the mean of absolute effects is Campolongo, Cariboni and Saltelli 2007).
//!
//! A trajectory starts at a random point of a grid of four levels and moves every input once, in random order, by two
//! thirds of its range. Each move is one elementary effect of that input: the change of the result over the change of
//! the input, where the input's whole range is 1.

use super::bootstrap;
use crate::base::rng::Rng;

/// What the effects of one input come to, in the unit of the result per whole range of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Mean: the direction, where effects do not cancel.
    pub mean: f64,
    /// Mean of absolute effects (mu*): how much it matters.
    pub mean_absolute: f64,
    /// 95 % interval of the mean of absolute effects, by resampling trajectories; `None` with fewer than three.
    pub interval: Option<(f64, f64)>,
    /// Standard deviation: how much its effect depends on where the others stand, or on where it stands itself.
    pub deviation: f64,
    /// Effects behind these figures.
    pub count: usize,
}

/// How often moves of one input changed a yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns {
    /// Moves with a yes at one end and a no at the other.
    pub turned: usize,
    /// Moves with an answer at both ends.
    pub moves: usize,
}

/// Grid levels, 0 to 3, in thirds.
const LEVELS: u64 = 4;

/// The points of `count` trajectories, `inputs + 1` for each, in order.
pub fn trajectories(inputs: usize, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Rng::stream(seed, "design/morris");
    let mut points = Vec::with_capacity(count * (inputs + 1));
    for _ in 0..count {
        let mut levels: Vec<u64> = (0..inputs).map(|_| rng.below(LEVELS)).collect();
        let mut order: Vec<usize> = (0..inputs).collect();
        rng.shuffle(&mut order);
        let point = |levels: &[u64]| levels.iter().map(|&level| level as f64 / (LEVELS - 1) as f64).collect();
        points.push(point(&levels));
        for input in order {
            // By half the levels, to the side that is inside: each level is left and reached equally often.
            let half = LEVELS / 2;
            levels[input] = if levels[input] < half { levels[input] + half } else { levels[input] - half };
            points.push(point(&levels));
        }
    }
    points
}

/// The effects of every input, given the result at every point of [`trajectories`]; moves from or to a point without a
/// result are left out. An input without any effect at all has none of these figures.
pub fn effects(points: &[Vec<f64>], results: &[Option<f64>]) -> Vec<Option<Effect>> {
    let inputs = points.first().map_or(0, Vec::len);
    let length = inputs + 1;
    // By input, then by trajectory.
    let mut found: Vec<Vec<Option<f64>>> = vec![vec![None; points.len() / length]; inputs];
    for (index, (points, results)) in points.chunks(length).zip(results.chunks(length)).enumerate() {
        for (step, results) in points.windows(2).zip(results.windows(2)) {
            let (Some(input), [Some(before), Some(after)]) = (moved(step), results) else { continue };
            found[input][index] = Some((after - before) / (step[1][input] - step[0][input]));
        }
    }
    found.iter().enumerate().map(|(input, effects)| of_input(input, effects)).collect()
}

/// How often moves of every input changed the answer, given the answer at every point of [`trajectories`]; moves from
/// or to a point without one are left out.
pub fn turns(points: &[Vec<f64>], answers: &[Option<bool>]) -> Vec<Turns> {
    let inputs = points.first().map_or(0, Vec::len);
    let mut found = vec![Turns::default(); inputs];
    for (points, answers) in points.chunks(inputs + 1).zip(answers.chunks(inputs + 1)) {
        for (step, answers) in points.windows(2).zip(answers.windows(2)) {
            let (Some(input), [Some(before), Some(after)]) = (moved(step), answers) else { continue };
            found[input].moves += 1;
            found[input].turned += usize::from(before != after);
        }
    }
    found
}

/// How much of the squared effects of every input luck alone would make, given the values at every point of
/// [`trajectories`], one per seed in the same order: 1 for all of it, and beyond. Moves from or to a point without
/// values are left out; `None` for an input without an effect, or with one seed.
pub fn luck(points: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<Option<f64>> {
    let inputs = points.first().map_or(0, Vec::len);
    // Of every input, squared effects and squared errors of effects, both summed over its moves.
    let mut sums = vec![(0.0, 0.0); inputs];
    for (points, values) in points.chunks(inputs + 1).zip(values.chunks(inputs + 1)) {
        for (step, values) in points.windows(2).zip(values.windows(2)) {
            let (Some(input), [before, after]) = (moved(step), values) else { continue };
            let changes: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
            if changes.len() < 2 {
                continue;
            }
            let seeds = changes.len() as f64;
            let mean = changes.iter().sum::<f64>() / seeds;
            let squares: f64 = changes.iter().map(|change| (change - mean) * (change - mean)).sum();
            sums[input].0 += mean * mean;
            sums[input].1 += squares / (seeds - 1.0) / seeds;
        }
    }
    sums.into_iter().map(|(effects, errors)| (effects > 0.0).then(|| errors / effects)).collect()
}

/// The input in which two neighbours of a trajectory differ.
fn moved(step: &[Vec<f64>]) -> Option<usize> {
    (0..step[0].len()).find(|&input| (step[0][input] - step[1][input]).abs() > 1e-9)
}

fn of_input(input: usize, effects: &[Option<f64>]) -> Option<Effect> {
    let known: Vec<f64> = effects.iter().flatten().copied().collect();
    let count = known.len();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count as f64;
    if count == 0 {
        return None;
    }
    let centre = mean(&mut known.iter().copied());
    let squares: f64 = known.iter().map(|effect| (effect - centre) * (effect - centre)).sum();
    let resampled = |weights: &[u32]| {
        let drawn: u32 = weights.iter().sum();
        let sum: f64 = known.iter().zip(weights).map(|(effect, &weight)| effect.abs() * f64::from(weight)).sum();
        Some(sum / f64::from(drawn))
    };
    Some(Effect {
        mean: centre,
        mean_absolute: mean(&mut known.iter().map(|effect| effect.abs())),
        interval: bootstrap(&format!("morris/{input}"), count, resampled),
        deviation: libm::sqrt(squares / (count.max(2) - 1) as f64),
        count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The function of Morris (1991, section 5): twenty inputs of which ten matter, seven of these by interactions or
    /// curvature.
    struct MorrisFunction {
        first: [f64; 20],
        second: [[f64; 20]; 20],
    }

    impl MorrisFunction {
        fn new() -> Self {
            let mut rng = Rng::stream(1, "test/morris");
            let first = std::array::from_fn(|i| if i < 10 { 20.0 } else { rng.normal() });
            let second =
                std::array::from_fn(|i| std::array::from_fn(|j| if i < 6 && j < 6 { -15.0 } else { rng.normal() }));
            Self { first, second }
        }

        fn at(&self, x: &[f64]) -> f64 {
            let w: Vec<f64> = x
                .iter()
                .enumerate()
                .map(|(i, &x)| if [2, 4, 6].contains(&i) { 2.0 * (1.1 * x / (x + 0.1) - 0.5) } else { 2.0 * (x - 0.5) })
                .collect();
            let mut y = 0.0;
            for i in 0..20 {
                y += self.first[i] * w[i];
                for j in i + 1..20 {
                    y += self.second[i][j] * w[i] * w[j];
                    for l in j + 1..5 {
                        y -= 10.0 * w[i] * w[j] * w[l];
                        for s in l + 1..4 {
                            y += 5.0 * w[i] * w[j] * w[l] * w[s];
                        }
                    }
                }
            }
            y
        }
    }

    #[test]
    fn the_ten_inputs_of_morris_function_that_matter_are_found() {
        let function = MorrisFunction::new();
        let points = trajectories(20, 40, 3);
        let results: Vec<Option<f64>> = points.iter().map(|point| Some(function.at(point))).collect();
        let effects: Vec<Effect> = effects(&points, &results).into_iter().map(Option::unwrap).collect();
        for (input, effect) in effects.iter().enumerate() {
            // "Inputs 1 to 10 are important; of these, the first seven have significant effects that involve
            // interactions or curvature; the others are important mainly by their first-order effects."
            assert_eq!(effect.mean_absolute > 20.0, input < 10, "input {input}: {effect:?}");
            assert_eq!(effect.deviation > 12.0, input < 7, "input {input}: {effect:?}");
            let (low, high) = effect.interval.unwrap();
            assert!(low <= effect.mean_absolute && effect.mean_absolute <= high);
        }
        for effect in &effects[7..10] {
            // 20 w, and w = 2 (x - 1/2).
            assert!((effect.mean - 40.0).abs() < 6.0, "{effect:?}");
        }
    }

    #[test]
    fn effects_of_a_straight_line_are_its_slopes_and_gaps_are_left_out() {
        let points = trajectories(3, 5, 1);
        assert_eq!(points.len(), 20);
        let mut results: Vec<Option<f64>> = points.iter().map(|p| Some(2.0 * p[0] - 3.0 * p[1])).collect();
        let expected = [(2.0, 2.0), (-3.0, 3.0), (0.0, 0.0)];
        for (effect, (mean, absolute)) in effects(&points, &results).into_iter().zip(expected) {
            let effect = effect.unwrap();
            assert!((effect.mean - mean).abs() < 1e-9 && (effect.mean_absolute - absolute).abs() < 1e-9);
            assert!(effect.deviation < 1e-9 && effect.count == 5);
        }
        results[0] = None;
        let counts: usize = effects(&points, &results).into_iter().map(|effect| effect.unwrap().count).sum();
        assert_eq!(counts, 14);
        assert_eq!(effects(&points, &vec![None; 20]), [None, None, None]);
    }

    #[test]
    fn an_answer_turns_where_the_input_it_depends_on_moves() {
        let points = trajectories(3, 5, 1);
        let mut answers: Vec<Option<bool>> = points.iter().map(|point| Some(point[1] < 0.5)).collect();
        let of = |turned, moves| Turns { turned, moves };
        assert_eq!(turns(&points, &answers), [of(0, 5), of(5, 5), of(0, 5)], "each move is by half the range");
        answers[0] = None;
        assert_eq!(turns(&points, &answers).iter().map(|turns| turns.moves).sum::<usize>(), 14);
    }
}
