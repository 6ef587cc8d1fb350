// A run under an id in a runner that keeps no ids.
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
    let _ = runner.run_as(RunId::from_u128(1), 2);
    Ok(())
}
