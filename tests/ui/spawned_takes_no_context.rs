// A node that borrows from the run, on tokio's pool.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn add(x: u64, cx: NodeCx<'_, u64>) -> Result<u64, AppError> {
    Ok(x + cx.context())
}

fn main() {
    let _ = Runner::quick(node_with("add", add).spawned()).with_context(1_u64).build();
}
