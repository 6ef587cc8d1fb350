// Branches of `par!` of an input that cannot be cloned.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Document {
    text: String,
}

async fn count(document: Document) -> Result<u64, AppError> {
    Ok(document.text.len() as u64)
}

fn main() {
    let pipeline = par!(node("count", count), node("again", count), node("once more", count));
    let _ = Runner::new(pipeline).build();
}
