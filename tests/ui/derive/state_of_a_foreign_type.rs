// A type inside of a state that has no schema, as with those of crates that know serde alone.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Foreign {
    words: u32,
}

#[stroma::state]
struct Page {
    foreign: Foreign,
}

fn main() {}
