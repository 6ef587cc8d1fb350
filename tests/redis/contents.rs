//! What a run is on the server: its keys, how long they live, its ledger and its log.

use super::*;

#[tokio::test]
async fn a_run_is_gone_on_with_by_another_store_and_costs_one_command_a_checkpoint() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let calls = Calls::default();
    let broken = Arc::new(AtomicBool::new(true));
    let pipeline = || {
        let (to_call, to_break) = (calls.clone(), broken.clone());
        let last = node("c", move |x: u32| {
            let (calls, broken) = (to_call.clone(), to_break.clone());
            async move {
                calls.add("c");
                if broken.load(Ordering::SeqCst) { Err(Oops::Busy) } else { Ok(x * 10) }
            }
        });
        counting!(calls, "a").then(par(counting!(calls, "b1"), counting!(calls, "b2"))).map(|(x, y)| x + y).then(last)
    };
    let first = store(&server);
    let runner = Runner::new(pipeline()).with_store(first.clone()).build().unwrap();
    let halted = runner.run_as(id("r"), 1).await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Error(Oops::Busy)));
    first.flush().await;
    // The input and three nodes, each by one command, and nothing was looked for.
    assert_eq!(server.calls("rpushx"), 4);
    assert_eq!((server.calls("keys"), server.calls("scan")), (0, 0));
    assert_eq!(server.calls("evalsha"), 2, "one to open and one to give back");

    broken.store(false, Ordering::SeqCst);
    let runner = Runner::new(pipeline()).with_store(store(&server)).build().unwrap();
    let done = runner.resume(id("r")).await.unwrap();
    assert_eq!((done.output, done.report.status), (60, RunStatus::Resumed));
    assert_eq!(calls.all(), [("a", 1), ("b1", 1), ("b2", 1), ("c", 2)]);
    let keys = server.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("stroma:{r}")), "{keys:?}");
}

#[tokio::test]
async fn no_id_reaches_another_run() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let long = "é".repeat(32);
    let ids = ["*", "r", "r:", "r*", "[r]", "r}", "{r", "{r}", "}{", "r:1", "%7Br", "?", "\\", "a b", "'", "\"", &long];
    let nodes = ["*", "n:1", "[n]", "n\nm", "@holder", "output.0.n", "0.n", "ledger"];
    for (i, run) in ids.iter().enumerate() {
        let mut session = open(&store, run).await.unwrap();
        for (j, node) in nodes.into_iter().enumerate() {
            put(&mut session, node, format!("{i} {j}").as_bytes()).await.unwrap();
        }
    }
    assert_eq!(ended(store.forget(&id("*"))).await, Ok(true));
    assert_eq!(ended(store.forget(&id("*"))).await, Ok(false));
    assert_eq!(ended(store.forget(&id("nobody"))).await, Ok(false));
    for (i, run) in ids.iter().enumerate().skip(1) {
        let mut session = ended(store.open(&id(run), Access::Existing)).await.unwrap();
        let mut found = Vec::new();
        session.each_slot(|slot| found.push(slot.node.to_owned()));
        let mut expected = nodes.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
        for (j, node) in nodes.into_iter().enumerate() {
            assert_eq!(load(&mut session, node).await.unwrap(), format!("{i} {j}").as_bytes(), "{run} {node}");
        }
        drop(session);
        store.flush().await;
        assert_eq!(ended(store.forget(&id(run))).await, Ok(true));
    }
    assert!(server.keys().is_empty(), "{:?}", server.keys());
}

#[tokio::test]
async fn a_run_expires_when_nobody_holds_it_and_says_so() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = RedisStore::new(&server.url(), secs(1)).unwrap().with_lease(ms(150));
    let mut session = open(&store, "r").await.unwrap();
    put(&mut session, "a", b"1").await.unwrap();
    // Held, it outlives its time: the lease brings it along.
    let begun = Instant::now();
    eventually("more than the time to live has gone by", || (begun.elapsed() > ms(1_300)).then_some(())).await;
    put(&mut session, "b", b"2").await.unwrap();
    assert_eq!(load(&mut session, "a").await.unwrap(), b"1");
    drop(session);
    store.flush().await;
    eventually("the run expires", || server.keys().is_empty().then_some(())).await;
    let error = ended(store.open(&id("r"), Access::Existing)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::UnknownRun);
    assert!(error.to_string().contains("expired") && error.to_string().contains("1s"), "{error}");
}

#[tokio::test]
async fn the_time_to_live_is_set_once_and_again_when_half_of_it_is_over() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = RedisStore::new(&server.url(), secs(2)).unwrap().with_lease(ms(300));
    let mut session = open(&store, "r").await.unwrap();
    let begun = Instant::now();
    let before = server.calls("pexpire");
    let mut checkpoints = 0;
    // In less than half of the time to live there is none to set.
    while begun.elapsed() < ms(700) {
        put(&mut session, "a", b"1").await.unwrap();
        checkpoints += 1;
    }
    assert_eq!(server.calls("pexpire"), before, "in {checkpoints} checkpoints");
    assert!(server.calls("hset") > 1, "the lease was renewed in the meantime");
    eventually("it is set again", || (server.calls("pexpire") > before).then_some(())).await;
    let left: i64 = server.ask(&["PTTL", "stroma:{r}"]);
    assert!(left > 1_000, "{left} ms");
}

#[tokio::test]
async fn a_run_without_a_checkpoint_leaves_no_trace() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    drop(open(&store, "r").await.unwrap());
    // Nor does one whose future is dropped: before it was sent, and after.
    drop(store.open(&id("dropped"), Access::Create));
    if let Begun::Pending(mut opening) = store.open(&id("dropped"), Access::Create) {
        let mut polled = false;
        std::future::poll_fn(|task| {
            if std::mem::replace(&mut polled, true) {
                return std::task::Poll::Ready(());
            }
            let _ = std::pin::Pin::new(&mut opening).poll(task);
            task.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        drop(opening);
    }
    store.flush().await;
    eventually("all is given back", || server.keys().is_empty().then_some(())).await;
    assert!(open(&store, "dropped").await.is_ok());
}

#[tokio::test]
async fn of_several_ledgers_the_one_that_was_asked_for_last_stays() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let mut session = open(&store, "r").await.unwrap();
    let mut writes = Vec::new();
    for (node, ledger) in [("a", "1"), ("b", "2"), ("c", "3")] {
        let Begun::Pending(writing) = session.put(output(node), Raw(b"x"), ledger.as_bytes()) else { panic!() };
        writes.push(writing);
    }
    // One is dropped, and done all the same.
    drop(writes.remove(1));
    for writing in writes {
        writing.await.unwrap();
    }
    put(&mut session, "d", b"no ledger").await.unwrap();
    drop(session);
    store.flush().await;
    let mut session = open(&store, "r").await.unwrap();
    assert_eq!(session.ledger(), b"3");
    assert_eq!(load(&mut session, "b").await.unwrap(), b"x");
    // What the new session writes is later than all that the one before wrote.
    ended(session.put_ledger(b"4")).await.unwrap();
    ended(session.discard(|slot| slot.node < "c")).await.unwrap();
    put(&mut session, "a", b"again").await.unwrap();
    assert_eq!(load(&mut session, "a").await.unwrap(), b"again");
    drop(session);
    store.flush().await;
    let mut session = open(&store, "r").await.unwrap();
    assert_eq!(session.ledger(), b"4");
    assert!(session.holds(output("a")) && session.holds(output("c")) && session.holds(output("d")));
    assert!(!session.holds(output("b")));
    assert_eq!(load(&mut session, "a").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_log_that_is_mostly_out_of_date_is_shortened_when_the_run_is_opened() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let mut session = open(&store, "r").await.unwrap();
    for round in 0..60_u32 {
        for node in ["a", "b\nc put 9", "d discard"] {
            put(&mut session, node, format!("{node} {round}").as_bytes()).await.unwrap();
        }
        ended(session.discard(|slot| slot.node == "a")).await.unwrap();
        ended(session.put_ledger(format!("ledger {round}").as_bytes())).await.unwrap();
    }
    drop(session);
    store.flush().await;
    let log = server.keys().into_iter().find(|key| !key.ends_with('}')).unwrap();
    assert_eq!(server.ask::<usize>(&["LLEN", &log]), 1 + 3 * 60 * 5);
    let check = async |session: &mut RedisSession| {
        assert_eq!(session.ledger(), b"ledger 59");
        assert!(!session.holds(output("a")));
        for node in ["b\nc put 9", "d discard"] {
            assert_eq!(load(session, node).await.unwrap(), format!("{node} 59").as_bytes());
        }
        assert_eq!(session.outputs(), 2);
    };
    let mut session = open(&store, "r").await.unwrap();
    check(&mut session).await;
    let log = server.keys().into_iter().find(|key| !key.ends_with('}')).unwrap();
    assert_eq!(server.ask::<usize>(&["LLEN", &log]), 1 + 3 * 3);
    // What is written now is later than what was kept.
    ended(session.put_ledger(b"last")).await.unwrap();
    put(&mut session, "a", b"new").await.unwrap();
    drop(session);
    store.flush().await;
    let mut session = open(&store, "r").await.unwrap();
    assert_eq!((session.ledger(), session.outputs()), (&b"last"[..], 3));
    assert_eq!(load(&mut session, "a").await.unwrap(), b"new");
}

#[tokio::test]
async fn for_ever_is_a_time_like_another() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let for_ever = RedisStore::new(&server.url(), Duration::MAX).unwrap();
    let store = for_ever.with_lease(Duration::MAX).with_patience(Duration::MAX).wait_for(Duration::MAX);
    let mut session = open(&store, "r").await.unwrap();
    put(&mut session, "a", b"1").await.unwrap();
    server.kill();
    let Begun::Pending(writing) = session.put(output("b"), Raw(b"2"), b"") else { panic!() };
    let writing = tokio::spawn(writing);
    eventually("it was tried", || (!writing.is_finished()).then_some(())).await;
    server.start_again();
    writing.await.unwrap().unwrap();
    assert_eq!(load(&mut session, "a").await.unwrap(), b"1");
}

#[tokio::test]
async fn much_and_large_is_kept_like_little_and_small() {
    if !is_installed() {
        return;
    }
    const MANY: u32 = 5_000;
    let server = Server::start(&[]);
    let store = store(&server);
    let mut session = open(&store, "many").await.unwrap();
    let slot = |instance| Slot { node: "n\0\n é", index: 0, instance, kind: SlotKind::Output };
    let mut writes = Vec::new();
    for round in 0..2_u32 {
        for instance in 0..MANY {
            let value = (instance + round).to_le_bytes();
            let Begun::Pending(writing) = session.put(slot(instance), Raw(&value), &value) else { panic!() };
            writes.push(writing);
        }
    }
    for writing in writes {
        writing.await.unwrap();
    }
    let big: Vec<u8> = (0..10_u32 << 20).map(|at| (at % 251) as u8).collect();
    put(&mut session, "big", &big).await.unwrap();
    for _ in 0..2 {
        let Begun::Pending(reading) = session.load(slot(MANY - 1), |_| ()) else { panic!() };
        assert_eq!(reading.await.unwrap(), MANY.to_le_bytes());
        assert!(load(&mut session, "big").await.unwrap() == big);
        drop(session);
        store.flush().await;
        session = open(&store, "many").await.unwrap();
        assert_eq!(session.ledger(), MANY.to_le_bytes());
    }
    ended(session.discard(|slot| slot.node != "big" && slot.instance % 2 == 1)).await.unwrap();
    drop(session);
    store.flush().await;
    let session = open(&store, "many").await.unwrap();
    assert!(session.holds(slot(2)) && !session.holds(slot(3)) && session.holds(output("big")));
}
