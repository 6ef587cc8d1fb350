// A checkpointed type that borrows.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn name(_: u64) -> Result<&'static str, AppError> {
    Ok("one")
}

fn main() {
    let _ = Runner::quick(node("name", name)).build();
}
