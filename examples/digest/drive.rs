//! Running the pipeline over many files, a few at a time.

use std::{error::Error, fmt::Write, sync::Arc, time::Duration};

use stroma::{
    Cause, Halted, Outcome, RunId, Runner, SendExec, Trace,
    store::{CheckpointFault, StoreErrorKind},
};
use tokio::task::JoinSet;

use crate::{
    files::{Source, Target},
    pipeline::{AppEnv, AppError, Written, json},
    progress::Progress,
    text::Digest,
};

/// What became of one file.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its result.
    pub(crate) result: Result<Done, Trouble>,
    /// Every attempt.
    pub(crate) trace: Trace,
}

/// A file that is digested.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its digest.
    pub(crate) digest: Digest,
    /// How it came about.
    pub(crate) how: How,
}

/// How a digest came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// In one go.
    InOneGo,
    /// In one go, after what was kept of another version of the file, or by another version of the program, was forgotten.
    Anew,
    /// With the checkpoints of a run that was interrupted.
    Resumed,
    /// It was finished before, and only its JSON had to be written again.
    Rewritten,
    /// It was finished before: no node was run.
    Unchanged,
}

/// A file that is not digested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Another process is at it.
    Busy,
    /// The reason, in one line.
    Failed(String),
}

/// Digests `targets`, at most `jobs` of them at once. What comes out is in their order.
pub(crate) async fn all<N>(
    runner: Arc<Runner<N, AppEnv>>,
    targets: &[Target],
    jobs: usize,
    fresh: bool,
    progress: &Progress,
) -> Vec<Ended>
where
    N: SendExec<AppEnv, In = Source, Out = Written, Error = AppError> + Send + Sync + 'static,
{
    let mut waiting = targets.iter().cloned().enumerate();
    let mut at_work = JoinSet::new();
    let mut ended: Vec<Option<Ended>> = targets.iter().map(|_| None).collect();
    loop {
        while at_work.len() < jobs.max(1)
            && let Some((index, target)) = waiting.next()
        {
            let (runner, progress) = (Arc::clone(&runner), progress.clone());
            at_work.spawn(async move {
                progress.begin(&target.shown);
                let ended = one(&runner, &target, fresh).await;
                progress.end(&target.shown, count(&ended.trace, |outcome| *outcome == Outcome::Succeeded));
                (index, ended)
            });
        }
        match at_work.join_next().await {
            Some(Ok((index, one))) => {
                if let Some(slot) = ended.get_mut(index) {
                    *slot = Some(one);
                }
            }
            // Its slot stays empty.
            Some(Err(_)) => {}
            None => break,
        }
    }
    let panicked = || Trouble::Failed("the task that digested it panicked".to_owned());
    let missing = || Ended { result: Err(panicked()), trace: Trace::default() };
    ended.into_iter().map(|one| one.unwrap_or_else(missing)).collect()
}

/// Digests one file: begins its run, goes on with it, or takes over its result.
async fn one<N>(runner: &Runner<N, AppEnv>, target: &Target, fresh: bool) -> Ended
where
    N: SendExec<AppEnv, In = Source, Out = Written, Error = AppError>,
{
    let id = target.run_id();
    let mut anew = false;
    if fresh && let Err(trouble) = forget(runner, id).await {
        return Ended { result: Err(trouble), trace: Trace::default() };
    }
    loop {
        match runner.run_as(id, target.source.clone()).await {
            Ok(done) if did_nothing(&done.trace) && !is_in_place(runner, &done.output).await => {
                // The file with its JSON is not what this run has written any more; only the run's last node is concerned.
                return match runner.resume_from(id, "write").await {
                    Ok(done) => completed(done.output, How::Rewritten, done.trace),
                    Err(halted) => halt(halted),
                };
            }
            Ok(done) => {
                let restored = count(&done.trace, |outcome| *outcome == Outcome::Restored) > 0;
                let how = match restored {
                    _ if anew => How::Anew,
                    false => How::InOneGo,
                    true if did_nothing(&done.trace) => How::Unchanged,
                    true => How::Resumed,
                };
                return completed(done.output, how, done.trace);
            }
            // What is kept is of no use for this file: it is the same as a file that was never seen.
            Err(halted) if !anew && is_outdated(&halted.cause) => {
                anew = true;
                if let Err(trouble) = forget(runner, id).await {
                    return Ended { result: Err(trouble), trace: Trace::default() };
                }
            }
            Err(halted) => return halt(halted),
        }
    }
}

/// Forgets what is kept of a run.
async fn forget<N>(runner: &Runner<N, AppEnv>, id: RunId) -> Result<(), Trouble> {
    match runner.forget(id).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => Err(Trouble::Busy),
        Err(error) => Err(Trouble::Failed(chain(&error))),
    }
}

/// Whether a run cannot be gone on with because the file or this program is another one than when it was begun.
fn is_outdated(cause: &Cause<AppError>) -> bool {
    match cause {
        Cause::OtherInput | Cause::OtherPipeline { .. } => true,
        // One that is damaged is reported, not covered up.
        Cause::Checkpoint(error) => {
            matches!(error.fault, CheckpointFault::Schema { .. } | CheckpointFault::Version { .. })
        }
        _ => false,
    }
}

/// Whether the JSON of a finished run is where it would be written now, and says what it would say.
async fn is_in_place<N>(runner: &Runner<N, AppEnv>, written: &Written) -> bool {
    let found = tokio::fs::read(runner.context().json.join(&written.name)).await;
    json(&written.digest).is_ok_and(|wanted| found.is_ok_and(|found| found == wanted))
}

fn completed(output: Written, how: How, trace: Trace) -> Ended {
    Ended { result: Ok(Done { digest: output.digest, how }), trace }
}

fn halt(halted: Halted<AppError, Trace>) -> Ended {
    let trouble = match &halted.cause {
        Cause::Store(error) if matches!(error.kind(), StoreErrorKind::Busy { .. }) => Trouble::Busy,
        _ => Trouble::Failed(reason(&halted)),
    };
    Ended { result: Err(trouble), trace: halted.trace }
}

/// Why a run stopped, in one line: node, attempts and all that is underneath.
fn reason(halted: &Halted<AppError, Trace>) -> String {
    let why = match &halted.cause {
        Cause::Error(error) => chain(error),
        Cause::Store(error) => chain(error),
        Cause::Checkpoint(error) => chain(error),
        other => other.to_string(),
    };
    match (halted.node, halted.attempt) {
        (None, _) => why,
        (Some(node), 0 | 1) => format!("{why} (node `{node}`, {})", halted.class),
        (Some(node), attempts) => format!("{why} (node `{node}`, {attempts} attempts, {})", halted.class),
    }
}

/// An error and its sources, in one line.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Writing to a string does not fail.
        let _ = write!(line, ": {error}");
        source = error.source();
    }
    line
}

/// Whether no node was run.
fn did_nothing(trace: &Trace) -> bool {
    count(trace, |outcome| *outcome != Outcome::Restored) == 0
}

/// In how many events of a trace the outcome is such.
fn count(trace: &Trace, such: impl Fn(&Outcome) -> bool) -> usize {
    trace.events().iter().filter(|event| such(&event.outcome)).count()
}

/// What the files did at one node, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AtNode {
    /// Attempts.
    pub(crate) attempts: u64,
    /// Those of them that failed.
    pub(crate) failed: u64,
    /// How often it was not run, because its output was there.
    pub(crate) restored: u64,
    /// The time of all attempts.
    pub(crate) total: Duration,
    /// The time of the longest.
    pub(crate) longest: Duration,
}

/// Sums up what the files did at `node`.
pub(crate) fn at_node(ended: &[Ended], node: &str) -> AtNode {
    let mut sum = AtNode::default();
    for event in ended.iter().flat_map(|ended| ended.trace.events_for(node)) {
        if event.outcome == Outcome::Restored {
            sum.restored += 1;
            continue;
        }
        sum.attempts += 1;
        sum.failed += u64::from(matches!(event.outcome, Outcome::Failed { .. }));
        sum.total += event.took;
        sum.longest = sum.longest.max(event.took);
    }
    sum
}
