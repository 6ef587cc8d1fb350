//! What goes well.

use super::*;

#[tokio::test]
async fn each_part_of_a_text_is_asked_about_once_with_a_key_of_its_own() {
    let desk = Desk::new(LONG, []).await;
    let done = desk.run().await.unwrap();
    assert_eq!(done.report.status, RunStatus::Completed);
    let [people, places, dates] = names(&done.output);
    assert!(people.contains(&"Nevil Maskelyne") && people.contains(&"John Flamsteed"), "{people:?}");
    assert!(places.contains(&"Hanover") && places.contains(&"Windsor"), "{places:?}");
    assert!(dates.contains(&"16 March 1750") && dates.contains(&"9 January 1848"), "{dates:?}");
    // The facts of a part are there once, though all four parts have her name.
    assert_eq!(people.iter().filter(|name| **name == "Caroline Herschel").count(), 1);

    let keys: BTreeMap<String, Count> = (1..=PARTS).map(|part| (desk.key(&format!("ask-{part}")), once(1))).collect();
    assert_eq!(desk.server.counts(), keys);
    let asked = desk.server.asked();
    let mut parts: Vec<&str> = asked.iter().map(|asked| asked.messages[1].1.as_str()).collect();
    // Together they are the text, each word once.
    parts.sort_by_key(|part| text::one_line(LONG).find(&text::one_line(part)[..40]));
    assert_eq!(text::one_line(&parts.join(" ")), text::one_line(LONG));
    assert!(asked.iter().all(|asked| asked.model == MODEL && asked.messages[0].0 == "system"));
    assert_eq!((done.output.took.calls, done.output.took.models), (4, BTreeSet::from([MODEL.to_owned()])));

    // It is finished: nobody is asked again.
    let again = desk.run().await.unwrap();
    assert_eq!((again.report.status, again.output.facts), (RunStatus::Resumed, done.output.facts));
    assert_eq!(desk.server.asked().len(), 4);
}

#[tokio::test]
async fn a_short_text_is_one_call() {
    let desk = Desk::new(SHORT, []).await;
    let done = is_right_about_the_short_text(desk.run().await);
    assert_eq!((done.output.took.calls, desk.server.asked().len()), (1, 1));
    assert!(done.output.took.prompt_tokens > 100 && done.output.took.completion_tokens > 50, "{:?}", done.output.took);
    assert_eq!(desk.clock.waited(), []);
}

#[tokio::test]
async fn another_text_another_model_and_another_take_are_other_runs() {
    let desk = Desk::new(SHORT, []).await;
    let id = |server: &str, model: &str, largest, take| {
        Source::find(&desk.text(), server, model, largest, take).unwrap().run_id()
    };
    let mut ids =
        vec![id("a", "b", 1, 1), id("b", "b", 1, 1), id("a", "c", 1, 1), id("a", "b", 2, 1), id("a", "b", 1, 2)];
    ids.push(id("a\nb", "c", 1, 1));
    ids.push(id("a", "b\nc", 1, 1));
    assert_eq!(id("a", "b", 1, 1), ids[0]);
    fs::write(desk.text(), LONG).unwrap();
    ids.push(id("a", "b", 1, 1));
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}
