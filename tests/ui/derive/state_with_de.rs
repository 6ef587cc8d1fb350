// A type with a lifetime that the macro could take for its own.
#[stroma::state]
struct Page<'de> {
    title: std::borrow::Cow<'de, str>,
    line: &'de str,
}

fn keep<T: stroma::store::Payload + Clone>() {}

fn main() {
    keep::<Page<'static>>();
}
