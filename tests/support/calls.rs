//! How often each node was called.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Calls by the id of the node; a clone counts the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<&'static str, u32>>>);

impl Calls {
    /// One more; how many those are.
    pub(crate) fn add(&self, node: &'static str) -> u32 {
        let mut calls = self.0.lock().unwrap();
        let count = calls.entry(node).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn of(&self, node: &'static str) -> u32 {
        self.0.lock().unwrap().get(node).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<(&'static str, u32)> {
        self.0.lock().unwrap().iter().map(|(node, calls)| (*node, *calls)).collect()
    }

    /// All so far, and it begins anew.
    pub(crate) fn take(&self) -> Vec<(&'static str, u32)> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().collect()
    }
}
