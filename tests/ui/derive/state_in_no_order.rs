// What serde can do for formats that name their fields.
#[stroma::state]
struct Inner {
    words: u32,
}

#[stroma::state]
struct Page {
    #[serde(flatten)]
    inner: Inner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing)]
    unwritten: u32,
    #[serde(skip_deserializing)]
    unread: u32,
}

#[stroma::state]
#[serde(untagged)]
enum Untagged {
    A(u8),
}

#[stroma::state]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Tagged {
    A(Inner),
}

fn main() {}
