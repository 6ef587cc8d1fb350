// A part of a pipeline whose states cannot move to another thread, hidden behind a promise that they can.
use std::rc::Rc;

use stroma::{Quick, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn double(x: u64) -> Result<u64, AppError> {
    let x = Rc::new(x);
    tokio::task::yield_now().await;
    Ok(*x * 2)
}

fn doubling() -> Sealed<impl SendExec<Quick, In = u64, Out = u64, Error = AppError>> {
    node("double", double).seal()
}

fn main() {
    let _ = Runner::quick(doubling()).build();
}
