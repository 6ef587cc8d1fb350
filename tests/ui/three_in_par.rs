// Three branches for a function of two.
use stroma::par;
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = par(node("one", double), node("two", double), node("three", double));
    let _ = Runner::new(pipeline).build();
}
