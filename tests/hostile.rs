//! What came in once and was kept comes in again: the corpora of the fuzz targets, file by file.
#![cfg(all(feature = "std", feature = "json"))]

#[path = "hostile/mod.rs"]
mod hostile;

use std::{
    fs, panic,
    path::{Path, PathBuf},
};

/// The files of a corpus; without any, nothing would be shown.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

/// Calls `check` with every file of a corpus, and names the file that it fails with.
fn replay(target: &str, check: fn(&[u8])) {
    for file in corpus(target) {
        let data = fs::read(&file).unwrap();
        if let Err(panic) = panic::catch_unwind(|| check(&data)) {
            eprintln!("with {}", file.display());
            panic::resume_unwind(panic);
        }
    }
}

#[test]
fn checkpoints() {
    replay("checkpoint", hostile::checkpoint::check);
}

#[test]
fn prices() {
    replay("prices", hostile::prices::check);
}

#[test]
fn run_ids() {
    replay("run_id", hostile::run_id::check);
}

/// The ids that were written by hand, each beside one that is nearly the same.
#[cfg(feature = "redb")]
#[test]
fn run_ids_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = stroma::store::RedbStore::open(folder.path().join("runs.redb")).unwrap();
    let by_hand = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with("seed-");
    let pairs: Vec<_> = corpus("run_id")
        .into_iter()
        .filter(by_hand)
        .filter_map(|file| hostile::run_id::both(&fs::read(file).unwrap()))
        .filter(|(one, other)| one != other)
        .collect();
    assert!(pairs.len() > 8, "{}", pairs.len());
    for (one, other) in pairs {
        hostile::run_id::kept_apart(&store, one, other);
    }
}

#[test]
fn traces() {
    replay("trace", hostile::trace::check);
}
