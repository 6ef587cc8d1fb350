//! What the server refuses, and a server that is away, slow, stuck, loading or killed.

use super::*;

#[tokio::test]
async fn what_the_server_refuses_is_told_as_what_it_is() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let here = store(&server).with_patience(ms(300));

    // Somebody else's keys, of whatever kind.
    let _: () = server.ask(&["SET", "stroma:{string}", "mine"]);
    let _: () = server.ask(&["HSET", "stroma:{hash}", "mine", "1"]);
    for run in ["string", "hash"] {
        assert_eq!(kind(open(&here, run).await), Some(StoreErrorKind::Foreign), "{run}");
        assert_eq!(kind(ended(here.forget(&id(run))).await), Some(StoreErrorKind::Foreign), "{run}");
    }
    assert_eq!(server.ask::<String>(&["GET", "stroma:{string}"]), "mine");
    assert_eq!(server.ask::<String>(&["HGET", "stroma:{hash}", "mine"]), "1");
    let _: () = server.ask(&["HSET", "stroma:{later}", "@format", "9"]);
    let error = open(&here, "later").await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Foreign && error.detail().contains("format 9"), "{error}");

    // Memory.
    let mut session = open(&here, "r").await.unwrap();
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = put(&mut session, "a", b"1").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Exhausted, "{error}");
    assert!(error.detail().contains("OOM"), "{error}");
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&mut session, "a", b"1").await.unwrap();

    // A replica, and then a master again.
    let _: () = server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = put(&mut session, "b", b"2").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(error.detail().contains("READONLY"), "{error}");
    let _: () = server.ask(&["REPLICAOF", "NO", "ONE"]);
    put(&mut session, "b", b"2").await.unwrap();
    assert_eq!(load(&mut session, "a").await.unwrap(), b"1");

    // Credentials.
    let _: () = server.ask(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+@connection"]);
    let _: () = server.ask(&["ACL", "SETUSER", "writer", "on", ">secret", "~*", "+@all"]);
    let _: () = server.ask(&["CONFIG", "SET", "requirepass", "hidden"]);
    server.come_in_by(format!("redis://:hidden@127.0.0.1:{}/", server.port()));
    let port = server.port();
    for (who, says) in
        [("", "NOAUTH"), (":wrong@", "WRONGPASS"), ("reader:secret@", "NOPERM"), ("nobody:x@", "WRONGPASS")]
    {
        let store = RedisStore::new(&format!("redis://{who}127.0.0.1:{port}/"), TTL).unwrap();
        for result in [store.reach().await, open(&store, "r2").await.map(drop)] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Denied, "{who}: {error}");
            assert!(error.detail().contains(says) || error.detail().contains("uthentication"), "{who}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(!format!("{store:?}").contains("secret"), "{store:?}");
    }
    for who in ["writer:secret@", ":hidden@"] {
        let store = RedisStore::new(&format!("redis://{who}127.0.0.1:{port}/0"), TTL).unwrap();
        store.reach().await.unwrap();
        assert!(open(&store, "r3").await.is_ok());
        store.flush().await;
    }
}

#[tokio::test]
async fn nothing_there_is_told_at_once_where_asked_and_after_the_patience_else() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = RedisStore::new(&format!("redis://127.0.0.1:{port}/"), TTL).unwrap();
    assert_eq!(kind(store.reach().await), Some(StoreErrorKind::Unavailable));
    let store = store.with_patience(ms(200));
    let begun = Instant::now();
    let error = open(&store, "r").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(begun.elapsed() >= ms(200), "{:?}", begun.elapsed());
    store.flush().await;
    for url in ["http://127.0.0.1/", "redis//x", "redis://127.0.0.1/x"] {
        let error = RedisStore::new(url, TTL).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{url}");
        assert!(error.detail().starts_with("a URL is such as `redis://host:6379/`: "), "{error}");
    }
    let error = RedisStore::new("redis://127.0.0.1/", ms(10)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
}

#[tokio::test]
async fn what_is_no_redis_server_is_called_that() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The other side may be gone by then.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let store = RedisStore::new(&format!("redis://127.0.0.1:{port}/"), TTL).unwrap();
    let error = store.reach().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.detail().starts_with("what answers at this address does not speak the protocol of Redis"), "{error}");
    store.flush().await;
    web.abort();
}

#[test]
fn without_a_runtime_it_is_an_error_and_with_another_one_it_goes_on() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    let Begun::Pending(opening) = store.open(&id("r"), Access::Create) else { panic!() };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let error = first.block_on(opening).unwrap_err();
    assert!(error.detail().contains("runtime"), "{error}");
    let mut session = first.block_on(open(&store, "r")).unwrap();
    drop(first);
    let second = runtime();
    assert_eq!(
        second.block_on(put(&mut session, "a", b"1")).map_err(|error| error.kind()),
        Err(StoreErrorKind::Unavailable)
    );
    assert!(second.block_on(open(&store, "another")).is_ok());
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_costs_no_node() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (calls, gate) = (Calls::default(), Gate::default());
    let pipeline = counting!(calls, "before").then(gated!(calls, "gate", gate)).then(eight!(calls));
    let runner = Arc::new(Runner::new(pipeline).with_store(store(&server)).build().unwrap());
    let run = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run_as(id("r"), 0).await }
    });
    gate.reached().await;
    server.kill();
    // It goes on while there is no server, as far as its next checkpoint.
    gate.open();
    eventually("the node is over", || (calls.of("gate") == 1).then_some(())).await;
    server.start_again();
    let done = run.await.unwrap().unwrap();
    assert_eq!((done.output, done.report.status), (15, RunStatus::Completed));
    assert_eq!(calls.all().iter().map(|(_, calls)| calls).sum::<u32>(), 10, "{:?}", calls.all());
    // And all of it is there.
    let done = runner.run_as(id("r"), 0).await.unwrap();
    assert_eq!((done.output, done.report.status), (15, RunStatus::Resumed));
    assert_eq!(calls.all().iter().map(|(_, calls)| calls).sum::<u32>(), 10, "{:?}", calls.all());
}

#[tokio::test]
async fn a_server_that_forgets_is_noticed_at_the_next_checkpoint() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let (calls, gate) = (Calls::default(), Gate::default());
    let pipeline = counting!(calls, "before").then(gated!(calls, "gate", gate)).then(counting!(calls, "after"));
    let runner = Arc::new(Runner::new(pipeline).with_store(store(&server)).build().unwrap());
    let run = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run_as(id("r"), 0).await }
    });
    gate.reached().await;
    server.kill();
    server.start_again();
    gate.open();
    let halted = run.await.unwrap().unwrap_err();
    let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
    assert_eq!((error.kind(), halted.report.status), (StoreErrorKind::Gone, RunStatus::Failed), "{halted}");
    assert!(halted.to_string().contains("run_as"), "{halted}");
    assert_eq!(calls.of("after"), 0);
    // It is not half there, so it begins anew.
    let halted = runner.resume(id("r")).await.unwrap_err();
    assert!(matches!(&halted.cause, Cause::Store(error) if error.kind() == StoreErrorKind::UnknownRun), "{halted}");
    gate.open();
    let done = runner.run_as(id("r"), 0).await.unwrap();
    assert_eq!((done.output, done.report.status), (3, RunStatus::Completed));
}

#[tokio::test]
async fn a_server_that_is_slow_is_waited_for_and_one_that_is_stuck_is_not_for_ever() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let patient = store(&server);
    let hasty = store(&server).with_patience(ms(400));
    let (mut one, mut two) = (open(&patient, "one").await.unwrap(), open(&hasty, "two").await.unwrap());
    server.signal("-STOP");
    let begun = Instant::now();
    let error = put(&mut two, "a", b"2").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() >= ms(400), "{:?}", begun.elapsed());
    let Begun::Pending(writing) = one.put(output("a"), Raw(b"1"), b"") else { panic!() };
    let writing = tokio::spawn(writing);
    let none = tokio::time::timeout(ms(100), async { until_finished(&writing).await }).await;
    assert!(none.is_err());
    server.signal("-CONT");
    writing.await.unwrap().unwrap();
    put(&mut two, "b", b"3").await.unwrap();
    assert_eq!(load(&mut two, "b").await.unwrap(), b"3");
}

async fn until_finished<T>(task: &tokio::task::JoinHandle<T>) {
    eventually("it ends", || task.is_finished().then_some(())).await;
}

#[tokio::test]
async fn a_deadline_ends_the_wait_for_a_server_that_is_away() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let (calls, gate) = (Calls::default(), Gate::default());
    let pipeline = gated!(calls, "gate", gate).then(counting!(calls, "after")).deadline(ms(600));
    let runner = Arc::new(
        Runner::new(pipeline)
            .with_store(store(&server))
            .with_clock(stroma::TokioClock)
            .with_policies(PolicyMap::default().recoverable(3, Backoff::constant(ms(10))))
            .build()
            .unwrap(),
    );
    let begun = Instant::now();
    let run = tokio::spawn({
        let runner = runner.clone();
        async move { runner.run_as(id("r"), 0).await }
    });
    gate.reached().await;
    server.kill();
    gate.open();
    let halted = run.await.unwrap().unwrap_err();
    assert!(matches!(halted.cause, Cause::Deadline { .. } | Cause::Store(_)), "{halted}");
    assert_eq!(halted.report.status, RunStatus::Partial);
    assert!(begun.elapsed() < secs(15), "it waited {:?}, as if there were no deadline", begun.elapsed());
    assert_eq!(calls.of("after"), 0);
}

#[tokio::test]
async fn a_server_that_is_loading_is_waited_for() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--dbfilename", "dump.rdb"]);
    let mut session = open(&store(&server), "r").await.unwrap();
    put(&mut session, "a", b"1").await.unwrap();
    drop(session);
    // Enough keys that loading them, slowed down, takes a while.
    let _: () = server.ask(&["EVAL", "for i = 1, 2000 do redis.call('SET', i, i) end", "0"]);
    let _: () = server.ask(&["SAVE"]);
    server.kill();
    let loading =
        server.with_more_args(&["--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"]);
    loading.start_again();
    let store = store(loading);
    let mut saw = false;
    // The first answers are `LOADING`, if the machine is not too slow to ask in time.
    if let Err(error) = store.reach().await {
        saw = error.detail().contains("LOADING");
        assert!(saw, "{error}");
    }
    let mut session = ended(store.wait_for(secs(40)).open(&id("r"), Access::Existing)).await.unwrap();
    assert_eq!(load(&mut session, "a").await.unwrap(), b"1");
    eprintln!("saw the server loading: {saw}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_away_from_the_server() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = store(&server);
    for round in 0..20 {
        a_whole_life(&store, &round.to_string()).await;
        tokio::time::sleep(secs(3_600)).await;
    }
    let mut session = open(&store, "held").await.unwrap();
    for _ in 0..20 {
        tokio::time::sleep(secs(3_600)).await;
        put(&mut session, "a", b"1").await.unwrap();
    }
}

#[tokio::test]
async fn what_takes_long_because_it_is_large_is_no_silence() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let store = RedisStore::new(&proxy.url(), TTL).unwrap().with_patience(secs(1));
    let mut session = open(&store, "r").await.unwrap();
    // Longer than a server may owe an answer, there and back.
    proxy.slow_down(ms(30));
    let large = vec![7; 3 << 20];
    put(&mut session, "a", &large).await.unwrap();
    assert!(load(&mut session, "a").await.unwrap() == large);
    assert_eq!(proxy.ends().len(), 1);
}
