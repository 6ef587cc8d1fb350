//! The pipeline: what its nodes are, in which order, and what becomes of their failures.

use std::{io, path::PathBuf, time::Duration};

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Failure, FailureClass, NodeCx, Pipeline, PolicyMap, Quick, SendExec, ms, node, node_with, par,
    parts::{Fold, Shown},
    secs,
};

use crate::{
    files::{self, Source},
    text::{self, Digest, Document, Outline, Ranked, Readability, Words},
    watch::Watched,
};

/// Files longer than this are not read: it is a program for texts that somebody reads.
const LONGEST_FILE: u64 = 16 << 20;
/// The time that an attempt at reading or writing has. A disk that has to spin up takes less.
const IO_LIMIT: Duration = secs(20);
/// The time that an attempt at a node of pure computing has.
const CPU_LIMIT: Duration = secs(60);
/// The time that a file has, with everything.
const FILE_LIMIT: Duration = secs(180);

/// What a moment can change is tried again soon, and three times; what nobody can tell, once.
const BRIEFLY: PolicyMap = PolicyMap::never()
    .recoverable(3, Backoff::exponential(ms(50)).cap(secs(1)))
    .ambiguous(1, Backoff::constant(ms(100)));

/// What all runs share.
#[derive(Debug)]
pub(crate) struct App {
    /// Where the JSON goes.
    pub(crate) json: PathBuf,
}

/// The environment of the runs: the name that goes into signatures.
pub(crate) type AppEnv = Quick<App, Watched>;

/// Why a file cannot be digested. The path is not in the words: whoever reports it says which file it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The operating system does not give it out.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is a device or a pipe.
    #[error("it is neither a file nor a folder")]
    NotAFile,
    /// It is too long.
    #[error("it has {0} bytes, the limit is {LONGEST_FILE}")]
    TooLong(u64),
    /// Nothing is in it, or nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// It is in another encoding, or no text at all.
    #[error("it is not UTF-8")]
    NotUtf8(#[source] core::str::Utf8Error),
    /// Its digest has no JSON form.
    #[error("its digest cannot be put into JSON")]
    Json(#[source] serde_json::Error),
    /// Its JSON cannot be put where it belongs.
    #[error("its JSON cannot be written to {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl Failure for AppError {
    fn class(&self) -> FailureClass {
        match self {
            // By the kind of the error: a file that is busy may be read in a moment, one that is not there may not.
            Self::Read(error) | Self::Write(_, error) => error.class(),
            Self::NotAFile | Self::TooLong(_) | Self::Empty | Self::NotUtf8(_) | Self::Json(_) => {
                FailureClass::Terminal
            }
        }
    }
}

/// What comes out of the three branches: the text goes along with the outline, because the next node reads it once more.
type Parts = (Words, Readability, (Outline, Document));

/// All there is to say about a file, the passages last.
type Findings = (String, Words, Readability, Outline, Ranked);

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Written {
    /// The digest.
    pub(crate) digest: Digest,
    /// The name of the file with its JSON.
    pub(crate) name: String,
}

/// Read the file, take it apart in three ways at once, rank what it says, put it together, write it down.
///
/// Not `.seal()`ed, so that it can be described before there is a store.
pub(crate) fn pipeline() -> Pipeline<
    impl Shown + Fold<Node: SendExec<AppEnv, In = Source, Out = Written, Error = AppError> + Send + Sync>,
    Source,
    Written,
    AppError,
> {
    node("read", read)
        .retry(BRIEFLY)
        .timeout(IO_LIMIT)
        // The branches are on tokio's pool, so that they use a core each. A `NodeCx` cannot go there with them.
        .then(par!(
            node("words", words).spawned().timeout(CPU_LIMIT),
            node("readability", readability).spawned().timeout(CPU_LIMIT),
            node("outline", outline).spawned().timeout(CPU_LIMIT),
        ))
        .then(node("rank", rank).spawned().timeout(CPU_LIMIT))
        .then(node("assemble", assemble))
        .then(node_with("write", write).retry(BRIEFLY).timeout(IO_LIMIT))
        .deadline(FILE_LIMIT)
}

async fn read(source: Source) -> Result<Document, AppError> {
    let about = tokio::fs::metadata(&source.path).await.map_err(AppError::Read)?;
    // Opening a pipe would wait for somebody at its other end.
    if !about.is_file() {
        return Err(AppError::NotAFile);
    }
    if about.len() > LONGEST_FILE {
        return Err(AppError::TooLong(about.len()));
    }
    let bytes = tokio::fs::read(&source.path).await.map_err(AppError::Read)?;
    let text = String::from_utf8(bytes).map_err(|error| AppError::NotUtf8(error.utf8_error()))?;
    if text.trim().is_empty() {
        return Err(AppError::Empty);
    }
    Ok(Document { path: source.path, text })
}

async fn words(document: Document) -> Result<Words, AppError> {
    Ok(text::words(&document))
}

async fn readability(document: Document) -> Result<Readability, AppError> {
    Ok(text::readability(&document))
}

async fn outline(document: Document) -> Result<(Outline, Document), AppError> {
    Ok((text::outline(&document), document))
}

async fn rank((words, readability, (outline, document)): Parts) -> Result<Findings, AppError> {
    let ranked = text::rank(&words, &readability, &outline, &document);
    Ok((document.path, words, readability, outline, ranked))
}

async fn assemble((path, words, readability, outline, ranked): Findings) -> Result<Digest, AppError> {
    Ok(text::assemble(path, words, readability, outline, ranked))
}

/// A repeated attempt writes the same bytes under the same name, so it does no harm that one may be killed between the file
/// and its checkpoint.
async fn write(digest: Digest, cx: NodeCx<'_, App>) -> Result<Written, AppError> {
    let folder = cx.context().json.clone();
    let run = cx.run_id().map(|id| id.to_string()).unwrap_or_default();
    let name = json_name(&digest.path, &run);
    let bytes = json(&digest)?;
    // An attempt that ran out of time may still be at its own draft.
    let (to, writer) = (name.clone(), cx.attempt().to_string());
    let failed = folder.join(&name);
    let written = tokio::task::spawn_blocking(move || files::write_whole(&folder, &to, &writer, &bytes)).await;
    written.unwrap_or_else(|gone| Err(io::Error::other(gone))).map_err(|error| AppError::Write(failed, error))?;
    Ok(Written { digest, name })
}

/// The JSON of a value as it goes into a file.
///
/// # Errors
/// [`AppError::Json`].
pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, AppError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(AppError::Json)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A name that says which file it is of, and that no other file of the same name has.
fn json_name(path: &str, run: &str) -> String {
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    // A name has at most 255 bytes on most file systems.
    let file: String = file.chars().take(50).collect();
    let run = run.split('-').next().unwrap_or_default();
    format!("{file}-{run}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_shape() {
        let line = "read -> (words | readability | outline) -> rank -> assemble -> write";
        assert_eq!(pipeline().describe().to_string(), line);
    }

    #[test]
    fn failures_are_classed_by_what_another_attempt_could_change() {
        let io = |kind: io::ErrorKind| AppError::Read(kind.into()).class();
        assert_eq!(io(io::ErrorKind::Interrupted), FailureClass::Recoverable);
        assert_eq!(io(io::ErrorKind::NotFound), FailureClass::Terminal);
        assert_eq!(AppError::Empty.class(), FailureClass::Terminal);
    }

    #[test]
    fn names_of_json_fit_a_file_system() {
        assert_eq!(json_name("/a/b.rs", "0123abcd-ef"), "b.rs-0123abcd.json");
        assert!(json_name(&"水".repeat(80), "0123abcd-ef").len() < 200);
    }
}
