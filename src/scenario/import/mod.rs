//! Files of other tools, read into the model.

mod arithmetic;
pub mod defaults;
pub mod launch;
mod legacy;
mod names;
pub mod nomad_job;
mod policy;
pub mod placement_rules;
pub mod rules;
pub mod spots;
mod tree;
