//! The progress bar: it counts checkpoints, and names the files that are under way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar on standard error, where that is a terminal. A clone is the same bar.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    nodes: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: usize,
    ended: usize,
    under_way: Vec<String>,
}

impl Progress {
    /// A bar over so many files, each of so many nodes.
    pub(crate) fn new(files: usize, nodes: usize, quiet: bool) -> Self {
        let nodes = u64::try_from(nodes).unwrap_or(u64::MAX);
        let bar = ProgressBar::new(nodes.saturating_mul(u64::try_from(files).unwrap_or(u64::MAX)));
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {bar:24.cyan/238} {wide_msg:.dim}");
        // The template is right, and without it there is still a bar.
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸━"));
        }
        bar.enable_steady_tick(Duration::from_millis(80));
        let progress = Self { bar, nodes, state: Arc::new(Mutex::new(State { files, ..State::default() })) };
        progress.show(&progress.state());
        progress
    }

    /// A file is begun.
    pub(crate) fn begin(&self, file: &str) {
        let mut state = self.state();
        state.under_way.push(name(file).to_owned());
        self.show(&state);
    }

    /// The output of a node is checkpointed: of which one is all the same to the bar.
    pub(crate) fn saved(&self, _: &str) {
        self.bar.inc(1);
    }

    /// A file is over, with so many checkpoints on the way.
    pub(crate) fn end(&self, file: &str, saved: usize) {
        let mut state = self.state();
        if let Some(at) = state.under_way.iter().position(|other| other == name(file)) {
            state.under_way.remove(at);
        }
        state.ended += 1;
        self.bar.inc(self.nodes.saturating_sub(u64::try_from(saved).unwrap_or(u64::MAX)));
        self.show(&state);
    }

    /// The bar goes, so that something else can be written.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, state: &State) {
        self.bar.set_prefix(format!("{}/{} files", state.ended, state.files));
        let mut names = state.under_way.iter();
        let first = names.next().map(String::as_str).unwrap_or_default();
        self.bar.set_message(match names.len() {
            0 => first.to_owned(),
            more => format!("{first} and {more} more"),
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here is half done when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a file: there is no room for its path.
fn name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
