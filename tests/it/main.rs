//! The integration tests, one binary.

mod cli;
mod golden;
mod scenario;
