// A number where text from outside was to be.
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use stroma::{json, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

#[derive(Clone, Serialize, Deserialize, Schema)]
struct Fact {
    year: u32,
}

async fn count(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

fn main() {
    let _ = Runner::quick(node("count", count).then(json::decode::<Fact>())).build();
}
