// An async closure that uses something it owns: it cannot lend that to a future more than once.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Client {
    factor: u64,
}

fn main() {
    let client = Client { factor: 3 };
    let pipeline = node("scale", async move |x: u64| Ok::<_, AppError>(x * client.factor));
    let _ = Runner::new(pipeline).build();
}
