// A function that is not async.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

fn count(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

fn main() {
    let pipeline = node("count", count);
    let _ = Runner::new(pipeline).build();
}
