// An error type that cannot be shown, in a runner that writes a trace.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl Failure for AppError {}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let _ = Runner::quick(node("double", double).then(node("again", double))).build();
}
