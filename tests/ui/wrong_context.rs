// A runner whose context is another one than its nodes want.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct App {
    factor: u64,
}

struct Settings;

async fn scale(x: u64, cx: NodeCx<'_, App>) -> Result<u64, AppError> {
    Ok(x * cx.context().factor)
}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let pipeline = node("double", double).then(node_with("scale", scale)).then(node("again", double));
    let _ = Runner::new(pipeline).with_context(Settings).build();
    let _ = App { factor: 3 };
}
