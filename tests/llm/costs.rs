//! What it costs.

use super::*;

#[tokio::test]
async fn what_is_reported_is_the_bill_to_the_picodollar() {
    // The model is named by its version, asked by the plain name; one answer has to be repaired, and one part is throttled.
    for model in [BIG, SMALL] {
        let faults = [Fault::Nonsense(Nonsense::WrongType), Fault::Throttled(ComeBack::Seconds(1))];
        let desk = Desk::of(model, Usd::dollars(1), LONG, faults).await;
        let done = desk.run().await.unwrap();
        let billed = desk.server.billed();
        assert_eq!(billed.len(), PARTS + 1);
        assert!(billed.iter().all(|billed| billed.model.starts_with(&format!("{model}-2024"))), "{billed:?}");
        assert_eq!(done.report.spent.cost, desk.bill(), "{model}");
        let tokens: u64 = billed.iter().map(|billed| billed.prompt_tokens + billed.completion_tokens).sum();
        assert_eq!((done.report.spent.tokens, done.report.spent.unpriced_tokens), (tokens, 0));
        let took = &done.output.took;
        assert_eq!((took.prompt_tokens + took.completion_tokens, took.calls), (tokens, 5));

        // A run that is over costs no more.
        let again = desk.run().await.unwrap();
        assert_eq!((again.report.status, again.report.spent.cost), (RunStatus::Resumed, desk.bill()));
        assert_eq!(desk.server.billed().len(), PARTS + 1);
    }
}

#[tokio::test]
async fn no_call_is_made_that_does_not_fit_into_the_budget_with_the_others() {
    let rich = Desk::of(SMALL, Usd::dollars(1), LONG, []).await;
    let undisturbed = rich.run().await.unwrap();
    let mut asked = rich.server.asked();
    for (asked, billed) in asked.iter().zip(rich.server.billed()) {
        let (most, longest) = (most(asked), asked.longest.unwrap());
        assert!(cost(&billed) < most && billed.completion_tokens <= longest, "{most} {billed:?}");
    }
    // In the order of the parts, which is that in which they are asked about.
    asked.sort_by(|a, b| a.key.cmp(&b.key));
    let each: Vec<Usd> = asked.iter().map(most).collect();

    for fit in 0..PARTS {
        // What the next one would take, less a picodollar.
        let limit = total(each[..=fit].iter().copied()).checked_sub(Usd::picodollars(1)).unwrap();
        let desk = Desk::of(SMALL, limit, LONG, []).await;
        let halted = desk.run().await.unwrap_err();
        // All are asked for at once; a later one is smaller, so it may fit where one before it did not.
        let (mut held, mut made) = (Usd::ZERO, BTreeSet::new());
        for (part, most) in each.iter().enumerate() {
            let with = held.checked_add(*most).unwrap();
            if with <= limit {
                (held, _) = (with, made.insert(desk.key(&format!("ask-{}", part + 1))));
            }
        }
        assert!(made.len() >= fit && made.len() < PARTS, "{made:?}");
        assert_eq!(desk.server.counts(), made.iter().map(|key| (key.clone(), once(1))).collect(), "{fit}");
        let Cause::Budget(BudgetExceeded::Cost { limit: told, actual }) = halted.cause else { panic!("{halted:?}") };
        assert!(told == limit && actual > limit, "{actual}");
        assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 1));
        assert!(halted.report.spent.cost == desk.bill() && desk.bill() <= limit, "{} {limit}", desk.bill());

        // With a larger one it goes on: what was paid for is not asked again.
        let desk = Desk { budget: Budget::unlimited().cost(Usd::dollars(1)), ..desk };
        let done = desk.run().await.unwrap();
        assert_eq!(done.output, undisturbed.output, "{fit}");
        assert!(desk.server.counts().values().all(|count| *count == once(1)), "{:?}", desk.server.counts());
        assert_eq!((done.report.spent.cost, desk.bill()), (rich.bill(), rich.bill()), "{fit}");
    }
}

#[tokio::test]
async fn a_budget_of_tokens_is_kept_too() {
    let desk = Desk { budget: Budget::unlimited().tokens(1_000), ..Desk::new(SHORT, []).await };
    let halted = desk.run().await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Budget(BudgetExceeded::Tokens { limit: 1_000, .. })), "{halted:?}");
    assert_eq!((halted.report.spent.tokens, desk.server.asked()), (0, vec![]));
    let desk = Desk { budget: Budget::unlimited().tokens(3_000), ..desk };
    let done = is_right_about_the_short_text(desk.run().await);
    // Without a limit of money no price is asked for.
    assert_eq!(done.report.spent.unpriced_tokens, done.report.spent.tokens);
}

#[tokio::test]
async fn a_call_that_may_have_been_charged_for_stays_booked() {
    let gateway = |status| Fault::Status(status);
    for (fault, stays) in [
        (Fault::CutOff, true),
        (Fault::Garbled, true),
        (Fault::WebPage, true),
        (gateway(StatusCode::GATEWAY_TIMEOUT), true),
        (gateway(StatusCode::BAD_GATEWAY), true),
        (gateway(StatusCode::INTERNAL_SERVER_ERROR), false),
        (gateway(StatusCode::SERVICE_UNAVAILABLE), false),
        (Fault::Throttled(ComeBack::Seconds(3)), false),
    ] {
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, [fault]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        let asked = desk.server.asked();
        // The same body with the same key, of which the server bills one.
        assert_eq!((asked.len(), desk.count("ask-1")), (2, Count { seen: 2, done: 1 }), "{fault:?}");
        assert_eq!((&asked[0].messages, asked[0].longest), (&asked[1].messages, asked[1].longest));
        let lost = if stays { most(&asked[0]) } else { Usd::ZERO };
        assert_eq!(done.report.spent.cost, desk.bill().checked_add(lost).unwrap(), "{fault:?}");
    }
    // What is refused for good, and a server that is not there, cost nothing.
    for fault in [Fault::Status(StatusCode::UNAUTHORIZED), Fault::OutOfCredit] {
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, [fault]).await;
        assert_eq!(desk.run().await.unwrap_err().report.spent.cost, Usd::ZERO, "{fault:?}");
    }
}

#[tokio::test]
async fn calls_that_are_lost_use_the_budget_up() {
    // Enough for two of them.
    let one = most(&{
        let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
        desk.run().await.unwrap();
        desk.server.asked().remove(0)
    });
    let limit = total([one, one]);
    let desk = Desk::of(SMALL, limit, SHORT, [Fault::CutOff; 5]).await;
    let halted = desk.run().await.unwrap_err();
    assert!(matches!(halted.cause, Cause::Budget(_)), "{halted:?}");
    assert_eq!((halted.report.spent.cost, desk.server.asked().len()), (limit, 2));
    // What was spent is kept with the run, whose budget is used up until it is raised.
    let again = desk.run().await.unwrap_err();
    assert_eq!((again.report.spent.cost, desk.server.asked().len()), (limit, 2));
    let desk = Desk { budget: Budget::unlimited().cost(Usd::dollars(1)), ..desk };
    let ended = desk.run().await;
    let done = is_right_about_the_short_text(ended);
    // Three more were cut off.
    let lost = total([one; 5]);
    assert_eq!(done.report.spent.cost, total([lost, desk.bill()]));
    assert_eq!(desk.count("ask-1"), Count { seen: 6, done: 1 });
}

#[tokio::test]
async fn the_small_model_takes_over_at_its_share_of_the_budget_and_is_booked_by_its_name() {
    let faults = || [Fault::Nonsense(Nonsense::WrongType)];
    let first = {
        let desk = Desk::of(BIG, Usd::dollars(1), SHORT, faults()).await;
        desk.run().await.unwrap();
        cost(&desk.server.billed()[0])
    };
    // Twenty times what the first call costs, of which that is a twentieth; and a picodollar more.
    let limit = first.checked_mul(20).unwrap();
    for (more, second, name) in [(0, SMALL, "gpt-4o-mini-2024-07-18"), (1, BIG, "gpt-4o-2024-08-06")] {
        let limit = limit.checked_add(Usd::picodollars(more)).unwrap();
        let desk = Desk { fallback_at: 0.05, ..Desk::of(BIG, limit, SHORT, faults()).await };
        let done = is_right_about_the_short_text(desk.run().await);
        let asked: Vec<(String, String)> =
            desk.server.asked().into_iter().map(|asked| (asked.model, asked.key.unwrap())).collect();
        let key = |node: &str, model: &str| (model.to_owned(), format!("{}/{node}/{model}", desk.id()));
        assert_eq!(asked, [key("ask-1", BIG), key("repair-1", second)]);
        assert_eq!(done.report.spent.cost, desk.bill());
        assert_eq!(desk.server.billed()[1].model, name);
        assert_eq!(done.output.took.models, BTreeSet::from(["gpt-4o-2024-08-06".to_owned(), name.to_owned()]));
    }
}

#[tokio::test]
async fn an_attempt_with_another_model_has_another_key() {
    let (big, small) = {
        let desk = Desk::of(BIG, Usd::dollars(1), SHORT, []).await;
        desk.run().await.unwrap();
        let asked = desk.server.asked().remove(0);
        (most(&asked), most(&Asked { model: SMALL.to_owned(), ..asked }))
    };
    // The call that is lost makes 80 percent of it.
    let limit = big.checked_mul(5).map(|five| Usd::picodollars(five.as_picodollars() / 4)).unwrap();
    assert!(total([big, small]) <= limit);
    let desk = Desk::of(BIG, limit, SHORT, [Fault::CutOff, Fault::Throttled(ComeBack::Seconds(2))]).await;
    let done = is_right_about_the_short_text(desk.run().await);
    let [by_big, by_small] = [BIG, SMALL].map(|model| format!("{}/ask-1/{model}", desk.id()));
    // Of the small one both attempts had the same.
    assert_eq!(desk.server.counts(), BTreeMap::from([(by_big, once(1)), (by_small, Count { seen: 2, done: 1 })]));
    let billed = desk.server.billed();
    assert_eq!(done.report.spent.cost, total([big, cost(&billed[1])]));
    assert!(desk.bill() < done.report.spent.cost && done.report.spent.cost <= limit);
}

#[tokio::test]
async fn what_is_booked_is_the_model_that_answered() {
    // A dearer one than was asked for, by a server that knows better.
    let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
    desk.server.rename(SMALL, "gpt-4o-2024-08-06");
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!(done.report.spent.cost, desk.bill());

    // One that nobody knows the price of: the run stops, and the answer is kept.
    let desk = Desk::of(SMALL, Usd::cents(5), SHORT, []).await;
    desk.server.rename(SMALL, "house-model");
    let halted = desk.run().await.unwrap_err();
    let Cause::Account(SpendError::UnknownModel(model)) = &halted.cause else { panic!("{halted:?}") };
    assert_eq!(model.name(), Some("house-model"));
    // It cost what was set aside for it, as far as anybody knows.
    let set_aside = most(&desk.server.asked()[0]);
    assert_eq!(halted.report.spent.cost, set_aside);
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!((done.report.spent.cost, desk.server.asked().len()), (set_aside, 1));
}
