//! Runs are forgotten, once whoever wants it is sure.

use std::{
    collections::HashSet,
    io::{self, BufRead, IsTerminal, Write},
};

use serde_json::json;
use stroma::{RunId, store::inspect::Holding};

use crate::{
    place::run_id,
    source::Source,
    text::{Json, plain},
    trouble::{Kind, Trouble},
};

/// Forgets them all. Where one is not there or somebody has it, none: as far as a look can tell, since it may be taken right after.
pub(crate) async fn forget(
    mut source: Source,
    mut runs: Vec<RunId>,
    sure: Option<impl FnOnce(&[RunId], usize) -> Result<(), Trouble>>,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Trouble> {
    let mut seen = HashSet::new();
    runs.retain(|run| seen.insert(*run));
    let values = look(&mut source, &runs).await?;
    if let Some(sure) = sure {
        sure(&runs, values)?;
        // To answer takes time, in which somebody may have begun with one of them.
        look(&mut source, &runs).await?;
    }
    carry_out(source, &runs, json, out).await
}

/// How many values they have together; an error where one cannot be forgotten.
async fn look(source: &mut Source, runs: &[RunId]) -> Result<usize, Trouble> {
    let mut values = 0;
    for run in runs {
        let view = source.look(run).await?;
        if let Holding::Held { until } = view.holding {
            return Err(Trouble::held(run, until));
        }
        values += view.slots.len();
    }
    Ok(values)
}

async fn carry_out(source: Source, runs: &[RunId], json: bool, out: &mut impl Write) -> Result<(), Trouble> {
    let store = source.into_forgetful()?;
    // What is decided is done, also where nobody reads on.
    let mut said = Ok(());
    for (count, run) in runs.iter().enumerate() {
        store.forget(run).await.map_err(|trouble| halfway(trouble, runs, count))?;
        let line = match json {
            true => writeln!(out, "{}", Json(&json!({ "run": run.to_string(), "forgotten": true }))),
            false => writeln!(out, "forgotten: {}", plain(&run.to_string())),
        };
        if said.is_ok() {
            said = line;
        }
    }
    Ok(said?)
}

/// The same with what became of the others, where the first `count` are forgotten and the next one failed.
fn halfway(trouble: Trouble, runs: &[RunId], count: usize) -> Trouble {
    if runs.len() < 2 {
        return trouble;
    }
    let named = |runs: &[RunId]| match runs {
        [] => "none".to_owned(),
        _ => runs.iter().map(|run| format!("`{}`", run_id(&run.to_string()))).collect::<Vec<_>>().join(", "),
    };
    let (done, left) = runs.split_at(count.min(runs.len()));
    let mut text = format!("{}; forgotten: {}", trouble.text, named(done));
    let left = match (trouble.kind, left) {
        (Kind::UnknownRun | Kind::Held, left) => left,
        // What a store failed to say it may have done.
        (_, [failed, left @ ..]) => {
            text += &format!("; perhaps: {}", named(&[*failed]));
            left
        }
        (_, left) => left,
    };
    text += &format!("; not forgotten: {}", named(left));
    Trouble { text, ..trouble }
}

/// Asks on the terminal.
pub(crate) fn ask(runs: &[RunId], values: usize) -> Result<(), Trouble> {
    if !io::stdin().is_terminal() {
        return Err(Trouble::usage("nobody is here to ask whether you are sure: say `--yes`"));
    }
    let mut to = io::stderr().lock();
    match runs {
        [run] => write!(to, "Forget run `{}` with its {values} values", plain(&run.to_string()))?,
        _ => write!(to, "Forget {} runs with their {values} values", runs.len())?,
    }
    write!(to, ", for good? [y/N] ")?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Trouble::failed("nothing was forgotten")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use stroma::{
        RunId, Slot, SlotKind,
        store::{Access, Begun, Encode, EncodeError, RedbStore, Session, Store},
    };

    use super::{carry_out, forget};
    use crate::{args::StoreArgs, source::Source, trouble::Kind};

    struct Byte;

    impl Encode for Byte {
        fn encoded_len(&self) -> Result<usize, EncodeError> {
            Ok(1)
        }

        fn encode(&self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
            buffer[0] = 1;
            Ok(1)
        }
    }

    async fn take(store: &RedbStore, run: &RunId) -> impl Session {
        let Begun::Pending(opening) = store.open(run, Access::Create) else { panic!("redb answers later") };
        opening.await.unwrap()
    }

    /// A file with these runs, which were given back.
    async fn file(path: &Path, runs: &[RunId]) -> RedbStore {
        let store = RedbStore::open(path).unwrap();
        for run in runs {
            let mut session = take(&store, run).await;
            let slot = Slot { node: "a", index: 0, instance: 0, kind: SlotKind::Output };
            let Begun::Pending(writing) = session.put(slot, Byte, b"") else { panic!("nor here") };
            writing.await.unwrap();
        }
        store
    }

    fn block_on<T: Send>(work: impl Future<Output = T> + Send) -> T {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        std::thread::scope(|scope| scope.spawn(|| runtime().block_on(work)).join().unwrap())
    }

    fn source(path: &Path) -> Source {
        Source::open(&StoreArgs { place: Some(path.into()), prefix: None }, false).unwrap()
    }

    #[tokio::test]
    async fn what_was_begun_while_somebody_thought_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.redb");
        let runs = ["a", "b"].map(|run| RunId::new(run).unwrap());
        let store = file(&path, &runs).await;
        let mut said = Vec::new();
        let mut session = None;
        let sure = |_: &[RunId], values| {
            assert_eq!(values, 2);
            session = Some(block_on(take(&store, &runs[1])));
            Ok(())
        };
        let refused = forget(source(&path), runs.to_vec(), Some(sure), false, &mut said).await.unwrap_err();
        assert_eq!((refused.kind, &*said), (Kind::Held, &b""[..]), "{refused:?}");
        assert!(source(&path).look(&runs[0]).await.is_ok());
    }

    #[tokio::test]
    async fn who_fails_halfway_says_how_far_it_got() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.redb");
        let runs = ["a", "user:42@eu", "c"].map(|run| RunId::new(run).unwrap());
        let store = file(&path, &runs).await;
        let session = take(&store, &runs[1]).await;
        let mut said = Vec::new();
        let failed = carry_out(source(&path), &runs, false, &mut said).await.unwrap_err();
        assert_eq!((failed.kind, &*said), (Kind::Held, &b"forgotten: a\n"[..]), "{failed:?}");
        assert!(failed.text.ends_with("; forgotten: `a`; not forgotten: `user:42@eu`, `c`"), "{failed:?}");
        drop(session);
    }
}
