//! Prices of models, and a cheaper one that takes over.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_cheaper_model_takes_over_from_its_share_on_and_is_booked_by_what_is_reported() {
    let script = Script::new([
        ("a", vec![Model("big", 79), Model("big", 1), Model("big", 1)]),
        ("b", vec![Model("big", 148), Model("big", 1), Model("small", 1), Model("big", 1_000), Model("other", 0)]),
    ]);
    let runner = Runner::quick(node_with("a", act).then(node_with("b", act)))
        .with_context(script.clone())
        .with_budget(pico(1_000))
        .with_model_fallback("big", "small", 0.8)
        .with_model_fallback("small", "tiny", 0.95)
        .with_pricing(pricing().with("other", Price::free()).unwrap())
        .build()
        .unwrap();
    let done = runner.run(1).await.unwrap();
    // 790, 800; then small: 801, 949, 950; then tiny, which is free.
    let models = ["a big", "a big", "a small", "b small", "b small", "b tiny", "b tiny", "b other"];
    assert_eq!((script.take(), done.report.spent.cost), (models.map(str::to_owned).to_vec(), Usd::picodollars(950)));
    assert_eq!(done.report.spent.tokens, 79 + 1 + 1 + 148 + 1 + 1 + 1_000);
    // Each run begins anew.
    script.0.lock().unwrap().acts.insert("a", [vec![Model("big", 1)]].into());
    runner.run(1).await.unwrap();
    assert_eq!(script.take(), ["a big"]);
}

#[tokio::test(start_paused = true)]
async fn the_downgrade_of_a_run_and_of_a_part_is_its_own() {
    // Two runs of one runner at once: the first one is poor after its first call.
    let script = Script::new([
        ("a", vec![Model("big", 9), Pause, Pause, Model("big", 0)]),
        ("a", vec![Pause, Model("big", 0), Pause, Model("big", 0)]),
    ]);
    let runner = Runner::quick(node_with("a", act))
        .with_context(script.clone())
        .with_budget(pico(100))
        .with_model_fallback("big", "small", 0.5)
        .with_pricing(pricing())
        .build()
        .unwrap();
    let (one, two) = tokio::join!(runner.run(1), runner.run(1));
    assert_eq!((one.unwrap().report.spent.cost, two.unwrap().report.spent.cost), (Usd::picodollars(90), Usd::ZERO));
    assert_eq!(script.take(), ["a big", "a big", "a small", "a big"]);

    // The part is poor, the run is not; and the share of a resumed run is that of all of it.
    let script = Script::new([
        ("a", vec![Model("big", 5)]),
        ("b", vec![Model("big", 1)]),
        ("c", vec![Model("big", 0), Do::Fail(Fail::Bad)]),
        ("c", vec![Model("big", 45), Model("big", 0)]),
    ]);
    let part = node_with("a", act).then(node_with("b", act)).budget(pico(100));
    let store = Arc::new(HeapStore::new());
    let runner = Runner::quick(part.then(node_with("c", act)))
        .with_store(store)
        .with_context(script.clone())
        .with_budget(pico(1_000))
        .with_model_fallback("big", "small", 0.5)
        .with_pricing(pricing())
        .build()
        .unwrap();
    assert!(runner.run_as(id(1), 1).await.is_err());
    assert_eq!(runner.resume(id(1)).await.unwrap().report.spent.cost, Usd::picodollars(501));
    assert_eq!(script.take(), ["a big", "b small", "c big", "c big", "c small"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_without_a_price_is_an_error_where_money_is_limited() {
    const UNKNOWN: Usage<'static> = Usage::of("gpt-9").input(10).output(10);
    let unknown = |cause: &Cause<Fail>| match cause {
        Cause::Account(SpendError::UnknownModel(model)) => model.to_string().contains("gpt-9"),
        _ => false,
    };
    for (acts, spent) in [
        (vec![ReserveOf(UNKNOWN)], (0, 0)),
        (vec![RecordOf(UNKNOWN)], (20, 0)),
        // Whatever the node makes of it.
        (vec![TryRecord(UNKNOWN)], (20, 0)),
        // At what was set aside for it.
        (vec![ReserveOf(Usage::of("m").input(30)), SettleOf(UNKNOWN)], (20, 30)),
    ] {
        let succeeds = matches!(acts[..], [TryRecord(_)]);
        let script = Script::new([("a", acts)]);
        let (store, sum) = (Spy::new(), Sum::default());
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, store, pico(1_000), sum);
        let halted = runner.run_as(id(1), 1).await.unwrap_err();
        assert!(unknown(&halted.cause), "{:?}", halted.cause);
        assert_eq!((halted.report.status, halted.node, script.calls("a")), (RunStatus::Failed, Some("a"), 1));
        assert_eq!((halted.report.spent.tokens, halted.report.spent.cost.as_picodollars()), spent);
        assert!(sum.is(halted.report.spent));
        // The output of what succeeded all the same is kept.
        assert_eq!(store.kept(&id(1).to_string()).contains(&"a".to_owned()), succeeds);
    }
    // Money that is limited for a part alone.
    let script = Script::new([("a", vec![RecordOf(UNKNOWN)]), ("b", vec![RecordOf(UNKNOWN)])]);
    let pipeline = node_with("a", act).then(node_with("b", act).budget(pico(1_000)));
    let halted = runner!(pipeline, script, tokens(1_000)).run(1).await.unwrap_err();
    assert!(unknown(&halted.cause) && halted.node == Some("b"));
    assert_eq!((halted.report.spent.tokens, halted.report.spent.unpriced_tokens), (40, 40));
    // Without, its tokens are counted, and that they are not in the cost.
    let script = Script::new([("a", vec![RecordOf(UNKNOWN), ReserveOf(UNKNOWN), RecordOf(Usage::of("m").input(1))])]);
    let done = runner!(node_with("a", act), script, tokens(1_000)).run(1).await.unwrap();
    let spent = done.report.spent;
    assert_eq!((spent.tokens, spent.unpriced_tokens, spent.cost.as_picodollars()), (41, 40, 1));
}

#[tokio::test(start_paused = true)]
async fn counts_that_do_not_fit_are_an_error_of_their_own() {
    const HUGE: Usage<'static> = Usage::of("m").input(u64::MAX).output(1);
    for (acts, spent) in [
        (vec![ReserveOf(HUGE)], 0),
        (vec![TryRecord(HUGE)], u64::MAX),
        // Each fits, their sum does not.
        (vec![TryRecord(Usage::tokens(u64::MAX)), TryRecord(Usage::tokens(1))], u64::MAX),
        (vec![Reserve(1), SettleOf(HUGE)], u64::MAX),
    ] {
        let script = Script::new([("a", acts)]);
        let runner = runner!(node_with("a", act).then(node_with("b", act)), script, Budget::unlimited());
        let halted = runner.run(1).await.unwrap_err();
        assert_eq!((halted.cause, halted.node), (Cause::Account(SpendError::Overflow), Some("a")));
        assert_eq!((halted.report.spent.tokens, script.calls("a")), (spent, 1));
    }
}
