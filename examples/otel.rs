//! Spans of runs, nodes and attempts, exported to OpenTelemetry.
//!
//! ```text
//! cargo run --example otel --features tracing [-- FILE]
//! ```
//!
//! A text is delivered, its words are counted, and a report is saved. The text is late, so that reading it takes more than one
//! attempt, and the folder for the report is missing, so that the run stops; it is then made, and the run goes on from what it
//! had. Where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector (`http://localhost:4318`), the spans go there; else they are shown
//! as a tree.

use std::{
    collections::{BTreeSet, HashMap},
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use opentelemetry::trace::{SpanId, Status, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{Backoff, NodeCx, PolicyMap, RunId, Runner, ms, node, node_with, par};
use tracing::{Instrument as _, Subscriber, info, info_span};
use tracing_subscriber::{Layer as _, Registry, filter::LevelFilter, layer::SubscriberExt as _};

/// What a collector calls this program.
const SERVICE: &str = "stroma-words";

// ------------------------------------------------------------------------------------------------------------- the pipeline

/// Where the nodes find and leave things.
struct Place {
    incoming: PathBuf,
    report: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
struct Stats {
    words: u32,
    distinct: u32,
    longest: String,
}

async fn read(title: String, cx: NodeCx<'_, Place>) -> io::Result<String> {
    let text = tokio::fs::read_to_string(&cx.context().incoming).await?;
    if text.is_empty() {
        // Of a kind that a moment can change, so it is tried again.
        return Err(io::Error::new(io::ErrorKind::WouldBlock, format!("`{title}` is not delivered yet")));
    }
    info!(bytes = text.len(), "read");
    Ok(text)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

async fn count(text: String) -> io::Result<(u32, u32)> {
    let (mut all, mut distinct) = (0, BTreeSet::new());
    for word in words(&text) {
        all += 1;
        distinct.insert(word);
    }
    Ok((all, distinct.len() as u32))
}

async fn longest(text: String) -> io::Result<String> {
    Ok(words(&text).max_by_key(|word| word.chars().count()).unwrap_or_default())
}

async fn save(stats: Stats, cx: NodeCx<'_, Place>) -> io::Result<Stats> {
    let Stats { words, distinct, longest } = &stats;
    let text = format!("{words} words, {distinct} of them different; the longest is `{longest}`\n");
    tokio::fs::write(&cx.context().report, text).await?;
    Ok(stats)
}

/// Runs the pipeline on a text that is late, and resumes it once there is a folder for the report.
async fn work(text: String, folder: &Path) -> Result<Stats, Box<dyn std::error::Error>> {
    let (incoming, reports) = (folder.join("incoming.txt"), folder.join("reports"));
    fs::write(&incoming, "")?;
    let delivery = {
        let incoming = incoming.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // In one step: nobody sees a half of it.
            let whole = incoming.with_extension("part");
            fs::write(&whole, text).and_then(|()| fs::rename(whole, incoming))
        })
    };
    let place = Place { incoming, report: reports.join("words.txt") };
    let patient = PolicyMap::never().recoverable(50, Backoff::constant(ms(20)));
    let pipeline = node_with("read", read)
        .retry(patient)
        .then(par(node("count", count), node("longest", longest)))
        .map(|((words, distinct), longest)| Stats { words, distinct, longest })
        .then(node_with("save", save));
    let runner = Runner::quick(pipeline).with_context(place).with_tracing().build()?;
    let id = RunId::new("words of a text")?;
    if let Err(halted) = runner.run_as(id, "a text".to_owned()).await {
        info!("{halted}");
    }
    fs::create_dir(&reports)?;
    let done = runner.resume(id).await?;
    delivery.await??;
    Ok(done.output)
}

// --------------------------------------------------------------------------------------------------------------- the export

/// A subscriber whose spans go to this provider.
fn subscriber(provider: &SdkTracerProvider) -> impl Subscriber + Send + Sync + use<> {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SERVICE))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    Registry::default().with(layer.with_filter(LevelFilter::INFO))
}

/// A provider that sends its spans in batches, from a thread of its own, to the collector at this address or else to the one
/// that `OTEL_EXPORTER_OTLP_ENDPOINT` names.
fn sending(address: Option<&str>) -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    // The HTTP client wants to know whose TLS to use; another part of the program may have chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder().with_http();
    let exporter = match address {
        Some(address) => exporter.with_endpoint(address).build()?,
        None => exporter.build()?,
    };
    let resource = Resource::builder().with_service_name(SERVICE).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// A provider that keeps its spans.
fn keeping() -> (SdkTracerProvider, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    (SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build(), exporter)
}

/// Exported spans as a tree.
struct Tree(HashMap<SpanId, Vec<SpanData>>);

impl Tree {
    fn new(mut spans: Vec<SpanData>) -> Self {
        let mut tree = HashMap::<_, Vec<_>>::new();
        // They were exported as they ended.
        spans.sort_by_key(|span| span.start_time);
        for span in spans {
            tree.entry(span.parent_span_id).or_default().push(span);
        }
        Self(tree)
    }

    fn below(&self, parent: SpanId) -> &[SpanData] {
        self.0.get(&parent).map(Vec::as_slice).unwrap_or_default()
    }

    fn show(&self, parent: SpanId, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        for span in self.below(parent) {
            let took = span.end_time.duration_since(span.start_time).unwrap_or_default();
            *text += &format!("{indent}{} ({:.1} ms)", span.name, took.as_secs_f64() * 1e3);
            for field in &span.attributes {
                if !matches!(field.key.as_str(), "target" | "level") {
                    *text += &format!(" {}={}", field.key, field.value);
                }
            }
            if matches!(span.status, Status::Error { .. }) {
                *text += " ERROR";
            }
            *text += "\n";
            for event in span.events.iter() {
                *text += &format!("{indent}  - {}\n", event.name);
            }
            self.show(span.span_context.span_id(), depth + 1, text);
        }
    }
}

// ------------------------------------------------------------------------------------------------------------------ the start

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("otel: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let file =
        env::args_os().nth(1).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), PathBuf::from);
    let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let folder = tempfile::tempdir()?;
    let (provider, kept) = match env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Some(_) => (sending(None)?, None),
        None => {
            let (provider, kept) = keeping();
            (provider, Some(kept))
        }
    };
    tracing::subscriber::set_global_default(subscriber(&provider))?;
    let stats = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work(text, folder.path()).instrument(info_span!("job")))?;
    println!("{}: {stats:?}\n", file.display());
    // What was not sent yet is sent now, and whether that went well is known.
    provider.force_flush()?;
    if let Some(kept) = kept {
        let mut text = String::new();
        Tree::new(kept.get_finished_spans()?).show(SpanId::INVALID, 0, &mut text);
        print!("{text}");
    }
    provider.shutdown()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    const TEXT: &str = "To be, or not to be, that is the question.";

    /// The work with all spans going to this provider.
    fn work_with(provider: &SdkTracerProvider) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let stats = tracing::subscriber::with_default(subscriber(provider), || {
            runtime.block_on(work(TEXT.to_owned(), folder.path()).instrument(info_span!("job")))
        });
        assert_eq!(stats.unwrap(), Stats { words: 10, distinct: 8, longest: "question".to_owned() });
        let report = fs::read_to_string(folder.path().join("reports/words.txt")).unwrap();
        assert_eq!(report, "10 words, 8 of them different; the longest is `question`\n");
    }

    fn field(span: &SpanData, name: &str) -> Option<String> {
        span.attributes.iter().find(|field| field.key.as_str() == name).map(|field| field.value.to_string())
    }

    fn is_error(span: &SpanData) -> bool {
        matches!(span.status, Status::Error { .. })
    }

    #[test]
    fn exported_spans_are_nested_named_and_filled_in() {
        let (provider, kept) = keeping();
        work_with(&provider);
        let tree = Tree::new(kept.get_finished_spans().unwrap());
        let below = |span: &SpanData| tree.below(span.span_context.span_id());
        let [job] = tree.below(SpanId::INVALID) else { panic!("one root") };
        let [first, second] = below(job) else { panic!("two runs") };
        for run in [first, second] {
            assert_eq!((&*run.name, field(run, "run_id").as_deref()), ("run", Some("words of a text")));
            assert_eq!(run.span_context.trace_id(), job.span_context.trace_id());
        }
        assert_eq!((field(first, "status").as_deref(), is_error(first)), (Some("FAILED"), true));
        assert_eq!((field(second, "status").as_deref(), is_error(second)), (Some("RESUMED"), false));
        assert_eq!(field(second, "restored").as_deref(), Some("3"));
        assert_eq!(first.events.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["run stopped"]);

        let named = |run: &SpanData| -> Vec<_> {
            let nodes = below(run).iter();
            nodes.map(|node| (field(node, "node").unwrap(), field(node, "resumed").unwrap(), is_error(node))).collect()
        };
        let of = |name: &str, resumed: bool, error: bool| (name.to_owned(), resumed.to_string(), error);
        let expected =
            [of("read", false, false), of("count", false, false), of("longest", false, false), of("save", false, true)];
        assert_eq!(named(first), expected);
        let expected =
            [of("read", true, false), of("count", true, false), of("longest", true, false), of("save", false, false)];
        assert_eq!(named(second), expected);

        // The text was late, so it was tried again.
        let attempts = below(&below(first)[0]);
        let (last, failed) = attempts.split_last().unwrap();
        assert!(!failed.is_empty());
        for (number, attempt) in (1..).zip(attempts) {
            assert_eq!((&*attempt.name, field(attempt, "attempt")), ("attempt", Some(number.to_string())));
        }
        for attempt in failed {
            assert_eq!(field(attempt, "outcome").as_deref(), Some("failed"));
            assert_eq!(field(attempt, "class").as_deref(), Some("recoverable"));
            assert_eq!(field(attempt, "error").as_deref(), Some("`a text` is not delivered yet"));
            assert!(is_error(attempt));
        }
        assert_eq!((field(last, "outcome").as_deref(), is_error(last)), (Some("succeeded"), false));
        // What a node logs is with its attempt.
        assert_eq!(last.events.iter().map(|event| &*event.name).collect::<Vec<_>>(), ["read"]);
        // A restored node has none.
        assert!(below(&below(second)[0]).is_empty());
    }

    #[test]
    fn spans_arrive_at_a_collector() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let collector = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (Vec::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                let line = line.trim().to_lowercase();
                length = line.strip_prefix("content-length:").map_or(length, |length| length.trim().parse().unwrap());
                head.push(line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            (head, body)
        });
        let provider = sending(Some(&address)).unwrap();
        work_with(&provider);
        provider.shutdown().unwrap();
        let (head, body) = collector.join().unwrap();
        assert_eq!(head[0], "post /v1/traces http/1.1");
        assert!(head.contains(&"content-type: application/x-protobuf".to_owned()), "{head:?}");
        for text in [SERVICE, "attempt", "words of a text", "RESUMED", "`a text` is not delivered yet"] {
            assert!(body.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "no `{text}` in what was sent");
        }
    }
}
