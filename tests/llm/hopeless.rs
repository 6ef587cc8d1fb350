//! What waiting does not mend.

use super::*;

#[tokio::test]
async fn a_key_that_is_refused_is_not_tried_again_and_never_shown() {
    let desk = Desk::new(SHORT, []).await;
    let client = desk.client("sk-another-secret");
    assert!(!format!("{client:?}").contains("another-secret"));
    let halted = desk.run_with(desk.source(), client, async {}).await.unwrap_err();
    assert_eq!((halted.class, halted.attempt, halted.report.status), (FailureClass::Terminal, 1, RunStatus::Failed));
    // The server repeats the key that it was shown.
    let story = story(&halted);
    assert!(
        story.contains("401 Unauthorized") && story.contains("(the key)") && story.contains("OPENAI_API_KEY"),
        "{story}"
    );
    assert!(!format!("{story} {halted:?} {halted:#?} {}", halted.trace.to_json().unwrap()).contains("another-secret"));
    assert_eq!(desk.clock.waited(), []);
    is_right_about_the_short_text(desk.run().await);
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_made_again() {
    for (fault, says) in [
        (Fault::Status(StatusCode::UNAUTHORIZED), "set OPENAI_API_KEY"),
        (Fault::Status(StatusCode::FORBIDDEN), "take another one"),
        (Fault::Status(StatusCode::NOT_FOUND), "see that --base-url ends before /chat/completions"),
        (Fault::Status(StatusCode::BAD_REQUEST), "mend what it names"),
        (Fault::Status(StatusCode::TEMPORARY_REDIRECT), "give the address that it is at now"),
        (Fault::OutOfCredit, "waiting does not help"),
    ] {
        let desk = Desk::new(SHORT, [fault]).await;
        let halted = desk.run().await.unwrap_err();
        assert_eq!(
            (halted.class, halted.attempt, desk.server.asked().len()),
            (FailureClass::Terminal, 1, 1),
            "{fault:?}"
        );
        assert!(story(&halted).contains(says), "{}", story(&halted));
        assert_eq!((desk.count("ask-1"), desk.clock.waited()), (once(0), vec![]));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_understands_is_asked_for_once_more() {
    for (fault, says) in [
        (Fault::Garbled, "not as the protocol has it, at `choices[0].message.content`"),
        (Fault::WebPage, "the answer is text/html; charset=utf-8, not JSON"),
    ] {
        let desk = Desk::new(SHORT, [fault]).await;
        is_right_about_the_short_text(desk.run().await);
        assert_eq!((desk.count("ask-1"), desk.clock.waited()), (Count { seen: 2, done: 1 }, vec![secs(1)]));

        let desk = Desk::new(SHORT, [fault; 2]).await;
        let halted = desk.run().await.unwrap_err();
        assert_eq!((halted.class, halted.attempt), (FailureClass::Ambiguous, 2), "{fault:?}");
        assert!(story(&halted).contains(says), "{}", story(&halted));
    }
}

#[tokio::test]
async fn what_came_for_other_parts_is_kept_when_one_fails() {
    let desk = Desk::new(LONG, [Fault::Status(StatusCode::BAD_REQUEST)]).await;
    let halted = desk.run().await.unwrap_err();
    let failed = halted.node.unwrap();
    assert!(failed.starts_with("ask-"), "{failed}");
    let done = desk.run().await.unwrap();
    assert_eq!((done.report.status, done.output.took.calls), (RunStatus::Resumed, 4));
    for part in 1..=PARTS {
        let node = format!("ask-{part}");
        let seen = if node == failed { 2 } else { 1 };
        assert_eq!(desk.count(&node), Count { seen, done: 1 }, "{node}");
    }
}

#[tokio::test]
async fn one_key_is_for_one_request() {
    let desk = Desk::new(SHORT, []).await;
    let client = desk.client(KEY);
    let chat = |text: &str| Chat {
        model: MODEL.to_owned(),
        messages: vec![Message { role: Role::User, content: text.to_owned() }],
        max_completion_tokens: 500,
        response_format: Format::JsonObject,
    };
    let first = client.complete(&chat("Ada Lovelace wrote 7 notes."), "key").await.unwrap();
    assert_eq!(client.complete(&chat("Ada Lovelace wrote 7 notes."), "key").await.unwrap(), first);
    let other = client.complete(&chat("Something else."), "key").await.unwrap_err();
    assert!(other.to_string().contains("sent before with another request"), "{other}");
    assert_eq!(other.class(), FailureClass::Terminal);
    assert_eq!(desk.server.counts(), BTreeMap::from([("key".to_owned(), Count { seen: 3, done: 1 })]));
    // A key that cannot be sent is a mistake of the program's, and nothing is sent.
    let unsendable = client.complete(&chat("a"), "two\nlines").await.unwrap_err();
    assert!(matches!(unsendable, LlmError::Unsendable(_)), "{unsendable:?}");
    assert_eq!(desk.server.asked().len(), 3);
    // The answer is no longer than it was allowed to be.
    let short = Chat { max_completion_tokens: 5, ..chat("Ada Lovelace wrote 7 notes.") };
    let short = client.complete(&short, "short").await.unwrap();
    assert!(short.cut && short.completion_tokens <= 5, "{short:?}");
}

#[tokio::test]
async fn a_base_url_or_a_key_that_cannot_be_used_is_told_before_anything_is_sent() {
    let client = |url: &str, key: &str| Client::new(url, ApiKey::new(key)).unwrap_err();
    assert!(matches!(client("api.openai.com", KEY), SetupError::Url(_)));
    assert!(matches!(client("ftp://api.openai.com/v1", KEY), SetupError::NotHttp));
    assert!(matches!(client("http://a/v1", " "), SetupError::Key));
    let broken = client("http://a/v1", "sk-two\nlines");
    assert!(matches!(broken, SetupError::Key) && !story(&broken).contains("two"));
    // With and without a slash at the end it is the same place.
    let desk = Desk::new(SHORT, []).await;
    let slash = Client::new(&format!("{}/", desk.server.base_url()), ApiKey::new(KEY)).unwrap();
    is_right_about_the_short_text(desk.run_with(desk.source(), slash, async {}).await);
}

#[tokio::test]
async fn a_text_that_cannot_be_asked_about_costs_nothing() {
    let desk = Desk::new(SHORT, []).await;
    let halt = async |bytes: &[u8], largest: u32| {
        fs::write(desk.text(), bytes).unwrap();
        let source = Source::find(&desk.text(), "the server", MODEL, largest, 1).unwrap();
        let halted = desk.run_with(source, desk.client(KEY), async {}).await.unwrap_err();
        assert_eq!((halted.node, halted.class), (Some("read"), FailureClass::Terminal));
        story(&halted)
    };
    assert!(halt(b" \n\n", 1_500).await.contains("the text is empty"));
    assert!(halt(b"caf\xe9", 1_500).await.contains("not UTF-8"));
    let long = halt(LONG.as_bytes(), 40).await;
    assert!(long.contains("where 40 are allowed") && long.contains("--part-words"), "{long}");

    let source = desk.source();
    fs::write(desk.text(), SHORT).unwrap();
    let halted = desk.run_with(source, desk.client(KEY), async {}).await.unwrap_err();
    assert!(story(&halted).contains("written to in between"), "{}", story(&halted));
    let missing = Source::find(Path::new("/nowhere/at/all"), "the server", MODEL, 1, 1).unwrap_err();
    assert!(story(&missing).contains("cannot be read: No such file"), "{}", story(&missing));
    assert_eq!(desk.server.asked(), []);
}
