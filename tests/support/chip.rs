//! A NOR flash in memory that loses its power when it is told to, in the ways in which a chip does.
#![allow(dead_code, reason = "every test file uses a part of it")]

#[path = "polling.rs"]
pub(crate) mod polling;

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use embedded_storage_async::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use polling::Bell;
use stroma::store::{FlashRoom, FlashStore};

/// The driver of a chip, in a box.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Infallible> + Send>>;

/// The memory of a store is a `static`; here there are many, one after the other.
pub(crate) fn leaked<T>(room: T) -> &'static T {
    Box::leak(Box::new(room))
}

/// The store of a chip, as it is after a reset.
pub(crate) fn start<
    const RUNS: usize,
    const SLOTS: usize,
    const BYTES: usize,
    const PAGE: usize,
    const WORD: usize,
    const READ: usize,
>(
    room: &'static FlashRoom<RUNS, SLOTS, BYTES>,
    chip: &Chip<PAGE, WORD, READ>,
) -> FlashStore<Driver, RUNS, SLOTS, BYTES> {
    let end = chip.state().bytes.len() as u32;
    FlashStore::new(room, Box::pin(room.driver(chip.clone(), 0..end).unwrap()))
}

/// What is left of the word or page that was being written or erased when the power failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tear {
    /// It had not begun.
    Untouched,
    /// It was done, and nobody was told.
    Done,
    /// The front of a page is erased; of a word, half of the bits are written.
    Front,
    /// The back of a page is erased; of a word, the other bits are written.
    Back,
    /// A page was first written to zeros, as many chips do before they erase; a word is as with `Front`.
    Zeros,
    /// Some words are erased, and others are not; of a word, any bits are written.
    Some(u64),
}

pub(crate) const TEARS: [Tear; 7] =
    [Tear::Untouched, Tear::Done, Tear::Front, Tear::Back, Tear::Zeros, Tear::Some(1), Tear::Some(2)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChipError {
    /// The power failed.
    Off,
    /// What was asked for is not there, or not aligned.
    Address,
    /// A word was written that was not blank.
    Twice(u32),
}

impl NorFlashError for ChipError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// The chip; a clone is the same chip.
#[derive(Clone)]
pub(crate) struct Chip<const PAGE: usize, const WORD: usize, const READ: usize = 1>(Arc<Mutex<State>>);

pub(crate) struct State {
    pub(crate) bytes: Vec<u8>,
    /// After how many more steps the power fails: a word that is written, or a page that is erased.
    pub(crate) fuse: Option<u64>,
    pub(crate) tear: Tear,
    pub(crate) off: bool,
    /// How often each operation says that it is not done yet.
    pub(crate) waits: u32,
    pub(crate) steps: u64,
    /// At which steps a page was erased.
    pub(crate) erased_at: Vec<u64>,
    pub(crate) erases: Vec<u32>,
    pub(crate) written: u64,
}

impl<const PAGE: usize, const WORD: usize, const READ: usize> Chip<PAGE, WORD, READ> {
    pub(crate) fn new(pages: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            bytes: vec![0xff; PAGE * pages],
            fuse: None,
            tear: Tear::Untouched,
            off: false,
            waits: 0,
            steps: 0,
            erased_at: Vec::new(),
            erases: vec![0; pages],
            written: 0,
        })))
    }

    pub(crate) fn waiting(pages: usize, waits: u32) -> Self {
        let chip = Self::new(pages);
        chip.state().waits = waits;
        chip
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The power comes back.
    pub(crate) fn on(&self) {
        let mut state = self.state();
        (state.off, state.fuse) = (false, None);
    }

    pub(crate) fn cut(&self, after: u64, tear: Tear) {
        let mut state = self.state();
        (state.fuse, state.tear) = (Some(after), tear);
    }

    async fn wait(&self) -> Result<(), ChipError> {
        let waits = self.state().waits;
        Waits(waits).await;
        match self.state().off {
            true => Err(ChipError::Off),
            false => Ok(()),
        }
    }
}

/// Yields so often, and wakes whoever polled last.
pub(crate) struct Waits(pub(crate) u32);

impl Future for Waits {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            None => Poll::Ready(()),
            Some(left) => {
                self.0 = left;
                task.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl State {
    /// Whether the power fails at this step.
    fn step(&mut self) -> bool {
        self.steps += 1;
        match self.fuse {
            Some(0) => {
                self.off = true;
                true
            }
            Some(left) => {
                self.fuse = Some(left - 1);
                false
            }
            None => false,
        }
    }
}

pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }
}

impl<const PAGE: usize, const WORD: usize, const READ: usize> ErrorType for Chip<PAGE, WORD, READ> {
    type Error = ChipError;
}

impl<const PAGE: usize, const WORD: usize, const READ: usize> ReadNorFlash for Chip<PAGE, WORD, READ> {
    const READ_SIZE: usize = READ;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ChipError> {
        self.wait().await?;
        if !(offset as usize).is_multiple_of(READ) || !bytes.len().is_multiple_of(READ) {
            return Err(ChipError::Address);
        }
        let state = self.state();
        let from = state.bytes.get(offset as usize..offset as usize + bytes.len()).ok_or(ChipError::Address)?;
        bytes.copy_from_slice(from);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.state().bytes.len()
    }
}

impl<const PAGE: usize, const WORD: usize, const READ: usize> NorFlash for Chip<PAGE, WORD, READ> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), ChipError> {
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(PAGE) || !to.is_multiple_of(PAGE) || to > self.capacity() {
            return Err(ChipError::Address);
        }
        for page in from / PAGE..to / PAGE {
            self.wait().await?;
            let state = &mut *self.state();
            state.erased_at.push(state.steps);
            let cut = state.step();
            let tear = if cut { state.tear } else { Tear::Done };
            state.erases[page] += 1;
            let bytes = &mut state.bytes[page * PAGE..(page + 1) * PAGE];
            match tear {
                Tear::Untouched => {}
                Tear::Done => bytes.fill(0xff),
                Tear::Front => bytes[..PAGE / 2].fill(0xff),
                Tear::Back => bytes[PAGE / 2..].fill(0xff),
                Tear::Zeros => bytes.fill(0),
                Tear::Some(seed) => {
                    let mut random = Xorshift(seed * 0x9e37_79b9 + state.steps);
                    for word in bytes.chunks_mut(WORD) {
                        if random.below(2) == 0 {
                            word.fill(0xff);
                        }
                    }
                }
            }
            if cut {
                return Err(ChipError::Off);
            }
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), ChipError> {
        self.wait().await?;
        let state = &mut *self.state();
        let at = offset as usize;
        if !at.is_multiple_of(WORD) || !bytes.len().is_multiple_of(WORD) || at + bytes.len() > state.bytes.len() {
            return Err(ChipError::Address);
        }
        for (number, word) in bytes.chunks(WORD).enumerate() {
            let at = at + number * WORD;
            let cut = state.step();
            let tear = if cut { state.tear } else { Tear::Done };
            let mut random = Xorshift(state.steps * 0x9e37_79b9 + 7);
            let to = &mut state.bytes[at..at + WORD];
            if to.iter().any(|byte| *byte != 0xff) {
                return Err(ChipError::Twice(at as u32));
            }
            for (to, from) in to.iter_mut().zip(word) {
                *to &= match tear {
                    Tear::Untouched => 0xff,
                    Tear::Done => *from,
                    Tear::Front | Tear::Zeros => *from | 0x0f,
                    Tear::Back => *from | 0xf0,
                    Tear::Some(seed) => *from | (random.next() >> (8 * seed)) as u8,
                };
            }
            state.written += WORD as u64;
            if cut {
                return Err(ChipError::Off);
            }
        }
        Ok(())
    }
}

impl<const PAGE: usize, const WORD: usize, const READ: usize> fmt::Debug for Chip<PAGE, WORD, READ> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chip").finish_non_exhaustive()
    }
}

/// Waits for a future on this thread; one that waits without having asked to be woken is a failure.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        assert!(bell.rang(), "it waits for nothing");
    }
}
