//! The `cossim` command.

fn main() -> std::process::ExitCode {
    cossim::cli::main()
}
