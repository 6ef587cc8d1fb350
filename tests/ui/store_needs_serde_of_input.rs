// The input of a run is kept too: it has no serde and no schema.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

#[derive(Clone)]
struct Document {
    text: String,
}

async fn count(document: Document) -> Result<u64, AppError> {
    Ok(document.text.len() as u64)
}

fn main() {
    let _ = Runner::quick(node("count", count)).build();
}
