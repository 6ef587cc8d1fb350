// A budget of a part in a runner that keeps no account.
use stroma::{Budget, prelude::*};

#[derive(Debug)]
struct AppError;

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let part = node("double", double).budget(Budget::unlimited().tokens(1_000));
    let _ = Runner::new(part.then(node("again", double))).build();
}
