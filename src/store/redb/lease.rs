//! The beat of a holder that may be stopped without dying, and how long others have seen it stand still.

use alloc::{string::ToString, sync::Arc};
use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Instant,
};

use uuid::Uuid;

/// The shortest term: a process that only waits for its turn on a busy machine is not to count as stopped.
pub(super) const TERM_MIN: Duration = Duration::from_millis(100);
/// How many beats there are in a term, so that one that comes late does no harm.
const BEATS: u32 = 3;

/// Where a holder beats. Not in the file that it has locked, which on some systems nobody else could read then.
pub(super) fn beside(folder: &Path, holder: Uuid) -> PathBuf {
    folder.join(holder.to_string() + ".beat")
}

/// A thread that beats for as long as this is there. It has nothing else to do, so that neither a slow disk nor another
/// process at work on the file makes this one look as if it were stopped.
pub(super) struct Lease {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Begins to beat; `beats` goes on from where an earlier lease of the same holder ended.
    pub(super) fn new(folder: &Path, holder: Uuid, term: Duration, beats: &Arc<AtomicU64>) -> io::Result<Self> {
        let term = term.max(TERM_MIN);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(beside(folder, holder))?;
        let beats = Arc::clone(beats);
        beat(&file, term, &beats)?;
        let (stop, stopped) = mpsc::channel();
        let thread =
            thread::Builder::new().name("stroma-beat".into()).spawn(move || keep(&file, term, &beats, &stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and if it had, there would be no beat to stop.
            let _ = thread.join();
        }
    }
}

fn keep(file: &File, term: Duration, beats: &AtomicU64, stopped: &Receiver<()>) {
    while stopped.recv_timeout(term / BEATS) == Err(RecvTimeoutError::Timeout) {
        // What could not be written is written next time; until then others see a beat that stands still, as it does.
        let _ = beat(file, term, beats);
    }
}

/// Writes term and count over those that are there: no more room is taken, and nothing need be on the disk.
fn beat(mut file: &File, term: Duration, beats: &AtomicU64) -> io::Result<()> {
    let nanos = u64::try_from(term.as_nanos()).unwrap_or(u64::MAX);
    let count = beats.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 16];
    let (of_term, of_count) = bytes.split_at_mut(8);
    of_term.copy_from_slice(&nanos.to_le_bytes());
    of_count.copy_from_slice(&count.to_le_bytes());
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&bytes)
}

/// What was last seen of the holders that have a lease.
#[derive(Default)]
pub(super) struct Seen(HashMap<Uuid, (u64, Instant)>);

impl Seen {
    /// How long the holder's lease still runs, by our own clock since we first saw its present beat: zero where it ran
    /// out, and `None` where it has no lease.
    pub(super) fn remaining(&mut self, folder: &Path, holder: Uuid, now: Instant) -> io::Result<Option<Duration>> {
        let bytes = match fs::read(beside(folder, holder)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
        // A file that is too short is one whose first beat is being written.
        let (Some(term), Some(beat)) = (words.next(), words.next()) else { return Ok(None) };
        let (last, since) = self.0.entry(holder).or_insert((beat, now));
        if *last != beat {
            (*last, *since) = (beat, now);
        }
        Ok(Some(Duration::from_nanos(term).saturating_sub(now.saturating_duration_since(*since))))
    }

    pub(super) fn forget(&mut self, holder: Uuid) {
        self.0.remove(&holder);
    }
}
