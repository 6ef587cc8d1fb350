// A plain function that can fail, with another error than the nodes before it.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn trim(text: String) -> Result<String, AppError> {
    Ok(text.trim().to_owned())
}

fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn main() {
    let _ = Runner::new(node("trim", trim).try_map(parse)).build();
}
