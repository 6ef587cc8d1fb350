// A run of what is no runner yet.
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

async fn run() {
    let runner = Runner::quick(node("double", double));
    let _ = runner.run(3).await;
}

fn main() {
    let _ = run();
}
