//! What stroma costs in instructions, against the same work by hand: counted by callgrind in one run, shown as a table, and
//! held to limits.
//!
//! It needs `valgrind` and `gungraun-runner`, and says so where they are missing; where `CI=true` that is a failure.
#![cfg(all(feature = "tokio", target_os = "linux"))]

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How much a group may take: the work by hand, times `ratio`, plus `more` instructions.
struct Limit {
    group: &'static str,
    ratio: f64,
    more: f64,
}

/// What each group is held to, for both payloads.
const LIMITS: [Limit; 6] = [
    Limit { group: "seq8", ratio: 1.0, more: 2.0 },
    Limit { group: "seq8_retry_timeout", ratio: 1.10, more: 0.0 },
    Limit { group: "par2", ratio: 1.10, more: 0.0 },
    Limit { group: "seq8_memory", ratio: 1.10, more: 0.0 },
    Limit { group: "seq8_trace", ratio: 1.10, more: 0.0 },
    // The aim is 1.10. What is more than by hand: each slot is asked for by node id and not only by its place, and the run, its
    // session and its first state pass through the phases of one future.
    Limit { group: "resume_last", ratio: 1.95, more: 0.0 },
];

/// How many runs the shorter count is of; the longer one is of twice as many.
const RUNS: f64 = 1_000.0;

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
    let target = target_folder();
    let status = Command::new(env!("CARGO"))
        .args(["bench", "--quiet", "--all-features", "--bench", "instructions", "--", "--save-summary=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", &target)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "the benchmark failed; see above");

    let counts = counts(&target.join("gungraun"));
    let mut table = format!("{:34}{:>9}{:>9}{:>9}{:>8}\n", "instructions a run", "stroma", "by hand", "boxed", "ratio");
    let mut over = Vec::new();
    for limit in &LIMITS {
        for payload in ["u64", "wide"] {
            let count = |variant: &str| counts[&format!("{}_{payload}_{variant}", limit.group)];
            let (ours, by_hand, boxed) = (count("stroma"), count("by_hand"), count("boxed"));
            let row = format!("{} {payload}", limit.group);
            table += &format!("{row:34}{ours:9.0}{by_hand:9.0}{boxed:9.0}{:8.2}\n", ours / by_hand);
            if ours > by_hand * limit.ratio + limit.more {
                over.push(row);
            }
        }
    }
    println!("{table}");
    assert!(over.is_empty(), "over their limits: {over:?}\n{table}");
}

fn is_there(program: &str) -> bool {
    let paths = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// The target folder that this test was built in.
fn target_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).unwrap_or(Path::new("target")).to_owned()
}

/// The instructions of one run of each case.
fn counts(folder: &Path) -> BTreeMap<String, f64> {
    let mut totals = BTreeMap::<String, [f64; 2]>::new();
    visit(folder, &mut |summary| {
        let case = summary.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or_default();
        let Some((case, times)) = case.rsplit_once('.') else { return };
        let json: serde_json::Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
        let total = instructions(&json).unwrap_or_else(|| panic!("no count in {}", summary.display()));
        totals.entry(case.to_owned()).or_default()[usize::from(times == "twice")] = total;
    });
    totals.into_iter().map(|(case, [once, twice])| (case, (twice - once) / RUNS)).collect()
}

fn visit(folder: &Path, found: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, found);
        } else if path.file_name() == Some(OsStr::new("summary.json")) {
            found(&path);
        }
    }
}

/// The count of executed instructions (`Ir`) of the present run, wherever in the summary it stands.
fn instructions(json: &serde_json::Value) -> Option<f64> {
    match json {
        serde_json::Value::Object(object) => match object.get("Ir") {
            Some(ir) => first_number(ir),
            None => object.values().find_map(instructions),
        },
        serde_json::Value::Array(array) => array.iter().find_map(instructions),
        _ => None,
    }
}

fn first_number(json: &serde_json::Value) -> Option<f64> {
    match json {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::Object(object) => match object.get("new") {
            Some(new) => first_number(new),
            None => object.values().find_map(first_number),
        },
        serde_json::Value::Array(array) => array.iter().find_map(first_number),
        _ => None,
    }
}
