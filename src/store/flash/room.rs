//! The memory of a flash store: its index, a desk over which sessions and driver hand each other work, and who waits for what.

use core::{
    fmt,
    task::{Poll, Waker},
};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use super::{
    super::{Access, StoreError},
    index::{Finish, Hold, Index, Label},
};
use crate::run::RunId;

/// The memory of a [`FlashStore`](super::FlashStore): for `RUNS` runs with `SLOTS` slots each, and checkpoints of up to `BYTES`
/// bytes.
///
/// It is all the memory that the store has beside its driver, and belongs into a `static`. It takes about
/// `RUNS * (150 + SLOTS * 96) + BYTES + 400` bytes, so 4 runs with 12 slots take about 5.5 KiB; its driver takes
/// up to `3 * BYTES + 2,700` (1,900 on a chip of 32 bits), a session 300, and each write that is under way `BYTES + 200`.
///
/// - `RUNS`: how many runs the flash keeps, finished ones included; at most 65,535.
/// - `SLOTS`: how many slots a run has, its input counted; at most 65,533.
/// - `BYTES`: the longest item. A checkpoint takes 39 bytes and the id of its node beside its value (the input 47), and with it
///   the run's ledger where the runner has a budget: up to 44 bytes, with budgets inside the pipeline up to 253.
///
/// ```
/// use stroma::store::FlashRoom;
///
/// static ROOM: FlashRoom<4, 12, 256> = FlashRoom::new();
/// assert!(size_of_val(&ROOM) < 6 * 1024);
/// ```
pub struct FlashRoom<const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    inner: SpinMutex<Inner<RUNS, SLOTS, BYTES>>,
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> FlashRoom<RUNS, SLOTS, BYTES> {
    /// Memory in which nothing is yet.
    pub const fn new() -> Self {
        Self {
            inner: SpinMutex::new(Inner {
                taken: false,
                shape: Shape { word: 1, pages: 0, page: 0, item: 0 },
                index: Index::EMPTY,
                finishing: false,
                desk: Desk::EMPTY,
                contended: false,
                recent: None,
                waiting: false,
                sessions: [const { None }; RUNS],
                others: [const { None }; RUNS],
                wear: FlashWear::NONE,
            }),
        }
    }

    /// Held for a few dozen instructions, or for the copy of one item; never across an await.
    pub(super) fn lock(&self) -> SpinMutexGuard<'_, Inner<RUNS, SLOTS, BYTES>> {
        self.inner.lock()
    }

    /// Wakes all who wait, since something has changed for them.
    pub(super) fn ring(&self) {
        if !core::mem::take(&mut self.lock().waiting) {
            return;
        }
        for at in 0..RUNS {
            let (session, other) = {
                let mut inner = self.lock();
                (inner.sessions.get_mut(at).and_then(Option::take), inner.others.get_mut(at).and_then(Option::take))
            };
            for waker in [session, other].into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> Default for FlashRoom<RUNS, SLOTS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> fmt::Debug for FlashRoom<RUNS, SLOTS, BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlashRoom").field("runs", &RUNS).field("slots", &SLOTS).field("bytes", &BYTES).finish()
    }
}

pub(super) struct Inner<const RUNS: usize, const SLOTS: usize, const BYTES: usize> {
    /// Whether there is a driver.
    pub(super) taken: bool,
    pub(super) shape: Shape,
    pub(super) index: Index<RUNS, SLOTS>,
    /// The driver is noting that a run came to its end, and takes what is on the desk after that.
    pub(super) finishing: bool,
    pub(super) desk: Desk<BYTES>,
    /// Somebody found the driver at work for another thread, and is to be woken when that one lets go of it.
    pub(super) contended: bool,
    /// Whether anybody waits.
    waiting: bool,
    /// Who drove the driver on last.
    pub(super) recent: Option<Waker>,
    /// Who waits in the session of the run at this position, and who waits for something else.
    sessions: [Option<Waker>; RUNS],
    others: [Option<Waker>; RUNS],
    pub(super) wear: FlashWear,
}

impl<const RUNS: usize, const SLOTS: usize, const BYTES: usize> Inner<RUNS, SLOTS, BYTES> {
    /// Makes all as it is before anything was read, for a new driver.
    pub(super) fn begin(&mut self, shape: Shape) {
        self.shape = shape;
        self.desk.stage = Stage::Free;
        self.finishing = false;
        self.index.release_all();
        (self.index.generation, self.index.clock) = (0, 0);
        self.wear = FlashWear { pages: shape.pages as u32, ..FlashWear::NONE };
    }

    /// All is read.
    pub(super) fn settled(&mut self) {
        self.index.settled();
    }

    /// Notes who waits. All that a session waits for is waited for by one task, as a rule: one waker is enough, and whoever
    /// finds no place left is to be woken at once, to try again.
    #[must_use]
    pub(super) fn wait(&mut self, session: Option<usize>, waker: &Waker) -> Option<Waker> {
        self.waiting = true;
        match &mut self.recent {
            Some(recent) => recent.clone_from(waker),
            None => self.recent = Some(waker.clone()),
        }
        let place = match session {
            Some(at) => self.sessions.get_mut(at),
            None => {
                let others = &mut self.others;
                let known = others.iter().position(|other| other.as_ref().is_some_and(|it| it.will_wake(waker)));
                let at = known.or_else(|| others.iter().position(Option::is_none)).unwrap_or_default();
                others.get_mut(at)
            }
        };
        match place {
            Some(Some(known)) if known.will_wake(waker) => None,
            Some(place) => place.replace(waker.clone()),
            None => Some(waker.clone()),
        }
    }

    /// Puts a job on the desk, or gives it back if there is another one.
    pub(super) fn post(&mut self, job: Job, bytes: &[u8]) -> Result<u32, Job> {
        let desk = &mut self.desk;
        if !matches!(desk.stage, Stage::Free) {
            return Err(job);
        }
        desk.lay(bytes);
        desk.ticket = desk.ticket.wrapping_add(1);
        desk.stage = Stage::Posted(job);
        Ok(desk.ticket)
    }

    /// What the driver is to do next; the bytes of a job are copied into `bytes`.
    pub(super) fn next(&mut self, bytes: &mut [u8]) -> Poll<Task> {
        self.finishing = false;
        match core::mem::replace(&mut self.desk.stage, Stage::Working { orphan: false }) {
            Stage::Posted(job) => {
                let len = self.desk.len;
                if let (Some(to), Some(from)) = (bytes.get_mut(..len), self.desk.bytes.get(..len)) {
                    to.copy_from_slice(from);
                }
                Poll::Ready(Task::Job { job, len })
            }
            stage => {
                self.desk.stage = stage;
                let due = self.due();
                self.finishing = due.is_some();
                due.map_or(Poll::Pending, |at| Poll::Ready(Task::Finish(at)))
            }
        }
    }

    /// A run whose end is to be noted.
    pub(super) fn due(&self) -> Option<usize> {
        self.index.records.iter().position(|record| record.finish == Finish::Due)
    }

    /// Puts the answer on the desk for whoever asked, if anybody still waits for it.
    pub(super) fn answer(&mut self, answer: Result<Answer, StoreError>, bytes: &[u8]) {
        match self.desk.stage {
            Stage::Working { orphan: false } => {
                self.desk.lay(bytes);
                self.desk.stage = Stage::Answered(answer);
            }
            _ => {
                self.desk.stage = Stage::Free;
                self.unwanted(answer);
            }
        }
    }

    /// Takes what was asked for with this ticket off the desk: nobody waits for it any more.
    pub(super) fn give_up(&mut self, ticket: u32) {
        if self.desk.ticket != ticket {
            return;
        }
        self.desk.stage = match core::mem::replace(&mut self.desk.stage, Stage::Free) {
            Stage::Working { .. } => Stage::Working { orphan: true },
            Stage::Answered(answer) => {
                self.unwanted(answer);
                Stage::Free
            }
            Stage::Free | Stage::Posted(_) => Stage::Free,
        };
    }

    fn unwanted(&mut self, answer: Result<Answer, StoreError>) {
        if let Ok(Answer::Opened(hold)) = answer {
            self.index.release(hold);
        }
    }
}

/// Where one job at a time lies between whoever asks for it and the driver.
pub(super) struct Desk<const BYTES: usize> {
    pub(super) stage: Stage,
    pub(super) ticket: u32,
    len: usize,
    bytes: [u8; BYTES],
}

impl<const BYTES: usize> Desk<BYTES> {
    const EMPTY: Self = Self { stage: Stage::Free, ticket: 0, len: 0, bytes: [0; BYTES] };

    fn lay(&mut self, bytes: &[u8]) {
        self.len = 0;
        if let Some(to) = self.bytes.get_mut(..bytes.len()) {
            to.copy_from_slice(bytes);
            self.len = bytes.len();
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(super) enum Stage {
    Free,
    Posted(Job),
    Working { orphan: bool },
    Answered(Result<Answer, StoreError>),
}

pub(super) enum Job {
    Open {
        run: RunId,
        access: Access,
    },
    Forget {
        run: RunId,
    },
    /// The bytes are an entry, whose value stands at the end.
    Put {
        hold: Hold,
        label: Label,
        asked: u32,
        ledger_number: u32,
    },
    /// The bytes are the ledger.
    Ledger {
        hold: Hold,
        number: u32,
    },
    /// The bytes have a bit for each place that is to go.
    Discard {
        hold: Hold,
        asked: u32,
    },
    Load {
        hold: Hold,
        label: Label,
    },
    /// Nothing more than what has to be noted anyway.
    Flush,
}

/// What the driver has to do.
pub(super) enum Task {
    Job {
        job: Job,
        len: usize,
    },
    /// To note that the run at this position came to its end.
    Finish(usize),
}

pub(super) enum Answer {
    Done,
    Forgotten(bool),
    /// The bytes are the run's ledger.
    Opened(Hold),
    /// The bytes are the value.
    Loaded,
}

/// The flash, in the figures that matter.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) word: usize,
    pub(super) pages: usize,
    /// The bytes of a page that items can take.
    pub(super) page: usize,
    /// The longest item without its key.
    pub(super) item: usize,
}

impl Shape {
    /// The bytes that an item takes in flash.
    pub(super) fn size(&self, item: usize) -> usize {
        8_usize.next_multiple_of(self.word) + (item + super::item::KEY).next_multiple_of(self.word)
    }
}

/// How much a flash has been used: [`FlashStore::wear`](super::FlashStore::wear).
///
/// Pages are erased in turn, so none has been erased more than once more often than another, but for those that were
/// erased again since the power failed in the middle. The lifetime of a flash is given in erases of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlashWear {
    /// How many pages the store has.
    pub pages: u32,
    /// How often pages were erased in the life of the store. The count is kept in flash with every run that begins, so a
    /// reset loses what came after; it is never too high.
    pub erases: u32,
    /// How often pages were erased since the driver was made, repairs included.
    pub erases_since_start: u32,
    /// How often something was written since the driver was made.
    pub writes: u32,
    /// How many bytes were written since the driver was made: all that the flash was given, marks of pages and what was moved
    /// from page to page included.
    pub bytes_written: u64,
}

impl FlashWear {
    const NONE: Self = Self { pages: 0, erases: 0, erases_since_start: 0, writes: 0, bytes_written: 0 };

    /// How often the page was erased that was erased least, and most, as far as [`erases`](Self::erases) knows.
    ///
    /// ```
    /// # use stroma::store::FlashWear;
    /// # fn f(wear: FlashWear) {
    /// let (_, most) = wear.erases_per_page();
    /// if most > 9_000 {
    ///     // Of 10,000 that the data sheet promises.
    /// }
    /// # }
    /// ```
    pub fn erases_per_page(&self) -> (u32, u32) {
        match self.erases.checked_div(self.pages) {
            Some(least) => (least, self.erases.div_ceil(self.pages)),
            None => (0, 0),
        }
    }
}
