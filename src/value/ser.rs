//! From a type to a value.

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};
use core::fmt;

use serde::ser::{self, Serialize};

use super::{Kind, Value};

impl Value {
    /// The value of anything that can be serialised. Where its own `Serialize` refuses, that is what is kept.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        match value.serialize(ToValue) {
            Ok(value) => value,
            Err(Refused(words)) => Self(Kind::Error(words)),
        }
    }
}

/// Makes a [`Value`].
struct ToValue;

/// Why a type refused.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self(alloc::format!("{words}"))
    }
}

type Made = Result<Value, Refused>;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self(Kind::Text(text.to_owned()))
    }

    pub(super) fn uint(number: impl Into<u128>) -> Self {
        Self(Kind::Uint(number.into()))
    }

    pub(super) fn int(number: impl Into<i128>) -> Self {
        let number = number.into();
        Self(u128::try_from(number).map_or(Kind::Int(number), Kind::Uint))
    }

    pub(super) fn float(number: f64) -> Self {
        Self(Kind::Float(if number.is_nan() { f64::NAN } else { number }.to_bits()))
    }

    /// A value under the name of its variant.
    fn variant(name: &'static str, value: Self) -> Self {
        Self(Kind::Map(alloc::vec![(Self::text(name), value)]))
    }
}

macro_rules! numbers {
    ($($method:ident($of:ty) = $make:ident;)*) => {$(
        fn $method(self, number: $of) -> Made {
            Ok(Value::$make(number))
        }
    )*};
}

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = Refused;
    type SerializeSeq = Items;
    type SerializeTuple = Items;
    type SerializeTupleStruct = Items;
    type SerializeTupleVariant = Items;
    type SerializeMap = Entries;
    type SerializeStruct = Entries;
    type SerializeStructVariant = Entries;

    numbers! {
        serialize_u8(u8) = uint;
        serialize_u16(u16) = uint;
        serialize_u32(u32) = uint;
        serialize_u64(u64) = uint;
        serialize_u128(u128) = uint;
        serialize_i8(i8) = int;
        serialize_i16(i16) = int;
        serialize_i32(i32) = int;
        serialize_i64(i64) = int;
        serialize_i128(i128) = int;
        serialize_f64(f64) = float;
    }

    fn serialize_f32(self, number: f32) -> Made {
        Ok(Value::float(number.into()))
    }

    fn serialize_bool(self, value: bool) -> Made {
        Ok(Value(Kind::Bool(value)))
    }

    fn serialize_char(self, value: char) -> Made {
        Ok(Value::text(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> Made {
        Ok(Value::text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Made {
        Ok(Value(Kind::Bytes(value.to_vec())))
    }

    fn serialize_none(self) -> Made {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made {
        let value = value.serialize(self)?;
        Ok(match value.0 {
            Kind::Null | Kind::Some(_) => Value(Kind::Some(Box::new(value))),
            _ => value,
        })
    }

    fn serialize_unit(self) -> Made {
        Ok(Value(Kind::Null))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Made {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Made {
        Ok(Value::text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Made {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Made {
        Ok(Value::variant(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items, Refused> {
        Ok(Items::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Items, Refused> {
        Ok(Items::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items, Refused> {
        Ok(Items::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items, Refused> {
        Ok(Items { variant: Some(variant), ..Items::default() })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries, Refused> {
        Ok(Entries::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries, Refused> {
        Ok(Entries::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries, Refused> {
        Ok(Entries { variant: Some(variant), ..Entries::default() })
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Made {
        Ok(Value(Kind::Text(alloc::format!("{value}"))))
    }
}

/// A list that is being made.
#[derive(Default)]
pub(super) struct Items {
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl Items {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.items.push(value.serialize(ToValue)?);
        Ok(())
    }

    fn made(self) -> Value {
        let list = Value(Kind::List(self.items));
        match self.variant {
            Some(variant) => Value::variant(variant, list),
            None => list,
        }
    }
}

/// A map that is being made.
#[derive(Default)]
pub(super) struct Entries {
    variant: Option<&'static str>,
    key: Option<Value>,
    entries: Vec<(Value, Value)>,
}

impl Entries {
    fn push<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Refused> {
        self.entries.push((Value::text(key), value.serialize(ToValue)?));
        Ok(())
    }

    fn made(self) -> Value {
        let map = Value(Kind::Map(self.entries));
        match self.variant {
            Some(variant) => Value::variant(variant, map),
            None => map,
        }
    }
}

macro_rules! items {
    ($($of:ident::$method:ident),*) => {$(
        impl ser::$of for Items {
            type Ok = Value;
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                self.push(value)
            }

            fn end(self) -> Made {
                Ok(self.made())
            }
        }
    )*};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($of:ident),*) => {$(
        impl ser::$of for Entries {
            type Ok = Value;
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Refused> {
                self.push(key, value)
            }

            fn end(self) -> Made {
                Ok(self.made())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.key = Some(key.serialize(ToValue)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let key = self.key.take().ok_or_else(|| ser::Error::custom("a map gave a value without a key"))?;
        self.entries.push((key, value.serialize(ToValue)?));
        Ok(())
    }

    fn end(self) -> Made {
        Ok(self.made())
    }
}
