//! What `docs/ASSEMBLY.md` shows.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use stroma::{Runner, node, par};

// ANCHOR: nodes
/// The error of the nodes.
#[derive(Debug)]
pub struct Odd;

async fn half(x: u64) -> Result<u64, Odd> {
    if x % 2 == 0 { Ok(x / 2) } else { Err(Odd) }
}

async fn third(x: u64) -> Result<u64, Odd> {
    if x % 3 == 0 { Ok(x / 3) } else { Err(Odd) }
}
// ANCHOR: nodes

/// What ends as a run of those nodes does.
pub trait Run: Future<Output = Result<u64, Odd>> {}

impl<F: Future<Output = Result<u64, Odd>>> Run for F {}

fn poll(run: impl Run, task: &mut Context<'_>) -> u64 {
    match pin!(run).poll(task) {
        Poll::Ready(Ok(x)) => x,
        _ => u64::MAX,
    }
}

// ANCHOR: ready
/// A run of `node("half", half).then(node("third", third))`, made and polled.
#[inline(never)]
pub fn ready_stroma<F: Run>(run: impl Fn(u64) -> F, x: u64, task: &mut Context<'_>) -> u64 {
    poll(run(x), task)
}

/// The same by hand.
#[inline(never)]
pub fn ready_by_hand(x: u64, task: &mut Context<'_>) -> u64 {
    async fn run(x: u64) -> Result<u64, Odd> {
        let x = half(x).await?;
        third(x).await
    }
    poll(run(x), task)
}
// ANCHOR: ready

// ANCHOR: par
/// A run of `par(node("half", half), node("third", third)).map(|(half, third)| half + third)`.
#[inline(never)]
pub fn par_stroma<F: Run>(run: impl Fn(u64) -> F, x: u64, task: &mut Context<'_>) -> u64 {
    poll(run(x), task)
}

/// The same by hand.
#[inline(never)]
pub fn par_by_hand(x: u64, task: &mut Context<'_>) -> u64 {
    async fn run(x: u64) -> Result<u64, Odd> {
        let (mut left, mut right) = (pin!(half(x)), pin!(third(x)));
        let (mut left_out, mut right_out) = (None, None);
        poll_fn(move |task| {
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
            match (left_out, right_out) {
                (Some(left), Some(right)) => Poll::Ready(Ok(left + right)),
                _ => Poll::Pending,
            }
        })
        .await
    }
    poll(run(x), task)
}
// ANCHOR: par

// ANCHOR: yields
/// Waits once, with no more than a flag.
struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn half_later(x: u64) -> Result<u64, Odd> {
    Once(false).await;
    half(x).await
}

async fn third_later(x: u64) -> Result<u64, Odd> {
    Once(false).await;
    third(x).await
}

/// A poll of `node("half", half_later).then(node("third", third_later))`, wherever it is in its work.
#[inline(never)]
pub fn yields_stroma<F: Run>(run: Pin<&mut F>, task: &mut Context<'_>) -> u64 {
    poll(run, task)
}

async fn by_hand(x: u64) -> Result<u64, Odd> {
    let x = half_later(x).await?;
    third_later(x).await
}

/// The same by hand.
#[inline(never)]
pub fn yields_by_hand<F: Run>(run: Pin<&mut F>, task: &mut Context<'_>) -> u64 {
    poll(run, task)
}
// ANCHOR: yields

/// Makes each of the functions be of its pipeline. Runners are built here: that is no part of a run.
pub fn all(x: u64, task: &mut Context<'_>) -> Option<[u64; 6]> {
    let sequence = Runner::new(node("half", half).then(node("third", third))).build().ok()?;
    let both = par(node("half", half), node("third", third)).map(|(half, third)| half + third);
    let both = Runner::new(both).build().ok()?;
    let later = Runner::new(node("half", half_later).then(node("third", third_later))).build().ok()?;
    Some([
        ready_stroma(|x| sequence.run(x), x, task),
        ready_by_hand(x, task),
        par_stroma(|x| both.run(x), x, task),
        par_by_hand(x, task),
        yields_stroma(pin!(later.run(x)), task),
        yields_by_hand(pin!(by_hand(x)), task),
    ])
}
