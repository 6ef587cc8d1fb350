//! The types that the methods of a pipeline make of it.

#[cfg(feature = "garde")]
use crate::valid::Validated;
use crate::{
    chain::Checks,
    compose::{CxNode, FnNode, Map, TryMap},
    contract::Verdict,
    into_node::Known,
    layer::{Inherit, Policy, Step, Stored, Unlimited},
};

/// A single node as it comes out of [`node`](crate::node). (Through [`Known`], so that a wrong function is one error.)
pub type FnStep<F, In, Fut, Out> = <Out as Known>::Is<Step<FnNode<F, In, Fut>, Policy<Inherit, Unlimited, Stored>>>;

/// A single node as it comes out of [`node_with`](crate::node_with). (Through [`Known`], so that a wrong function is one error.)
pub type CxStep<F, In, C, Out, Error> =
    <Out as Known>::Is<Step<CxNode<F, In, C, Out, Error>, Policy<Inherit, Unlimited, Stored>>>;

/// A chain whose input is checked, as it comes out of [`Pipeline::require`](crate::Pipeline::require). (Through [`Verdict`],
/// so that a wrong check is one error.)
pub type Required<C, F, V> = <V as Verdict>::Is<<C as Checks>::Require<F>>;

/// A chain whose output is checked, as it comes out of [`Pipeline::ensure`](crate::Pipeline::ensure). (Through [`Verdict`],
/// so that a wrong check is one error.)
pub type Ensured<C, F, V> = <V as Verdict>::Is<<C as Checks>::Ensure<F>>;

/// A chain whose output obeys the rules of its type, as it comes out of [`Pipeline::validated`](crate::Pipeline::validated).
/// (Through [`Known`], so that a type without rules is one error.)
#[cfg(feature = "garde")]
pub type ValidatedStep<C, Context> = <Context as Known>::Is<<C as Checks>::Ensure<Validated>>;

/// A plain function as it comes out of [`Pipeline::map`](crate::Pipeline::map).
pub type MapStep<F, In, Out, Error> = <Out as Known>::Is<Map<F, In, Out, Error>>;

/// A plain function as it comes out of [`Pipeline::try_map`](crate::Pipeline::try_map).
pub type TryMapStep<F, In, Out, Error> = <Out as Known>::Is<TryMap<F, In, Out, Error>>;
