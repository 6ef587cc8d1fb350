//! Corners that a review found: two things at once, and what must not be lost between them.
#![cfg(feature = "tokio")]

mod support;

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use stroma::{prelude::*, store::*, *};
use support::{error::Oops, polling::poll_once, slow::Slow, spy::Spy};

fn again() -> PolicyMap {
    PolicyMap::never().recoverable(2, Backoff::none())
}

#[tokio::test]
async fn settled_branches_tell_a_terminal_failure_before_a_recoverable_one() {
    static B: AtomicU32 = AtomicU32::new(0);
    let p = par(
        node("a", async |_: u32| Err::<u32, _>(Oops::Busy)),
        node("b", async |_: u32| {
            B.fetch_add(1, SeqCst);
            Err::<u32, _>(Oops::Bad)
        }),
    )
    .settle()
    .retry(again());
    let h = Runner::quick(p).with_policies(PolicyMap::never()).build().unwrap().run(1).await.unwrap_err();
    assert_eq!((B.load(SeqCst), h.report.status), (1, RunStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_does_not_hide_the_terminal_failure_of_a_settled_branch() {
    static B: AtomicU32 = AtomicU32::new(0);
    let p = par(
        node("slow", async |x: u32| {
            tokio::time::sleep(ms(200)).await;
            Ok::<_, Oops>(x)
        }),
        node("b", async |_: u32| {
            B.fetch_add(1, SeqCst);
            Err::<u32, _>(Oops::Bad)
        }),
    )
    .settle()
    .timeout(ms(100))
    .retry(again());
    let h = Runner::quick(p).with_policies(PolicyMap::never()).build().unwrap().run(1).await.unwrap_err();
    assert_eq!((B.load(SeqCst), h.report.status), (1, RunStatus::Failed), "{h}");
}

#[tokio::test]
async fn settled_branches_tell_a_failing_store_first_and_repeat_nothing() {
    static B: AtomicU32 = AtomicU32::new(0);
    static STORE: MemoryStore<2, 4, 32> = MemoryStore::new();
    let p = par(
        node("a", async |_: u32| Err::<u32, _>(Oops::Busy)),
        node("b", async |_: u32| {
            B.fetch_add(1, SeqCst);
            Ok::<_, Oops>("x".repeat(100))
        }),
    )
    .settle()
    .retry(again());
    let h = Runner::quick(p)
        .with_store(&STORE)
        .with_policies(PolicyMap::never())
        .build()
        .unwrap()
        .run(1)
        .await
        .unwrap_err();
    assert_eq!(B.load(SeqCst), 1, "{h}");
    assert!(
        matches!(h.cause, Cause::Store(ref error) if matches!(error.kind(), StoreErrorKind::TooLarge { .. })),
        "{h}"
    );
}

#[tokio::test]
async fn the_idempotency_key_survives_a_renaming() {
    let keys = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::new(HeapStore::new());
    struct C(Arc<Mutex<Vec<String>>>);
    async fn f(_: u32, cx: NodeCx<'_, C>) -> Result<u32, Oops> {
        cx.context().0.lock().unwrap().push(cx.idempotency_key().unwrap().to_string());
        Err(Oops::Bad)
    }
    let id = RunId::new("r").unwrap();
    let one =
        Runner::quick(node_with("old", f)).with_store(store.clone()).with_context(C(keys.clone())).build().unwrap();
    let _ = one.run_as(id, 1).await;
    let two =
        Runner::quick(node_with("new", f).was("old")).with_store(store).with_context(C(keys.clone())).build().unwrap();
    let _ = two.resume(id).await;
    let keys = keys.lock().unwrap();
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn resume_from_deletes_nothing_when_the_input_cannot_be_read() {
    let store = Arc::new(HeapStore::new());
    let id = RunId::new("r").unwrap();
    static A: AtomicU32 = AtomicU32::new(0);
    let one = || {
        Runner::quick(node("a", async |x: u32| {
            A.fetch_add(1, SeqCst);
            Ok::<_, Oops>(x)
        }))
        .with_store(store.clone())
        .build()
        .unwrap()
    };
    one().run_as(id, 1).await.unwrap();
    let two = Runner::quick(node("a", async |_: u64| Ok::<_, Oops>(2_u32))).with_store(store.clone()).build().unwrap();
    let h = two.resume_from(id, "a").await.unwrap_err();
    assert!(matches!(h.cause, Cause::Checkpoint(_)), "{h}");
    one().resume(id).await.unwrap();
    assert_eq!(A.load(SeqCst), 1);
}

#[tokio::test]
async fn idempotency_keys_of_two_runs_differ() {
    async fn f(_: u32, cx: NodeCx<'_, NoContext>) -> Result<String, Oops> {
        Ok(cx.idempotency_key().unwrap().to_string())
    }
    let one =
        Runner::quick(node_with("c", f)).build().unwrap().run_as(RunId::new("a/b").unwrap(), 1).await.unwrap().output;
    let two =
        Runner::quick(node_with("b/c", f)).build().unwrap().run_as(RunId::new("a").unwrap(), 1).await.unwrap().output;
    assert_ne!(one, two);
}

#[tokio::test(start_paused = true)]
async fn the_run_is_held_until_its_node_is_gone() {
    static STORE: HeapStore = HeapStore::new();
    static SEEN: Mutex<Option<bool>> = Mutex::new(None);
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            let busy = match STORE.open(&RunId::from_u128(1), Access::Create) {
                Begun::Done(r) => r.is_err(),
                _ => false,
            };
            *SEEN.lock().unwrap() = Some(busy);
        }
    }
    let p = node("a", async |x: u32| {
        let _g = Guard;
        std::future::pending::<()>().await;
        Ok::<_, Oops>(x)
    });
    let r = Runner::quick(p).with_store(&STORE).build().unwrap();
    let run = r.run_as(RunId::from_u128(1), 1);
    let _ = tokio::time::timeout(ms(5), run).await;
    assert_eq!(*SEEN.lock().unwrap(), Some(true));
}

#[test]
fn a_spawned_node_cut_off_by_a_shutdown_did_not_panic() {
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let r = Runner::quick(
        node("a", async |x: u32| {
            std::future::pending::<()>().await;
            Ok::<_, Oops>(x)
        })
        .spawned(),
    )
    .build()
    .unwrap();
    let mut run = Box::pin(r.run(1));
    {
        let _e = pool.enter();
        assert!(poll_once(run.as_mut()).is_pending());
    }
    pool.shutdown_timeout(secs(1));
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let h = other.block_on(run).unwrap_err();
    assert_eq!((h.node, h.cause, h.report.status), (Some("a"), Cause::Cancelled, RunStatus::Partial));
}

#[tokio::test(start_paused = true)]
async fn a_time_out_while_a_sibling_is_saved_does_not_hide_a_terminal_failure() {
    static A: AtomicU32 = AtomicU32::new(0);
    let p = par(
        node("b", async |x: u32| {
            tokio::time::sleep(ms(70)).await;
            Ok::<_, Oops>(x)
        }),
        node("a", async |_: u32| {
            A.fetch_add(1, SeqCst);
            tokio::time::sleep(ms(80)).await;
            Err::<u32, _>(Oops::Bad)
        }),
    )
    .timeout(ms(100))
    .retry(again());
    let h = Runner::quick(p)
        .with_store(Slow::new(ms(50)))
        .with_policies(PolicyMap::never())
        .build()
        .unwrap()
        .run(1)
        .await
        .unwrap_err();
    assert_eq!((A.load(SeqCst), h.report.status), (1, RunStatus::Failed), "{h}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_hide_the_terminal_failure_of_a_settled_branch() {
    let p = par(
        node("slow", async |x: u32| {
            tokio::time::sleep(ms(200)).await;
            Ok::<_, Oops>(x)
        }),
        node("b", async |_: u32| Err::<u32, _>(Oops::Bad)),
    )
    .settle()
    .deadline(ms(100));
    let h = Runner::quick(p).with_policies(PolicyMap::never()).build().unwrap().run(1).await.unwrap_err();
    assert_eq!(h.report.status, RunStatus::Failed, "{h}");
}

#[tokio::test]
async fn a_load_has_no_attempt_of_the_chain_around_it() {
    let spy = Spy::new();
    spy.inside().fail_load = Some(("a", StoreErrorKind::Gone));
    // The second attempt at the chain goes on from what `a` left in the store, which cannot be read.
    let chain = node("a", async |x: u32| Ok::<_, Oops>(x)).then(node("z", async |_: u32| Err::<u32, _>(Oops::Busy)));
    let runner = Runner::quick(chain.retry(again())).with_store(spy).with_policies(PolicyMap::never()).build().unwrap();
    let h = runner.run(1).await.unwrap_err();
    assert!(matches!(h.cause, Cause::Store(_)), "{h}");
    assert_eq!((h.node, h.attempt), (Some("a"), 1));
}

#[tokio::test]
async fn advice_for_an_input_of_another_type_works() {
    let store = Arc::new(HeapStore::new());
    let id = RunId::new("r").unwrap();
    let one =
        Runner::quick(node("a", async |_: u32| Err::<u32, _>(Oops::Bad))).with_store(store.clone()).build().unwrap();
    one.run_as(id, 1).await.unwrap_err();
    let two = Runner::quick(node("a", async |_: u64| Ok::<_, Oops>(2_u32))).with_store(store).build().unwrap();
    let h = two.resume(id).await.unwrap_err();
    let text = format!("{h}: {}", h.source().unwrap());
    assert!(text.contains("`forget` the run") && !text.contains("`resume_from`"), "{text}");
    two.forget(id).await.unwrap();
    assert_eq!(two.run_as(id, 1).await.unwrap().output, 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_cut_short_is_in_the_trace() {
    let slow = async |x: u32| {
        tokio::time::sleep(ms(50)).await;
        Ok::<_, Oops>(x)
    };
    let fails = async |_: u32| {
        tokio::time::sleep(ms(20)).await;
        Err::<u32, _>(Oops::Bad)
    };
    let runner = Runner::quick(par(node("slow", slow), node("fails", fails))).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    let events: Vec<_> =
        halted.trace.events_for("slow").map(|event| (event.attempt, event.took, &event.outcome)).collect();
    assert_eq!(events, [(1, ms(20), &Outcome::CutShort)]);
    // By the time of something around it as well.
    let chain = node("first", slow).then(node("second", slow)).deadline(ms(70));
    let halted = Runner::quick(chain).build().unwrap().run(1).await.unwrap_err();
    let events: Vec<_> = halted.trace.events().iter().map(|event| (&*event.node, event.took, &event.outcome)).collect();
    assert_eq!(events, [("first", ms(50), &Outcome::Succeeded), ("second", ms(20), &Outcome::CutShort)]);
    assert_eq!((halted.node, halted.cause), (None, Cause::Deadline { limit: ms(70) }));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_of_one_node_names_the_node() {
    let slow = async |x: u32| {
        tokio::time::sleep(secs(9)).await;
        Ok::<_, Oops>(x)
    };
    let runner = Runner::quick(node("slow", slow).deadline(secs(1))).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    assert_eq!((halted.node, halted.cause), (Some("slow"), Cause::Deadline { limit: secs(1) }));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_spawned_node_on_its_way_out_is_told() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("on the way out");
            }
        }
    }
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let node = node("n", async |x: u32| {
        CALLS.fetch_add(1, SeqCst);
        let _bomb = Bomb;
        tokio::time::sleep(secs(9)).await;
        Ok::<_, Oops>(x)
    });
    let runner = Runner::quick(node.spawned().timeout(ms(10)).retry(again())).build().unwrap();
    let halted = runner.run(1).await.unwrap_err();
    assert!(matches!(&halted.cause, Cause::Panicked(said) if said.to_string() == "on the way out"), "{halted}");
    assert_eq!((CALLS.load(SeqCst), halted.node, halted.report.status), (1, Some("n"), RunStatus::Failed));
}
