//! The task that speaks to the server for all the runs of a store.
//!
//! Everything goes out in the order in which it was asked, many commands at a time, over one connection. What the server did
//! not answer for is said again, in the same order, over the next one: each script does no harm when it runs twice, so
//! nothing is lost and nothing is doubled. A connection that fell silent is closed on the server first, so that nothing
//! that is still on its way there comes after what is said again.

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
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::HashMap, time::Instant};

use ::redis::{Cmd, Pipeline, RedisError, Value};
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
    answer::{Answered, Forgotten, looked, odd, scanned, unknown, why_lost},
    bell::Bell,
    error::{self, Trouble},
    line::{ClientName, Line, dial, say},
    script::{self, Script},
    settings::Settings,
    work::{Grip, Heard, Hold, Opened, Work},
};
use crate::store::{Access, StoreError, StoreErrorKind};

/// The most commands, and bytes of values, that go out at once; and how many such batches are under way before the first of
/// them is answered.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
const BATCHES: usize = 4;
/// About how many keys a server looks at for one step of a list of runs, before it serves others.
const SCAN: u32 = 500;
/// How soon to try again: at first, and at most.
const AGAIN: Duration = Duration::from_millis(10);
const AGAIN_MAX: Duration = Duration::from_secs(1);
/// How often to ask for a run that somebody else holds and may give back at any time: at first, and at most.
const BUSY: Duration = Duration::from_millis(10);
const BUSY_MAX: Duration = Duration::from_millis(250);
/// How often to look who has waited long enough, while the server cannot.
const EXPIRE: Duration = Duration::from_millis(10);
/// How many bytes a slow connection carries in a second, at least.
const SLOWEST: u64 = 1 << 18;
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

    /// Does what the clock asks for.
    fn come_due(&mut self, now: Instant, connected: bool) {
        if self.pause.is_some_and(|until| until <= now) {
            self.pause = None;
        }
        while let Some(entry) = self.busy.first_entry()
            && entry.key().0 <= now
        {
            let job = entry.remove();
            self.put_back(job);
        }
        if connected && self.renew <= now && !self.held.is_empty() {
            self.renew = now + self.renew_every();
            let due: Vec<_> =
                self.held.values().filter(|hold| !hold.renewing.swap(true, Ordering::Relaxed)).cloned().collect();
            for hold in due {
                self.take(Work::Renew { hold }, now);
            }
        }
        if self.trouble.is_some() && self.expire <= now {
            self.expire = now + EXPIRE;
            self.expire(now, connected && self.pause.is_none());
        }
    }

    fn renew_every(&self) -> Duration {
        (self.settings.lease / 3).min(NEVER)
    }

    fn next_time(&self, now: Instant, connected: bool) -> Instant {
        let mut next = now + NEVER;
        // Without a connection nothing is renewed, and with the next one all is.
        if connected && !self.held.is_empty() {
            next = next.min(self.renew.max(now));
        }
        if let Some(until) = self.pause {
            next = next.min(until);
        }
        if let Some(((until, _), _)) = self.busy.first_key_value() {
            next = next.min(*until);
        }
        if let Some(since) = self.silent_since() {
            next = next.min(since + self.settings.answer_within());
        }
        if self.trouble.is_some() && !self.queue.is_empty() {
            next = next.min(self.expire);
        }
        next
    }

    /// Since when the server owes an answer.
    fn silent_since(&self) -> Option<Instant> {
        let sent = self.sent.front().map(|sent| sent.at.max(self.heard.last()) + sent.takes);
        sent.or(self.dialled)
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.silent_since().is_some_and(|since| since + self.settings.answer_within() <= now)
    }

    /// The next commands to be sent, in order.
    fn next_batch(&mut self, line: &Line, now: Instant) -> Option<Pipeline> {
        let mut jobs = Vec::with_capacity(self.queue.len().min(BATCH));
        let mut bytes = 0;
        let mut batch = Pipeline::with_capacity(self.queue.len().min(BATCH));
        while jobs.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(mut job) = self.queue.pop_front()
        {
            if job.work.is_moot() {
                let Some(opened) = job.opens.filter(|_| job.sent) else { continue };
                // It may be held by now, for nobody.
                job.work = Work::Release { hold: opened, empty: false };
                job.opens = None;
            }
            job.sent = true;
            bytes += job.work.bytes();
            batch.add_command(self.command(line, &job, now));
            jobs.push(job);
        }
        if jobs.is_empty() {
            return None;
        }
        let takes = Duration::from_millis(u64::try_from(bytes).unwrap_or(u64::MAX) / (SLOWEST / 1_000));
        self.sent.push_back(Sent { at: now, takes, jobs });
        Some(batch)
    }

    fn command(&self, line: &Line, job: &Job, now: Instant) -> Cmd {
        let settings = &self.settings;
        if let Some(hold) = job.work.hold().filter(|_| job.lost) {
            let mut command = ::redis::cmd("HMGET");
            command.arg(&*hold.run).arg("@format").arg("@holder");
            return command;
        }
        match &job.work {
            Work::Open { run, access, .. } => {
                let (log, token) = job.opens.as_deref().map_or(("", ""), |hold| (&hold.log, &hold.token));
                let mut command = line.script(Script::Open, &[run, log]);
                command.arg(token).arg(millis(settings.lease)).arg(millis(settings.ttl));
                command.arg(u8::from(*access == Access::Create)).arg(script::FORMAT).arg(script::FIRST);
                command
            }
            Work::Write { hold, record, .. } => {
                // A word, the key, three parts.
                let mut command = Cmd::with_capacity(5, 6 + hold.log.len() + record.len());
                command.arg("RPUSHX").arg(&hold.log);
                for part in record.parts() {
                    command.arg(part);
                }
                if let Some((head, outline)) = record.about() {
                    command.arg(head).arg("").arg(outline);
                }
                command
            }
            Work::Load { hold, at: Some(at), .. } => {
                let mut command = ::redis::cmd("LINDEX");
                command.arg(&hold.log).arg(*at);
                command
            }
            Work::Load { hold, at: None, name, .. } => {
                let mut command = line.script(Script::Find, &[&hold.log]);
                command.arg(name);
                command
            }
            Work::Forget { run, .. } => {
                let mut command = line.script(Script::Forget, &[run]);
                command.arg(script::FORMAT);
                command
            }
            Work::Release { hold, empty } => {
                let mut command = line.script(Script::Release, &[&hold.run, &hold.log]);
                command.arg(&hold.token).arg(millis(settings.ttl)).arg(u8::from(*empty));
                command
            }
            Work::Renew { hold } => {
                let mut command = line.script(Script::Renew, &[&hold.run, &hold.log]);
                command.arg(&hold.token).arg(millis(settings.lease));
                if hold.is_ageing(now, settings.ttl) {
                    command.arg(millis(settings.ttl));
                } else {
                    command.arg("");
                }
                command
            }
            Work::Scan { cursor, .. } => {
                let mut command = ::redis::cmd("SCAN");
                command.arg(*cursor).arg("MATCH").arg(script::pattern(&settings.prefix)).arg("COUNT").arg(SCAN);
                command
            }
            Work::Look { run, values, .. } => {
                let key = run.with_str(|id| script::key(&settings.prefix, id));
                let mut command = ::redis::cmd("EVAL");
                command.arg(script::LOOK).arg(1).arg(key).arg(script::FORMAT).arg(u8::from(*values));
                command
            }
            Work::Reach { .. } | Work::Flush { .. } => ::redis::cmd("PING"),
        }
    }

    /// What the server answered to the oldest batch.
    fn hear(&mut self, values: Vec<Value>, now: Instant) -> Verdict {
        let Some(Sent { jobs, .. }) = self.sent.pop_front() else { return Verdict::Redial };
        if values.len() != jobs.len() {
            for job in jobs {
                self.put_back(job);
            }
            let error = error::of(StoreErrorKind::Unavailable, "the server's answers are not those to what was asked");
            return self.lose(Trouble::Reconnect(error), now);
        }
        let mut verdict = Verdict::Keep;
        for (job, value) in jobs.into_iter().zip(values) {
            if let Value::ServerError(error) = &value {
                if self.refuse(job, error::refused(error), now) == Verdict::Redial {
                    verdict = Verdict::Redial;
                }
            } else {
                if self.trouble.is_some() && self.pause.is_none() {
                    self.trouble = None;
                    self.again = AGAIN;
                }
                self.settle(job, value, now);
            }
        }
        verdict
    }

    #[cold]
    fn refuse(&mut self, mut job: Job, trouble: Trouble, now: Instant) -> Verdict {
        if let Some(hold) = job.work.hold() {
            hold.stale.store(true, Ordering::Relaxed);
        }
        if let Trouble::Final(error) = trouble {
            self.forget_hold(&job.work, false);
            job.work.fail(error);
            return Verdict::Keep;
        }
        let verdict = if matches!(trouble, Trouble::Wait(_)) { Verdict::Keep } else { Verdict::Redial };
        // Scripts are given again at once, but not for ever.
        if trouble != Trouble::Scripts || job.troubled.is_some() {
            self.pause(now);
        }
        self.trouble = Some(trouble.into_error());
        self.concerns = self.numbers;
        job.troubled.get_or_insert(now);
        self.put_back(job);
        verdict
    }

    /// The connection is no good, or none was made.
    #[cold]
    fn lose(&mut self, trouble: Trouble, now: Instant) -> Verdict {
        let refused = matches!(trouble, Trouble::Final(_));
        let error = trouble.into_error();
        self.pause(now);
        self.trouble = Some(error.clone());
        self.concerns = self.numbers;
        self.expire = now;
        if refused {
            self.say_again(now);
            for job in mem::take(&mut self.queue) {
                self.forget_hold(&job.work, false);
                job.work.fail(error.clone());
            }
        }
        Verdict::Redial
    }

    fn pause(&mut self, now: Instant) {
        if self.pause.is_none() {
            self.pause = Some(now + self.again);
            self.again = (self.again * 2).min(AGAIN_MAX);
        }
    }

    /// What was sent and not answered goes back to where it came from.
    #[cold]
    fn say_again(&mut self, now: Instant) {
        while let Some(Sent { jobs, .. }) = self.sent.pop_back() {
            for mut job in jobs.into_iter().rev() {
                job.troubled.get_or_insert(now);
                if let Some(hold) = job.work.hold() {
                    hold.stale.store(true, Ordering::Relaxed);
                }
                self.put_back(job);
            }
        }
    }

    fn put_back(&mut self, job: Job) {
        let at = self.queue.partition_point(|other| other.number < job.number);
        self.queue.insert(at, job);
    }

    /// Fails what has waited for the server long enough, but nothing that was not tried yet: the trouble may be over. Only a
    /// run that has no time at all does not wait for that where it would have to.
    #[cold]
    fn expire(&mut self, now: Instant, at_once: bool) {
        let Some(trouble) = self.trouble.clone() else { return };
        let mut given_up = Vec::new();
        for mut job in mem::take(&mut self.queue) {
            let tried = job.number <= self.concerns;
            if !tried && (at_once || !matches!(job.work, Work::Write { .. })) {
                self.queue.push_back(job);
                continue;
            }
            let since = *job.troubled.get_or_insert(now);
            let is_over = tried && now.saturating_duration_since(since) >= self.settings.patience;
            if !is_over && !job.work.is_hurried() {
                self.queue.push_back(job);
                continue;
            }
            self.forget_hold(&job.work, false);
            job.work.fail(trouble.clone());
            given_up.extend(job.opens.filter(|_| job.sent));
        }
        // The server may have done it all the same.
        for hold in given_up {
            self.take(Work::Release { hold, empty: false }, now);
        }
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

    /// Hands on an answer that is no error of the server's.
    fn settle(&mut self, mut job: Job, value: Value, now: Instant) {
        if job.lost {
            let error = job.work.hold().map_or_else(odd, |hold| why_lost(&value, &hold.token));
            job.work.fail(error);
            return;
        }
        match job.work {
            // There is no such log any more, and nothing was appended.
            Work::Write { .. } if value == Value::Int(0) => {
                job.lost = true;
                self.put_back(job);
            }
            // What the session holds was there, so its log is no more.
            Work::Load { .. } if value == Value::Nil => {
                job.lost = true;
                self.put_back(job);
            }
            Work::Write { hold, answer, .. } => {
                hold.hurried.store(false, Ordering::Relaxed);
                let _ = answer.send(if matches!(value, Value::Int(_)) { Ok(()) } else { Err(odd()) });
            }
            Work::Load { answer, .. } => {
                let _ = answer.send(if let Value::BulkString(bytes) = value { Ok(bytes) } else { Err(odd()) });
            }
            Work::Renew { ref hold } => {
                hold.renewing.store(false, Ordering::Relaxed);
                if value != Value::Int(1) {
                    self.forget_hold(&job.work, true);
                }
            }
            Work::Release { ref hold, .. } => {
                let run = Arc::clone(&hold.run);
                self.forget_hold(&job.work, false);
                self.wake_busy(&run, now);
            }
            Work::Reach { answer } => {
                let _ = answer.send(Ok(()));
            }
            Work::Flush { .. } => {}
            Work::Scan { answer, .. } => drop(answer.send(scanned(value, &self.settings))),
            Work::Look { run, values, answer } => drop(answer.send(looked(run, values, value))),
            Work::Open { .. } => self.opened(job, value, now),
            Work::Forget { .. } => self.forgotten(job, value, now),
        }
    }

    fn opened(&mut self, job: Job, value: Value, now: Instant) {
        match Answered::of(value, &self.settings) {
            Ok(Answered::Busy(left)) => self.meet_busy(job, left, now),
            Ok(Answered::Open { present, order, ledger }) => {
                let (Work::Open { access, answer, .. }, Some(hold)) = (job.work, job.opens) else { return };
                self.held.insert(hold.token.clone(), Arc::clone(&hold));
                if self.held.len() == 1 {
                    self.renew = now + self.renew_every();
                }
                let empty = present.is_empty();
                // All that it had was discarded by a holder that then died.
                if empty && access == Access::Existing {
                    self.give_back(job.number, hold, empty, now);
                    drop(answer.send(Err(unknown(&self.settings))));
                    return;
                }
                // Where nobody waits any more nobody may be left who could ask for something, either.
                let Some(jobs) = self.jobs.upgrade() else { return self.give_back(job.number, hold, empty, now) };
                let grip = Grip { jobs: Some(jobs), hold, empty };
                let outlines = Arc::clone(&self.settings.outlines);
                let opened = Opened { grip, present, ledger, order, outlines };
                if let Err(Ok(Opened { grip, .. })) = answer.send(Ok(opened)) {
                    self.give_back(job.number, grip.let_go(), empty, now);
                }
            }
            Err(error) => job.work.fail(error),
        }
    }

    fn forgotten(&mut self, job: Job, value: Value, now: Instant) {
        match Forgotten::of(value) {
            Ok(Forgotten::Busy(left)) => self.meet_busy(job, left, now),
            Ok(Forgotten::Done(was)) => {
                if let Work::Forget { answer, .. } = job.work {
                    drop(answer.send(Ok(was)));
                }
            }
            Err(error) => job.work.fail(error),
        }
    }

    /// Somebody else holds the run, for so long if the lease is not renewed.
    #[cold]
    fn meet_busy(&mut self, mut job: Job, left: Duration, now: Instant) {
        job.sent = false;
        let waited = now.saturating_duration_since(job.asked);
        let patient = self.settings.wait_for.saturating_sub(waited);
        if patient.is_zero() {
            job.work.fail(StoreError::new(StoreErrorKind::Busy { until: Some(left) }));
        } else {
            let wait = (waited / 2).clamp(BUSY, BUSY_MAX).min(left.max(BUSY)).min(patient);
            self.busy.insert((now + wait, job.number), job);
        }
    }

    /// This store gave back a run that others of it may wait for.
    fn wake_busy(&mut self, run: &str, now: Instant) {
        if self.busy.is_empty() {
            return;
        }
        let of_the_run = |job: &Job| match &job.work {
            Work::Open { run: wanted, .. } | Work::Forget { run: wanted, .. } => **wanted == *run,
            _ => false,
        };
        let waiting: Vec<_> = self.busy.iter().filter(|(_, job)| of_the_run(job)).map(|(at, _)| *at).collect();
        for at in waiting {
            if let Some(job) = self.busy.remove(&at) {
                self.busy.insert((now, job.number), job);
            }
        }
    }
}

/// Nothing, of the type of what carries a connection: it has no name.
fn none_yet<C>(_: impl Future<Output = Result<(Line, C), Trouble>>) -> Option<C> {
    None
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 50)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn a_lease_that_cannot_be_renewed_is_no_reason_to_stay_awake() {
        let store = super::super::RedisStore::new("redis://127.0.0.1/", Duration::from_secs(60)).unwrap();
        let (jobs, inbox) = mpsc::unbounded_channel();
        let mut driver = Driver::new(Arc::clone(&store.settings), inbox, jobs.downgrade());
        let now = Instant::now();
        driver.held.insert("token".to_string(), Arc::new(Hold::new("run".into(), "token".to_string(), now)));
        assert_eq!(driver.next_time(now, true), now);
        assert!(driver.next_time(now, false) > now);
    }
}
