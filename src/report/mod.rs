//! What a run puts out. Everything is made of an [`Ensemble`](crate::analysis::ensemble::Ensemble) alone, or of a
//! comparison of two results: no wall-clock time, host name or path but those that were typed, so the same runs give
//! the same bytes.

pub mod chart;
pub mod comparison;
mod escape;
pub mod staged;
pub mod folder;
pub mod explain;
mod frame;
mod hit;
pub mod reason;
pub mod cell;
pub mod fleet;
pub mod json;
pub mod leadership;
pub mod page;
mod sensitivity;
pub mod setting;
pub mod quality;
pub mod style;
pub mod sweep;
pub mod table;
pub mod text;
mod unplaced;
pub mod waterfall;

#[cfg(test)]
mod output_tests;
