//! One schedule after the other: lives that are begun, polled, killed and judged.

use alloc::{
    boxed::Box,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    sync::Arc,
    task::Wake,
    vec::Vec,
};
use core::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::panic::catch_unwind;

use spin::mutex::SpinMutex;
use tokio::runtime::{Builder, Runtime};

use super::{
    super::conformance::Subject,
    ask::{Party, wait},
    life::{End, How, Life},
    promise::Promise,
    schedule::{Fault, Op, Schedule},
    script::{Ending, HaltKind, Script},
};
use crate::slot::SlotKind;

/// What does not hold, and what happened.
pub(super) type Wrong = (Promise, String);

/// A wait longer than this is for something that never comes.
const NEVER: Duration = Duration::from_secs(400 * 24 * 3_600);
/// How far the clock jumps.
const JUMP: Duration = Duration::from_secs(3_600);
/// So many polls of one life are too many.
const POLLS: usize = 100_000;
/// So many lives more than there are faults are too many.
const LIVES: usize = 8;

/// What torture is done with.
pub(super) struct Bench<'t, T, L> {
    pub(super) subject: &'t T,
    pub(super) background: &'t Runtime,
    pub(super) attempts: u32,
    pub(super) lead: &'t L,
    pub(super) reopens: Reopens,
}

/// When the store is opened anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reopens {
    Never,
    /// When there is no life left that has it.
    WhenAllAreOver,
    /// For each life.
    ForEach,
}

/// What was seen of a run.
pub(super) struct Seen {
    pub(super) ops: Vec<Op>,
    pub(super) polls: usize,
    pub(super) lives: usize,
    starts: BTreeMap<(String, u32), u32>,
    /// Nothing where the run could not come to its end, and rightly.
    pub(super) ending: Option<Ending>,
}

/// What was seen of undisturbed ones.
pub(super) struct Undisturbed {
    pub(super) calm: Seen,
    pub(super) slow: Seen,
}

impl<T: Subject, L: AsyncFn(Life<T::Store>) -> End> Bench<'_, T, L> {
    /// Runs it undisturbed, several times.
    pub(super) fn undisturbed(&self, calm: &Schedule, slow: &Schedule) -> Result<Undisturbed, Wrong> {
        let completes = |(promise, did)| match promise {
            Promise::Halts => (Promise::Completes, did),
            _ => (promise, did),
        };
        let first = self.one(calm, None).map_err(completes)?;
        for schedule in [calm, slow] {
            let again = self.one(schedule, None).map_err(completes)?;
            let outputs =
                [&first, &again].map(|seen| seen.ending.as_ref().and_then(|ending| ending.output.clone().ok()));
            if let [Some(one), Some(other)] = &outputs
                && one != other
            {
                return Err((Promise::Repeats, format!("one run yields {one}, and another {other}")));
            }
            if first.starts != again.starts {
                let (one, other) = (&first.starts, &again.starts);
                return Err((Promise::Repeats, format!("one run begins its nodes {one:?}, and another {other:?}")));
            }
            if schedule.slow {
                return Ok(Undisturbed { calm: first, slow: again });
            }
            if first.ops != again.ops {
                let (one, other) = (&first.ops, &again.ops);
                return Err((
                    Promise::Repeats,
                    format!("one run asks the store for {one:?}, and another for {other:?}"),
                ));
            }
        }
        Err((Promise::Repeats, "there was no second run".to_string()))
    }

    /// Runs it with faults.
    pub(super) fn tortured(&self, schedule: &Schedule, calm: &Seen) -> Result<Seen, Wrong> {
        self.one(schedule, calm.ending.as_ref())
    }

    /// Lets one life follow the other until the run has ended.
    fn one(&self, schedule: &Schedule, expected: Option<&Ending>) -> Result<Seen, Wrong> {
        let place = self.subject.place();
        let script = Arc::new(Script::new(schedule, self.attempts));
        let open = || self.open(&script, &place);
        let all = if self.reopens == Reopens::Never { open() } else { None };
        let (mut how, mut ended, mut seen) = (How::Start, None, None);
        for _ in 0..schedule.faults.len() + LIVES {
            let endings = match self.reopens {
                Reopens::ForEach => self.live(&open, &script, &how, expected),
                Reopens::WhenAllAreOver => {
                    let store = open();
                    self.live(&|| store.clone(), &script, &how, expected)
                }
                Reopens::Never => self.live(&|| all.clone(), &script, &how, expected),
            };
            let mut inside = script.inside();
            if let Some(wrong) = inside.wrong.take() {
                return Err(wrong);
            }
            if seen.is_some() {
                // Whoever asks again gets the result, and nothing runs.
                let runs = inside.lives.values().last().and_then(|life| life.starts.keys().next());
                let lost = schedule.faults.iter().any(|(_, fault)| *fault == Fault::Lose);
                if let (Some((node, _)), false) = (runs, lost) {
                    let did = format!("node `{node}` ran when a run was asked for that had ended");
                    return Err((Promise::RunsOnce, did));
                }
                return if endings.iter().any(|ending| ending.output.is_ok()) {
                    seen.ok_or((Promise::Ends, String::new()))
                } else {
                    Err((Promise::Ends, "a run that had ended did not yield its output again".to_string()))
                };
            }
            let halt = endings.iter().filter_map(|ending| ending.output.as_ref().err()).map(|halt| halt.why.clone());
            let input = (String::new(), 0, SlotKind::Input);
            how = if schedule.by_input || !inside.model.slots.contains_key(&input) { How::Start } else { How::Resume };
            for why in halt {
                match why {
                    HaltKind::Checkpoint(Some(node)) => how = How::ResumeFrom(node.to_string()),
                    // Without its input there is nothing to go on with, and without more of what is short nothing goes on.
                    HaltKind::Checkpoint(None) => ended = Some(None),
                    HaltKind::Limit => ended = Some(None),
                    _ => {}
                }
            }
            if let Some(done) = endings.into_iter().find(|ending| ending.output.is_ok()) {
                ended = Some(Some(done));
            }
            if let Some(ending) = ended.take() {
                let mut starts = BTreeMap::new();
                for (node, times) in inside.lives.values().flat_map(|life| &life.starts) {
                    *starts.entry(node.clone()).or_default() += times;
                }
                let now = Seen {
                    ops: inside.ops.clone(),
                    polls: inside.polls,
                    lives: inside.lives.len(),
                    starts,
                    ending: ending.clone(),
                };
                if ending.is_none() {
                    return Ok(now);
                }
                if now.ops.is_empty() || now.starts.is_empty() {
                    let lent = if now.ops.is_empty() { "store" } else { "hooks" };
                    return Err((Promise::Watched, format!("nothing was heard of the {lent} that the kit lends")));
                }
                seen = Some(now);
                how = How::Start;
                inside.schedule.faults.clear();
            }
        }
        Err((Promise::Ends, format!("it has not ended after {} lives", script.inside().lives.len())))
    }

    /// Opens the store.
    fn open(&self, script: &Script, place: &T::Place) -> Option<Arc<T::Store>> {
        let _context = self.background.enter();
        wait(script, self.subject.open(place)).map(Arc::new)
    }

    /// Lets one life, and its rivals, go on to their ends.
    fn live(
        &self,
        store: &dyn Fn() -> Option<Arc<T::Store>>,
        script: &Arc<Script>,
        how: &How,
        expected: Option<&Ending>,
    ) -> Vec<Ending> {
        // Of its own, so that its clock begins anew, and whatever the life has spawned ends with it.
        let runtime = match Builder::new_current_thread().enable_all().start_paused(true).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                script.inside().wrong(Promise::Completes, format!("there is no runtime to run it in: {error}"));
                return Vec::new();
            }
        };
        let begin = |life: usize| {
            let (background, patience) = (self.background, self.subject.limits().patience);
            let party = Party { script: Arc::clone(script), life, background: background.handle().clone(), patience };
            // Where the store does not open, that is noted.
            let future = (self.lead)(Life { store: store()?, party, how: how.clone() });
            Some(Living { life, future: Some(Box::pin(future)), bell: Arc::new(Bell::default()), background })
        };
        runtime.block_on(async {
            let mut endings = Vec::new();
            let next = script.inside().lives.len();
            script.inside().life(next);
            let mut living = Vec::from_iter(begin(next));
            let mut turn = 0_usize;
            while !living.is_empty() && script.inside().wrong.is_none() {
                let count = living.len();
                let next = (0..count).map(|at| (at + turn) % count);
                let Some(at) = next.into_iter().find(|at| living.get(*at).is_some_and(|one| one.bell.rung())) else {
                    let rung = poll_fn(|task| {
                        let rung = living.iter().any(|one| one.bell.poll(task).is_ready());
                        if rung { Poll::Ready(()) } else { Poll::Pending }
                    });
                    if tokio::time::timeout(NEVER, rung).await.is_err() {
                        script.inside().wrong(Promise::NotStuck, "it waits for something that never comes".to_string());
                    }
                    continue;
                };
                turn = at + 1;
                let mut one = living.swap_remove(at);
                let polled = one.poll();
                let (fault, dead, rivals, polls) = {
                    let mut inside = script.inside();
                    let fault = inside.polled(one.life);
                    let rivals = core::mem::take(&mut inside.rivals);
                    (fault, inside.life(one.life).dead, rivals, inside.polls)
                };
                match polled {
                    Err(panic) => script.inside().wrong(Promise::NoPanic, format!("a life panicked: {panic}")),
                    _ if dead => drop(one),
                    Ok(Poll::Ready(End(ending))) => {
                        script.inside().judge(one.life, &ending, expected);
                        endings.push(ending);
                    }
                    Ok(Poll::Pending) => living.push(one),
                }
                if !rivals.is_empty() {
                    living.extend(rivals.into_iter().filter_map(begin));
                    // The last one begins at once, while the others are where they are.
                    turn = living.len().saturating_sub(1);
                }
                if fault == Some(Fault::Jump) {
                    tokio::time::advance(JUMP).await;
                }
                if polls > POLLS {
                    script.inside().wrong(Promise::NotStuck, format!("it was polled {POLLS} times and has not ended"));
                }
                // Whatever nodes have spawned gets its turn.
                tokio::task::yield_now().await;
            }
            endings
        })
    }
}

/// A life that is under way.
struct Living<'b, F> {
    life: usize,
    /// Always there but while it is being dropped.
    future: Option<Pin<Box<F>>>,
    bell: Arc<Bell>,
    background: &'b Runtime,
}

impl<F: Future> Living<'_, F> {
    /// Polls it, or says what it panicked with.
    fn poll(&mut self) -> Result<Poll<F::Output>, String> {
        let waker = Waker::from(Arc::clone(&self.bell));
        let Some(future) = &mut self.future else { return Ok(Poll::Pending) };
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker)))).map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_string())
        })
    }
}

impl<F> Drop for Living<'_, F> {
    fn drop(&mut self) {
        // A session that ends may have something to do in the background.
        let _context = self.background.enter();
        self.future = None;
    }
}

/// Rings when a life is to be polled; it has rung when a life begins.
struct Bell(SpinMutex<(bool, Option<Waker>)>);

impl Default for Bell {
    fn default() -> Self {
        Self(SpinMutex::new((true, None)))
    }
}

impl Bell {
    /// Whether it has rung since it was last asked.
    fn rung(&self) -> bool {
        core::mem::take(&mut self.0.lock().0)
    }

    /// Waits until it has rung.
    fn poll(&self, task: &Context<'_>) -> Poll<()> {
        let mut bell = self.0.lock();
        if bell.0 {
            return Poll::Ready(());
        }
        bell.1 = Some(task.waker().clone());
        Poll::Pending
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let waker = {
            let mut bell = self.0.lock();
            bell.0 = true;
            bell.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
