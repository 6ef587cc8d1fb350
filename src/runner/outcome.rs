//! How a run ends.

use core::{error::Error, fmt, time::Duration};

use crate::{
    contract::{ContractViolation, Direction, Violation},
    exec::{Bare, Detail, Full, RunInfo, Stop, Why},
    failure::FailureClass,
    run::{Report, RunStatus, Spent},
    said::Said,
    store::{CheckpointError, NodeName, StoreError, StoreErrorKind, StoreFault},
    text::Words,
};

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completed<Out, T> {
    /// What the last node yielded.
    pub output: Out,
    /// The run's id, status and spend.
    pub report: Report,
    /// What was written down; `()` without a trace.
    pub trace: T,
}

/// A run that stopped before its end.
///
/// Shown as text it is one line: run, node, attempt, why, and what to do. The [`source`](Error::source) is the node's own error
/// or the store's, and its text is not repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Halted<E, T> {
    /// The node that it stopped at, or `None` where it was not at a node.
    pub node: Option<&'static str>,
    /// Which attempt at the node it was, from 1; 0 where it was not at a node.
    pub attempt: u32,
    /// What the failure means.
    pub class: FailureClass,
    /// Why.
    pub cause: Cause<E>,
    /// The run's id, status and spend.
    pub report: Report,
    /// What was written down; `()` without a trace.
    pub trace: T,
    durable: bool,
}

/// Why a run stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause<E> {
    /// A node failed with this error, and was not to be tried again.
    Error(E),
    /// The last attempt at a node took too long.
    TimedOut {
        /// The time that an attempt has.
        limit: Duration,
    },
    /// A part of the pipeline took too long, its retries and waits included.
    Deadline {
        /// The time that it has.
        limit: Duration,
    },
    /// A node on tokio's pool was cancelled, since its runtime was shut down.
    Cancelled,
    /// A node on tokio's pool panicked.
    Panicked(PanicMessage),
    /// A value did not pass a check: `.require`, `.ensure`, `.validated` or a text that was to be JSON.
    Contract(ContractViolation),
    /// The store failed.
    Store(StoreError),
    /// A checkpoint cannot be taken over.
    Checkpoint(CheckpointError),
    /// A run of this id exists with another input.
    OtherInput,
    /// The run was begun with a pipeline of other nodes.
    OtherPipeline {
        /// The fingerprint of the nodes that it was begun with.
        stored: u64,
        /// The fingerprint of the nodes at hand.
        now: u64,
    },
    /// The pipeline has no node of the name given to `resume_from`.
    UnknownNode(NodeName),
}

/// What a panic said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanicMessage(Words);

impl fmt::Display for PanicMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<E> Cause<E> {
    fn of(why: Why, fault: Option<StoreFault>, said: Option<&Said>) -> Self {
        match (why, fault) {
            (Why::TimedOut { limit }, _) => Self::TimedOut { limit },
            (Why::Deadline { limit }, _) => Self::Deadline { limit },
            (Why::Cancelled, _) => Self::Cancelled,
            (Why::Panicked, _) => Self::Panicked(PanicMessage(match said {
                #[cfg(feature = "tokio")]
                Some(Said::Panic(words)) => words.clone(),
                _ => Words::none(),
            })),
            (Why::BrokenInput, _) => Self::broken(Direction::Input, said),
            (Why::BrokenOutput, _) => Self::broken(Direction::Output, said),
            (Why::Store, Some(StoreFault::Checkpoint(error))) => Self::Checkpoint(error),
            (Why::Store, Some(StoreFault::OtherInput)) => Self::OtherInput,
            (Why::Store, Some(StoreFault::OtherPipeline { stored, now })) => Self::OtherPipeline { stored, now },
            (Why::Store, Some(StoreFault::UnknownNode(id))) => Self::UnknownNode(id),
            (Why::Store, Some(StoreFault::Store(error))) => Self::Store(error),
            // A fault is always noted where it arises.
            (Why::Store, None) => Self::Store(StoreError::new(StoreErrorKind::Unavailable)),
        }
    }

    #[cold]
    fn broken(direction: Direction, said: Option<&Said>) -> Self {
        Self::Contract(match said {
            Some(Said::Contract(broken)) => broken.clone(),
            // Without a heap there is room for one, and it was of another node.
            _ => ContractViolation::new(direction, Violation::new("no room was left to say why")),
        })
    }

    /// What a stop means that is not a node's own error.
    fn class(&self) -> FailureClass {
        match self {
            // There is nothing to go on with, however long one waits.
            Self::Store(error) if error.kind() == StoreErrorKind::UnknownRun => FailureClass::Terminal,
            Self::TimedOut { .. } | Self::Deadline { .. } | Self::Cancelled | Self::Store(_) => {
                FailureClass::Recoverable
            }
            Self::Error(_) => FailureClass::Ambiguous,
            _ => FailureClass::Terminal,
        }
    }
}

impl<E> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(_) => f.write_str("the node failed"),
            Self::TimedOut { limit } => write!(f, "the attempt took longer than its time-out of {limit:?}"),
            Self::Deadline { limit } => write!(f, "it took longer than its deadline of {limit:?}, retries included"),
            Self::Cancelled => f.write_str("the node was cancelled with the runtime that it ran on"),
            Self::Panicked(message) => write!(f, "the node panicked on tokio's pool: {message}"),
            Self::Contract(broken) => broken.fmt(f),
            Self::Store(_) => f.write_str("the store could not do its part"),
            Self::Checkpoint(_) => f.write_str("a checkpoint cannot be taken over"),
            Self::OtherInput => f.write_str("a run of this id was begun with another input"),
            Self::OtherPipeline { stored, now } => write!(
                f,
                "the run was begun with a pipeline of other nodes (fingerprint {stored:016x}, this one is {now:016x})"
            ),
            Self::UnknownNode(id) => write!(f, "the pipeline has no node `{id}`"),
        }
    }
}

impl<E, T> Halted<E, T> {
    /// What to do about it.
    fn advice(&self) -> &'static str {
        match &self.cause {
            Cause::OtherInput => "take another id, or give the input that it was begun with",
            Cause::OtherPipeline { .. } => {
                "resume it with the pipeline that it was begun with (`.was(\"old id\")` on a renamed node), or `forget` it"
            }
            Cause::UnknownNode(_) => "`describe()` lists the ids",
            Cause::Checkpoint(CheckpointError { node: None, .. }) => {
                "nothing was deleted; `forget` the run to begin it again"
            }
            Cause::Checkpoint(_) => "nothing was deleted",
            Cause::Store(error) => match error.kind() {
                StoreErrorKind::Busy { .. } | StoreErrorKind::UnknownRun => "nothing was run",
                _ if self.node.is_none() => {
                    "nothing was run; once that is mended call again with the same id and input"
                }
                _ => "what was saved before stays; `resume` goes on from there",
            },
            Cause::Contract(broken) if self.durable => match broken.direction {
                Direction::Input => {
                    "mend what made it and `resume_from` that node, or mend the check and `resume`; another input wants another id"
                }
                Direction::Output => "mend the node and `resume_from` it, or mend the check and `resume`",
            },
            _ if !self.durable => match self.class {
                FailureClass::Terminal => "the same run would fail again: mend the cause first",
                _ => "run it again; with a store it would go on from where it stopped",
            },
            _ => match self.class {
                FailureClass::Terminal => {
                    "the same run would fail again: mend the cause, then `resume` goes on from there"
                }
                _ => "`resume` goes on from there",
            },
        }
    }
}

impl<E, T> fmt::Display for Halted<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} stopped", self.report.run_id)?;
        if let Some(node) = self.node {
            write!(f, " at node `{node}`, attempt {}", self.attempt)?;
        }
        write!(f, ": {} ({}); {}", self.cause, self.class, self.advice())
    }
}

impl<E: Error + 'static, T: fmt::Debug> Error for Halted<E, T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Error(error) => Some(error),
            Cause::Store(error) => Some(error),
            Cause::Checkpoint(error) => Some(error),
            _ => None,
        }
    }
}

/// What a run of this [`Detail`] ends with: the bare output or error ([`Bare`]), or a report ([`Full`]).
pub trait Outcomes<Out, Er, T>: Detail {
    /// How it ends.
    type Ended;

    /// With an output.
    fn completed(output: Out, run: &Self::Run, trace: T, now: Duration) -> Self::Ended;

    /// Without one.
    fn halted(stop: Stop<Er, Self>, run: &mut Self::Run, trace: T, now: Duration, store: StoreSays) -> Self::Ended;
}

impl<Out, Er, T> Outcomes<Out, Er, T> for Bare {
    type Ended = Result<Out, Er>;

    #[inline(always)]
    fn completed(output: Out, (): &(), _: T, _: Duration) -> Result<Out, Er> {
        Ok(output)
    }

    #[inline(always)]
    fn halted(stop: Stop<Er, Self>, (): &mut (), _: T, _: Duration, _: StoreSays) -> Result<Out, Er> {
        match stop {
            Stop::Error(error, ()) => Err(error),
        }
    }
}

#[inline]
fn report(run: &RunInfo, status: RunStatus, now: Duration) -> Report {
    let spent = Spent { time: now.saturating_sub(run.started) };
    Report { run_id: run.id, status, spent, restored: run.restored }
}

impl<Out, Er, T> Outcomes<Out, Er, T> for Full {
    type Ended = Result<Completed<Out, T>, Halted<Er, T>>;

    #[inline]
    fn completed(output: Out, run: &RunInfo, trace: T, now: Duration) -> Self::Ended {
        let status = if run.resumed { RunStatus::Resumed } else { RunStatus::Completed };
        Ok(Completed { output, report: report(run, status, now), trace })
    }

    #[cold]
    fn halted(stop: Stop<Er, Self>, run: &mut RunInfo, trace: T, now: Duration, store: StoreSays) -> Self::Ended {
        let (info, cause) = match stop {
            Stop::Error(error, info) => (info, Cause::Error(error)),
            Stop::Halt(halt) => (halt.info, Cause::of(halt.why, store.fault, run.said_of(&halt))),
        };
        let class = info.class.unwrap_or_else(|| cause.class());
        let status = if class == FailureClass::Terminal { RunStatus::Failed } else { RunStatus::Partial };
        let attempt = if info.node.is_some() { info.attempt } else { 0 };
        let report = report(run, status, now);
        Err(Halted { node: info.node, attempt, class, cause, report, trace, durable: store.durable })
    }
}

/// What the store has to say at the end of a run that stopped.
#[derive(Debug)]
pub struct StoreSays {
    pub(super) durable: bool,
    pub(super) fault: Option<StoreFault>,
}
