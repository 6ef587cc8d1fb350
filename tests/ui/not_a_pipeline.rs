// The function itself where a pipeline is wanted: `node("id", f)` was forgotten.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let _ = Runner::new(double).build();
}
