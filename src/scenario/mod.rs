//! The scenario file: schema, diagnostics, imports, lowering.
//!
//! [`load`] is the whole way from a path to a world: read, edited by `--set`, parsed, lowered, validated. A file that
//! does not parse ends at its first mistake; one that parses is checked to its end.

pub mod diagnostic;
pub mod edit;
pub mod fleet;
pub mod import;
pub mod library;
pub mod locate;
pub mod lower;
pub mod parse;
pub mod quantity;
pub mod schema;
pub mod suggest;
pub mod tolerances;
pub mod vary;
pub mod parameters;

use std::path::Path;
use std::path::PathBuf;

use diagnostic::Diagnostic;
use diagnostic::Place;
use diagnostic::Severity;
use diagnostic::SourceId;
use diagnostic::Sources;
use lower::Files;
use lower::Lowered;

/// What came of loading a scenario.
#[derive(Debug)]
pub struct Loaded {
    /// What it means; `None` if findings hold an error.
    pub lowered: Option<Lowered>,
    /// Errors and warnings.
    pub findings: Vec<Diagnostic>,
    /// The texts findings point into.
    pub sources: Sources,
}

impl Loaded {
    /// Fingerprint of everything that was read: the scenario after its edits and the files it names, in 16 hex digits.
    pub fn digest(&self) -> String {
        let sum = self.sources.texts().fold(0, |sum, text| xxhash_rust::xxh3::xxh3_64_with_seed(text.as_bytes(), sum));
        format!("{sum:016x}")
    }

    /// How many findings are errors.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// Loads a scenario file; `edits` are the arguments of `--set`.
pub fn load(path: &Path, edits: &[String]) -> Loaded {
    load_parsed(path, edits).0
}

/// A scenario that parsed.
#[derive(Debug)]
struct Parsed {
    scenario: schema::Scenario,
    /// Its text, after its edits.
    source: SourceId,
}

fn load_parsed(path: &Path, edits: &[String]) -> (Loaded, Option<Parsed>) {
    let name = path.display().to_string();
    match parse::read_text(path) {
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            parsed_text(&name, &text, edits, &[], &Folder { folder })
        }
        Err(reason) => {
            let finding = Diagnostic::error("E001", format!("cannot read scenario `{name}`: {reason}"))
                .hint("name the file of a scenario; `cossim init` writes one to start from");
            (Loaded { lowered: None, findings: vec![finding], sources: Sources::default() }, None)
        }
    }
}

/// Loads the text of a scenario; `files` finds the job files it names.
pub fn load_text(name: &str, text: &str, edits: &[String], files: &dyn Files) -> Loaded {
    parsed_text(name, text, edits, &[], files).0
}

/// Loads one point of a sweep: after the `edits` of `--set`, those that `varied` says (`path=value`) are made.
pub fn load_varied(name: &str, text: &str, edits: &[String], varied: &[String], files: &dyn Files) -> Loaded {
    parsed_text(name, text, edits, varied, files).0
}

fn parsed_text(
    name: &str,
    text: &str,
    edits: &[String],
    varied: &[String],
    files: &dyn Files,
) -> (Loaded, Option<Parsed>) {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    let failed =
        |finding: Diagnostic, sources: Sources| (Loaded { lowered: None, findings: vec![finding], sources }, None);
    let edited = edit::apply(&mut sources, file, "--set", edits)
        .and_then(|edited| edit::apply(&mut sources, edited, "--vary", varied));
    let source = match edited {
        Ok(source) => source,
        Err(finding) => return failed(*finding, sources),
    };
    let text = sources.get(source).text.clone();
    let scenario = match parse::parse(source, &text) {
        Ok(scenario) => scenario,
        Err(finding) => return failed(*finding, sources),
    };
    let Some(tree) = locate::scan(&text) else {
        let place = Place { source, span: 0..0 };
        let finding = Diagnostic::error("E002", "the file holds too many values").at(Some(place));
        return failed(finding.hint("leave some of them out, or move jobs into files"), sources);
    };
    let text = lower::Text { source, tree: &tree };
    let (lowered, findings) = lower::lower(&scenario, text, &mut sources, files);
    (Loaded { lowered, findings, sources }, Some(Parsed { scenario, source }))
}

/// Files beside a scenario.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Where paths begin.
    pub folder: PathBuf,
}

impl Files for Folder {
    fn read(&self, path: &str) -> Result<(String, String), String> {
        let full = self.folder.join(path);
        parse::read_text(&full).map(|text| (full.display().to_string(), text))
    }
}
