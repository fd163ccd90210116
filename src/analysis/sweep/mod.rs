//! The same scenario at many points: which points ([`design`]), what each of their runs comes to ([`work`]), and what
//! they say together ([`table`], [`findings`]).
//!
//! Every point runs the same seeds. As each random draw of a run belongs to a named cause, the runs of one seed at two
//! points share all draws that both make (common random numbers), and points are compared seed by seed.
//!
//! A run is known by its number: that of its point times the number of seeds, plus that of its seed. What it comes to
//! depends on the plan and this number alone, so it does not matter which process makes it, when, or in which order.

pub mod design;
pub mod plan;
pub mod work;
pub mod table;
pub mod findings;
#[cfg(test)]
pub(crate) mod testing;
