//! A look at the file from outside: nobody is kept from anything by it, and no run changes hands.
//!
//! What is saved is in the tables, or in the journal of whoever saved it. The journals are read first: a line that is gone from
//! there by then was committed before it was written over, so the snapshot that is taken afterwards has it.

mod scene;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests;

use alloc::{borrow::ToOwned, collections::BTreeSet, string::String, vec::Vec};
use core::{fmt, ops::Bound, panic::AssertUnwindSafe};
use std::{
    collections::HashMap,
    io,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use self::scene::{Pending, Scene, Tables, lives, optional};
#[cfg(doc)]
use super::super::StoreErrorKind;
use super::{
    super::{StoreError, inspect::RunView},
    error::{denied, failed, foreign, not_opened, unavailable},
    file::{FORMAT, FORMAT_KEY, META},
    holder::{self, Holder},
    journal::{self, Line},
    lease::Seen,
    opened::Opened,
};
use crate::run::RunId;

/// How many runs are read at once.
const PAGE: usize = 256;

/// A look into the file of a [`RedbStore`](super::RedbStore): which runs it has, how far each got, and who has it.
///
/// It needs none of the types of what is stored, takes no run, and works beside programs that execute them: what they saved is seen
/// also where it is still in their journals. It only reads, and may not be allowed more, where the runs that it is asked for were
/// given back. Of others it has to ask whether their holder lives, of its lock, and that inside a transaction that changes nothing:
/// then the file has to be writable, its bytes are others afterwards, and a program that is stopped in the middle of a write is
/// waited for. A file that a program left open when it was killed is repaired first, as by whoever opens it next.
///
/// All that it does waits for the disk.
///
/// ```
/// use stroma::store::{RedbStore, RedbView};
///
/// # let folder = std::env::temp_dir().join(format!("stroma-view-{}", std::process::id()));
/// let store = RedbStore::open(folder.join("runs.redb"))?;
/// let mut view = RedbView::open(folder.join("runs.redb"))?;
/// let mut runs = view.runs();
/// while let Some(page) = runs.next_page()? {
///     for run in page {
///         println!("{}: {} values", run.run, run.slots.len());
///     }
/// }
/// # drop((view, store));
/// # std::fs::remove_dir_all(folder).ok();
/// # Ok::<(), stroma::store::StoreError>(())
/// ```
pub struct RedbView {
    path: PathBuf,
    folder: PathBuf,
    file: Opened,
    seen: Seen,
}

impl fmt::Debug for RedbView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbView").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbView {
    /// Opens the file at `path`; where there is none, none is made.
    ///
    /// # Errors
    /// As [`RedbStore::open`](super::RedbStore::open), and [`Foreign`](StoreErrorKind::Foreign) where no store ever wrote to the
    /// file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        // As for a store: the folder beside the file is found by the file's own name, links or not.
        let path = path.canonicalize().map_err(|error| absent(path, &error))?;
        if path.is_dir() {
            return Err(foreign(&path, "is a folder: name a file in it"));
        }
        let opened = catch_unwind(|| Opened::open(&path)).map_err(|_| damaged(&path))?;
        let file = opened.map_err(|error| not_opened(&path, &error))?;
        let view = Self { folder: Holder::folder(&path), path, file, seen: Seen::default() };
        guarded(&view.path, || view.check_format())?;
        Ok(view)
    }

    /// Its runs, in the order of their ids.
    pub const fn runs(&mut self) -> RedbRuns<'_> {
        RedbRuns { view: self, after: None, over: false }
    }

    /// One run, without the bytes of its values; `None` where there is no such run.
    ///
    /// # Errors
    /// [`Unavailable`](StoreErrorKind::Unavailable) where the file is damaged, or as the system has it.
    pub fn look(&mut self, run: &RunId) -> Result<Option<RunView>, StoreError> {
        self.one(run, false)
    }

    /// The same with the bytes of its values, all of one moment.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub fn export(&mut self, run: &RunId) -> Result<Option<RunView>, StoreError> {
        self.one(run, true)
    }

    fn one(&mut self, run: &RunId, values: bool) -> Result<Option<RunView>, StoreError> {
        let (scene, ()) = self.survey(|tables| {
            let record = run.with_str(|id| tables.runs.get(id))?;
            Ok((record.map(|record| record.value().0).into_iter().collect(), ()))
        })?;
        guarded(&self.path, || {
            let tables = Tables::of(&self.file.begin_read()?)?;
            run.with_str(|id| match tables.runs.get(id)? {
                Some(record) => scene.view(&tables, run, record.value(), values),
                None => Ok(Ok(None)),
            })
        })
    }

    fn page(&mut self, after: Option<&str>) -> Result<(Vec<RunView>, Option<String>), StoreError> {
        let (scene, stretch) = self.survey(|tables| Stretch::of(tables, after))?;
        self.read(after, &scene, stretch)
    }

    /// The runs of a stretch as they are now: those that were forgotten since make no room for runs whose holder was not asked for.
    fn read(
        &self,
        after: Option<&str>,
        scene: &Scene,
        stretch: Stretch,
    ) -> Result<(Vec<RunView>, Option<String>), StoreError> {
        let Some(last) = stretch.last else { return Ok((Vec::new(), None)) };
        let page = guarded(&self.path, || {
            let tables = Tables::of(&self.file.begin_read()?)?;
            let mut page = Vec::new();
            for entry in tables.runs.range::<&str>((beyond(after), Bound::Included(&*last)))? {
                let (key, record) = entry?;
                let Ok(run) = RunId::new(key.value()) else { continue };
                match scene.view(&tables, &run, record.value(), false)? {
                    Ok(run) => page.extend(run),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(page))
        })?;
        Ok((page, stretch.is_full.then_some(last)))
    }

    fn check_format(&self) -> Result<Result<(), StoreError>, ::redb::Error> {
        let read = self.file.begin_read()?;
        let format = match optional(read.open_table(META))? {
            Some(meta) => meta.get(FORMAT_KEY)?.map(|format| format.value()),
            None => None,
        };
        Ok(match format {
            None => Err(foreign(&self.path, "has no runs of stroma in it: name another file")),
            Some(format) if format > FORMAT => Err(foreign(
                &self.path,
                format_args!("has format {format}, not {FORMAT}: use the program that wrote it"),
            )),
            Some(_) => Ok(()),
        })
    }

    /// Reads what is beside the tables of the holders that `find` finds in them. One that comes later is alive, and what it saves
    /// meanwhile may be missing.
    fn survey<T>(
        &mut self,
        find: impl Fn(&Tables) -> Result<(BTreeSet<u128>, T), ::redb::Error>,
    ) -> Result<(Scene, T), StoreError> {
        let (mut there, mut found) = self.holders(&find)?;
        if !there.is_empty() && self.open_to_write()? {
            // There may be another file of this name by now, with other holders.
            (there, found) = self.holders(&find)?;
        }
        let mut scene = Scene { folder: self.folder.clone(), lives: HashMap::new(), lines: HashMap::new() };
        for holder in &there {
            let id = Uuid::from_u128(*holder);
            let bytes = journal::read(&self.folder, id).map_err(|error| denied(&self.folder, &error))?;
            for (number, body) in journal::frames(&bytes, id) {
                // A line of a later version says nothing to us.
                if let Ok(line) = postcard::from_bytes::<Line<'_>>(body) {
                    let pending = Pending { holder: *holder, number, token: line.token, body: body.to_vec() };
                    scene.lines.entry(line.run.to_owned()).or_default().push(pending);
                }
            }
        }
        if let (false, Opened::Write(database)) = (there.is_empty(), &self.file) {
            let (folder, seen) = (&self.folder, &mut self.seen);
            scene.lives = guarded(&self.path, || {
                let write = database.begin_write()?;
                let lives = lives(folder, seen, &there);
                write.abort()?;
                Ok(lives.map_err(|error| denied(folder, &error)))
            })?;
        }
        Ok((scene, found))
    }

    /// The holders that `find` finds in the tables and that left files.
    fn holders<T>(
        &self,
        find: impl Fn(&Tables) -> Result<(BTreeSet<u128>, T), ::redb::Error>,
    ) -> Result<(BTreeSet<u128>, T), StoreError> {
        let (holders, found) = guarded(&self.path, || Ok(Ok(find(&Tables::of(&self.file.begin_read()?)?)?)))?;
        let mut there = match holder::all(&self.folder) {
            Ok(holders) => holders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(denied(&self.folder, &error)),
        };
        there.retain(|holder| holders.contains(holder));
        Ok((there, found))
    }

    /// Opens the file by its name again, to be written, where it is not yet; whether it did.
    fn open_to_write(&mut self) -> Result<bool, StoreError> {
        let (path, file) = (&self.path, &mut self.file);
        let opened = guarded(path, || Ok(file.open_to_write(path).map_err(|error| not_opened(path, &error))))?;
        if opened {
            guarded(&self.path, || self.check_format())?;
        }
        Ok(opened)
    }
}

/// Which runs a page is about.
struct Stretch {
    /// The id of the last of them; `None` where there is none.
    last: Option<String>,
    /// Whether more may follow.
    is_full: bool,
}

impl Stretch {
    /// The next of them, and who has them.
    fn of(tables: &Tables, after: Option<&str>) -> Result<(BTreeSet<u128>, Self), ::redb::Error> {
        let (mut holders, mut last, mut count) = (BTreeSet::new(), None, 0);
        for entry in tables.runs.range::<&str>((beyond(after), Bound::Unbounded))?.take(PAGE) {
            let (key, record) = entry?;
            holders.insert(record.value().0);
            count += 1;
            last = Some(key);
        }
        let last = last.map(|key| key.value().to_owned());
        Ok((holders, Self { last, is_full: count == PAGE }))
    }
}

fn beyond(after: Option<&str>) -> Bound<&str> {
    after.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The runs of a [`RedbView`], some hundred at a time, so that no more of them are in memory.
pub struct RedbRuns<'v> {
    view: &'v mut RedbView,
    after: Option<String>,
    over: bool,
}

impl fmt::Debug for RedbRuns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbRuns").field("after", &self.after).finish_non_exhaustive()
    }
}

impl RedbRuns<'_> {
    /// The next of them, `None` at the end. Each page is of one moment, two of them are not.
    ///
    /// # Errors
    /// As [`RedbView::look`].
    pub fn next_page(&mut self) -> Result<Option<Vec<RunView>>, StoreError> {
        if self.over {
            return Ok(None);
        }
        let (page, after) = self.view.page(self.after.as_deref())?;
        self.over = after.is_none();
        self.after = after;
        Ok(Some(page))
    }
}

/// redb panics over some files that are damaged.
fn guarded<T>(
    path: &Path,
    work: impl FnOnce() -> Result<Result<T, StoreError>, ::redb::Error>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(failed(path, &error)),
        Err(_) => Err(damaged(path)),
    }
}

#[cold]
fn damaged(path: &Path) -> StoreError {
    unavailable(path, "is damaged: put a backup in its place")
}

#[cold]
fn absent(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => unavailable(path, "is not there: name the file that the program was given"),
        _ => denied(path, error),
    }
}
