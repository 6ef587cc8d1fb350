//! The same work with boxed futures: what dynamic dispatch makes of it.

use std::{future::Future, hint::black_box, pin::Pin, task::Poll, time::Duration};

use stroma::Now;
use tokio::time::Sleep;

use super::{
    Failed, Payload, Tally, Ticks, block_on,
    by_hand::{Account, Outcome, Ring, Runs, Slots, Spent},
    repeat, step, timers,
    with_stroma::{COST, LIMIT, RETRIES, TOKENS},
};

type Boxed<P> = Pin<Box<dyn Future<Output = Result<P, Failed>> + Send>>;
type Node<P> = Box<dyn Fn(P) -> Boxed<P> + Send + Sync>;

fn node<P: Payload>() -> Node<P> {
    Box::new(|payload| Box::pin(step(payload)))
}

fn eight<P: Payload>() -> Vec<Node<P>> {
    (0..8).map(|_| node()).collect()
}

/// Eight nodes in a list.
#[inline(never)]
pub(crate) fn seq8<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(nodes: &[Node<P>], mut x: P) -> Result<P, Failed> {
        for node in nodes {
            x = node(x).await?;
        }
        Ok(x)
    }
    let nodes = eight();
    repeat(n, |input: P| block_on(run(&nodes, input)).unwrap())
}

/// A node that is tried again, each attempt within a time.
fn tried<P: Payload>(inner: Node<P>, retries: u32, limit: Duration) -> Node<P> {
    let inner = std::sync::Arc::new(inner);
    Box::new(move |input| {
        let inner = inner.clone();
        Box::pin(async move {
            let mut failed = 0;
            loop {
                let mut attempt = inner(input.clone());
                let mut timer: Option<Pin<Box<Sleep>>> = None;
                let ended = std::future::poll_fn(|task| {
                    if let Poll::Ready(ended) = attempt.as_mut().poll(task) {
                        return Poll::Ready(ended);
                    }
                    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                    timer.as_mut().poll(task).map(|()| Err(Failed))
                })
                .await;
                match ended {
                    Ok(out) => return Ok(out),
                    Err(_) if failed < retries => failed += 1,
                    Err(error) => return Err(error),
                }
                tokio::task::yield_now().await;
            }
        })
    })
}

/// Eight nodes with a retry and a time-out on each.
#[inline(never)]
pub(crate) fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
    let timers = timers();
    let _entered = timers.enter();
    async fn run<P: Payload>(nodes: &[Node<P>], mut x: P) -> Result<P, Failed> {
        for node in nodes {
            x = node(x).await?;
        }
        Ok(x)
    }
    let (retries, limit) = black_box((RETRIES, LIMIT));
    let nodes: Vec<_> = eight().into_iter().map(|node| tried(node, retries, limit)).collect();
    repeat(n, |input: P| block_on(run(&nodes, input)).unwrap())
}

/// Two branches.
#[inline(never)]
pub(crate) fn par2<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(left: &Node<P>, right: &Node<P>, input: P) -> Result<P, Failed> {
        let (mut left, mut right) = (left(input.clone()), right(input));
        let (mut left_out, mut right_out) = (None, None);
        std::future::poll_fn(move |task| {
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
            if right_out.is_none() {
                return Poll::Pending;
            }
            left_out.take().map_or(Poll::Pending, |left| Poll::Ready(Ok(left)))
        })
        .await
    }
    let (left, right) = (node(), node());
    repeat(n, |input: P| block_on(run(&left, &right, input)).unwrap())
}

/// Eight nodes in a list, each checkpointed in an array, and the input.
#[inline(never)]
pub(crate) fn seq8_memory<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    async fn run<P: Payload, const SLOT: usize>(
        nodes: &[Node<P>],
        slots: &mut Slots<SLOT>,
        shape: u64,
        mut x: P,
    ) -> Result<P, Failed> {
        slots.put(0, Some(shape), &x)?;
        for (at, node) in nodes.iter().enumerate() {
            x = node(x).await?;
            slots.put(at + 1, None, &x)?;
        }
        Ok(x)
    }
    let (nodes, runs, shape) = (eight(), Runs::<SLOT>::new(), black_box(7));
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        let mut hold = runs.open(stroma::RunId::from_u128(id)).unwrap();
        let output = block_on(run(&nodes, &mut hold.slots, shape, input)).unwrap();
        hold.finished = true;
        output
    })
}

/// Eight nodes in a list, each attempt written into a ring that is given back.
#[inline(never)]
pub(crate) fn seq8_trace<P: Payload>(n: u64) -> u64 {
    async fn run<P: Payload>(nodes: &[(&'static str, Node<P>)], clock: &Ticks, mut x: P) -> Result<(P, Ring), Failed> {
        let mut ring = Ring::new(clock.now());
        for (id, node) in nodes {
            let began = clock.now();
            match node(x).await {
                Ok(out) => {
                    ring.add(id, began, clock.now(), Spent::default(), Outcome::Succeeded);
                    x = out;
                }
                Err(error) => {
                    ring.failed(id, began, clock.now(), &error);
                    return Err(error);
                }
            }
        }
        Ok((x, ring))
    }
    let nodes: Vec<_> = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"].into_iter().zip(eight()).collect();
    let clock = Ticks::default();
    repeat(n, |input: P| {
        let (output, ring) = block_on(run(&nodes, &clock, input)).unwrap();
        black_box(&ring);
        output
    })
}

/// Eight nodes in a list with everything on, the hooks in a list as well.
#[inline(never)]
pub(crate) fn seq8_full<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    let timers = timers();
    let _entered = timers.enter();
    type Hook<'h> = Box<dyn Fn(Option<Duration>) + 'h>;
    async fn run<P: Payload, const SLOT: usize>(
        nodes: &[(&'static str, Node<P>)],
        hooks: &[Hook<'_>],
        clock: &Ticks,
        account: &Account,
        slots: &mut Slots<SLOT>,
        mut x: P,
    ) -> Result<(P, Ring), Failed> {
        slots.put(0, Some(7), &x)?;
        let mut ring = Ring::new(clock.now());
        for (at, (id, node)) in nodes.iter().enumerate() {
            if account.used_up() {
                return Err(Failed);
            }
            let began = clock.now();
            hooks.iter().for_each(|hook| hook(None));
            x = node(x).await?;
            let now = clock.now();
            ring.add(id, began, now, account.recent(), Outcome::Succeeded);
            hooks.iter().for_each(|hook| hook(Some(now.saturating_sub(began))));
            let over = account.overrun();
            let mut ledger = [0; 64];
            let len = account.write(now, &mut ledger);
            slots.put(at + 1, None, &x)?;
            slots.keep(&ledger[..len]);
            if over {
                return Err(Failed);
            }
        }
        Ok((x, ring))
    }
    let (retries, limit) = black_box((RETRIES, LIMIT));
    let tried = eight().into_iter().map(|node| tried(node, retries, limit));
    let nodes: Vec<_> = ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"].into_iter().zip(tried).collect();
    let tallies = [Tally::default(), Tally::default(), Tally::default()];
    let hooks: Vec<Hook<'_>> = tallies
        .iter()
        .map(|tally| {
            Box::new(move |took: Option<Duration>| match took {
                None => tally.begin(),
                Some(took) => tally.succeed(took),
            }) as Hook<'_>
        })
        .collect();
    let (clock, runs, limits) = (Ticks::default(), Runs::<SLOT>::new(), black_box((TOKENS, COST.as_picodollars())));
    let mut id = 0;
    repeat(n, |input: P| {
        id += 1;
        let mut hold = runs.open(stroma::RunId::from_u128(id)).unwrap();
        let account = Account::new(limits, clock.now());
        let (output, ring) = block_on(run(&nodes, &hooks, &clock, &account, &mut hold.slots, input)).unwrap();
        hold.finished = true;
        black_box((&ring, account.total(clock.now())));
        output
    })
}

/// Goes on at the last of eight nodes, from what an array holds.
#[inline(never)]
pub(crate) fn resume_last<P: Payload, const SLOT: usize>(n: u64) -> u64 {
    async fn run<P: Payload, const SLOT: usize>(
        nodes: &[Node<P>],
        slots: &Slots<SLOT>,
        shape: u64,
    ) -> Result<P, Failed> {
        let (done, mut x) = slots.furthest::<P>(shape)?;
        for node in nodes.get(done..).unwrap_or_default() {
            x = node(x).await?;
        }
        Ok(x)
    }
    let (nodes, runs, shape) = (eight(), Runs::<SLOT>::new(), black_box(7));
    let id = black_box(stroma::RunId::from_u128(1));
    runs.fill::<P>(id, shape);
    repeat(n, |_: P| {
        let mut hold = runs.open(id).unwrap();
        let output = block_on(run(&nodes, &hold.slots, shape)).unwrap();
        hold.finished = true;
        output
    })
}
