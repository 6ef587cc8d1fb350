//! Runs that are dropped at any of their await points.

use super::*;

/// Polls a run so often, then drops it; the run's end if it came to it.
fn cut<F: Future>(running: F, polls: u32) -> Option<F::Output> {
    let mut running = pin!(running);
    for _ in 0..polls {
        if let Poll::Ready(ended) = poll_once(running.as_mut()) {
            return Some(ended);
        }
    }
    None
}

#[test]
fn a_run_dropped_at_any_await_point_loses_nothing_that_was_kept() {
    let clock = ManualClock::new();
    // Each operation of the store waits, each node waits, and one of them is tried again.
    let yields = |log: &Log, id: &'static str, fails: bool| {
        let (log, failed) = (log.clone(), AtomicU32::new(u32::from(fails)));
        move |x: u32| {
            log.add(id);
            let fail = failed.swap(0, Ordering::SeqCst) == 1;
            async move {
                yield_once().await;
                if fail { Err(Oops::Busy) } else { Ok(x + 1) }
            }
        }
    };
    let mut ended = false;
    let mut polls = 0;
    while !ended {
        polls += 1;
        let (log, spy) = (Log::new(), Spy::slow(2));
        let branches = par(
            node("b", yields(&log, "b", true)).retry(again(1)).then(node("b2", yields(&log, "b2", false))),
            node("c", yields(&log, "c", false)),
        );
        let pipeline = node("a", yields(&log, "a", false)).then(branches).map(|(b, c)| b + c);
        let pipeline = pipeline.then(node("d", yields(&log, "d", false)));
        let runner = Runner::quick(pipeline).with_clock(clock.clone()).with_store(spy.clone()).build().unwrap();
        // Cut again and again after so many polls; every part makes some way or comes to its end.
        let first = cut(runner.run_as(id(), 0), polls);
        ended = first.is_some();
        let kept = spy.kept("r");
        let ran = log.take();
        // What was kept is there, and is not run again by whoever goes on.
        let done = now_or_panic(runner.run_as(id(), 0)).unwrap();
        assert_eq!(done.output, 6, "after {polls} polls");
        let again = log.take();
        for node in &kept {
            assert!(!again.contains(node), "{node} ran again after {polls} polls: {ran:?}, then {again:?}");
        }
        assert_eq!(usize::from(done.report.restored), kept.iter().filter(|node| !node.is_empty()).count());
        assert_eq!(spy.kept("r"), ["", "a", "b", "b2", "c", "d"]);
        assert!(polls < 1_000);
    }
    assert!(polls > 15, "{polls}");
}

#[test]
fn a_resume_dropped_at_any_await_point_loses_nothing_either() {
    for from in [None, Some("b")] {
        let mut ended = false;
        let mut polls = 0;
        while !ended {
            polls += 1;
            let spy = Spy::new();
            let three = Three::new(&Log::new());
            three.c.tell([bad()]);
            let runner = runner!(three, spy);
            assert!(now_or_panic(runner.run_as(id(), 0)).is_err());
            let before = spy.kept("r");
            spy.inside().yields = Some(2);
            ended = match from {
                None => cut(runner.resume(id()), polls).is_some(),
                Some(node) => cut(runner.resume_from(id(), node), polls).is_some(),
            };
            // Of `resume_from` it is all or nothing.
            let kept = spy.kept("r");
            assert!(kept.starts_with(&before) || from.is_some() && kept[..2] == before[..2], "{kept:?}");
            assert_eq!(now_or_panic(runner.resume(id())).unwrap().output, 3);
            assert_eq!(three.calls()[0], 1);
        }
        assert!(polls > 8, "{polls}");
    }
}
