//! What is written beside its place until it is whole. It goes with whoever writes it; a process that ends without
//! unwinding takes it away by [`clear`].

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

static OF_PROCESS: Unfinished = Unfinished::new();

/// Takes away everything that this process has not put in its place yet, once nobody is about to do so. Nothing is
/// begun or put in its place while what this returns lives: who would, waits.
#[must_use = "keep it until the process ends"]
pub fn clear() -> impl Sized {
    OF_PROCESS.clear()
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

    /// Begins to write it, or a file in it. Not for long: who takes everything away waits for it.
    pub(super) fn begin<R>(&self, begin: impl FnOnce() -> R) -> R {
        self.among.change(|_| begin())
    }

    /// Puts it in its place. What `put` returns stood there before: it is taken away, whoever does it.
    pub(super) fn settle<E>(&self, put: impl FnOnce() -> Result<Option<PathBuf>, E>) -> Result<(), E> {
        let replaced = self.among.change(|paths| {
            let replaced = put()?;
            paths.extend(replaced.clone());
            Ok(replaced)
        })?;
        drop(replaced.map(|path| Self { path, among: self.among }));
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.among.change(|paths| {
            remove(&self.path);
            paths.retain(|path| *path != self.path);
        });
    }
}

/// Paths of what is not whole. Who holds the list works on files and waits for nobody.
#[derive(Debug)]
struct Unfinished(Mutex<Vec<PathBuf>>);

impl Unfinished {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<PathBuf>) -> R) -> R {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        HOLDS.set(true);
        let changed = change(&mut paths);
        HOLDS.set(false);
        changed
    }

    /// Who panics while it holds the list cannot wait for it, and leaves everything as it is.
    fn clear(&self) -> Option<MutexGuard<'_, Vec<PathBuf>>> {
        if HOLDS.get() {
            return None;
        }
        let paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.iter().for_each(|path| remove(path));
        Some(paths)
    }
}

thread_local! {
    /// Whether it is this thread that holds the list.
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

fn remove(path: &Path) {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

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
        whole.settle(|| fs::rename(whole.path(), at("report")).map(|()| None)).unwrap();
        drop((whole, dropped));
        assert!(at("report/summary.json").exists() && !at("dropped").exists());
        // Whoever comes next may use the same path: it is nobody's.
        fs::create_dir(at("whole")).unwrap();
        drop(UNFINISHED.clear());
        let mut left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["report", "whole"]);
        drop((half, page));
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn what_was_replaced_is_taken_away_but_not_before() {
        static UNFINISHED: Unfinished = Unfinished::new();
        let scratch = std::env::temp_dir().join(format!("cossim-replaced-{}", std::process::id()));
        fs::create_dir_all(scratch.join("old")).unwrap();
        let staged = Staged::among(&UNFINISHED, scratch.join("new"));
        assert_eq!(staged.settle(|| Err::<Option<PathBuf>, _>("full")), Err("full"));
        assert!(scratch.join("old").exists());
        staged.settle(|| Ok::<_, ()>(Some(scratch.join("old")))).unwrap();
        assert!(!scratch.join("old").exists());
        assert_eq!(*UNFINISHED.0.lock().unwrap(), [scratch.join("new")]);
        drop(staged);
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn nothing_is_begun_after_everything_was_taken_away() {
        static UNFINISHED: Unfinished = Unfinished::new();
        let staged = Staged::among(&UNFINISHED, PathBuf::from("nowhere"));
        let (tell, told) = mpsc::channel();
        let cleared = UNFINISHED.clear();
        thread::scope(|scope| {
            scope.spawn(move || staged.begin(|| tell.send(()).unwrap()));
            assert!(told.recv_timeout(A_WHILE).is_err());
            drop(cleared);
            told.recv().unwrap();
        });
    }

    #[test]
    fn what_is_put_in_its_place_is_waited_for() {
        static UNFINISHED: Unfinished = Unfinished::new();
        let (tell, told) = mpsc::channel();
        let (begun, begin) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                Staged::among(&UNFINISHED, PathBuf::from("nowhere")).settle(|| {
                    begun.send(()).unwrap();
                    // Between two renames.
                    thread::park_timeout(A_WHILE);
                    tell.send(()).unwrap();
                    Ok::<_, ()>(None)
                })
            });
            begin.recv().unwrap();
            let cleared = UNFINISHED.clear();
            assert!(told.try_recv().is_ok());
            drop(cleared);
        });
    }

    #[test]
    fn who_panics_while_it_holds_the_list_does_not_wait_for_itself() {
        static UNFINISHED: Unfinished = Unfinished::new();
        let staged = Staged::among(&UNFINISHED, PathBuf::from("nowhere"));
        assert!(staged.begin(|| UNFINISHED.clear().is_none()));
        assert!(UNFINISHED.clear().is_some());
    }

    const A_WHILE: Duration = Duration::from_millis(50);
}
