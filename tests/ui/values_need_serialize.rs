use stroma::{Failure, ListTrace, Runner, TokioClock, node};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

struct Document;

async fn count(_: Document) -> Result<u64, AppError> {
    Ok(1)
}

fn main() {
    let _ = Runner::new(node("count", count)).with_clock(TokioClock).with_trace(ListTrace::new().with_values()).build();
}
