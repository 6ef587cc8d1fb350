// A node with another error type than the nodes before it: one error, at the node that is wrong.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn read(path: String) -> Result<String, AppError> {
    Ok(path)
}

async fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn main() {
    let pipeline = node("read", read).then(node("parse", parse));
    let _ = Runner::new(pipeline).build();
}
