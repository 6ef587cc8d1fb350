use std::fmt::Debug;

use stroma::{Attempt, Failure, Hooks, Runner, Succeeded, node};

#[derive(Debug)]
struct AppError;

impl Failure for AppError {}

struct Document;

async fn write(_: u64) -> Result<Document, AppError> {
    Ok(Document)
}

struct Print;

impl<In, Out: Debug, Er> Hooks<In, Out, Er> for Print {
    fn on_success(&self, at: Attempt<'_>, succeeded: Succeeded<'_, Out>) {
        println!("{}: {:?}", at.node, succeeded.output);
    }
}

fn main() {
    let _ = Runner::new(node("write", write)).with_hooks(Print).build();
}
