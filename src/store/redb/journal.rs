//! What a holder has saved since its last transaction: a file of its own, to which a checkpoint is one write and one sync.
//!
//! ```text
//! fence     8 bytes   raised by whoever takes a run from this holder while it is there
//! frames    from START on, as many as have numbers that follow one another
//!   length  4 bytes   of the body
//!   crc     4 bytes   CRC-32/ISO-HDLC of holder, number and body
//!   number  8 bytes
//!   body              a `Line`, in postcard's form
//! ```
//!
//! A transaction takes the lines over into the tables, notes the last number there, and the next frame goes to START again:
//! what is left of an earlier round has lower numbers. All room is written to once, so that a sync has no more to do than
//! the frames.
//!
//! Whoever takes a run from a holder that stands still raises the fence, reads the frames and puts them into the tables, in
//! this order. The holder reads the fence after its sync and before it reports success. Where the fence is as it was, the
//! frame was there when it was raised, so it is not lost; where it is not, the holder goes to the tables, as it would
//! without a journal, and is told there what is its own.

use alloc::{string::ToString, vec, vec::Vec};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::session::Put;

/// How long the fence is, and with it a journal that has no line yet.
const FENCE: u64 = 8;
/// Where frames begin: not in a page with the fence, which others write.
const START: usize = 4096;
/// How far they go.
const END: usize = 512 << 10;
/// The longest body; what is longer costs a transaction's two syncs, which are little against writing it.
const BODY_MAX: usize = 32 << 10;
const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// One checkpoint: run, token, slot with its bytes, and ledger.
#[derive(Serialize, Deserialize)]
pub(super) struct Line<'l> {
    pub(super) run: &'l str,
    pub(super) token: u64,
    #[serde(borrow)]
    pub(super) slot: Option<(&'l str, u32, u8, &'l [u8])>,
    pub(super) ledger: &'l [u8],
}

impl<'l> Line<'l> {
    pub(super) fn of(put: &'l Put) -> Self {
        Self {
            run: &put.hold.run,
            token: put.hold.token,
            slot: put.slot.as_ref().map(|((node, instance, kind), bytes)| (&**node, *instance, *kind as u8, &**bytes)),
            ledger: &put.ledger,
        }
    }

    /// About how long the body is: never less than it is.
    fn len(put: &Put) -> usize {
        let slot = put.slot.as_ref().map_or(0, |((node, ..), bytes)| node.len() + bytes.len());
        put.hold.run.len() + slot + put.ledger.len() + 64
    }
}

/// The journal of a holder's own.
pub(super) struct Journal {
    path: PathBuf,
    holder: Uuid,
    file: File,
    /// Whether there is room to the end; it is made for the first line.
    roomy: bool,
    /// Whether the file can be trusted with another line. Once it could not, it is after the next transaction.
    sound: bool,
    /// Where the next frame goes.
    at: usize,
    /// The number of the last frame.
    last: u64,
    /// The last number that is noted in the tables.
    noted: u64,
    /// The fence when our runs were last found to be ours.
    fence: u64,
    /// What is in the file and not in the tables, with its numbers, in order.
    pub(super) lines: Vec<(u64, Put)>,
    /// The same for those who find the file without us: as long as there may be a line in it, it has to stay.
    unwritten: bool,
    frames: Vec<u8>,
    /// Somebody takes a run at the worst moment.
    #[cfg(test)]
    pub(super) raise_in_between: bool,
}

impl Journal {
    pub(super) fn new(folder: &Path, holder: Uuid) -> io::Result<Self> {
        let path = beside(folder, holder);
        let mut file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        file.write_all(&[0; 8])?;
        Ok(Self {
            path,
            holder,
            file,
            roomy: false,
            sound: true,
            at: START,
            last: 0,
            noted: 0,
            fence: 0,
            lines: Vec::new(),
            unwritten: false,
            frames: Vec::new(),
            #[cfg(test)]
            raise_in_between: false,
        })
    }

    /// Whether these can be saved here.
    pub(super) fn has_room<'p>(&self, puts: impl Iterator<Item = &'p Put>) -> bool {
        let mut len = self.at;
        for put in puts {
            let body = Line::len(put);
            if body > BODY_MAX {
                return false;
            }
            len += HEAD + body;
        }
        self.sound && len <= END
    }

    /// Saves these; whether they are durable and the holder has lost nothing meanwhile. Else, and after an error, they may
    /// be in the file or not, and have to be saved in the tables.
    pub(super) fn append<'p>(&mut self, puts: impl Iterator<Item = &'p Put>) -> io::Result<bool> {
        // Until it is known to have gone well.
        self.sound = false;
        if !self.roomy {
            // What there is of room is better left to the tables than to half a journal.
            self.make_room().inspect_err(|_| drop(self.file.set_len(FENCE)))?;
            self.roomy = true;
        }
        self.frames.clear();
        for put in puts {
            self.last += 1;
            frame(&mut self.frames, self.holder, self.last, &Line::of(put))?;
        }
        self.unwritten = true;
        self.file.seek(SeekFrom::Start(self.at as u64))?;
        self.file.write_all(&self.frames)?;
        #[cfg(test)]
        if let Some(folder) = self.path.parent().filter(|_| self.raise_in_between) {
            raise_fence(folder, self.holder)?;
        }
        self.file.sync_data()?;
        self.at += self.frames.len();
        self.sound = self.fence_now()? == self.fence;
        Ok(self.sound)
    }

    /// Keeps what was appended last until it is in the tables.
    pub(super) fn keep(&mut self, puts: Vec<Put>) {
        let count = u64::try_from(puts.len()).unwrap_or(u64::MAX);
        self.lines.extend((self.last.saturating_sub(count)..self.last).map(|before| before + 1).zip(puts));
    }

    /// Takes the room, and makes the file's name as durable as its lines are going to be.
    fn make_room(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(START as u64))?;
        self.file.write_all(&vec![0; END - START])?;
        self.file.sync_all()?;
        for folder in self.path.ancestors().skip(1).take(2) {
            // Not every system can open folders; those that can have to sync them.
            if let Ok(folder) = File::open(folder) {
                folder.sync_all()?;
            }
        }
        Ok(())
    }

    /// The fence as it is under the file's name: where somebody took the file away, ours is not the one that others see.
    pub(super) fn fence_now(&self) -> io::Result<u64> {
        fence_of(&mut File::open(&self.path)?)
    }

    /// The number to note in the tables where it is not.
    pub(super) fn to_note(&self) -> Option<u64> {
        (self.last != self.noted).then_some(self.last)
    }

    pub(super) fn raised(&self, fence: &io::Result<u64>) -> bool {
        !fence.as_ref().is_ok_and(|fence| *fence == self.fence)
    }

    /// All lines are in the tables, or nobody's any more; our runs were found to be ours after `fence` was read.
    pub(super) fn taken_over(&mut self, fence: &io::Result<u64>) {
        self.noted = self.last;
        self.at = START;
        self.unwritten = false;
        if let Ok(fence) = fence {
            self.fence = *fence;
        }
        // Without a file that others see there is no fence.
        self.sound = fence.is_ok();
    }

    #[cfg(test)]
    pub(super) const fn frames_len(&self) -> usize {
        self.frames.len()
    }

    #[cfg(test)]
    pub(super) const fn place(&self) -> usize {
        self.at
    }

    /// Whether nobody needs the file.
    pub(super) const fn is_done(&self) -> bool {
        !self.unwritten
    }
}

const HEAD: usize = 16;

fn frame(frames: &mut Vec<u8>, holder: Uuid, number: u64, line: &Line<'_>) -> io::Result<()> {
    let body = postcard::to_allocvec(line).map_err(io::Error::other)?;
    let len = u32::try_from(body.len()).map_err(io::Error::other)?;
    frames.extend_from_slice(&len.to_le_bytes());
    frames.extend_from_slice(&checksum(holder, number, &body).to_le_bytes());
    frames.extend_from_slice(&number.to_le_bytes());
    frames.extend_from_slice(&body);
    Ok(())
}

fn checksum(holder: Uuid, number: u64, body: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(holder.as_bytes());
    digest.update(&number.to_le_bytes());
    digest.update(body);
    digest.finalize()
}

fn fence_of(file: &mut File) -> io::Result<u64> {
    let mut fence = [0; 8];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut fence)?;
    Ok(u64::from_le_bytes(fence))
}

pub(super) fn beside(folder: &Path, holder: Uuid) -> PathBuf {
    folder.join(holder.to_string() + ".journal")
}

/// Tells a holder that is there that its runs may not be its own any more. To be called inside a write transaction.
pub(super) fn raise_fence(folder: &Path, holder: Uuid) -> io::Result<()> {
    let mut file = match OpenOptions::new().read(true).write(true).open(beside(folder, holder)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let fence = match fence_of(&mut file) {
        Ok(fence) => fence.wrapping_add(1),
        // Whoever made it died before there was a fence, or lost it with the power: there are no lines either.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&fence.to_le_bytes())
}

/// What is in a holder's journal.
pub(super) fn read(folder: &Path, holder: Uuid) -> io::Result<Vec<u8>> {
    match fs::read(beside(folder, holder)) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The frames of a journal with their numbers, up to the first that is not whole or does not follow the one before.
pub(super) fn frames(bytes: &[u8], holder: Uuid) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = bytes.get(START..).unwrap_or_default();
    let mut last = None;
    core::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (crc, after) = after.split_first_chunk::<4>()?;
        let (number, after) = after.split_first_chunk::<8>()?;
        let (body, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        let number = u64::from_le_bytes(*number);
        let follows = last.is_none_or(|last: u64| last.checked_add(1) == Some(number));
        if !follows || checksum(holder, number, body) != u32::from_le_bytes(*crc) {
            return None;
        }
        (last, rest) = (Some(number), after);
        Some((number, body))
    })
}
