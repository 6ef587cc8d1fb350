//! What `#[failure(..)]` says.

use proc_macro2::{Group, Ident, Span, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Error, LitStr, Member, Meta, Path, Result, Token, meta::ParseNestedMeta, spanned::Spanned};

/// What `#[failure(..)]` says, of a type or of a variant. Each word has its place.
#[derive(Default)]
pub(super) struct Said {
    pub(super) class: Option<(Class, Span)>,
    pub(super) retry_after: Option<Member>,
    pub(super) stroma: Option<(Path, Span)>,
}

pub(super) enum Class {
    /// The variant of `FailureClass`.
    Fixed(&'static str),
    /// That of what is inside, by its field where there are several.
    Inner(Option<Member>),
}

impl Said {
    /// What all such attributes say.
    pub(super) fn read(attributes: &[Attribute], errors: &mut Option<Error>) -> Self {
        let mut said = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("failure")) {
            let words = words(attribute).and_then(|()| attribute.parse_nested_meta(|word| said.word(&word)));
            note(errors, words);
        }
        said
    }

    fn word(&mut self, word: &ParseNestedMeta<'_>) -> Result<()> {
        let name = word.path.get_ident().map(Ident::to_string).unwrap_or_default();
        match name.as_str() {
            "recoverable" => self.class(word, Class::Fixed("Recoverable")),
            "ambiguous" => self.class(word, Class::Fixed("Ambiguous")),
            "terminal" => self.class(word, Class::Fixed("Terminal")),
            "transparent" => {
                let field = if word.input.peek(Token![=]) { Some(member(word, "source")?) } else { None };
                self.class(word, Class::Inner(field))
            }
            "retry_after" => {
                let field = member(word, "wait")?;
                if self.retry_after.replace(field).is_some() {
                    return Err(word.error("`retry_after` stands here twice: leave one out"));
                }
                Ok(())
            }
            "crate" => {
                let value = word.value()?;
                let words = "`crate` wants a path without quotes: `crate = ::stroma`";
                let path = value.parse().map_err(|error| Error::new(error.span(), words))?;
                if self.stroma.replace((path, word.path.span())).is_some() {
                    return Err(word.error("`crate` stands here twice: leave one out"));
                }
                Ok(())
            }
            _ => {
                let known = "it knows the classes `recoverable`, `ambiguous`, `terminal` and `transparent`, and `retry_after = field`";
                Err(word.error(format!("`{}` is no word of `failure`: {known}", shown(&word.path))))
            }
        }
    }

    fn class(&mut self, word: &ParseNestedMeta<'_>, class: Class) -> Result<()> {
        if !ends(word) && word.path.is_ident("transparent") {
            let field = inside(word).map_or_else(|| "source".to_owned(), |field| shown(&field));
            return Err(word.error(format!("name the field behind `=`: `#[failure(transparent = {field})]`")));
        }
        if !ends(word) {
            return Err(word.error(format!("a class stands alone: `#[failure({})]`", shown(&word.path))));
        }
        if self.class.replace((class, word.path.span())).is_some() {
            return Err(word.error("a failure has one class, and this is the second: leave one out"));
        }
        Ok(())
    }
}

/// Whether words are what it holds: then each can be told by its own name.
fn words(attribute: &Attribute) -> Result<()> {
    match &attribute.meta {
        Meta::List(list) => match list.tokens.clone().into_iter().next() {
            Some(TokenTree::Literal(text)) => {
                Err(Error::new(text.span(), "`failure` holds words without quotes: `#[failure(terminal)]`"))
            }
            _ => Ok(()),
        },
        other => Err(Error::new(other.span(), "`failure` has its words in parentheses: `#[failure(terminal)]`")),
    }
}

/// Whether the word is over.
fn ends(word: &ParseNestedMeta<'_>) -> bool {
    word.input.is_empty() || word.input.peek(Token![,])
}

/// The field that stands in parentheses, where it does not belong.
fn inside(word: &ParseNestedMeta<'_>) -> Option<Member> {
    let group: Group = word.input.parse().ok()?;
    syn::parse2(group.stream()).ok()
}

/// The field that is named behind `=`.
fn member(word: &ParseNestedMeta<'_>, such: &str) -> Result<Member> {
    let name = shown(&word.path);
    if !word.input.peek(Token![=]) {
        return Err(word.error(format!("`{name}` wants the name of a field: `{name} = {such}`")));
    }
    let value = word.value()?;
    if value.peek(LitStr) {
        let text: LitStr = value.parse()?;
        return Err(Error::new(text.span(), format!("name the field without quotes: `{name} = {}`", text.value())));
    }
    let at = value.span();
    let field = value.parse().ok().filter(|_| ends(word));
    field.ok_or_else(|| Error::new(at, format!("name a field: `{name} = {such}`, or by its number")))
}

/// As it is written.
pub(super) fn shown(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(' ', "")
}

/// Keeps an error with those before it.
pub(super) fn note<T>(errors: &mut Option<Error>, result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            match errors {
                Some(errors) => errors.combine(error),
                None => *errors = Some(error),
            }
            None
        }
    }
}
