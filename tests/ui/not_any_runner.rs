// A runner that keeps nothing, where one that can be resumed is promised.
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

fn doubling() -> impl AnyRunner<In = u64, Out = u64, Error = AppError> {
    Runner::new(node("double", double)).build().unwrap()
}

fn main() {
    let _ = doubling();
}
