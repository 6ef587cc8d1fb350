//! The facts as something to read.

use core::fmt;

use serde::Serialize;
use stroma::{Budget, Spent, Usd};
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
    /// What it spent.
    pub(crate) spent: Money,
    /// What it may spend.
    pub(crate) budget: Limits,
    /// The facts, and what they took.
    #[serde(flatten)]
    pub(crate) extract: &'a Extract,
}

/// What a run spent.
#[derive(Debug, Serialize)]
pub(crate) struct Money {
    /// Tokens, in and out.
    tokens: u64,
    /// Dollars.
    cost: Usd,
    /// Those of the tokens that have no price.
    unpriced_tokens: u64,
}

impl Money {
    /// What a run spent.
    pub(crate) fn of(spent: &Spent) -> Self {
        let Spent { tokens, cost, unpriced_tokens, .. } = *spent;
        Self { tokens, cost, unpriced_tokens }
    }
}

/// What a run may spend; nothing where there is no limit.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    tokens: Option<u64>,
    cost: Option<Usd>,
}

impl Limits {
    /// Those of a budget.
    pub(crate) fn of(budget: &Budget) -> Self {
        Self { tokens: budget.token_limit(), cost: budget.cost_limit() }
    }
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

/// What was spent of a budget, in a few words.
pub(crate) fn spent(spent: &Spent, budget: &Budget) -> String {
    let cost = match budget.cost_limit() {
        Some(limit) => format!("{} of {limit}", spent.cost),
        None => spent.cost.to_string(),
    };
    let tokens = match budget.token_limit() {
        Some(limit) => format!("{} of {limit} tokens", spent.tokens),
        None => format!("{} tokens", spent.tokens),
    };
    match spent.unpriced_tokens {
        0 => format!("{tokens}, {cost}"),
        unpriced => format!("{tokens}, {cost} without {unpriced} that have no price"),
    }
}
