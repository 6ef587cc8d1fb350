// A whole pipeline that does not take what is before it: the error is as short as that of a single node.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

async fn length(text: String) -> Result<u64, AppError> {
    Ok(text.len() as u64)
}

async fn trim(text: String) -> Result<String, AppError> {
    Ok(text.trim().to_owned())
}

fn main() {
    let rest = node("trim", trim).then(node("trim again", trim)).then(node("length again", length));
    let _ = Runner::new(node("length", length).then(rest)).build();
}
