//! What has no form in a checkpoint.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, GenericArgument, PathArguments, Type, TypeArray, TypePath,
    TypeReference, TypeTraitObject,
    visit::{self, Visit},
};

use super::each_word;

/// All that is found in a type.
pub(super) fn errors(input: &DeriveInput) -> Option<Error> {
    let mut look = Look { name: &input.ident, refers: false, errors: None };
    look.visit_derive_input(input);
    look.errors
}

struct Look<'a> {
    /// The type that is looked at.
    name: &'a Ident,
    /// Whether the references at hand come from elsewhere than the bytes.
    refers: bool,
    errors: Option<Error>,
}

impl<'ast> Visit<'ast> for Look<'_> {
    fn visit_derive_input(&mut self, input: &'ast DeriveInput) {
        self.serde(&input.attrs);
        let made = is_made(&input.attrs);
        match &input.data {
            Data::Struct(data) => data.fields.iter().for_each(|field| self.field(field, made)),
            Data::Enum(data) => {
                for variant in &data.variants {
                    self.serde(&variant.attrs);
                    let made = made || is_made(&variant.attrs) || is_skipped(&variant.attrs);
                    variant.fields.iter().for_each(|field| self.field(field, made));
                }
            }
            Data::Union(_) => {}
        }
    }

    fn visit_type_path(&mut self, ty: &'ast TypePath) {
        // What a trait says of a type is known to the compiler alone, whatever the names in it.
        if ty.qself.is_some() {
            return;
        }
        for (name, sized) in [("usize", "`u32` or `u64`"), ("isize", "`i32` or `i64`")] {
            if ty.path.is_ident(name) {
                self.found(
                    ty,
                    &format!("`{name}` has another size on another machine, so no checkpoint keeps it: use {sized}"),
                );
            }
        }
        if ty.path.is_ident(self.name) || ty.path.is_ident("Self") {
            self.found(
                ty,
                "a type within itself has no end, and so no schema: keep all of them in one `Vec`, and where each is in it",
            );
        }
        // What that stands for is not kept.
        if ty.path.segments.last().is_none_or(|segment| segment.ident != "PhantomData") {
            visit::visit_type_path(self, ty);
        }
    }

    fn visit_type_reference(&mut self, ty: &'ast TypeReference) {
        if self.refers {
            return self.visit_type(&ty.elem);
        }
        self.found(ty, "what comes out of a checkpoint borrows from nobody: keep what it owns, `String` for `&str`");
    }

    fn visit_type_trait_object(&mut self, ty: &'ast TypeTraitObject) {
        self.found(ty, "the bytes do not say what is in a `dyn`: keep an enum of what there is");
    }

    // The length of an array is no part of what is kept.
    fn visit_type_array(&mut self, array: &'ast TypeArray) {
        self.visit_type(&array.elem);
    }

    fn visit_expr(&mut self, _: &'ast Expr) {}
}

impl Look<'_> {
    /// A field, of something that a function of the user's makes or not.
    fn field(&mut self, field: &Field, made: bool) {
        self.serde(&field.attrs);
        let made = made || is_made(&field.attrs);
        self.refers = is_skipped(&field.attrs) || made && !serde_borrows(&field.ty);
        self.visit_type(&field.ty);
    }

    fn found(&mut self, at: &impl ToTokens, words: &str) {
        let error = Error::new_spanned(at, words);
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            None => self.errors = Some(error),
        }
    }

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

/// Whether a function of the user's makes this from what is read.
fn is_made(attributes: &[Attribute]) -> bool {
    let mut made = false;
    each_word(attributes, "serde", |word, _| {
        made |= ["with", "deserialize_with", "from", "try_from"].iter().any(|name| word.is_ident(name));
    });
    made
}

/// Whether this is neither written nor read.
fn is_skipped(attributes: &[Attribute]) -> bool {
    let (mut whole, mut written, mut read) = (false, true, true);
    each_word(attributes, "serde", |word, _| {
        whole |= word.is_ident("skip");
        written &= !word.is_ident("skip_serializing");
        read &= !word.is_ident("skip_deserializing");
    });
    whole || !written && !read
}

/// Whether serde takes this for borrowed from the bytes, whatever function reads it.
fn serde_borrows(ty: &Type) -> bool {
    match ty {
        Type::Reference(ty) => match &*ty.elem {
            Type::Path(elem) => elem.path.is_ident("str"),
            Type::Slice(elem) => matches!(&*elem.elem, Type::Path(byte) if byte.path.is_ident("u8")),
            _ => false,
        },
        Type::Path(ty) => ty.path.segments.last().is_some_and(|segment| match &segment.arguments {
            PathArguments::AngleBracketed(of) if segment.ident == "Option" => {
                of.args.iter().any(|of| matches!(of, GenericArgument::Type(ty) if serde_borrows(ty)))
            }
            _ => false,
        }),
        // What a macro put there.
        Type::Group(ty) => serde_borrows(&ty.elem),
        _ => false,
    }
}
