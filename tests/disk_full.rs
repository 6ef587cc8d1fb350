//! A disk that is full while a run is under way: the run stops short and says so, nothing that was saved is lost, and with
//! room again it goes on in the same file.
//!
//! Where the machine lets us mount one, the disk is a small one in memory; a limit on the size of files does elsewhere. The
//! processes are this test binary again. A child works on the file that `STROMA_FULL_FILE` names.
#![cfg(all(unix, feature = "redb", feature = "tokio"))]
#![allow(clippy::std_instead_of_alloc, reason = "a test is a program with a standard library")]

#[path = "support/child.rs"]
mod child;

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use child::{Orders, Process, orders, say};
use stroma::{Cause, Failure, NodeCx, RunId, Runner, node_with, store::RedbStore};
use tempfile::TempDir;

/// What a node yields. Each comes to lie in the file once.
const BYTES: usize = 200_000;
const NODES: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
/// Room for some nodes and not for all of them.
const ROOM: u64 = 6 << 20;

// ---- The child ----

#[derive(Debug)]
struct NoFailure;

impl Failure for NoFailure {}

async fn work(x: Vec<u8>, cx: NodeCx<'_, Arc<File>>) -> Result<Vec<u8>, NoFailure> {
    (&**cx.context()).write_all(format!("{}\n", cx.node()).as_bytes()).unwrap();
    Ok((0..BYTES).map(|at| x[at % x.len()].wrapping_mul(31).wrapping_add(at as u8)).collect())
}

/// Not a test of its own: what the others start.
#[test]
fn child_process() {
    let Ok(file) = env::var("STROMA_FULL_FILE") else { return };
    let effects = OpenOptions::new().create(true).append(true).open(env::var("STROMA_FULL_EFFECTS").unwrap()).unwrap();
    let pipeline = node_with("1", work)
        .then(node_with("2", work))
        .then(node_with("3", work))
        .then(node_with("4", work))
        .then(node_with("5", work))
        .then(node_with("6", work))
        .then(node_with("7", work))
        .then(node_with("8", work));
    let store = RedbStore::open(file).unwrap();
    let runner = Runner::new(pipeline).with_store(store).with_context(Arc::new(effects)).build().unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let Orders { mut commands, .. } = orders();
    say("ready");
    while let Some(run) = commands.blocking_recv() {
        match tokio.block_on(runner.run_as(RunId::new(&run).unwrap(), vec![7_u8])) {
            Ok(done) => {
                let sum: u64 = done.output.iter().map(|byte| u64::from(*byte)).sum();
                say(&format!("done {sum} {} {}", done.report.status, done.report.restored));
            }
            Err(halted) => match halted.cause {
                Cause::Store(error) => say(&format!("{} {:?}: {error}", halted.report.status, error.kind())),
                cause => say(&format!("{} {cause:?}", halted.report.status)),
            },
        }
    }
}

// ---- The parent ----

/// A child at work on `file`, by way of a shell that runs `before` first.
fn process(file: &Path, effects: &Path, before: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before}exec \"$0\" \"$@\"")]).arg(env::current_exe().unwrap()).args(child::ARGS);
    command.env("STROMA_FULL_FILE", file).env("STROMA_FULL_EFFECTS", effects);
    Process::start(command)
}

/// The nodes in the order in which they were called.
fn called(effects: &Path) -> Vec<String> {
    fs::read_to_string(effects).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn is_whole(file: &Path) -> bool {
    let mut builder = redb::Database::builder();
    builder.set_concurrency_mode(redb::ConcurrencyMode::MultiWriter);
    builder.open(file).unwrap().check_integrity().unwrap()
}

/// What a run yields where there is room from the start.
fn undisturbed() -> String {
    let folder = TempDir::new().unwrap();
    let (file, effects) = (folder.path().join("runs.redb"), folder.path().join("effects"));
    let mut child = process(&file, &effects, "");
    let said = child.ask("r");
    child.quit();
    assert_eq!(called(&effects), NODES);
    said.strip_prefix("done ").unwrap().strip_suffix(" COMPLETED 0").unwrap().to_owned()
}

/// It stopped short for want of room, and says so again however often it is asked; the nodes that it called.
fn halted(child: &mut Process, effects: &Path) -> Vec<String> {
    let said = child.ask("r");
    assert!(said.starts_with("PARTIAL Exhausted: "), "{said}");
    let before = called(effects);
    assert!((2..NODES.len()).contains(&before.len()) && before == NODES[..before.len()], "{before:?}");
    let said = child.ask("r");
    assert!(said.starts_with("PARTIAL Exhausted: "), "{said}");
    called(effects)
}

/// A small disk in memory, for as long as this is there.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={}", 2 * ROOM);
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn free(&self) -> u64 {
        let said = Command::new("df").args(["-B1", "--output=avail"]).arg(self.0.path()).output().unwrap();
        String::from_utf8(said.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_a_run_stops_short_and_goes_on_once_there_is_room() {
    let Some(disk) = Disk::new() else {
        // The other test needs no rights, and shows the same but for the process that goes on by itself.
        eprintln!("NO SMALL DISK: this user may not mount one; a limit on the size of files has to do");
        return;
    };
    let elsewhere = TempDir::new().unwrap();
    let (file, effects) = (disk.path("runs.redb"), elsewhere.path().join("effects"));
    let mut child = process(&file, &effects, "");
    // All but room for a few nodes goes to somebody else.
    let filler = disk.path("filler");
    fs::write(&filler, vec![0; usize::try_from(disk.free()).unwrap() - 5 * BYTES]).unwrap();
    let before = halted(&mut child, &effects);
    fs::remove_file(filler).unwrap();
    let said = child.ask("r");
    let restored = before.iter().collect::<std::collections::BTreeSet<_>>().len() - 1;
    assert_eq!(said, format!("done {} RESUMED {restored}", undisturbed()));
    let rest = called(&effects).split_off(before.len());
    assert_eq!(rest, NODES[restored..]);
    child.quit();
    assert!(is_whole(&file));
}

#[test]
fn a_journal_that_has_no_room_leaves_what_there_is_to_the_tables() {
    let Some(disk) = Disk::new() else {
        eprintln!("NO SMALL DISK: this user may not mount one; how little room is enough is not shown");
        return;
    };
    let elsewhere = TempDir::new().unwrap();
    let (file, effects) = (disk.path("runs.redb"), elsewhere.path().join("effects"));
    let mut child = process(&file, &effects, "");
    // Less than a journal takes, and the input, which is small, would go there.
    let before = 200_000;
    fs::write(disk.path("filler"), vec![0; usize::try_from(disk.free()).unwrap() - before]).unwrap();
    let said = child.ask("r");
    assert!(said.starts_with("PARTIAL Exhausted: ") || said.starts_with("done "), "{said}");
    for entry in fs::read_dir(disk.path("runs.redb.holders")).unwrap() {
        assert!(entry.unwrap().metadata().unwrap().len() < 4096);
    }
    child.quit();
}

#[test]
fn at_the_limit_of_a_files_size_a_run_stops_short_and_goes_on_without_it() {
    let folder = TempDir::new().unwrap();
    let (file, effects) = (folder.path().join("runs.redb"), folder.path().join("effects"));
    process(&file, &effects, "").quit();
    let blocks = (fs::metadata(&file).unwrap().len() + 3 * BYTES as u64) / 512;
    let limited = format!("trap '' XFSZ; ulimit -f {blocks} || exit 9; ");
    let mut child = process(&file, &effects, &limited);
    let before = halted(&mut child, &effects);
    child.quit();
    let mut child = process(&file, &effects, "");
    let restored = before.iter().collect::<std::collections::BTreeSet<_>>().len() - 1;
    assert_eq!(child.ask("r"), format!("done {} RESUMED {restored}", undisturbed()));
    assert_eq!(called(&effects).split_off(before.len()), NODES[restored..]);
    child.quit();
    assert!(is_whole(&file));
}
