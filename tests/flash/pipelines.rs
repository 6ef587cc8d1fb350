//! Whole pipelines on a chip.

use super::*;

#[derive(Debug, PartialEq, Eq)]
struct Oops;

impl Failure for Oops {}

/// Counts the calls of each node.
#[derive(Default)]
struct Calls([AtomicU32; 5]);

impl Calls {
    fn of(&self, node: &str) -> u32 {
        STEPS.iter().position(|step| *step == node).map_or(0, |at| self.0[at].load(Ordering::SeqCst))
    }
}

const STEPS: [&str; 5] = ["start", "left", "right", "mid", "end"];

async fn step(x: u32, cx: NodeCx<'_, Arc<Calls>>) -> Result<u32, Oops> {
    let at = STEPS.iter().position(|step| *step == cx.node()).ok_or(Oops)?;
    cx.context().0[at].fetch_add(1, Ordering::SeqCst);
    chip::Waits(1 + at as u32 % 2).await;
    cx.record(Usage::tokens(10)).map_err(|_| Oops)?;
    Ok(x + 1)
}

/// Five nodes, two of them side by side, one of which keeps nothing, with a budget.
macro_rules! runner {
    ($store:expr, $calls:expr) => {{
        let branches = par(node_with("left", step), node_with("right", step)).map(|(a, b)| a * b);
        let rest = node_with("mid", step).skip_checkpoint().then(node_with("end", step));
        Runner::new(node_with("start", step).then(branches).then(rest))
            .with_store($store)
            .with_context(Arc::clone($calls))
            .with_budget(Budget::unlimited().tokens(1_000))
            .build()
            .unwrap()
    }};
}

type Wide = FlashRoom<3, 6, 256>;

fn saved<S: Store>(store: &S, run: u128) -> Vec<String> {
    let slots = look(store, run).unwrap().unwrap_or_default().slots;
    slots.into_keys().map(|(node, ..)| node).filter(|node| !node.is_empty()).collect()
}

#[test]
fn a_pipeline_goes_on_after_a_power_cut_at_every_step() {
    let mut erased = 0;
    for (waits, before) in [(0, 10), (2, 11), (0, 12), (0, 13)] {
        // Earlier runs came to their end, and the pages are in use.
        let used = Chip::<1024, 4>::waiting(5, waits);
        let calls = Arc::new(Calls::default());
        {
            let room = leaked(Wide::new());
            let runner = runner!(start(room, &used), &calls);
            for run in 100..100 + before {
                wait(runner.run_as(RunId::from_u128(run), 1)).unwrap();
            }
        }
        let image = used.state().bytes.clone();
        let mut step = 0;
        let mut resumed = 0;
        loop {
            let chip = Chip::<1024, 4>::waiting(5, waits);
            chip.state().bytes.clone_from(&image);
            let calls = Arc::new(Calls::default());
            let run = RunId::from_u128(1);
            let first = {
                let room = leaked(Wide::new());
                let runner = runner!(start(room, &chip), &calls);
                chip.cut(step, TEARS[step as usize % TEARS.len()]);
                wait(runner.run_as(run, 1))
            };
            let cut = chip.state().off;
            chip.on();
            let room = leaked(Wide::new());
            let store = start(room, &chip);
            let saved = saved(&store, 1);
            match &first {
                Ok(done) => assert_eq!(done.output, 11),
                Err(halted) => {
                    assert!(matches!(halted.cause, Cause::Store(_)), "step {step}: {halted}");
                    assert_eq!(halted.report.status, RunStatus::Partial);
                }
            }
            let done = wait(runner!(&store, &calls).run_as(run, 1)).unwrap();
            assert_eq!(done.output, 11, "step {step}");
            resumed += u32::from(done.report.status == RunStatus::Resumed && first.is_err());
            for node in STEPS {
                let (count, kept) = (calls.of(node), saved.iter().any(|saved| saved == node));
                assert!(count == 1 || (count == 2 && !kept), "step {step}: {node} ran {count} times, kept: {kept}");
            }
            let all: u32 = STEPS.iter().map(|node| calls.of(node)).sum();
            let spent = done.report.spent.tokens;
            assert!((50..=u64::from(all) * 10).contains(&spent), "step {step}: {spent} spent in {all} calls");
            if !cut {
                assert!(first.is_ok() && step > 50, "{step}");
                erased += chip.state().erased_at.len();
                break;
            }
            step += 1;
        }
        println!("{step} steps, {resumed} times gone on with");
        assert!(resumed > 50);
    }
    assert!(erased > 0, "in one of them a page was full");
}

#[test]
fn a_run_that_is_dropped_at_any_point_is_gone_on_with_by_the_same_store() {
    let mut polls = 0;
    loop {
        let chip = Chip::<1024, 4>::waiting(5, 3);
        let calls = Arc::new(Calls::default());
        let room = leaked(Wide::new());
        let store = start(room, &chip);
        let runner = runner!(&store, &calls);
        let run = RunId::from_u128(1);
        {
            let mut first = pin!(runner.run_as(run, 1));
            let waker = Waker::from(Arc::new(Bell::default()));
            let mut task = Context::from_waker(&waker);
            if (0..polls).any(|_| first.as_mut().poll(&mut task).is_ready()) {
                assert!(polls > 50);
                break;
            }
        }
        let saved = saved(&store, 1);
        assert_eq!(wait(runner.run_as(run, 1)).unwrap().output, 11);
        for node in STEPS {
            let (count, kept) = (calls.of(node), saved.iter().any(|saved| saved == node));
            assert!(count == 1 || (count == 2 && !kept), "{polls} polls: {node} ran {count} times, kept: {kept}");
        }
        polls += 1;
    }
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_one_flash_are_spawned() {
    static ROOM: FlashRoom<8, 6, 256> = FlashRoom::new();
    let chip = Chip::<1024, 4>::waiting(16, 1);
    let store = FlashStore::new(&ROOM, Box::pin(ROOM.driver(chip, 0..16 * 1024).unwrap()));
    let calls = Arc::new(Calls::default());
    let runner = Arc::new(runner!(store, &calls));
    for round in 0..4 {
        let tasks: Vec<_> = (0..8)
            .map(|run| {
                let runner = Arc::clone(&runner);
                tokio::spawn(async move { runner.run_as(RunId::from_u128(round * 8 + run), 1).await.unwrap().output })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 11);
        }
    }
    assert!(STEPS.iter().all(|node| calls.of(node) == 32));
}
