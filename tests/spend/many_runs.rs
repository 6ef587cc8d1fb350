//! Runs of one runner, each with an account of its own.

use super::*;

#[test]
fn runs_of_one_runner_on_several_threads_keep_their_own_accounts() {
    /// Spends as much as it is told, in three pieces, and asks what is left in between.
    async fn spend(x: u32, cx: NodeCx<'_, ()>) -> Result<u32, Fail> {
        let mut left = cx.remaining().tokens.unwrap();
        for round in 0..3 {
            let guard = cx.reserve(Usage::tokens(u64::from(x)))?;
            yield_once().await;
            // Nobody else's reservation is seen.
            assert_eq!(cx.remaining().tokens, Some(left - u64::from(x)));
            if round == 1 {
                drop(guard);
            } else {
                guard.settle(Usage::tokens(u64::from(x) - 1)).unwrap();
            }
            let now = cx.remaining().tokens.unwrap();
            assert_eq!(left - now, u64::from(x) - u64::from(round != 1));
            left = now;
        }
        Ok(x)
    }
    let runner = Runner::quick(node_with("a", spend).then(node_with("b", spend)))
        .with_context(())
        .with_budget(tokens(10_000))
        .build()
        .unwrap();
    std::thread::scope(|threads| {
        for thread in 0..4_u32 {
            let runner = &runner;
            threads.spawn(move || {
                for round in 0..200_u32 {
                    let x = 10 + thread * 200 + round;
                    if round % 3 == 0 {
                        // Some are dropped with a guard in hand.
                        assert!(poll_once(pin!(runner.run(x))).is_pending());
                    }
                    let mut runs: Vec<_> = (0..round % 4 + 1).map(|more| Box::pin(runner.run(x + more))).collect();
                    let mut ended = 0;
                    while ended < runs.len() {
                        ended = 0;
                        for (more, run) in runs.iter_mut().enumerate() {
                            let x = x + u32::try_from(more).unwrap();
                            match poll_once(run.as_mut()) {
                                Poll::Ready(done) => {
                                    let spent = done.unwrap().report.spent.tokens;
                                    assert_eq!(spent, 2 * (3 * u64::from(x) - 2));
                                }
                                Poll::Pending => continue,
                            }
                            ended += 1;
                        }
                        if ended < runs.len() {
                            assert_eq!(ended, 0, "runs of the same pipeline end together");
                        }
                    }
                }
            });
        }
    });
}
