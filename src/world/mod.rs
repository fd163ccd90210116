//! The wiring: which machines make up a process, and which processes a world.
