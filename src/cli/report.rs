//! `cossim report`: the page of a finished run, made anew from its folder.

use std::path::Path;

use super::Exit;
use super::output::Output;
use crate::analysis::summary::read::Flaw;
use crate::report::folder::{RebuildError, rebuild};
use crate::report::page::PageError;

pub(super) fn execute(folder: &Path, sensitivity: Option<&Path>, output: &mut Output) -> Exit {
    match rebuild(folder, sensitivity) {
        Ok(page) => {
            output.data(&format!("{}\n", page.display()));
            Exit::Fine
        }
        Err(error) => {
            output.say(&format!("error[{}]: {error}\nhint: {}", code(&error), error.hint()));
            Exit::Wrong
        }
    }
}

/// The code of the finding (`docs/scenario.md`).
const fn code(error: &RebuildError) -> &'static str {
    match error {
        RebuildError::Page { error: PageError::Summary(Flaw::Version { .. } | Flaw::Schema { .. }), .. } => "E093",
        RebuildError::Page { error: PageError::Edited { .. }, .. } => "E096",
        RebuildError::Page { error: PageError::Sensitivity(_) | PageError::Apart(_), .. } => "E098",
        RebuildError::Page { .. } | RebuildError::Read { .. } => "E092",
        RebuildError::Sensitivity(_) | RebuildError::Apart { .. } => "E098",
        RebuildError::Write { .. } => "E091",
    }
}
