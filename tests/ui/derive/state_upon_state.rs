// A state that is said twice, under whatever name.
use stroma::state;

#[stroma::state]
#[stroma::state]
struct Page(u32);

#[state]
#[serde(rename_all = "camelCase")]
#[state]
struct Words {
    all_words: u32,
}

#[stroma::state]
#[state]
struct Count(usize);

fn keep<T: stroma::store::Payload + Clone>() {}

fn main() {
    keep::<Page>();
    keep::<Words>();
    keep::<Count>();
}
