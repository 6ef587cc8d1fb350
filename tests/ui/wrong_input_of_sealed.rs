// A part of a pipeline that a function returned does not take what is before it.
use stroma::{Quick, prelude::*};

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn length(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

fn measuring() -> Sealed<impl SendExec<Quick, In = String, Out = u64, Error = AppError>> {
    node("measure", length).seal()
}

fn main() {
    let _ = Runner::quick(node("length", length).then(measuring())).build();
}
