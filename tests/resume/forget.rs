//! What `resume_from` and `forget` take away.

use super::*;

#[tokio::test]
async fn resume_from_forgets_the_node_and_what_depends_on_it() {
    for spy in stores() {
        for (from, calls) in [("a", [2, 2, 2]), ("b", [1, 2, 2]), ("c", [1, 1, 2])] {
            let three = Three::new(&Log::new());
            let runner = runner!(three, spy);
            runner.run_as(id(), 0).await.unwrap();
            let discards = spy.inside().discards;
            let done = runner.resume_from(id(), from).await.unwrap();
            assert_eq!((done.output, done.report.status, three.calls()), (3, RunStatus::Resumed, calls));
            assert_eq!(spy.inside().discards - discards, 1, "in one step");
            assert_eq!(runner.run_as(id(), 0).await.unwrap().report.restored, 3);
            assert!(runner.forget(id()).await.unwrap());
        }
    }
}

#[tokio::test]
async fn resume_from_within_a_branch_leaves_the_others() {
    let expected = [
        ("before", [2, 2, 2, 2, 2, 2]),
        ("a1", [1, 2, 2, 1, 1, 2]),
        ("a2", [1, 1, 2, 1, 1, 2]),
        ("b", [1, 1, 1, 2, 1, 2]),
        ("c", [1, 1, 1, 1, 2, 2]),
        ("after", [1, 1, 1, 1, 1, 2]),
    ];
    for (from, calls) in expected {
        let spy = Spy::new();
        let log = Log::new();
        let all = ["before", "a1", "a2", "b", "c", "after"].map(|id| Scripted::fine(&log, id));
        let [before, a1, a2, b, c, after] = &all;
        let branches = par!(node("a1", a1.f()).then(node("a2", a2.f())), node("b", b.f()), node("c", c.f()))
            .map(|(a, b, c)| a + b + c);
        let pipeline = node("before", before.f()).then(branches).then(node("after", after.f()));
        let runner = Runner::quick(pipeline).with_store(spy.clone()).build().unwrap();
        let output = runner.run_as(id(), 0).await.unwrap().output;
        assert_eq!(runner.resume_from(id(), from).await.unwrap().output, output);
        assert_eq!(all.each_ref().map(Scripted::calls), calls, "from {from}");
    }
}

#[tokio::test]
async fn resume_from_a_node_that_is_not_there_forgets_nothing() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        runner.run_as(id(), 0).await.unwrap();
        let before = spy.bytes("r");
        let halted = runner.resume_from(id(), "nobody").await.unwrap_err();
        let Cause::UnknownNode(name) = &halted.cause else { panic!("{halted}") };
        assert_eq!((name.to_string(), halted.report.status), ("nobody".to_owned(), RunStatus::Failed));
        assert!(halted.to_string().contains("no node `nobody`"), "{halted}");
        assert_eq!((spy.bytes("r"), three.calls(), spy.inside().discards), (before, [1, 1, 1], 0));
    }
}

#[tokio::test]
async fn a_store_that_cannot_discard_leaves_all_as_it_was() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        runner.run_as(id(), 0).await.unwrap();
        let before = spy.bytes("r");
        spy.inside().fail_discard = Some(StoreErrorKind::Unavailable);
        let halted = runner.resume_from(id(), "b").await.unwrap_err();
        assert!(matches!(halted.cause, Cause::Store(_)));
        assert_eq!((halted.report.status, spy.bytes("r"), three.calls()), (RunStatus::Partial, before, [1, 1, 1]));
    }
}

#[tokio::test]
async fn forget_forgets() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        let runner = runner!(three, spy);
        assert_eq!(runner.forget(id()).await, Ok(false));
        runner.run_as(id(), 0).await.unwrap();
        assert_eq!(runner.forget(id()).await, Ok(true));
        assert_eq!(runner.forget(id()).await, Ok(false));
        assert_eq!(spy.kept("r"), [""; 0]);
        // So that the id is free, for another input too.
        assert_eq!(runner.run_as(id(), 5).await.unwrap().report.status, RunStatus::Completed);
        assert_eq!(three.calls(), [2, 2, 2]);
    }
}
