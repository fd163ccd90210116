//! Where a path leads to, so that two names of one place are seen to be one, be something there yet or not.

use std::path::{Component, Path, PathBuf};

/// Links that lead nowhere yet and are followed one after the other.
const LINKS_MAX: u32 = 40;

/// The place without links and dots. What is not there yet is where its folder is, as it is written.
pub(super) fn place(path: &Path) -> PathBuf {
    place_by(path, LINKS_MAX)
}

fn place_by(path: &Path, links: u32) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if let Ok(whole) = std::fs::canonicalize(path) {
        return whole;
    }
    let mut parts = path.components();
    let last = parts.next_back();
    let above = parts.as_path();
    match (last, std::fs::read_link(path)) {
        // A link to what is not there yet; what is written to it is written there.
        (_, Ok(target)) if links > 0 => place_by(&above.join(target), links - 1),
        (Some(Component::Normal(name)), _) => place_by(above, links).join(name),
        (Some(Component::ParentDir), _) => {
            let below = place_by(above, links);
            below.parent().map_or_else(|| below.clone(), Path::to_owned)
        }
        _ => path.to_owned(),
    }
}

/// Whether two places are one: the same path, or two names of one file.
pub(super) fn is_one(one: &Path, two: &Path) -> bool {
    one == two || number(one).is_some_and(|one| number(two) == Some(one))
}

/// What a file is whatever its name: its device and its number there. `None` if it is not there.
#[cfg(unix)]
fn number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|file| (file.dev(), file.ino()))
}

/// Other systems do not tell.
#[cfg(not(unix))]
fn number(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether one of two places is the other or lies within it.
pub(super) fn overlap(one: &Path, two: &Path) -> bool {
    let (one, two) = (place(one), place(two));
    one.starts_with(&two) || two.starts_with(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_place_are_one() {
        let folder = std::env::temp_dir().join(format!("cossim-place-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        std::fs::write(folder.join("a/file"), "").unwrap();
        let of = |name: &str| place(&folder.join(name));
        assert_eq!(of("a/file"), of("a/b/../file"));
        assert_eq!(of("a/new"), of("./a/b/../../a/new"));
        assert_eq!(of("no/such/../folder"), of("no/folder"));
        assert_ne!(of("a/new"), of("a/b/new"));
        assert_eq!(place(Path::new("new")), place(Path::new("./new")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a", folder.join("link")).unwrap();
            std::os::unix::fs::symlink("new", folder.join("a/hollow")).unwrap();
            std::os::unix::fs::symlink("round", folder.join("round")).unwrap();
            assert_eq!(of("link/file"), of("a/file"));
            assert_eq!(of("link/new"), of("a/hollow"));
            std::fs::hard_link(folder.join("a/file"), folder.join("a/b/hard")).unwrap();
            std::fs::write(folder.join("a/other"), "").unwrap();
            assert!(is_one(&of("a/file"), &of("a/b/hard")) && !is_one(&of("a/file"), &of("a/other")));
            assert!(!is_one(&of("a/new"), &of("a/newer")) && is_one(&of("a/new"), &of("a/new")));
            assert_eq!(of("round").file_name(), Some("round".as_ref()), "it leads to itself, and ends");
        }
        assert!(overlap(&folder.join("a"), &folder.join("a/b/c")) && overlap(&folder.join("x"), &folder.join("x")));
        assert!(!overlap(&folder.join("a"), &folder.join("ab")));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
