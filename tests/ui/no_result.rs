// An async function that does not return a `Result`.
use stroma::prelude::*;

async fn count(text: String) -> u64 {
    text.len() as u64
}

fn main() {
    let pipeline = node("count", count);
    let _ = Runner::new(pipeline).build();
}
