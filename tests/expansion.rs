//! What the macros of feature `derive` expand to, word for word: it is what one would write, and names nothing that the program
//! has not got by `stroma`.
#![allow(unreachable_pub, reason = "the modules are those of another crate")]

#[path = "../macros/src/failure/mod.rs"]
mod failure;
#[path = "../macros/src/state/mod.rs"]
mod state;

use proc_macro2::TokenStream;
use quote::quote;

/// As text, so that a difference can be read.
fn same(made: TokenStream, written: TokenStream) {
    let shown = |tokens: TokenStream| match syn::parse2::<syn::File>(tokens.clone()) {
        Ok(_) => tokens.to_string(),
        Err(error) => panic!("{error}: {tokens}"),
    };
    assert_eq!(shown(made), shown(written));
}

#[test]
fn nothing_said_is_nothing_written() {
    for item in [
        quote!(
            struct AppError;
        ),
        quote!(
            #[failure(ambiguous)]
            struct AppError;
        ),
        quote!(
            enum AppError {}
        ),
    ] {
        same(
            failure::expand(item),
            quote! {
                #[automatically_derived]
                #[allow(deprecated)]
                impl ::stroma::Failure for AppError {}
            },
        );
    }
}

#[test]
fn one_class_is_no_match() {
    same(
        failure::expand(quote! {
            #[failure(terminal)]
            enum AppError {
                A,
                B(u8),
            }
        }),
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl ::stroma::Failure for AppError {
                fn class(&self) -> ::stroma::FailureClass {
                    ::stroma::FailureClass::Terminal
                }
            }
        },
    );
}

#[test]
fn each_variant_is_an_arm() {
    same(
        failure::expand(quote! {
            #[failure(terminal)]
            enum AppError<E> {
                #[failure(recoverable, retry_after = wait)]
                Throttled { wait: Option<Duration>, url: String },
                #[failure(transparent)]
                Inner(E),
                #[failure(transparent = 1)]
                Other(u8, std::io::Error, u8),
                #[failure(ambiguous)]
                Odd(u8),
                BadKey,
            }
        }),
        quote! {
            #[automatically_derived]
            #[allow(deprecated)]
            impl<E> ::stroma::Failure for AppError<E>
            where
                E: ::stroma::Failure
            {
                fn class(&self) -> ::stroma::FailureClass {
                    match self {
                        Self::Throttled { .. } => ::stroma::FailureClass::Recoverable,
                        Self::Inner(__inner) => ::stroma::Failure::class(__inner),
                        Self::Other(_, __inner, ..) => ::stroma::Failure::class(__inner),
                        Self::Odd(..) => ::stroma::FailureClass::Ambiguous,
                        Self::BadKey => ::stroma::FailureClass::Terminal,
                    }
                }

                fn retry_after(&self) -> ::core::option::Option<::core::time::Duration> {
                    match self {
                        Self::Throttled { wait: __wait, .. } => ::stroma::__derive::retry_after(__wait),
                        Self::Inner(__inner) => ::stroma::Failure::retry_after(__inner),
                        Self::Other(_, __inner, ..) => ::stroma::Failure::retry_after(__inner),
                        _ => ::core::option::Option::None,
                    }
                }
            }
        },
    );
}

#[test]
fn a_state_is_its_derives() {
    same(
        state::expand(
            quote!(),
            quote! {
                /// Words.
                #[derive(Debug)]
                struct Words<T>(T);
            },
        ),
        quote! {
            #[derive(
                ::core::clone::Clone,
                ::stroma::__derive::serde::Serialize,
                ::stroma::__derive::serde::Deserialize,
                ::stroma::__derive::postcard_schema::Schema
            )]
            #[serde(crate = "::stroma::__derive::serde")]
            #[postcard(crate = ::stroma::__derive::postcard_schema)]
            /// Words.
            #[derive(Debug)]
            struct Words<T>(T);
        },
    );
}

#[test]
fn what_is_derived_already_is_left_out() {
    same(
        state::expand(
            quote!(crate = elsewhere),
            quote! {
                #[derive(Clone, serde::Serialize)]
                #[serde(crate = "mine")]
                struct Words(u8);
            },
        ),
        quote! {
            #[derive(elsewhere::__derive::serde::Deserialize, elsewhere::__derive::postcard_schema::Schema)]
            #[postcard(crate = elsewhere::__derive::postcard_schema)]
            #[derive(Clone, serde::Serialize)]
            #[serde(crate = "mine")]
            struct Words(u8);
        },
    );
    let whole = quote!(
        #[derive(Clone, Deserialize, Serialize, Schema)]
        struct Words(u8);
    );
    same(state::expand(quote!(), whole.clone()), whole);
}

/// A mistake is one error: what else the type would be asked for is there.
#[test]
fn with_an_error_comes_what_else_would_be_missing() {
    let made = failure::expand(quote!(
        #[failure(transient)]
        struct AppError;
    ))
    .to_string();
    assert_eq!(made.matches("compile_error").count(), 1, "{made}");
    assert!(made.contains("impl :: stroma :: Failure for AppError"), "{made}");

    let made = state::expand(
        quote!(),
        quote!(
            struct Words {
                #[serde(rename = "n")]
                count: usize,
            }
        ),
    )
    .to_string();
    assert_eq!(made.matches("compile_error").count(), 1, "{made}");
    for name in ["Clone", "Serialize", "Deserialize < '__de >", "Schema"] {
        assert!(made.contains(&format!("{name} for Words")), "{made}");
    }
    assert!(!made.contains("serde (rename"), "{made}");
}

/// The compiler takes more than `syn` does, and then says nothing of it.
#[test]
fn a_type_that_cannot_be_read_is_left_and_told() {
    let unreadable = quote!(
        pub(crate) struct Words { count: u32 = 3 }
    );
    let made = state::expand(quote!(), unreadable.clone()).to_string();
    assert!(made.starts_with(&unreadable.to_string()), "{made}");
    assert!(made.contains("`state` cannot read this type: expected `,`"), "{made}");
}

#[test]
fn the_second_of_two_is_told_under_whatever_name() {
    for name in [quote!(stroma::state), quote!(state), quote!(renamed::state)] {
        let first = state::expand(
            quote!(),
            quote!(
                #[doc = "Words."]
                #[serde(rename_all = "camelCase")]
                #[#name]
                struct Words(u8);
            ),
        );
        // What the compiler gives to the second: the attribute of its own is taken off.
        let own = format!("# [{name}]");
        let left = first.to_string();
        assert_eq!(left.matches("compile_error").count(), 0, "{left}");
        assert!(left.find(&own) < left.find("derive"), "{left}");
        assert!(left.find("derive") < left.find("serde (rename_all"), "{left}");
        let made = state::expand(quote!(), left.replace(&own, "").parse().unwrap()).to_string();
        assert_eq!((made.matches("compile_error").count(), made.matches("derive (").count()), (1, 1), "{made}");
        assert!(made.contains("stands here twice"), "{made}");
    }
    // With an error of its own, the first leaves nothing to the second.
    let made = state::expand(
        quote!(),
        quote!(
            #[state]
            struct Words(usize);
        ),
    )
    .to_string();
    assert_eq!((made.matches("compile_error").count(), made.matches("[state]").count()), (1, 0), "{made}");
}

#[test]
fn what_borrows_or_has_no_end_is_refused() {
    for (refused, ty) in [
        (1, quote!(&'static str)),
        (1, quote!(Vec<&'a [u8]>)),
        (1, quote!(Option<Box<Words>>)),
        (1, quote!(Vec<Self>)),
        (1, quote!(Box<dyn Fn()>)),
        (1, quote!([usize; 4])),
        (0, quote!(Cow<'a, str>)),
        (0, quote!(PhantomData<fn(&Words)>)),
        (0, quote!(other::Words)),
        (0, quote!([u8; size_of::<usize>()])),
        (0, quote!(<Self as Keyed>::Id)),
        (0, quote!(Vec<<&'static str as Keyed>::Id>)),
        (0, quote!(<[u8] as Index<usize>>::Output)),
    ] {
        let made = state::expand(quote!(), quote!(struct Words<'a> { field: #ty })).to_string();
        assert_eq!(made.matches("compile_error").count(), refused, "{made}");
    }
}

/// A function of the user's may find a reference, and what is skipped is made anew. A text is borrowed whatever reads it.
#[test]
fn a_reference_that_does_not_come_from_the_bytes_is_kept() {
    let found = quote!(#[serde(with = "by_name")]);
    let read = quote!(#[serde(default, deserialize_with = "by_name")]);
    for (refused, said, ty) in [
        (0, &found, quote!(&'static Currency)),
        (0, &read, quote!(Option<&'static [Currency]>)),
        (0, &found, quote!(Vec<&'static str>)),
        (1, &found, quote!(&'static str)),
        (1, &read, quote!(Option<&'static [u8]>)),
        (1, &found, quote!(&'static usize)),
        (0, &quote!(#[serde(skip)]), quote!(&'static str)),
        (0, &quote!(#[serde(skip_serializing, skip_deserializing)]), quote!(&'static str)),
        (1, &quote!(#[serde(skip)]), quote!(usize)),
        (1, &quote!(#[serde(serialize_with = "by_name")]), quote!(&'static Currency)),
    ] {
        let made = state::expand(quote!(), quote!(struct Words { #said field: #ty, plain: u8 })).to_string();
        assert_eq!(made.matches("compile_error").count(), refused, "{made}");
    }
    for (refused, item) in [
        (1, quote!(struct Words { #found field: u8, other: &'static Currency })),
        (
            0,
            quote!(
                #[serde(try_from = "Wire")]
                struct Words {
                    field: &'static Currency,
                }
            ),
        ),
        (
            1,
            quote!(
                #[serde(into = "Wire")]
                struct Words {
                    field: &'static Currency,
                }
            ),
        ),
        (
            0,
            quote!(
                enum Words {
                    #[serde(skip)]
                    Found(&'static Currency),
                    Named(u8),
                }
            ),
        ),
        (1, quote!(enum Words { #found Found(&'static Currency), Named(&'static Currency) })),
        (
            1,
            quote!(
                enum Words {
                    #[serde(skip)]
                    Found(&'static str),
                    Named(u8),
                }
            ),
        ),
    ] {
        let made = state::expand(quote!(), item).to_string();
        assert_eq!(made.matches("compile_error").count(), refused, "{made}");
    }
}
