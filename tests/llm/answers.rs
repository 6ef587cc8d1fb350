//! What the model says.

use super::*;

#[tokio::test]
async fn an_answer_that_is_wrong_is_shown_to_the_model_with_what_is_wrong() {
    for (nonsense, path, says) in [
        (Nonsense::WrongType, "wrong at `numbers[0].value`", "invalid type: string \"many\""),
        (Nonsense::Prose, "wrong as a whole", "expected value"),
        (Nonsense::Invented, "wrong at `people[2].sentence`", "does not have the sentence `Nobody has ever written"),
        (Nonsense::TooLong, "wrong as a whole", "it ended at its limit of tokens"),
    ] {
        let desk = Desk::new(SHORT, [Fault::Nonsense(nonsense)]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        // Another request has another key, or the server would have nothing new to say.
        assert_eq!((desk.count("ask-1"), desk.count("repair-1")), (once(1), once(1)), "{nonsense:?}");
        let asked = desk.server.asked();
        let [first, second] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(second.messages[..2], first.messages[..]);
        let [_, _, (wrong_by, wrong), (told_by, told)] = &second.messages[..] else { panic!("{second:?}") };
        assert_eq!((wrong_by.as_str(), told_by.as_str()), ("assistant", "user"));
        assert!(!wrong.is_empty() && told.contains(path) && told.contains(says), "{told}");
        // Both calls are counted, and nothing was waited for: it is no failure.
        assert_eq!((done.output.took.calls, desk.clock.waited()), (2, vec![]));
        assert_eq!(done.trace.failures().count(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_wrong_twice_ends_the_run() {
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType); 2]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!(
        (halted.node, halted.class, halted.report.status),
        (Some("check-1"), FailureClass::Terminal, RunStatus::Failed)
    );
    let Cause::Contract(broken) = &halted.cause else { panic!("{halted:?}") };
    assert_eq!(broken.violation.path(), "numbers[0].value");
    assert!(broken.violation.message().starts_with("invalid type: string \"many\", expected f64"), "{broken}");
    assert_eq!(desk.server.asked().len(), 2);
    // The same again would be the same, and is not paid for; another take is.
    desk.run().await.unwrap_err();
    assert_eq!(desk.server.asked().len(), 2);
    let take = Source::find(&desk.text(), "the server", MODEL, 1_500, 2).unwrap();
    is_right_about_the_short_text(desk.run_with(take, desk.client(KEY), async {}).await);
    assert_eq!(desk.server.asked().len(), 3);
}

#[tokio::test]
async fn a_contract_says_which_field_is_wrong_and_why() {
    for (nonsense, path, says) in [
        (Nonsense::Prose, "", "expected value at line 1 column 1"),
        (Nonsense::TooLong, "", "EOF while parsing"),
        (Nonsense::Invented, "people[2].sentence", "the text does not have the sentence `Nobody has ever written"),
    ] {
        let desk = Desk::new(SHORT, [Fault::Nonsense(nonsense); 2]).await;
        for _ in 0..2 {
            let halted = desk.run().await.unwrap_err();
            let Cause::Contract(broken) = &halted.cause else { panic!("{halted:?}") };
            assert_eq!((halted.node, halted.report.status), (Some("check-1"), RunStatus::Failed), "{nonsense:?}");
            let (at, why) = (broken.violation.path(), broken.violation.message());
            assert!((at == path || path.is_empty()) && why.contains(says), "{nonsense:?}: {broken}");
        }
        // The second time nobody was asked.
        assert_eq!(desk.server.asked().len(), 2, "{nonsense:?}");
    }
}
