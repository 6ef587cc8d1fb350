//! The same work by hand.

use std::{
    fmt::Write,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use postcard_schema::key::Key;
use stroma::{Failure, FailureClass, Now, RunId};
use tokio::time::Sleep;

use super::{
    Failed, Payload, Tally, Ticks, block_on, repeat, step, timers,
    with_stroma::{COST, EVENTS, LIMIT, RETRIES, TOKENS},
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

/// One attempt within a time; the timer is only made once the attempt has to wait. Each group has its own, so that it is inlined in
/// each as if there were no other.
macro_rules! within {
    ($name:ident) => {
        async fn $name<P: Payload>(
            limit: Duration,
            attempt: impl Future<Output = Result<P, Failed>>,
        ) -> Result<P, Stopped> {
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
    };
}

within!(within);
within!(within_all);

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
    let timers = timers();
    let _entered = timers.enter();
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
pub(crate) struct Runs<const SLOT: usize> {
    records: spin::Mutex<[Record; 1]>,
    slots: [spin::Mutex<Slots<SLOT>>; 1],
}

struct Record {
    id: RunId,
    held: bool,
    finished: bool,
}

/// The hold on a run; dropping it gives the run back.
pub(crate) struct Hold<'a, const SLOT: usize> {
    runs: &'a Runs<SLOT>,
    at: usize,
    pub(crate) slots: spin::MutexGuard<'a, Slots<SLOT>>,
    pub(crate) finished: bool,
}

impl<const SLOT: usize> Runs<SLOT> {
    pub(crate) fn new() -> Self {
        let record = Record { id: RunId::from_u128(u128::MAX), held: false, finished: true };
        let slots = Slots { lens: [0; 9], bytes: [[0; SLOT]; 9], ledger: [0; 64], ledger_len: 0 };
        Self { records: spin::Mutex::new([record]), slots: [spin::Mutex::new(slots)] }
    }

    /// Takes hold of a run, or of a finished one's place for it.
    pub(crate) fn open(&self, id: RunId) -> Result<Hold<'_, SLOT>, Failed> {
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

impl<const SLOT: usize> Drop for Hold<'_, SLOT> {
    fn drop(&mut self) {
        let record = &mut self.runs.records.lock()[self.at];
        record.held = false;
        record.finished = self.finished;
    }
}

/// The slots of one run: the input and eight outputs; and its ledger.
pub(crate) struct Slots<const SLOT: usize> {
    lens: [u16; 9],
    bytes: [[u8; SLOT]; 9],
    ledger: [u8; 64],
    ledger_len: usize,
}

impl<const SLOT: usize> Slots<SLOT> {
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
        self.ledger_len = 0;
    }

    pub(crate) fn keep(&mut self, ledger: &[u8]) {
        self.ledger[..ledger.len()].copy_from_slice(ledger);
        self.ledger_len = ledger.len();
    }
}

/// Eight nodes, each checkpointed in an array, and the input.
#[inline(never)]
pub(crate) fn seq8_memory<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    async fn run<P: Payload, const SLOT: usize>(
        runs: &Runs<SLOT>,
        shape: u64,
        id: RunId,
        input: P,
    ) -> Result<Done<P>, Failed> {
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
    let runs = Runs::<SLOT>::new();
    let shape = black_box(7);
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        block_on(run(&runs, shape, RunId::from_u128(id), input)).unwrap().output()
    })
}

/// Eight nodes, the input and each output in a slot as postcard has it, and nothing else: no room is asked for, nothing says what
/// it is or that it is whole, no run is held, and nobody is told. What any checkpoint comes to at the least.
#[inline(never)]
pub(crate) fn to_slice<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    fn put<P: Payload>(slot: &mut [u8], value: &P) -> Result<(), Failed> {
        postcard::to_slice(value, slot).map(drop).map_err(|_| Failed)
    }
    async fn run<P: Payload, const SLOT: usize>(slots: &mut [[u8; SLOT]; 9], input: P) -> Result<P, Failed> {
        put(&mut slots[0], &input)?;
        let x = step(input).await?;
        put(&mut slots[1], &x)?;
        let x = step(x).await?;
        put(&mut slots[2], &x)?;
        let x = step(x).await?;
        put(&mut slots[3], &x)?;
        let x = step(x).await?;
        put(&mut slots[4], &x)?;
        let x = step(x).await?;
        put(&mut slots[5], &x)?;
        let x = step(x).await?;
        put(&mut slots[6], &x)?;
        let x = step(x).await?;
        put(&mut slots[7], &x)?;
        let x = step(x).await?;
        put(&mut slots[8], &x)?;
        Ok(x)
    }
    let mut slots = [[0; SLOT]; 9];
    repeat(n, |input: P| {
        let output = block_on(run(black_box(&mut slots), input)).unwrap();
        black_box(&slots);
        output
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
pub(crate) fn resume_last<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    async fn run<P: Payload, const SLOT: usize>(runs: &Runs<SLOT>, shape: u64, id: RunId) -> Result<Done<P>, Failed> {
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
    let runs = Runs::<SLOT>::new();
    let shape = black_box(7);
    let id = black_box(RunId::from_u128(1));
    runs.fill::<P>(id, shape);
    repeat(n, |_: P| block_on(run::<P, SLOT>(&runs, shape, id)).unwrap().output())
}

/// One attempt of one node.
#[derive(Debug)]
pub(crate) struct Event {
    node: &'static str,
    instance: u32,
    attempt: u32,
    start: Duration,
    outcome: Outcome,
    spent: Spent,
}

/// What was spent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    tokens: u64,
    cost: u64,
    unpriced: u64,
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
    pub(crate) fn add(
        &mut self,
        node: &'static str,
        began: Duration,
        now: Duration,
        mut spent: Spent,
        outcome: Outcome,
    ) {
        spent.took = now.saturating_sub(began);
        if self.events.is_full() {
            self.dropped = self.dropped.wrapping_add(1);
        }
        self.events.write(Event {
            node,
            instance: 0,
            attempt: 1,
            start: began.saturating_sub(self.started),
            outcome,
            spent,
        });
    }

    #[cold]
    pub(crate) fn failed(&mut self, node: &'static str, began: Duration, now: Duration, error: &Failed) {
        let mut message = heapless::String::new();
        let _ = write!(message, "{error}");
        self.add(node, began, now, Spent::default(), Outcome::Failed { class: error.class(), message });
    }
}

/// Does one step and writes it down.
macro_rules! traced {
    ($clock:ident, $ring:ident, $node:literal, $step:expr) => {{
        let began = $clock.now();
        match $step.await {
            Ok(x) => {
                $ring.add($node, began, $clock.now(), Spent::default(), Outcome::Succeeded);
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

/// What a run has spent and reserved, and may spend; nodes could share it.
pub(crate) struct Account {
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
    pub(crate) fn new(limits: (u64, u64), started: Duration) -> Self {
        let books = Books { tokens: [0, 0, limits.0], cost: [0, 0, limits.1], unpriced: 0, told: [0; 3] };
        Self { books: spin::Mutex::new(books), news: AtomicBool::new(false), started }
    }

    /// Whether nothing may begin any more.
    pub(crate) fn used_up(&self) -> bool {
        let books = self.books.lock();
        books.tokens[0] >= books.tokens[2] || books.cost[0] >= books.cost[2]
    }

    /// Whether more was spent than may be.
    pub(crate) fn overrun(&self) -> bool {
        let books = self.books.lock();
        books.tokens[0] > books.tokens[2] || books.cost[0] > books.cost[2]
    }

    /// What was spent since the last call.
    #[inline(always)]
    pub(crate) fn recent(&self) -> Spent {
        if !self.news.load(Ordering::Acquire) {
            return Spent::default();
        }
        self.news.store(false, Ordering::Release);
        let mut books = self.books.lock();
        let now = [books.tokens[0], books.cost[0], books.unpriced];
        let told = std::mem::replace(&mut books.told, now);
        Spent { tokens: now[0] - told[0], cost: now[1] - told[1], unpriced: now[2] - told[2], took: Duration::ZERO }
    }

    pub(crate) fn total(&self, now: Duration) -> Spent {
        let books = self.books.lock();
        let took = now.saturating_sub(self.started);
        Spent { tokens: books.tokens[0], cost: books.cost[0], unpriced: books.unpriced, took }
    }

    /// The same bytes as stroma's: a first byte, then each number as its length and so many bytes.
    pub(crate) fn write(&self, now: Duration, buffer: &mut [u8; 64]) -> usize {
        let Spent { tokens, cost, unpriced, took } = self.total(now);
        buffer[0] = 0x10;
        let mut at = 1;
        for number in [tokens, cost, unpriced, took.as_micros() as u64] {
            let len = (8 - number.leading_zeros() as usize / 8) * usize::from(number != 0);
            buffer[at] = len as u8;
            buffer[at + 1..at + 1 + len].copy_from_slice(&number.to_le_bytes()[..len]);
            at += 1 + len;
        }
        at
    }
}

/// What a run with everything on has.
struct Everything<'a, const SLOT: usize> {
    clock: &'a Ticks,
    hooks: [&'a Tally; 3],
    hold: Hold<'a, SLOT>,
    ring: Ring,
    account: &'a Account,
    retries: u32,
    limit: Duration,
}

impl<const SLOT: usize> Everything<'_, SLOT> {
    /// A node: checked, hooked, tried, traced and kept.
    #[inline(always)]
    async fn node<P: Payload>(&mut self, slot: usize, id: &'static str, input: P) -> Result<P, Failed> {
        let (mut failed, mut timed_out) = (0, 0);
        loop {
            if self.account.used_up() {
                return Err(Failed);
            }
            let began = self.clock.now();
            self.hooks.iter().for_each(|hook| hook.begin());
            let ended = within_all(self.limit, step(input.clone())).await;
            let (now, spent) = (self.clock.now(), self.account.recent());
            match ended {
                Ok(out) => {
                    self.ring.add(id, began, now, spent, Outcome::Succeeded);
                    self.hooks.iter().for_each(|hook| hook.succeed(now.saturating_sub(began)));
                    let over = self.account.overrun();
                    let mut ledger = [0; 64];
                    let len = self.account.write(now, &mut ledger);
                    self.hold.slots.put(slot, None, &out)?;
                    self.hold.slots.keep(&ledger[..len]);
                    return if over { Err(Failed) } else { Ok(out) };
                }
                Err(stopped) => {
                    self.ring.failed(id, began, now, &Failed);
                    self.hooks.iter().for_each(|hook| hook.fail());
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
#[inline(never)]
pub(crate) fn seq8_full<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    let timers = timers();
    let _entered = timers.enter();
    struct Setting<'a, const SLOT: usize> {
        runs: &'a Runs<SLOT>,
        clock: &'a Ticks,
        hooks: [&'a Tally; 3],
        limits: (u64, u64),
        retries: u32,
        limit: Duration,
        shape: u64,
    }
    async fn run<P: Payload, const SLOT: usize>(
        set: &Setting<'_, SLOT>,
        id: RunId,
        input: P,
    ) -> Result<(Done<P>, Ring, Spent), Failed> {
        let started = set.clock.now();
        let account = Account::new(set.limits, started);
        let mut hold = set.runs.open(id)?;
        hold.slots.put(0, Some(set.shape), &input)?;
        let Setting { clock, hooks, retries, limit, .. } = *set;
        let mut all = Everything { clock, hooks, hold, ring: Ring::new(started), account: &account, retries, limit };
        let x = all.node(1, "n1", input).await?;
        let x = all.node(2, "n2", x).await?;
        let x = all.node(3, "n3", x).await?;
        let x = all.node(4, "n4", x).await?;
        let x = all.node(5, "n5", x).await?;
        let x = all.node(6, "n6", x).await?;
        let x = all.node(7, "n7", x).await?;
        let x = all.node(8, "n8", x).await?;
        all.hold.finished = true;
        let spent = account.total(set.clock.now());
        Ok((Done { output: x, id, resumed: false, restored: 0, took: spent.took }, all.ring, spent))
    }
    let (first, second, third) = (Tally::default(), Tally::default(), Tally::default());
    let (retries, limit) = black_box((RETRIES, LIMIT));
    let set = Setting {
        runs: &Runs::<SLOT>::new(),
        clock: &Ticks::default(),
        hooks: [&first, &second, &third],
        limits: black_box((TOKENS, COST.as_picodollars())),
        retries,
        limit,
        shape: black_box(7),
    };
    let mut id = 0;
    let sum = repeat(n, |input: P| {
        id += 1;
        let (done, ring, spent) = block_on(run(&set, RunId::from_u128(id), input)).unwrap();
        black_box((&ring, &spent));
        done.output()
    });
    black_box((&first, &second, &third));
    sum
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

/// Two branches, joined by the crate that most programs have for it.
#[inline(never)]
pub(crate) fn try_join<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(input: P) -> Result<P, Failed> {
        let (left, _right) = futures_util::future::try_join(step(input.clone()), step(input)).await?;
        Ok(left)
    }
    repeat(n, |input: P| block_on(run(input)).unwrap())
}
