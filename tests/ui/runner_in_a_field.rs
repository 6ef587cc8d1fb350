// A struct that holds a runner by its name.
use stroma::prelude::*;

struct Service {
    runner: Runner,
}

fn main() {}
