//! `#[derive(Failure)]`.

mod said;

use std::collections::BTreeSet;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Data, DeriveInput, Error, Field, Fields, Generics, Index, Member, Path, Result, Type, parse_quote, spanned::Spanned,
};

use said::{Class, Said, note, shown};

/// The implementation, or what is wrong. With the latter comes one that says nothing, so that one mistake is one error.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = None;
    let said = Said::read(&input.attrs, &mut errors);
    let stroma = said.stroma.as_ref().map_or_else(|| parse_quote!(::stroma), |(path, _)| path.clone());
    let cases = cases(&input, &said, &mut errors);
    if let Some(error) = errors {
        let error = error.into_compile_error();
        let nothing = implementation(&input.ident, &input.generics, &stroma, None, None);
        return quote!(#error #nothing);
    }
    let generics = bounded(&input.generics, &cases, &stroma);
    implementation(&input.ident, &generics, &stroma, class(&cases, &stroma), retry_after(&cases, &stroma))
}

/// A struct, or a variant of an enum, and what is made of it.
struct Case<'a> {
    /// `Self`, or `Self::Variant`.
    path: TokenStream,
    fields: &'a Fields,
    class: Answer<'a>,
    retry_after: Option<(usize, &'a Field)>,
}

enum Answer<'a> {
    Fixed(&'static str),
    Inner(usize, &'a Field),
}

/// Each case of the type, by what is said of it or else of the type.
fn cases<'a>(input: &'a DeriveInput, said: &Said, errors: &mut Option<Error>) -> Vec<Case<'a>> {
    match &input.data {
        Data::Struct(data) => {
            let name = Name { ident: &input.ident, of_type: None };
            refuse_on_fields(&data.fields, errors);
            note(errors, Case::new(quote!(Self), &name, &data.fields, said.class.as_ref(), said.retry_after.as_ref()))
                .into_iter()
                .collect()
        }
        Data::Enum(data) => {
            if let Some(field) = &said.retry_after {
                let words = "each variant has fields of its own: put `retry_after` on those that have such a field";
                note::<()>(errors, Err(Error::new(field.span(), words)));
            }
            let mut cases = Vec::new();
            for variant in &data.variants {
                refuse_on_fields(&variant.fields, errors);
                let own = Said::read(&variant.attrs, errors);
                if let Some((_, span)) = own.stroma {
                    note::<()>(errors, Err(Error::new(span, "`crate` is said once, on the type")));
                }
                let ident = &variant.ident;
                let name = Name { ident, of_type: own.class.is_none().then_some(&input.ident) };
                let class = own.class.as_ref().or(said.class.as_ref());
                let case = Case::new(quote!(Self::#ident), &name, &variant.fields, class, own.retry_after.as_ref());
                cases.extend(note(errors, case));
            }
            cases
        }
        Data::Union(data) => {
            let words = "a failure is a struct or an enum: of a union nobody knows which of its fields is there";
            note::<()>(errors, Err(Error::new(data.union_token.span(), words)));
            Vec::new()
        }
    }
}

/// What a case is called in an error.
struct Name<'a> {
    ident: &'a Ident,
    /// The type, where the class is said of that and not of the variant.
    of_type: Option<&'a Ident>,
}

impl<'a> Case<'a> {
    fn new(
        path: TokenStream,
        name: &Name<'_>,
        fields: &'a Fields,
        class: Option<&(Class, Span)>,
        retry_after: Option<&Member>,
    ) -> Result<Self> {
        let class = match class {
            None => Answer::Fixed("Ambiguous"),
            Some((Class::Fixed(class), _)) => Answer::Fixed(class),
            Some((Class::Inner(member), span)) => {
                let (at, field) = match member {
                    Some(member) => find(fields, member, name.ident)?,
                    None => only(fields, name, *span)?,
                };
                Answer::Inner(at, field)
            }
        };
        let retry_after = retry_after.map(|member| find(fields, member, name.ident)).transpose()?;
        Ok(Self { path, fields, class, retry_after })
    }

    /// A pattern that binds one field.
    fn pattern(&self, at: usize, field: &Field, to: &Ident) -> TokenStream {
        let path = &self.path;
        if let Some(ident) = &field.ident {
            return quote!(#path { #ident: #to, .. });
        }
        let before = (0..at).map(|_| quote!(_,));
        let after = if at + 1 < self.fields.len() { quote!(, ..) } else { quote!() };
        quote!(#path(#(#before)* #to #after))
    }

    /// A pattern that binds nothing.
    fn any(&self) -> TokenStream {
        let path = &self.path;
        match self.fields {
            Fields::Named(_) => quote!(#path { .. }),
            Fields::Unnamed(_) => quote!(#path(..)),
            Fields::Unit => quote!(#path),
        }
    }
}

/// The one field of a case.
fn only<'a>(fields: &'a Fields, name: &Name<'_>, span: Span) -> Result<(usize, &'a Field)> {
    let mut all = fields.iter();
    match (all.next(), all.len()) {
        (Some(field), 0) => Ok((0, field)),
        (first, rest) => {
            let count = if first.is_some() { rest + 1 } else { 0 };
            let cure = match (count, name.of_type) {
                (0, _) => "say its class".to_owned(),
                (_, Some(_)) => {
                    "say on the variant which of them decides, `#[failure(transparent = source)]`".to_owned()
                }
                (_, None) => "name the one that decides, `transparent = source`".to_owned(),
            };
            let span = if name.of_type.is_some() { name.ident.span() } else { span };
            let words = format!("`transparent` asks what is inside, and `{}` has {count} fields: {cure}", name.ident);
            Err(Error::new(span, words))
        }
    }
}

/// The field of that name or number.
fn find<'a>(fields: &'a Fields, member: &Member, of: &Ident) -> Result<(usize, &'a Field)> {
    let is = |(at, field): &(usize, &Field)| match (member, &field.ident) {
        (Member::Named(name), Some(ident)) => name == ident,
        (Member::Unnamed(Index { index, .. }), None) => usize::try_from(*index) == Ok(*at),
        _ => false,
    };
    fields.iter().enumerate().find(is).ok_or_else(|| {
        let names: Vec<_> = fields
            .iter()
            .enumerate()
            .map(|(at, field)| field.ident.as_ref().map_or_else(|| format!("`{at}`"), |ident| format!("`{ident}`")))
            .collect();
        let has = match names.len() {
            0 => "no fields".to_owned(),
            1 => names.concat(),
            _ => names.join(", "),
        };
        Error::new(member.span(), format!("`{of}` has no field `{}`: it has {has}", shown(member)))
    })
}

/// `#[failure(..)]` has nothing to say of a field.
fn refuse_on_fields(fields: &Fields, errors: &mut Option<Error>) {
    for attribute in fields.iter().flat_map(|field| &field.attrs) {
        if attribute.path().is_ident("failure") {
            let words =
                "`failure` stands on the type or on a variant, and names the field there: `retry_after = field`";
            note::<()>(errors, Err(Error::new(attribute.path().span(), words)));
        }
    }
}

/// The body of `class`, or none where the default says the same.
fn class(cases: &[Case<'_>], stroma: &Path) -> Option<TokenStream> {
    let fixed: Option<BTreeSet<_>> = cases
        .iter()
        .map(|case| match case.class {
            Answer::Fixed(class) => Some(class),
            Answer::Inner(..) => None,
        })
        .collect();
    let named = |class: &str| {
        let class = format_ident!("{class}");
        quote!(#stroma::FailureClass::#class)
    };
    if let Some(fixed) = fixed.filter(|fixed| fixed.len() <= 1) {
        return fixed.first().filter(|class| **class != "Ambiguous").map(|class| named(class));
    }
    let arms = cases.iter().map(|case| match case.class {
        Answer::Fixed(class) => {
            let (pattern, class) = (case.any(), named(class));
            quote!(#pattern => #class,)
        }
        Answer::Inner(at, field) => {
            let inner = binding("inner", field);
            let pattern = case.pattern(at, field, &inner);
            let ask = quote_spanned!(field.ty.span()=> #stroma::Failure::class(#inner));
            quote!(#pattern => #ask,)
        }
    });
    Some(quote!(match self { #(#arms)* }))
}

/// The body of `retry_after`, or none where the default says the same.
fn retry_after(cases: &[Case<'_>], stroma: &Path) -> Option<TokenStream> {
    let arms: Vec<_> = cases
        .iter()
        .filter_map(|case| match (case.retry_after, &case.class) {
            (Some((at, field)), _) => {
                let wait = binding("wait", field);
                let pattern = case.pattern(at, field, &wait);
                let time = quote_spanned!(field.ty.span()=> #stroma::__derive::retry_after(#wait));
                Some(quote!(#pattern => #time,))
            }
            (None, Answer::Inner(at, field)) => {
                let inner = binding("inner", field);
                let pattern = case.pattern(*at, field, &inner);
                let ask = quote_spanned!(field.ty.span()=> #stroma::Failure::retry_after(#inner));
                Some(quote!(#pattern => #ask,))
            }
            (None, Answer::Fixed(_)) => None,
        })
        .collect();
    let rest = (arms.len() < cases.len()).then(|| quote!(_ => ::core::option::Option::None,));
    (!arms.is_empty()).then(|| quote!(match self { #(#arms)* #rest }))
}

fn implementation(
    name: &Ident,
    generics: &Generics,
    stroma: &Path,
    class: Option<TokenStream>,
    retry_after: Option<TokenStream>,
) -> TokenStream {
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let class = class.map(|body| {
        quote! {
            fn class(&self) -> #stroma::FailureClass {
                #body
            }
        }
    });
    let retry_after = retry_after.map(|body| {
        quote! {
            fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
                #body
            }
        }
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #parameters #stroma::Failure for #name #arguments #bounds {
            #class
            #retry_after
        }
    }
}

/// What is inside says its class, which of a parameter has to be asked for.
fn bounded(generics: &Generics, cases: &[Case<'_>], stroma: &Path) -> Generics {
    let parameters: Vec<_> = generics.type_params().map(|parameter| &parameter.ident).collect();
    let mut generics = generics.clone();
    let mut seen = BTreeSet::new();
    for case in cases {
        if let Answer::Inner(_, field) = case.class {
            let ty = &field.ty;
            if mentions(ty.to_token_stream(), &parameters) && seen.insert(shown(ty)) {
                generics.make_where_clause().predicates.push(bound(ty, stroma));
            }
        }
    }
    generics
}

fn bound(ty: &Type, stroma: &Path) -> syn::WherePredicate {
    parse_quote!(#ty: #stroma::Failure)
}

fn mentions(tokens: TokenStream, names: &[&Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(group.stream(), names),
        TokenTree::Ident(ident) => names.contains(&&ident),
        _ => false,
    })
}

/// A name that no constant of the user's has. What is wrong with it is wrong with the field.
fn binding(name: &str, field: &Field) -> Ident {
    format_ident!("__{name}", span = Span::mixed_site().located_at(field.ty.span()))
}
