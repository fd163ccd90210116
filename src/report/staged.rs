//! What is written beside its place until it is whole. It goes with whoever writes it; a process that ends without
//! unwinding takes it away by [`clear`].

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::TryLockError;

static OF_PROCESS: Unfinished = Unfinished::new();

/// Takes away everything that this process has not put in its place yet. Whoever writes it must not go on.
pub fn clear() {
    OF_PROCESS.clear();
}

/// A file or folder that is not whole yet, by its path; dropped, it is taken away if it still stands there.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    among: &'static Unfinished,
}

impl Staged {
    /// Something that is going to be written here.
    pub(super) fn new(path: PathBuf) -> Self {
        Self::among(&OF_PROCESS, path)
    }

    fn among(among: &'static Unfinished, path: PathBuf) -> Self {
        among.change(|paths| paths.push(path.clone()));
        Self { path, among }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, while nobody takes it away.
    pub(super) fn settle<R>(&self, put: impl FnOnce() -> R) -> R {
        self.among.change(|_| put())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        remove(&self.path);
        self.among.change(|paths| paths.retain(|path| *path != self.path));
    }
}

/// Paths of what is not whole.
#[derive(Debug)]
struct Unfinished(Mutex<Vec<PathBuf>>);

impl Unfinished {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<PathBuf>) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does not wait: who holds the list may be the one that panicked.
    fn clear(&self) {
        let paths = match self.0.try_lock() {
            Ok(paths) => paths,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        paths.iter().for_each(|path| remove(path));
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_taken_away_and_nothing_else() {
        static UNFINISHED: Unfinished = Unfinished::new();
        let scratch = std::env::temp_dir().join(format!("cossim-staged-{}", std::process::id()));
        let _ = fs::remove_dir_all(&scratch);
        let at = |name: &str| scratch.join(name);
        for folder in ["half", "whole", "dropped"] {
            fs::create_dir_all(at(folder)).unwrap();
            fs::write(at(folder).join("summary.json"), "{}").unwrap();
        }
        fs::write(at("page"), "<html>").unwrap();
        let [half, page, whole, dropped] =
            ["half", "page", "whole", "dropped"].map(|name| Staged::among(&UNFINISHED, at(name)));
        whole.settle(|| fs::rename(whole.path(), at("report"))).unwrap();
        drop((whole, dropped));
        assert!(at("report/summary.json").exists() && !at("dropped").exists());
        // Whoever comes next may use the same path: it is nobody's.
        fs::create_dir(at("whole")).unwrap();
        UNFINISHED.clear();
        let mut left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["report", "whole"]);
        drop((half, page));
        fs::remove_dir_all(&scratch).unwrap();
    }
}
