// A branch that does not take what the branch beside it takes.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn count(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = par(node("count", count), node("double", double));
    let _ = Runner::new(pipeline).build();
}
