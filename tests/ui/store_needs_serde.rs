// A checkpointed type without serde and without a schema.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

#[derive(Clone)]
struct Entities {
    names: Vec<String>,
}

async fn extract(text: String) -> Result<Entities, AppError> {
    Ok(Entities { names: vec![text] })
}

async fn count(entities: Entities) -> Result<u64, AppError> {
    Ok(entities.names.len() as u64)
}

fn main() {
    let pipeline = node("extract", extract).then(node("count", count));
    let _ = Runner::quick(pipeline).build();
}
