//! JSON from outside, at the border of a pipeline.
//!
//! What a model, a queue or a user sends is text until it was read. [`decode`] reads it in a node of its own; a text that is not
//! what it should be breaks that node's contract, with the path of the field that does not fit. [`from_str`] and [`from_slice`] do
//! the same within a node, which can then ask for another text.

pub(crate) mod checks;
pub(crate) mod decoder;
mod read;

use core::{fmt, marker::PhantomData};

use checks::{Around, DecodeStep, Unchecked, With};
use decoder::Decoder;
pub use read::{from_slice, from_str};
use serde::de::DeserializeOwned;

#[cfg(feature = "garde")]
use crate::into_node::{Itself, Known};
#[cfg(feature = "garde")]
use crate::valid::{Valid, Validated};
use crate::{
    contract::Verdict,
    exec::Node,
    into_node::{IntoBranch, IntoNode},
    layer::{Once, Policy, Skipped, Step, Unlimited},
    pipeline::Pipeline,
};

/// A node that reads a `T` from JSON text: a `String`, a `Vec<u8>` or whatever else lends its bytes.
///
/// Its id is `decode` unless [`named`](Decode::named) gives another. It keeps no checkpoint, since the text before it is kept and
/// reads the same each time, and it is never retried. (Where it is the last of its run its output is kept, as for any node.)
///
/// What it takes and how the pipeline fails is told by the node before it. Where there is none,
/// [`into_pipeline`](Decode::into_pipeline) tells it, and makes a pipeline with all its methods.
///
/// A text that is not a `T` breaks the contract of its input: the run stops with [`Cause::Contract`](crate::Cause::Contract), which
/// has the path of the field that does not fit and what serde says of it, as [`from_str`] tells. A node that can ask for
/// another text uses that.
///
/// ```
/// # use stroma::{Cause, Failure, Runner, json, node};
/// # use postcard_schema::Schema;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug)] struct AppError;
/// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
/// # impl Failure for AppError {}
/// #[derive(Debug, Clone, Serialize, Deserialize, Schema)]
/// struct Facts {
///     facts: Vec<Fact>,
/// }
///
/// #[derive(Debug, Clone, Serialize, Deserialize, Schema)]
/// struct Fact {
///     year: u32,
/// }
///
/// # async fn ask(_: String) -> Result<String, AppError> { Ok(r#"{"facts": [{"year": 1851}, {"year": -1}]}"#.to_owned()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stroma::BuildError> {
/// let pipeline = node("ask", ask).then(json::decode::<Facts>().named("facts"));
/// let halted = Runner::quick(pipeline).build()?.run("When?".to_owned()).await.unwrap_err();
/// assert_eq!(halted.node, Some("facts"));
/// let Cause::Contract(broken) = halted.cause else { unreachable!() };
/// assert_eq!(broken.violation.path(), "facts[1].year");
/// # Ok(())
/// # }
/// ```
pub fn decode<T: DeserializeOwned>() -> Decode<T> {
    Decode { id: "decode", key: None, checks: Unchecked, types: PhantomData }
}

/// A node that reads JSON, as [`decode`] makes it. What it takes and fails with is told by what it is put after.
#[must_use = "a node does nothing until it is in a pipeline"]
pub struct Decode<T, C = Unchecked> {
    id: &'static str,
    key: Option<&'static str>,
    checks: C,
    types: PhantomData<fn() -> T>,
}

impl<T, C> fmt::Debug for Decode<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decode").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<T, C: Clone> Clone for Decode<T, C> {
    fn clone(&self) -> Self {
        Self { id: self.id, key: self.key, checks: self.checks.clone(), types: PhantomData }
    }
}

impl<T, C: Copy> Copy for Decode<T, C> {}

impl<T, C> Decode<T, C> {
    /// Gives it this id.
    pub fn named(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// The id that it had in the first version of the program, as [`Pipeline::was`].
    pub fn was(mut self, id: &'static str) -> Self {
        self.key = Some(id);
        self
    }

    /// Checks what it read, as [`Pipeline::ensure`] does.
    pub fn ensure<F, V>(self, check: F) -> Decode<T, V::Is<With<C, F>>>
    where
        F: Fn(&T) -> V,
        V: Verdict,
    {
        let Self { id, key, checks, types } = self;
        Decode { id, key, checks: V::is(With { first: checks, then: check }), types }
    }

    /// Checks what it read by the rules of its type, as [`Pipeline::validated`] does.
    #[cfg(feature = "garde")]
    pub fn validated<V, Context>(self) -> Decode<T, <Context as Known>::Is<With<C, Validated>>>
    where
        T: Itself<It = V>,
        V: Valid<Context = Context>,
    {
        let Self { id, key, checks, types } = self;
        Decode { id, key, checks: With { first: checks, then: Validated }, types }
    }

    /// A pipeline that begins with it and takes an `In`: for where nothing before it tells that.
    ///
    /// ```
    /// # use stroma::{Failure, Runner, json, node};
    /// # #[derive(Debug)] struct AppError;
    /// # impl std::fmt::Display for AppError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
    /// # impl Failure for AppError {}
    /// # async fn sum(numbers: Vec<u32>) -> Result<u32, AppError> { Ok(numbers.iter().sum()) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), stroma::BuildError> {
    /// let pipeline = json::decode::<Vec<u32>>().into_pipeline::<String, AppError>().then(node("sum", sum));
    /// assert_eq!(Runner::quick(pipeline).build()?.run("[1, 2, 3]".to_owned()).await.unwrap().output, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_pipeline<In, Error>(self) -> Pipeline<DecodeStep<T, C, In, Error>, In, T, Error>
    where
        C: Around<Decoder<T, In, Error>>,
    {
        Pipeline::of(self.step())
    }

    fn step<In, Error>(self) -> DecodeStep<T, C, In, Error>
    where
        C: Around<Decoder<T, In, Error>>,
    {
        let Self { id, key, checks, .. } = self;
        let policy = Policy { retry: Once, limit: Unlimited, keep: Skipped::default() };
        Step { id, key: key.unwrap_or(id), body: checks.around(Decoder(PhantomData)), policy }
    }
}

// That the input is text is asked where the runner is built: here it would make this one of the kinds of node that are listed to
// those who put something else into a pipeline.
#[diagnostic::do_not_recommend]
impl<T, C, In, Error> IntoNode<In, Error> for Decode<T, C>
where
    C: Around<Decoder<T, In, Error>, Body: Node<In = In, Out = T, Error = Error>>,
{
    type Out = T;
    type Node = DecodeStep<T, C, In, Error>;

    fn into_node(self) -> Self::Node {
        self.step()
    }
}

#[diagnostic::do_not_recommend]
impl<T, C, In, Error> IntoBranch<In, Error> for Decode<T, C>
where
    C: Around<Decoder<T, In, Error>, Body: Node<In = In, Out = T, Error = Error>>,
{
    type Out = T;
    type Node = DecodeStep<T, C, In, Error>;

    fn into_branch(self) -> Self::Node {
        self.step()
    }
}
