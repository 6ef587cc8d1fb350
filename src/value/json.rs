//! The JSON form of a value: plain where JSON can say it, else an object with one key that begins with `$`.

use alloc::{borrow::ToOwned, boxed::Box, collections::BTreeSet, format, string::String, vec::Vec};
use core::fmt::{self, Write};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap,
};

use super::{Kind, NUMBER, Value};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Kind::Null => to.serialize_unit(),
            Kind::Bool(value) => to.serialize_bool(*value),
            Kind::Uint(number) => match u64::try_from(*number) {
                Ok(number) => to.serialize_u64(number),
                Err(_) => tag(to, "$int", &format!("{number}")),
            },
            Kind::Int(number) => match i64::try_from(*number) {
                Ok(number) => to.serialize_i64(number),
                Err(_) => tag(to, "$int", &format!("{number}")),
            },
            Kind::Float(bits) => match f64::from_bits(*bits) {
                number if number.is_finite() => to.serialize_f64(number),
                f64::INFINITY => tag(to, "$float", "Infinity"),
                f64::NEG_INFINITY => tag(to, "$float", "-Infinity"),
                _ => tag(to, "$float", "NaN"),
            },
            Kind::Text(text) => to.serialize_str(text),
            Kind::Bytes(bytes) => tag(to, "$bytes", &hex(bytes)),
            Kind::List(items) => to.collect_seq(items),
            Kind::Map(entries) if is_plain(entries) => to.collect_map(entries.iter().map(|(key, value)| (key, value))),
            Kind::Map(entries) => tag(to, "$map", entries),
            Kind::Some(value) => tag(to, "$some", value),
            Kind::Error(error) => tag(to, "$error", error),
        }
    }
}

fn tag<S: Serializer>(to: S, tag: &'static str, content: &(impl Serialize + ?Sized)) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(tag, content)?;
    map.end()
}

/// Whether a map can be a JSON object: its keys are text, each is there once, and it does not look like a tag.
fn is_plain(entries: &[(Value, Value)]) -> bool {
    let mut seen = BTreeSet::new();
    match entries {
        [(key, _)] => key.as_str().is_some_and(|key| !key.starts_with('$')),
        _ => entries.iter().all(|(key, _)| key.as_str().is_some_and(|key| seen.insert(key))),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Json)
    }
}

/// Makes a [`Value`] of its JSON form.
struct Json;

impl<'de> Visitor<'de> for Json {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value(Kind::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value(Kind::Bool(value)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::uint(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::int(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value(Kind::Text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Value(Kind::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = from.next_entry::<String, Value>()? {
            entries.push((Value(Kind::Text(key)), value));
        }
        if let [(Value(Kind::Text(tag)), content)] = entries.as_slice()
            && tag.starts_with('$')
        {
            return tagged(tag, content).ok_or_else(|| {
                A::Error::custom(format_args!(
                    "`{{\"{tag}\": ..}}` stands for no value: a key that begins with `$` is written as `{{\"$map\": [[key, value]]}}`"
                ))
            });
        }
        if let Some(key) = twice(&entries) {
            return Err(A::Error::custom(format_args!(
                "the key `{key}` is there twice: such a map is written as `{{\"$map\": [[key, value]]}}`"
            )));
        }
        Ok(Value(Kind::Map(entries)))
    }
}

/// A key that an object has more than once. It would be written two levels deeper than it was read, and what is many times in
/// itself too deep to be read again.
fn twice(entries: &[(Value, Value)]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    entries.iter().filter_map(|(key, _)| key.as_str()).find(|key| !seen.insert(*key))
}

/// What a tag stands for, in the one form that each value has.
fn tagged(tag: &str, content: &Value) -> Option<Value> {
    Some(match (tag, &content.0) {
        (NUMBER, Kind::Text(digits)) => match (digits.parse::<u64>(), digits.parse::<i64>()) {
            (Ok(number), _) => Value::uint(number),
            (_, Ok(number)) => Value::int(number),
            _ => Value::float(digits.parse().ok().filter(|number: &f64| number.is_finite())?),
        },
        ("$float", Kind::Text(name)) => Value::float(match name.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return None,
        }),
        ("$int", Kind::Text(digits)) => {
            let number = digits.parse::<u128>().map(Value::uint);
            let number = number.or_else(|_| digits.parse::<i128>().map(Value::int)).ok()?;
            let is_wide = match number.0 {
                Kind::Uint(number) => u64::try_from(number).is_err(),
                Kind::Int(number) => i64::try_from(number).is_err(),
                _ => false,
            };
            return is_wide.then_some(number);
        }
        ("$bytes", Kind::Text(digits)) => Value(Kind::Bytes(Value::from_hex(digits)?)),
        ("$map", Kind::List(pairs)) => {
            let entries = pairs.iter().map(|pair| match &pair.0 {
                Kind::List(pair) => match pair.as_slice() {
                    [key, value] => Some((key.clone(), value.clone())),
                    _ => None,
                },
                _ => None,
            });
            Value(Kind::Map(entries.collect::<Option<_>>()?))
        }
        ("$some", Kind::Null | Kind::Some(_)) => Value(Kind::Some(Box::new(content.clone()))),
        ("$error", Kind::Text(error)) => Value(Kind::Error(error.to_owned())),
        _ => return None,
    })
}
