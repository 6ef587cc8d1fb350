// A node whose future cannot move to another thread, in a run that is given to tokio's pool.
use std::rc::Rc;

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
    let x = Rc::new(x);
    tokio::task::yield_now().await;
    Ok(*x * 2)
}

async fn again(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}


fn main() -> Result<(), stroma::BuildError> {
    let runner = Runner::quick(node("double", double).then(node("again", again))).build()?;
    tokio::spawn(async move { runner.run(3).await.map(|done| done.output).ok() });
    Ok(())
}
