// A plain function between two nodes that does not take what the node before it yields.
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

fn shout(text: String) -> String {
    text.to_uppercase()
}

fn main() {
    let _ = Runner::new(node("double", double).map(shout)).build();
}
