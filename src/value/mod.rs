//! A value of any type, as a trace keeps it: one that can be shown, compared, written as JSON and turned back.

mod de;
mod json;
mod ser;
#[cfg(test)]
mod tests;

use alloc::{boxed::Box, string::String, vec::Vec};
use core::fmt;

use crate::text::OneLine;

/// What a node was given or yielded, whatever its type.
///
/// Whatever serde can serialise is kept without loss: integers of 128 bits, floats that are no number, bytes, maps with any
/// keys, `Some(None)`. Shown as text it is JSON, in which what JSON has no form for is an object with one key that begins with
/// `$`:
///
/// | a value | in JSON |
/// |---|---|
/// | an integer beyond 64 bits | `{"$int": "18446744073709551616"}` |
/// | a float that is no number | `{"$float": "NaN"}`, `"Infinity"`, `"-Infinity"` |
/// | bytes | `{"$bytes": "00ff"}` |
/// | a map whose keys are not all text, or not all different, or that looks like one of these | `{"$map": [[key, value]]}` |
/// | `Some` of what is `null` itself | `{"$some": null}` |
/// | what refused to be serialised | `{"$error": "why"}` |
///
/// ```
/// use stroma::Value;
///
/// let value = Value::of(&(1_u8, f64::NAN, "ä"));
/// assert_eq!(value.to_string(), r#"[1,{"$float":"NaN"},"ä"]"#);
/// assert_eq!(value.pointer("/2").map(ToString::to_string).as_deref(), Some("\"ä\""));
/// let (one, not, text) = value.decode::<(u8, f64, String)>()?;
/// assert!(one == 1 && not.is_nan() && text == "ä");
/// # Ok::<(), stroma::DecodeError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Kind);

/// What there is. Each value has one form only, so that equal values are equal here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// `None`, `()`, a unit struct.
    Null,
    Bool(bool),
    Uint(u128),
    /// Below zero.
    Int(i128),
    /// The bits of a float; all that are no number are one.
    Float(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// `Some` of a `Null` or of another one of these.
    Some(Box<Value>),
    /// Why there is no value.
    Error(String),
}

impl Value {
    /// The part of it at a JSON pointer (RFC 6901) such as `/items/0/name`; an empty one is the whole. A key that is not text
    /// is written as it is shown, so the key 7 is `/7`.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        steps(pointer)?.try_fold(self, |at, step| match &at.0 {
            Kind::List(items) => items.get(index(&step)?),
            Kind::Map(entries) => entries.iter().find(|(key, _)| key.names(&step)).map(|(_, value)| value),
            _ => None,
        })
    }

    /// As [`pointer`](Self::pointer), to change what is there.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Self> {
        steps(pointer)?.try_fold(self, |at, step| match &mut at.0 {
            Kind::List(items) => items.get_mut(index(&step)?),
            Kind::Map(entries) => entries.iter_mut().find(|(key, _)| key.names(&step)).map(|(_, value)| value),
            _ => None,
        })
    }

    /// Puts `null` in the place of what is at a JSON pointer; whether there was something.
    ///
    /// ```
    /// let mut value = stroma::Value::of(&("name", "a secret"));
    /// assert!(value.blank("/1"));
    /// assert_eq!(value.to_string(), r#"["name",null]"#);
    /// ```
    pub fn blank(&mut self, pointer: &str) -> bool {
        match self.pointer_mut(pointer) {
            Some(part) => {
                part.0 = Kind::Null;
                true
            }
            None => false,
        }
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Why there is no value, where its `Serialize` refused.
    pub fn error(&self) -> Option<&str> {
        match &self.0 {
            Kind::Error(error) => Some(error),
            _ => None,
        }
    }

    /// Whether this, a key, is what a step of a pointer says.
    fn names(&self, step: &str) -> bool {
        match &self.0 {
            Kind::Text(text) => text == step,
            _ => alloc::format!("{self}") == step,
        }
    }

    /// Calls `found` with the pointer of each part in which two values differ, and both sides; a side that has no such part is
    /// `None`. The order of a map's entries makes no difference.
    pub(crate) fn differences(left: Option<&Self>, right: Option<&Self>, found: &mut dyn FnMut(&str, Sides<'_>)) {
        compare(left, right, &mut String::new(), found);
    }
}

/// What serde_json hands a number over under, as digits, where some crate has switched its `arbitrary_precision` on.
pub(crate) const NUMBER: &str = "$serde_json::private::Number";

/// Two sides that differ.
pub(crate) type Sides<'v> = (Option<&'v Value>, Option<&'v Value>);

fn compare(left: Option<&Value>, right: Option<&Value>, path: &mut String, found: &mut dyn FnMut(&str, Sides<'_>)) {
    if left == right {
        return;
    }
    let len = path.len();
    match (left.map(|value| &value.0), right.map(|value| &value.0)) {
        (Some(Kind::List(lefts)), Some(Kind::List(rights))) => {
            for at in 0..lefts.len().max(rights.len()) {
                push(path, &alloc::format!("{at}"));
                compare(lefts.get(at), rights.get(at), path, found);
                path.truncate(len);
            }
        }
        (Some(Kind::Map(lefts)), Some(Kind::Map(rights))) => {
            let name = |key: &Value| key.as_str().map_or_else(|| alloc::format!("{key}"), String::from);
            // The n-th entry of one key is compared with the n-th of the same key.
            let mut others: alloc::collections::BTreeMap<String, Vec<&Value>> = Default::default();
            for (key, value) in rights.iter().rev() {
                others.entry(name(key)).or_default().push(value);
            }
            for (key, value) in lefts {
                let key = name(key);
                let other = others.get_mut(&key).and_then(Vec::pop);
                push(path, &key);
                compare(Some(value), other, path, found);
                path.truncate(len);
            }
            for (key, rest) in &others {
                for value in rest.iter().rev() {
                    push(path, key);
                    compare(None, Some(value), path, found);
                    path.truncate(len);
                }
            }
        }
        _ => found(path, (left, right)),
    }
}

/// Adds a step to a pointer.
fn push(path: &mut String, step: &str) {
    path.push('/');
    path.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// The steps of a pointer, or `None` where it is none.
fn steps(pointer: &str) -> Option<impl Iterator<Item = String>> {
    let mut steps = pointer.split('/');
    if !steps.next()?.is_empty() {
        return None;
    }
    Some(steps.map(|step| step.replace("~1", "/").replace("~0", "~")))
}

/// The place in a list that a step says.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || step.starts_with(|c: char| ('1'..='9').contains(&c));
    if plain { step.parse().ok() } else { None }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if f.alternate() { serde_json::to_string_pretty(self) } else { serde_json::to_string(self) };
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a [`Value`] is not of the type that it was asked for. Shown as text it is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value at `{}` does not fit: {}", OneLine(path), OneLine(words))]
pub struct DecodeError {
    path: String,
    words: String,
}

impl DecodeError {
    /// Where in the value it does not fit, as `items[0].name`; `.` is the whole.
    pub fn path(&self) -> &str {
        &self.path
    }
}
