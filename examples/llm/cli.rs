//! What can be said on the command line.

use std::{num::NonZeroU64, path::PathBuf, str::FromStr};

use clap::{
    Parser,
    builder::{
        Styles,
        styling::{AnsiColor, Style},
    },
};

use stroma::{Budget, Usd};

use crate::server::{FAULTS, Fault};

/// The look of cargo's own help.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(Style::new());

/// Asks a language model for the facts in a text: people, places, dates and numbers, each with the sentence that states it.
///
/// The model is one behind the chat completions of an OpenAI-compatible server. What a node returned is checkpointed before
/// the next one starts, so the same command again goes on where an earlier one was killed, and pays for no call twice.
///
/// Before a call is made, the most that it can cost is set aside. One that does not fit into the budget is not made: the program
/// ends, and the same command with a larger budget goes on from there.
#[derive(Debug, Parser)]
#[command(name = "llm", styles = STYLES, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    /// The text. [default: one about an astronomer that comes with the example]
    #[arg(value_name = "FILE")]
    pub(crate) text: Option<PathBuf>,

    /// The server, such as https://api.openai.com/v1. [default: one of its own on this machine, with a model that knows no more
    /// than a few rules]
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// The model to ask. [default: gpt-4o-mini]
    #[arg(long, value_name = "NAME", default_value = "gpt-4o-mini", hide_default_value = true)]
    pub(crate) model: String,

    /// The most that the text may cost, in dollars by list prices, all its commands together; `none` for no limit.
    #[arg(long, value_name = "USD", default_value = "0.05")]
    pub(crate) budget: Money,

    /// The most tokens that the text may use, in and out, all its commands together. [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<NonZeroU64>,

    /// The model to ask in place of --model once most of the budget is spent; `none` for none. [default: gpt-4o-mini for gpt-4o,
    /// none for the others]
    #[arg(long, value_name = "NAME")]
    pub(crate) fallback_model: Option<String>,

    /// The share of the budget, from 0 to 1, from which on that is.
    #[arg(long, value_name = "SHARE", default_value = "0.8")]
    pub(crate) fallback_at: f64,

    /// Prices of models, in dollars for a million tokens, for those that the program has no price of, or another one.
    #[arg(long, value_name = "FILE", long_help = PRICES)]
    pub(crate) prices: Option<PathBuf>,

    /// The most words in each of the four parts that a text is cut into.
    #[arg(long, value_name = "N", default_value = "1500")]
    pub(crate) part_words: u32,

    /// What goes wrong with the first requests to its own server, one after the other: `429:2,cut-off,wrong-type`, and more
    /// with --help.
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', conflicts_with = "base_url", long_help = long_faults())]
    pub(crate) faults: Vec<Fault>,

    /// File with the checkpoints. [default: `stroma/llm.redb` in the user's state folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Which time the text is asked about. Each is a run of its own, with calls that are paid for.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) take: u32,

    /// Send itself SIGKILL once this node is checkpointed. The same command again goes on from there.
    #[arg(long, value_name = "NODE")]
    pub(crate) kill_after: Option<String>,

    /// Print the facts as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Do not tell what goes on.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

const AFTER: &str = "\
The key for the server of --base-url is that in the environment variable OPENAI_API_KEY.

Exit status:
  0  with the facts
  1  without them
  2  when the command made no sense
  3  when the budget does not allow the next call
  4  when the model's answer cannot be used, though the model was told what is wrong with it";

const PRICES: &str = "\
Prices of models, in dollars for a million tokens, for those that the program has no price of, or another one: a JSON file like

  { \"models\": { \"house-model\": { \"input_per_million\": 2.5, \"output_per_million\": 10 } } }";

/// The most that may be spent, if there is a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Money(pub(crate) Option<Usd>);

impl FromStr for Money {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            text => match text.parse() {
                Ok(Usd::ZERO) => Err("nothing can be asked for nothing: give dollars such as 0.05, or none".to_owned()),
                Ok(most) => Ok(Self(Some(most))),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn long_faults() -> String {
    format!("What goes wrong with the first requests to its own server, one after the other, between commas: {FAULTS}")
}

impl Args {
    /// What may be spent.
    pub(crate) fn budget(&self) -> Budget {
        let mut budget = Budget::unlimited();
        if let Some(most) = self.budget.0 {
            budget = budget.cost(most);
        }
        if let Some(most) = self.max_tokens {
            budget = budget.tokens(most.get());
        }
        budget
    }

    /// The model that takes the place of the other one when money gets short.
    pub(crate) fn fallback(&self) -> Option<&str> {
        match self.fallback_model.as_deref() {
            Some("none") => None,
            None => (self.model == "gpt-4o").then_some("gpt-4o-mini"),
            named => named,
        }
    }

    /// Where the checkpoints are.
    ///
    /// # Errors
    /// When it was not said and the user has no home folder.
    pub(crate) fn state(&self) -> Result<PathBuf, String> {
        use etcetera::BaseStrategy;
        if let Some(file) = &self.state {
            return Ok(file.clone());
        }
        let folders = etcetera::choose_base_strategy()
            .map_err(|error| format!("no folder for the checkpoints ({error}): name a file with --state FILE"))?;
        // Windows has no folder for state.
        Ok(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("stroma").join("llm.redb"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_budget_is_an_exact_amount_or_none() {
        let args = |line: &[&str]| Args::try_parse_from([&["llm"], line].concat());
        let budget = |line: &[&str]| args(line).map(|args| args.budget()).map_err(|error| error.to_string());
        let cents = Budget::unlimited().cost(Usd::cents(5));
        assert_eq!(budget(&[]), Ok(cents));
        assert_eq!(budget(&["--budget", "$0.05", "--max-tokens", "900"]), Ok(cents.tokens(900)));
        assert_eq!(budget(&["--budget", "0.000000000001"]), Ok(cents.cost(Usd::picodollars(1))));
        assert_eq!(budget(&["--budget", "none"]), Ok(Budget::unlimited()));
        for wrong in [["--budget", "0"], ["--budget=-1", "a"], ["--budget", "much"], ["--max-tokens", "0"]] {
            assert!(budget(&wrong).is_err(), "{wrong:?}");
        }
        let fallback = |line: &[&str]| args(line).ok().and_then(|args| args.fallback().map(str::to_owned));
        assert_eq!(fallback(&[]), None);
        assert_eq!(fallback(&["--model", "gpt-4o"]).as_deref(), Some("gpt-4o-mini"));
        assert_eq!(fallback(&["--model", "gpt-4o", "--fallback-model", "none"]), None);
        assert_eq!(fallback(&["--fallback-model", "small"]).as_deref(), Some("small"));
    }

    #[test]
    fn faults_are_for_its_own_server() {
        let args = |line: &[&str]| Args::try_parse_from([&["llm"], line].concat());
        let faults = args(&["--faults", "429:2,cut-off,slow:3,503"]).map(|args| args.faults);
        assert_eq!(faults.map_err(|error| error.to_string()).map(|faults| faults.len()), Ok(4));
        for wrong in
            [&["--faults", "200"][..], &["--faults", "slow"], &["--faults", "429", "--base-url", "http://a/v1"]]
        {
            assert!(args(wrong).is_err(), "{wrong:?}");
        }
    }
}
