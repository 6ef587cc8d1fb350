// A check in a runner that could not say which contract was broken.
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

fn main() {
    let pipeline = node("double", double).require(|x: &u64| *x < 10).then(node("again", double));
    let _ = Runner::new(pipeline).build();
}
