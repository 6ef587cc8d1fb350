//! By hand: a run by its id, gone on with where it was begun before; the input and each output kept with version, schema key
//! and checksum; a node tried again as its failure says; and a typed reason where it halts.

#![no_std]
#![no_main]
#![allow(dead_code, reason = "why a run halted is for whoever reads it")]

mod work;

use core::{future::Future, hint::black_box, sync::atomic::AtomicU32, task::Poll, time::Duration};

use postcard_schema::key::Key;
use spin::mutex::{SpinMutex, SpinMutexGuard};
use stroma::{Failure, FailureClass, Now, RunId};
use work::{Sample, SensorError, Ticks, drive, n1, n2, n3, n4, n5, n6, n7, n8};

/// Why a run halted.
struct Halted {
    node: Option<&'static str>,
    attempt: u32,
    class: Option<FailureClass>,
    cause: Cause,
}

/// The reasons.
enum Cause {
    Node(SensorError),
    Busy,
    Full,
    TooLarge { len: usize, max: usize },
    Damaged,
    OtherSchema { stored: [u8; 8] },
    Undecodable,
    OtherInput,
    OtherPipeline { stored: u64 },
}

impl From<Cause> for Halted {
    fn from(cause: Cause) -> Self {
        Self { node: None, attempt: 0, class: None, cause }
    }
}

/// How a run ended.
struct Done {
    output: Sample,
    id: RunId,
    resumed: bool,
    restored: u16,
    took: Duration,
}

const ROOM: usize = 48;
const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

static RECORD: SpinMutex<Record> = SpinMutex::new(Record { id: None, held: false, finished: true });
static SLOTS: SpinMutex<Slots> =
    SpinMutex::new(Slots { slots: [const { Slot { node: "", len: 0, bytes: [0; ROOM] } }; 9] });

struct Record {
    id: Option<RunId>,
    held: bool,
    finished: bool,
}

/// The slots of the run: the input and eight outputs.
struct Slots {
    slots: [Slot; 9],
}

/// One value: whose it is, and its bytes.
struct Slot {
    node: &'static str,
    len: usize,
    bytes: [u8; ROOM],
}

/// The hold on the run; dropping it gives the run back.
struct Hold {
    slots: SpinMutexGuard<'static, Slots>,
    finished: bool,
}

impl Hold {
    /// Takes hold of the run with this id, or of a finished one's place for it.
    fn open(id: RunId) -> Result<Self, Cause> {
        let mut record = RECORD.lock();
        let known = record.id == Some(id);
        if record.held {
            return Err(if known { Cause::Busy } else { Cause::Full });
        }
        let Some(mut slots) = SLOTS.try_lock() else { return Err(Cause::Busy) };
        if !known {
            if !record.finished && record.id.is_some() {
                return Err(Cause::Full);
            }
            slots.slots.iter_mut().for_each(|slot| slot.len = 0);
        }
        *record = Record { id: Some(id), held: true, finished: false };
        Ok(Self { slots, finished: false })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut record = RECORD.lock();
        record.held = false;
        record.finished = self.finished;
    }
}

/// Version, schema key, shape for the input, payload, checksum.
fn encode(bytes: &mut [u8; ROOM], shape: Option<u64>, value: &Sample) -> Result<usize, Cause> {
    bytes[0] = 1;
    bytes[1..9].copy_from_slice(&const { Key::for_path::<Sample>("").to_bytes() });
    let mut at = 9;
    if let Some(shape) = shape {
        bytes[9..17].copy_from_slice(&shape.to_le_bytes());
        at = 17;
    }
    let Ok(payload) = postcard::to_slice(value, &mut bytes[at..ROOM - 4]) else {
        return Err(Cause::TooLarge { len: at, max: ROOM });
    };
    at += payload.len();
    let crc = CHECKSUM.checksum(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    Ok(at + 4)
}

/// Checks what [`encode`] wrote and yields what comes after the schema key.
fn checked(bytes: &[u8]) -> Result<&[u8], Cause> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Cause::Damaged)?;
    if CHECKSUM.checksum(body) != u32::from_le_bytes(*crc) {
        return Err(Cause::Damaged);
    }
    let (head, payload) = body.split_first_chunk::<9>().ok_or(Cause::Damaged)?;
    let [version, key @ ..] = *head;
    if version != 1 {
        return Err(Cause::Damaged);
    }
    if key != const { Key::for_path::<Sample>("").to_bytes() } {
        return Err(Cause::OtherSchema { stored: key });
    }
    Ok(payload)
}

impl Slots {
    fn put(&mut self, at: usize, node: &'static str, shape: Option<u64>, value: &Sample) -> Result<(), Cause> {
        let slot = self.slots.get_mut(at).ok_or(Cause::Full)?;
        let len = encode(&mut slot.bytes, shape, value)?;
        slot.node = node;
        slot.len = len;
        Ok(())
    }

    fn get(&self, at: usize) -> Result<Sample, Cause> {
        let slot = self.slots.get(at).ok_or(Cause::Undecodable)?;
        let payload = checked(slot.bytes.get(..slot.len).ok_or(Cause::Damaged)?)?;
        match postcard::take_from_bytes(payload) {
            Ok((value, [])) => Ok(value),
            _ => Err(Cause::Undecodable),
        }
    }

    /// The last node that is done, by its id, among the nodes of the pipeline.
    fn furthest(&self, nodes: &[&str; 8]) -> usize {
        let done = |at: &usize| self.slots.get(*at).is_some_and(|slot| slot.len != 0 && slot.node == nodes[at - 1]);
        (1..9).rev().find(done).unwrap_or(0)
    }

    /// Whether the stored input is of this pipeline, and this one.
    fn same_input(&self, shape: u64, input: &Sample) -> Result<(), Cause> {
        let slot = &self.slots[0];
        let bytes = slot.bytes.get(..slot.len).ok_or(Cause::Damaged)?;
        let stored =
            checked(bytes)?.first_chunk::<8>().map(|shape| u64::from_le_bytes(*shape)).ok_or(Cause::Damaged)?;
        if stored != shape {
            return Err(Cause::OtherPipeline { stored });
        }
        let mut other = [0; ROOM];
        let len = encode(&mut other, Some(shape), input)?;
        if other.get(..len) == Some(bytes) { Ok(()) } else { Err(Cause::OtherInput) }
    }
}

/// How often each class of failure is tried again.
#[derive(Clone, Copy)]
struct Retries {
    recoverable: u32,
    ambiguous: u32,
}

/// A node that is tried again as its failure says; another attempt begins after the task was let go of once.
async fn tried<F>(
    retries: Retries,
    id: &'static str,
    step: impl Fn(Sample) -> F,
    input: Sample,
) -> Result<Sample, Halted>
where
    F: Future<Output = Result<Sample, SensorError>>,
{
    let (mut recoverable, mut ambiguous) = (0, 0);
    loop {
        let Err(error) = (match step(input.clone()).await {
            Ok(out) => return Ok(out),
            Err(error) => Err::<(), _>(error),
        }) else {
            continue;
        };
        let class = error.class();
        match class {
            FailureClass::Recoverable if recoverable < retries.recoverable => recoverable += 1,
            FailureClass::Ambiguous if ambiguous < retries.ambiguous => ambiguous += 1,
            _ => {
                let attempt = recoverable + ambiguous + 1;
                return Err(Halted { node: Some(id), attempt, class: Some(class), cause: Cause::Node(error) });
            }
        }
        let mut yielded = false;
        core::future::poll_fn(|task| {
            if core::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            task.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Starts the run, goes on with it, or returns its result.
async fn run_as(retries: Retries, shape: u64, clock: &Ticks, id: RunId, input: Sample) -> Result<Done, Halted> {
    const NODES: [&str; 8] = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"];
    let started = clock.now();
    let mut hold = Hold::open(id)?;
    let resumed = hold.slots.slots[0].len != 0;
    let (mut done, mut x) = (0, input);
    if resumed {
        hold.slots.same_input(shape, &x)?;
        done = hold.slots.furthest(&NODES);
        if done != 0 {
            x = hold.slots.get(done)?;
        }
    } else {
        hold.slots.put(0, "", Some(shape), &x)?;
    }
    let restored = hold.slots.slots[1..].iter().filter(|slot| slot.len != 0).count() as u16;
    macro_rules! node {
        ($number:literal, $node:ident) => {
            if done < $number {
                x = tried(retries, NODES[$number - 1], $node, x).await?;
                hold.slots.put($number, NODES[$number - 1], None, &x)?;
            }
        };
    }
    node!(1, n1);
    node!(2, n2);
    node!(3, n3);
    node!(4, n4);
    node!(5, n5);
    node!(6, n6);
    node!(7, n7);
    node!(8, n8);
    hold.finished = true;
    Ok(Done { output: x, id, resumed, restored, took: clock.now().saturating_sub(started) })
}

/// Two runs under one id: the second finds the first.
fn work(value: u64) -> Result<u64, i32> {
    let clock = Ticks(AtomicU32::new(0));
    let retries = Retries { recoverable: 3, ambiguous: 1 };
    let id = RunId::from_u128(black_box(1));
    let mut sum = 0_u64;
    for _ in 0..black_box(2) {
        let done = drive(run_as(retries, black_box(7), &clock, id, Sample { channel: 1, value })).map_err(code)?;
        black_box((&done.id, done.resumed));
        sum = sum.wrapping_add(done.output.value).wrapping_add(u64::from(done.restored));
        sum = sum.wrapping_add(done.took.as_secs());
    }
    Ok(sum)
}

/// Why it halted, in a number.
fn code(halted: Halted) -> i32 {
    black_box(&halted.cause);
    let node = halted.node.map_or(0, |node| i32::from(node.as_bytes()[1]));
    let class = halted.class.map_or(0, |class| class as i32);
    -1 - node - class - halted.attempt as i32
}

program!(|argc| work(u64::from(argc.unsigned_abs())).map_or_else(|code| code, |sum| sum as i32));
