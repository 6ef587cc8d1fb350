//! Checkpoints: what is kept, what is run again, what is refused, and what is never lost.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]

#[path = "../support/mod.rs"]
mod support;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use serde::{Deserialize, Serialize};
use stroma::{
    Backoff, Cause, FailureClass, ManualClock, Outcome, PolicyMap, RunId, RunStatus, Runner, ms, node, par, secs,
    store::{CheckpointFault, FORMAT_VERSION, MemoryStore, StoreErrorKind},
};
use support::{
    error::{Oops, chain},
    polling::{now_or_panic, poll_once, poll_until_idle, yield_once},
    scripted::{Act, Log, Scripted},
    spy::Spy,
};

const NEVER: PolicyMap = PolicyMap::never();

fn again(retries: u32) -> PolicyMap {
    NEVER.recoverable(retries, Backoff::none()).ambiguous(retries, Backoff::none())
}

fn bad() -> Act {
    Act::Fail(Oops::Bad)
}

fn id() -> RunId {
    RunId::new("r").unwrap()
}

/// Both kinds of store: one that answers at once, and one whose every answer has to be waited for.
fn stores() -> [Spy; 2] {
    [Spy::new(), Spy::slow(2)]
}

/// `a`, `b` and `c`, scripted.
struct Three {
    a: Scripted,
    b: Scripted,
    c: Scripted,
}

impl Three {
    fn new(log: &Log) -> Self {
        Self { a: Scripted::fine(log, "a"), b: Scripted::fine(log, "b"), c: Scripted::fine(log, "c") }
    }

    fn calls(&self) -> [u32; 3] {
        [self.a.calls(), self.b.calls(), self.c.calls()]
    }
}

/// The runner of `a -> b -> c` with this store.
macro_rules! runner {
    ($three:expr, $spy:expr) => {
        Runner::quick(node("a", $three.a.f()).then(node("b", $three.b.f())).then(node("c", $three.c.f())))
            .with_policies(NEVER)
            .with_store($spy.clone())
            .build()
            .unwrap()
    };
}

mod busy;
mod changed;
mod dropped;
mod forget;
mod going_on;
mod store_faults;
