//! The pictures in `docs/src/pictures`: a pipeline as a graph, and a run of it along its time.
//!
//! ```text
//! cargo run --example pictures [-- FOLDER]
//! ```
//!
//! Text is fetched, which takes a second attempt; then it is summarised, its facts are asked for, which a busy model refuses twice,
//! and its words are counted, all at once; then a report is written. Time is tokio's with the clock paused, so the run takes none,
//! and comes out the same on every machine.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use stroma::{ListTrace, par, prelude::*};
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
enum AppError {
    #[error("{0}")]
    Busy(&'static str),
    #[error(transparent)]
    Spend(#[from] SpendError),
}

impl Failure for AppError {
    fn class(&self) -> FailureClass {
        match self {
            Self::Busy(_) => FailureClass::Recoverable,
            Self::Spend(error) => error.class(),
        }
    }
}

async fn fetch(title: String, cx: NodeCx<'_, NoContext>) -> Result<String, AppError> {
    sleep(ms(180)).await;
    match cx.attempt() {
        1 => Err(AppError::Busy("the server closed the connection")),
        _ => Ok(format!("{title}: a pipeline is one generic type")),
    }
}

/// Asks a model, which takes so long.
async fn ask(cx: NodeCx<'_, NoContext>, input: u64, output: u64, millis: u64) -> Result<(), AppError> {
    let usage = Usage::of(cx.model("gpt-4o")).input(input).output(output);
    let reserved = cx.reserve(usage)?;
    sleep(ms(millis)).await;
    reserved.settle(usage)?;
    Ok(())
}

async fn summarize(text: String, cx: NodeCx<'_, NoContext>) -> Result<String, AppError> {
    ask(cx, 1_200, 260, 940).await?;
    Ok(text)
}

async fn facts(text: String, cx: NodeCx<'_, NoContext>) -> Result<u32, AppError> {
    if cx.attempt() < 3 {
        sleep(ms(60)).await;
        return Err(AppError::Busy("429: too many requests"));
    }
    ask(cx, 1_900, 120, 610).await?;
    Ok(text.len() as u32)
}

async fn words(text: String) -> Result<u32, AppError> {
    sleep(ms(25)).await;
    Ok(text.split_whitespace().count() as u32)
}

async fn report((summary, facts, words): (String, u32, u32), cx: NodeCx<'_, NoContext>) -> Result<String, AppError> {
    ask(cx, 800, 410, 720).await?;
    Ok(format!("{summary} ({facts} facts, {words} words)"))
}

/// Runs the pipeline and yields each picture with the name of its file.
async fn pictures() -> Result<Vec<(&'static str, String)>, Box<dyn std::error::Error>> {
    let patient = PolicyMap::never().recoverable(3, Backoff::exponential(ms(250)).without_jitter());
    let asked = par!(
        node_with("summarize", summarize).timeout(secs(20)),
        node_with("facts", facts).retry(patient),
        node("words", words).skip_checkpoint(),
    );
    let pipeline = node_with("fetch", fetch)
        .retry(PolicyMap::never().recoverable(2, Backoff::constant(ms(200))))
        .then(asked)
        .then(node_with("report", report))
        .budget(Budget::unlimited().cost(Usd::cents(10)))
        .deadline(secs(60));
    let runner = Runner::quick(pipeline).with_trace(ListTrace::new()).with_budget(Budget::unlimited()).build()?;

    let done = runner.run_as(RunId::new("article 17")?, "Pipelines".to_owned()).await?;
    let description = runner.describe();
    let timeline = done.trace.timeline().along(&description).with_store();
    Ok(vec![
        ("pipeline.mmd", description.mermaid().to_string()),
        ("pipeline.dot", description.dot().to_string()),
        ("run.txt", done.trace.table().to_string()),
        ("run.svg", timeline.svg().to_string()),
        ("run.html", timeline.html().to_string()),
        ("run.chrome.json", timeline.chrome().to_string() + "\n"),
    ])
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/pictures")
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(folder, PathBuf::from);
    fs::create_dir_all(&folder)?;
    for (name, picture) in pictures().await? {
        let path = folder.join(name);
        fs::write(&path, picture)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        println!("{}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pictures_in_the_repository_are_those_that_the_command_makes() {
        for (name, picture) in pictures().await.unwrap() {
            let kept = fs::read_to_string(folder().join(name)).unwrap_or_default();
            assert!(
                kept == picture,
                "docs/src/pictures/{name} is another one: `cargo run --example pictures` writes it anew"
            );
        }
    }
}
