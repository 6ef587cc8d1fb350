//! How a run stands, and the same as JSON.

use std::{fmt::Write, time::Duration};

use clap::ValueEnum;
use serde_json::{Value, json};
use stroma::{
    SlotKind,
    store::inspect::{Holding, RunView, SlotView},
};

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Somebody executes it.
    Running,
    /// Its last node is done with.
    Finished,
    /// It was given back before its end.
    Halted,
    /// Whoever had it ended, or fell silent, without giving it back.
    Abandoned,
    /// It was given back; which nodes it has, and so whether it is finished, is not known.
    Idle,
}

impl State {
    pub(crate) fn of(view: &RunView) -> Self {
        match (view.progress().map(|progress| progress.is_finished()), view.holding) {
            (Some(true), _) => Self::Finished,
            (_, Holding::Held { .. }) => Self::Running,
            (_, Holding::Abandoned) => Self::Abandoned,
            (Some(false), _) => Self::Halted,
            (None, _) => Self::Idle,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Halted => "halted",
            Self::Abandoned => "abandoned",
            Self::Idle => "idle",
        }
    }

    /// What it says.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Running => "somebody executes it",
            Self::Finished => "its last node is done with",
            Self::Halted => "it was given back before its end",
            Self::Abandoned => "whoever had it ended, or fell silent, without giving it back",
            Self::Idle => "it was given back; whether it is finished is not known",
        }
    }

    /// What is to be done about it.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Running => "wait for its end: `stroma follow` shows it",
            Self::Finished => "nothing: the same run again is answered from here; `stroma forget` makes room",
            Self::Halted => "see to why it halted, then run it again under this id: it goes on with the next node",
            Self::Abandoned => {
                "run it again under this id: it goes on with the next node, which may have been called already"
            }
            Self::Idle => "run it again under this id: it is answered from here, or goes on",
        }
    }
}

/// How many nodes are done with: those that it would not run again, or where its nodes are not known, those that it has outputs of.
pub(crate) fn done(view: &RunView) -> (usize, Option<usize>) {
    view.progress().map_or_else(|| (view.outputs().count(), None), |progress| (progress.done, Some(progress.nodes)))
}

/// In seconds, without digits that nobody measured.
fn seconds(time: Duration) -> f64 {
    // A number of milliseconds that is too large for this was never a time.
    time.as_millis() as f64 / 1_000.0
}

/// A run in short.
pub(crate) fn summary(view: &RunView) -> Value {
    let (done, nodes) = done(view);
    let lease = match view.holding {
        Holding::Held { until } => until,
        _ => None,
    };
    let spent = match view.spent() {
        Ok(None) => Value::Null,
        Ok(Some(spent)) => json!({
            "tokens": spent.tokens,
            "cost_usd": spent.cost.to_string().trim_start_matches('$'),
            "unpriced_tokens": spent.unpriced_tokens,
            "seconds": seconds(spent.time),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    json!({
        "run": view.run.to_string(),
        "state": State::of(view).name(),
        "done": done,
        "nodes": nodes,
        "next": view.progress().map(|progress| progress.next),
        "spent": spent,
        "age_seconds": view.age.map(seconds),
        "idle_seconds": view.idle.map(seconds),
        "held": matches!(view.holding, Holding::Held { .. }),
        "lease_seconds": lease.map(seconds),
        "values": view.slots.len(),
        "bytes": view.bytes(),
    })
}

/// A run in full; with the bytes where they are there.
pub(crate) fn full(view: &RunView) -> Value {
    let mut value = summary(view);
    value["shape"] = json!(view.shape.map(|shape| format!("{shape:016x}")));
    value["pipeline"] = json!(view.outline.as_ref().map(|outline| {
        let mut nodes = Vec::new();
        outline.nodes(&mut |id, kept| nodes.push(json!({ "id": id, "kept": kept })));
        json!({ "shown": outline.to_string(), "nodes": nodes })
    }));
    value["slots"] = view.slots.iter().map(slot).collect();
    value
}

fn slot(slot: &SlotView) -> Value {
    let mut value = json!({
        "node": slot.node,
        "kind": kind(slot.kind),
        "instance": slot.instance,
        "bytes": slot.len,
        "schema": slot.schema.map(|schema| format!("{schema:016x}")),
    });
    if let Some(bytes) = &slot.bytes {
        value["intact"] = json!(slot.is_intact());
        value["hex"] = json!(hex(bytes));
    }
    value
}

pub(crate) fn kind(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Input => "input",
        SlotKind::Output => "output",
        SlotKind::Intent => "intent",
        SlotKind::Decision => "decision",
        SlotKind::Signal => "signal",
        _ => "unknown",
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // A string takes whatever there is memory for.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
