// An async closure that uses something it owns: it cannot lend that to a future more than once. The words are the compiler's,
// since the bound is `Fn` and what is wrong shows only once the whole function is checked; the cure stands at `node`. A
// `.build()` in the same function would say it a second time, for the same reason.
use stroma::{IntoNode, prelude::*};

#[derive(Debug)]
struct AppError;

struct Client {
    factor: u64,
}

fn scaling(client: Client) -> impl IntoNode<u64, AppError> {
    node("scale", async move |x: u64| Ok::<_, AppError>(x * client.factor))
}

fn main() {
    let _ = scaling(Client { factor: 3 });
}
