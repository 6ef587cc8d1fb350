// A closure that gives away what it owns: it could be called once only.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Client {
    factor: u64,
}

fn main() {
    let client = Client { factor: 3 };
    let pipeline = node("scale", move |x: u64| async move { Ok::<_, AppError>(x * client.factor) });
    let _ = Runner::new(pipeline).build();
}
