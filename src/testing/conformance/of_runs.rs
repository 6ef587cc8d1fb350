//! The checks of who has a run, and of what is of which run.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::bench::{
    A, B, Bench, Held, POLLS, R, bytes, dropped, ended, finds, hold, is_busy, kind_is, output, put, said, sees,
};
use crate::{
    run::RunId,
    store::{Access, Session, Store, StoreErrorKind, raw::Raw},
};

const OTHER: RunId = RunId::from_u128(2);

/// Ids of runs of the same sort.
const RUNS: [&str; 20] = [
    "a",
    "a:",
    "a:b",
    "a:n",
    "a*",
    "*",
    "a?",
    "a[b]",
    "[",
    "{a}",
    "a}b",
    "a/b",
    "..",
    "%61",
    " a",
    "A",
    "ä\u{1f600}",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "67E55044-10B1-426F-9247-BB680E5FE0C8",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

pub(super) async fn one_holder<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"1")], b"l").await?;
    for run in [R, OTHER] {
        let mut session = bench.create(&run).await?;
        for access in [Access::Create, Access::Existing] {
            let told = bench.ask(&run, access).await;
            // As long as it has no checkpoint it may also be unknown.
            let unknown = run == OTHER && access == Access::Existing && kind_is(&told, StoreErrorKind::UnknownRun);
            let what = format!("a second `open` with {access:?}");
            hold!(is_busy(&told) || unknown, "{}", said(&what, told, "held and so `Busy`"));
        }
        let told = ended(bench.store.forget(&run)).await;
        hold!(is_busy(&told), "{}", said("`forget` of a run", told, "held and so `Busy`"));
        let third = bench.ask(&RunId::from_u128(3), Access::Create).await;
        hold!(third.is_ok(), "{}", said("`open` of another run", third, "held by nobody"));
        put(&mut session, B, b"2", b"").await?;
        sees(&mut session, B, b"2").await?;
    }
    Ok(())
}

pub(super) async fn given_back<S: Store>(bench: &Bench<'_, S>) -> Held {
    for round in 0..20_u8 {
        let mut session = bench.create(&R).await?;
        if round > 0 {
            sees(&mut session, A, &[round - 1]).await?;
        }
        put(&mut session, A, &[round], b"").await?;
        if round % 2 == 0 {
            // A write that nobody waits for must not keep the run.
            dropped(session.put(B, Raw(b"b"), b""), 0).await;
        }
    }
    bench.existing(&R).await.map(|_| ())
}

pub(super) async fn opening_dropped<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"1")], b"").await?;
    for access in [Access::Existing, Access::Create] {
        for polls in 0..POLLS {
            drop(dropped(bench.store.open(&R, access), polls).await);
            let mut session = bench
                .hold(&R, access)
                .await
                .map_err(|did| format!("{did}; an `open` of it had been dropped after {polls} polls"))?;
            sees(&mut session, A, b"1").await?;
        }
    }
    Ok(())
}

pub(super) async fn unknown_run<S: Store>(bench: &Bench<'_, S>) -> Held {
    for _ in 0..2 {
        let told = bench.ask(&R, Access::Existing).await;
        let unknown = kind_is(&told, StoreErrorKind::UnknownRun);
        hold!(unknown, "{}", said("`open` with Existing", told, "of a run that was never there, so `UnknownRun`"));
    }
    let mut session = bench.create(&R).await?;
    hold!(session.is_new(), "`Create` of an unknown run yields one that is not new");
    put(&mut session, A, b"1", b"").await?;
    drop(session);
    hold!(!bench.existing(&R).await?.is_new(), "`Existing` yields a run without its checkpoint");
    hold!(!bench.create(&R).await?.is_new(), "`Create` of a run that is there begins it anew");
    Ok(())
}

pub(super) async fn no_trace<S: Store>(bench: &Bench<'_, S>) -> Held {
    for discards in [false, true] {
        let mut session = bench.create(&R).await?;
        if discards {
            put(&mut session, A, b"1", b"").await?;
            ended(session.discard(|_| true)).await.map_err(|error| format!("`discard` failed: {error}"))?;
            hold!(session.is_new(), "a run of which every slot was discarded is not new");
        }
        drop(session);
        let told = bench.hold(&R, Access::Existing).await.err();
        hold!(told.is_some(), "`open` with Existing found a run that ended without a checkpoint");
        hold!(!bench.forget(&R).await?, "`forget` says that there was a run, which had ended without a checkpoint");
    }
    Ok(())
}

pub(super) async fn runs_apart<S: Store>(bench: &Bench<'_, S>) -> Held {
    let all = RUNS.into_iter().map(RunId::new).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let apart = |run: &RunId, did: String| format!("after something was done to another run, in the run `{run}` {did}");
    for runs in all.chunks(bench.runs(all.len()).max(2)) {
        for run in runs {
            let value = run.to_string();
            let value = value.as_bytes().get(..16).unwrap_or(value.as_bytes());
            hold!(bench.create(run).await?.is_new(), "the run `{run}` is there before it was begun, others were");
            bench.kept(run, &[(A, value), (output("a:b", 4), b"2")], value).await?;
        }
        for (at, run) in runs.iter().enumerate() {
            let mut session = bench.existing(run).await?;
            put(&mut session, B, b"new", b"").await?;
            ended(session.discard(|slot| slot.node == "a"))
                .await
                .map_err(|error| format!("`discard` failed: {error}"))?;
            drop(session);
            hold!(bench.forget(run).await?, "`forget` says that there was no run `{run}`");
            for rest in runs.iter().skip(at + 1) {
                let value = rest.to_string();
                let value = value.as_bytes().get(..16).unwrap_or(value.as_bytes());
                let mut session = bench.existing(rest).await.map_err(|did| apart(rest, did))?;
                sees(&mut session, A, value).await.map_err(|did| apart(rest, did))?;
                sees(&mut session, output("a:b", 4), b"2").await.map_err(|did| apart(rest, did))?;
                hold!(!session.holds(B), "a `put` into the run `{run}` reached the run `{rest}`");
                hold!(session.ledger() == value, "the run `{rest}` has the ledger {}", bytes(session.ledger()));
            }
        }
    }
    Ok(())
}

pub(super) async fn forget<S: Store>(bench: &Bench<'_, S>) -> Held {
    hold!(!bench.forget(&R).await?, "`forget` says that there was a run, which was never there");
    for polls in 0..=POLLS {
        bench.kept(&R, &[(A, b"1"), (B, b"2")], b"spent 3").await?;
        if polls < POLLS {
            drop(dropped(bench.store.forget(&R), polls).await);
        }
        let there = match bench.hold(&R, Access::Existing).await {
            Err(_) => false,
            Ok(mut session) => {
                sees(&mut session, A, b"1").await?;
                sees(&mut session, B, b"2").await?;
                hold!(session.ledger() == b"spent 3", "a `forget` that was dropped took the ledger and left the run");
                true
            }
        };
        let was = bench.forget(&R).await?;
        hold!(was == there, "`forget` says {was} where it is {there} that there was a run");
        hold!(!bench.forget(&R).await?, "`forget` says twice that there was a run");
        let told = bench.hold(&R, Access::Existing).await;
        hold!(told.is_err(), "`open` with Existing found a run that was forgotten");
        let session = bench.create(&R).await?;
        hold!(session.is_new() && !session.holds(A), "a run that begins anew has slots of the one that was forgotten");
        hold!(session.ledger().is_empty(), "a run that begins anew has the ledger of the one that was forgotten");
    }
    Ok(())
}

pub(super) async fn runs<S: Store>(bench: &Bench<'_, S>) -> Held {
    let room = bench.limits.runs.unwrap_or(32);
    let id = |at: usize| RunId::from_u128(100 + at as u128);
    let mut all = Vec::new();
    for at in 0..room {
        let mut session = bench.create(&id(at)).await?;
        put(&mut session, A, &at.to_le_bytes(), b"").await?;
        all.push(session);
    }
    if bench.limits.runs.is_some() {
        let told = bench.ask(&id(room), Access::Create).await;
        let full = matches!(&told, Err(error) if matches!(error.kind(), StoreErrorKind::Full { of: "runs", .. }));
        hold!(full, "{}", said(&format!("`open` of run {} of {room}", room + 1), told, "`Full` of runs"));
    }
    for (at, session) in all.iter_mut().enumerate() {
        sees(session, A, &at.to_le_bytes()).await?;
        put(session, B, b"goes on", b"").await?;
    }
    drop(all);
    for at in 0..room {
        sees(&mut bench.existing(&id(at)).await?, A, &at.to_le_bytes()).await?;
    }
    Ok(())
}

pub(super) async fn finished<S: Store>(bench: &Bench<'_, S>) -> Held {
    bench.kept(&R, &[(A, b"1")], b"spent 3").await?;
    for round in 0..3_u8 {
        let mut session = bench.existing(&R).await?;
        put(&mut session, B, &[round], b"").await?;
        session.finished();
        drop(session);
        let mut session = bench.existing(&R).await?;
        sees(&mut session, A, b"1").await?;
        sees(&mut session, B, &[round]).await?;
        drop(session);
        finds(bench, b"spent 3", "`finished`").await?;
    }
    let mut session = bench.existing(&R).await?;
    session.finished();
    let told = ended(bench.store.forget(&R)).await;
    hold!(is_busy(&told), "{}", said("`forget` of a finished run", told, "held and so `Busy`"));
    sees(&mut session, A, b"1").await
}
