//! What can be said on the command line.

use std::path::PathBuf;

use clap::{
    Parser,
    builder::{
        Styles,
        styling::{AnsiColor, Style},
    },
};

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

Exit status: 0 with the facts, 1 without, 2 when the command made no sense.";

fn long_faults() -> String {
    format!("What goes wrong with the first requests to its own server, one after the other, between commas: {FAULTS}")
}

impl Args {
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
