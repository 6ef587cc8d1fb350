//! The store on a server, and what happens to runs when the server is killed, stopped, full, read-only or somebody else's.
//! Each test starts a server of its own; the clock here is the real one, since the server's is.
#![cfg(feature = "redis")]

#[path = "../support/calls.rs"]
mod calls;
#[path = "../support/error.rs"]
mod error;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/redis.rs"]
mod server;
#[path = "../support/slots.rs"]
mod slots;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use calls::Calls;
use error::Oops;
use proxy::{Proxy, Way};
use server::{Server, eventually, is_installed, until};
use slots::Raw;
use stroma::{
    Backoff, Cause, PolicyMap, RunId, RunStatus, Runner, Slot, SlotKind, ms, node, par, secs,
    store::{Access, Begun, RedisSession, RedisStore, Session, Store, StoreError, StoreErrorKind},
};
use tokio::sync::Notify;

const TTL: Duration = secs(600);

/// How long a lease is that nobody waits for here.
const LONG: Duration = secs(500);

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

/// Runs a future on another runtime, since one cannot be run inside of the other.
fn elsewhere<T: Send>(runtime: &tokio::runtime::Runtime, future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|threads| threads.spawn(|| runtime.block_on(future)).join().unwrap())
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

mod addresses;
mod connections;
mod contents;
mod faults;
mod holders;
