//! What the kit lends to whoever builds a runner, and what it sees of the run.

use alloc::{format, string::String, sync::Arc};
use core::fmt::Debug;

use super::{
    ask::Party,
    script::{Ending, Halt, HaltKind},
    store::Tortured,
};
use crate::{
    exec::Exec,
    observe::{Attempt, Failed, Hooks, Succeeded},
    report::Spent,
    run::RunId,
    runner::{Cause, Resumable, Runner},
    store::{Persist, Store},
};

/// The id of the run that is tortured.
pub const TORTURED_RUN: RunId = RunId::from_u128(0x746f_7274_7572_6500);

/// How a life begins.
#[derive(Debug, Clone)]
pub(super) enum How {
    Start,
    Resume,
    ResumeFrom(String),
}

/// One execution of the run that is tortured: to its end, or until it is killed. It lends the store and the hooks that its runner
/// is to be built with.
///
/// ```
/// use stroma::{Runner, node, store::Store, testing::{End, Life}};
/// # async fn double(x: u32) -> Result<u32, std::io::Error> { Ok(x * 2) }
///
/// async fn lead<S: Store>(life: Life<S>) -> End {
///     let runner = Runner::quick(node("double", double)).with_store(life.store()).with_hooks(life.hooks()).build().unwrap();
///     life.run(&runner, 3).await
/// }
/// # stroma::testing::Torture::on(stroma::store::HeapStore::new).schedules(1).run(lead).unwrap();
/// ```
#[derive(Debug)]
pub struct Life<S> {
    pub(super) store: Arc<S>,
    pub(super) party: Party,
    pub(super) how: How,
}

impl<S: Store> Life<S> {
    /// The store for [`with_store`](crate::Builder::with_store).
    pub fn store(&self) -> Tortured<S> {
        Tortured { inner: Arc::clone(&self.store), party: self.party.clone() }
    }

    /// The hooks for [`with_hooks`](crate::Builder::with_hooks).
    pub fn hooks(&self) -> Watch {
        Watch(self.party.clone())
    }

    /// Which life of the run this is, from 1. A stand-in for the outside world, that outlives a life but not a run, begins anew
    /// in the first one.
    pub fn number(&self) -> usize {
        self.party.life + 1
    }

    /// Runs it, from its start or from where an earlier life left it: `run_as`, `resume` or `resume_from`.
    ///
    /// # Cancel safety
    /// As that of a [run](Runner::run). To drop it half-way is one of the things that the kit does.
    pub async fn run<N, E>(&self, runner: &Runner<N, E>, input: N::In) -> End
    where
        N: Exec<E>,
        N::Out: Debug,
        N::Error: Debug,
        E: Resumable,
        E::Store: Persist<N::In>,
    {
        let ended = match &self.how {
            How::Start => runner.run_as(TORTURED_RUN, input).await,
            How::Resume => runner.resume(TORTURED_RUN).await,
            How::ResumeFrom(node) => runner.resume_from(TORTURED_RUN, node).await,
        };
        End(match ended {
            Ok(done) => Ending { output: Ok(format!("{:?}", done.output)), spent: done.report.spent.into() },
            Err(halted) => {
                let why = match &halted.cause {
                    Cause::Store(error) => HaltKind::Store(error.kind()),
                    Cause::Checkpoint(error) => HaltKind::Checkpoint(error.node),
                    Cause::Budget(_) => HaltKind::Limit,
                    Cause::Error(_) | Cause::TimedOut { .. } | Cause::Deadline { .. } => HaltKind::Node,
                    _ => HaltKind::Other,
                };
                let node = halted.node.unwrap_or("no node");
                let text = format!("at {node}, attempt {}: {:?}", halted.attempt, halted.cause);
                Ending { output: Err(Halt { why, text }), spent: halted.report.spent.into() }
            }
        })
    }
}

/// How a life ended: what [`Life::run`] yields.
#[derive(Debug, Clone)]
pub struct End(pub(super) Ending);

impl End {
    /// Whether it yielded its output.
    pub fn is_completed(&self) -> bool {
        self.0.output.is_ok()
    }
}

/// Hooks that count attempts and what they spend.
#[derive(Debug, Clone)]
pub struct Watch(Party);

impl Watch {
    fn ended(&self, spent: Spent) {
        self.0.script.inside().ended(self.0.life, spent);
    }
}

impl<In, Out, Er> Hooks<In, Out, Er> for Watch {
    fn on_start(&self, at: Attempt<'_>, _: Option<&In>) {
        self.0.script.inside().started(self.0.life, at.node, at.instance);
    }

    fn on_success(&self, _: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        self.ended(succeeded.spent);
    }

    fn on_failure(&self, _: Attempt<'_>, failed: Failed<'_, Er>) {
        self.ended(failed.spent);
    }

    fn on_cut_short(&self, _: Attempt<'_>, spent: Spent) {
        self.ended(spent);
    }
}
