//! `#[stroma::state]`.

/// Derives what a checkpointed type needs: `Clone`, `Serialize`, `Deserialize` and `Schema`. Feature `derive`.
///
/// It stands above a struct or an enum, and above its `#[derive(..)]`: what is derived there already is left out. The program
/// needs neither serde nor postcard-schema in its own `Cargo.toml`; attributes such as `#[serde(rename_all = "..")]` work as ever.
///
/// ```
/// use stroma::prelude::*;
///
/// #[stroma::state]
/// #[derive(Debug, PartialEq)]
/// struct Words {
///     title: Option<String>,
///     words: Vec<String>,
/// }
///
/// async fn split(text: String) -> Result<Words, std::io::Error> {
///     Ok(Words { title: None, words: text.split(' ').map(str::to_owned).collect() })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Keeps checkpoints, so it asks for all of that.
/// let runner = Runner::quick(node("split", split)).build()?;
/// let done = runner.run("one two".to_owned()).await?;
/// assert_eq!(done.output, Words { title: None, words: vec!["one".into(), "two".into()] });
/// # Ok(()) }
/// ```
///
/// # Expansion
/// What one would write with both crates at hand:
///
/// ```
/// #[derive(Clone, serde::Serialize, serde::Deserialize, postcard_schema::Schema)]
/// # #[serde(crate = "serde")] #[postcard(crate = postcard_schema)]
/// struct Words {
///     title: Option<String>,
///     words: Vec<String>,
/// }
/// ```
///
/// and `#[serde(crate = "..")]`, `#[postcard(crate = ..)]`, which say where the two are. `#[stroma::state(crate = path)]` says where
/// this crate is, if not at `::stroma`.
///
/// # What it refuses
/// Postcard writes one field after the other, without names. What cannot come back from that is an error where it stands, in
/// place of one at run time: `#[serde(flatten)]`, `untagged`, `tag`, and whatever skips a field sometimes or in
/// one direction. So is a field of `usize` or `isize`, which have another size elsewhere, one that borrows and is neither skipped nor
/// made by a function of yours (`#[serde(with = "..")]`), one with a `dyn` in it, and one of the type itself, which has no end. See
/// [`Payload`](crate::store::Payload) for what else there is.
pub use stroma_macros::state;
