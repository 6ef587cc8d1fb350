// A `usize` has another size elsewhere, so it has no schema.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn count(text: String) -> Result<usize, AppError> {
    Ok(text.len())
}

fn main() {
    let _ = Runner::quick(node("count", count)).build();
}
