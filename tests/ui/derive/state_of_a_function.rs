// On what is no type, and with a word that it does not know.
#[stroma::state]
fn count() {}

#[stroma::state]
union Either {
    small: u8,
    large: u64,
}

#[stroma::state(debug)]
struct Count(u32);

fn main() {
    count();
}
