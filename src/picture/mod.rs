//! A pipeline and its runs as pictures.

#[cfg(feature = "json")]
mod chrome;
mod escape;
mod forms;
mod graph;
#[cfg(feature = "alloc")]
mod html;
#[cfg(feature = "alloc")]
mod svg;
#[cfg(feature = "alloc")]
mod table;
#[cfg(feature = "alloc")]
mod timeline;
#[cfg(feature = "alloc")]
mod words;

#[cfg(feature = "json")]
pub use chrome::Chrome;
pub use forms::{Dot, Mermaid};
pub use graph::Graph;
#[cfg(feature = "alloc")]
pub use html::Html;
#[cfg(feature = "alloc")]
pub use svg::Svg;
#[cfg(feature = "alloc")]
pub use table::Table;
#[cfg(feature = "alloc")]
pub use timeline::Timeline;
