//! Long chains: they compile at the default recursion limit, spawn, and keep their future small.
#![cfg(feature = "tokio")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use stroma::{Backoff, ListTrace, PolicyMap, Runner, TokioClock, node, store::HeapStore};

async fn add(x: u64) -> Result<u64, Infallible> {
    Ok(x + 1)
}

/// One node with its layers.
macro_rules! one {
    ($id:expr, [$($layer:tt)*]) => {
        node($id, add)$($layer)*
    };
}

/// Appends a node for each of the given digits, after the digit `$prefix`.
macro_rules! nodes {
    ($chain:ident $prefix:literal $layer:tt $($digit:literal)+) => {
        $(let $chain = $chain.then(one!(concat!("n", $prefix, $digit), $layer));)+
    };
}

/// Appends sixteen nodes for each of the given digits.
macro_rules! sixteens {
    ($chain:ident $layer:tt $($digit:literal)+) => {
        $(nodes!($chain $digit $layer "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f");)+
    };
}

/// Runs a future on a worker with room for the stack of an unoptimised build, where nothing is inlined and every level of the
/// tree has a frame with copies of its own. An optimised one is content with a fraction of tokio's default.
fn spawned<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_stack_size(if cfg!(debug_assertions) { 64 << 20 } else { 2 << 20 })
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async move { tokio::spawn(future).await.unwrap() })
}

#[test]
fn a_chain_of_256_nodes_is_spawned_and_its_future_is_hardly_larger_than_that_of_8() {
    spawned(of_256());
}

async fn of_256() {
    let short = node("first", add);
    nodes!(short "s" [] "1" "2" "3" "4" "5" "6" "7");
    let short = Runner::new(short).build().unwrap();
    let short_size = size_of_val(&short.run(0));

    let long = node("first", add);
    sixteens!(long [] "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e");
    nodes!(long "f" [] "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f");
    let long = Arc::new(Runner::new(long).build().unwrap());
    assert_eq!(long.describe().to_vec().len(), 256);
    let long_size = size_of_val(&long.run(0));
    assert!(long_size <= short_size + 64, "8 nodes: {short_size} bytes, 256 nodes: {long_size} bytes");

    let spawned = Arc::clone(&long);
    assert_eq!(tokio::spawn(async move { spawned.run(0).await }).await.unwrap(), Ok(256));
}

#[test]
fn a_chain_of_48_nodes_with_retry_time_out_and_checkpoint_on_each_is_spawned() {
    spawned(of_48());
}

async fn of_48() {
    let policy = PolicyMap::never().recoverable(3, Backoff::exponential(Duration::from_millis(10)));
    let limit = Duration::from_secs(1);
    let chain = node("first", add).retry(policy).timeout(limit);
    sixteens!(chain [.retry(policy).timeout(limit)] "0" "1");
    nodes!(chain "2" [.retry(policy).timeout(limit)] "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f");
    let runner = Runner::new(chain).with_clock(TokioClock).with_store(HeapStore::new()).with_trace(ListTrace);
    let runner = Arc::new(runner.build().unwrap());
    let spawned = Arc::clone(&runner);
    let done = tokio::spawn(async move { spawned.run(0).await }).await.unwrap().unwrap();
    assert_eq!((done.output, done.trace.events().len()), (48, 48));
    let again = runner.resume(done.report.run_id).await.unwrap();
    assert_eq!((again.output, again.report.restored), (48, 48));
}

/// Only optimised: that is what is promised, and what is as quick to build as 48 nodes are without.
#[cfg(not(debug_assertions))]
#[test]
fn a_chain_of_256_nodes_with_retry_time_out_and_checkpoint_on_each_is_spawned() {
    spawned(of_256_full());
}

#[cfg(not(debug_assertions))]
async fn of_256_full() {
    let policy = PolicyMap::never().recoverable(3, Backoff::exponential(Duration::from_millis(10)));
    let limit = Duration::from_secs(1);
    let short = node("first", add).retry(policy).timeout(limit);
    nodes!(short "s" [.retry(policy).timeout(limit)] "1" "2" "3" "4" "5" "6" "7");
    let short = Runner::new(short).with_clock(TokioClock).with_store(HeapStore::new()).build().unwrap();
    let short_size = size_of_val(&short.run(0));

    let long = node("first", add).retry(policy).timeout(limit);
    sixteens!(long [.retry(policy).timeout(limit)] "0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e");
    nodes!(long "f" [.retry(policy).timeout(limit)] "1" "2" "3" "4" "5" "6" "7" "8" "9" "a" "b" "c" "d" "e" "f");
    let long = Arc::new(Runner::new(long).with_clock(TokioClock).with_store(HeapStore::new()).build().unwrap());
    let long_size = size_of_val(&long.run(0));
    assert!(long_size <= short_size + 64, "8 nodes: {short_size} bytes, 256 nodes: {long_size} bytes");

    let spawned = Arc::clone(&long);
    let done = tokio::spawn(async move { spawned.run(0).await }).await.unwrap().unwrap();
    assert_eq!(done.output, 256);
    let again = long.resume(done.report.run_id).await.unwrap();
    assert_eq!((again.output, again.report.restored), (256, 256));
}

#[test]
fn a_future_is_at_most_64_bytes_larger_than_the_same_by_hand() {
    async fn by_hand(x: [u64; 16]) -> Result<[u64; 16], Infallible> {
        let x = wide(x).await?;
        let x = wide(x).await?;
        let x = wide(x).await?;
        wide(x).await
    }
    async fn wide(x: [u64; 16]) -> Result<[u64; 16], Infallible> {
        tokio::task::yield_now().await;
        Ok(x)
    }
    let runner = Runner::new(node("a", wide).then(node("b", wide)).then(node("c", wide)).then(node("d", wide)));
    let runner = runner.build().unwrap();
    let (ours, theirs) = (size_of_val(&runner.run([0; 16])), size_of_val(&by_hand([0; 16])));
    assert!(ours <= theirs + 64, "ours {ours} bytes, by hand {theirs} bytes");
}
