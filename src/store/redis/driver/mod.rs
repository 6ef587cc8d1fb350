//! The task that speaks to the server for all the runs of a store.
//!
//! Everything goes out in the order in which it was asked, many commands at a time, over one connection. What the server did
//! not answer for is said again, in the same order, over the next one: each script does no harm when it runs twice, so
//! nothing is lost and nothing is doubled. A connection that fell silent is closed on the server first, so that nothing
//! that is still on its way there comes after what is said again.

mod clock;
mod hear;
mod send;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
mod trouble;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::HashMap, time::Instant};

use ::redis::{RedisError, Value};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, WeakUnboundedSender},
        oneshot,
    },
    task::yield_now,
    time::{self, sleep},
};
use uuid::Uuid;

use super::{
    bell::Bell,
    error::{self, Trouble},
    line::{ClientName, Line, dial, say},
    settings::Settings,
    work::{Heard, Hold, Work},
};
use crate::store::{StoreError, StoreErrorKind};

/// How many batches are under way before the first of them is answered.
const BATCHES: usize = 4;
/// How soon to try again, at first.
const AGAIN: Duration = Duration::from_millis(10);
/// How long to wait for the server at a time where tokio's clock runs ahead of the real one.
const AHEAD: Duration = Duration::from_millis(1);
/// How much to do before others of the runtime have their turn.
const TURNS: u32 = 128;
/// As good as never.
const NEVER: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Debug)]
struct Job {
    /// By which jobs stay in the order in which they came.
    number: u64,
    asked: Instant,
    /// Since when the server cannot do it.
    troubled: Option<Instant>,
    work: Work,
    /// The session that an `Open` is for: the same however often it is said.
    opens: Option<Arc<Hold>>,
    /// The log of its session is no more, and what is asked is why.
    lost: bool,
    /// It was sent at least once, so it may be done.
    sent: bool,
}

pub(super) struct Driver {
    settings: Arc<Settings>,
    inbox: UnboundedReceiver<Work>,
    jobs: WeakUnboundedSender<Work>,
    /// What is to be sent, in order.
    queue: VecDeque<Job>,
    /// What was sent and not answered yet, in order.
    sent: VecDeque<Sent>,
    /// What waits for a run that somebody else holds, by when it is to be tried again.
    busy: BTreeMap<(Instant, u64), Job>,
    /// Who waits until all before it is done.
    flushes: VecDeque<(u64, oneshot::Sender<()>)>,
    /// The sessions of this store, by token.
    held: HashMap<String, Arc<Hold>>,
    /// When the leases are to be renewed, and when to look for who has waited long enough.
    renew: Instant,
    expire: Instant,
    heard: Arc<Heard>,
    /// Since when a connection is being made.
    dialled: Option<Instant>,
    /// Nothing is sent, and no connection made, before this.
    pause: Option<Instant>,
    again: Duration,
    /// Why the server cannot, as it was said last, and the number of the last job that this concerns: what is asked later
    /// is tried first.
    trouble: Option<StoreError>,
    concerns: u64,
    numbers: u64,
    closed: bool,
}

#[derive(Debug)]
struct Sent {
    at: Instant,
    /// How long it may take to get there.
    takes: Duration,
    jobs: Vec<Job>,
}

/// What woke the driver.
enum Turn<C> {
    Asked(Option<Work>),
    Heard(Result<Vec<Value>, RedisError>),
    Dialled(Result<(Line, C), Trouble>),
    /// The connection ended.
    Ended,
    Time,
}

/// What to do with the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Redial,
}

impl Driver {
    pub(super) fn new(
        settings: Arc<Settings>,
        inbox: UnboundedReceiver<Work>,
        jobs: WeakUnboundedSender<Work>,
    ) -> Self {
        let now = Instant::now();
        Self {
            settings,
            inbox,
            jobs,
            queue: VecDeque::new(),
            sent: VecDeque::new(),
            busy: BTreeMap::new(),
            flushes: VecDeque::new(),
            held: HashMap::new(),
            renew: now,
            expire: now,
            heard: Arc::new(Heard::new(now)),
            dialled: None,
            pause: None,
            again: AGAIN,
            trouble: None,
            concerns: 0,
            numbers: 0,
            closed: false,
        }
    }

    /// Serves until nobody is left who could ask for something, and all is done.
    ///
    /// To be run without tokio's budget: what it polls wakes nobody where the budget is at its end.
    pub(super) async fn drive(mut self) {
        let mut line: Option<Line> = None;
        let mut old: Option<ClientName> = None;
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let settings = Arc::clone(&self.settings);
        let mut carrier = none_yet(dial(&settings, None, Arc::clone(&self.heard)));
        let mut dialling = pin!(None);
        // In the order in which they come; so many of the last have not gone out yet.
        let mut replies = VecDeque::new();
        let mut fresh = 0;
        let mut turns = 0_u32;
        let mut armed = Instant::now() + NEVER;
        let mut sleep = pin!(sleep(NEVER));
        let mut ahead = false;
        loop {
            let now = Instant::now();
            self.come_due(now, line.is_some());
            match &line {
                Some(line) if self.pause.is_none() => {
                    while self.sent.len() < BATCHES
                        && let Some(batch) = self.next_batch(line, now)
                    {
                        replies.push_back(Box::pin(say(line.connection.clone(), batch)));
                        fresh += 1;
                    }
                }
                None if dialling.is_none() && self.pause.is_none() && self.wants_a_line() => {
                    dialling.set(Some(dial(&settings, old.clone(), Arc::clone(&self.heard))));
                    self.dialled = Some(now);
                }
                _ => {}
            }
            self.answer_flushes();
            if self.closed && self.queue.is_empty() && self.sent.is_empty() {
                return;
            }
            // A timer that rings too early costs less than one that is set at every turn.
            let next = self.next_time(now, line.is_some());
            if next < armed || armed <= now {
                armed = next;
                let waits = !self.sent.is_empty() || self.dialled.is_some();
                let rest = armed.saturating_duration_since(now);
                sleep.as_mut().reset(time::Instant::now() + if ahead && waits { rest.min(AHEAD) } else { rest });
            }
            let turn = poll_fn(|task| {
                bell.wake_up(task.waker());
                let task = &mut Context::from_waker(&waker);
                // What carries the connection is polled here after everything that only it can go on with, and before all
                // that only it brings, so nobody has to be woken for those.
                let quiet = &mut Context::from_waker(Waker::noop());
                for looked in 1.. {
                    let old = replies.len().saturating_sub(mem::take(&mut fresh));
                    for reply in replies.iter_mut().skip(old) {
                        if reply.as_mut().poll(quiet).is_ready() {
                            return Poll::Ready(Turn::Ended);
                        }
                    }
                    // All who could have rung are asked from here on.
                    bell.hush();
                    if !self.closed
                        && let Poll::Ready(asked) = self.inbox.poll_recv(task)
                    {
                        return Poll::Ready(Turn::Asked(asked));
                    }
                    if let Some(open) = &mut carrier
                        && open.as_mut().poll(task).is_ready()
                    {
                        carrier = None;
                    }
                    if let Some(reply) = replies.front_mut()
                        && let Poll::Ready(reply) = reply.as_mut().poll(quiet)
                    {
                        replies.pop_front();
                        return Poll::Ready(Turn::Heard(reply));
                    }
                    // What was under way has heard of it by now.
                    if carrier.is_none() && line.is_some() {
                        return Poll::Ready(Turn::Ended);
                    }
                    if let Some(dialled) = dialling.as_mut().as_pin_mut()
                        && let Poll::Ready(dialled) = dialled.poll(task)
                    {
                        return Poll::Ready(Turn::Dialled(dialled));
                    }
                    if sleep.as_mut().poll(task).is_ready() {
                        return Poll::Ready(Turn::Time);
                    }
                    if bell.may_sleep(looked) {
                        break;
                    }
                }
                Poll::Pending
            })
            .await;
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(TURNS) {
                yield_now().await;
            }
            let now = Instant::now();
            let verdict = match turn {
                Turn::Asked(Some(work)) => {
                    self.take(work, now);
                    while let Ok(work) = self.inbox.try_recv() {
                        self.take(work, now);
                    }
                    Verdict::Keep
                }
                Turn::Asked(None) => {
                    self.closed = true;
                    Verdict::Keep
                }
                Turn::Heard(Ok(values)) => self.hear(values, now),
                Turn::Heard(Err(error)) => self.lose(error::lost(&error), now),
                Turn::Dialled(dialled) => {
                    dialling.set(None);
                    self.dialled = None;
                    match dialled {
                        Ok((dialled, carries)) => {
                            line = Some(dialled);
                            carrier = Some(carries);
                            // It is closed by now.
                            old = None;
                            // Leases may have run out in the meantime.
                            self.renew = now;
                            Verdict::Keep
                        }
                        Err(trouble) => self.lose(trouble, now),
                    }
                }
                Turn::Ended => {
                    let error = error::of(StoreErrorKind::Unavailable, "the server closed the connection");
                    self.lose(Trouble::Reconnect(error), now)
                }
                // In a test that paused tokio's clock it goes on while the server has yet to answer. The server's does not, so
                // the times here are real ones.
                Turn::Time if now < armed => {
                    ahead = true;
                    armed = now;
                    Verdict::Keep
                }
                Turn::Time if self.is_silent(now) => {
                    dialling.set(None);
                    self.dialled = None;
                    let error = error::silent(self.settings.answer_within());
                    self.lose(Trouble::Reconnect(error), now)
                }
                Turn::Time => Verdict::Keep,
            };
            if verdict == Verdict::Redial {
                carrier = None;
                old = line.take().and_then(|line| line.name).or(old);
                replies = VecDeque::new();
                fresh = 0;
                self.say_again(now);
            }
        }
    }

    fn take(&mut self, work: Work, now: Instant) {
        self.numbers += 1;
        let number = self.numbers;
        let opens = match &work {
            Work::Open { run, .. } => {
                Some(Arc::new(Hold::new(Arc::clone(run), Uuid::now_v7().simple().to_string(), now)))
            }
            _ => None,
        };
        match work {
            Work::Flush { answer } => self.flushes.push_back((number, answer)),
            work => {
                let job = Job { number, asked: now, troubled: None, work, opens, lost: false, sent: false };
                self.queue.push_back(job);
            }
        }
    }

    /// Gives back a run that was opened for nobody, in the place of what opened it: so whoever flushed after that waits.
    fn give_back(&mut self, number: u64, hold: Arc<Hold>, empty: bool, now: Instant) {
        let work = Work::Release { hold, empty };
        self.put_back(Job { number, asked: now, troubled: None, work, opens: None, lost: false, sent: false });
    }

    /// A connection is for those who ask, and for the leases of those who hold.
    fn wants_a_line(&self) -> bool {
        !self.queue.is_empty() || !self.held.is_empty()
    }

    fn put_back(&mut self, job: Job) {
        let at = self.queue.partition_point(|other| other.number < job.number);
        self.queue.insert(at, job);
    }

    /// The session of a release is no more, whatever comes of it; that of other work is none of ours once it lost its run.
    fn forget_hold(&mut self, work: &Work, lost: bool) {
        if let Work::Release { hold, .. } | Work::Renew { hold } = work
            && (lost || matches!(work, Work::Release { .. }))
        {
            self.held.remove(&hold.token);
        }
    }

    fn answer_flushes(&mut self) {
        while let Some((number, _)) = self.flushes.front() {
            let before = |job: &Job| job.number < *number && !matches!(job.work, Work::Renew { .. });
            let waits = self.queue.iter().take_while(|job| job.number < *number).any(before)
                || self.sent.iter().flat_map(|sent| &sent.jobs).any(before);
            if waits {
                return;
            }
            if let Some((_, answer)) = self.flushes.pop_front() {
                let _ = answer.send(());
            }
        }
    }
}

/// Nothing, of the type of what carries a connection: it has no name.
fn none_yet<C>(_: impl Future<Output = Result<(Line, C), Trouble>>) -> Option<C> {
    None
}
