//! One file that survives `kill -9`: checkpoints in an embedded database, which several processes may share.
//!
//! ```text
//! stroma.meta      name                        number         `format`: the version of what is below
//! stroma.runs      run                         holder, token, ledger
//! stroma.slots     run, node, instance, kind   bytes
//! stroma.journals  holder                      the last line of its journal that is in the tables
//! stroma.times     run                         when it was begun, and given back last
//! stroma.pipelines shape                       the nodes of the pipeline
//! ```
//!
//! The last two are for who looks on, in `view`, and there only once somebody wrote to them: a program of before them leaves them
//! as they are.
//!
//! A session holds its run by the pair (holder, token) in the run's record. The holder is a store, and it lives for as
//! long as it has an operating system's lock on `<file>.holders/<holder>`: the kernel releases it with the process,
//! however that ended, so nobody has to guess from a clock whether a holder is dead. Whoever finds it dead takes the run
//! over with a higher token, and a write under the old pair is refused in the same transaction that would have made it.
//!
//! A transaction of the database waits for the disk twice, so that other processes never see half of one. Checkpoints do
//! not pay that: they are appended to the holder's journal, `<file>.holders/<holder>.journal`, with one wait, and go into
//! the tables with the next transaction that is needed anyway. Whoever takes a run over takes what is in there first; see
//! `journal.rs` for why none is lost on the way.

mod answer;
mod batch;
mod claims;
mod driver;
mod error;
mod file;
mod handle;
mod holder;
mod journal;
mod lease;
mod opened;
mod patience;
mod session;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
mod view;
mod waiting;

pub use answer::{RedbForgetting, RedbReading, RedbWriting};
pub use handle::RedbStore;
pub use session::{RedbOpening, RedbSession};
pub use view::{RedbRuns, RedbView};
