// A resume in a runner without a store.
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

async fn go_on(id: RunId) -> Option<u64> {
    let runner = Runner::new(node("double", double)).with_report().build().ok()?;
    runner.resume(id).await.ok().map(|done| done.output)
}

fn main() {
    let _ = go_on(RunId::from_u128(1));
}
