//! `cossim init`.

use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;

use super::Exit;
use super::output::Output;

/// The scenario to start from.
pub(super) const STARTER: &str = include_str!("starter.ron");

pub(super) fn execute(file: &Path, output: &mut Output) -> Exit {
    if file == Path::new("-") {
        output.data(STARTER);
        return Exit::Fine;
    }
    let written =
        std::fs::OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut opened| {
            opened.write_all(STARTER.as_bytes()).inspect_err(|_| drop(std::fs::remove_file(file)))
        });
    let name = file.display();
    match written {
        Ok(()) => {
            output.say(&format!("wrote `{name}`; now run `cossim run {name}`"));
            Exit::Fine
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            output.say(&format!("error: `{name}` exists already\nhint: name another file"));
            Exit::Wrong
        }
        Err(error) => {
            output.say(&format!("error: cannot write `{name}`: {error}"));
            Exit::Wrong
        }
    }
}
