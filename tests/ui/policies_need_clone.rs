// The runner's own retries, with a type between two nodes that cannot be cloned.
use stroma::{TokioClock, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

struct Entities {
    names: Vec<String>,
}

async fn extract(text: String) -> Result<Entities, AppError> {
    Ok(Entities { names: vec![text] })
}

async fn count(entities: Entities) -> Result<u64, AppError> {
    Ok(entities.names.len() as u64)
}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = node("extract", extract).then(node("count", count)).then(node("double", double));
    let _ = Runner::new(pipeline).with_clock(TokioClock).with_policies(PolicyMap::default()).build();
}
