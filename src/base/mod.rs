//! The vocabulary every other layer speaks: time, identifiers, units, random streams, exact mathematics and the
//! contract between a protocol and whatever drives it.

pub mod id;
pub mod index;
pub mod lognormal;
pub mod machine;
pub mod math;
pub mod ordered;
pub mod persistent;
pub mod rng;
pub mod roll;
pub mod sorted;
pub mod time;
pub mod units;
