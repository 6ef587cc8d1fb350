// A function with a `NodeCx` that is not async.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct App {
    factor: u64,
}

fn scale(x: u64, cx: NodeCx<'_, App>) -> Result<u64, AppError> {
    Ok(x * cx.context().factor)
}

fn main() {
    let pipeline = node_with("scale", scale);
    let _ = Runner::new(pipeline).with_context(App { factor: 3 }).build();
}
