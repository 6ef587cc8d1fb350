// A node that does not take what the node before it yields: one error, at the node that is wrong.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Entities {
    names: Vec<String>,
}

async fn extract(text: String) -> Result<Entities, AppError> {
    Ok(Entities { names: vec![text] })
}

async fn count(names: Vec<String>) -> Result<u64, AppError> {
    Ok(names.len() as u64)
}

async fn double(count: u64) -> Result<u64, AppError> {
    Ok(count * 2)
}

fn main() {
    let pipeline = node("extract", extract).then(node("count", count)).then(node("double", double));
    let _ = Runner::new(pipeline).build();
}
