// A node behind two branches that takes their outputs one by one.
use stroma::par;
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

async fn add(x: u64, y: u64) -> Result<u64, AppError> {
    Ok(x + y)
}

fn main() {
    let _ = Runner::quick(par(node("one", double), node("two", double)).then(node("add", add))).build();
}
