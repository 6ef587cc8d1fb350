//! The same work by hand.

use std::{fmt::Write, future::Future, hint::black_box, pin::pin, task::Poll, time::Duration};

use postcard_schema::key::Key;
use stroma::{Failure, FailureClass, Now, RunId};
use tokio::time::Sleep;

use super::{
    Failed, Payload, Ticks, block_on, repeat, step,
    with_stroma::{EVENTS, LIMIT, RETRIES},
};

/// Eight nodes.
#[inline(never)]
pub(crate) fn seq8<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(input: P) -> Result<P, Failed> {
        let x = step(input).await?;
        let x = step(x).await?;
        let x = step(x).await?;
        let x = step(x).await?;
        let x = step(x).await?;
        let x = step(x).await?;
        let x = step(x).await?;
        step(x).await
    }
    repeat(n, |input: P| block_on(run(input)).unwrap())
}

/// Why an attempt did not yield.
enum Stopped {
    Failed,
    TimedOut,
}

/// One attempt within a time; the timer is only made once the attempt has to wait.
async fn within<P: Payload>(limit: Duration, attempt: impl Future<Output = Result<P, Failed>>) -> Result<P, Stopped> {
    let mut attempt = pin!(attempt);
    let mut timer = pin!(None::<Sleep>);
    std::future::poll_fn(|task| {
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
async fn tried<P: Payload>(retries: u32, limit: Duration, input: P) -> Result<P, Failed> {
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

/// Eight nodes with a retry and a time-out on each.
#[inline(never)]
pub(crate) fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(retries: u32, limit: Duration, input: P) -> Result<P, Failed> {
        let x = tried(retries, limit, input).await?;
        let x = tried(retries, limit, x).await?;
        let x = tried(retries, limit, x).await?;
        let x = tried(retries, limit, x).await?;
        let x = tried(retries, limit, x).await?;
        let x = tried(retries, limit, x).await?;
        let x = tried(retries, limit, x).await?;
        tried(retries, limit, x).await
    }
    let (retries, limit) = black_box((RETRIES, LIMIT));
    repeat(n, |input: P| block_on(run(retries, limit, input)).unwrap())
}

const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// How a run ended.
pub(crate) struct Done<P> {
    output: P,
    id: RunId,
    resumed: bool,
    restored: u16,
    took: Duration,
}

/// Runs by their ids, each held by one at a time.
pub(crate) struct Runs {
    records: spin::Mutex<[Record; 1]>,
    slots: [spin::Mutex<Slots>; 1],
}

struct Record {
    id: RunId,
    held: bool,
    finished: bool,
}

/// The hold on a run; dropping it gives the run back.
pub(crate) struct Hold<'a> {
    runs: &'a Runs,
    at: usize,
    pub(crate) slots: spin::MutexGuard<'a, Slots>,
    pub(crate) finished: bool,
}

impl Runs {
    pub(crate) fn new() -> Self {
        let record = Record { id: RunId::from_u128(u128::MAX), held: false, finished: true };
        let slots = Slots { lens: [0; 9], bytes: [[0; 192]; 9] };
        Self { records: spin::Mutex::new([record]), slots: [spin::Mutex::new(slots)] }
    }

    /// Takes hold of a run, or of a finished one's place for it.
    pub(crate) fn open(&self, id: RunId) -> Result<Hold<'_>, Failed> {
        let mut records = self.records.lock();
        let known = records.iter().position(|record| record.id == id);
        let at = known.or_else(|| records.iter().position(|record| record.finished && !record.held)).ok_or(Failed)?;
        if records[at].held {
            return Err(Failed);
        }
        let mut slots = self.slots[at].try_lock().ok_or(Failed)?;
        records[at] = Record { id, held: true, finished: false };
        drop(records);
        if known.is_none() {
            slots.clear();
        }
        Ok(Hold { runs: self, at, slots, finished: false })
    }

    /// A run of which the input and seven outputs are stored.
    pub(crate) fn fill<P: Payload>(&self, id: RunId, shape: u64) {
        let mut hold = self.open(id).unwrap();
        for slot in 0..8 {
            hold.slots.put(slot, (slot == 0).then_some(shape), &P::of(slot as u64)).unwrap();
        }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let record = &mut self.runs.records.lock()[self.at];
        record.held = false;
        record.finished = self.finished;
    }
}

/// The slots of one run: the input and eight outputs.
pub(crate) struct Slots {
    lens: [u16; 9],
    bytes: [[u8; 192]; 9],
}

impl Slots {
    /// Writes the same bytes as stroma does: version, schema key, shape for the input, payload, checksum.
    pub(crate) fn put<P: Payload>(&mut self, slot: usize, shape: Option<u64>, value: &P) -> Result<(), Failed> {
        let key = const { Key::for_path::<P>("").to_bytes() };
        let bytes = self.bytes.get_mut(slot).ok_or(Failed)?;
        bytes[0] = 1;
        bytes[1..9].copy_from_slice(&key);
        let mut at = 9;
        if let Some(shape) = shape {
            bytes[9..17].copy_from_slice(&shape.to_le_bytes());
            at = 17;
        }
        at += postcard::to_slice(value, &mut bytes[at..]).map_err(|_| Failed)?.len();
        let crc = CHECKSUM.checksum(&bytes[..at]);
        bytes.get_mut(at..at + 4).ok_or(Failed)?.copy_from_slice(&crc.to_le_bytes());
        self.lens[slot] = (at + 4) as u16;
        Ok(())
    }

    /// Reads what was put and checks all that is to be checked.
    fn get<P: Payload>(&self, slot: usize) -> Result<P, Failed> {
        let key = const { Key::for_path::<P>("").to_bytes() };
        let bytes = &self.bytes[slot][..usize::from(self.lens[slot])];
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Failed)?;
        if body[0] != 1 || CHECKSUM.checksum(body) != u32::from_le_bytes(*crc) || body[1..9] != key {
            return Err(Failed);
        }
        match postcard::take_from_bytes(&body[9..]) {
            Ok((value, [])) => Ok(value),
            _ => Err(Failed),
        }
    }

    /// The furthest node that is done, and its output; whether the run is of this program is asked first.
    pub(crate) fn furthest<P: Payload>(&self, shape: u64) -> Result<(usize, P), Failed> {
        if self.lens[0] < 21 || self.bytes[0][9..17] != shape.to_le_bytes() {
            return Err(Failed);
        }
        let done = (1..9).rev().find(|slot| self.lens[*slot] != 0).ok_or(Failed)?;
        Ok((done, self.get(done)?))
    }

    fn clear(&mut self) {
        self.lens = [0; 9];
    }
}

/// Eight nodes, each checkpointed in an array, and the input.
#[inline(never)]
pub(crate) fn seq8_memory<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(runs: &Runs, shape: u64, id: RunId, input: P) -> Result<Done<P>, Failed> {
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
        let x = step(x).await?;
        hold.slots.put(8, None, &x)?;
        hold.finished = true;
        Ok(Done { output: x, id, resumed: false, restored: 0, took: Duration::ZERO })
    }
    let runs = Runs::new();
    let shape = black_box(7);
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        block_on(run(&runs, shape, RunId::from_u128(id), input)).unwrap().output()
    })
}

impl<P> Done<P> {
    /// The output; all of the rest is made for the caller, too.
    fn output(self) -> P {
        black_box((&self.id, self.resumed, self.restored, self.took));
        self.output
    }
}

/// Goes on at the last of eight nodes, from what an array holds.
#[inline(never)]
pub(crate) fn resume_last<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(runs: &Runs, shape: u64, id: RunId) -> Result<Done<P>, Failed> {
        let mut hold = runs.open(id)?;
        let (done, mut x) = hold.slots.furthest::<P>(shape)?;
        let restored = hold.slots.lens[1..].iter().filter(|len| **len != 0).count() as u16;
        // The last one keeps nothing, so that it can be gone on with again.
        if done < 2 {
            x = step(x).await?;
            hold.slots.put(2, None, &x)?;
        }
        if done < 3 {
            x = step(x).await?;
            hold.slots.put(3, None, &x)?;
        }
        if done < 4 {
            x = step(x).await?;
            hold.slots.put(4, None, &x)?;
        }
        if done < 5 {
            x = step(x).await?;
            hold.slots.put(5, None, &x)?;
        }
        if done < 6 {
            x = step(x).await?;
            hold.slots.put(6, None, &x)?;
        }
        if done < 7 {
            x = step(x).await?;
            hold.slots.put(7, None, &x)?;
        }
        if done < 8 {
            x = step(x).await?;
        }
        hold.finished = true;
        Ok(Done { output: x, id, resumed: true, restored, took: Duration::ZERO })
    }
    let runs = Runs::new();
    let shape = black_box(7);
    let id = black_box(RunId::from_u128(1));
    runs.fill::<P>(id, shape);
    repeat(n, |_: P| block_on(run::<P>(&runs, shape, id)).unwrap().output())
}

/// One attempt of one node.
#[derive(Debug)]
pub(crate) struct Event {
    node: &'static str,
    instance: u32,
    attempt: u32,
    start: Duration,
    outcome: Outcome,
    took: Duration,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Succeeded,
    Failed { class: FailureClass, message: heapless::String<48> },
}

/// The last attempts of a run.
pub(crate) struct Ring {
    started: Duration,
    events: heapless::HistoryBuf<Event, EVENTS>,
    dropped: u64,
}

impl Ring {
    pub(crate) fn new(started: Duration) -> Self {
        Self { started, events: heapless::HistoryBuf::new(), dropped: 0 }
    }

    #[inline(always)]
    pub(crate) fn add(&mut self, node: &'static str, began: Duration, now: Duration, outcome: Outcome) {
        if self.events.is_full() {
            self.dropped = self.dropped.wrapping_add(1);
        }
        self.events.write(Event {
            node,
            instance: 0,
            attempt: 1,
            start: began.saturating_sub(self.started),
            outcome,
            took: now.saturating_sub(began),
        });
    }

    #[cold]
    pub(crate) fn failed(&mut self, node: &'static str, began: Duration, now: Duration, error: &Failed) {
        let mut message = heapless::String::new();
        let _ = write!(message, "{error}");
        self.add(node, began, now, Outcome::Failed { class: error.class(), message });
    }
}

/// Does one step and writes it down.
macro_rules! traced {
    ($clock:ident, $ring:ident, $node:literal, $step:expr) => {{
        let began = $clock.now();
        match $step.await {
            Ok(x) => {
                $ring.add($node, began, $clock.now(), Outcome::Succeeded);
                x
            }
            Err(error) => {
                $ring.failed($node, began, $clock.now(), &error);
                return Err((error, $ring));
            }
        }
    }};
}

/// Eight nodes, each attempt written into a ring that is given back.
#[inline(never)]
pub(crate) fn seq8_trace<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(clock: &Ticks, id: RunId, input: P) -> Result<(Done<P>, Ring), (Failed, Ring)> {
        let started = clock.now();
        let mut ring = Ring::new(started);
        let x = traced!(clock, ring, "n1", step(input));
        let x = traced!(clock, ring, "n2", step(x));
        let x = traced!(clock, ring, "n3", step(x));
        let x = traced!(clock, ring, "n4", step(x));
        let x = traced!(clock, ring, "n5", step(x));
        let x = traced!(clock, ring, "n6", step(x));
        let x = traced!(clock, ring, "n7", step(x));
        let x = traced!(clock, ring, "n8", step(x));
        let took = clock.now().saturating_sub(started);
        Ok((Done { output: x, id, resumed: false, restored: 0, took }, ring))
    }
    let clock = Ticks::default();
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        let (done, ring) = block_on(run(&clock, RunId::from_u128(id), input)).map_err(|(error, _)| error).unwrap();
        black_box(&ring);
        done.output()
    })
}

/// Two branches, both polled whenever one of them may go on.
#[inline(never)]
pub(crate) fn par2<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(input: P) -> Result<P, Failed> {
        let mut left = pin!(step(input.clone()));
        let mut right = pin!(step(input));
        let (mut left_out, mut right_out) = (None, None);
        let (left, _right) = std::future::poll_fn(move |task| {
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
            if left_out.is_none() || right_out.is_none() {
                return Poll::Pending;
            }
            match (left_out.take(), right_out.take()) {
                (Some(left), Some(right)) => Poll::Ready(Ok((left, right))),
                _ => Poll::Pending,
            }
        })
        .await?;
        Ok(left)
    }
    repeat(n, |input: P| block_on(run(input)).unwrap())
}
