//! A pipeline and its runs as pictures.

mod escape;
mod graph;

pub use graph::{Dot, Graph, Mermaid};
