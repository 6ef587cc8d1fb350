// A closure that gives away what it owns: it could be called once only.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Client {
    key: String,
}

fn main() {
    let client = Client { key: "k".to_owned() };
    let pipeline = node("scale", move |x: u64| async move { Ok::<_, AppError>((x, client.key)) });
    let _ = Runner::new(pipeline).build();
}
