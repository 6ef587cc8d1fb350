// A classifier that is not for the error of the pipeline.
use stroma::{FailedAttempt, prelude::*};

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

fn main() {
    let _ = Runner::quick(node("double", double))
        .with_classifier(|_: &std::io::Error, _: &FailedAttempt<'_>| Some(FailureClass::Recoverable))
        .build();
}
