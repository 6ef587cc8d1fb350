//! The checks with more than one store or thread.

use alloc::{format, string::ToString, vec::Vec};
use std::thread;

use tokio::{runtime::Runtime, sync::oneshot};

use super::{
    bench::{A, B, Bench, C, Held, R, dropped, ended, hold, is_busy, put, said, sees},
    subject::Subject,
};
use crate::{
    run::RunId,
    store::{Access, Session, Store, raw::Raw},
};

pub(super) async fn reopens<T: Subject>(subject: &T, place: &T::Place) -> Held {
    let [two, three, four] = [2, 3, 4].map(RunId::from_u128);
    for round in 0..3_u8 {
        let store = subject.open(place).await;
        let bench = Bench { store: &store, limits: subject.limits() };
        bench.kept(&two, &[(A, b"1")], b"").await?;
        hold!(bench.forget(&two).await?, "`forget` says that there was no run, which has just been saved");
        bench.kept(&three, &[(A, b"1"), (B, b"2")], b"").await?;
        drop(bench.create(&four).await?);
        let mut session = bench.create(&R).await?;
        put(&mut session, A, &[round], &[b'l', round]).await?;
        put(&mut session, B, &[round], b"").await?;
        ended(session.discard(|slot| slot == B)).await.map_err(|error| format!("`discard` failed: {error}"))?;
        drop(dropped(session.put(C, Raw(&[round; 16]), b""), usize::from(round)).await);
        drop(session);
        drop(store);

        let store = subject.open(place).await;
        let bench = Bench { store: &store, limits: subject.limits() };
        let mut session = bench.existing(&R).await.map_err(|did| format!("after the store was opened again {did}"))?;
        sees(&mut session, A, &[round]).await.map_err(|did| format!("after the store was opened again {did}"))?;
        hold!(session.ledger() == [b'l', round], "after the store was opened again the ledger is not what was saved");
        hold!(!session.holds(B), "after the store was opened again what was discarded is there again");
        if session.holds(C) {
            let whole = sees(&mut session, C, &[round; 16]).await.is_ok();
            hold!(
                whole || sees(&mut session, C, &[round.wrapping_sub(1); 16]).await.is_ok(),
                "a dropped `put` left a mix"
            );
        }
        hold!(!session.is_new(), "after the store was opened again a run with checkpoints is new");
        let mut session = bench.existing(&three).await?;
        sees(&mut session, A, b"1").await?;
        sees(&mut session, B, b"2").await?;
        for run in [two, four] {
            let told = bench.hold(&run, Access::Existing).await;
            hold!(
                told.is_err(),
                "after the store was opened again there is a run that was forgotten, or never had a slot"
            );
        }
    }
    Ok(())
}

pub(super) async fn shared<T: Subject>(subject: &T, place: &T::Place) -> Held {
    let (one, two) = (subject.open(place).await, subject.open(place).await);
    let parties = [&one, &two].map(|store| Bench { store, limits: subject.limits() });
    let [mut holder, mut other] = parties.each_ref();
    for round in 0..6_u8 {
        let mut session = holder.create(&R).await?;
        if round > 0 {
            sees(&mut session, A, &[round - 1]).await.map_err(|did| format!("{did}, by another store"))?;
            hold!(session.ledger() == [b'l', round - 1], "another store's ledger is not what this one finds");
        }
        let told = other.ask(&R, Access::Create).await;
        hold!(is_busy(&told), "{}", said("`open` by another store", told, "held and so `Busy`"));
        let told = ended(other.store.forget(&R)).await;
        hold!(is_busy(&told), "{}", said("`forget` by another store", told, "held and so `Busy`"));
        let free = other.ask(&RunId::from_u128(2), Access::Create).await;
        hold!(free.is_ok(), "{}", said("`open` of a free run by another store", free, "held by nobody"));
        put(&mut session, A, &[round], &[b'l', round]).await?;
        drop(session);
        core::mem::swap(&mut holder, &mut other);
    }
    hold!(holder.forget(&R).await?, "`forget` says that there was no run, which another store has saved");
    let told = other.hold(&R, Access::Existing).await;
    hold!(told.is_err(), "`open` with Existing found a run that another store has forgotten");
    Ok(())
}

/// Works on runs that all threads want, while it holds one of its own.
async fn work<S: Store>(bench: &Bench<'_, S>, thread: u8) -> Held {
    let mut own = bench.create(&RunId::from_u128(100 + u128::from(thread))).await?;
    let rest = bench.runs(32).saturating_sub(THREADS.into()).clamp(1, 3);
    for round in 0..20_u8 {
        let value = [thread, round];
        put(&mut own, A, &value, &value).await?;
        let run = RunId::from_u128(u128::from(round) % rest as u128);
        let told = bench.ask(&run, Access::Create).await;
        if !is_busy(&told) {
            let mut session = told.map_err(|error| format!("`open` in one of several threads failed: {error}"))?;
            put(&mut session, A, &value, &value).await?;
            put(&mut session, B, &value, b"").await?;
            sees(&mut session, A, &value).await?;
            sees(&mut session, B, &value).await?;
        }
        sees(&mut own, A, &value).await?;
    }
    Ok(())
}

const THREADS: u8 = 2;

pub(super) fn threads<S: Store + Sync>(bench: &Bench<'_, S>, runtime: &Runtime) -> Held {
    thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            let handle = runtime.handle().clone();
            let (told, hears) = oneshot::channel();
            scope.spawn(move || {
                // Nobody hears it if this has failed in another thread.
                let _ = told.send(handle.block_on(work(bench, thread)));
            });
            hears
        });
        let threads = threads.collect::<Vec<_>>();
        // This thread drives what the store has at work in the background.
        runtime.block_on(async {
            for thread in threads {
                thread.await.unwrap_or_else(|_| Err("panicked in a thread".to_string()))?;
            }
            Ok(())
        })
    })
}
