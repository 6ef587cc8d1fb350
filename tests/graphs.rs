//! A pipeline as Mermaid and as DOT: its shape, what nodes and layers say, and ids that would like to be more than text.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use stroma::{
    Backoff, Budget, Description, Pipeline, PolicyMap, Usd, ms, node, par,
    parts::{Layer, NodeInfo, Shown, Walk},
    secs,
};

#[derive(Debug)]
struct AppError;

impl stroma::Failure for AppError {}

async fn one(x: u32) -> Result<u32, AppError> {
    Ok(x)
}

async fn sum((a, b): (u32, u32)) -> Result<u32, AppError> {
    Ok(a + b)
}

/// The edges of a graph in either form, as pairs; each line of one is `a --> b` or `a -> b`.
fn edges(graph: &str) -> BTreeSet<(String, String)> {
    let pairs = graph.lines().filter(|line| !line.contains('"')).filter_map(|line| {
        let (from, to) = line.split_once(" --> ").or_else(|| line.split_once(" -> "))?;
        Some((from.trim().to_owned(), to.trim().to_owned()))
    });
    pairs.collect()
}

/// The marks that are declared, each of which has to be declared once.
fn declared(graph: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in graph.lines().map(str::trim) {
        let mark: String = line.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        let rest = &line[mark.len()..];
        if mark.len() > 1
            && (rest.starts_with('[') || rest.starts_with("((") || rest.starts_with(" ["))
            && mark != "node"
        {
            assert_eq!(found.insert(mark, rest.to_owned()), None, "declared twice:\n{graph}");
        }
    }
    found
}

/// Both forms of a pipeline have one shape; that shape.
fn shape<S: Shown>(description: Description<'_, S>) -> BTreeSet<(String, String)> {
    let (mermaid, dot) = (description.mermaid().to_string(), description.dot().to_string());
    let (of_mermaid, of_dot) = (edges(&mermaid), edges(&dot));
    assert_eq!(of_mermaid, of_dot);
    for graph in [&mermaid, &dot] {
        let declared = declared(graph);
        let ends: BTreeSet<_> = of_dot.iter().flat_map(|(from, to)| [from, to]).cloned().collect();
        assert!(ends.iter().all(|mark| declared.contains_key(mark)), "{ends:?}\n{graph}");
        assert_eq!(declared.keys().filter(|mark| mark.starts_with('n')).count(), description.to_vec().len());
    }
    of_dot
}

fn set(edges: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    edges.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

#[test]
fn a_chain_is_a_line_of_edges() {
    let pipeline = node("a", one).then(node("b", one)).then(node("c", one));
    assert_eq!(shape(pipeline.describe()), set(&[("n1", "n2"), ("n2", "n3")]));
    assert_eq!(shape(node("a", one).describe()), set(&[]));
}

#[test]
fn branches_in_branches_find_their_own_joins() {
    let inner = par(node("b", one), par(node("c", one), node("d", one)).then(node("e", sum))).then(node("f", sum));
    let pipeline = node("a", one).then(par(inner, node("g", one))).then(node("h", sum));
    let found = shape(pipeline.describe());
    let expected = [
        ("n1", "f1"),
        // The first branch begins with branches of its own.
        ("f1", "f2"),
        ("f2", "n2"),
        ("n2", "j2"),
        ("f2", "f3"),
        ("f3", "n3"),
        ("n3", "j3"),
        ("f3", "n4"),
        ("n4", "j3"),
        ("j3", "n5"),
        ("n5", "j2"),
        ("j2", "n6"),
        ("n6", "j1"),
        ("f1", "n7"),
        ("n7", "j1"),
        ("j1", "n8"),
    ];
    assert_eq!(found, set(&expected));
}

#[test]
fn branches_one_after_the_other_and_flat_ones() {
    let twice = par(node("a", one), node("b", one)).then(node("c", sum)).then(par(node("d", one), node("e", one)));
    let expected = [
        ("f1", "n1"),
        ("n1", "j1"),
        ("f1", "n2"),
        ("n2", "j1"),
        ("j1", "n3"),
        ("n3", "f2"),
        ("f2", "n4"),
        ("n4", "j2"),
        ("f2", "n5"),
        ("n5", "j2"),
    ];
    assert_eq!(shape(twice.describe()), set(&expected));
    // The same as a branch: the second of the two inner ones is not inside of the first.
    let outer = shape(par(twice.map(|(d, _)| d), node("f", one)).describe());
    let joins: Vec<_> =
        ["n1", "n2", "n4", "n5", "j3", "n6"].map(|from| (from, outer.iter().find(|edge| edge.0 == from))).into();
    let expected = [("n1", "j2"), ("n2", "j2"), ("n4", "j3"), ("n5", "j3"), ("j3", "j1"), ("n6", "j1")];
    for ((from, found), (_, to)) in joins.into_iter().zip(expected) {
        assert_eq!(found.map(|edge| edge.1.as_str()), Some(to), "{from}");
    }
    let flat = stroma::par!(node("a", one), node("b", one), node("c", one));
    let expected = [("f1", "n1"), ("n1", "j1"), ("f1", "n2"), ("n2", "j1"), ("f1", "n3"), ("n3", "j1")];
    assert_eq!(shape(flat.describe()), set(&expected));
}

#[test]
fn layers_are_told_with_the_node_or_around_the_nodes() {
    let policy = PolicyMap::never().recoverable(5, Backoff::exponential(ms(200)));
    let pipeline = node("a", one)
        .retry(policy)
        .timeout(Duration::from_millis(1_500))
        .ensure(|_: &u32| true)
        .then(node("b", one).retry(PolicyMap::never()).skip_checkpoint())
        .retry(PolicyMap::default())
        .from_start()
        .then(node("c", one).budget(Budget::unlimited().tokens(500).cost(Usd::cents(50)).latency(secs(60))))
        .timeout(secs(9))
        .deadline(secs(30));
    let mermaid = pipeline.describe().mermaid().top_down().to_string();
    let expected = r#"flowchart TB
    subgraph l1["deadline 30s"]
        subgraph l2["time-out 9s"]
            subgraph l3["up to 5 attempts, from the start"]
                n1["a<br>up to 6 attempts<br>time-out 1#46;5s<br>output checked"]
                n2["b<br>one attempt<br>no checkpoint"]
            end
            subgraph l4["budget: 500 tokens, $0.50, 60s"]
                n3["c"]
            end
        end
    end
    n1 --> n2
    n2 --> n3
"#;
    assert_eq!(mermaid, expected);
    let dot = pipeline.describe().dot().to_string();
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    assert!(dot.contains("label=\"budget: 500 tokens, $0.50, 60s\"\n"), "{dot}");
    assert!(dot.contains("n1 [label=\"a\\nup to 6 attempts\\ntime-out 1.5s\\noutput checked\"]\n"), "{dot}");
}

#[test]
fn a_walk_of_ones_own_meets_each_layer_and_its_end() {
    #[derive(Default)]
    struct Layers(Vec<String>);
    impl Walk for Layers {
        fn node(&mut self, node: NodeInfo) {
            self.0.push(node.id.to_owned());
        }

        fn enter(&mut self, layer: &Layer<'_>) {
            self.0.push(match layer {
                Layer::Deadline(limit) => format!("deadline {limit:?}"),
                other => format!("{other:?}"),
            });
        }

        fn leave(&mut self) {
            self.0.push("end".to_owned());
        }
    }
    let pipeline = node("a", one).then(node("b", one).deadline(secs(1))).then(node("c", one)).deadline(secs(2));
    let mut layers = Layers::default();
    pipeline.describe().walk(&mut layers);
    assert_eq!(layers.0, ["deadline 2s", "a", "deadline 1s", "b", "end", "c", "end"]);
    let facts = node("a", one).retry(PolicyMap::never()).timeout(secs(1)).describe().to_vec()[0];
    assert_eq!((facts.retry, facts.timeout), (Some(PolicyMap::never()), Some(secs(1))));
    let facts = node("a", one).describe().to_vec()[0];
    assert_eq!((facts.retry, facts.timeout), (None, None));
}

/// What a Mermaid label says, its entities read.
fn read_mermaid(label: &str) -> String {
    let mut read = String::new();
    let mut rest = label;
    while let Some((before, entity)) = rest.split_once('#') {
        let (number, after) = entity.split_once(';').expect("an entity ends");
        read.push_str(before);
        read.push(char::from_u32(number.parse().expect("an entity is a number")).expect("of a character"));
        rest = after;
    }
    read + rest
}

/// What a DOT label says, its escapes read.
fn read_dot(label: &str) -> String {
    let mut read = String::new();
    let mut chars = label.chars();
    while let Some(c) = chars.next() {
        read.push(if c == '\\' { chars.next().expect("an escape has two characters") } else { c });
    }
    read.replace("&amp;", "&")
}

/// A pipeline of two nodes, the first of which has this id.
fn named(id: &'static str) -> Pipeline<impl Shown, u32, u32, AppError> {
    node(id, one).then(node("after", one))
}

/// The label of the first node.
fn label(graph: &str, before: &str, after: &str) -> String {
    let line = graph.lines().map(str::trim).find(|line| line.starts_with("n1")).expect("there is a first node");
    line.strip_prefix(before).and_then(|line| line.strip_suffix(after)).unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn check_id(id: &str) {
    let id: &'static str = Box::leak(id.to_owned().into_boxed_str());
    let pipeline = named(id);
    let seen: String =
        id.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect();
    let mermaid = pipeline.describe().mermaid().to_string();
    let of_mermaid = label(&mermaid, "n1[\"", "\"]");
    assert!(!of_mermaid.contains(['"', '<', '>', '&', '`', '*', '[', ']', '{', '|', '\\', '$', ':']), "{of_mermaid}");
    let dot = pipeline.describe().dot().to_string();
    let of_dot = label(&dot, "n1 [label=\"", "\"]");
    for (graph, read) in [(&mermaid, read_mermaid(&of_mermaid)), (&dot, read_dot(&of_dot))] {
        assert!(!graph.chars().any(|c| c.is_control() && c != '\n'), "{graph:?}");
        assert_eq!(edges(graph), set(&[("n1", "n2")]), "{graph}");
        // Marks that turn the direction of text are shown as escapes, too; those are compared below.
        if !read.contains("\\u{") {
            assert_eq!(read, seen);
        }
    }
}

#[test]
fn hostile_ids_stay_text() {
    for id in [
        "",
        " ",
        "end",
        "a --> b",
        "x\"]\n    evil --> n1",
        "<script>alert(1)</script>",
        "`**bold** _it_`",
        "1. a list",
        "- a list",
        "__init__",
        "#quot; &quot; &amp; %%{init}%%",
        "back\\slash \\n \\\"",
        "click n1 href \"javascript:alert(1)\"",
        "$$x^2$$",
        "fa:fa-car",
        "style n1 fill:#f00;",
        "名前 — é 🦀",
    ] {
        check_id(id);
    }
    let turned = named("abc\u{202e}d\u{61c}ef");
    for graph in [turned.describe().mermaid().to_string(), turned.describe().dot().to_string()] {
        assert!(!graph.contains(['\u{202e}', '\u{61c}']), "{graph}");
        assert!(graph.contains("202e") && graph.contains("61c"), "{graph}");
    }
}

/// Some versions of Mermaid read Markdown in every label. Behind a letter neither character begins any.
#[test]
fn what_would_begin_emphasis_or_a_list_is_escaped() {
    for (id, written) in [
        ("fetch_page-2", "fetch_page-2"),
        ("__init__", "#95;#95;init_#95;"),
        ("_a_", "#95;a_"),
        ("名_前_", "名_前_"),
        ("- x", "#45; x"),
        ("---", "#45;#45;#45;"),
        ("a\n- b", "a#92;n- b"),
    ] {
        let mermaid = named(id).describe().mermaid().to_string();
        assert_eq!(label(&mermaid, "n1[\"", "\"]"), written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_id_stays_text(id in "\\PC{0,20}|[\"\\\\#;&<>\\[\\]\n\r\t -]{0,12}") {
        check_id(&id);
    }
}
