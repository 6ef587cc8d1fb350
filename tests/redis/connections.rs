//! Connections that are cut, wherever it is.

use super::*;

#[tokio::test]
async fn connections_that_are_cut_lose_and_double_nothing() {
    if !is_installed() {
        return;
    }
    let server = Arc::new(Server::start(&[]));
    let over = Arc::new(AtomicBool::new(false));
    let cutter = std::thread::spawn({
        let (server, over) = (server.clone(), over.clone());
        move || {
            let mut cuts = 0_u64;
            let mut connection = server.connection();
            while !over.load(Ordering::SeqCst) {
                let cut: u64 =
                    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(&mut connection).unwrap();
                cuts += cut;
                // And its scripts.
                let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut connection).unwrap();
                std::thread::park_timeout(ms(7));
            }
            cuts
        }
    });
    let store = store(&server);
    let mut tasks = Vec::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for round in 0..12 {
                let calls = Calls::default();
                let runner = Runner::new(eight!(calls)).with_store(store.clone()).build().unwrap();
                let run = id(&format!("{task} {round}"));
                let done = runner.run_as(run, 0).await.unwrap();
                assert_eq!((done.output, done.report.status), (11, RunStatus::Completed));
                assert_eq!(calls.all(), EIGHT);
                let done = runner.resume(run).await.unwrap();
                assert_eq!((done.output, done.report.status), (11, RunStatus::Resumed));
                assert_eq!(calls.all(), EIGHT);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    let cuts = cutter.join().unwrap();
    assert!(cuts > 3, "the connection was cut {cuts} times");
    // No run has more in its log than it did.
    store.flush().await;
    for key in server.keys().iter().filter(|key| !key.ends_with('}')) {
        let items: Vec<String> = server
            .ask::<Vec<Vec<u8>>>(&["LRANGE", key, "0", "-1"])
            .iter()
            .skip(1)
            .step_by(3)
            .map(|head| String::from_utf8_lossy(head).into_owned())
            .collect();
        let slots: std::collections::BTreeSet<_> = items.iter().collect();
        // The input, what it is for, and eight outputs.
        assert_eq!(slots.len(), 10, "{items:?}");
    }
}

#[tokio::test]
async fn what_is_asked_after_a_failure_is_tried_anew() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let (patient, hasty) = (store(&server), store(&server).with_patience(Duration::ZERO));
    server.kill();
    assert_eq!(kind(patient.reach().await), Some(StoreErrorKind::Unavailable));
    for _ in 0..2 {
        assert_eq!(kind(open(&hasty, "r").await), Some(StoreErrorKind::Unavailable));
    }
    server.start_again();
    assert_eq!(patient.reach().await, Ok(()));
    assert!(open(&hasty, "r").await.is_ok());
}

#[tokio::test]
async fn what_is_still_on_its_way_over_an_old_connection_never_arrives() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port()).await;
    let store_there = RedisStore::new(&proxy.url(), TTL).unwrap();
    let mut session = open(&store_there, "r").await.unwrap();
    let old = proxy.ends()[0];
    let clients = || server.ask::<String>(&["CLIENT", "LIST"]);
    assert!(clients().contains(&format!("addr={old} ")));
    // The first connection falls silent, and the next ones come to nothing.
    proxy.hold(Way::Up, 1);
    proxy.turn_away(3);
    put(&mut session, "a", b"1").await.unwrap();
    assert!(!clients().contains(&format!("addr={old} ")), "{}", clients());
    assert_eq!(proxy.ends().len(), 2);
}

#[tokio::test]
async fn wherever_the_connection_is_cut_nothing_is_lost_or_doubled() {
    if !is_installed() {
        return;
    }
    let server = Arc::new(Server::start(&[]));
    // How much goes through without a cut.
    let proxy = Proxy::to(server.port()).await;
    a_whole_life(&RedisStore::new(&proxy.url(), TTL).unwrap(), "whole").await;
    let (up, down) = (proxy.passed(Way::Up), proxy.passed(Way::Down));
    assert_eq!(server.keys().len(), 2);
    // Each byte of what is answered; of what is asked, which is mostly the scripts, each that is a multiple of something odd.
    let downs = (0..down).map(|at| (Way::Down, at));
    let cuts: Vec<_> = downs.chain((0..up).step_by(17).map(|at| (Way::Up, at))).collect();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let cut = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let cuts = Arc::new(cuts);
    let mut tasks = Vec::new();
    for _ in 0..24 {
        let (server, next, cut, cuts) = (server.clone(), next.clone(), cut.clone(), cuts.clone());
        tasks.push(tokio::spawn(async move {
            while let Some(&(way, at)) = cuts.get(next.fetch_add(1, Ordering::SeqCst)) {
                let proxy = Proxy::to(server.port()).await;
                proxy.cut_after(way, at);
                let store = RedisStore::new(&proxy.url(), TTL).unwrap().with_lease(LONG);
                let run = format!("{way:?} {at}");
                a_whole_life(&store, &run).await;
                let calls = Calls::default();
                if at % 8 == 0 {
                    // In a pipeline, each node is called once, wherever the cut falls.
                    let proxy = Proxy::to(server.port()).await;
                    proxy.cut_after(way, at);
                    let store = RedisStore::new(&proxy.url(), TTL).unwrap().with_lease(LONG);
                    let runner = Runner::new(eight!(calls)).with_store(store.clone()).build().unwrap();
                    let run = id(&format!("{way:?} {at} of eight"));
                    assert_eq!(runner.run_as(run, 0).await.unwrap().output, 11);
                    assert_eq!(runner.resume(run).await.unwrap().report.status, RunStatus::Resumed);
                    assert_eq!(calls.all(), EIGHT);
                    store.flush().await;
                    ended(store.forget(&run)).await.unwrap();
                }
                cut.fetch_add(usize::from(!proxy.is_to_cut(way)), Ordering::SeqCst);
                // Nobody holds it any more, and it has what was done to it, perhaps some of that twice.
                let mut heads = std::collections::BTreeSet::new();
                let key = format!("stroma:{{{run}}}");
                let about: Vec<Option<String>> = server.ask(&["HMGET", &key, "@holder", "@log"]);
                assert_eq!(about[0], None, "{run}");
                let log: Vec<Vec<u8>> =
                    server.ask(&["LRANGE", &format!("{key}:{}", about[1].as_deref().unwrap()), "0", "-1"]);
                assert_eq!(log.len() % 3, 1, "{run}");
                heads.extend(log.iter().skip(1).step_by(3));
                assert_eq!(heads.len(), 11, "{run}");
                ended(store.forget(&id(&run))).await.unwrap();
                let left: usize = server.ask(&["EXISTS", &key]);
                assert_eq!(left, 0, "{run}");
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.keys().len(), 2, "{:?}", server.keys());
    let (all, cut) = (cuts.len(), cut.load(Ordering::SeqCst));
    eprintln!("{cut} cuts at {all} places of {up} bytes up and {down} down");
    assert!(cut * 10 > all * 9, "{cut} of {all}");
}
