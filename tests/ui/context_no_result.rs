// An async function with a `NodeCx` that does not return a `Result`.
use stroma::prelude::*;

struct App {
    factor: u64,
}

async fn scale(x: u64, cx: NodeCx<'_, App>) -> u64 {
    x * cx.context().factor
}

fn main() {
    let pipeline = node_with("scale", scale);
    let _ = Runner::new(pipeline).with_context(App { factor: 3 }).build();
}
