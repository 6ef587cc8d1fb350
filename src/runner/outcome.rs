//! How a run ends.

use core::{error::Error, fmt, time::Duration};

#[cfg(feature = "json")]
use crate::store::ReplayFault;
use crate::{
    budget::{BudgetExceeded, LedgerError, SpendError},
    contract::{ContractViolation, Direction, Violation},
    exec::{Bare, Detail, Full, RunInfo, Stop, Why},
    failure::{Failure as _, FailureClass},
    observe::Stopped,
    report::{Report, RunStatus, Spent},
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
///
/// `{:?}` is that line and what is underneath, since a `main` that returns its errors and an `unwrap` print that; `{:#?}` has all
/// fields, the trace among them.
///
/// Nothing is taken back: there are no sagas. What nodes did before stays done, and the trace says which those were.
#[derive(Clone, PartialEq, Eq)]
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
    /// A limit of what the run, or a part of it, may spend is reached. What was yielded until then is kept.
    Budget(BudgetExceeded),
    /// Something that was spent cannot be booked: its model has no price where money is limited, or its count does not fit.
    Account(SpendError),
    /// What the run had spent before cannot be taken over.
    Ledger(LedgerError),
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
    /// The trace that is replayed cannot answer for the node.
    #[cfg(feature = "json")]
    Replay(ReplayFault),
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
    fn of(why: Why, fault: Option<StoreFault>, account: Option<SpendError>, said: Option<&Said>) -> Self {
        match (why, fault) {
            (Why::TimedOut { limit }, _) => Self::TimedOut { limit },
            (Why::Deadline { limit }, _) => Self::Deadline { limit },
            (Why::Cancelled, _) => Self::Cancelled,
            (Why::Budget | Why::Account, _) => match account {
                Some(SpendError::Exceeded(exceeded)) => Self::Budget(exceeded),
                // What is wrong is always noted where it arises.
                other => Self::Account(other.unwrap_or(SpendError::Overflow)),
            },
            (Why::Store, Some(StoreFault::Ledger(error))) => Self::Ledger(error),
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
            #[cfg(feature = "json")]
            (Why::Store, Some(StoreFault::Replay(fault))) => Self::Replay(fault),
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
            Self::Store(error)
                if matches!(
                    error.kind(),
                    StoreErrorKind::UnknownRun
                        | StoreErrorKind::Gone
                        | StoreErrorKind::Foreign
                        | StoreErrorKind::Misconfigured
                ) =>
            {
                FailureClass::Terminal
            }
            Self::TimedOut { .. } | Self::Deadline { .. } | Self::Cancelled | Self::Store(_) | Self::Budget(_) => {
                FailureClass::Recoverable
            }
            Self::Account(error) => error.class(),
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
            Self::Budget(exceeded) => exceeded.fmt(f),
            Self::Account(_) => f.write_str("what was spent cannot be booked"),
            Self::Ledger(_) => f.write_str("what the run spent before cannot be taken over"),
            Self::Store(_) => f.write_str("the store could not do its part"),
            Self::Checkpoint(_) => f.write_str("a checkpoint cannot be taken over"),
            Self::OtherInput => f.write_str("a run of this id was begun with another input"),
            Self::OtherPipeline { stored, now } => write!(
                f,
                "the run was begun with a pipeline of other nodes (fingerprint {stored:016x}, this one is {now:016x})"
            ),
            Self::UnknownNode(id) => write!(f, "the pipeline has no node `{id}`"),
            #[cfg(feature = "json")]
            Self::Replay(_) => f.write_str("the replayed trace cannot answer for the node"),
        }
    }
}

/// A cause with the words of what it has in it.
struct InFull<'a, E>(&'a Cause<E>);

impl<E> fmt::Display for InFull<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Cause::Store(error) => write!(f, "{}: {error}", self.0),
            Cause::Checkpoint(error) => write!(f, "{}: {error}", self.0),
            Cause::Account(error) => write!(f, "{}: {error}", self.0),
            Cause::Ledger(error) => write!(f, "{}: {error}", self.0),
            cause => cause.fmt(f),
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
            #[cfg(feature = "json")]
            Cause::Replay(_) => "it was not called; name it in `.live([..])` to call it",
            Cause::Checkpoint(CheckpointError { node: None, .. }) => {
                "nothing was deleted; `forget` the run to begin it again"
            }
            // Those two say themselves what reads it.
            Cause::Ledger(LedgerError::Version { .. } | LedgerError::TooManyParts { .. }) | Cause::Checkpoint(_) => {
                "nothing was deleted"
            }
            Cause::Ledger(_) => "nothing was deleted; `forget` the run to begin it again",
            Cause::Budget(_) if self.durable => "raise it, then `resume` goes on from there",
            Cause::Budget(_) => "raise it and run it again",
            Cause::Store(error) => match error.kind() {
                StoreErrorKind::Busy { .. } | StoreErrorKind::UnknownRun => "nothing was run",
                StoreErrorKind::Gone => "`resume` finds nothing any more, `run_as` takes the input once more",
                StoreErrorKind::Foreign => "nothing was touched; another id may do",
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

impl<E: fmt::Debug, T: fmt::Debug> fmt::Debug for Halted<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let Self { node, attempt, class, cause, report, trace, durable } = self;
            return f
                .debug_struct("Halted")
                .field("node", node)
                .field("attempt", attempt)
                .field("class", class)
                .field("cause", cause)
                .field("report", report)
                .field("trace", trace)
                .field("durable", durable)
                .finish();
        }
        write!(f, "{self}")?;
        match &self.cause {
            // All that is known of it is that it can be debugged.
            Cause::Error(error) => write!(f, "\n\nCaused by:\n    {error:?}"),
            Cause::Account(error) => underneath(error, f),
            Cause::Ledger(error) => underneath(error, f),
            Cause::Store(error) => underneath(error, f),
            Cause::Checkpoint(error) => underneath(error, f),
            #[cfg(feature = "json")]
            Cause::Replay(fault) => underneath(fault, f),
            _ => Ok(()),
        }
    }
}

/// An error and what is underneath it, a line for each.
fn underneath(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\n\nCaused by:")?;
    let mut next = Some(error);
    while let Some(error) = next {
        write!(f, "\n    {error}")?;
        next = error.source();
    }
    Ok(())
}

impl<E: Error + 'static, T: fmt::Debug> Error for Halted<E, T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Error(error) => Some(error),
            Cause::Account(error) => Some(error),
            Cause::Ledger(error) => Some(error),
            Cause::Store(error) => Some(error),
            Cause::Checkpoint(error) => Some(error),
            #[cfg(feature = "json")]
            Cause::Replay(fault) => Some(fault),
            _ => None,
        }
    }
}

/// What a run of this [`Detail`] ends with: the bare output or error ([`Bare`]), or a report ([`Full`]).
pub trait Outcomes<Out, Er, T>: Detail {
    /// How it ends.
    type Ended;

    /// With an output.
    fn completed(
        output: Out,
        run: &mut Self::Run,
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        spent: Spent,
    ) -> Self::Ended;

    /// Without one.
    fn halted(
        stop: Stop<Er, Self>,
        run: &mut Self::Run,
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        spent: Spent,
        last: Last,
    ) -> Self::Ended;
}

impl<Out, Er, T> Outcomes<Out, Er, T> for Bare {
    type Ended = Result<Out, Er>;

    #[inline(always)]
    fn completed(
        output: Out,
        (): &mut (),
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        _: Spent,
    ) -> Result<Out, Er> {
        trace(None, None);
        Ok(output)
    }

    #[inline(always)]
    fn halted(
        stop: Stop<Er, Self>,
        (): &mut (),
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        _: Spent,
        _: Last,
    ) -> Result<Out, Er> {
        trace(None, None);
        match stop {
            Stop::Error(error, ()) => Err(error),
        }
    }
}

impl<Out, Er, T> Outcomes<Out, Er, T> for Full {
    type Ended = Result<Completed<Out, T>, Halted<Er, T>>;

    #[inline]
    fn completed(
        output: Out,
        run: &mut RunInfo,
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        spent: Spent,
    ) -> Self::Ended {
        run.report.spent = spent;
        let trace = trace(Some(&run.report), None);
        Ok(Completed { output, report: run.report, trace })
    }

    #[cold]
    fn halted(
        stop: Stop<Er, Self>,
        run: &mut RunInfo,
        trace: impl FnOnce(Option<&Report>, Option<Stopped<'_>>) -> T,
        spent: Spent,
        last: Last,
    ) -> Self::Ended {
        let (info, cause) = match stop {
            Stop::Error(error, info) => (info, Cause::Error(error)),
            Stop::Halt(halt) => (halt.info, Cause::of(halt.why, last.store, last.account, run.said_of(&halt))),
        };
        let class = info.class.unwrap_or_else(|| cause.class());
        let attempt = if info.node.is_some() { info.attempt } else { 0 };
        let status = if class == FailureClass::Terminal { RunStatus::Failed } else { RunStatus::Partial };
        let report = Report { status, spent, ..run.report };
        let in_full = InFull(&cause);
        let why = format_args!("{in_full}");
        let why = (!matches!(cause, Cause::Error(_))).then_some(why);
        let trace = trace(Some(&report), Some(Stopped { report: &report, node: info.node, attempt, class, why }));
        Err(Halted { node: info.node, attempt, class, cause, report, trace, durable: last.durable })
    }
}

/// What store and account have to say at the end of a run that stopped.
#[derive(Debug)]
pub struct Last {
    pub(super) durable: bool,
    pub(super) store: Option<StoreFault>,
    pub(super) account: Option<SpendError>,
}
