//! The quick start: facts about a text, kept in a file, so that nothing is worked out twice.
//!
//! ```text
//! cargo run --example quickstart --features derive              on this repository's README
//! cargo run --example quickstart --features derive -- FILE      on a text of yours
//! .. | cargo run --example quickstart --features derive -- -    on what comes in
//! ```
//!
//! The run is named after the text. The first command runs three nodes, two of them side by side; the same again runs none of them,
//! and takes what they yielded from the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt, fs, io,
    path::Path,
};

use stroma::{Trace, prelude::*, store::RedbStore};
use uuid::Uuid;

/// What goes from node to node is kept in checkpoints, which is what `state` derives it for.
#[stroma::state]
struct Words(Vec<String>);

#[stroma::state]
#[derive(Debug, PartialEq)]
struct Facts {
    words: u32,
    distinct: u32,
    longest: String,
    common: Vec<(String, u32)>,
}

#[derive(Debug, thiserror::Error, Failure)]
enum AppError {
    // The same text again would have no words either: it is not tried again.
    #[error("the text has no words")]
    #[failure(terminal)]
    NoWords,
}

async fn split(text: String) -> Result<Words, AppError> {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 3).map(str::to_lowercase);
    let words: Vec<_> = words.collect();
    if words.is_empty() { Err(AppError::NoWords) } else { Ok(Words(words)) }
}

async fn common(Words(words): Words) -> Result<Vec<(String, u32)>, AppError> {
    let mut counts = BTreeMap::<_, u32>::new();
    words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(5);
    Ok(counts)
}

async fn measure(Words(words): Words) -> Result<(u32, u32, String), AppError> {
    let distinct = words.iter().collect::<BTreeSet<_>>().len() as u32;
    let count = words.len() as u32;
    let longest = words.into_iter().max_by_key(|word| word.chars().count()).ok_or(AppError::NoWords)?;
    Ok((count, distinct, longest))
}

type Done = Completed<Facts, Trace>;

/// Runs the pipeline on a text, or takes what it came to from the file.
async fn facts(text: String, file: &Path) -> Result<Done, Box<dyn Error>> {
    let pipeline = node("split", split)
        .then(par(node("common", common), node("measure", measure).timeout(secs(5))))
        .map(|(common, (words, distinct, longest))| Facts { words, distinct, longest, common });
    // Beside the store: the default retries, tokio's clock, a trace.
    let runner = Runner::quick(pipeline).with_store(RedbStore::open(file)?).build()?;

    let id = RunId::from(Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()));
    Ok(runner.run_as(id, text).await?)
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} words of four letters or more, {} of them different", self.words, self.distinct)?;
        let common: Vec<_> = self.common.iter().map(|(word, count)| format!("{word} ({count})")).collect();
        write!(f, "the longest is `{}`, the most common are {}", self.longest, common.join(", "))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let text = match std::env::args().nth(1) {
        None => fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?,
        Some(name) if name == "-" => io::read_to_string(io::stdin())?,
        Some(name) => fs::read_to_string(name)?,
    };
    let file = std::env::temp_dir().join("stroma-quickstart.redb");
    let done = facts(text, &file).await?;
    println!("{}\n\n{}", done.output, done.trace.table());
    println!("{}, {} nodes taken from {}", done.report.status, done.report.restored, file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_run_is_answered_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.redb");
        let text = "A pipeline is one type. What does not fit into a pipeline does not compile.".to_owned();

        let first = facts(text.clone(), &file).await.unwrap();
        assert_eq!((first.report.status, first.report.restored), (RunStatus::Completed, 0));
        let common = [("does", 2), ("pipeline", 2), ("compile", 1), ("into", 1), ("type", 1)];
        let common = common.map(|(word, count)| (word.to_owned(), count)).to_vec();
        assert_eq!(first.output, Facts { words: 8, distinct: 6, longest: "pipeline".to_owned(), common });
        assert!(first.trace.table().to_string().contains("3 attempts ·"), "{}", first.trace.table());

        let second = facts(text, &file).await.unwrap();
        assert_eq!(second.report.status, RunStatus::Resumed);
        assert_eq!(second.output, first.output);
        assert!(second.trace.table().to_string().contains("0 attempts"), "{}", second.trace.table());
    }

    #[tokio::test]
    async fn a_text_without_words_is_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let halted = facts("1, 2, 3".to_owned(), &folder.path().join("runs.redb")).await.unwrap_err().to_string();
        assert!(halted.contains("stopped at node `split`, attempt 1: the node failed (terminal)"), "{halted}");
    }
}
