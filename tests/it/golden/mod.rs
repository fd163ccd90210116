//! Answers recorded from the real systems, replayed here. The recordings lie in `tests/golden`; when
//! `COSSIM_GOLDEN_DIR` is set, the same file names are read there too, as further cases.

mod catalog;
mod gossip;
mod nomad;
mod proxy;
mod raft;

use std::path::PathBuf;

/// The copies of one recording to check: ours, and the further one when `COSSIM_GOLDEN_DIR` is set. Panics if a set
/// directory lacks the file, so that a misplaced directory cannot pass for agreement.
pub(crate) fn recordings(name: &str) -> Vec<PathBuf> {
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    assert!(ours.is_file(), "missing recording {}", ours.display());
    let mut paths = vec![ours];
    if let Some(dir) = std::env::var_os("COSSIM_GOLDEN_DIR") {
        let further = PathBuf::from(dir).join(name);
        assert!(further.is_file(), "COSSIM_GOLDEN_DIR is set but lacks {}", further.display());
        paths.push(further);
    }
    paths
}

/// A folder of further recordings that lacks one we know is misplaced or incomplete, and must not pass for agreement.
#[test]
fn a_folder_of_further_recordings_is_complete() {
    let Some(further) = std::env::var_os("COSSIM_GOLDEN_DIR").map(PathBuf::from) else { return };
    let ours = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let list = |dir: &PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("cannot read {}: {error}", dir.display()));
        entries.map(|entry| entry.expect("an entry can be read").path()).collect()
    };
    for folder in list(&ours).into_iter().filter(|path| path.is_dir()) {
        let files = list(&folder).into_iter().filter(|path| path.extension().is_none_or(|extension| extension != "md"));
        for file in files {
            let name = file.strip_prefix(&ours).expect("it lies there");
            assert!(further.join(name).is_file(), "COSSIM_GOLDEN_DIR is set but lacks {}", name.display());
        }
    }
}
