// A text in place of a run id.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

async fn run() -> Result<u64, Box<dyn std::error::Error>> {
    let runner = Runner::quick(node("double", double)).build()?;
    let done = runner.run_as("invoice 17", 3).await;
    Ok(done.map_or(0, |done| done.output))
}

fn main() {
    let _ = run();
}
