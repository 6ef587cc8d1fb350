//! The work with other crates, as their documentation has it. What does not mean the same is said at the function.
#![allow(dead_code, reason = "each bench uses its part")]

/// Chains of functions: [`skid_pipe`].
pub(crate) mod skid {
    use skid_pipe::TryAsyncPipe;

    use crate::work::{Payload, block_on, repeat, step};

    /// Eight nodes. A pipe is run through `&mut`, so by one at a time.
    #[inline(never)]
    pub(crate) fn seq8<P: Payload>(n: u64) -> u64 {
        let mut pipe = TryAsyncPipe::new(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>)
            .try_then(step::<P>);
        repeat(n, |input: P| block_on(pipe.run(input)).unwrap())
    }
}

/// Services and layers: [`tower`].
pub(crate) mod services {
    use std::{
        future::{Ready, ready},
        hint::black_box,
    };

    use tower::{BoxError, Service, ServiceBuilder, ServiceExt, retry::Policy, service_fn};

    use crate::work::{
        Failed, Payload, block_on, repeat, step, timers,
        with_stroma::{LIMIT, RETRIES},
    };

    /// Eight nodes.
    #[inline(never)]
    pub(crate) fn seq8<P: Payload>(n: u64) -> u64 {
        let mut chain = service_fn(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>)
            .and_then(step::<P>);
        repeat(n, |input: P| block_on(async { ServiceExt::<P>::ready(&mut chain).await?.call(input).await }).unwrap())
    }

    /// So many times again, at once. What failed and what took too long are counted together.
    #[derive(Clone)]
    struct Again(u32);

    impl<P: Clone> Policy<P, P, BoxError> for Again {
        type Future = Ready<()>;

        fn retry(&mut self, _: &mut P, result: &mut Result<P, BoxError>) -> Option<Ready<()>> {
            if result.is_ok() || self.0 == 0 {
                return None;
            }
            self.0 -= 1;
            Some(ready(()))
        }

        fn clone_request(&mut self, request: &P) -> Option<P> {
            Some(request.clone())
        }
    }

    /// Eight nodes with a retry and a time-out on each. The time-out sets its timer at once, whether the node waits or not.
    #[inline(never)]
    pub(crate) fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
        let timers = timers();
        let _entered = timers.enter();
        let (retries, limit) = black_box((RETRIES, LIMIT));
        let node = || ServiceBuilder::new().retry(Again(retries)).timeout(limit).service(service_fn(step::<P>));
        macro_rules! next {
            () => {{
                let node = node();
                move |x: P| node.clone().oneshot(x)
            }};
        }
        let mut chain = node()
            .and_then(next!())
            .and_then(next!())
            .and_then(next!())
            .and_then(next!())
            .and_then(next!())
            .and_then(next!())
            .and_then(next!());
        repeat(n, |input: P| {
            block_on(async { ServiceExt::<P>::ready(&mut chain).await?.call(input).await })
                .map_err(|_: BoxError| Failed)
                .unwrap()
        })
    }
}

/// Retries of one function: [`backon`].
pub(crate) mod retries {
    use std::{hint::black_box, time::Duration};

    use backon::{ConstantBuilder, Retryable};
    use tokio::time::timeout;

    use crate::work::{
        Failed, Payload, block_on, repeat, step, timers,
        with_stroma::{LIMIT, RETRIES},
    };

    /// Eight nodes with a retry and a time-out on each; the time-out is tokio's, since backon has none. What failed and what took
    /// too long are counted together.
    #[inline(never)]
    pub(crate) fn seq8_retry_timeout<P: Payload>(n: u64) -> u64 {
        async fn node<P: Payload>(policy: ConstantBuilder, limit: Duration, input: P) -> Result<P, Failed> {
            let attempt = || {
                let attempt = timeout(limit, step(input.clone()));
                async move { attempt.await.unwrap_or(Err(Failed)) }
            };
            attempt.retry(policy).await
        }
        async fn run<P: Payload>(policy: ConstantBuilder, limit: Duration, x: P) -> Result<P, Failed> {
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            let x = node(policy, limit, x).await?;
            node(policy, limit, x).await
        }
        let timers = timers();
        let _entered = timers.enter();
        let (retries, limit) = black_box((RETRIES, LIMIT));
        let policy = ConstantBuilder::new().with_delay(Duration::ZERO).with_max_times(retries as usize);
        repeat(n, |input: P| block_on(run(policy, limit, input)).unwrap())
    }
}

/// Two futures, joined by a macro.
pub(crate) mod joins {
    use crate::work::{Failed, Payload, block_on, repeat, step};

    /// Two branches with `futures_util::try_join!`.
    #[inline(never)]
    pub(crate) fn futures<P: Payload>(n: u64) -> u64 {
        async fn run<P: Payload>(input: P) -> Result<P, Failed> {
            let (left, right) = (step(input.clone()), step(input));
            let (left, _right) = futures_util::try_join!(left, right)?;
            Ok(left)
        }
        repeat(n, |input: P| block_on(run(input)).unwrap())
    }

    /// Two branches with `tokio::try_join!`.
    #[inline(never)]
    pub(crate) fn tokio<P: Payload>(n: u64) -> u64 {
        async fn run<P: Payload>(input: P) -> Result<P, Failed> {
            let (left, _right) = tokio::try_join!(step(input.clone()), step(input))?;
            Ok(left)
        }
        repeat(n, |input: P| block_on(run(input)).unwrap())
    }
}

/// Durable steps: [`memable`], and stroma with the same database.
pub(crate) mod durable {
    use std::{
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use memable::{Context, Engine, EngineError, StepError, WorkflowState};
    use stroma::{RunId, Runner, node, store::RedbStore};
    use tokio::runtime::Runtime;

    use crate::work::{Payload, step, with_stroma};

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// Eight steps, each kept under its key, and the input. Each run is a task that is spawned, with a row that says how it stands.
    async fn eight<P: Payload + Sync>(cx: Context, sum: Arc<AtomicU64>) -> Result<(), EngineError> {
        let mut x: P = cx.input()?.unwrap();
        for key in ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"] {
            let input = x;
            let attempt = async move || step(input.clone()).await.map_err(|_| StepError::permanent("failed"));
            x = cx.step(key).run(attempt).await?;
        }
        sum.fetch_add(x.sum(), Ordering::Relaxed);
        Ok(())
    }

    async fn one<P: Payload + Sync>(engine: &Engine, n: u64) {
        let ended = engine.invoke("eight").input(P::of(n)).await.unwrap().wait().await;
        assert_eq!(ended, WorkflowState::Completed(None));
    }

    /// Eight nodes in the memory store.
    #[inline(never)]
    pub(crate) fn stroma<P: Payload>(n: u64) -> u64 {
        with_stroma::seq8_memory::<P, 192>(n)
    }

    /// Eight steps in a database in memory.
    #[inline(never)]
    pub(crate) fn memable<P: Payload + Sync>(n: u64) -> u64 {
        let sum = Arc::new(AtomicU64::new(0));
        let kept = sum.clone();
        let mut engine = Engine::builder().in_memory().build();
        engine.register("eight", move |cx| eight::<P>(cx, kept.clone()));
        runtime().block_on(async {
            engine.start().await.unwrap();
            for i in 0..n {
                one::<P>(&engine, i).await;
            }
            engine.stop().await;
        });
        sum.load(Ordering::Relaxed)
    }

    /// Eight steps in a file.
    pub(crate) fn memable_file<P: Payload + Sync>(file: &Path) -> impl FnMut(u64) + use<P> {
        let mut engine = Engine::builder().open(file).unwrap().build();
        engine.register("eight", |cx| eight::<P>(cx, Arc::default()));
        let runtime = runtime();
        runtime.block_on(engine.start()).unwrap();
        move |n| runtime.block_on(one::<P>(&engine, n))
    }

    /// Eight nodes in a file. The runs are kept, as those of memable are.
    pub(crate) fn stroma_file<P: Payload + Sync>(file: &Path) -> impl FnMut(u64) + use<P> {
        let chain = node("n1", step::<P>)
            .then(node("n2", step::<P>))
            .then(node("n3", step::<P>))
            .then(node("n4", step::<P>))
            .then(node("n5", step::<P>))
            .then(node("n6", step::<P>))
            .then(node("n7", step::<P>))
            .then(node("n8", step::<P>));
        let runner = Runner::new(chain).with_store(RedbStore::open(file).unwrap()).build().unwrap();
        let runtime = runtime();
        move |n| drop(runtime.block_on(runner.run_as(RunId::from_u128(u128::from(n) + 1), P::of(n))).unwrap())
    }
}
