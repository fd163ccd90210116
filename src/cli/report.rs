//! `cossim report`: the page of a finished run, made anew from its folder.

use std::path::Path;

use super::Exit;
use super::output::Output;
use crate::report::folder::rebuild;

pub(super) fn execute(folder: &Path, output: &mut Output) -> Exit {
    match rebuild(folder) {
        Ok(page) => {
            output.data(&format!("{}\n", page.display()));
            Exit::Fine
        }
        Err(error) => {
            output.say(&format!("error[E096]: {error}\nhint: {}", error.hint()));
            Exit::Wrong
        }
    }
}
