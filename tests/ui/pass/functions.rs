// Async fns, async closures and closures that return a future are accepted, and what they take and yield is inferred.
use std::sync::Arc;

use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

#[derive(Debug)]
struct Client {
    key: String,
}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() -> Result<(), stroma::BuildError> {
    let factor = 3;
    let client = Arc::new(Client { key: "k".to_owned() });
    let pipeline = node("fn", double)
        .then(node("async closure", async |x| Ok(x + 1)))
        .then(node("async closure that borrows", async |x: u64| Ok(x * factor)))
        .then(node("async closure with a move of nothing", async move |x: u64| Ok(x)))
        .then(node("closure that copies", move |x: u64| async move { Ok(x * factor) }))
        .then(node("closure that clones", move |x: u64| {
            let client = client.clone();
            async move { if client.key.is_empty() { Err(AppError) } else { Ok(x.to_string()) } }
        }))
        .map(|text| text.len())
        .try_map(|len| if len == 0 { Err(AppError) } else { Ok(len as u64) })
        .try_map(|len| {
            let len = u32::try_from(len).map_err(|_| AppError)?;
            Ok(u64::from(len))
        })
        .then(node("its own error", async |x: u64| Ok::<_, std::io::Error>(x as u8)).map_err(|_| AppError))
        .then(node("tuned", async |x: u8| Ok(x)).timeout(ms(100)).retry(PolicyMap::default()).skip_checkpoint());
    let _ = Runner::new(pipeline).with_clock(stroma::TokioClock).build().map(drop);
    Ok(())
}

impl Failure for AppError {}
