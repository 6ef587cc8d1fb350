//! The store on a server, and what happens to runs when the server is killed, stopped, full, read-only or somebody else's.
//! Each test starts a server of its own; the clock here is the real one, since the server's is.
#![cfg(feature = "redis")]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/redis.rs"]
mod server;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use proxy::{Proxy, Way};
use server::{Server, eventually, is_installed, until};
use stroma::{
    Backoff, Cause, Failure, FailureClass, PolicyMap, RunId, RunStatus, Runner, Slot, SlotKind, ms, node, par, secs,
    store::{Access, Begun, Encode, EncodeError, RedisSession, RedisStore, Session, Store, StoreError, StoreErrorKind},
};
use tokio::sync::Notify;

const TTL: Duration = secs(600);

#[derive(Debug, thiserror::Error)]
#[error("the node failed")]
struct Oops;

impl Failure for Oops {
    fn class(&self) -> FailureClass {
        FailureClass::Recoverable
    }
}

fn id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

fn store(server: &Server) -> RedisStore {
    RedisStore::new(&server.url(), TTL).unwrap()
}

async fn ended<T>(
    begun: Begun<Result<T, StoreError>, impl Future<Output = Result<T, StoreError>>>,
) -> Result<T, StoreError> {
    match begun {
        Begun::Done(result) => result,
        Begun::Pending(future) => future.await,
    }
}

async fn open(store: &RedisStore, run: &str) -> Result<RedisSession, StoreError> {
    ended(store.open(&id(run), Access::Create)).await
}

struct Raw<'b>(&'b [u8]);

impl Encode for Raw<'_> {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(self.0.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..self.0.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(self.0);
        Ok(self.0.len())
    }
}

fn output(node: &'static str) -> Slot<'static> {
    Slot { node, index: 0, instance: 0, kind: SlotKind::Output }
}

async fn put(session: &mut RedisSession, node: &'static str, value: &[u8]) -> Result<(), StoreError> {
    ended(session.put(output(node), Raw(value), b"")).await
}

async fn load(session: &mut RedisSession, node: &'static str) -> Result<Vec<u8>, StoreError> {
    match session.load(output(node), <[u8]>::to_vec) {
        Begun::Done(read) => read,
        Begun::Pending(reading) => reading.await,
    }
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind())
}

/// How often each node was called, and where to stop it.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<&'static str, u32>>>);

impl Calls {
    fn add(&self, node: &'static str) {
        *self.0.lock().unwrap().entry(node).or_default() += 1;
    }

    fn of(&self, node: &'static str) -> u32 {
        self.0.lock().unwrap().get(node).copied().unwrap_or_default()
    }

    fn all(&self) -> Vec<(&'static str, u32)> {
        self.0.lock().unwrap().iter().map(|(node, calls)| (*node, *calls)).collect()
    }
}

/// Nodes that add one, and count.
macro_rules! counting {
    ($calls:expr, $id:literal) => {{
        let calls = $calls.clone();
        node($id, move |x: u32| {
            let calls = calls.clone();
            async move {
                calls.add($id);
                Ok::<u32, Oops>(x + 1)
            }
        })
    }};
}

/// The same, but it waits at a gate.
macro_rules! gated {
    ($calls:expr, $id:literal, $gate:expr) => {{
        let (calls, gate) = ($calls.clone(), $gate.clone());
        node($id, move |x: u32| {
            let (calls, gate) = (calls.clone(), gate.clone());
            async move {
                calls.add($id);
                gate.pass().await;
                Ok::<u32, Oops>(x + 1)
            }
        })
    }};
}

/// Where a node waits until the test lets it go on.
#[derive(Clone, Default)]
struct Gate(Arc<(Notify, Notify)>);

impl Gate {
    async fn pass(&self) {
        self.0.0.notify_one();
        self.0.1.notified().await;
    }

    async fn reached(&self) {
        self.0.0.notified().await;
    }

    fn open(&self) {
        self.0.1.notify_one();
    }
}

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
                if broken.load(Ordering::SeqCst) { Err(Oops) } else { Ok(x * 10) }
            }
        });
        counting!(calls, "a").then(par(counting!(calls, "b1"), counting!(calls, "b2"))).map(|(x, y)| x + y).then(last)
    };
    let first = store(&server);
    let runner = Runner::new(pipeline()).with_store(first.clone()).build().unwrap();
    let halted = runner.run_as(id("r"), 1).await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Error(Oops)));
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

/// Runs a future on another runtime, since one cannot be run inside of the other.
fn elsewhere<T: Send>(runtime: &tokio::runtime::Runtime, future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|threads| threads.spawn(|| runtime.block_on(future)).join().unwrap())
}

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

/// A pipeline of eight, of which two are side by side.
macro_rules! eight {
    ($calls:expr) => {
        counting!($calls, "n1")
            .then(counting!($calls, "n2"))
            .then(counting!($calls, "n3"))
            .then(par(counting!($calls, "n4"), counting!($calls, "n5")))
            .map(|(x, y)| x + y)
            .then(counting!($calls, "n6"))
            .then(counting!($calls, "n7"))
            .then(counting!($calls, "n8"))
    };
}

const EIGHT: [(&str, u32); 8] =
    [("n1", 1), ("n2", 1), ("n3", 1), ("n4", 1), ("n5", 1), ("n6", 1), ("n7", 1), ("n8", 1)];

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

#[tokio::test]
async fn it_goes_over_a_unix_socket_too_and_to_a_server_of_a_cluster() {
    if !is_installed() {
        return;
    }
    let server = Server::start(&["--cluster-enabled", "yes"]);
    let _: () = server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until("the cluster is up", || {
        let info: String = server.ask(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    });
    let url = format!("redis+unix://{}", server.socket().display());
    let calls = Calls::default();
    for store in [store(&server), RedisStore::new(&url, TTL).unwrap().with_prefix("{x}")] {
        let runner = Runner::new(eight!(calls)).with_store(store.clone()).build().unwrap();
        assert_eq!(runner.run_as(id("{r}"), 0).await.unwrap().output, 11);
        assert_eq!(runner.resume(id("{r}")).await.unwrap().report.status, RunStatus::Resumed);
        store.flush().await;
    }
    assert!(calls.all().iter().all(|(_, calls)| *calls == 2), "{:?}", calls.all());
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

/// How long a lease is that nobody waits for here.
const LONG: Duration = secs(500);

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

/// All that a session does.
async fn a_whole_life(store: &RedisStore, run: &str) {
    let mut session = open(store, run).await.unwrap();
    for (i, (node, _)) in EIGHT.into_iter().enumerate() {
        ended(session.put(output(node), Raw(node.as_bytes()), format!("ledger {i}").as_bytes())).await.unwrap();
    }
    ended(session.discard(|slot| slot.node == "n2" || slot.node == "n5")).await.unwrap();
    put(&mut session, "n5", b"again").await.unwrap();
    ended(session.put_ledger(b"last")).await.unwrap();
    assert_eq!(load(&mut session, "n5").await.unwrap(), b"again");
    drop(session);
    store.flush().await;
    let mut session = ended(store.open(&id(run), Access::Existing)).await.unwrap();
    assert_eq!((session.ledger(), session.outputs()), (&b"last"[..], 7));
    assert!(!session.holds(output("n2")));
    assert_eq!(load(&mut session, "n5").await.unwrap(), b"again");
    assert_eq!(load(&mut session, "n8").await.unwrap(), b"n8");
    drop(session);
    store.flush().await;
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

#[tokio::test]
async fn the_newer_protocol_a_database_and_odd_passwords_are_said_in_the_url() {
    if !is_installed() {
        return;
    }
    let mut server = Server::start(&["--requirepass", "p@s:s/w%rd ?#é"]);
    let port = server.port();
    let url = format!("redis://:p%40s%3As%2Fw%25rd%20%3F%23%C3%A9@127.0.0.1:{port}");
    server.come_in_by(format!("{url}/3"));
    for (run, end) in [("two", "/3"), ("three", "/3?protocol=resp3")] {
        let store = RedisStore::new(&format!("{url}{end}"), TTL).unwrap();
        store.reach().await.unwrap();
        a_whole_life(&store, run).await;
        let mut session = open(&store, run).await.unwrap();
        assert!(matches!(kind(open(&store, run).await), Some(StoreErrorKind::Busy { until: Some(_) })));
        let _: usize = server.ask(&["DEL", &format!("stroma:{{{run}}}")]);
        let log = server.keys().into_iter().find(|key| key.starts_with(&format!("stroma:{{{run}}}:"))).unwrap();
        let _: usize = server.ask(&["DEL", &log]);
        assert_eq!(kind(load(&mut session, "n1").await), Some(StoreErrorKind::Gone));
        assert_eq!(kind(put(&mut session, "n1", b"1").await), Some(StoreErrorKind::Gone));
        drop(session);
        assert!(!format!("{store:?}").contains("w%"), "{store:?}");
    }
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

#[cfg(feature = "redis-tls")]
#[tokio::test]
async fn it_goes_over_tls_with_an_authority_of_its_own() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    server::write(&cert, &made.cert.pem());
    server::write(&key, &made.signing_key.serialize_pem());
    let tls_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let [cert_path, key_path] = [&cert, &key].map(|path| path.to_str().unwrap());
    let _server = Server::start(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        cert_path,
        "--tls-key-file",
        key_path,
        "--tls-ca-cert-file",
        cert_path,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{tls_port}/");
    let store = RedisStore::new(&url, TTL).unwrap();
    // Nobody vouches for it.
    let error = store.reach().await.unwrap_err();
    assert!(error.detail().contains("ertificate"), "{error}");
    assert!(store.clone().with_root_certificate("nothing").is_err());
    let store = store.with_root_certificate(made.cert.pem()).unwrap();
    store.reach().await.unwrap();
    let calls = Calls::default();
    let runner = Runner::new(eight!(calls)).with_store(store).build().unwrap();
    assert_eq!(runner.run_as(id("r"), 0).await.unwrap().output, 11);
}
