//! Why a node stops without a result, and what is known of its run.

use core::{fmt, time::Duration};

use crate::{run::RunId, slot::Place};

/// Why a node stopped without a result.
#[derive(Debug)]
pub enum Stop<Er, D: Detail> {
    /// A node failed with its own error.
    Error(Er, D::Info),
    /// Something around it did.
    Halt(D::Halt),
}

/// The graver of two stops, the first where they are equal.
pub(crate) fn graver<Er, D: Detail>(first: Option<Stop<Er, D>>, second: Option<Stop<Er, D>>) -> Option<Stop<Er, D>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(if D::is_grave(&second) && !D::is_grave(&first) { second } else { first }),
        (first, second) => first.or(second),
    }
}

/// What is known of a run: nothing ([`Bare`](crate::parts::Bare)), or enough for a report ([`Full`](crate::parts::Full)).
pub trait Detail: Sized + 'static {
    /// What is known of a failure beside the error.
    type Info: Copy + Default;
    /// A stop that is not the node's own error.
    type Halt: fmt::Display;
    /// What is known of the run.
    type Run;

    /// Fills in which node a stop belongs to, where nothing inside it did.
    fn place(halt: &mut Self::Halt, at: Place);

    /// A stop in words, with what the run knows more of it.
    fn told<'r>(halt: &'r Self::Halt, run: &'r Self::Run) -> impl fmt::Display + 'r;

    /// Whether no other attempt could do anything about a stop: of two stops that one is told, since behind the other one it
    /// would be tried again.
    fn is_grave<Er>(stop: &Stop<Er, Self>) -> bool;

    /// The id of the run, where it has one.
    fn id(run: &Self::Run) -> Option<&RunId>;

    /// Notes when the run began.
    fn begin(run: &mut Self::Run, now: Duration);

    /// How long this part of the run has taken.
    fn took(run: &Self::Run, now: Duration) -> Duration;

    /// Notes that the run goes on from an earlier one, and how many nodes it need not run.
    fn resumed(run: &mut Self::Run, restored: u16);
}

/// A [`Detail`] that can name a run by itself.
#[diagnostic::on_unimplemented(
    message = "a run of this runner has an id, and a fresh one needs feature `std`",
    label = "no fresh ids without `std`",
    note = "`run_as(id, input)` takes an id of your own"
)]
pub trait Fresh: Detail {
    /// A run that was not before.
    fn fresh() -> Self::Run;
}

/// What a run can stop for beside its nodes: whatever its store can do wrong and its budget can refuse, so nothing where there
/// is neither.
pub trait Stops<F>: Detail {
    /// A stop for this reason, at this place.
    fn stop(fault: F, at: Place) -> Self::Halt;
}
