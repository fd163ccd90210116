//! What the world is made of, as every protocol sees it: places, nodes, jobs, allocations, evaluations, services.
//! Plain data without behaviour beyond defaults and derived sizes. Names and defaults are Nomad's unless said.

pub mod alloc;
pub mod constraint;
pub mod cron;
pub mod deployment;
pub mod evaluation;
pub mod job;
pub mod node;
pub mod resources;
pub mod service;
pub mod topology;
