//! The files of a sweep: its plan and the runs it keeps while it goes on ([`store`]), its result ([`folder`]), and the
//! job descriptions that let other engines run its shards ([`emit`]).

pub mod store;
pub mod json;
pub mod csv;
pub mod text;
pub mod plot;
pub mod folder;
pub mod emit;
