// A function with a `NodeCx` given to `node` in place of `node_with`.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct App {
    factor: u64,
}

async fn scale(x: u64, cx: NodeCx<'_, App>) -> Result<u64, AppError> {
    Ok(x * cx.context().factor)
}

fn main() {
    let pipeline = node("scale", scale);
    let _ = Runner::new(pipeline).with_context(App { factor: 3 }).build();
}
