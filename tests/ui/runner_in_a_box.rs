// A struct that holds a runner without its type.
use stroma::prelude::*;

#[derive(Debug)]
struct AppError;

struct Service {
    runner: Box<dyn AnyRunner<In = u64, Out = u64, Error = AppError, Trace = ()>>,
}

fn main() {}
