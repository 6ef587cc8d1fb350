// A pipeline that is another one in each case.
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
    let twice = true;
    let pipeline = if twice { node("double", double).then(node("again", double)) } else { node("double", double) };
    let _ = Runner::quick(pipeline).build();
}
