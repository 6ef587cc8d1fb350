//! What the store lost, damaged, refuses or has no room for.

use super::*;

#[tokio::test]
async fn damage_is_an_error_and_never_garbage() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.c.tell([bad()]);
        let runner = runner!(three, spy);
        assert!(runner.run_as(id(), 0).await.is_err());
        let whole = spy.bytes("r").into_iter().find(|(key, _)| key.0 == "b").unwrap().1;
        let set = |bytes: &[u8]| spy.tamper("r", "b", |kept| *kept = bytes.to_vec());
        let refused = async || {
            let halted = runner.resume(id()).await.unwrap_err();
            let Cause::Checkpoint(error) = halted.cause else { panic!("{halted}") };
            assert_eq!((error.node, halted.node, halted.report.status), (Some("b"), Some("b"), RunStatus::Failed));
            error.fault
        };
        // Every bit flipped.
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            set(&bytes);
            match refused().await {
                CheckpointFault::Damaged => assert!(bit >= 8),
                CheckpointFault::Version { found } => assert!(bit < 8 && found != FORMAT_VERSION),
                other => panic!("bit {bit}: {other}"),
            }
        }
        // Cut at every length, and too long.
        for len in 0..whole.len() {
            set(&whole[..len]);
            match refused().await {
                CheckpointFault::Truncated { len: said } => assert_eq!(said, len),
                CheckpointFault::Damaged => assert!(len >= 13),
                other => panic!("length {len}: {other}"),
            }
        }
        set(&[&whole[..], b"x"].concat());
        assert_eq!(refused().await, CheckpointFault::Damaged);
        assert_eq!((spy.kept("r"), three.calls()), (["", "a", "b"].map(str::to_owned).to_vec(), [1, 1, 1]));
        // Damage to what is not needed does no harm.
        set(&whole);
        spy.tamper("r", "a", |bytes| bytes.clear());
        assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    }
}

#[tokio::test]
async fn damage_to_the_input_is_an_error_too() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.a.tell([bad()]);
        let runner = runner!(three, spy);
        assert!(runner.run_as(id(), 300).await.is_err());
        let whole = spy.bytes("r")[0].1.clone();
        let set = |bytes: &[u8]| spy.tamper("r", "", |kept| *kept = bytes.to_vec());
        let refused = async |what: String| {
            for halted in [runner.resume(id()).await.unwrap_err(), runner.run_as(id(), 300).await.unwrap_err()] {
                let Cause::Checkpoint(error) = halted.cause else { panic!("{what}: {halted}") };
                assert_eq!((error.node, halted.node, halted.report.status), (None, None, RunStatus::Failed));
            }
        };
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            set(&bytes);
            refused(format!("bit {bit}")).await;
        }
        for len in 0..whole.len() {
            set(&whole[..len]);
            refused(format!("length {len}")).await;
        }
        assert_eq!(three.calls(), [1, 0, 0]);
        set(&whole);
        assert_eq!(runner.resume(id()).await.unwrap().output, 303);
    }
}

#[tokio::test]
async fn a_payload_larger_than_a_slot_names_both_sizes() {
    let big = async |x: u32| Ok::<_, Oops>(vec![7_u8; x as usize]);
    let length = async |bytes: Vec<u8>| Ok::<_, Oops>(bytes.len() as u32);
    let pipeline = || node("big", big).then(node("length", length));
    // 13 bytes around the payload, one for its length.
    let runner = Runner::quick(pipeline()).with_store(MemoryStore::<2, 3, 64>::new()).build().unwrap();
    assert_eq!(runner.run_as(id(), 50).await.unwrap().output, 50);
    let halted = runner.run_as(RunId::new("s").unwrap(), 51).await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.report.status), (Some("big"), 1, RunStatus::Partial));
    let texts = chain(&halted);
    let Cause::Store(error) = halted.cause else { panic!("{texts:?}") };
    assert_eq!(error.kind(), StoreErrorKind::TooLarge { len: 65, max: 64 });
    assert!(texts[1].contains("65 bytes") && texts[1].contains("64"), "{texts:?}");

    // The input is kept too.
    let runner = Runner::quick(node("length", length)).with_store(MemoryStore::<1, 2, 64>::new()).build().unwrap();
    let halted = runner.run_as(id(), vec![0; 64]).await.unwrap_err();
    let Cause::Store(error) = halted.cause else { panic!("{halted}") };
    assert_eq!((halted.node, error.kind()), (None, StoreErrorKind::TooLarge { len: 64 + 1 + 21, max: 64 }));
}

#[test]
fn too_few_slots_are_found_when_the_runner_is_built() {
    let three = Three::new(&Log::new());
    let chain = || node("a", three.a.f()).then(node("b", three.b.f())).then(node("c", three.c.f()));
    let error = Runner::quick(chain()).with_store(MemoryStore::<1, 3, 64>::new()).build().unwrap_err();
    assert_eq!(error, stroma::BuildError::TooFewSlots { slots: 3, needed: 4 });
    assert!(error.to_string().contains('4') && error.to_string().contains('3'), "{error}");
    assert!(Runner::quick(chain()).with_store(MemoryStore::<1, 4, 64>::new()).build().is_ok());
}

#[tokio::test]
async fn a_store_that_fails_halts_the_run_and_repeats_no_node() {
    let kind = StoreErrorKind::Unavailable;
    for spy in stores() {
        let three = Three::new(&Log::new());
        // Every retry there is: none of them is for the store.
        let chain = node("a", three.a.f()).then(node("b", three.b.f()).retry(again(9))).then(node("c", three.c.f()));
        let runner =
            Runner::quick(chain.retry(again(9))).with_policies(again(9)).with_store(spy.clone()).build().unwrap();
        let told = |halted: &stroma::Halted<Oops, stroma::Trace>| {
            let Cause::Store(error) = &halted.cause else { panic!("{halted}") };
            assert_eq!((error.kind(), halted.report.status), (kind, RunStatus::Partial));
            assert_eq!(halted.class, FailureClass::Recoverable);
            (halted.node, halted.attempt)
        };
        // Opening.
        spy.inside().fail_open = Some(kind);
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (None, 0));
        spy.inside().fail_open = None;
        // Writing the input.
        spy.inside().fail_put = Some(("", kind));
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (None, 0));
        assert_eq!(three.calls(), [0, 0, 0]);
        // Writing an output.
        spy.inside().fail_put = Some(("b", kind));
        assert_eq!(told(&runner.run_as(id(), 0).await.unwrap_err()), (Some("b"), 1));
        assert_eq!((three.calls(), spy.kept("r")), ([1, 1, 0], ["", "a"].map(str::to_owned).to_vec()));
        spy.inside().fail_put = None;
        // Reading the input.
        spy.inside().fail_load = Some(("", kind));
        assert_eq!(told(&runner.resume(id()).await.unwrap_err()), (None, 0));
        // Reading an output.
        spy.inside().fail_load = Some(("a", kind));
        assert_eq!(told(&runner.resume(id()).await.unwrap_err()).0, Some("a"));
        assert_eq!(three.calls(), [1, 1, 0]);
        spy.inside().fail_load = None;
        assert_eq!(runner.resume(id()).await.unwrap().output, 3);
        assert_eq!(three.calls(), [1, 2, 1]);
    }
}

#[tokio::test]
async fn the_attempt_whose_output_could_not_be_saved_is_named() {
    for spy in stores() {
        let three = Three::new(&Log::new());
        three.b.tell([Act::Fail(Oops::Busy), Act::Fail(Oops::Busy)]);
        spy.inside().fail_put = Some(("b", StoreErrorKind::Unavailable));
        let chain = node("a", three.a.f()).then(node("b", three.b.f()).retry(again(9)));
        let runner = Runner::quick(chain).with_store(spy.clone()).build().unwrap();
        let halted = runner.run_as(id(), 0).await.unwrap_err();
        assert_eq!((halted.node, halted.attempt), (Some("b"), 3));
    }
}

#[tokio::test]
async fn a_slot_that_the_store_lost_is_an_error() {
    let spy = Spy::slow(1);
    let three = Three::new(&Log::new());
    three.c.tell([bad()]);
    let runner = runner!(three, spy);
    assert!(runner.run_as(id(), 0).await.is_err());
    // Lost before it is opened, it is as if it had never been: the node runs again.
    spy.lose("r", "b");
    assert_eq!(runner.resume(id()).await.unwrap().output, 3);
    assert_eq!(three.calls(), [1, 2, 2]);
    // Lost after that, it is an error.
    let mut running = pin!(runner.resume(id()));
    while spy.inside().opens < 3 {
        assert!(poll_once(running.as_mut()).is_pending());
    }
    // The input is read first; the output is on its way.
    while spy.inside().loads.last().is_none_or(|last| !last.is_empty()) {
        assert!(poll_once(running.as_mut()).is_pending());
    }
    spy.lose("r", "c");
    if let Poll::Ready(ended) = poll_until_idle(running.as_mut()) {
        let halted = ended.unwrap_err();
        assert!(matches!(&halted.cause, Cause::Store(error) if error.kind() == StoreErrorKind::Missing), "{halted}");
    } else {
        panic!("it waits");
    }
}
