//! The built program, with a real SIGKILL.

use super::*;

struct Ran {
    code: Option<i32>,
    signal: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn ends_with(self, code: i32) -> Self {
        assert_eq!((self.code, self.signal), (Some(code), None), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(&self, what: &str) -> &Self {
        assert!(self.err.contains(what), "{what}\n--- err\n{}", self.err);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The nodes that were checkpointed.
    fn checkpointed(&self) -> Vec<&str> {
        let said = self.err.lines().filter_map(|line| line.strip_suffix(": checkpointed"));
        let last = self.err.lines().filter_map(|line| line.strip_prefix("llm: `")?.split_once("` is checkpointed"));
        said.chain(last.map(|(node, _)| node)).collect()
    }
}

impl Desk {
    /// Runs the program on the text and with the server, while the server goes on.
    async fn program(&self, state: &str, options: &[&str]) -> Ran {
        let url = self.server.base_url().to_owned();
        let mut command = self.alone(state);
        command.env("OPENAI_API_KEY", KEY).args(["--base-url", &url]).arg(self.text()).args(options);
        ran(command).await
    }

    fn alone(&self, state: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program("llm"));
        command.env_remove("OPENAI_API_KEY").arg("--state").arg(self.folder.path().join(state));
        command
    }
}

async fn ran(mut command: tokio::process::Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), signal: status.signal(), out: text(stdout), err: text(stderr) }
}

#[tokio::test]
async fn killed_after_any_node_the_same_command_pays_for_no_finished_call_again() {
    let desk = Desk::new(LONG, []).await;
    let undisturbed = desk.program("undisturbed.redb", &["--json"]).await.ends_with(0).json();
    assert_eq!(undisturbed["took"]["calls"], 4);

    let refused = desk.program("refused.redb", &["--kill-after", "nobody"]).await.ends_with(2);
    let (_, nodes) = refused.err.lines().next().unwrap().split_once("the nodes are ").unwrap();
    let nodes: Vec<&str> = nodes.split(", ").collect();
    // Those that keep something: the answers are checked anew each time.
    assert_eq!(nodes.len(), 2 * PARTS + 2, "{nodes:?}");

    // One of the answers is wrong, so that there is a repair to be killed around.
    let faults = [Fault::Nonsense(Nonsense::WrongType)];
    for node in nodes {
        let desk = Desk::new(LONG, faults).await;
        let options = ["--json", "--kill-after", node];
        let killed = desk.program("llm.redb", &options).await;
        assert_eq!((killed.signal, killed.out.as_str()), (Some(9), ""), "{node}: {}", killed.err);
        assert!(killed.checkpointed().contains(&node), "{node}: {}", killed.err);
        let before = desk.server.counts();

        let again = desk.program("llm.redb", &options).await.ends_with(0);
        again.says("Not run again");
        let json = again.json();
        assert_eq!((&json["facts"], &json["status"]), (&undisturbed["facts"], &Value::from("RESUMED")), "{node}");
        assert_eq!(json["took"]["calls"], 5, "{node}");
        // A call that was under way is booked when it is made again; one whose answer came, but was not kept, twice.
        let spent: Usd = json["spent"]["cost"].as_str().unwrap().parse().unwrap();
        let twice = total(desk.server.billed().iter().map(|billed| cost(billed).checked_mul(2).unwrap()));
        assert!(desk.bill() <= spent && spent <= twice, "{node}: {spent} of {}", desk.bill());

        let after = desk.server.counts();
        assert_eq!(after.len(), 5, "{node}: {after:?}");
        assert!(after.values().all(|count| count.done == 1), "{node}: {after:?}");
        for (key, count) in &before {
            let node_of_key = key.split('/').nth(1).unwrap();
            if killed.checkpointed().contains(&node_of_key) {
                assert_eq!(after[key], *count, "{node}: {key} was finished");
            }
        }
        // Now there is nothing left to be killed after, and nobody to be asked.
        let finished = desk.program("llm.redb", &options).await.ends_with(0);
        assert_eq!((finished.json()["facts"].clone(), desk.server.counts()), (json["facts"].clone(), after), "{node}");
    }
}

#[tokio::test]
async fn without_a_server_it_starts_its_own() {
    let desk = Desk::new(SHORT, []).await;
    let mut command = desk.alone("llm.redb");
    command.args(["--faults", "429:0,wrong-type"]).arg(desk.text());
    let own = ran(command).await.ends_with(0);
    own.says("a server of the program's own, http://127.0.0.1:")
        .says("too much to do (429)")
        .says("`numbers[0].value`");
    own.says("The server was asked 3 times.").says("COMPLETED: 2 calls");
    assert!(own.out.contains("People (2)\n  Ada Lovelace\n      Ada Lovelace met Charles Babbage"), "{}", own.out);
    assert!(desk.server.asked().is_empty());

    // What a few rules said is not taken for what the server says.
    let other = desk.program("llm.redb", &["--quiet"]).await.ends_with(0);
    assert_eq!((other.err.as_str(), desk.server.asked().len()), ("", 1));

    // The text that comes with it.
    let mut command = desk.alone("llm.redb");
    command.arg("--json");
    assert_eq!(ran(command).await.ends_with(0).json()["took"]["calls"], 4);
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_one_line() {
    let desk = Desk::new(SHORT, [Fault::Status(StatusCode::UNAUTHORIZED)]).await;
    let refused = desk.program("llm.redb", &["--quiet"]).await.ends_with(1);
    refused.says("llm: FAILED (node `ask-1`, terminal): the server refuses the request (401 Unauthorized)");
    assert_eq!((refused.err.lines().count(), refused.out.as_str()), (1, ""), "{}", refused.err);
    assert!(!refused.err.contains(KEY), "{}", refused.err);

    let mut command = desk.alone("llm.redb");
    command.args(["--base-url", desk.server.base_url()]).arg(desk.text());
    ran(command).await.ends_with(1).says("OPENAI_API_KEY is not set");
    let mut command = desk.alone("llm.redb");
    command.arg("/nowhere/at/all");
    ran(command).await.ends_with(1).says("/nowhere/at/all: the text cannot be read: No such file");
    let mut command = desk.alone("llm.redb");
    command.args(["--faults", "earthquake"]);
    ran(command).await.ends_with(2).says("there is no fault `earthquake`");
}

#[tokio::test]
async fn what_a_killed_command_spent_is_part_of_what_the_next_one_spends() {
    // One call at a time, so that none is under way.
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType)]).await;
    let options = ["--json", "--kill-after", "ask-1"];
    assert_eq!(desk.program("llm.redb", &options).await.signal, Some(9));
    let first = desk.bill();
    assert_eq!(desk.server.billed().len(), 1);
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    assert_eq!(desk.server.billed().len(), 2);
    assert!(first > Usd::ZERO && desk.bill() > first);
    let [spent, limit] = ["spent", "budget"].map(|of| json[of]["cost"].as_str().unwrap().parse::<Usd>().unwrap());
    assert_eq!((spent, limit), (desk.bill(), Usd::cents(5)));
}

#[tokio::test]
async fn a_budget_that_is_too_small_is_told_and_a_larger_one_goes_on() {
    let desk = Desk::new(LONG, []).await;
    desk.program("undisturbed.redb", &["--quiet"]).await.ends_with(0);
    // However the calls come to lie, what all of them cost is too little: the most that the last one may cost is more than it does.
    let budget = desk.bill().to_string();
    let desk = Desk::new(LONG, []).await;
    let options = ["--json", "--budget", &budget];
    let refused = desk.program("llm.redb", &[&options[..], &["--quiet"]].concat()).await.ends_with(3);
    assert_eq!((refused.err.lines().count(), refused.out.as_str()), (1, ""), "{}", refused.err);
    refused
        .says("llm: PARTIAL (node `ask-")
        .says(&format!("the budget of {budget} does not allow more: the run could come to $0.00"));
    refused.says(&format!("of {budget}; the same command with a larger --budget goes on from there"));
    let made = desk.server.asked().len();
    assert!((1..PARTS).contains(&made), "{made}");

    let done = desk.program("llm.redb", &["--budget", "0.05"]).await.ends_with(0);
    done.says("RESUMED: 4 calls, ").says(&format!("{} of $0.05.", desk.bill()));
    assert!(desk.server.counts().values().all(|count| *count == once(1)), "{:?}", desk.server.counts());
}

#[tokio::test]
async fn a_model_without_a_price_is_told_before_anything_is_asked() {
    let desk = Desk::new(SHORT, []).await;
    let house = ["--model", "house-model"];
    let refused = desk.program("llm.redb", &house).await.ends_with(2);
    refused.says("the model `house-model` has no price").says("--prices FILE").says("--budget none");
    let fallback = ["--model", "gpt-4o", "--fallback-model", "house-model"];
    desk.program("llm.redb", &fallback).await.ends_with(2).says("the model `house-model` has no price");
    desk.program("llm.redb", &["--fallback-model", "gpt-4o", "--fallback-at", "80"])
        .await
        .ends_with(2)
        .says("80 percent");
    assert_eq!(desk.server.asked(), []);

    let prices = desk.folder.path().join("prices.json");
    let options = [&house[..], &["--json", "--prices", prices.to_str().unwrap()]].concat();
    fs::write(&prices, r#"{ "models": { "house-model": { "input_per_million": -1, "output_per_million": 8 } } }"#)
        .unwrap();
    desk.program("llm.redb", &options).await.ends_with(2).says("prices.json: ").says("negative");
    fs::write(&prices, r#"{ "models": { "house-model": { "input_per_million": 2, "output_per_million": 8 } } }"#)
        .unwrap();
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    let billed = desk.server.billed().remove(0);
    let cost = Usd::picodollars(billed.prompt_tokens * 2_000_000 + billed.completion_tokens * 8_000_000);
    assert_eq!(json["spent"]["cost"].as_str().unwrap().parse(), Ok(cost));

    // Without a limit it costs what it costs.
    let options = [&house[..], &["--json", "--take", "2", "--budget", "none"]].concat();
    let json = desk.program("llm.redb", &options).await.ends_with(0).json();
    assert_eq!((&json["spent"]["cost"], &json["budget"]["cost"]), (&Value::from("0.00"), &Value::Null));
    assert_eq!(json["spent"]["unpriced_tokens"], json["spent"]["tokens"]);
}

#[tokio::test]
async fn an_answer_that_is_wrong_twice_has_its_own_exit_status() {
    let desk = Desk::new(SHORT, [Fault::Nonsense(Nonsense::WrongType); 2]).await;
    let wrong = desk.program("llm.redb", &["--quiet"]).await.ends_with(4);
    wrong.says("llm: FAILED (node `check-1`, terminal): the model's answer cannot be used");
    wrong.says("at `numbers[0].value`: invalid type: string \"many\"").says("another --take, or another --model");
    assert_eq!(wrong.err.lines().count(), 1, "{}", wrong.err);
}
