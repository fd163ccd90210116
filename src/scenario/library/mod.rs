//! Figures that scenarios refer to by name, each with its source.

pub mod disk;
pub mod instance;
pub mod network;
