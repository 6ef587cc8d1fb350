//! The same work by hand.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use postcard_schema::{Schema, key::Key};
use tokio::time::Sleep;

use super::{
    Failed, Payload, block_on, repeat, step,
    with_stroma::{LIMIT, RETRIES},
};

/// Eight nodes.
#[inline(never)]
pub fn seq8<P: Payload>(n: u64) -> u64 {
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
pub fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
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
    let (retries, limit) = std::hint::black_box((RETRIES, LIMIT));
    repeat(n, |input: P| block_on(run(retries, limit, input)).unwrap())
}

const CHECKSUM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The slots of one run: the input and eight outputs.
struct Slots {
    lens: [u16; 9],
    bytes: [[u8; 192]; 9],
}

impl Slots {
    /// Writes the same bytes as stroma does: version, schema key, shape for the input, payload, checksum.
    fn put<P: Payload>(&mut self, slot: usize, shape: Option<u64>, value: &P) -> Result<(), Failed> {
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

    fn clear(&mut self) {
        self.lens = [0; 9];
    }
}

/// Eight nodes, each checkpointed in an array, and the input.
#[inline(never)]
pub fn seq8_memory<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(slots: &mut Slots, input: P) -> Result<P, Failed> {
        slots.clear();
        slots.put(0, Some(std::hint::black_box(7)), &input)?;
        let x = step(input).await?;
        slots.put(1, None, &x)?;
        let x = step(x).await?;
        slots.put(2, None, &x)?;
        let x = step(x).await?;
        slots.put(3, None, &x)?;
        let x = step(x).await?;
        slots.put(4, None, &x)?;
        let x = step(x).await?;
        slots.put(5, None, &x)?;
        let x = step(x).await?;
        slots.put(6, None, &x)?;
        let x = step(x).await?;
        slots.put(7, None, &x)?;
        let x = step(x).await?;
        slots.put(8, None, &x)?;
        Ok(x)
    }
    let mut slots = Slots { lens: [0; 9], bytes: [[0; 192]; 9] };
    repeat(n, |input: P| block_on(run(&mut slots, input)).unwrap())
}

/// Goes on at the last of eight nodes, from what an array holds.
#[inline(never)]
pub fn resume_last<P: Payload>(n: u64) -> u64 {
    /// The furthest node that is done, and its output; whether the run is of this program is asked first.
    fn furthest<P: Payload>(slots: &Slots, shape: u64) -> Result<(usize, P), Failed> {
        if slots.bytes[0][9..17] != shape.to_le_bytes() {
            return Err(Failed);
        }
        for slot in (1..9).rev() {
            if slots.lens[slot] != 0 {
                return Ok((slot, slots.get(slot)?));
            }
        }
        Err(Failed)
    }
    async fn run<P: Payload>(slots: &Slots, shape: u64) -> Result<P, Failed> {
        let (done, mut x) = furthest(slots, shape)?;
        if done < 1 {
            x = step(x).await?;
        }
        if done < 2 {
            x = step(x).await?;
        }
        if done < 3 {
            x = step(x).await?;
        }
        if done < 4 {
            x = step(x).await?;
        }
        if done < 5 {
            x = step(x).await?;
        }
        if done < 6 {
            x = step(x).await?;
        }
        if done < 7 {
            x = step(x).await?;
        }
        if done < 8 {
            x = step(x).await?;
        }
        Ok(x)
    }
    let mut slots = Slots { lens: [0; 9], bytes: [[0; 192]; 9] };
    let shape = std::hint::black_box(7);
    for slot in 0..8 {
        slots.put(slot, (slot == 0).then_some(shape), &P::of(slot as u64)).unwrap();
    }
    repeat(n, |_: P| block_on(run(&slots, shape)).unwrap())
}

/// Two branches, both polled whenever one of them may go on.
#[inline(never)]
pub fn par2<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(input: P) -> Result<P, Failed> {
        let mut left = pin!(step(input.clone()));
        let mut right = pin!(step(input));
        let (mut left_done, mut right_done) = (None, None);
        std::future::poll_fn(move |task| {
            if left_done.is_none()
                && let Poll::Ready(out) = left.as_mut().poll(task)?
            {
                left_done = Some(out);
            }
            if right_done.is_none()
                && let Poll::Ready(out) = right.as_mut().poll(task)?
            {
                right_done = Some(out);
            }
            match (left_done.take(), right_done.take()) {
                (Some(left), Some(_right)) => Poll::Ready(Ok(left)),
                (left, right) => {
                    (left_done, right_done) = (left, right);
                    Poll::Pending
                }
            }
        })
        .await
    }
    repeat(n, |input: P| block_on(run(input)).unwrap())
}
