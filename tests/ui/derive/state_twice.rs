// Below the derives it cannot see them.
#[derive(Clone)]
#[stroma::state]
struct Page {
    words: u32,
}

fn main() {}
