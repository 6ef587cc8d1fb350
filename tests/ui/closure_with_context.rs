// A closure that takes a `NodeCx` and is not an async closure.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct App {
    factor: u64,
}

fn main() {
    let scale =
        node_with("scale", |x: u64, cx: NodeCx<'_, App>| async move { Ok::<_, AppError>(x * cx.context().factor) });
    let _ = Runner::new(scale).with_context(App { factor: 3 }).build();
}
