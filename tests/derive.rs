//! What the macros of feature `derive` make: that it behaves as what one would write by hand.
#![cfg(all(feature = "derive", feature = "std"))]
#![allow(clippy::std_instead_of_alloc, clippy::std_instead_of_core, reason = "tests run where std is")]
#![allow(dead_code, reason = "a failure says what it means by what it is, whatever is in it")]

use std::{fmt::Debug, io, sync::Arc, time::Duration};

use stroma::{Failure, FailureClass, testing::round_trip};

const WAIT: Duration = Duration::from_secs(9);

fn said(error: &impl Failure) -> (FailureClass, Option<Duration>) {
    (error.class(), error.retry_after())
}

fn io_error(kind: io::ErrorKind) -> io::Error {
    kind.into()
}

#[test]
fn without_a_word_everything_is_ambiguous() {
    #[derive(Failure)]
    struct Unit;
    #[derive(Failure)]
    enum Never {}
    #[derive(Failure)]
    enum Two {
        A,
        B(u32),
    }
    assert_eq!(said(&Unit), (FailureClass::Ambiguous, None));
    assert_eq!(said(&Two::B(1)), (FailureClass::Ambiguous, None));
    fn is_failure<E: Failure>() {}
    is_failure::<Never>();
}

#[test]
fn a_word_on_the_type_is_for_the_variants_that_say_nothing() {
    #[derive(Failure)]
    #[failure(terminal)]
    enum AppError {
        #[failure(recoverable, retry_after = wait)]
        Throttled {
            wait: Option<Duration>,
            url: &'static str,
        },
        #[failure(recoverable, retry_after = 1)]
        Busy(u8, Duration, u8),
        #[failure(ambiguous)]
        Odd,
        #[failure(retry_after = 0)]
        Closed(Duration),
        BadKey,
    }
    assert_eq!(said(&AppError::Throttled { wait: Some(WAIT), url: "" }), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&AppError::Throttled { wait: None, url: "" }), (FailureClass::Recoverable, None));
    assert_eq!(said(&AppError::Busy(0, WAIT, 0)), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&AppError::Odd), (FailureClass::Ambiguous, None));
    assert_eq!(said(&AppError::Closed(WAIT)), (FailureClass::Terminal, Some(WAIT)));
    assert_eq!(said(&AppError::BadKey), (FailureClass::Terminal, None));
}

#[test]
fn a_struct_says_it_too() {
    #[derive(Failure)]
    #[failure(recoverable, retry_after = after)]
    struct Busy {
        after: Duration,
    }
    #[derive(Failure)]
    #[failure(terminal)]
    struct Closed;
    assert_eq!(said(&Busy { after: WAIT }), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&Closed), (FailureClass::Terminal, None));
}

/// Says a class and a wait.
#[derive(Clone, Copy, Failure)]
#[failure(recoverable, retry_after = 0)]
struct Throttled(Duration);

#[test]
fn what_is_transparent_says_what_is_inside() {
    #[derive(Failure)]
    #[failure(transparent)]
    enum AppError {
        Io(io::Error),
        Boxed(Box<Throttled>),
        #[failure(transparent = source)]
        File {
            path: &'static str,
            source: io::Error,
        },
        #[failure(transparent = 1, retry_after = 0)]
        Header(Option<Duration>, io::Error),
        #[failure(terminal)]
        Closed,
        #[failure(terminal)]
        Full(Throttled),
    }
    use io::ErrorKind::{NotFound, TimedOut};
    let AppError::File { path, .. } = (AppError::File { path: "notes", source: io_error(NotFound) }) else { return };
    assert_eq!(path, "notes");
    assert_eq!(said(&AppError::Io(io_error(TimedOut))), (FailureClass::Recoverable, None));
    assert_eq!(said(&AppError::Io(io_error(NotFound))), (FailureClass::Terminal, None));
    assert_eq!(said(&AppError::Boxed(Box::new(Throttled(WAIT)))), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&AppError::File { path: "", source: io_error(NotFound) }), (FailureClass::Terminal, None));
    assert_eq!(said(&AppError::Header(Some(WAIT), io_error(TimedOut))), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&AppError::Closed), (FailureClass::Terminal, None));
    // A class of its own is not asked for inside, and neither is a wait.
    assert_eq!(said(&AppError::Full(Throttled(WAIT))), (FailureClass::Terminal, None));
}

#[test]
fn a_parameter_is_asked_only_where_it_is_transparent() {
    #[derive(Failure)]
    #[failure(transparent = 0)]
    struct Named<'a, E: Debug, const N: usize>(Arc<E>, std::marker::PhantomData<&'a [u8; N]>)
    where
        E: Send;
    #[derive(Failure)]
    enum Either<A, B> {
        #[failure(transparent)]
        Left(A),
        #[failure(terminal)]
        Right(B),
    }
    /// Is no failure.
    struct Nothing;

    #[derive(Debug, Failure)]
    #[failure(recoverable)]
    struct Lost;

    assert_eq!(said(&Either::<_, Nothing>::Left(Throttled(WAIT))), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&Either::<Throttled, _>::Right(Nothing)), (FailureClass::Terminal, None));
    let named = Named::<Lost, 1>(Arc::new(Lost), std::marker::PhantomData);
    assert_eq!(said(&named), (FailureClass::Recoverable, None));
}

/// A name that the expansion uses, or might, belongs to the user.
#[test]
fn names_of_the_user_do_not_disturb_it() {
    mod elsewhere {
        #[expect(non_upper_case_globals, unused, reason = "names that a pattern would take for its own")]
        pub(crate) mod odd {
            pub(crate) const wait: u32 = 1;
            pub(crate) const inner: u32 = 2;
            pub(crate) struct Option;
            pub(crate) struct Duration;
            pub(crate) enum FailureClass {}
            pub(crate) trait Failure {}
            pub(crate) mod stroma {}
            pub(crate) mod core {}

            #[derive(::stroma::Failure)]
            pub(crate) enum AppError {
                #[failure(transparent = 0, retry_after = 1)]
                A(super::super::Throttled, ::core::time::Duration),
            }

            #[derive(::stroma::Failure)]
            #[failure(crate = super::renamed)]
            pub(crate) struct Elsewhere;
        }
        pub(crate) use ::stroma as renamed;
    }
    let error = elsewhere::odd::AppError::A(Throttled(Duration::ZERO), WAIT);
    assert_eq!(said(&error), (FailureClass::Recoverable, Some(WAIT)));
    assert_eq!(said(&elsewhere::odd::Elsewhere), (FailureClass::Ambiguous, None));
}

mod states {
    //! Without serde or postcard-schema in scope.

    #[stroma::state]
    #[derive(Debug, PartialEq)]
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Words {
        pub(crate) first_title: Option<String>,
        pub(crate) words: Vec<(u32, [u8; size_of::<usize>()])>,
        #[serde(skip)]
        pub(crate) cache: Vec<String>,
    }

    #[stroma::state]
    #[derive(Debug, PartialEq)]
    pub(crate) enum Shape<T> {
        Nothing,
        Circle(f64),
        Square { side: T },
    }

    #[stroma::state]
    #[derive(Debug, PartialEq, Clone, serde::Serialize)]
    pub(crate) struct Half(pub(crate) u8);

    #[stroma::state(crate = crate::elsewhere::stroma)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Unit;

    pub(crate) trait Keyed {
        type Id;
    }

    impl Keyed for Page {
        type Id = u64;
    }

    impl Keyed for &'static str {
        type Id = String;
    }

    impl Keyed for usize {
        type Id = u32;
    }

    /// What a trait says of a type is kept, not that type.
    #[stroma::state]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Page {
        pub(crate) id: <Self as Keyed>::Id,
        pub(crate) before: Option<<Page as Keyed>::Id>,
        pub(crate) title: <&'static str as Keyed>::Id,
        pub(crate) words: <usize as Keyed>::Id,
    }

    #[derive(Debug, PartialEq, serde::Serialize, postcard_schema::Schema)]
    pub(crate) struct Currency(u8);

    pub(crate) static EURO: Currency = Currency(2);

    mod by_number {
        use serde::{Deserialize as _, de::Error as _};

        pub(crate) fn serialize<S: serde::Serializer>(of: &super::Currency, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_u8(of.0)
        }

        pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
            from: D,
        ) -> Result<&'static super::Currency, D::Error> {
            if u8::deserialize(from)? == super::EURO.0 {
                Ok(&super::EURO)
            } else {
                Err(D::Error::custom("no currency"))
            }
        }
    }

    /// References that no checkpoint is asked for.
    #[stroma::state]
    #[derive(Debug, PartialEq)]
    pub(crate) struct Price {
        #[serde(with = "by_number")]
        pub(crate) currency: &'static Currency,
        #[serde(deserialize_with = "by_number::deserialize")]
        pub(crate) other: &'static Currency,
        #[serde(skip)]
        pub(crate) label: &'static str,
    }

    #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, postcard_schema::Schema)]
    pub(crate) struct ByHand {
        pub(crate) side: u64,
        pub(crate) name: String,
    }

    pub(crate) mod same {
        #[stroma::state]
        pub(crate) struct ByHand {
            pub(crate) side: u64,
            pub(crate) name: String,
        }
    }
}

mod elsewhere {
    pub(crate) use ::stroma;
}

#[test]
fn a_state_comes_back_from_its_bytes() {
    use states::{EURO, Half, Page, Price, Shape, Unit, Words};

    fn comes_back<T: stroma::store::Payload + Clone + Debug + PartialEq>(value: &T) {
        let mut bytes = vec![0; stroma::store::encoded_len(value).unwrap()];
        stroma::store::encode(value, &mut bytes).unwrap();
        assert_eq!(&stroma::store::decode::<T>(&bytes).unwrap(), &value.clone());
        assert_eq!(round_trip(value), Ok(()));
    }
    comes_back(&Words { first_title: Some("a".into()), words: vec![(1, [2; size_of::<usize>()])], cache: Vec::new() });
    comes_back(&Shape::<u8>::Nothing);
    comes_back(&Shape::<u8>::Circle(0.5));
    comes_back(&Shape::Square { side: vec![1_u8] });
    comes_back(&Half(7));
    comes_back(&Unit);
    comes_back(&Page { id: 1, before: Some(2), title: "a".into(), words: 3 });
    comes_back(&Price { currency: &EURO, other: &EURO, label: "" });
}

#[test]
fn a_state_is_the_same_in_a_store_as_what_is_derived_by_hand() {
    use states::{ByHand, same};
    use stroma::store::Payload;

    assert_eq!(<same::ByHand as Payload>::SCHEMA_KEY, <ByHand as Payload>::SCHEMA_KEY);
    let state = same::ByHand { side: 3, name: "three".into() };
    let mut bytes = vec![0; stroma::store::encoded_len(&state).unwrap()];
    stroma::store::encode(&state, &mut bytes).unwrap();
    let by_hand: ByHand = stroma::store::decode(&bytes).unwrap();
    assert_eq!(by_hand, ByHand { side: 3, name: "three".into() });
}

/// Why `#[stroma::state]` refuses these: derived by hand they compile, and do not come back.
#[test]
fn what_a_state_refuses_does_not_come_back() {
    use postcard_schema::Schema;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, Schema)]
    struct Inside {
        a: u8,
    }
    #[derive(Serialize, Deserialize, Schema)]
    struct Flat {
        #[serde(flatten)]
        inside: Inside,
    }
    #[derive(Serialize, Deserialize, Schema)]
    #[serde(untagged)]
    enum Untagged {
        A(Inside),
    }
    #[derive(Serialize, Deserialize, Schema)]
    #[serde(tag = "kind")]
    enum Tagged {
        A(Inside),
    }
    #[derive(Serialize, Deserialize, Schema)]
    #[serde(tag = "kind", content = "of")]
    enum Adjacent {
        A(Inside),
    }
    #[derive(Serialize, Deserialize, Schema)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<u8>,
        text: String,
    }
    #[derive(Serialize, Deserialize, Schema)]
    struct Unwritten {
        #[serde(skip_serializing)]
        title: u8,
        text: String,
    }
    #[derive(Serialize, Deserialize, Schema)]
    struct Unread {
        #[serde(skip_deserializing)]
        title: u8,
        text: String,
    }
    let inside = || Inside { a: 1 };
    assert!(round_trip(&Flat { inside: inside() }).is_err());
    assert!(round_trip(&Untagged::A(inside())).is_err());
    assert!(round_trip(&Tagged::A(inside())).is_err());
    assert!(round_trip(&Sparse { title: None, text: "a".into() }).is_err());
    assert!(round_trip(&Unwritten { title: 7, text: "a".into() }).is_err());
    assert!(round_trip(&Unread { title: 7, text: "a".into() }).is_err());
    assert!(round_trip(&Adjacent::A(inside())).is_err());
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn both_are_all_that_a_quick_runner_asks() {
    use std::sync::atomic::{AtomicU32, Ordering};
    use stroma::prelude::*;

    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[stroma::state]
    struct Page(u32);

    #[derive(Debug, thiserror::Error, Failure)]
    #[error("busy")]
    #[failure(recoverable, retry_after = wait)]
    struct Busy {
        wait: Duration,
    }

    async fn fetch(number: u32) -> Result<Page, Busy> {
        if CALLS.fetch_add(1, Ordering::Relaxed) == 0 { Err(Busy { wait: WAIT }) } else { Ok(Page(number)) }
    }

    async fn read(page: Page) -> Result<u32, Busy> {
        Ok(page.0 * 2)
    }

    let begun = tokio::time::Instant::now();
    let runner = Runner::quick(node("fetch", fetch).then(node("read", read))).build().unwrap();
    assert_eq!(runner.run(21).await.unwrap().output, 42);
    assert_eq!((CALLS.load(Ordering::Relaxed), begun.elapsed()), (2, WAIT));
}
