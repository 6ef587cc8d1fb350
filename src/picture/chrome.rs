//! A timeline in the trace format of Chrome.
#![cfg(feature = "json")]

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::{fmt, time::Duration};

use serde::Serialize;

use super::{
    timeline::{Row, Timeline},
    words::{Name, end, ended},
};
use crate::observe::{Event, Outcome};

impl Timeline<'_> {
    /// The timeline as JSON in the trace event format of Chrome, which <https://ui.perfetto.dev> and `chrome://tracing` open.
    ///
    /// An attempt is a complete event (`X`) with class, message and spend as its `args`, a wait one of category `wait`, a node that
    /// was not run an instant (`i`); counters (`C`) say what was spent up to then. Each branch is a thread of its own; without a
    /// pipeline to go [along](Self::along), what runs at once is on several. Times are in microseconds since the run was opened.
    ///
    /// Source: "Trace Event Format", the Chromium project,
    /// <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.
    pub const fn chrome(&self) -> Chrome<'_> {
        Chrome { timeline: self }
    }
}

/// A timeline in the trace event format of Chrome, made by [`Timeline::chrome`]. Shown as text it is JSON.
#[derive(Debug, Clone, Copy)]
#[must_use = "a trace is written by `Display` or by serde"]
pub struct Chrome<'t> {
    timeline: &'t Timeline<'t>,
}

impl fmt::Display for Chrome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Chrome<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let trace = self.timeline.trace;
        File {
            trace_events: self.entries(),
            display_time_unit: "ms",
            other_data: Other { run_id: trace.run_id().map(|id| id.to_string()), dropped: trace.dropped() },
        }
        .serialize(to)
    }
}

/// The whole, as the format has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'t> {
    trace_events: Vec<Entry<'t>>,
    display_time_unit: &'static str,
    other_data: Other,
}

#[derive(Serialize)]
struct Other {
    run_id: Option<String>,
    dropped: u64,
}

/// One event of the format.
#[derive(Serialize)]
struct Entry<'t> {
    name: Cow<'t, str>,
    cat: &'static str,
    ph: &'static str,
    pid: u32,
    tid: usize,
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    /// How far an instant reaches: over its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Args<'t>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Args<'t> {
    Name { name: String },
    Order { sort_index: usize },
    Attempt(Attempt<'t>),
    Tokens { tokens: u64 },
    Money { usd: f64 },
}

#[derive(Serialize)]
struct Attempt<'t> {
    attempt: u32,
    instance: u32,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'t str>,
    tokens: u64,
    cost: String,
    unpriced_tokens: u64,
}

/// The only process.
const PID: u32 = 1;

impl<'t> Entry<'t> {
    fn new(name: impl Into<Cow<'t, str>>, ph: &'static str, tid: usize, at: Duration) -> Self {
        Self { name: name.into(), cat: "run", ph, pid: PID, tid, ts: micros(at), dur: None, s: None, args: None }
    }

    fn with(self, args: Args<'t>) -> Self {
        Self { args: Some(args), ..self }
    }
}

/// The format has fractions of microseconds; a float is exact to the nanosecond for a hundred days.
fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1_000.0
}

impl<'t> Chrome<'t> {
    fn entries(&self) -> Vec<Entry<'t>> {
        let timeline = self.timeline;
        let rows = timeline.rows();
        let mut lanes = Lanes::default();
        let mut entries = Vec::new();
        let mut visits: Vec<_> = rows.iter().flat_map(visits).collect();
        visits.sort_by_key(|visit| visit.start);
        for visit in visits {
            let tid = lanes.of(&visit);
            for at in visit.events {
                let Some((_, event)) = visit.row.events.get(at) else { continue };
                entries.push(attempt(event, tid));
                if let Some((from, to)) = visit.row.wait(at) {
                    let wait = Entry::new(format!("wait: {}", Name(&event.node, event.instance)), "X", tid, from);
                    entries.push(Entry { cat: "wait", dur: Some(micros(to.saturating_sub(from))), ..wait });
                }
            }
        }
        let run = timeline.trace.run_id().map_or_else(|| "run".to_string(), |id| format!("run {id}"));
        entries.push(Entry::new("process_name", "M", 0, Duration::ZERO).with(Args::Name { name: run }));
        for (tid, lane) in lanes.0.iter().enumerate() {
            let name = match lane.branch {
                Some(branch) => format!("branch {branch}"),
                None if tid == 0 => "pipeline".to_string(),
                None => format!("at once {tid}"),
            };
            entries.push(Entry::new("thread_name", "M", tid, Duration::ZERO).with(Args::Name { name }));
            let order = Args::Order { sort_index: tid };
            entries.push(Entry::new("thread_sort_index", "M", tid, Duration::ZERO).with(order));
        }
        self.counters(&mut entries);
        entries
    }

    /// What was spent up to the end of each attempt that spent something.
    fn counters(&self, entries: &mut Vec<Entry<'t>>) {
        let mut events: Vec<_> = self.timeline.trace.iter().collect();
        events.sort_by_key(|event| end(event));
        let (mut tokens, mut cost) = (0_u64, 0_u64);
        for event in events {
            let (more, money) = (event.spent.tokens, event.spent.cost.as_picodollars());
            (tokens, cost) = (tokens.saturating_add(more), cost.saturating_add(money));
            if more != 0 {
                entries.push(Entry::new("tokens", "C", 0, end(event)).with(Args::Tokens { tokens }));
            }
            if money != 0 {
                // A counter is drawn, not reckoned with: what an attempt cost is in its `args`, exactly.
                let usd = cost as f64 / 1e12;
                entries.push(Entry::new("cost", "C", 0, end(event)).with(Args::Money { usd }));
            }
        }
    }
}

fn attempt<'t>(event: &'t Event, tid: usize) -> Entry<'t> {
    let (class, message) = match &event.outcome {
        Outcome::Failed { class, message } => (Some(class.to_string()), Some(message.as_str())),
        _ => (None, None),
    };
    let args = Args::Attempt(Attempt {
        attempt: event.attempt,
        instance: event.instance,
        outcome: ended(event),
        class,
        message,
        tokens: event.spent.tokens,
        cost: event.spent.cost.to_string(),
        unpriced_tokens: event.spent.unpriced_tokens,
    });
    let name = Name(&event.node, event.instance).to_string();
    match event.outcome {
        Outcome::Restored | Outcome::Replayed => {
            Entry { cat: "attempt", s: Some("t"), ..Entry::new(name, "i", tid, event.start) }.with(args)
        }
        _ => {
            let entry = Entry::new(name, "X", tid, event.start);
            Entry { cat: "attempt", dur: Some(micros(event.took)), ..entry }.with(args)
        }
    }
}

/// Attempts of one node, one after the other, and the waits between them.
struct Visit<'r, 't> {
    row: &'r Row<'t>,
    events: core::ops::Range<usize>,
    start: Duration,
    end: Duration,
}

fn visits<'r, 't>(row: &'r Row<'t>) -> Vec<Visit<'r, 't>> {
    let mut found: Vec<Visit<'r, 't>> = Vec::new();
    for (at, (_, event)) in row.events.iter().enumerate() {
        match found.last_mut().filter(|_| at.checked_sub(1).is_some_and(|before| row.wait(before).is_some())) {
            Some(visit) => (visit.events.end, visit.end) = (at + 1, end(event)),
            None => found.push(Visit { row, events: at..at + 1, start: event.start, end: end(event) }),
        }
    }
    found
}

/// What is on one thread never overlaps.
#[derive(Default)]
struct Lanes(Vec<Lane>);

struct Lane {
    branch: Option<usize>,
    /// Until when it is taken.
    until: Duration,
}

impl Lanes {
    /// The number of the lane that a visit goes to: that of its branch, and where it is taken another one.
    fn of(&mut self, visit: &Visit<'_, '_>) -> usize {
        if self.0.is_empty() {
            self.0.push(Lane { branch: None, until: Duration::ZERO });
        }
        let branch = visit.row.branches.last().copied();
        let free = self.0.iter_mut().enumerate().find(|(_, lane)| lane.branch == branch && lane.until <= visit.start);
        if let Some((tid, lane)) = free {
            lane.until = visit.end;
            return tid;
        }
        self.0.push(Lane { branch, until: visit.end });
        self.0.len() - 1
    }
}
