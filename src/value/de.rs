//! From a value to a type.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use serde::{
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};

use super::{DecodeError, Kind, Value};

impl Value {
    /// The value as a `T`.
    ///
    /// # Errors
    /// When it is not what a `T` is made of, with the path of what does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        serde_path_to_error::deserialize(self)
            .map_err(|error| DecodeError { path: error.path().to_string(), words: error.into_inner().0 })
    }
}

/// Why a value does not fit.
#[derive(Debug)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Unfit {}

impl de::Error for Unfit {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Self(format!("{words}"))
    }
}

impl<'de> IntoDeserializer<'de, Unfit> for &'de Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> de::Deserializer<'de> for &'de Value {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match &self.0 {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Uint(number) => match u64::try_from(*number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) => visitor.visit_u128(*number),
            },
            Kind::Int(number) => match i64::try_from(*number) {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_i128(*number),
            },
            Kind::Float(bits) => visitor.visit_f64(f64::from_bits(*bits)),
            Kind::Text(text) => visitor.visit_borrowed_str(text),
            Kind::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Kind::List(items) => {
                let mut items = de::value::SeqDeserializer::new(items.iter());
                let made = visitor.visit_seq(&mut items)?;
                items.end()?;
                Ok(made)
            }
            Kind::Map(entries) => {
                let mut entries = MapDeserializer::new(entries.iter().map(|(key, value)| (key, value)));
                let made = visitor.visit_map(&mut entries)?;
                entries.end()?;
                Ok(made)
            }
            Kind::Some(value) => visitor.visit_some(&**value),
            Kind::Error(error) => Err(de::Error::custom(format_args!("it was not recorded: {error}"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        match &self.0 {
            Kind::Null => visitor.visit_none(),
            Kind::Some(value) => visitor.visit_some(&**value),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unfit> {
        match &self.0 {
            Kind::Text(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Kind::Map(entries) => match entries.as_slice() {
                [(variant, content)] => visitor.visit_enum(Variant { variant, content }),
                _ => Err(de::Error::invalid_value(de::Unexpected::Map, &"a map with the variant as its one key")),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// A variant with something in it.
struct Variant<'de> {
    variant: &'de Value,
    content: &'de Value,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Unfit;
    type Variant = &'de Value;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, &'de Value), Unfit> {
        Ok((seed.deserialize(self.variant)?, self.content))
    }
}

impl<'de> de::VariantAccess<'de> for &'de Value {
    type Error = Unfit;

    fn unit_variant(self) -> Result<(), Unfit> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unfit> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Unfit> {
        de::Deserializer::deserialize_any(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Unfit> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

impl Value {
    /// The bytes that a text of hexadecimal digits says.
    pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
    }
}
