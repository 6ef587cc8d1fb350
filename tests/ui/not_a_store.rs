// A store that was not taken out of its `Result`.
use stroma::prelude::*;
use stroma::store::RedbStore;

#[derive(Debug)]
struct AppError;

impl std::fmt::Display for AppError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}

impl Failure for AppError {}

async fn double(x: u64) -> Result<u64, AppError> {
    Ok(x * 2)
}

fn main() {
    let store = RedbStore::open("runs.redb");
    let _ = Runner::quick(node("double", double)).with_store(store);
}
