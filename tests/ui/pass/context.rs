// The same with a `NodeCx`, whose context is inferred from the function.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct App {
    factor: u64,
}

async fn scale(x: u64, cx: NodeCx<'_, App>) -> Result<u64, AppError> {
    tokio::task::yield_now().await;
    Ok(x * cx.context().factor)
}

async fn attempt<C>(x: u64, cx: NodeCx<'_, C>) -> Result<u64, AppError> {
    Ok(x + u64::from(cx.attempt()))
}

fn main() -> Result<(), stroma::BuildError> {
    let pipeline = node_with("fn", scale)
        .then(node_with("generic fn", attempt::<App>))
        .then(node_with("async closure", async |x: u64, cx: NodeCx<'_, App>| Ok(x * cx.context().factor)))
        .then(node("without", async |x: u64| Ok(x)).skip_checkpoint())
        .then(node_with("tuned", scale).was("old").skip_checkpoint());
    let runner = Runner::new(pipeline).with_context(App { factor: 3 }).build()?;
    let _ = async move { tokio::spawn(async move { runner.run(3).await.is_ok() }).await };
    Ok(())
}
