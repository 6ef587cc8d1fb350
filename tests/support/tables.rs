//! The tables of `docs/BENCHMARKS.md`: from what callgrind, criterion and the benches beside other crates leave in the target
//! folder, to Markdown between two marks.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A line of a table, as its name has it: `seq8_memory_page_yield`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) payload: Bytes,
    pub(crate) yields: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bytes {
    Narrow,
    Wide,
    Page,
}

impl Row {
    pub(crate) fn of(name: &'static str) -> Self {
        let (rest, yields) = name.strip_suffix("_yield").map_or((name, false), |rest| (rest, true));
        let (group, payload) = rest.rsplit_once('_').unwrap();
        let payload = match payload {
            "u64" => Bytes::Narrow,
            "wide" => Bytes::Wide,
            "page" => Bytes::Page,
            other => panic!("no payload is called {other}"),
        };
        Self { name, group, payload, yields }
    }

    pub(crate) fn nodes(&self) -> &'static str {
        if self.yields { "yield once" } else { "ready" }
    }
}

impl Bytes {
    /// Its place among the three.
    pub(crate) fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Narrow => "8 B",
            Self::Wide => "128 B",
            Self::Page => "4 KiB",
        })
    }
}

/// A table in Markdown.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(ToString::to_string).collect(), lines: Vec::new() }
    }

    pub(crate) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.head.len());
        self.lines.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return f.write_str("None.");
        }
        let number =
            |at: usize| self.lines.iter().all(|line| line[at].starts_with(|c: char| c.is_ascii_digit() || c == '*'));
        let rule: Vec<_> = (0..self.head.len()).map(|at| if number(at) { "--:" } else { "---" }).collect();
        write!(f, "| {} |\n| {} |", self.head.join(" | "), rule.join(" | "))?;
        self.lines.iter().try_for_each(|line| write!(f, "\n| {} |", line.join(" | ")))
    }
}

/// To two places, as a table shows it.
pub(crate) fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

/// A ratio, in bold where it is above its aim.
pub(crate) fn bold(ratio: f64, aim: f64) -> String {
    if rounded(ratio) > aim { format!("**{ratio:.2}**") } else { format!("{ratio:.2}") }
}

/// One run by callgrind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) instructions: f64,
    /// As valgrind estimates them: 1 for what the first cache has, 5 for what the last one has, 35 for memory.
    pub(crate) cycles: f64,
    /// Reads, writes and instructions that the first cache did not have.
    pub(crate) l1_misses: f64,
}

/// What was measured of one row, by variant.
pub(crate) type Measured = BTreeMap<String, Count>;

/// The target folder that this test was built in.
pub(crate) fn target_folder() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).unwrap_or(Path::new("target")).to_owned()
}

/// What one run takes, of each row and variant, from counts of N (`_0`) and of 2N (`_1`), where `runs` knows N by the name of the row.
pub(crate) fn callgrind(folder: &Path, runs: impl Fn(&str) -> u64) -> BTreeMap<String, Measured> {
    let mut totals = BTreeMap::<(String, String), [Count; 2]>::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some((row, id)) = path.file_name().and_then(OsStr::to_str).and_then(|name| name.split_once('.')) else {
            continue;
        };
        let Some((variant, times)) = id.rsplit_once('_') else { continue };
        let Ok(summary) = fs::read(path.join("summary.json")) else { continue };
        let json: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        let metric = |name| metric(&json, name).unwrap_or_else(|| panic!("no {name} in {}", path.display()));
        let total = Count {
            instructions: metric("Ir"),
            cycles: metric("EstimatedCycles"),
            l1_misses: metric("LLhits") + metric("RamHits"),
        };
        totals.entry((row.to_owned(), variant.to_owned())).or_default()[times.parse::<usize>().unwrap()] = total;
    }
    let mut rows = BTreeMap::<String, Measured>::new();
    for ((row, variant), [once, twice]) in totals {
        let of_one = |total: fn(&Count) -> f64| (total(&twice) - total(&once)) / runs(&row) as f64;
        let count = Count {
            instructions: of_one(|count| count.instructions),
            cycles: of_one(|count| count.cycles),
            l1_misses: of_one(|count| count.l1_misses),
        };
        rows.entry(row).or_default().insert(variant, count);
    }
    rows
}

/// A figure of the present run, wherever in the summary it stands.
fn metric(json: &serde_json::Value, name: &str) -> Option<f64> {
    match json {
        serde_json::Value::Object(object) => match object.get(name) {
            Some(found) => first_number(found),
            None => object.values().find_map(|inner| metric(inner, name)),
        },
        serde_json::Value::Array(array) => array.iter().find_map(|inner| metric(inner, name)),
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

/// The median time of one run in nanoseconds, if criterion has measured it.
fn nanoseconds(folder: &Path, row: &str, variant: &str) -> Option<f64> {
    let text = fs::read(folder.join(row).join(variant).join("new/estimates.json")).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    json["median"]["point_estimate"].as_f64()
}

/// The table of times, if they have been measured.
pub(crate) fn times(criterion: &Path, rows: &[Row], what: impl Fn(&Row) -> &'static str) -> Option<String> {
    let mut table = Table::new(&[
        "work",
        "payload",
        "nodes",
        "stroma, ns",
        "by hand, ns",
        "to by hand",
        "boxed to by hand",
        "beside",
    ]);
    for row in rows {
        let time = |variant: &str| nanoseconds(criterion, row.name, variant);
        let (ours, by_hand, boxed) = (time("stroma")?, time("hand")?, time("boxed")?);
        let also = time("also").map_or_else(String::new, |also| {
            let that = if row.group == "par2" { "futures `try_join`" } else { "`to_slice` alone" };
            format!("{:.2} of {that}", ours / also)
        });
        table.add([
            what(row).to_owned(),
            row.payload.to_string(),
            row.nodes().to_owned(),
            nanos(ours),
            nanos(by_hand),
            format!("{:.2}", ours / by_hand),
            format!("{:.2}", boxed / by_hand),
            also,
        ]);
    }
    Some(table.to_string())
}

fn nanos(time: f64) -> String {
    if time < 100.0 { format!("{time:.1}") } else { format!("{time:.0}") }
}

/// Stroma beside other crates, if that has been measured: instructions, and the ratio of times.
pub(crate) fn peers(target: &Path) -> Option<String> {
    let folder = target.join("gungraun/stroma-peers/peers_instructions/rows");
    if !folder.is_dir() {
        return None;
    }
    let runs = |row: &str| match row {
        _ if row.starts_with("durable") => 20,
        _ if row.contains("page") => 40,
        _ => 400,
    };
    let mut table = Table::new(&[
        "work",
        "payload",
        "nodes",
        "with",
        "instructions",
        "stroma",
        "stroma to that",
        "in time",
        "allocations",
    ]);
    let mut rows: Vec<_> = callgrind(&folder, runs).into_iter().collect();
    let place = |name: &str| PEERS.iter().position(|(group, _)| name.starts_with(group));
    rows.sort_by_key(|(name, _)| {
        let (rest, yields) = name.strip_suffix("_yield").map_or((&**name, false), |rest| (rest, true));
        (place(name), yields, ["u64", "wide", "page"].map(|payload| !rest.ends_with(payload)))
    });
    let allocations = fs::read(target.join("peers-allocations.json")).ok();
    let allocations: serde_json::Value =
        allocations.map_or(serde_json::Value::Null, |text| serde_json::from_slice(&text).unwrap());
    for (name, counts) in rows {
        let row = Row::of(Box::leak(name.into_boxed_str()));
        let time = |variant: &str| nanoseconds(&target.join("criterion"), &format!("peers_{}", row.name), variant);
        let what = place(row.name).map_or(row.group, |at| PEERS[at].1);
        let ours = counts["stroma"].instructions;
        for (variant, count) in counts.iter().filter(|(variant, _)| *variant != "stroma") {
            let in_time = time("stroma").zip(time(variant)).map(|(ours, theirs)| format!("{:.2}", ours / theirs));
            table.add([
                what.to_owned(),
                row.payload.to_string(),
                row.nodes().to_owned(),
                variant.clone(),
                format!("{:.0}", count.instructions),
                format!("{ours:.0}"),
                bold(ours / count.instructions, 1.00),
                in_time.unwrap_or_else(|| "-".to_owned()),
                allocations[row.name][variant].as_f64().map_or_else(|| "-".to_owned(), |count| format!("{count:.0}")),
            ]);
        }
    }
    let mut text = table.to_string();
    if let Ok(file) = fs::read(target.join("peers-file.json")) {
        let file: serde_json::Value = serde_json::from_slice(&file).unwrap();
        if let (Some(ours), Some(theirs)) = (file["stroma"].as_f64(), file["memable"].as_f64()) {
            text += &format!(
                "\n\n8 durable steps of 8 B in a file, with all its syncs: stroma {ours:.2} ms a run, memable {theirs:.2} ms, ratio {}.",
                bold(ours / theirs, 1.00)
            );
        }
    }
    Some(text)
}

/// What is measured beside other crates; a name comes before those that it begins.
const PEERS: [(&str, &str); 4] = [
    ("seq8_retry_timeout", "8 nodes, retry and time-out"),
    ("seq8", "8 nodes"),
    ("par2", "2 branches"),
    ("durable", "8 durable steps, in memory"),
];

/// The machine, and what the figures were made with.
pub(crate) fn versions() -> String {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, Into::into);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let locked = |file: &str, names: &[&str]| {
        let lock = fs::read_to_string(root.join(file)).unwrap_or_default();
        let of_one = |name: &&str| {
            let at = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).map_or("?", |(_, rest)| rest);
            format!("{name} {}", at.split_once('"').map_or("?", |(version, _)| version))
        };
        names.iter().map(of_one).collect::<Vec<_>>().join(", ")
    };
    let dirty = said("git", &["status", "--porcelain", "--", "src", "benches", "Cargo.toml", "Cargo.lock"]);
    let changed = if dirty.is_empty() { "" } else { ", with changes that are not committed" };
    [
        format!("- Commit {}{changed}.", said("git", &["rev-parse", "--short", "HEAD"])),
        format!("- {cpu}, {cores} cores, {}.", said("uname", &["-sm"])),
        format!("- {}; {}.", said("rustc", &["--version"]), said("valgrind", &["--version"])),
        format!(
            "- {}.",
            locked(
                "Cargo.lock",
                &["gungraun", "criterion", "allocation-counter", "futures-util", "postcard", "tokio", "crc"]
            )
        ),
        format!(
            "- Beside them: {}.",
            locked("benches/peers/Cargo.lock", &["tower", "backon", "skid-pipe", "memable", "tokio"])
        ),
    ]
    .join("\n")
}

/// A document with places for tables, each between two marks.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    text: String,
}

/// Where the table of that name stands.
fn place(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let mark = format!("<!-- table: {name} -->\n");
    let start = text.find(&mark)? + mark.len();
    Some(start..start + text[start..].find("<!-- end -->")?)
}

impl Document {
    pub(crate) fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        Self { text: fs::read_to_string(&path).unwrap(), path }
    }

    pub(crate) fn put(&mut self, name: &str, table: &str) {
        let place = place(&self.text, name).unwrap_or_else(|| panic!("no place for {name}"));
        self.text.replace_range(place, &format!("{table}\n"));
    }

    pub(crate) fn save(self) {
        fs::write(self.path, self.text).unwrap();
    }
}
