// An error type of nobody.
use stroma::prelude::*;

async fn parse(text: String) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Ok(text.parse()?)
}

fn main() {
    let _ = Runner::quick(node("parse", parse)).build();
}
