//! What waiting mends.

use super::*;

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    for (when, wait) in
        [(ComeBack::Seconds(7), Some(secs(7))), (ComeBack::Date(11), Some(secs(11))), (ComeBack::Unsaid, None)]
    {
        let desk = Desk::new(SHORT, [Fault::Throttled(when)]).await;
        let done = is_right_about_the_short_text(desk.run().await);
        assert_eq!(desk.clock.waited(), [wait.unwrap_or_else(|| desk.computed(1))], "{when:?}");
        assert_eq!(desk.count("ask-1"), Count { seen: 2, done: 1 });
        let messages: Vec<String> = done.trace.failures().map(|event| format!("{:?}", event.outcome)).collect();
        assert!(messages.len() == 1 && messages[0].contains("too much to do (429)"), "{messages:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for() {
    let desk = Desk::new(SHORT, [Fault::Throttled(ComeBack::Seconds(7_200))]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 1));
    assert!(llm_error(&halted).to_string().contains("asks to be left alone for 7200s"), "{halted:?}");
    assert_eq!((desk.clock.waited(), desk.server.asked().len()), (vec![], 1));
    // Later it goes on.
    is_right_about_the_short_text(desk.run().await);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT] {
        let desk = Desk::new(SHORT, [Fault::Status(status), Fault::Status(status)]).await;
        is_right_about_the_short_text(desk.run().await);
        assert_eq!(desk.clock.waited(), [desk.computed(1), desk.computed(2)], "{status}");
        assert_eq!(desk.count("ask-1"), Count { seen: 3, done: 1 });
    }
}

#[tokio::test]
async fn a_server_that_always_fails_is_asked_five_times() {
    let fault = Fault::Status(StatusCode::BAD_GATEWAY);
    let desk = Desk::new(SHORT, [fault; 5]).await;
    let halted = desk.run().await.unwrap_err();
    assert_eq!((halted.node, halted.attempt, halted.class), (Some("ask-1"), 5, FailureClass::Recoverable));
    assert_eq!((halted.report.status, desk.clock.waited().len()), (RunStatus::Partial, 4));
    assert!(story(&halted).contains("the server failed (502 Bad Gateway)"), "{}", story(&halted));
    assert_eq!(desk.count("ask-1"), Count { seen: 5, done: 0 });
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_with_the_same_key_and_not_paid_for_again() {
    let desk = Desk::new(SHORT, [Fault::CutOff]).await;
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!(desk.count("ask-1"), Count { seen: 2, done: 1 });
    assert_eq!(desk.clock.waited(), [desk.computed(1)]);
    let message = format!("{:?}", done.trace.failures().next().unwrap().outcome);
    assert!(message.contains("lost in the middle of the answer") && message.contains("Recoverable"), "{message}");
}

#[tokio::test]
async fn a_slow_answer_within_the_limit_is_waited_for() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(59))]).await;
    let ended = desk.run_beside(async {
        desk.server.arrived(1).await;
        while desk.server_clock.next_wake() != Some(secs(59)) {
            tokio::task::yield_now().await;
        }
        desk.server_clock.advance(secs(59));
    });
    is_right_about_the_short_text(ended.await);
    assert_eq!((desk.count("ask-1"), desk.clock.waited()), (once(1), vec![]));
}

#[tokio::test]
async fn an_answer_that_is_too_slow_is_given_up_and_asked_for_again() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(61))]).await;
    let ended = desk.run_beside(async {
        desk.server.arrived(1).await;
        desk.clock.time_is_up();
    });
    let done = is_right_about_the_short_text(ended.await);
    // The server had done the work, and answers the same key out of its memory.
    assert_eq!((desk.count("ask-1"), desk.clock.waited()), (Count { seen: 2, done: 1 }, vec![desk.computed(1)]));
    assert_eq!(done.trace.failures().count(), 1);
}

#[tokio::test]
async fn a_server_that_is_always_too_slow_ends_the_run() {
    let desk = Desk::new(SHORT, [Fault::Slow(secs(61)); 5]).await;
    let ended = desk.run_beside(async {
        for attempt in 1..=5 {
            desk.server.arrived(attempt).await;
            desk.clock.time_is_up();
        }
    });
    let halted = ended.await.unwrap_err();
    assert!(matches!(halted.cause, Cause::TimedOut { limit: ATTEMPT_LIMIT }), "{:?}", halted.cause);
    assert_eq!((halted.report.status, halted.attempt), (RunStatus::Partial, 5));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_looked_for_again() {
    let desk = Desk::new(SHORT, []).await;
    // Gone again, while the other one still has its own port.
    let gone = Server::start(KEY, [], desk.server_clock.clone()).await.unwrap();
    let client = Client::new(gone.base_url(), ApiKey::new(KEY)).unwrap();
    let address = gone.base_url().trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    drop(gone);
    // The task that listened ends at its next turn.
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let halted = desk.run_with(desk.source(), client, async {}).await.unwrap_err();
    assert!(matches!(llm_error(&halted), LlmError::Unreachable(_)), "{halted:?}");
    assert_eq!((halted.report.status, desk.clock.waited().len()), (RunStatus::Partial, 4));
    assert!(story(&halted).contains("see that it runs, and that --base-url is right"), "{}", story(&halted));
    // It is there, at another place.
    is_right_about_the_short_text(desk.run().await);
}
