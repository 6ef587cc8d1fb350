//! Decoding that takes no map's word for its length.
//!
//! Postcard hands on the length that a map claims as a hint, and a `HashMap` makes room for as many entries at once, up to a
//! megabyte: for a few bytes that somebody made up. Of a list it asks first whether the bytes are there.

#[cfg(test)]
mod tests;

use core::fmt;

use postcard_schema::schema::{DataModelType, DataModelVariant, NamedType, NamedValue};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

/// Whether there is a map anywhere in a type: whatever has none is decoded without a detour.
pub(super) const fn has_map(of: &NamedType) -> bool {
    match of.ty {
        DataModelType::Map { .. } => true,
        DataModelType::Option(inner) | DataModelType::NewtypeStruct(inner) | DataModelType::Seq(inner) => {
            has_map(inner)
        }
        DataModelType::Tuple(types) | DataModelType::TupleStruct(types) => any_has_map(types),
        DataModelType::Struct(fields) => any_field_has_map(fields),
        DataModelType::Enum(variants) => {
            let mut rest = *variants;
            while let [first, others @ ..] = rest {
                let found = match first.ty {
                    DataModelVariant::UnitVariant => false,
                    DataModelVariant::NewtypeVariant(inner) => has_map(inner),
                    DataModelVariant::TupleVariant(types) => any_has_map(types),
                    DataModelVariant::StructVariant(fields) => any_field_has_map(fields),
                };
                if found {
                    return true;
                }
                rest = others;
            }
            false
        }
        _ => false,
    }
}

const fn any_has_map(types: &[&NamedType]) -> bool {
    let mut rest = types;
    while let [first, others @ ..] = rest {
        if has_map(first) {
            return true;
        }
        rest = others;
    }
    false
}

const fn any_field_has_map(fields: &[&NamedValue]) -> bool {
    let mut rest = fields;
    while let [first, others @ ..] = rest {
        if has_map(first.ty) {
            return true;
        }
        rest = others;
    }
    false
}

/// Whatever takes part in decoding, and what it hands on is so too; a map in it gives no hint of its length.
pub(super) struct Wary<T>(pub(super) T);

macro_rules! plain {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Wary<D> {
    type Error = D::Error;

    // There is no map in these.
    plain! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Wary(visitor))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Wary(visitor))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(Wary(visitor))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Wary(visitor))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Wary(visitor))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Wary(visitor))
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Wary(visitor))
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Wary(visitor))
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// What a format calls that has types and lengths but does not say which they are.
impl<'de, V: Visitor<'de>> Visitor<'de> for Wary<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    #[inline]
    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Wary(from))
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Wary(from))
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Wary(from))
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Wary(from))
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, from: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Wary(from))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Wary<S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Wary(from))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Wary<A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Wary(seed))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Wary<A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Wary(seed))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Wary(seed))
    }

    // The one thing that is different.
    #[inline]
    fn size_hint(&self) -> Option<usize> {
        None
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Wary<A> {
    type Error = A::Error;
    type Variant = Wary<A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(Wary(seed)).map(|(variant, content)| (variant, Wary(content)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Wary<A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Wary(seed))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Wary(visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Wary(visitor))
    }
}
