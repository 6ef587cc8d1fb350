// A part of a pipeline that is returned as it is, and is not said to be sealed.
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

fn doubling() -> impl SendExec<Quick, In = u64, Out = u64, Error = AppError> {
    node("double", double)
}

fn main() {
    let _ = doubling();
}
