//! What is refused, and in which words.

use std::{format, fs, io, path::Path, string::ToString};

use ::redb::{Database, DatabaseError, StorageError};
use tempfile::TempDir;

use super::{folder, holders, kind, open, output, put, until};
use crate::store::{
    Begun, Encode, EncodeError, Session, StoreErrorKind,
    redb::{
        RedbStore,
        error::{Tail, denied, failed, not_opened},
        file::{FORMAT, FORMAT_KEY, META, builder},
    },
};

#[test]
fn values_that_cannot_be_encoded_are_refused_at_once() {
    struct Never(usize);
    impl Encode for Never {
        fn encoded_len(&self) -> Result<usize, EncodeError> {
            if self.0 == 0 { Err(EncodeError::Unserialisable) } else { Ok(self.0) }
        }

        fn encode(&self, _: &mut [u8]) -> Result<usize, EncodeError> {
            Err(EncodeError::NoRoom)
        }
    }
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    let mut session = open(&store, "r").unwrap();
    let mut refused = |value| match session.put(output("a"), value, b"") {
        Begun::Done(result) => kind(result),
        Begun::Pending(_) => None,
    };
    assert_eq!(refused(Never(0)), Some(StoreErrorKind::Unserialisable));
    assert_eq!(refused(Never(5)), Some(StoreErrorKind::Unserialisable));
    let max = 3 << 30;
    assert_eq!(refused(Never(max + 1)), Some(StoreErrorKind::TooLarge { len: max + 1, max }));
    assert!(session.is_new());
}

#[test]
fn what_cannot_be_opened_says_why_and_what_to_do() {
    let refused = |path: &Path| {
        let error = RedbStore::open(path).unwrap_err();
        let shared = error.detail().contains("does not share it");
        assert_eq!(error.kind(), if shared { StoreErrorKind::Unavailable } else { StoreErrorKind::Foreign });
        let detail = error.detail();
        assert!(detail.contains(path.file_name().unwrap().to_str().unwrap()), "{detail}");
        assert!(!detail.ends_with('…'), "{detail}");
        detail.to_string()
    };
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(refused(folder.path()).ends_with("is a folder: name a file in it"));
    for (name, content) in [("text", &b"not a database"[..]), ("zeros", &[0; 20_000]), ("noise", &[0xa5; 20_000])] {
        fs::write(at(name), content).unwrap();
        assert!(refused(&at(name)).ends_with("is no redb database: name another file"));
        assert_eq!(fs::read(at(name)).unwrap(), content);
    }
    assert!(refused(&at("text/inside")).ends_with("leads through a file: name a path of folders"));

    let alone = Database::create(at("alone")).unwrap();
    assert!(refused(&at("alone")).ends_with("is open in a program that does not share it: close that"));
    drop(alone);

    let later = builder().create(at("later")).unwrap();
    let write = later.begin_write().unwrap();
    write.open_table(META).unwrap().insert(FORMAT_KEY, FORMAT + 1).unwrap();
    write.commit().unwrap();
    assert!(refused(&at("later")).ends_with("has format 3, not 2: use the program that wrote it"));
}

#[test]
fn a_damaged_file_is_an_error() {
    let (_folder, path) = folder();
    let store = RedbStore::open(&path).unwrap();
    put(&mut open(&store, "r").unwrap(), output("a"), &[7; 50_000]).unwrap();
    drop(store);
    until(|| holders(&path) == 0);
    let whole = fs::read(&path).unwrap();
    for len in [1, 9, 64, 320, 4096, 4097, 70_000] {
        let cut = path.with_file_name(format!("{len}"));
        fs::write(&cut, &whole[..len]).unwrap();
        let kind = RedbStore::open(&cut).map_err(|error| error.kind()).err();
        // Of the first bytes there is too little to tell what it was.
        let expected = if len < 9 { StoreErrorKind::Foreign } else { StoreErrorKind::Unavailable };
        assert_eq!(kind, Some(expected), "{len}");
    }
}

#[test]
fn a_failure_of_the_system_has_the_kind_that_says_what_to_do() {
    let path = Path::new("/runs.redb");
    for (system, expected) in [
        (io::ErrorKind::PermissionDenied, StoreErrorKind::Denied),
        (io::ErrorKind::ReadOnlyFilesystem, StoreErrorKind::Denied),
        (io::ErrorKind::StorageFull, StoreErrorKind::Exhausted),
        (io::ErrorKind::QuotaExceeded, StoreErrorKind::Exhausted),
        (io::ErrorKind::FileTooLarge, StoreErrorKind::Exhausted),
        (io::ErrorKind::TimedOut, StoreErrorKind::Unavailable),
    ] {
        let error = || io::Error::from(system);
        let opening = DatabaseError::Storage(StorageError::Io(error()));
        let all = [denied(path, &error()), failed(path, &error().into()), not_opened(path, &opening)];
        for said in all {
            assert_eq!(said.kind(), expected);
            assert!(said.detail().starts_with("`/runs.redb` "), "{said}");
        }
    }
    for (error, expected) in [
        (DatabaseError::UpgradeRequired(1), StoreErrorKind::Foreign),
        (DatabaseError::Storage(StorageError::Io(io::ErrorKind::InvalidData.into())), StoreErrorKind::Foreign),
        (DatabaseError::Storage(StorageError::Io(io::ErrorKind::NotADirectory.into())), StoreErrorKind::Foreign),
        (DatabaseError::LockProtocolMismatch, StoreErrorKind::Unavailable),
        (DatabaseError::Storage(StorageError::Corrupted("x".to_string())), StoreErrorKind::Unavailable),
    ] {
        assert_eq!(not_opened(path, &error).kind(), expected, "{error}");
    }
    let opening = DatabaseError::Storage(StorageError::Corrupted("x".to_string()));
    for said in [not_opened(path, &opening), failed(path, &::redb::Error::Corrupted("x".to_string()))] {
        assert_eq!(said.detail(), "`/runs.redb` is damaged: put a backup in its place (x)");
    }
}

#[test]
fn a_long_path_is_cut_at_its_front() {
    let long = format!("/{}/ä{}", "x".repeat(80), "y".repeat(46));
    assert_eq!(format!("{}", Tail(Path::new(&long))), format!("…ä{}", "y".repeat(46)));
    let longer = format!("/{}/ä{}", "x".repeat(80), "y".repeat(47));
    assert_eq!(format!("{}", Tail(Path::new(&longer))), format!("…{}", "y".repeat(47)));
    assert_eq!(format!("{}", Tail(Path::new("/short"))), "/short");
}
