// The function itself where a node is wanted: `node("id", f)` was forgotten.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = node("double", double).then(double);
    let _ = Runner::new(pipeline).build();
}
