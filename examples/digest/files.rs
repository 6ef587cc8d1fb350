//! Finding the files, saying which is which, and writing one whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use ignore::WalkBuilder;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::RunId;
use uuid::Uuid;

/// Counted up when a digest of the same text comes out otherwise, so that what was kept of earlier versions is not taken over.
const VERSION: u32 = 1;

/// What in a folder is passed over without a word: by its name it is no text, or was written by a program for programs.
const NOT_TEXT: &[&str] = &[
    "7z", "a", "avi", "bin", "bmp", "bz2", "class", "crate", "dat", "db", "dll", "dylib", "exe", "gif", "gz", "ico",
    "jar", "jpeg", "jpg", "lock", "mkv", "mov", "mp3", "mp4", "o", "ogg", "otf", "pdf", "png", "pyc", "rar", "redb",
    "rlib", "rmeta", "so", "sqlite", "svg", "tar", "tgz", "tiff", "ttf", "wasm", "wav", "webm", "webp", "woff",
    "woff2", "xz", "zip", "zst",
];

/// The input of a run: a file as it was found. The run of a file that has changed since has another input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub(crate) struct Source {
    /// Its one absolute path, without links.
    pub(crate) path: String,
    /// Its length in bytes; 0 where that cannot be found out.
    pub(crate) len: u64,
    /// When it was last written to, in nanoseconds since 1970; 0 where that cannot be found out.
    modified: u64,
    /// The version of the digest.
    version: u32,
}

/// A file that is to be digested.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its path as a reader knows it.
    pub(crate) shown: String,
    /// What it is.
    pub(crate) source: Source,
}

impl Target {
    /// The run that the file has: always the same one, whatever is in the file and wherever the command is called.
    ///
    /// A file that has changed is not a new run, or the store would keep every version of it for ever: its run is told by
    /// the input that it is of another version, and is begun anew.
    pub(crate) fn run_id(&self) -> RunId {
        RunId::from(Uuid::new_v5(&Uuid::NAMESPACE_URL, ["file://", &self.source.path].concat().as_bytes()))
    }
}

/// A path of which nothing can be digested, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// The path as a reader knows it.
    pub(crate) shown: String,
    /// Why.
    pub(crate) why: String,
}

/// What was found under some paths.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files, each once, in the order of the paths and by name in folders.
    pub(crate) targets: Vec<Target>,
    /// What could not be looked into.
    pub(crate) unfit: Vec<Unfit>,
}

/// Finds the files under `paths`. `base` is left out of what is shown; what is in `own` belongs to this program.
pub(crate) fn find(paths: &[PathBuf], base: &Path, own: &[PathBuf]) -> Found {
    let own: Vec<PathBuf> = own.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            found.walk(path, base, &own);
        } else {
            // Whatever is named is tried, and its pipeline says what is wrong with it.
            found.add(path, base);
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.targets.retain(|target| seen.insert(target.source.path.clone()));
    found
}

impl Found {
    fn walk(&mut self, folder: &Path, base: &Path, own: &[PathBuf]) {
        let by_name = |a: &std::ffi::OsStr, b: &std::ffi::OsStr| a.cmp(b);
        for entry in WalkBuilder::new(folder).sort_by_file_name(by_name).build() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unfit.push(Unfit { shown: shown(folder, base), why: error.to_string() });
                    continue;
                }
            };
            let path = entry.path();
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let ours = || path.canonicalize().is_ok_and(|path| own.iter().any(|own| path.starts_with(own)));
            if is_file && !is_not_text(path) && !ours() {
                self.add(path, base);
            }
        }
    }

    fn add(&mut self, path: &Path, base: &Path) {
        let shown = shown(path, base);
        // What is not there has no canonical path, and is its pipeline's to report.
        let whole = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf());
        let about = fs::metadata(&whole).ok();
        let modified = about.as_ref().and_then(|about| about.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        match whole.into_os_string().into_string() {
            Ok(path) => self.targets.push(Target {
                shown,
                source: Source {
                    path,
                    len: about.map_or(0, |about| about.len()),
                    modified: modified.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
                    version: VERSION,
                },
            }),
            Err(_) => self.unfit.push(Unfit { shown, why: "its path is not UTF-8".to_owned() }),
        }
    }
}

fn shown(path: &Path, base: &Path) -> String {
    // The root is no place that a reader leaves out.
    let path = if base.parent().is_some() { path.strip_prefix(base).unwrap_or(path) } else { path };
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn is_not_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| NOT_TEXT.binary_search(&extension.as_str()).is_ok())
}

/// Puts `bytes` into the file `name` of `folder`: whoever opens it sees all of the old or all of the new, also after a crash.
///
/// `writer` tells apart those who may be at it at the same time, so that none renames what another has half written.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write_whole(folder: &Path, name: &str, writer: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".{name}.{writer}.tmp"));
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        // Before the rename, or a power cut could leave the new name with nothing in it.
        file.sync_all()?;
        fs::rename(&draft, folder.join(name))
    });
    if written.is_err() {
        // It is the error above that counts.
        let _ = fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_a_reader_knows_them() {
        let short = |path: &str, base: &str| shown(Path::new(path), Path::new(base));
        assert_eq!([short("/a/b/c.md", "/a"), short("./c.md", "/a"), short("/a", "/")], ["b/c.md", "c.md", "/a"]);
        assert_eq!(short("../c.md", ""), "../c.md");
    }

    #[test]
    fn what_is_not_text_is_sorted() {
        assert!(NOT_TEXT.is_sorted());
        assert!(is_not_text(Path::new("a/B.PNG")) && !is_not_text(Path::new("png")) && !is_not_text(Path::new("a.rs")));
    }

    #[test]
    fn folders_are_walked_and_named_files_always_tried() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("sub"))?;
        fs::create_dir_all(at("own"))?;
        for name in ["b.md", "a.txt", "x.png", "sub/c.rs", ".hidden", "own/report.json"] {
            fs::write(at(name), name)?;
        }
        let named = [folder.path().to_path_buf(), at("x.png"), at("sub/../b.md"), at("missing")];
        let found = find(&named, folder.path(), &[at("own")]);
        let shown: Vec<&str> = found.targets.iter().map(|target| target.shown.as_str()).collect();
        assert_eq!(shown, ["a.txt", "b.md", "sub/c.rs", "x.png", "missing"]);
        assert_eq!(found.unfit, []);
        Ok(())
    }

    #[test]
    fn a_run_goes_by_the_path_and_its_input_by_the_content() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.txt");
        let target = || find(std::slice::from_ref(&path), folder.path(), &[]).targets.pop();
        fs::write(&path, "one")?;
        let before = target();
        fs::write(&path, "three")?;
        let after = target();
        assert_eq!(before.as_ref().map(Target::run_id), after.as_ref().map(Target::run_id));
        assert_ne!(before.map(|target| target.source), after.map(|target| target.source));
        Ok(())
    }

    #[test]
    fn a_file_is_replaced_whole() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path().join("new/folder");
        write_whole(&folder, "a.json", "1", b"one")?;
        write_whole(&folder, "a.json", "2", b"two")?;
        assert_eq!(fs::read(folder.join("a.json"))?, b"two");
        assert_eq!(fs::read_dir(&folder)?.count(), 1);
        Ok(())
    }
}
