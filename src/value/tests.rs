extern crate std;

use std::{
    collections::BTreeMap,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Kind, Value};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(Option<()>),
    Tuple(u8, char),
    Struct { wide: u128, low: i128 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Marker;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    One { x: u64 },
    Two,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(i64),
    Text(String),
    Both { a: f64, b: Vec<u8> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rest {
    id: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, u32>,
}

struct Raw(Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

/// Through a value, JSON text and back.
fn returned<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let kept = Value::of(value);
    assert_eq!(kept.decode::<T>().map(|again| Value::of(&again)), Ok(kept.clone()));
    let text = kept.to_string();
    let parsed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed, kept, "{text}");
    parsed.decode().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T) {
    assert_eq!(returned(&value), value);
}

#[test]
fn every_kind_of_type_comes_back_as_it_was() {
    same(());
    same((true, false, 'ä', '$'));
    same((u8::MAX, i8::MIN, u64::MAX, i64::MIN, u128::MAX, i128::MIN, i128::MAX));
    same((1.0_f32, 0.1_f32, f32::MAX, f64::MIN_POSITIVE, -0.0_f64, 1e300_f64, 5e-324_f64, 123456789.0_f64));
    same([f64::INFINITY, f64::NEG_INFINITY]);
    same([f32::INFINITY, f32::NEG_INFINITY]);
    assert!(returned(&f64::NAN).is_nan() && returned(&f32::NAN).is_nan());
    assert!(returned(&-0.0_f64).is_sign_negative());
    same(vec![Some(Some(())), Some(None), None]);
    same(vec![Some(Some(Some(1))), Some(Some(None)), Some(None), None]);
    same(vec![Shape::Unit, Shape::Newtype(None), Shape::Newtype(Some(())), Shape::Tuple(7, 'x')]);
    same(Shape::Struct { wide: u128::MAX, low: i128::MIN });
    same((Marker, Wrapped("a \" \\ \u{7} \u{2028}".to_string())));
    same(vec![Tagged::One { x: u64::MAX }, Tagged::Two]);
    same(vec![Loose::Number(-3), Loose::Text("x".to_string()), Loose::Both { a: 0.5, b: vec![0, 255] }]);
    same(Rest { id: 3, rest: BTreeMap::from([("a".to_string(), 1)]) });
    same(BTreeMap::from([(1_u8, "one".to_string()), (2, "two".to_string())]));
    same(BTreeMap::from([((1, 'a'), Some(2_u8)), ((2, 'b'), None)]));
    same(BTreeMap::from([(None, 1), (Some(Marker).map(|_| 3), 2)]));
    same(std::time::Duration::new(3, 4));
    same(Result::<u8, String>::Err("no".to_string()));
    same(uuid::Uuid::from_u128(7));
}

#[test]
fn what_looks_like_a_tag_is_no_tag() {
    for key in ["$float", "$bytes", "$int", "$map", "$some", "$error", "$", "$other"] {
        same(BTreeMap::from([(key.to_string(), "NaN".to_string())]));
        same(BTreeMap::from([(key.to_string(), 1), ("b".to_string(), 2)]));
    }
    assert_eq!(Value::of(&BTreeMap::from([("$int", "5")])).to_string(), r#"{"$map":[["$int","5"]]}"#);
}

#[test]
fn uuids_are_readable_and_bytes_are_bytes() {
    let id = uuid::Uuid::from_u128(0x67e5504410b1426f9247bb680e5fe0c8);
    assert_eq!(Value::of(&id).to_string(), r#""67e55044-10b1-426f-9247-bb680e5fe0c8""#);
    assert_eq!(Value::of(&Raw(vec![0, 255, 16])).to_string(), r#"{"$bytes":"00ff10"}"#);
    let back: Value = serde_json::from_str(r#"{"$bytes":"00ff10"}"#).unwrap();
    assert_eq!(back.0, Kind::Bytes(vec![0, 255, 16]));
}

#[test]
fn what_cannot_be_serialised_is_said() {
    struct No;
    impl Serialize for No {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is locked"))
        }
    }
    let kept = Value::of(&(1, No));
    assert_eq!((kept.error(), kept.to_string().as_str()), (Some("it is locked"), r#"{"$error":"it is locked"}"#));
    assert!(kept.decode::<(u8, u8)>().unwrap_err().to_string().contains("it is locked"));
}

#[test]
fn what_does_not_fit_names_its_path() {
    let kept = Value::of(&BTreeMap::from([("a", vec![1, 2, 300])]));
    let error = kept.decode::<BTreeMap<String, Vec<u8>>>().unwrap_err();
    assert_eq!(error.path(), "a[2]");
    assert!(error.to_string().contains("300"), "{error}");
}

#[test]
fn pointers_find_and_blank() {
    let mut kept = Value::of(&BTreeMap::from([("a/b", vec![1, 2]), ("~", vec![])]));
    assert_eq!(kept.pointer("/a~1b/1"), Some(&Value::of(&2)));
    assert_eq!(kept.pointer("/~0"), Some(&Value::of::<[u8]>(&[])));
    assert_eq!((kept.pointer("/a~1b/01"), kept.pointer("a"), kept.pointer("/x")), (None, None, None));
    assert_eq!(Value::of(&BTreeMap::from([(7, 'x')])).pointer("/7"), Some(&Value::of("x")));
    assert!(kept.blank("/a~1b/0") && !kept.blank("/a~1b/2"));
    assert_eq!(kept.to_string(), r#"{"a/b":[null,2],"~":[]}"#);
    assert!(kept.blank(""));
    assert_eq!(kept.to_string(), "null");
}

#[test]
fn hostile_tags_are_refused() {
    let texts = [
        r#"{"$float": 1}"#,
        r#"{"$float": "nan"}"#,
        r#"{"$bytes": "0"}"#,
        r#"{"$bytes": "äx"}"#,
        r#"{"$bytes": "+1"}"#,
        r#"{"$int": "5"}"#,
        r#"{"$int": "1e3"}"#,
        r#"{"$int": "99999999999999999999999999999999999999999999"}"#,
        r#"{"$map": [[1]]}"#,
        r#"{"$map": {"a": 1}}"#,
        r#"{"$some": 1}"#,
        r#"{"$other": 1}"#,
        r#"{"$": 1}"#,
        r#"{"a": 1, "b": 2, "\u0061": 3}"#,
    ];
    for text in texts {
        let error = serde_json::from_str::<Value>(text).unwrap_err();
        assert!(error.to_string().contains('`'), "{text}: {error}");
    }
    let deep = "[".repeat(100_000);
    assert!(serde_json::from_str::<Value>(&deep).is_err());
}

fn a_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::of(&())),
        any::<bool>().prop_map(|it| Value::of(&it)),
        any::<u128>().prop_map(|it| Value::of(&it)),
        any::<i128>().prop_map(|it| Value::of(&it)),
        any::<i64>().prop_map(|it| Value::of(&it)),
        any::<u64>().prop_map(|bits| Value::of(&f64::from_bits(bits))),
        any::<String>().prop_map(|it| Value::of(&it)),
        any::<Vec<u8>>().prop_map(|it| Value::of(&Raw(it))),
        any::<String>().prop_map(|it| Value(Kind::Error(it))),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = prop_oneof!["\\$(int|map|some|x)".prop_map(|key| Value::of(&key)), inner.clone()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| Value(Kind::List(items))),
            prop::collection::vec((key, inner.clone()), 0..5).prop_map(|entries| Value(Kind::Map(entries))),
            inner.prop_map(|value| match value.0 {
                Kind::Null | Kind::Some(_) => Value(Kind::Some(value.into())),
                _ => value,
            }),
        ]
    })
}

proptest! {
    #[test]
    fn json_text_gives_back_every_value(value in a_value()) {
        let text = value.to_string();
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value.clone());
        prop_assert_eq!(value.decode::<serde::de::IgnoredAny>().is_ok(), true);
    }

    #[test]
    fn equal_values_have_no_differences_and_others_have(left in a_value(), right in a_value()) {
        let count = |a: &Value, b: &Value| {
            let mut count = 0;
            Value::differences(Some(a), Some(b), &mut |_, _| count += 1);
            count
        };
        prop_assert_eq!(count(&left, &left), 0);
        prop_assert_eq!(count(&left, &right), count(&right, &left));
    }
}
