//! Hooks of one's own: one counts into metrics, one shows how far a run is.
//!
//! ```text
//! cargo run --example own_hook
//! ```
//!
//! A hook sees every attempt of every node, on the run's own task, and changes nothing. Two of them are a tuple.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stroma::{Attempt, Failed, Hooks, Succeeded, prelude::*};
use tokio::time::sleep;

/// What is counted of a node, in the text format that Prometheus reads.
#[derive(Debug, Default)]
struct Metrics(Mutex<BTreeMap<&'static str, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    attempts: u64,
    failures: BTreeMap<FailureClass, u64>,
    time: Duration,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

// It looks at no value, so it is for nodes of any types.
impl<In, Out, Er> Hooks<In, Out, Er> for &Metrics {
    fn on_start(&self, at: Attempt<'_>, _: Option<&In>) {
        locked(&self.0).entry(at.node).or_default().attempts += 1;
    }

    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        locked(&self.0).entry(at.node).or_default().time += succeeded.spent.time;
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        let mut nodes = locked(&self.0);
        let counts = nodes.entry(at.node).or_default();
        counts.time += failed.spent.time;
        *counts.failures.entry(failed.class).or_default() += 1;
    }
}

impl Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, counts) in &*locked(&self.0) {
            writeln!(f, "stroma_attempts_total{{node=\"{node}\"}} {}", counts.attempts)?;
            for (class, count) in &counts.failures {
                writeln!(f, "stroma_failures_total{{node=\"{node}\",class=\"{class}\"}} {count}")?;
            }
            writeln!(f, "stroma_seconds_total{{node=\"{node}\"}} {}", counts.time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Says how far a run is, a line for each attempt.
struct Progress<W> {
    of: usize,
    done: Mutex<(usize, W)>,
}

impl<W> Progress<W> {
    fn new(of: usize, out: W) -> Self {
        Self { of, done: Mutex::new((0, out)) }
    }
}

// It shows errors, so it is for nodes whose errors can be shown.
impl<In, Out, Er: Display, W: Write> Hooks<In, Out, Er> for &Progress<W> {
    fn on_success(&self, at: Attempt<'_>, _: Succeeded<'_, Out>) {
        let (done, out) = &mut *locked(&self.done);
        *done += 1;
        // A terminal that is gone is no reason to stop a run.
        let _ = writeln!(out, "[{done}/{}] {}", self.of, at.node);
    }

    fn on_failure(&self, at: Attempt<'_>, failed: Failed<'_, Er>) {
        let (done, out) = &mut *locked(&self.done);
        let _ = writeln!(out, "[{done}/{}] {}, attempt {}: {failed}", self.of, at.node, at.attempt);
    }
}

async fn fetch(title: &'static str, cx: NodeCx<'_, NoContext>) -> io::Result<String> {
    sleep(ms(250)).await;
    match cx.attempt() {
        1 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "the connection was lost")),
        _ => Ok(format!("{title}: a pipeline is one generic type")),
    }
}

async fn words(text: String) -> io::Result<usize> {
    Ok(text.split_whitespace().count())
}

async fn letters(text: String) -> io::Result<usize> {
    sleep(ms(500)).await;
    Ok(text.chars().filter(|c| c.is_alphabetic()).count())
}

/// Runs a pipeline under both hooks.
async fn run(metrics: &Metrics, out: &mut impl Write) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let patient = PolicyMap::never().recoverable(3, Backoff::constant(ms(100)));
    let pipeline = node_with("fetch", fetch).retry(patient).then(par(node("words", words), node("letters", letters)));
    let progress = Progress::new(3, out);
    let runner = Runner::new(pipeline).with_clock(stroma::TokioClock).with_hooks((metrics, &progress)).build()?;
    let done = runner.run("Pipelines").await.map_err(|halted| halted.to_string())?;
    Ok(done.output)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let metrics = Metrics::default();
    let (words, letters) = run(&metrics, &mut io::stderr()).await?;
    println!("{words} words, {letters} letters\n\n{metrics}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_hooks_see_every_attempt() {
        let metrics = Metrics::default();
        let mut progress = Vec::new();
        assert_eq!(run(&metrics, &mut progress).await.unwrap(), (7, 34));
        assert_eq!(
            String::from_utf8(progress).unwrap(),
            "[0/3] fetch, attempt 1: the connection was lost\n[1/3] fetch\n[2/3] words\n[3/3] letters\n"
        );
        assert_eq!(
            metrics.to_string(),
            "stroma_attempts_total{node=\"fetch\"} 2\n\
             stroma_failures_total{node=\"fetch\",class=\"recoverable\"} 1\n\
             stroma_seconds_total{node=\"fetch\"} 0.5\n\
             stroma_attempts_total{node=\"letters\"} 1\n\
             stroma_seconds_total{node=\"letters\"} 0.5\n\
             stroma_attempts_total{node=\"words\"} 1\n\
             stroma_seconds_total{node=\"words\"} 0\n"
        );
    }
}
