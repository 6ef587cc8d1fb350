// A function without a `NodeCx` given to `node_with` in place of `node`.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = node_with("double", double);
    let _ = Runner::new(pipeline).build();
}
