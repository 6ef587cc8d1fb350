// Fields that cannot come back from bytes.
#[stroma::state]
struct Page {
    title: &'static str,
    links: Vec<Page>,
    shown: Box<dyn std::fmt::Debug>,
}

#[stroma::state(crate = "stroma")]
enum Tree {
    Leaf,
    Fork(Box<Self>, Box<Self>),
}

fn keep<T: stroma::store::Payload + Clone>() {}

fn main() {
    keep::<Page>();
    keep::<Tree>();
}
