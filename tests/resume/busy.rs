//! One run, and several who want it.

use super::*;

#[tokio::test]
async fn one_of_two_goes_on_and_the_other_is_told_that_it_is_busy() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([Act::Hang]);
        let runner = runner!(three, spy);
        {
            let mut first = pin!(runner.run_as(id(), 0));
            assert!(poll_until_idle(first.as_mut()).is_pending());
            for halted in [
                runner.run_as(id(), 0).await.unwrap_err(),
                runner.resume(id()).await.unwrap_err(),
                runner.resume_from(id(), "a").await.unwrap_err(),
            ] {
                let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
                assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }), "{halted}");
                assert_eq!((halted.node, halted.report.status), (None, RunStatus::Partial));
            }
            assert!(matches!(runner.forget(id()).await.unwrap_err().kind(), StoreErrorKind::Busy { .. }));
            // Another run is another matter.
            assert!(runner.run_as(RunId::new("other").unwrap(), 0).await.is_ok());
        }
        assert_eq!(three.calls(), [2, 2, 1]);
        assert_eq!(runner.run_as(id(), 0).await.unwrap().output, 3);
        assert_eq!(three.calls(), [2, 3, 2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_tasks_on_one_run_exactly_one_goes_on() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let work = move |x: u32| {
        let calls = Arc::clone(&counted);
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Oops>(x + 1)
        }
    };
    let runner = Arc::new(Runner::quick(node("a", work)).build().unwrap());
    for round in 0..50 {
        let id = RunId::from_u128(round);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let runner = Arc::clone(&runner);
                tokio::spawn(async move {
                    match runner.run_as(id, 0).await {
                        Ok(done) => Some(done.output),
                        Err(halted) => {
                            let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
                            assert!(matches!(error.kind(), StoreErrorKind::Busy { .. }));
                            None
                        }
                    }
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += u32::from(task.await.unwrap().is_some_and(|output| output == 1));
        }
        assert!(done > 0);
        assert_eq!(calls.swap(0, Ordering::SeqCst), 1, "once, whoever came");
    }
}

#[tokio::test]
async fn a_run_is_free_as_soon_as_it_is_over() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([bad()]);
        let runner = runner!(three, spy);
        // The futures of ended runs are still there.
        let mut halts = pin!(runner.run_as(id(), 0));
        assert!(halts.as_mut().await.is_err());
        let mut ends = pin!(runner.resume(id()));
        assert!(ends.as_mut().await.is_ok());
        let mut refused = pin!(runner.run_as(id(), 9));
        assert_eq!(refused.as_mut().await.unwrap_err().cause, Cause::OtherInput);
        assert!(runner.run_as(id(), 0).await.is_ok());
        assert_eq!(runner.forget(id()).await, Ok(true));
    }
}

#[tokio::test]
async fn a_future_that_was_never_polled_holds_nothing() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let runner = runner!(three, spy);
    let never = runner.run_as(id(), 0);
    assert!(runner.run_as(id(), 0).await.is_ok());
    drop(never);
    assert_eq!(spy.inside().opens, 1);
}

#[tokio::test]
async fn two_runners_share_a_store_by_reference() {
    static STORE: MemoryStore<4, 4, 64> = MemoryStore::new();
    let three = Three::new(&Log::new());
    three.b.tell([bad()]);
    let chain = || node("a", three.a.f()).then(node("b", three.b.f()));
    let first = Runner::quick(chain()).with_store(&STORE).build().unwrap();
    assert!(first.run_as(id(), 0).await.is_err());
    let second = Runner::quick(chain()).with_store(&STORE).build().unwrap();
    assert_eq!(second.resume(id()).await.unwrap().report.restored, 1);
    let shared = Arc::new(stroma::store::HeapStore::new());
    let first = Runner::quick(chain()).with_store(Arc::clone(&shared)).build().unwrap();
    assert!(first.run_as(id(), 0).await.is_ok());
    let second = Runner::quick(chain()).with_store(shared).build().unwrap();
    assert_eq!(second.resume(id()).await.unwrap().report.restored, 2);
}
