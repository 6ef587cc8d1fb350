//! Work by hand that a test can hold the future of: the same nodes, copies and records as a pipeline has.
#![allow(dead_code, reason = "what a record takes counts, whether or not somebody reads it")]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use postcard_schema::{Schema, key::Key};
use serde::{Deserialize, Serialize};
use stroma::{Failure, FailureClass, Now, RunId, TokioClock};
use tokio::time::Sleep;

/// The error of every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl Failure for Failed {}

/// What passes between nodes.
pub(crate) trait Payload: Clone + Serialize + for<'de> Deserialize<'de> + Schema + 'static {
    /// Some value.
    fn some() -> Self;
    /// What a node does with it.
    fn step(self) -> Self;
}

impl Payload for u64 {
    fn some() -> Self {
        1
    }

    fn step(self) -> Self {
        self.wrapping_add(1)
    }
}

/// 128 bytes.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Wide([u64; 16]);

impl Payload for Wide {
    fn some() -> Self {
        Self([1; 16])
    }

    fn step(mut self) -> Self {
        self.0[0] = self.0[0].wrapping_add(1);
        self
    }
}

/// 4 KiB.
#[derive(Debug, Clone, Serialize, Deserialize, Schema)]
pub(crate) struct Page([[u64; 16]; 32]);

impl Payload for Page {
    fn some() -> Self {
        Self([[1; 16]; 32])
    }

    fn step(mut self) -> Self {
        self.0[0][0] = self.0[0][0].wrapping_add(1);
        self
    }
}

/// A node that never waits.
pub(crate) async fn ready<P: Payload>(payload: P) -> Result<P, Failed> {
    Ok(payload.step())
}

/// A node that lets go of the task once.
pub(crate) async fn yields<P: Payload>(payload: P) -> Result<P, Failed> {
    tokio::task::yield_now().await;
    Ok(payload.step())
}

/// Eight nodes.
pub(crate) async fn seq8<P, Fut>(step: impl Fn(P) -> Fut, input: P) -> Result<P, Failed>
where
    Fut: Future<Output = Result<P, Failed>>,
{
    let x = step(input).await?;
    let x = step(x).await?;
    let x = step(x).await?;
    let x = step(x).await?;
    let x = step(x).await?;
    let x = step(x).await?;
    let x = step(x).await?;
    step(x).await
}

/// Two branches, both polled whenever one of them may go on.
pub(crate) async fn par2<P, Fut>(step: impl Fn(P) -> Fut, input: P) -> Result<P, Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let mut left = pin!(step(input.clone()));
    let mut right = pin!(step(input));
    let (mut left_out, mut right_out) = (None, None);
    let (left, _right) = poll_fn(move |task| {
        if left_out.is_none()
            && let Poll::Ready(ended) = left.as_mut().poll(task)
        {
            left_out = Some(ended?);
        }
        if right_out.is_none()
            && let Poll::Ready(ended) = right.as_mut().poll(task)
        {
            right_out = Some(ended?);
        }
        match (left_out.is_some() && right_out.is_some()).then(|| (left_out.take(), right_out.take())) {
            Some((Some(left), Some(right))) => Poll::Ready(Ok((left, right))),
            _ => Poll::Pending,
        }
    })
    .await?;
    Ok(left)
}

/// Why an attempt did not yield.
enum Stopped {
    Failed,
    TimedOut,
}

/// One attempt within a time; the timer is only made once the attempt has to wait.
async fn within<P>(limit: Duration, attempt: impl Future<Output = Result<P, Failed>>) -> Result<P, Stopped> {
    let mut attempt = pin!(attempt);
    let mut timer = pin!(None::<Sleep>);
    poll_fn(|task| {
        if let Poll::Ready(ended) = attempt.as_mut().poll(task) {
            return Poll::Ready(ended.map_err(|Failed| Stopped::Failed));
        }
        if timer.is_none() {
            timer.set(Some(tokio::time::sleep(limit)));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(task).map(|()| Err(Stopped::TimedOut)),
            None => Poll::Pending,
        }
    })
    .await
}

/// A node that is tried again, each attempt within a time.
async fn tried<P, Fut>(step: &impl Fn(P) -> Fut, retries: u32, limit: Duration, input: P) -> Result<P, Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let (mut failed, mut timed_out) = (0, 0);
    loop {
        match within(limit, step(input.clone())).await {
            Ok(out) => return Ok(out),
            Err(Stopped::Failed) if failed < retries => failed += 1,
            Err(Stopped::TimedOut) if timed_out < retries => timed_out += 1,
            Err(_) => return Err(Failed),
        }
        tokio::task::yield_now().await;
    }
}

/// What is said of a run that ended.
#[derive(Debug)]
pub(crate) struct Done<P> {
    pub(crate) output: P,
    pub(crate) id: RunId,
    pub(crate) took: Duration,
}

/// Eight nodes with a retry and a time-out on each, in a run with an id.
pub(crate) async fn seq8_retry_timeout<P, Fut>(
    step: impl Fn(P) -> Fut,
    (retries, limit): (u32, Duration),
    id: RunId,
    input: P,
) -> Result<Done<P>, Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let started = TokioClock.now();
    let x = tried(&step, retries, limit, input).await?;
    let x = tried(&step, retries, limit, x).await?;
    let x = tried(&step, retries, limit, x).await?;
    let x = tried(&step, retries, limit, x).await?;
    let x = tried(&step, retries, limit, x).await?;
    let x = tried(&step, retries, limit, x).await?;
    let x = tried(&step, retries, limit, x).await?;
    let output = tried(&step, retries, limit, x).await?;
    Ok(Done { output, id, took: TokioClock.now().saturating_sub(started) })
}

const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The slots of one run, and its ledger.
pub(crate) struct Slots<const BYTES: usize> {
    lens: [usize; 9],
    bytes: [[u8; BYTES]; 9],
    ledger: ([u8; 64], usize),
}

/// The only run of a store; its index would be behind a lock of its own.
pub(crate) struct Runs<const BYTES: usize> {
    record: spin::Mutex<(RunId, bool)>,
    slots: spin::Mutex<Slots<BYTES>>,
}

impl<const BYTES: usize> Runs<BYTES> {
    pub(crate) fn new() -> Self {
        Self {
            record: spin::Mutex::new((RunId::from_u128(0), false)),
            slots: spin::Mutex::new(Slots { lens: [0; 9], bytes: [[0; BYTES]; 9], ledger: ([0; 64], 0) }),
        }
    }

    fn open(&self, id: RunId) -> Result<Hold<'_, BYTES>, Failed> {
        let mut record = self.record.lock();
        let slots = self.slots.try_lock().ok_or(Failed)?;
        *record = (id, true);
        Ok(Hold { runs: self, at: 0, slots, finished: false })
    }
}

/// The hold on a run; dropping it gives the run back.
struct Hold<'a, const BYTES: usize> {
    runs: &'a Runs<BYTES>,
    at: usize,
    slots: spin::MutexGuard<'a, Slots<BYTES>>,
    finished: bool,
}

impl<const BYTES: usize> Drop for Hold<'_, BYTES> {
    fn drop(&mut self) {
        self.runs.record.lock().1 = self.at != 0 || !self.finished;
    }
}

impl<const BYTES: usize> Slots<BYTES> {
    /// Version, schema key, shape for the input, payload, checksum.
    fn put<P: Payload>(&mut self, slot: usize, shape: Option<u64>, value: &P) -> Result<(), Failed> {
        let bytes = self.bytes.get_mut(slot).ok_or(Failed)?;
        bytes[0] = 1;
        bytes[1..9].copy_from_slice(&const { Key::for_path::<P>("").to_bytes() });
        let mut at = 9;
        if let Some(shape) = shape {
            bytes[9..17].copy_from_slice(&shape.to_le_bytes());
            at = 17;
        }
        at += postcard::to_slice(value, &mut bytes[at..]).map_err(|_| Failed)?.len();
        let crc = CHECKSUM.checksum(&bytes[..at]);
        bytes.get_mut(at..at + 4).ok_or(Failed)?.copy_from_slice(&crc.to_le_bytes());
        self.lens[slot] = at + 4;
        Ok(())
    }

    fn get<P: Payload>(&self, slot: usize) -> Result<P, Failed> {
        let bytes = &self.bytes[slot][..self.lens[slot]];
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Failed)?;
        if CHECKSUM.checksum(body) != u32::from_le_bytes(*crc) {
            return Err(Failed);
        }
        postcard::from_bytes(body.get(9..).ok_or(Failed)?).map_err(|_| Failed)
    }
}

/// Eight nodes, each checkpointed in an array, and the input.
pub(crate) async fn seq8_memory<P, Fut, const BYTES: usize>(
    step: impl Fn(P) -> Fut,
    runs: &Runs<BYTES>,
    shape: u64,
    id: RunId,
    input: P,
) -> Result<Done<P>, Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let mut hold = runs.open(id)?;
    hold.slots.put(0, Some(shape), &input)?;
    let x = step(input).await?;
    hold.slots.put(1, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(2, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(3, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(4, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(5, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(6, None, &x)?;
    let x = step(x).await?;
    hold.slots.put(7, None, &x)?;
    let output = step(x).await?;
    hold.slots.put(8, None, &output)?;
    hold.finished = true;
    Ok(Done { output, id, took: Duration::ZERO })
}

/// Goes on with eight nodes from what an array holds.
pub(crate) async fn resume<P, Fut, const BYTES: usize>(
    step: impl Fn(P) -> Fut,
    runs: &Runs<BYTES>,
    id: RunId,
) -> Result<Done<P>, Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let mut hold = runs.open(id)?;
    let done = (0..9).rev().find(|slot| hold.slots.lens[*slot] != 0).ok_or(Failed)?;
    let mut x = hold.slots.get(done)?;
    for slot in done + 1..9 {
        x = step(x).await?;
        hold.slots.put(slot, None, &x)?;
    }
    hold.finished = true;
    Ok(Done { output: x, id, took: Duration::ZERO })
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    tokens: u64,
    cost: u64,
    unpriced: u64,
    took: Duration,
}

/// How an attempt ended.
#[derive(Debug)]
enum Outcome {
    Succeeded,
    Failed { class: FailureClass, message: heapless::String<48> },
}

/// One attempt of one node.
#[derive(Debug)]
struct Event {
    node: &'static str,
    instance: u32,
    attempt: u32,
    start: Duration,
    outcome: Outcome,
    spent: Spent,
}

/// The last attempts of a run.
#[derive(Debug)]
pub(crate) struct Ring {
    started: Duration,
    events: heapless::HistoryBuf<Event, 8>,
}

impl Ring {
    fn add(&mut self, node: &'static str, attempt: u32, began: Duration, spent: Spent, outcome: Outcome) {
        let start = began.saturating_sub(self.started);
        self.events.write(Event { node, instance: 0, attempt, start, outcome, spent });
    }
}

/// What a run has spent and may spend. It lies in the run; stroma's is lent by the runner.
struct Account {
    books: spin::Mutex<Books>,
    news: AtomicBool,
    started: Duration,
}

struct Books {
    tokens: [u64; 3],
    cost: [u64; 3],
    unpriced: u64,
    told: [u64; 3],
}

impl Account {
    fn used_up(&self) -> bool {
        let books = self.books.lock();
        books.tokens[0] >= books.tokens[2] || books.cost[0] >= books.cost[2]
    }

    fn recent(&self) -> Spent {
        if !self.news.swap(false, Ordering::AcqRel) {
            return Spent::default();
        }
        let mut books = self.books.lock();
        let now = [books.tokens[0], books.cost[0], books.unpriced];
        let told = std::mem::replace(&mut books.told, now);
        Spent { tokens: now[0] - told[0], cost: now[1] - told[1], unpriced: now[2] - told[2], took: Duration::ZERO }
    }

    fn total(&self, now: Duration) -> Spent {
        let books = self.books.lock();
        let took = now.saturating_sub(self.started);
        Spent { tokens: books.tokens[0], cost: books.cost[0], unpriced: books.unpriced, took }
    }
}

/// What a run with everything on has.
struct Everything<'a, const BYTES: usize> {
    hold: Hold<'a, BYTES>,
    ring: Ring,
    account: Account,
    retries: u32,
    limit: Duration,
}

impl<const BYTES: usize> Everything<'_, BYTES> {
    /// A node: checked, tried, traced and kept.
    async fn node<P, Fut>(
        &mut self,
        step: &impl Fn(P) -> Fut,
        slot: usize,
        id: &'static str,
        input: P,
    ) -> Result<P, Failed>
    where
        P: Payload,
        Fut: Future<Output = Result<P, Failed>>,
    {
        let (mut failed, mut timed_out) = (0, 0);
        loop {
            if self.account.used_up() {
                return Err(Failed);
            }
            let began = TokioClock.now();
            let ended = within(self.limit, step(input.clone())).await;
            let (now, mut spent) = (TokioClock.now(), self.account.recent());
            spent.took = now.saturating_sub(began);
            match ended {
                Ok(out) => {
                    self.ring.add(id, failed + timed_out + 1, began, spent, Outcome::Succeeded);
                    let total = self.account.total(now);
                    self.hold.slots.put(slot, None, &out)?;
                    let (room, len) = &mut self.hold.slots.ledger;
                    room[..8].copy_from_slice(&total.tokens.to_le_bytes());
                    *len = 8;
                    return Ok(out);
                }
                Err(stopped) => {
                    let message = heapless::String::try_from("failed").unwrap_or_default();
                    let outcome = Outcome::Failed { class: Failed.class(), message };
                    self.ring.add(id, failed + timed_out + 1, began, spent, outcome);
                    match stopped {
                        Stopped::Failed if failed < self.retries => failed += 1,
                        Stopped::TimedOut if timed_out < self.retries => timed_out += 1,
                        _ => return Err(Failed),
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Eight nodes with everything on.
pub(crate) async fn seq8_full<P, Fut, const BYTES: usize>(
    step: impl Fn(P) -> Fut,
    runs: &Runs<BYTES>,
    (retries, limit): (u32, Duration),
    shape: u64,
    id: RunId,
    input: P,
) -> Result<(Done<P>, Ring, Spent), Failed>
where
    P: Payload,
    Fut: Future<Output = Result<P, Failed>>,
{
    let started = TokioClock.now();
    let books = Books { tokens: [0, 0, 1_000], cost: [0, 0, 1_000], unpriced: 0, told: [0; 3] };
    let account = Account { books: spin::Mutex::new(books), news: AtomicBool::new(false), started };
    let mut hold = runs.open(id)?;
    hold.slots.put(0, Some(shape), &input)?;
    let ring = Ring { started, events: heapless::HistoryBuf::new() };
    let mut all = Everything { hold, ring, account, retries, limit };
    let x = all.node(&step, 1, "n1", input).await?;
    let x = all.node(&step, 2, "n2", x).await?;
    let x = all.node(&step, 3, "n3", x).await?;
    let x = all.node(&step, 4, "n4", x).await?;
    let x = all.node(&step, 5, "n5", x).await?;
    let x = all.node(&step, 6, "n6", x).await?;
    let x = all.node(&step, 7, "n7", x).await?;
    let output = all.node(&step, 8, "n8", x).await?;
    all.hold.finished = true;
    let spent = all.account.total(TokioClock.now());
    Ok((Done { output, id, took: spent.took }, all.ring, spent))
}
