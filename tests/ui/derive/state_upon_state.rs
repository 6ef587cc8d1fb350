// A state that is said twice.
#[stroma::state]
#[stroma::state]
struct Page(u32);

fn main() {}
