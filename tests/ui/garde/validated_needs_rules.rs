// An output that has no rules of its own.
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
struct Fact {
    year: u32,
}

async fn guess(year: u32) -> Result<Fact, AppError> {
    Ok(Fact { year })
}

fn main() {
    let _ = Runner::quick(node("guess", guess).validated()).build();
}
