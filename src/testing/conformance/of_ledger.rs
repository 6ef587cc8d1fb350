//! The checks of the ledger of a run.

use alloc::{format, vec::Vec};
use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use super::bench::{A, B, Bench, C, Held, POLLS, R, begun, ended, finds, hold, put, sees};
use crate::store::{Begun, LEDGER_MAX, Session, Store, StoreError, raw::Raw};

pub(super) async fn ledger_kept<S: Store>(bench: &Bench<'_, S>) -> Held {
    hold!(bench.create(&R).await?.ledger().is_empty(), "a new run has a ledger");
    let long =
        (0..LEDGER_MAX).map(|at| at.to_le_bytes().into_iter().fold(7, |sum, byte| sum ^ byte)).collect::<Vec<_>>();
    bench.kept(&R, &[(A, b"1")], b"").await?;
    finds(bench, b"", "a `put` without one").await?;
    for len in [1, LEDGER_MAX, 3, 200, LEDGER_MAX, 1] {
        let ledger = long.get(..len.min(LEDGER_MAX)).unwrap_or_default();
        put(&mut bench.existing(&R).await?, A, b"2", ledger).await?;
        finds(bench, ledger, "a `put`").await?;
        let other = ledger.iter().map(|byte| !byte).collect::<Vec<_>>();
        ended(bench.existing(&R).await?.put_ledger(&other))
            .await
            .map_err(|error| format!("`put_ledger` of {len} bytes failed: {error}"))?;
        finds(bench, &other, "`put_ledger`").await?;
    }
    sees(&mut bench.existing(&R).await?, A, b"2").await
}

pub(super) async fn empty_ledger<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"1")], b"spent 3").await?;
    put(&mut bench.existing(&R).await?, A, b"2", b"").await?;
    finds(bench, b"spent 3", "a `put` with an empty one into a slot that there was").await?;
    put(&mut bench.existing(&R).await?, B, b"2", b"").await?;
    finds(bench, b"spent 3", "a `put` with an empty one into a new slot").await
}

pub(super) async fn last_ledger<S: Store>(bench: &Bench<'_, S>) -> Held {
    let of = |round: u8, write: u8| [b'l', round, write];
    for round in 0..12_u8 {
        let mut session = bench.create(&R).await?;
        let first = session.put(A, Raw(&[round]), &of(round, 1));
        let second = session.put(B, Raw(&[round]), &of(round, 2));
        let (third, last) = match round % 3 {
            0 => (session.put(C, Raw(&[round]), &of(round, 3)), of(round, 3)),
            1 => (session.put_ledger(&of(round, 3)), of(round, 3)),
            // An empty one is none, so the second stays.
            _ => (session.put(C, Raw(&[round]), b""), of(round, 2)),
        };
        let third = begun(third, 0).await;
        // The last one ends first. In every other round the others have been looked at before, and go on beside it in the end:
        // a store may count on that whoever was polled is polled again.
        let (before, alone) = if round % 2 == 0 { (1, POLLS) } else { (0, 0) };
        let (first, second) = (begun(first, before).await, begun(second, before).await);
        let writes = [begun(third, alone).await, begun(second, 0).await, begun(first, 0).await];
        let told = if before == 0 { one_by_one(writes).await } else { together(writes).await };
        told.map_err(|error| format!("a write failed while others were under way: {error}"))?;
        drop(session);
        finds(bench, &last, "several writes under way at once").await?;
    }
    Ok(())
}

async fn one_by_one<F: Future<Output = Result<(), StoreError>>>(writes: [Write<F>; 3]) -> Result<(), StoreError> {
    for write in writes {
        ended(write).await?;
    }
    Ok(())
}

async fn together<F: Future<Output = Result<(), StoreError>> + Unpin>(
    mut writes: [Write<F>; 3],
) -> Result<(), StoreError> {
    poll_fn(|task| {
        let mut all = Poll::Ready(Ok(()));
        for write in &mut writes {
            if let Begun::Pending(future) = write {
                match Pin::new(future).poll(task) {
                    Poll::Ready(told) => *write = Begun::Done(told),
                    Poll::Pending => all = Poll::Pending,
                }
            }
            if let Begun::Done(Err(error)) = write {
                return Poll::Ready(Err(error.clone()));
            }
        }
        all
    })
    .await
}

type Write<F> = Begun<Result<(), StoreError>, F>;
