//! Quantities with their unit in the type. Arithmetic on capacity is checked: going below zero is a bug.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// The number, in the unit of the type's name.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The difference, or `None` if it would be negative.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// The difference, or zero.
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl Add for $name {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self(self.0.checked_add(other.0).expect("a sum of capacities fits in 64 bits"))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sub for $name {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                self.checked_sub(other).expect("a capacity never goes below zero")
            }
        }

        impl Mul<u64> for $name {
            type Output = Self;

            fn mul(self, factor: u64) -> Self {
                Self(self.0.checked_mul(factor).expect("a product of capacities fits in 64 bits"))
            }
        }

        impl std::iter::Sum for $name {
            fn sum<S: Iterator<Item = Self>>(items: S) -> Self {
                items.fold(Self::ZERO, Add::add)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    };
}

quantity!(
    /// Processor capacity as Nomad counts it: cores times clock rate.
    MegaHertz,
    "MHz"
);
quantity!(
    /// Memory or disk, in 2^20 bytes.
    Mebibytes,
    "MiB"
);
quantity!(
    /// Network bandwidth as Nomad counts it, in 10^6 bits per second.
    MegabitsPerSecond,
    "Mbit/s"
);
quantity!(
    /// Width of a network link, in bits per second.
    BitsPerSecond,
    "bit/s"
);

impl From<MegabitsPerSecond> for BitsPerSecond {
    fn from(megabits: MegabitsPerSecond) -> Self {
        Self(megabits.0.saturating_mul(1_000_000))
    }
}

quantity!(
    /// A number of bytes.
    Bytes,
    "B"
);

/// A share in `0..=1`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// All of it.
    pub const ONE: Self = Self(1.0);

    /// The share, or `None` outside `0..=1`.
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// The share as a float in `0..=1`.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0 * 100.0)
    }
}
