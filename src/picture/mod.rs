//! A pipeline and its runs as pictures.
//!
//! [`Description::mermaid`](crate::Description::mermaid) and [`dot`](crate::Description::dot) draw a pipeline, in the forms that
//! Markdown pages and Graphviz show. With a heap, `Trace::table` lists a run for a terminal, and `Trace::timeline` draws it along its time:
//! a lane for each node, as SVG, as a page of HTML that needs no network, and with feature `json` in the trace format of Chrome. All of
//! them are written as they are shown: `print!("{}", ..)` and `to_string()` give the text of a file.
//!
//! ```
//! # use stroma::{node, par};
//! # #[derive(Debug)] struct AppError;
//! # async fn f(x: u32) -> Result<u32, AppError> { Ok(x) }
//! # async fn g(x: (u32, u32)) -> Result<u32, AppError> { Ok(x.0) }
//! let pipeline = node("fetch", f).then(par(node("words", f), node("facts", f))).then(node("report", g));
//! let picture = pipeline.describe().mermaid().to_string();
//! assert!(picture.starts_with("flowchart LR"));
//! ```

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
