//! A pipeline, and everything going wrong around it.

mod ask;
mod drive;
mod life;
mod model;
mod promise;
mod schedule;
mod script;
mod store;

use alloc::{
    format,
    string::{String, ToString},
};
use core::{fmt, ops::ControlFlow};

use tokio::runtime::{Builder, Runtime};

use super::conformance::Subject;
use drive::{Bench, Reopens};

pub use ask::Answer;
pub use life::{End, Life, TORTURED_RUN, Watch};
pub use promise::{Broken, Promise};
pub use schedule::{Schedule, ScheduleError};
pub use store::{Tortured, TorturedSession};

/// The variable whose schedule or seed is run in place of all others.
const VARIABLE: &str = "STROMA_TORTURE";

/// So many simpler schedules are tried to make one shorter.
const SHRINKS: usize = 2_000;

/// Tortures a pipeline of one's own: kills it, and lets its store fail, at every boundary of a run, one fault at a time; then
/// several at once, at random.
///
/// A closure builds the runner and runs it, as often as the kit asks for: each time is a *life*, in place of a process. The
/// runner takes the store and the hooks that the kit lends; everything else is as the program has it.
///
/// ```
/// use stroma::{prelude::*, store::HeapStore, testing::{Broken, Torture}};
/// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
/// # async fn add(x: u32) -> Result<u32, std::io::Error> { tokio::time::sleep(secs(1)).await; Ok(x + 1) }
///
/// let survived = Torture::on(HeapStore::new).schedules(50).run(async |life| {
///     let pipeline = node("double", double).then(node("add", add).timeout(secs(2)));
///     let runner = Runner::quick(pipeline).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
///     life.run(&runner, 3).await
/// })?;
/// assert!(survived.schedules() > 200);
/// # Ok::<(), Broken>(())
/// ```
///
/// # What goes wrong
/// At a poll of the run's future: `kill` drops it; `rival` begins another life of the same run beside it; `jump` puts the clock
/// forward by an hour. The clock of each new life begins anew, so it is behind where the last one's was.
///
/// At an operation of the store: `die-before` and `die-after` it was made, in either case without an answer; `torn` and `torn-later`,
/// dropped after one poll and after two; `late` and `later`, after one poll and after four; `unavailable`, `busy` and `fenced`, as errors; `unsure`, made and
/// still an error; `twice`, made two times; `takeover`, the run goes to another life right after it. And where the store itself
/// breaks its word: `short` and `flip` damage the bytes and then die; `lose` says that it is made and dies at the next operation.
/// With `slow` each operation takes a poll.
///
/// # What is asserted
/// See [`Promise`]. The output is compared by its `Debug`. What was damaged has to be told as a
/// [`CheckpointError`](crate::store::CheckpointError), with nothing deleted; then the run goes on by `resume_from`. After a write was
/// lost a node may run again. That the run ends at its limit of time or money once something went wrong is right.
///
/// # What it sees
/// Time is tokio's, paused, and goes on when nothing else does, so a wait of hours takes none; a clock of one's own that is not
/// tokio's stands outside. The store is asked and waited for at once, so all schedules are the same each time. Nodes that wait for
/// the outside world are not, and are better given a stand-in.
///
/// # Again
/// A failure prints the shortest schedule that shows it. `STROMA_TORTURE="op 3 die-after"` in the environment runs that alone, as
/// [`replay`](Self::replay) does; the seed that it prints is as good.
#[derive(Debug)]
pub struct Torture<T> {
    subject: T,
    schedules: usize,
    attempts: u32,
    seed: u64,
    nth: usize,
    reopens: Reopens,
}

impl<T: Subject> Torture<T> {
    /// With a store that each schedule makes anew: a closure, or a [`Suite`](super::Suite).
    pub fn on(subject: T) -> Self {
        Self { subject, schedules: 1_000, attempts: 5, seed: 1, nth: 1, reopens: Reopens::Never }
    }

    /// How many schedules of several faults are tried, after all of one: 1,000 unless said here.
    #[must_use]
    pub fn schedules(mut self, schedules: usize) -> Self {
        self.schedules = schedules;
        self
    }

    /// How often an execution may begin a node: 5 times unless said here, which is what the default policies come to.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Tries only each `nth` of the schedules of one fault: where the store is slow.
    #[must_use]
    pub fn each_nth(mut self, nth: usize) -> Self {
        self.nth = nth.max(1);
        self
    }

    /// Opens the store anew for each life, as a process would: for a store that outlives itself and can be open twice, such as
    /// `RedbStore`. One that cannot takes [`restarting`](Self::restarting).
    #[must_use]
    pub fn reopening(mut self) -> Self {
        self.reopens = Reopens::ForEach;
        self
    }

    /// Opens the store anew whenever all lives are over, as a device does after a reset; a rival shares the one that is open. For a
    /// store that outlives itself and cannot be open twice, such as `FlashStore`.
    ///
    /// ```
    /// # use stroma::{Runner, node, store::RedbStore, testing::{Broken, Suite, Torture}};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// let place = || tempfile::TempDir::new().unwrap();
    /// let store = Suite::at(place, async |folder: &tempfile::TempDir| RedbStore::open(folder.path().join("runs.redb")).unwrap());
    /// Torture::on(store).restarting().each_nth(20).schedules(2).run(async |life| {
    ///     let runner = Runner::quick(node("double", double)).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
    ///     life.run(&runner, 3).await
    /// })?;
    /// # Ok::<(), Broken>(())
    /// ```
    #[must_use]
    pub fn restarting(mut self) -> Self {
        self.reopens = Reopens::WhenAllAreOver;
        self
    }

    /// Another choice of the schedules of several faults.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tries all schedules.
    ///
    /// ```
    /// use stroma::{Runner, node, store::HeapStore, testing::{Broken, Promise, Torture}};
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// // A node that does something outside of the pipeline each time that it is run, and yields how often that was.
    /// let sent = AtomicU32::new(0);
    /// let broken = Torture::on(HeapStore::new).run(async |life| {
    ///     let send = node("send", async |_: u32| Ok::<_, std::io::Error>(sent.fetch_add(1, Relaxed)));
    ///     let runner = Runner::quick(send).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
    ///     life.run(&runner, 3).await
    /// });
    /// assert_eq!(broken.unwrap_err().promise(), Promise::Repeats);
    /// ```
    ///
    /// # Errors
    /// When a promise does not hold, with the shortest schedule that shows it.
    pub fn run<L: AsyncFn(Life<T::Store>) -> End>(&self, lead: L) -> Result<Survived, Broken> {
        match std::env::var(VARIABLE) {
            Ok(schedule) => self.replay(&schedule, lead),
            Err(_) => self.all(None, &lead),
        }
    }

    /// Tries one schedule, or the one of a seed, after an undisturbed run to compare with.
    ///
    /// ```
    /// # use stroma::{Runner, node, store::HeapStore, testing::{Broken, Torture}};
    /// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
    /// Torture::on(HeapStore::new).replay("op 2 die-after", async |life| {
    ///     let runner = Runner::quick(node("double", double)).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
    ///     life.run(&runner, 3).await
    /// })?;
    /// # Ok::<(), Broken>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and when the text is neither a schedule nor a seed.
    pub fn replay<L: AsyncFn(Life<T::Store>) -> End>(&self, schedule: &str, lead: L) -> Result<Survived, Broken> {
        self.all(Some(schedule), &lead)
    }

    fn all<L: AsyncFn(Life<T::Store>) -> End>(&self, only: Option<&str>, lead: &L) -> Result<Survived, Broken> {
        let mut survived = Survived::default();
        let broken = |promise, did, shortest: &Schedule, seed: String, schedules| Broken {
            promise,
            did,
            shortest: shortest.clone(),
            seed,
            schedules,
        };
        let calm = Schedule::undisturbed(false);
        let runtime: Runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| {
            broken(Promise::Completes, format!("there is no runtime to run it in: {error}"), &calm, calm.to_string(), 0)
        })?;
        let bench = Bench {
            subject: &self.subject,
            background: &runtime,
            attempts: self.attempts,
            lead,
            reopens: self.reopens,
        };
        let slow = Schedule::undisturbed(true);
        let undisturbed = bench
            .undisturbed(&calm, &slow)
            .map_err(|(promise, did)| broken(promise, did, &calm, calm.to_string(), survived.schedules))?;
        let (ops, polls) = (undisturbed.calm.ops.len(), undisturbed.slow.polls);

        let mut run = |schedule: &Schedule, seed: String| match bench.tortured(schedule, &undisturbed.calm) {
            Ok(seen) => {
                survived.schedules += 1;
                survived.lives += seen.lives;
                survived.unfinished += usize::from(seen.ending.is_none());
                ControlFlow::Continue(())
            }
            Err(found) => {
                let (schedule, (promise, did)) = bench.shorter(schedule, found, &undisturbed.calm);
                ControlFlow::Break(broken(promise, did, &schedule, seed, survived.schedules + 1))
            }
        };
        let random = |seed| Schedule::random(seed, ops, polls);
        let ended = if let Some(text) = only {
            let schedule = match text.strip_prefix("seed ").map(str::parse) {
                Some(Ok(seed)) => Ok(random(seed)),
                _ => text.parse::<Schedule>(),
            };
            match schedule {
                Ok(schedule) => run(&schedule, text.to_string()),
                Err(error) => {
                    ControlFlow::Break(broken(Promise::Repeats, error.to_string(), &calm, text.to_string(), 0))
                }
            }
        } else {
            let quick = Schedule::singles(false, &undisturbed.calm.ops, undisturbed.calm.polls);
            let slow = Schedule::singles(true, &undisturbed.slow.ops, undisturbed.slow.polls);
            let singles =
                quick.into_iter().chain(slow).step_by(self.nth).map(|schedule| (schedule.to_string(), schedule));
            let seeds = (0..self.schedules as u64).map(|at| self.seed.wrapping_mul(1 << 32).wrapping_add(at));
            let several = seeds.map(|seed| (format!("seed {seed}"), random(seed)));
            singles.chain(several).try_for_each(|(seed, schedule)| run(&schedule, seed))
        };
        match ended {
            ControlFlow::Continue(()) => Ok(survived),
            ControlFlow::Break(broken) => Err(broken),
        }
    }
}

/// That all promises held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survived {
    schedules: usize,
    lives: usize,
    unfinished: usize,
}

impl Survived {
    /// How many schedules were tried.
    pub fn schedules(&self) -> usize {
        self.schedules
    }

    /// After how many of them the run had no output, and rightly: what was spent in vain had used up its budget, or its stored
    /// input was damaged.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// How many lives they took together.
    pub fn lives(&self) -> usize {
        self.lives
    }
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { schedules, lives, unfinished } = self;
        write!(
            f,
            "all promises held in {schedules} schedules of {lives} lives; {unfinished} had no output, and rightly"
        )
    }
}

impl<T: Subject, L: AsyncFn(Life<T::Store>) -> End> Bench<'_, T, L> {
    /// The shortest schedule that breaks the same promise.
    fn shorter(&self, schedule: &Schedule, found: drive::Wrong, calm: &drive::Seen) -> (Schedule, drive::Wrong) {
        let (mut schedule, mut found) = (schedule.clone(), found);
        let mut tried = 0;
        'again: while tried < SHRINKS {
            for simpler in schedule.simpler() {
                tried += 1;
                if let Err(wrong) = self.tortured(&simpler, calm)
                    && wrong.0 == found.0
                {
                    (schedule, found) = (simpler, wrong);
                    continue 'again;
                }
            }
            break;
        }
        (schedule, found)
    }
}
