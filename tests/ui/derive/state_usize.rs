// A `usize` somewhere in a state: one error, where it stands.
use stroma::prelude::*;

#[stroma::state]
struct Count {
    words: Vec<Option<usize>>,
    lines: [u32; 3 as usize],
}

#[stroma::state]
enum Step {
    Back(isize),
    Forth { by: u32 },
}

async fn count(text: String) -> Result<Count, std::io::Error> {
    Ok(Count { words: vec![Some(text.len())], lines: [0; 3] })
}

async fn step(_: Count) -> Result<Step, std::io::Error> {
    Ok(Step::Back(1))
}

fn main() {
    let _ = Runner::quick(node("count", count).then(node("step", step))).build();
}
