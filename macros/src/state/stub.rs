//! What stands for the derives of a type that has no form in a checkpoint, so that nothing else is said of it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Path, parse_quote};

use super::derived;

/// Implementations that do nothing, of what the type does not derive itself. What only a derive understands goes with it.
pub(super) fn in_place_of_derives(input: &mut DeriveInput, stroma: &Path) -> TokenStream {
    let has = derived(&input.attrs);
    let missing = |name: &str| has.iter().all(|ident| ident != name);
    if missing("Serialize") && missing("Deserialize") {
        without(input, "serde");
    }
    if missing("Schema") {
        without(input, "postcard");
    }
    let serde = quote!(#stroma::__derive::serde);
    let postcard_schema = quote!(#stroma::__derive::postcard_schema);
    let name = &input.ident;
    let (parameters, arguments, bounds) = input.generics.split_for_impl();
    let mut read = input.generics.clone();
    read.params.insert(0, parse_quote!('__de));
    let (read, ..) = read.split_for_impl();
    let all = [
        (
            "Clone",
            quote! {
                impl #parameters ::core::clone::Clone for #name #arguments #bounds {
                    fn clone(&self) -> Self { loop {} }
                }
            },
        ),
        (
            "Serialize",
            quote! {
                impl #parameters #serde::Serialize for #name #arguments #bounds {
                    fn serialize<__S: #serde::Serializer>(&self, _: __S) -> ::core::result::Result<__S::Ok, __S::Error> { loop {} }
                }
            },
        ),
        (
            "Deserialize",
            quote! {
                impl #read #serde::Deserialize<'__de> for #name #arguments #bounds {
                    fn deserialize<__D: #serde::Deserializer<'__de>>(_: __D) -> ::core::result::Result<Self, __D::Error> { loop {} }
                }
            },
        ),
        (
            "Schema",
            quote! {
                impl #parameters #postcard_schema::Schema for #name #arguments #bounds {
                    const SCHEMA: &'static #postcard_schema::schema::NamedType = <() as #postcard_schema::Schema>::SCHEMA;
                }
            },
        ),
    ];
    all.into_iter().filter(|(name, _)| missing(name)).map(|(_, stub)| stub).collect()
}

/// Takes the attributes of this name out of the type, its variants and its fields.
fn without(input: &mut DeriveInput, name: &str) {
    let leave = |attributes: &mut Vec<Attribute>| attributes.retain(|attribute| !attribute.path().is_ident(name));
    leave(&mut input.attrs);
    match &mut input.data {
        Data::Struct(data) => data.fields.iter_mut().for_each(|field| leave(&mut field.attrs)),
        Data::Enum(data) => {
            for variant in &mut data.variants {
                leave(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| leave(&mut field.attrs));
            }
        }
        Data::Union(_) => {}
    }
}
