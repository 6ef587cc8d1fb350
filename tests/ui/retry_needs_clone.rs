// A retry of a node whose input cannot be cloned.
use stroma::{TokioClock, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

struct Document {
    text: String,
}

async fn count(document: Document) -> Result<u64, AppError> {
    Ok(document.text.len() as u64)
}

fn main() {
    let pipeline = node("count", count).retry(PolicyMap::default());
    let _ = Runner::new(pipeline).with_clock(TokioClock).build();
}
