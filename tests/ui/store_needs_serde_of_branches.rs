// A checkpointed type in a branch of a longer pipeline.
use stroma::{store::HeapStore, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

struct Count(u64);

async fn trim(text: String) -> Result<String, AppError> {
    Ok(text.trim().to_owned())
}

async fn count(text: String) -> Result<Count, AppError> {
    Ok(Count(text.len() as u64))
}

async fn report((count, text): (Count, String)) -> Result<String, AppError> {
    Ok(format!("{} {text}", count.0))
}

fn main() {
    let pipeline = node("trim", trim).then(par(node("count", count), node("again", trim))).then(node("report", report));
    let _ = Runner::new(pipeline).with_store(HeapStore::new()).build();
}
