//! `#[stroma::state]`.

mod look;
mod stub;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{
    Attribute, Data, DeriveInput, Error, Path, Result, Token, parse::Parser as _, parse_quote, punctuated::Punctuated,
    spanned::Spanned,
};

/// The type with what a checkpointed one derives, or also what is wrong: then with no other error about the same.
pub(crate) fn expand(words: TokenStream, item: TokenStream) -> TokenStream {
    let (stroma, error) = match stroma(words) {
        Ok(path) => (path, None),
        Err(error) => (parse_quote!(::stroma), Some(error.into_compile_error())),
    };
    let mut input: DeriveInput = match syn::parse2(item.clone()) {
        Ok(input) => input,
        // The compiler may have told it already. Where it reads more than `syn` does, nobody else would.
        Err(error) if is_type(item.clone()) => {
            let words = format!("`state` cannot read this type: {error}");
            let error = Error::new(error.span(), words).into_compile_error();
            return quote!(#item #error);
        }
        Err(_) => {
            let span = item.clone().into_iter().next().map_or_else(Span::call_site, |first| first.span());
            let error =
                Error::new(span, "`state` stands on a struct or an enum, the type that is kept").into_compile_error();
            return quote!(#error #item);
        }
    };
    if let Data::Union(data) = &input.data {
        let error =
            Error::new(data.union_token.span(), "a union has no form in a checkpoint: keep a struct or an enum")
                .into_compile_error();
        return quote!(#error #input);
    }
    if is_derived_here(&input.attrs) {
        let second = Span::call_site().resolved_at(input.ident.span());
        let error = Error::new(second, "`state` stands here twice: leave one out").into_compile_error();
        return quote!(#error #input);
    }
    if let Some(unfit) = look::errors(&input) {
        let unfit = unfit.into_compile_error();
        input.attrs.retain(|attribute| !may_be_state(attribute));
        let stubs = stub::in_place_of_derives(&mut input, &stroma);
        return quote!(#input #error #unfit #stubs);
    }
    let attributes = attributes(&input, &stroma);
    let before = before_derives(&mut input.attrs);
    quote! {
        #(#before)*
        #attributes
        #input
        #error
    }
}

/// Whether a type is defined, by the word that says so.
fn is_type(item: TokenStream) -> bool {
    let mut words = item.into_iter().filter_map(|token| match token {
        TokenTree::Ident(word) => Some(word),
        _ => None,
    });
    words.find(|word| word != "pub").is_some_and(|word| word == "struct" || word == "enum")
}

/// Whether this may be `stroma::state`, by its own name or another. Another crate may have a `state` too.
fn may_be_state(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|name| name.ident == "state")
}

/// Takes out what stands up to the last that may be this macro once more, which is to see the derives: it is told by them, not by
/// its name. The words of derives stay below these.
fn before_derives(attributes: &mut Vec<Attribute>) -> Vec<Attribute> {
    let many = attributes.iter().rposition(may_be_state).map_or(0, |last| last + 1);
    let is_word = |attribute: &Attribute| ["serde", "postcard"].iter().any(|name| attribute.path().is_ident(name));
    let (mut below, before): (Vec<_>, _) = attributes.drain(..many).partition(is_word);
    below.append(attributes);
    *attributes = below;
    before
}

/// Whether this macro has been here already: nobody else derives what is in `__derive`.
fn is_derived_here(attributes: &[Attribute]) -> bool {
    derives(attributes).any(|path| path.segments.iter().any(|segment| segment.ident == "__derive"))
}

/// Where the library is: `crate = path`, or under its own name.
fn stroma(words: TokenStream) -> Result<Path> {
    let mut found = None;
    syn::meta::parser(|word| {
        if !word.path.is_ident("crate") {
            return Err(word.error("`state` knows one word, `crate = path::to::stroma`"));
        }
        let value = word.value()?;
        let words = "`crate` wants a path without quotes: `crate = ::stroma`";
        found = Some(value.parse().map_err(|error| Error::new(error.span(), words))?);
        Ok(())
    })
    .parse2(words)?;
    Ok(found.unwrap_or_else(|| parse_quote!(::stroma)))
}

/// The derives that the type has not got, and where they find their traits.
fn attributes(input: &DeriveInput, stroma: &Path) -> TokenStream {
    let has = derived(&input.attrs);
    let serde = quote!(#stroma::__derive::serde);
    let postcard_schema = quote!(#stroma::__derive::postcard_schema);
    let all = [
        ("Clone", quote!(::core::clone::Clone)),
        ("Serialize", quote!(#serde::Serialize)),
        ("Deserialize", quote!(#serde::Deserialize)),
        ("Schema", quote!(#postcard_schema::Schema)),
    ];
    let missing = |name: &str| has.iter().all(|ident| ident != name);
    let derives: Vec<_> = all.iter().filter(|(name, _)| missing(name)).map(|(_, path)| path).collect();
    let derives = (!derives.is_empty()).then(|| quote!(#[derive(#(#derives),*)]));
    let of_serde =
        ((missing("Serialize") || missing("Deserialize")) && !names_crate(&input.attrs, "serde")).then(|| {
            let path = serde.to_string().replace(' ', "");
            quote!(#[serde(crate = #path)])
        });
    let of_postcard = (missing("Schema") && !names_crate(&input.attrs, "postcard"))
        .then(|| quote!(#[postcard(crate = #postcard_schema)]));
    quote!(#derives #of_serde #of_postcard)
}

/// The names of what stands in `#[derive(..)]` below the attribute.
fn derived(attributes: &[Attribute]) -> Vec<Ident> {
    derives(attributes).filter_map(|path| path.segments.last().map(|segment| segment.ident.clone())).collect()
}

/// What stands there.
fn derives(attributes: &[Attribute]) -> impl Iterator<Item = Path> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter_map(|attribute| attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok())
        .flatten()
}

/// Whether one of these attributes already says where its crate is.
fn names_crate(attributes: &[Attribute], of: &str) -> bool {
    let mut named = false;
    each_word(attributes, of, |path, _| named |= path.is_ident("crate"));
    named
}

/// Each word of every `#[of(word, word = .., word(..))]`, and all of them beside it.
fn each_word(attributes: &[Attribute], of: &str, mut see: impl FnMut(&Path, &[Path])) {
    let mut words = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(of)) {
        // What cannot be read is for the derive to refuse.
        let _ = attribute.parse_nested_meta(|word| {
            words.push(word.path.clone());
            while !word.input.is_empty() && !word.input.peek(Token![,]) {
                word.input.parse::<TokenTree>()?;
            }
            Ok(())
        });
    }
    words.iter().for_each(|word| see(word, &words));
}
