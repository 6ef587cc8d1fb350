//! What stroma costs against the same work by hand: instructions counted by callgrind in one run, shown as a table and held to
//! limits; and allocations, of which there are none.
//!
//! The counts need `valgrind` and `gungraun-runner`; the test says so where they are missing, and where `CI=true` that is a
//! failure. With `STROMA_BENCHMARKS=write` the tables of `docs/BENCHMARKS.md` are written anew, those of time and of other crates
//! among them as far as they have been measured: `benches/report` measures all of it.
#![cfg(all(feature = "tokio", target_os = "linux"))]

#[path = "support/tables.rs"]
mod tables;
#[path = "../benches/work/mod.rs"]
mod work;

use std::{
    collections::BTreeMap,
    env,
    process::{Command, Stdio},
};

use allocation_counter::measure;
use tables::{Document, Measured, Row, Table, bold};
use work::{Page, Payload, Wide, Yields, boxed, by_hand, with_stroma};

/// The work of some rows, and how many instructions it may take for each of those by hand.
struct Group {
    name: &'static str,
    /// What it does, for a reader of the table.
    what: &'static str,
    /// The ratio to reach.
    aim: f64,
    /// The most that is let through, for 8 bytes, 128 bytes and 4 KiB, where every node is ready at once.
    ready: [f64; 3],
    /// The same where every node yields once, if that is measured.
    yields: Option<[f64; 3]>,
    /// Instructions a run that may come on top.
    more: f64,
}

/// What each group is held to. Those above their aims are what was measured and a little more, so that they cannot get worse; why
/// they are above stands in `docs/BENCHMARKS.md`.
const GROUPS: [Group; 7] = [
    Group {
        name: "seq8",
        what: "8 nodes",
        aim: 1.00,
        ready: [1.00, 1.00, 2.30],
        yields: Some([1.47, 1.00, 1.00]),
        more: 2.0,
    },
    Group {
        name: "seq8_retry_timeout",
        what: "8 nodes, retry and time-out",
        aim: 1.05,
        ready: [1.05, 1.05, 1.05],
        yields: Some([1.05, 1.05, 1.05]),
        more: 0.0,
    },
    Group {
        name: "par2",
        what: "2 branches",
        aim: 1.00,
        ready: [1.00, 1.00, 1.67],
        yields: Some([1.00, 1.00, 1.00]),
        more: 0.0,
    },
    Group {
        name: "seq8_memory",
        what: "8 nodes, checkpoints in memory",
        aim: 1.00,
        ready: [1.00, 1.00, 1.00],
        yields: Some([1.02, 1.00, 1.00]),
        more: 0.0,
    },
    Group { name: "seq8_trace", what: "8 nodes, trace", aim: 1.05, ready: [1.05, 1.05, 1.05], yields: None, more: 0.0 },
    Group {
        name: "seq8_full",
        what: "8 nodes, everything on",
        aim: 1.05,
        ready: [1.14, 1.05, 1.05],
        yields: Some([1.11, 1.05, 1.05]),
        more: 0.0,
    },
    Group {
        name: "resume_last",
        what: "resumed at the last of 8 nodes",
        aim: 1.00,
        ready: [1.72, 1.33, 1.13],
        yields: None,
        more: 0.0,
    },
];

fn group(row: &Row) -> &'static Group {
    GROUPS.iter().find(|group| group.name == row.group).unwrap_or_else(|| panic!("{} has no limits", row.group))
}

/// The names of all rows, in the order of the tables.
macro_rules! names {
    ($($row:ident = $work:ident $of:tt $(+ $also:ident $and:tt)?;)+) => { [$(stringify!($row)),+] };
}

fn rows() -> Vec<Row> {
    work::rows!(names).map(Row::of).to_vec()
}

/// Allocations of one run of each row, by variant. Without optimisation a page is copied at every turn: that takes a large stack.
fn allocations() -> BTreeMap<&'static str, BTreeMap<&'static str, f64>> {
    std::thread::Builder::new().stack_size(64 << 20).spawn(count_allocations).unwrap().join().unwrap()
}

fn count_allocations() -> BTreeMap<&'static str, BTreeMap<&'static str, f64>> {
    fn of_one(runs: fn(u64) -> u64) -> f64 {
        let count = |n| measure(|| _ = std::hint::black_box(runs(n))).count_total as f64;
        count(1);
        (count(12) - count(4)) / 8.0
    }
    let mut all = BTreeMap::new();
    macro_rules! allocate {
        ($($row:ident = $work:ident[$payload:ty $(, $slot:literal)?] $(+ $also:ident[$($and:tt)+])?;)+) => {
            $(
                all.insert(stringify!($row), BTreeMap::from([
                    ("stroma", of_one(with_stroma::$work::<$payload $(, $slot)?>)),
                    ("hand", of_one(by_hand::$work::<$payload $(, $slot)?>)),
                    ("boxed", of_one(boxed::$work::<$payload $(, $slot)?>)),
                    $(("also", of_one(by_hand::$also::<$($and)+>)),)?
                ]));
            )+
        };
    }
    work::rows!(allocate);
    all
}

#[test]
fn no_run_allocates() {
    for (row, counts) in allocations() {
        assert_eq!((counts["stroma"], counts["hand"]), (0.0, 0.0), "{row}");
        assert!(counts["boxed"] >= 1.0, "nothing was counted for {row}");
    }
}

#[test]
fn instructions_against_the_same_work_by_hand() {
    let missing: Vec<_> =
        [("valgrind", "the package `valgrind`"), ("gungraun-runner", "`cargo install gungraun-runner`")]
            .into_iter()
            .filter(|(program, _)| !is_there(program))
            .collect();
    if !missing.is_empty() {
        let list: Vec<_> = missing.iter().map(|(program, from)| format!("{program} (from {from})")).collect();
        let text = format!("INSTRUCTIONS ARE NOT COUNTED: missing {}", list.join(" and "));
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "{text}");
        eprintln!("{text}");
        return;
    }
    let target = tables::target_folder();
    let mut bench = Command::new(env!("CARGO"));
    // What cargo says of this package is no news to those below, but has some of them built anew.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            bench.env_remove(name);
        }
    }
    let status = bench
        .args(["bench", "--quiet", "--all-features", "--bench", "instructions", "--", "--save-summary=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark failed; see above");

    let rows = rows();
    let runs = |row: &str| if row.contains("page") { Page::RUNS } else { u64::RUNS };
    let counts = tables::callgrind(&target.join("gungraun/stroma-rs/instructions/rows"), runs);
    let instructions = instructions(&rows, &counts);
    let (above, over) = judge(&rows, &counts);
    let beside = beside(&rows, &counts);
    println!("Instructions a run\n\n{instructions}\n\n{beside}\n\n{above}");
    if env::var("STROMA_BENCHMARKS").as_deref() == Ok("write") {
        let mut document = Document::open("docs/BENCHMARKS.md");
        document.put("versions", &tables::versions());
        document.put("instructions", &instructions);
        document.put("above the aim", &above);
        document.put("beside", &beside);
        document.put("cycles", &cycles(&rows, &counts));
        if let Some(times) = tables::times(&target.join("criterion"), &rows, |row| group(row).what) {
            document.put("times", &times);
        }
        if let Some(peers) = tables::peers(&target) {
            document.put("peers", &peers);
        }
        document.save();
    }
    assert!(over.is_empty(), "over their limits: {over:?}");
}

fn is_there(program: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// How much a row may take for each instruction by hand.
fn limit(row: &Row) -> f64 {
    let group = group(row);
    let limits = if row.yields { group.yields } else { Some(group.ready) };
    limits.unwrap_or_else(|| panic!("{} has no limit", row.name))[row.payload.place()]
}

fn instructions(rows: &[Row], counts: &BTreeMap<String, Measured>) -> String {
    let mut table = Table::new(&["work", "payload", "nodes", "stroma", "by hand", "boxed", "ratio", "aim", "limit"]);
    for row in rows {
        let count = &counts[row.name];
        let (ours, by_hand) = (count["stroma"].instructions, count["hand"].instructions);
        let group = group(row);
        table.add([
            group.what.to_owned(),
            row.payload.to_string(),
            row.nodes().to_owned(),
            format!("{ours:.0}"),
            format!("{by_hand:.0}"),
            format!("{:.0}", count["boxed"].instructions),
            bold(ours / by_hand, group.aim),
            format!("{:.2}", group.aim),
            format!("{:.2}", limit(row)),
        ]);
    }
    table.to_string()
}

/// The rows above their aims, and the names of those above their limits.
fn judge(rows: &[Row], counts: &BTreeMap<String, Measured>) -> (String, Vec<&'static str>) {
    let mut table = Table::new(&["work", "payload", "nodes", "ratio", "aim", "instructions too many"]);
    let mut over = Vec::new();
    for row in rows {
        let count = &counts[row.name];
        let (ours, by_hand) = (count["stroma"].instructions, count["hand"].instructions);
        let group = group(row);
        if ours > by_hand * limit(row) + group.more {
            over.push(row.name);
        }
        if tables::rounded(ours / by_hand) > group.aim {
            table.add([
                group.what.to_owned(),
                row.payload.to_string(),
                row.nodes().to_owned(),
                format!("{:.2}", ours / by_hand),
                format!("{:.2}", group.aim),
                format!("{:.0}", by_hand.mul_add(-group.aim, ours)),
            ]);
        }
    }
    (table.to_string(), over)
}

/// What has another twin, beside it.
fn beside(rows: &[Row], counts: &BTreeMap<String, Measured>) -> String {
    let mut table = Table::new(&["work", "payload", "nodes", "beside", "stroma", "that", "ratio", "by hand to that"]);
    for row in rows {
        let Some(also) = counts[row.name].get("also") else { continue };
        let that = match row.group {
            "par2" => "futures `try_join`",
            _ => "`postcard::to_slice` alone",
        };
        let ours = counts[row.name]["stroma"].instructions;
        table.add([
            group(row).what.to_owned(),
            row.payload.to_string(),
            row.nodes().to_owned(),
            that.to_owned(),
            format!("{ours:.0}"),
            format!("{:.0}", also.instructions),
            bold(ours / also.instructions, 1.00),
            format!("{:.2}", counts[row.name]["hand"].instructions / also.instructions),
        ]);
    }
    table.to_string()
}

fn cycles(rows: &[Row], counts: &BTreeMap<String, Measured>) -> String {
    let allocations = allocations();
    let mut table = Table::new(&[
        "work",
        "payload",
        "nodes",
        "cycles: stroma",
        "by hand",
        "boxed",
        "ratio",
        "L1 misses: stroma",
        "by hand",
        "boxed",
        "allocations: stroma",
        "by hand",
        "boxed",
    ]);
    for row in rows {
        let count = &counts[row.name];
        let variants = ["stroma", "hand", "boxed"];
        let cycles = variants.map(|variant| count[variant].cycles);
        let mut cells = vec![group(row).what.to_owned(), row.payload.to_string(), row.nodes().to_owned()];
        cells.extend(cycles.map(|cycles| format!("{cycles:.0}")));
        cells.push(format!("{:.2}", cycles[0] / cycles[1]));
        cells.extend(variants.map(|variant| format!("{:.1}", count[variant].l1_misses.max(0.0))));
        cells.extend(variants.map(|variant| format!("{:.0}", allocations[row.name][variant])));
        table.add(cells);
    }
    table.to_string()
}
