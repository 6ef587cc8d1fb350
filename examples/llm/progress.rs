//! What goes on, on standard error.

use std::io::{self, Write};

/// Tells what goes on, or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    quiet: bool,
}

impl Progress {
    /// Tells it, unless `quiet`.
    pub(crate) const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Tells one line.
    pub(crate) fn say(self, line: &str) {
        if !self.quiet {
            // Where nobody listens there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// The output of a node is checkpointed.
    pub(crate) fn saved(self, node: &str) {
        self.say(&format!("{node}: checkpointed"));
    }

    /// Makes way for something else: lines need none.
    pub(crate) const fn clear(self) {}
}
