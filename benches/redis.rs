//! Checkpoints a second in Redis, against the same by hand with redis-rs: `cargo bench --features redis --bench redis`.
//!
//! By hand there are two: one that writes and nothing else, and one that first asks, in a script, whether the run is still its own. The
//! store makes sure of that too. All write the same value and ledger, with the time to live on the first write of a run, and
//! take turns in one process against one server. What counts is the ratio.

#[path = "../tests/support/redis.rs"]
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{Script, aio::MultiplexedConnection};
use server::Server;
use stroma::{
    RunId, Slot, SlotKind, secs,
    store::{Access, Begun, Encode, EncodeError, RedisSession, RedisStore, Session, Store},
};
use tokio::runtime::{Builder, Runtime};

const NODES: [&str; 8] = ["n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7"];
const VALUE: [u8; 100] = [7; 100];
const LEDGER: [u8; 40] = [9; 40];
const TTL: Duration = secs(3_600);

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    if !server::is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let (rounds, time) = if test { (1, Duration::from_millis(20)) } else { (9, Duration::from_millis(200)) };
    for (name, mut builder) in
        [("one thread", Builder::new_current_thread()), ("two threads", Builder::new_multi_thread())]
    {
        let runtime = builder.worker_threads(2).enable_all().build().unwrap();
        for in_flight in [1, 64] {
            compare(name, &runtime, &server, in_flight, rounds, time);
        }
    }
}

fn compare(name: &str, runtime: &Runtime, server: &Server, in_flight: usize, rounds: usize, time: Duration) {
    let store = RedisStore::new(&server.url(), TTL).unwrap();
    let connection = runtime.block_on(async {
        let client = redis::Client::open(server.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    });
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 0..=rounds {
        let now = [
            rate(runtime, in_flight, time, |run| Ours::open(store.clone(), run)),
            rate(runtime, in_flight, time, |run| Checked::open(connection.clone(), run)),
            rate(runtime, in_flight, time, |run| Plain::open(connection.clone(), run)),
        ];
        let _: () = server.ask(&["FLUSHALL"]);
        // The first round warms up.
        if round > 0 {
            for (rates, rate) in rates.iter_mut().zip(now) {
                rates.push(rate);
            }
        }
    }
    let over = |twin: &[f64]| spread(rates[0].iter().zip(twin).map(|(ours, twin)| ours / twin).collect());
    println!(
        "{name}, {in_flight:2} in flight: stroma {:7.0}/s, by hand with the check {:7.0}/s ({}), without {:7.0}/s ({})",
        median(&mut rates[0].clone()),
        median(&mut rates[1].clone()),
        over(&rates[1]),
        median(&mut rates[2].clone()),
        over(&rates[2]),
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn spread(mut ratios: Vec<f64>) -> String {
    let middle = median(&mut ratios);
    format!("{middle:.2}x, {:.2} to {:.2}", ratios[0], ratios[ratios.len() - 1])
}

/// A run in hand that saves one checkpoint after the other.
trait Run: Send + 'static {
    fn save(&mut self, node: &'static str) -> impl Future<Output = ()> + Send;
}

/// Checkpoints a second of so many runs at once.
fn rate<R: Run, F: Future<Output = R>>(
    runtime: &Runtime,
    in_flight: usize,
    time: Duration,
    open: impl Fn(usize) -> F,
) -> f64 {
    runtime.block_on(async {
        let (over, saved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        let mut runs = Vec::new();
        for run in 0..in_flight {
            runs.push(open(run).await);
        }
        let begun = Instant::now();
        for mut run in runs {
            let (over, saved) = (Arc::clone(&over), Arc::clone(&saved));
            tasks.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    for node in NODES {
                        run.save(node).await;
                    }
                    saved.fetch_add(NODES.len() as u64, Ordering::Relaxed);
                }
            }));
        }
        tokio::time::sleep(time).await;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        saved.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
    })
}

struct Ours(RedisSession);

struct Bytes;

impl Encode for Bytes {
    fn encoded_len(&self) -> Result<usize, EncodeError> {
        Ok(VALUE.len())
    }

    fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        buffer.get_mut(..VALUE.len()).ok_or(EncodeError::NoRoom)?.copy_from_slice(&VALUE);
        Ok(VALUE.len())
    }
}

impl Ours {
    async fn open(store: RedisStore, run: usize) -> Self {
        let run = RunId::new(&format!("ours {run}")).unwrap();
        match store.open(&run, Access::Create) {
            Begun::Pending(opening) => Self(opening.await.unwrap()),
            Begun::Done(opened) => Self(opened.unwrap()),
        }
    }
}

impl Run for Ours {
    async fn save(&mut self, node: &'static str) {
        let slot = Slot { node, index: 0, instance: 0, kind: SlotKind::Output };
        match self.0.put(slot, Bytes, &LEDGER) {
            Begun::Pending(writing) => writing.await.unwrap(),
            Begun::Done(written) => written.unwrap(),
        }
    }
}

/// By hand, with the question whether the run is still its own: a script, since a transaction cannot branch.
struct Checked {
    connection: MultiplexedConnection,
    script: Arc<Script>,
    key: String,
}

impl Checked {
    async fn open(mut connection: MultiplexedConnection, run: usize) -> Self {
        let key = format!("checked:{run}");
        let mut open = redis::pipe();
        open.hset(&key, "@holder", "0123456789abcdef0123456789abcdef").ignore();
        open.expire(&key, TTL.as_secs() as i64).ignore();
        let () = open.query_async(&mut connection).await.unwrap();
        let script = Arc::new(Script::new(
            "if redis.call('HGET', KEYS[1], '@holder') ~= ARGV[1] then return 0 end
             redis.call('HSET', KEYS[1], ARGV[2], ARGV[3], '@ledger', ARGV[4])
             return 1",
        ));
        Self { connection, script, key }
    }
}

impl Run for Checked {
    async fn save(&mut self, node: &'static str) {
        let mut call = self.script.key(&self.key);
        call.arg("0123456789abcdef0123456789abcdef").arg(node).arg(&VALUE[..]).arg(&LEDGER[..]);
        let done: i64 = call.invoke_async(&mut self.connection).await.unwrap();
        assert_eq!(done, 1);
    }
}

/// By hand, and nobody asks whose the run is.
struct Plain {
    connection: MultiplexedConnection,
    key: String,
    begun: bool,
}

impl Plain {
    async fn open(connection: MultiplexedConnection, run: usize) -> Self {
        Self { connection, key: format!("plain:{run}"), begun: false }
    }
}

impl Run for Plain {
    async fn save(&mut self, node: &'static str) {
        let mut write = redis::cmd("HSET");
        write.arg(&self.key).arg(node).arg(&VALUE[..]).arg("@ledger").arg(&LEDGER[..]);
        if self.begun {
            let _: i64 = write.query_async(&mut self.connection).await.unwrap();
        } else {
            let mut both = redis::pipe();
            both.add_command(write).ignore().expire(&self.key, TTL.as_secs() as i64).ignore();
            let () = both.query_async(&mut self.connection).await.unwrap();
            self.begun = true;
        }
    }
}
