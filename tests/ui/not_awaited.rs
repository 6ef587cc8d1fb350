// A run that is not awaited.
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
    let done = runner.run(3)?;
    Ok(done.output)
}

fn main() {
    let _ = run();
}
