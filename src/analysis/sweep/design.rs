//! Which points of the space of a sweep are run.

use crate::analysis::sensitivity::{latin_hypercube, morris, sobol};
use crate::scenario::locate::lies_within;
use crate::scenario::vary::Dimension;

/// A way of choosing points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// Every combination of values; the last dimension changes fastest.
    Grid,
    /// The first values of all dimensions together, then the second ones, and so on.
    List,
    /// A Latin hypercube of so many points.
    Latin {
        /// Points.
        points: usize,
    },
    /// Elementary effects: `dimensions + 1` points per trajectory.
    Morris {
        /// Trajectories.
        trajectories: usize,
    },
    /// Variance-based indices: `dimensions + 2` points per row.
    Sobol {
        /// Rows of the sample matrices.
        rows: usize,
    },
}

/// Why there are no points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// Nothing varies.
    #[error("nothing is varied")]
    NoDimensions,
    /// More dimensions than make sense.
    #[error("{0} dimensions are more than {DIMENSIONS_MAX}")]
    TooManyDimensions(usize),
    /// Two dimensions of one path.
    #[error("`{0}` is varied twice")]
    Twice(String),
    /// A dimension that is part of another.
    #[error("`{part}` lies within `{whole}`, which is varied, too")]
    Within {
        /// The path of the part.
        part: String,
        /// The other path.
        whole: String,
    },
    /// A free range in a grid or list.
    #[error("a {design} needs values, and the range of `{path}` has no step")]
    Free {
        /// Its path.
        path: String,
        /// The design.
        design: &'static str,
    },
    /// A value that does not vary, in a design that samples.
    #[error("`{path}` has one value, and `{design}` tells nothing of what does not vary")]
    Single {
        /// Its path.
        path: String,
        /// The design.
        design: &'static str,
    },
    /// Lists of different lengths.
    #[error(
        "in a list all dimensions have equally many values, but `{first}` has {first_count} and `{other}` has {other_count}"
    )]
    Lengths {
        /// The first dimension.
        first: String,
        /// Its values.
        first_count: usize,
        /// One that differs.
        other: String,
        /// Its values.
        other_count: usize,
    },
    /// A sample too small for what is told of it.
    #[error("{what} cannot be told from so few samples: `{design}` takes at least {least}, not {samples}")]
    TooFew {
        /// The design.
        design: &'static str,
        /// What is told of its samples.
        what: &'static str,
        /// How many it takes.
        least: usize,
        /// How many were asked for.
        samples: usize,
    },
    /// More runs than anybody waits for.
    #[error("{points} points with {seeds} seeds each are {} runs, more than {RUNS_MAX}", points * *seeds as u128)]
    TooMany {
        /// Points.
        points: u128,
        /// Seeds.
        seeds: usize,
    },
}

impl DesignError {
    /// A way out.
    pub fn hint(&self) -> String {
        match self {
            Self::NoDimensions => "say what with `--vary 'PATH=VALUES'`, or in the scenario's `vary`; \
                                   `cossim list parameters` shows what can be varied"
                .to_owned(),
            Self::TooManyDimensions(_) => "vary fewer values at once".to_owned(),
            Self::Twice(_) => "put all its values into one `--vary`".to_owned(),
            Self::Within { .. } => "vary one of the two, and write the part into the values of the whole".to_owned(),
            Self::Free { .. } => {
                "write a step, as `12..36/6`, or sample the range with `--design lhs`, `morris` or `sobol`".to_owned()
            }
            Self::Single { .. } => "give it several values, or one by `--set` instead of `--vary`".to_owned(),
            Self::Lengths { .. } => "give each as many values, or try all combinations with `--design grid`".to_owned(),
            Self::TooFew { least, .. } => {
                format!("write `--samples {least}` or more, or leave it out for the default")
            }
            Self::TooMany { .. } => {
                "take fewer values or seeds, or sample the space with `--design lhs --samples 100`".to_owned()
            }
        }
    }
}

/// Most dimensions of a sweep.
const DIMENSIONS_MAX: usize = 64;
/// Most runs of a sweep: as many files of results as a folder takes well.
pub const RUNS_MAX: u128 = 100_000;

/// The points of a design.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Values by point and dimension, as they would be written.
    pub values: Vec<Vec<String>>,
    /// Where each point lies in the unit cube, for designs that sample.
    pub shares: Option<Vec<Vec<f64>>>,
}

impl Design {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::List => "list",
            Self::Latin { .. } => "lhs",
            Self::Morris { .. } => "morris",
            Self::Sobol { .. } => "sobol",
        }
    }

    /// What `--samples` counts; `None` where it counts nothing.
    pub const fn samples(self) -> Option<usize> {
        match self {
            Self::Grid | Self::List => None,
            Self::Latin { points } => Some(points),
            Self::Morris { trajectories } => Some(trajectories),
            Self::Sobol { rows } => Some(rows),
        }
    }

    /// A sample of one point or more shows what was run; what is said of more than that needs several: how much an
    /// effect varies needs two of it, an interval of a share three rows.
    const fn large_enough(self) -> Result<(), DesignError> {
        let (samples, least, what) = match self {
            Self::Grid | Self::List | Self::Latin { .. } => return Ok(()),
            Self::Morris { trajectories } => (trajectories, 2, "how much effects vary"),
            Self::Sobol { rows } => (rows, 3, "how sure shares of the variance are"),
        };
        if samples >= least { Ok(()) } else { Err(DesignError::TooFew { design: self.name(), what, least, samples }) }
    }

    /// The points over these dimensions, with `seeds` runs at each; `seed` is the design's own.
    pub fn points(self, dimensions: &[Dimension], seeds: usize, seed: u64) -> Result<Layout, DesignError> {
        check(dimensions)?;
        self.large_enough()?;
        let inputs = dimensions.len();
        let points = match self {
            Self::Grid => {
                let lists = lists(dimensions, "grid")?;
                lists.iter().fold(1_u128, |count, list| count.saturating_mul(list.len() as u128))
            }
            Self::List => lists(dimensions, "list")?[0].len() as u128,
            Self::Latin { points } => points as u128,
            Self::Morris { trajectories } => (trajectories as u128).saturating_mul(inputs as u128 + 1),
            Self::Sobol { rows } => (rows as u128).saturating_mul(inputs as u128 + 2),
        };
        if points.saturating_mul(seeds as u128) > RUNS_MAX {
            return Err(DesignError::TooMany { points: points.min(u128::from(u64::MAX)), seeds });
        }
        let is_single = |dimension: &&Dimension| dimension.listed().is_some_and(|list| list.len() == 1);
        if !matches!(self, Self::Grid | Self::List)
            && let Some(single) = dimensions.iter().find(is_single)
        {
            return Err(DesignError::Single { path: single.path.clone(), design: self.name() });
        }
        let shares = match self {
            Self::Grid => return Ok(Layout { values: grid(&lists(dimensions, "grid")?), shares: None }),
            Self::List => return list(dimensions),
            Self::Latin { points } => latin_hypercube(inputs, points, seed, "design/lhs"),
            Self::Morris { trajectories } => morris::trajectories(inputs, trajectories, seed),
            Self::Sobol { rows } => sobol::matrices(inputs, rows, seed),
        };
        let value = |point: &Vec<f64>| dimensions.iter().zip(point).map(|(d, &share)| d.at(share)).collect();
        Ok(Layout { values: shares.iter().map(value).collect(), shares: Some(shares) })
    }
}

fn check(dimensions: &[Dimension]) -> Result<(), DesignError> {
    if dimensions.is_empty() {
        return Err(DesignError::NoDimensions);
    }
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(DesignError::TooManyDimensions(dimensions.len()));
    }
    apart(dimensions, lies_within)
}

/// Refuses dimensions of which one would overwrite the other; whether a path lies within another one is told by the
/// caller.
pub(super) fn apart(dimensions: &[Dimension], is_within: impl Fn(&str, &str) -> bool) -> Result<(), DesignError> {
    for (index, one) in dimensions.iter().enumerate() {
        for two in &dimensions[..index] {
            let (one, two) = (&one.path, &two.path);
            match (is_within(one, two), is_within(two, one)) {
                (false, false) => {}
                (true, true) => return Err(DesignError::Twice(one.clone())),
                (true, false) => return Err(DesignError::Within { part: one.clone(), whole: two.clone() }),
                (false, true) => return Err(DesignError::Within { part: two.clone(), whole: one.clone() }),
            }
        }
    }
    Ok(())
}

fn lists(dimensions: &[Dimension], design: &'static str) -> Result<Vec<Vec<String>>, DesignError> {
    let free = |dimension: &Dimension| DesignError::Free { path: dimension.path.clone(), design };
    dimensions.iter().map(|dimension| dimension.listed().ok_or_else(|| free(dimension))).collect()
}

fn grid(lists: &[Vec<String>]) -> Vec<Vec<String>> {
    lists.iter().fold(vec![Vec::new()], |points, list| {
        let longer = |point: &Vec<String>, value: &String| point.iter().chain([value]).cloned().collect();
        points.iter().flat_map(|point| list.iter().map(move |value| longer(point, value))).collect()
    })
}

fn list(dimensions: &[Dimension]) -> Result<Layout, DesignError> {
    let lists = lists(dimensions, "list")?;
    let first_count = lists[0].len();
    if let Some(odd) = lists.iter().position(|list| list.len() != first_count) {
        let (first, other) = (dimensions[0].path.clone(), dimensions[odd].path.clone());
        return Err(DesignError::Lengths { first, first_count, other, other_count: lists[odd].len() });
    }
    let values = (0..first_count).map(|index| lists.iter().map(|list| list[index].clone()).collect()).collect();
    Ok(Layout { values, shares: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(design: Design, vary: &[&str]) -> Result<Layout, DesignError> {
        let dimensions: Vec<Dimension> = vary.iter().map(|text| Dimension::parse(text).unwrap()).collect();
        design.points(&dimensions, 2, 1)
    }

    #[test]
    fn a_grid_is_every_combination_and_a_list_goes_in_step() {
        let shown = |layout: Layout| {
            let point = |point: &Vec<String>| point.join(" ");
            layout.values.iter().map(point).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(shown(points(Design::Grid, &["a=1,2", "b=x,y"]).unwrap()), "1 x, 1 y, 2 x, 2 y");
        assert_eq!(shown(points(Design::List, &["a=1,2", "b=x,y"]).unwrap()), "1 x, 2 y");
    }

    #[test]
    fn designs_that_sample_have_as_many_points_as_they_say() {
        let vary = ["a=1s..9s", "b=1..9", "c=x,y"];
        for (design, count) in
            [(Design::Latin { points: 7 }, 7), (Design::Morris { trajectories: 2 }, 8), (Design::Sobol { rows: 3 }, 15)]
        {
            let layout = points(design, &vary).unwrap();
            assert_eq!((layout.values.len(), layout.shares.unwrap().len()), (count, count));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_before_it_takes_memory() {
        let wide = ["a=0..999/1", "b=0..999/1", "c=0..999/1"];
        let error = points(Design::Grid, &wide).unwrap_err();
        assert_eq!(error, DesignError::TooMany { points: 1_000_000_000, seeds: 2 });
        assert!(error.to_string().contains("2000000000 runs") && error.hint().contains("lhs"));
        for (design, vary, part) in [
            (Design::Grid, &[] as &[&str], "nothing is varied"),
            (Design::Grid, &["a=1", "a=2"], "`a` is varied twice"),
            (Design::Grid, &["a[0].n=1", "a[ 0 ].n=2"], "`a[ 0 ].n` is varied twice"),
            (Design::Grid, &["a[0].n=1", "a[00].n=2"], "`a[00].n` is varied twice"),
            (Design::Grid, &["a[0].n=1", "a[0]=A(n: 1),A(n: 2)"], "`a[0].n` lies within `a[0]`"),
            (Design::Grid, &["a[0]=A(n: 1),A(n: 2)", "a[0].n=1"], "`a[0].n` lies within `a[0]`"),
            (Design::Grid, &["a=1..2"], "has no step"),
            (Design::List, &["a=1,2", "b=1"], "`a` has 2 and `b` has 1"),
            (Design::Latin { points: usize::MAX }, &["a=1..2"], "more than 100000"),
            (Design::Morris { trajectories: 1 }, &["a=1..2"], "`morris` takes at least 2, not 1"),
            (Design::Sobol { rows: 2 }, &["a=1..2"], "`sobol` takes at least 3, not 2"),
            (Design::Latin { points: 3 }, &["a=1..2", "b=7"], "`b` has one value, and `lhs`"),
            (Design::Morris { trajectories: 2 }, &["a=1..4/7", "b=1..2"], "`a` has one value, and `morris`"),
            (Design::Sobol { rows: 3 }, &["a=x"], "`a` has one value, and `sobol`"),
        ] {
            let error = points(design, vary).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
