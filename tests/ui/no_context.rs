// A runner without a context, whose nodes want one.
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
    let _ = Runner::new(node_with("scale", scale)).build();
    let _ = App { factor: 3 };
}
