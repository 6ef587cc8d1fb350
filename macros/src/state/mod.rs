//! `#[stroma::state]`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Path, Result, Token, TypeArray, TypePath,
    parse::Parser as _,
    parse_quote,
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{self, Visit},
};

/// The type with what a checkpointed one derives, or also what is wrong: then with no other error about the same.
pub(crate) fn expand(words: TokenStream, item: TokenStream) -> TokenStream {
    let (stroma, mut errors) = match stroma(words) {
        Ok(path) => (path, None),
        Err(error) => (parse_quote!(::stroma), Some(error)),
    };
    let input: DeriveInput = match syn::parse2(item.clone()) {
        Ok(input) => input,
        Err(_) => {
            let span = item.clone().into_iter().next().map_or_else(proc_macro2::Span::call_site, |first| first.span());
            let error =
                Error::new(span, "`state` stands on a struct or an enum, the type that is kept").into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut look = Look { errors: None };
    look.visit_derive_input(&input);
    let unfit = look.errors.is_some();
    if let Data::Union(data) = &input.data {
        let error =
            Error::new(data.union_token.span(), "a union has no form in a checkpoint: keep a struct or an enum")
                .into_compile_error();
        return quote!(#error #input);
    }
    if let Some(error) = look.errors {
        match &mut errors {
            Some(errors) => errors.combine(error),
            None => errors = Some(error),
        }
    }
    let error = errors.map(Error::into_compile_error);
    let attributes = attributes(&input, &stroma, unfit);
    let stub = unfit.then(|| stub(&input, &stroma));
    quote! {
        #attributes
        #input
        #error
        #stub
    }
}

/// Where the library is: `crate = path`, or under its own name.
fn stroma(words: TokenStream) -> Result<Path> {
    let mut found = None;
    syn::meta::parser(|word| {
        if !word.path.is_ident("crate") {
            return Err(word.error("`state` knows one word, `crate = path::to::stroma`"));
        }
        found = Some(word.value()?.parse()?);
        Ok(())
    })
    .parse2(words)?;
    Ok(found.unwrap_or_else(|| parse_quote!(::stroma)))
}

/// The derives that the type has not got, and where they find their traits.
fn attributes(input: &DeriveInput, stroma: &Path, unfit: bool) -> TokenStream {
    let has = derived(&input.attrs);
    let serde = quote!(#stroma::__derive::serde);
    let postcard_schema = quote!(#stroma::__derive::postcard_schema);
    let all = [
        ("Clone", quote!(::core::clone::Clone)),
        ("Serialize", quote!(#serde::Serialize)),
        ("Deserialize", quote!(#serde::Deserialize)),
        ("Schema", quote!(#postcard_schema::Schema)),
    ];
    let missing = |name: &str| has.iter().all(|ident| ident != name) && !(unfit && name == "Schema");
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
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter_map(|attribute| attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok())
        .flatten()
        .filter_map(|path| path.segments.last().map(|segment| segment.ident.clone()))
        .collect()
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

/// Looks for what has no form in a checkpoint.
struct Look {
    errors: Option<Error>,
}

impl Look {
    fn found(&mut self, at: &impl ToTokens, words: &str) {
        let error = Error::new_spanned(at, words);
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            None => self.errors = Some(error),
        }
    }
}

impl<'ast> Visit<'ast> for Look {
    fn visit_derive_input(&mut self, input: &'ast DeriveInput) {
        self.serde(&input.attrs);
        match &input.data {
            Data::Struct(data) => data.fields.iter().for_each(|field| self.visit_field(field)),
            Data::Enum(data) => {
                for variant in &data.variants {
                    self.serde(&variant.attrs);
                    variant.fields.iter().for_each(|field| self.visit_field(field));
                }
            }
            Data::Union(_) => {}
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        self.serde(&field.attrs);
        self.visit_type(&field.ty);
    }

    fn visit_type_path(&mut self, ty: &'ast TypePath) {
        for (name, sized) in [("usize", "`u32` or `u64`"), ("isize", "`i32` or `i64`")] {
            if ty.path.is_ident(name) {
                self.found(
                    ty,
                    &format!("`{name}` has another size on another machine, so no checkpoint keeps it: use {sized}"),
                );
            }
        }
        visit::visit_type_path(self, ty);
    }

    // The length of an array is no part of what is kept.
    fn visit_type_array(&mut self, array: &'ast TypeArray) {
        self.visit_type(&array.elem);
    }

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}

impl Look {
    /// What serde can do and a format that does not name its fields cannot.
    fn serde(&mut self, attributes: &[Attribute]) {
        each_word(attributes, "serde", |word, beside| {
            let Some(name) = word.get_ident().map(Ident::to_string) else { return };
            let also = |other: &str| beside.iter().any(|word| word.is_ident(other));
            let words = match name.as_str() {
                "flatten" => "what is flattened has no fixed place among the bytes: keep it as a field of its own",
                "untagged" => "the bytes do not say which variant they are: leave out `untagged`",
                "tag" => "a variant is kept by its number, and a tag in its place is not: leave out `tag`",
                "skip_serializing_if" => {
                    "a field that is sometimes there cannot be told from what comes after it: leave this out, or `skip` it always"
                }
                "skip_serializing" if !also("skip_deserializing") => {
                    "what is not written cannot be read back: leave this out, or use `skip`"
                }
                "skip_deserializing" if !also("skip_serializing") => {
                    "what is written has to be read back: leave this out, or use `skip`"
                }
                _ => return,
            };
            self.found(word, words);
        });
    }
}

/// A schema of nothing, in place of one that would be a second error.
fn stub(input: &DeriveInput, stroma: &Path) -> TokenStream {
    if derived(&input.attrs).iter().any(|ident| ident == "Schema") {
        return TokenStream::new();
    }
    let name = &input.ident;
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    let postcard_schema = quote!(#stroma::__derive::postcard_schema);
    quote! {
        impl #parameters #postcard_schema::Schema for #name #arguments #bounds {
            const SCHEMA: &'static #postcard_schema::schema::NamedType = <() as #postcard_schema::Schema>::SCHEMA;
        }
    }
}
