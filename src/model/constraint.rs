//! Constraints, affinities and spreads of a job specification. Their texts are kept raw: targets such as
//! `${attr.kernel.name}` are resolved against a node by the scheduler.

/// `constraint { attribute operator value }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Left target (`attribute`).
    pub left: String,
    /// Operator text: `=`, `!=`, `<`, `regexp`, `version`, `semver`, `set_contains`, `distinct_hosts`, …
    pub operator: String,
    /// Right target (`value`).
    pub right: String,
}

/// A preference with a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// Left target.
    pub left: String,
    /// Operator text, as for constraints.
    pub operator: String,
    /// Right target.
    pub right: String,
    /// In -100..=100 without 0. Default 50.
    pub weight: i8,
}

/// `spread { attribute weight target… }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// The attribute whose values are to be spread over.
    pub attribute: String,
    /// In 1..=100. Default 50.
    pub weight: i8,
    /// Wanted shares; none means evenly.
    pub targets: Vec<SpreadTarget>,
}

/// The share wanted for one attribute value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadTarget {
    /// Attribute value.
    pub value: String,
    /// In 0..=100.
    pub percent: u8,
}
