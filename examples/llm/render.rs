//! The facts as something to read.

use core::fmt;

use serde::Serialize;
use textwrap::Options;

use crate::{
    pipeline::{Extract, Fact, Number, Took},
    text::one_line,
};

/// The JSON of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Json<'a> {
    /// The path of the text.
    pub(crate) text: &'a str,
    /// The run.
    pub(crate) run: String,
    /// How it ended.
    pub(crate) status: String,
    /// The facts, and what they took.
    #[serde(flatten)]
    pub(crate) extract: &'a Extract,
}

/// Writes the facts, kind by kind, each with its sentence. `width` is the number of columns.
///
/// # Errors
/// Only where `out` fails.
pub(crate) fn report(extract: &Extract, out: &mut impl fmt::Write, width: usize) -> fmt::Result {
    let facts = &extract.facts;
    let named =
        |facts: &[Fact]| facts.iter().map(|fact| (fact.name.clone(), fact.sentence.clone())).collect::<Vec<_>>();
    let number = |number: &Number| (format!("{} {}", number.value, number.of), number.sentence.clone());
    let kinds = [
        ("People", named(&facts.people)),
        ("Places", named(&facts.places)),
        ("Dates", named(&facts.dates)),
        ("Numbers", facts.numbers.iter().map(number).collect()),
    ];
    for (kind, facts) in kinds {
        writeln!(out, "{kind} ({})", facts.len())?;
        for (name, sentence) in facts {
            // What a model says may have anything in it.
            writeln!(out, "  {}", one_line(&name))?;
            let indented = Options::new(width.clamp(40, 110)).initial_indent("      ").subsequent_indent("      ");
            writeln!(out, "{}", textwrap::fill(&one_line(&sentence), indented))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// What the answers took, in one line.
pub(crate) fn took(took: &Took) -> String {
    let models: Vec<&str> = took.models.iter().map(String::as_str).collect();
    let calls = if took.calls == 1 { "call" } else { "calls" };
    let (calls_made, sent, got) = (took.calls, took.prompt_tokens, took.completion_tokens);
    format!("{calls_made} {calls}, {sent} + {got} tokens from {}", one_line(&models.join(", ")))
}
