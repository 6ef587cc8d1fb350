// A branch with another error type than the branch beside it.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn count(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

async fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn main() {
    let pipeline = par(node("count", count), node("parse", parse));
    let _ = Runner::new(pipeline).build();
}
