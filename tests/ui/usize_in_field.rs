// A `usize` inside a checkpointed type: the derive says it, at the field.
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

#[derive(Clone, Serialize, Deserialize, Schema)]
struct Count {
    words: usize,
}

async fn count(text: String) -> Result<Count, AppError> {
    Ok(Count { words: text.len() })
}

fn main() {
    let _ = Runner::quick(node("count", count)).build();
}
