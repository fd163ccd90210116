//! Files of other tools, read into the model.

pub mod defaults;
mod legacy;
pub mod nomad_job;
pub mod rules;
pub mod spots;
mod tree;
