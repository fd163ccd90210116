//! What a run puts out. Everything is made of an [`Ensemble`](crate::analysis::ensemble::Ensemble) alone: no wall-clock
//! time, host name or path but the scenario file's as it was typed, so the same runs give the same bytes.

pub mod chart;
pub mod explain;
pub mod folder;
mod frame;
pub mod reason;
pub mod json;
pub mod leadership;
pub mod quality;
pub mod style;
pub mod table;
pub mod text;
pub mod waterfall;

#[cfg(test)]
mod output_tests;
