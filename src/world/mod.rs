//! The wiring: which machines make up a process, which processes a world, and what befalls them.
//!
//! [`spec`] is the world to build, in plain resolved values; [`event`] is what a world tells its observers. This is the
//! only layer where protocols meet the engine.

pub mod event;
pub mod spec;
