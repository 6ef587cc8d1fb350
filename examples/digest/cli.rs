//! What can be said on the command line.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{
    Parser,
    builder::{
        Styles,
        styling::{AnsiColor, Style},
    },
};

/// The look of cargo's own help.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(Style::new());

/// Digests text files: what they are about, how hard they are to read, how they are built, and what they say.
///
/// Each file is a run of its own of one pipeline. What a node returned is checkpointed before the next one starts, so the
/// same command again goes on where an earlier one was killed, takes over what is finished, and begins a file anew that has
/// changed since.
#[derive(Debug, Parser)]
#[command(name = "digest", styles = STYLES, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Args {
    /// Files and folders. A folder is walked as git would, without what is clearly not text. [default: this repository]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Folder for the JSON: one file for each text, and `report.json` of all. [default: beside the checkpoints]
    #[arg(long, value_name = "DIR")]
    pub(crate) json: Option<PathBuf>,

    /// File with the checkpoints. [default: `stroma/digest.redb` in the user's state folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Most files at once. [default: twice the number of cores]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Forget what earlier runs kept of these files.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// Send itself SIGKILL once this node of a file is checkpointed. The same command again goes on from there.
    #[arg(long, value_name = "NODE")]
    pub(crate) kill_after: Option<String>,

    /// Print the digest of every file, not only an overview, however many they are.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) long: bool,

    /// Print nothing but what went wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

const AFTER: &str = "\
Exit status: 0 when all files were digested, 1 when some were not, 2 when the command made no sense.";

impl Args {
    /// How many files at once.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs
            .map_or_else(|| std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2), NonZeroUsize::get)
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
        Ok(folders.state_dir().unwrap_or_else(|| folders.data_dir()).join("stroma").join("digest.redb"))
    }

    /// Where the JSON goes.
    pub(crate) fn json(&self, state: &Path) -> PathBuf {
        self.json.clone().unwrap_or_else(|| match state.extension() {
            Some(_) => state.with_extension(""),
            None => state.with_extension("json"),
        })
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
    fn json_goes_beside_the_checkpoints_unless_told() {
        let args = |line: &[&str]| Args::try_parse_from([&["digest"], line].concat());
        let folder = |line: &[&str], state: &str| args(line).map(|args| args.json(Path::new(state))).ok();
        assert_eq!(folder(&[], "s/digest.redb"), Some("s/digest".into()));
        assert_eq!(folder(&[], "s/digest"), Some("s/digest.json".into()));
        assert_eq!(folder(&["--json", "out"], "s/digest.redb"), Some("out".into()));
        assert!(args(&["--jobs", "0"]).is_err());
    }
}
