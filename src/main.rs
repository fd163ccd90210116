//! The `cossim` command.
fn main() {}
