// A resume from a node in a runner without a store.
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

fn main() -> Result<(), stroma::BuildError> {
    let runner = Runner::new(node("double", double)).build()?;
    let _ = runner.resume_from(RunId::from_u128(1), "double");
    Ok(())
}
