// An error type that does not say what its failures mean, in a runner that reports.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let _ = Runner::new(node("double", double).then(node("again", double))).with_report().build();
}
