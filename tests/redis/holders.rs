//! Who has a run, who waits for it, and who lost it.

use super::*;

/// A runtime that nobody runs is a process that is stopped.
#[test]
fn who_is_paused_past_the_lease_is_refused_by_every_write() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (paused, awake) = (runtime(), runtime());
    let of = |wait: Duration| store(&server).with_lease(ms(400)).wait_for(wait);
    let (slow, other, patient) = (of(Duration::ZERO), of(Duration::ZERO), of(secs(20)));
    let mut session = paused.block_on(async {
        let mut session = open(&slow, "r").await.unwrap();
        put(&mut session, "a", b"1").await.unwrap();
        session
    });
    awake.block_on(async {
        let busy = open(&other, "r").await.unwrap_err();
        let StoreErrorKind::Busy { until: Some(until) } = busy.kind() else { panic!("{busy}") };
        assert!(until <= ms(400), "{until:?}");
        assert!(matches!(kind(ended(other.forget(&id("r"))).await), Some(StoreErrorKind::Busy { .. })));
        let mut taken = open(&patient, "r").await.unwrap();
        assert_eq!(load(&mut taken, "a").await.unwrap(), b"1");
        put(&mut taken, "b", b"2").await.unwrap();
        elsewhere(&paused, async {
            assert_eq!(kind(put(&mut session, "a", b"stale").await), Some(StoreErrorKind::Fenced));
            assert_eq!(kind(ended(session.put_ledger(b"stale")).await), Some(StoreErrorKind::Fenced));
            assert_eq!(kind(ended(session.discard(|_| true)).await), Some(StoreErrorKind::Fenced));
            drop(session);
            slow.flush().await;
        });
        // It took nothing away as it went, not even the hold of the other.
        assert!(matches!(kind(open(&other, "r").await), Some(StoreErrorKind::Busy { .. })));
        assert_eq!(load(&mut taken, "a").await.unwrap(), b"1");
        drop(taken);
        patient.flush().await;
        let mut session = open(&other, "r").await.unwrap();
        assert_eq!(load(&mut session, "b").await.unwrap(), b"2");
    });
}

#[tokio::test]
async fn a_busy_run_is_waited_for_and_had_as_soon_as_it_is_given_back() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server).wait_for(secs(20));
    let held = open(&store, "r").await.unwrap();
    let Begun::Pending(waiting) = store.open(&id("r"), Access::Create) else { panic!() };
    let Begun::Pending(forgetting) = store.forget(&id("r")) else { panic!() };
    let waiting = tokio::spawn(waiting);
    // It has asked and was refused.
    eventually("it was asked for twice", || (server.calls("evalsha") >= 3).then_some(())).await;
    assert!(!waiting.is_finished());
    drop(held);
    let session = waiting.await.unwrap().unwrap();
    drop(session);
    assert_eq!(forgetting.await, Ok(false));
}

#[tokio::test]
async fn a_run_whose_opening_was_given_up_is_given_back() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let other = store(&server).wait_for(secs(20));
    // Nobody hears the answer, and then nobody wants it any more.
    let proxy = Proxy::to(server.port()).await;
    let store_there = RedisStore::new(&proxy.url(), TTL).unwrap().with_lease(LONG).with_patience(ms(300));
    store_there.reach().await.unwrap();
    proxy.hold(Way::Down, usize::MAX);
    let Begun::Pending(opening) = store_there.open(&id("dropped"), Access::Create) else { panic!() };
    eventually("it is held", || (server.keys().len() == 2).then_some(())).await;
    drop(opening);
    proxy.hold(Way::Down, 0);
    proxy.cut_after(Way::Down, 0);
    assert!(open(&other, "dropped").await.is_ok());
    // The same, but it waits until its patience is over.
    store_there.reach().await.unwrap();
    proxy.hold(Way::Down, usize::MAX);
    assert_eq!(kind(open(&store_there, "late").await), Some(StoreErrorKind::Unavailable));
    proxy.hold(Way::Down, 0);
    assert!(open(&other, "late").await.is_ok());
}

#[tokio::test]
async fn flush_waits_for_a_run_whose_opening_was_dropped() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    store.reach().await.unwrap();
    for turns in 0..40 {
        let opening = store.open(&id("r"), Access::Create);
        for _ in 0..turns % 4 {
            tokio::task::yield_now().await;
        }
        drop(opening);
        store.flush().await;
        assert_eq!(server.keys(), [""; 0], "after {turns}");
    }
}

#[tokio::test]
async fn who_waits_for_a_run_outlives_the_store_that_was_asked() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let (holder, asked) = (store(&server), store(&server).wait_for(secs(20)));
    let held = open(&holder, "r").await.unwrap();
    let Begun::Pending(opening) = asked.open(&id("r"), Access::Create) else { panic!() };
    let Begun::Pending(forgetting) = asked.forget(&id("r")) else { panic!() };
    let before = server.calls("evalsha");
    drop(asked);
    let opening = tokio::spawn(opening);
    eventually("it asks again", || (server.calls("evalsha") >= before + 3 || opening.is_finished()).then_some(()))
        .await;
    drop(held);
    let mut session = opening.await.unwrap().unwrap();
    put(&mut session, "a", b"1").await.unwrap();
    drop(session);
    assert_eq!(forgetting.await, Ok(true));
    eventually("all is given back", || server.keys().is_empty().then_some(())).await;
}

#[tokio::test]
async fn who_lost_only_the_hash_does_not_write_on_beside_the_next_holder() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let (first, second) = (store(&server).with_lease(ms(300)), store(&server));
    let mut session = open(&first, "r").await.unwrap();
    put(&mut session, "a", b"1").await.unwrap();
    let _: () = server.ask(&["DEL", "stroma:{r}"]);
    let mut other = open(&second, "r").await.unwrap();
    assert!(other.is_new());
    let end = Instant::now() + secs(20);
    let told = loop {
        if let Err(error) = put(&mut session, "a", b"2").await {
            break error.kind();
        }
        assert!(Instant::now() < end, "both write");
    };
    assert_eq!(told, StoreErrorKind::Fenced);
    put(&mut other, "a", b"3").await.unwrap();
    assert_eq!(load(&mut other, "a").await.unwrap(), b"3");
}
