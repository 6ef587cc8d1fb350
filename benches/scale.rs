//! Many runs at once: bytes a run and time a wake-up with 1, 100 and 10,000 of them waiting, and what a second thread adds.
//!
//! `cargo bench --bench scale`, and `cargo bench --bench scale -- --million` for 1,000,000 too, which takes some GB. It prints
//! tables and asserts no time: those depend on the machine, and what counts is that they stay flat.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    env,
    fmt::Display,
    future::{Future, poll_fn},
    hint::black_box,
    pin::{Pin, pin},
    process::Command,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use stroma::{
    Backoff, Failure, ListTrace, PolicyMap, RunId, Runner, TokioClock, node, secs,
    store::{HeapStore, MemoryStore},
};

const POLICY: PolicyMap = PolicyMap::never().recoverable(3, Backoff::none());
/// So long that it never ends.
const LIMIT: Duration = secs(3_600);
/// The room of the store that looks its runs through one by one.
const RUNS: usize = 10_000;

static MEMORY: MemoryStore<RUNS, 4, 32> = MemoryStore::new();
/// A store for each thread of two, in the table of throughput.
static FEW: MemoryStore<4, 4, 32> = MemoryStore::new();

/// Of what nothing comes.
#[derive(Debug)]
struct Never(Infallible);

impl Display for Never {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {}
    }
}

impl Failure for Never {}

/// Three nodes, the second of which is `wait` or not.
macro_rules! chain {
    ($second:ident $(, $layer:ident($($arg:expr),*))*) => {
        node("a", add)$(.$layer($($arg),*))*
            .then(node("b", $second)$(.$layer($($arg),*))*)
            .then(node("c", add)$(.$layer($($arg),*))*)
    };
}

async fn add(x: u64) -> Result<u64, Never> {
    Ok(black_box(x).wrapping_add(1))
}

// ------------------------------------------------------------------------------------------------------------- waiting runs

/// What a run waits for.
#[derive(Default)]
struct Signal {
    go: bool,
    waker: Option<Waker>,
}

thread_local! {
    /// A signal for each run, by its input.
    static SIGNALS: RefCell<Vec<Signal>> = const { RefCell::new(Vec::new()) };
    /// How often nodes were asked whether they may go on.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// Waits for the signal of this run.
async fn wait(x: u64) -> Result<u64, Never> {
    poll_fn(|task| {
        POLLED.set(POLLED.get() + 1);
        SIGNALS.with_borrow_mut(|signals| match &mut signals[x as usize - 1] {
            Signal { go: true, .. } => Poll::Ready(()),
            signal => {
                signal.waker = Some(task.waker().clone());
                Poll::Pending
            }
        })
    })
    .await;
    Ok(x)
}

/// Which runs were woken, and not yet polled.
type Woken = Arc<Mutex<Vec<usize>>>;

/// Wakes one run.
struct Bell {
    number: usize,
    woken: Woken,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.number);
    }
}

/// Runs that wait.
struct Waiting {
    runs: Vec<Pin<Box<dyn Future<Output = u64>>>>,
    wakers: Vec<Waker>,
    woken: Woken,
    sum: u64,
}

impl Waiting {
    fn new(n: usize) -> Self {
        let woken = Woken::default();
        let bell = |number| Waker::from(Arc::new(Bell { number, woken: Arc::clone(&woken) }));
        SIGNALS.set((0..n).map(|_| Signal::default()).collect());
        woken.lock().unwrap().reserve(n);
        Self { runs: Vec::with_capacity(n), wakers: (0..n).map(bell).collect(), woken, sum: 0 }
    }

    fn poll(&mut self, number: usize) {
        let mut task = Context::from_waker(&self.wakers[number]);
        if let Poll::Ready(output) = self.runs[number].as_mut().poll(&mut task) {
            self.sum += output;
        }
    }

    /// Wakes all, in an order in which they do not lie side by side, and polls whatever was woken.
    fn wake(&mut self, go: bool) {
        let n = self.runs.len();
        for i in 0..n {
            // Prime, so that each number comes once.
            let waker = SIGNALS.with_borrow_mut(|signals| {
                let signal = &mut signals[i * 7_919 % n];
                signal.go = go;
                signal.waker.take()
            });
            waker.unwrap().wake();
        }
        let mut woken = std::mem::take(&mut *self.woken.lock().unwrap());
        for number in woken.drain(..) {
            self.poll(number);
        }
        *self.woken.lock().unwrap() = woken;
    }
}

/// So many runs that wait: a row of the table.
fn wait_with<Run>(name: &str, n: usize, wakes: usize, run: impl Fn(u64) -> Run)
where
    Run: Future<Output = u64> + 'static,
{
    let mut all = Waiting::new(n);
    let size = size_of_val(&run(0));
    let begun = Instant::now();
    let heap = measure(|| {
        for number in 0..n {
            all.runs.push(Box::pin(run(number as u64)));
            all.poll(number);
        }
    });
    let began = begun.elapsed();
    let rounds = (wakes / n).max(1);
    POLLED.set(0);
    let begun = Instant::now();
    (0..rounds).for_each(|_| all.wake(false));
    let woke = begun.elapsed();
    assert_eq!(POLLED.get(), n * rounds, "each is polled once for each time that it is woken");
    all.wake(true);
    assert_eq!(all.sum, (0..n as u64).map(|x| x + 2).sum::<u64>(), "each ends with its own output");
    let each = |time: Duration, of: usize| time.as_nanos() as f64 / of as f64;
    println!(
        "| {name} | {n} | {size} | {:.0} | {:.0} | {:.0} |",
        heap.bytes_current as f64 / n as f64,
        each(began, n),
        each(woke, n * rounds)
    );
}

/// A runner for as long as the program lasts, as a `static` would be.
fn keep<T>(runner: T) -> &'static T {
    Box::leak(Box::new(runner))
}

async fn by_hand(x: u64) -> u64 {
    let Ok(x) = add(x).await;
    let Ok(x) = wait(x).await;
    let Ok(x) = add(x).await;
    x
}

async fn by_hand_within(x: u64) -> u64 {
    let Ok(x) = add(x).await;
    let Ok(Ok(x)) = tokio::time::timeout(LIMIT, wait(x)).await else { return 0 };
    let Ok(x) = add(x).await;
    x
}

fn waiting(numbers: &[usize], wakes: usize) {
    // Timers are registered here. None of them ends.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    println!("| waiting runs | how many | future, B | heap a run, B | to begin one, ns | to wake one, ns |");
    println!("|---|---|---|---|---|---|");
    for &n in numbers {
        wait_with("by hand", n, wakes, by_hand);
    }
    for &n in numbers {
        let runner = keep(Runner::new(chain!(wait)).build().unwrap());
        wait_with("plain", n, wakes, |x| async move { runner.run(x).await.unwrap() });
    }
    for &n in numbers {
        wait_with("by hand, `tokio::time::timeout`", n, wakes, by_hand_within);
    }
    for &n in numbers {
        let layered = Runner::new(chain!(wait, retry(POLICY), timeout(LIMIT))).with_clock(TokioClock);
        let runner = keep(layered.build().unwrap());
        wait_with("retry and time-out on each node", n, wakes, |x| async move { runner.run(x).await.unwrap().output });
    }
    for &n in numbers {
        let store = HeapStore::with_capacity(n);
        let runner = keep(Runner::new(chain!(wait)).with_store(store).with_trace(ListTrace).build().unwrap());
        wait_with(
            "checkpoints on the heap, and a trace",
            n,
            wakes,
            |x| async move { runner.run(x).await.unwrap().output },
        );
    }
    for &n in numbers {
        let quick = Runner::quick(chain!(wait, timeout(LIMIT))).with_store(HeapStore::with_capacity(n));
        let runner = keep(quick.build().unwrap());
        wait_with("`Runner::quick` with a time-out on each", n, wakes, |x| async move {
            runner.run(x).await.unwrap().output
        });
    }
    for &n in numbers.iter().filter(|n| **n <= RUNS) {
        let runner = keep(Runner::new(chain!(wait)).with_store(&MEMORY).build().unwrap());
        wait_with(&format!("`MemoryStore` of {RUNS} runs"), n, wakes, |x| async move {
            runner.run(x).await.unwrap().output
        });
    }
}

// ---------------------------------------------------------------------------------------------------------------- throughput

/// Polls a run to its end; it waits for nothing.
#[inline(always)]
fn drive<F: Future>(run: F) -> F::Output {
    let mut run = pin!(run);
    loop {
        if let Poll::Ready(output) = run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// How long so many runs on each of so many threads take.
fn on_threads(threads: usize, n: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> Duration {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let work = || {
            barrier.wait();
            let begun = Instant::now();
            let mut sum = 0_u64;
            for x in 0..n {
                sum = sum.wrapping_add(run(black_box(x)));
            }
            black_box(sum);
            (begun, Instant::now())
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // By their own clocks: whoever starts them may come late himself.
        let all: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
        let (begun, ended) = (all.iter().map(|(begun, _)| *begun).min(), all.iter().map(|(_, ended)| *ended).max());
        ended.unwrap().duration_since(begun.unwrap())
    })
}

/// The runs a second of one thread, and of two: a row of the table. Each is the best of some, in turns, so that what else the machine
/// does hits both.
fn throughput(name: &str, n: u64, tries: u32, run: impl Fn(u64) -> u64 + Sync) {
    let (mut one, mut two) = (Duration::MAX, Duration::MAX);
    for _ in 0..tries {
        one = one.min(on_threads(1, n, &run));
        two = two.min(on_threads(2, n, &run));
    }
    let each = |time: Duration| time.as_nanos() as f64 / n as f64;
    println!("| {name} | {:.0} | {:.0} | {:.2}x |", each(one), each(two) / 2.0, 2.0 * each(one) / each(two));
}

thread_local! {
    /// Which thread this is; its half of two runners, and its run ids.
    static THREAD: u64 = NUMBER.fetch_add(1, Relaxed);
    static IDS: Cell<u64> = const { Cell::new(0) };
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// An id that no thread had before. Nothing is shared for it.
fn next() -> RunId {
    let id = IDS.replace(IDS.get() + 1);
    RunId::from_u128(u128::from(THREAD.with(|thread| *thread)) << 64 | u128::from(id))
}

fn threads(n: u64, tries: u32) {
    println!("\n| independent runs | ns a run, one thread | ns a run, two threads | as many runs |");
    println!("|---|---|---|---|");
    throughput("by hand", n * 10, tries, |x| {
        drive(async move {
            let Ok(x) = add(x).await;
            let Ok(x) = add(x).await;
            let Ok(x) = add(x).await;
            x
        })
    });
    let runner = Runner::new(chain!(add)).build().unwrap();
    throughput("plain", n * 10, tries, |x| drive(runner.run(x)).unwrap());
    let runner = Runner::new(chain!(add, retry(POLICY), timeout(LIMIT))).with_clock(TokioClock).build().unwrap();
    throughput("retry and time-out", n, tries, |x| drive(runner.run_as(next(), x)).unwrap().output);
    throughput("retry and time-out, fresh ids", n, tries, |x| drive(runner.run(x)).unwrap().output);
    let runner = Runner::new(chain!(add)).with_store(&FEW).build().unwrap();
    throughput("checkpoints in a `MemoryStore`", n, tries, |x| drive(runner.run_as(next(), x)).unwrap().output);
    let runner = Runner::new(chain!(add)).with_store(HeapStore::new()).build().unwrap();
    throughput("checkpoints in a `HeapStore`", n, tries, |x| drive(runner.run_as(next(), x)).unwrap().output);
    let budget = stroma::Budget::unlimited();
    let runner = Runner::new(chain!(add)).with_clock(TokioClock).with_budget(budget).build().unwrap();
    throughput("an account", n, tries, |x| drive(runner.run_as(next(), x)).unwrap().output);
    let runner = Runner::quick(chain!(add)).build().unwrap();
    throughput("`Runner::quick`", n, tries, |x| drive(runner.run_as(next(), x)).unwrap().output);
    throughput("`Runner::quick`, fresh ids", n, tries, |x| drive(runner.run(x)).unwrap().output);
    let runners = [Runner::quick(chain!(add)).build().unwrap(), Runner::quick(chain!(add)).build().unwrap()];
    throughput("`Runner::quick`, one for each thread", n, tries, |x| {
        let mine = THREAD.with(|thread| *thread % 2) as usize;
        drive(runners[mine].run_as(next(), x)).unwrap().output
    });
}

fn main() {
    let has = |flag: &str| env::args().any(|arg| arg == flag);
    let rustc =
        Command::new("rustc").arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    println!(
        "{}, {} threads",
        rustc.unwrap_or_default().trim(),
        thread::available_parallelism().map_or(1, usize::from)
    );
    println!("To repeat: `cargo bench --bench scale`, with `-- --million` for the largest number\n");
    if has("--test") {
        waiting(&[1, 100], 1);
        threads(10, 1);
    } else {
        let numbers = [1, 100, 10_000, 1_000_000];
        waiting(if has("--million") { &numbers } else { &numbers[..3] }, 1_000_000);
        threads(200_000, 5);
    }
}
