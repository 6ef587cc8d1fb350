// An error type that does not say what its failures mean, in a runner that retries.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let _ = Runner::quick(node("double", double).then(node("again", double))).build();
}
