//! Programs that have changed since: other nodes, other names, other types.

use super::*;

#[tokio::test]
async fn another_pipeline_is_refused_and_nothing_is_deleted() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
        let before = spy.bytes("r");
        let n = |id: &'static str| node(id, three.a.f());
        macro_rules! refused {
            ($pipeline:expr) => {{
                let runner = Runner::quick($pipeline).with_store(spy.clone()).build().unwrap();
                for halted in [
                    runner.run_as(id(), 0).await.unwrap_err(),
                    runner.resume(id()).await.unwrap_err(),
                    runner.resume_from(id(), "a").await.unwrap_err(),
                ] {
                    let Cause::OtherPipeline { stored, now } = halted.cause else { panic!("{halted}") };
                    assert_ne!(stored, now);
                    let text = halted.to_string();
                    assert!(
                        text.contains(&format!("{stored:016x}")) && text.contains(&format!("{now:016x}")),
                        "{text}"
                    );
                    assert_eq!((halted.report.status, halted.node), (RunStatus::Failed, None));
                }
                assert_eq!(spy.bytes("r"), before);
            }};
        }
        // Added at the end, at the front and in the middle; removed; renamed; reordered; in branches.
        refused!(n("a").then(n("b")).then(n("c")).then(n("d")));
        refused!(n("z").then(n("a")).then(n("b")).then(n("c")));
        refused!(n("a").then(n("b")).then(n("b2")).then(n("c")));
        refused!(n("a").then(n("b")));
        refused!(n("b").then(n("c")).map(|x| x).then(n("a")));
        refused!(n("a").then(n("bee")).then(n("c")));
        refused!(n("b").then(n("a")).then(n("c")));
        refused!(n("a").then(par(n("b"), n("c"))).map(|(b, c)| b + c));
        assert_eq!(three.calls(), [1, 1, 1]);
        assert_eq!(runner!(three, spy).resume(id()).await.unwrap().output, 3);
    }
}

#[tokio::test]
async fn what_does_not_change_the_nodes_may_change() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.c.tell([bad()]);
    assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
    let inner = node("b", three.b.f()).then(node("c", three.c.f()).timeout(secs(9))).retry(again(1)).deadline(secs(99));
    let runner = Runner::quick(node("a", three.a.f()).then(inner).map(|x| x)).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 1, 2]);
}

#[tokio::test]
async fn a_renamed_node_says_what_it_was() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
        let renamed = || {
            let chain =
                node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("sea", three.c.f()).was("c"));
            Runner::quick(chain).with_store(spy.clone()).build().unwrap()
        };
        spy.take_loads();
        let done = renamed().resume(id()).await.unwrap();
        assert_eq!((done.output, done.report.restored, three.calls()), (3, 2, [1, 1, 2]));
        assert_eq!(spy.take_loads(), ["b"]);
        // Kept under the first name, and found by either.
        assert_eq!(renamed().run_as(id(), 0).await.unwrap().output, 3);
        assert_eq!(spy.kept("r"), ["", "a", "b", "c"]);
        for (from, calls) in [("sea", [1, 1, 3]), ("b", [1, 2, 4]), ("bee", [1, 3, 5])] {
            assert_eq!(renamed().resume_from(id(), from).await.unwrap().output, 3);
            assert_eq!(three.calls(), calls);
        }
        assert_eq!(spy.kept("r"), ["", "a", "b", "c"]);
    }
}

#[tokio::test]
async fn a_program_of_before_the_renaming_goes_on_with_what_the_new_one_kept() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    let chain = node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("c", three.c.f()));
    let new = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
    let done = new.run_as(id(), 0).await.unwrap();
    let before = spy.bytes("r");
    let old = runner!(three, spy);
    for again in [old.run_as(id(), 0).await.unwrap(), old.resume(id()).await.unwrap(), new.resume(id()).await.unwrap()]
    {
        assert_eq!((again.output, again.report.restored), (done.output, 3));
        assert_eq!(spy.bytes("r"), before);
    }
    assert_eq!(three.calls(), [1, 1, 1]);
    // Either name will do.
    for name in ["b", "bee"] {
        assert_eq!(new.resume_from(id(), name).await.unwrap().output, done.output);
    }
    assert_eq!(three.calls(), [1, 3, 3]);
}

#[tokio::test]
async fn a_renamed_node_is_found_by_a_retry_around_it() {
    let spy = Spy::new();
    let three = Three::new(&Log::new());
    three.c.tell([bad(), Act::Fail(Oops::Busy)]);
    assert!(runner!(three, spy).run_as(id(), 0).await.is_err());
    let chain =
        node("a", three.a.f()).then(node("bee", three.b.f()).was("b")).then(node("c", three.c.f()).retry(NEVER));
    let runner = Runner::quick(chain.retry(again(1))).with_store(spy.clone()).build().unwrap();
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 1, 3]);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, postcard_schema::Schema)]
struct Before {
    count: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, postcard_schema::Schema)]
struct After {
    count: u64,
}

#[tokio::test]
async fn a_checkpoint_of_another_schema_is_refused_with_both_keys() {
    for spy in stores() {
        let fails = async |_: Before| Err::<u32, _>(Oops::Bad);
        let old = node("make", async |x: u32| Ok(Before { count: x })).then(node("use", fails));
        let old = Runner::quick(old).with_store(spy.clone()).build().unwrap();
        assert!(old.run_as(id(), 7).await.is_err());
        let before = spy.bytes("r");
        let new = node("make", async |x: u32| Ok::<_, Oops>(After { count: x.into() }));
        let new = new.then(node("use", async |after: After| Ok::<_, Oops>(after.count)));
        let new = Runner::quick(new).with_store(spy.clone()).build().unwrap();
        for halted in [new.resume(id()).await.unwrap_err(), new.run_as(id(), 7).await.unwrap_err()] {
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            let keys = (<Before as stroma::store::Payload>::SCHEMA_KEY, <After as stroma::store::Payload>::SCHEMA_KEY);
            assert_eq!(error.node, Some("make"));
            assert_eq!(error.fault, CheckpointFault::Schema { stored: keys.0, expected: keys.1 });
            assert_eq!((halted.report.status, spy.bytes("r")), (RunStatus::Failed, before.clone()));
            let texts = chain(&halted);
            assert!(texts[0].contains("nothing was deleted"), "{texts:?}");
            assert!(texts[1].contains("node `make`"), "{texts:?}");
            for key in [keys.0, keys.1] {
                assert!(texts[1].contains(&format!("{key:016x}")), "{texts:?}");
            }
        }
        // What it advises works.
        assert_eq!(new.resume_from(id(), "make").await.unwrap().output, 7);
    }
}

#[tokio::test]
async fn an_input_of_another_schema_is_refused() {
    for spy in stores() {
        let old = Runner::quick(node("a", async |_: Before| Err::<u32, _>(Oops::Bad))).with_store(spy.clone());
        assert!(old.build().unwrap().run_as(id(), Before { count: 1 }).await.is_err());
        let new =
            Runner::quick(node("a", async |_: After| Ok::<u32, Oops>(1))).with_store(spy.clone()).build().unwrap();
        for halted in [new.resume(id()).await.unwrap_err(), new.run_as(id(), After { count: 1 }).await.unwrap_err()] {
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            assert_eq!(error.node, None);
            assert!(matches!(error.fault, CheckpointFault::Schema { .. }), "{error}");
        }
        assert_eq!(spy.kept("r"), [""]);
    }
}
