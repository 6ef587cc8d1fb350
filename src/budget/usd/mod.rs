//! Money as whole picodollars.

#[cfg(test)]
mod tests;

use core::{
    fmt::{self, Write},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::decimal::{Decimal, UsdError, scaled};
use crate::text::Text;

/// How many decimals a dollar has here.
const DECIMALS: u32 = 12;
const DOLLAR: u64 = 10_u64.pow(DECIMALS);
const CENT: u64 = DOLLAR / 100;

/// An amount of US dollars, exact to the picodollar (10⁻¹² dollars), at most $18,446,744.073709551615.
///
/// The price of a single token is a whole number of picodollars for every price list that counts in millions of tokens, so no
/// sum is ever rounded.
///
/// ```
/// use stroma::Usd;
///
/// let price: Usd = "0.0000025".parse()?;
/// assert_eq!(price, Usd::picodollars(2_500_000));
/// assert_eq!("$2.5e-6".parse(), Ok(price));
/// assert_eq!(price.checked_mul(1_200).map(|usd| usd.to_string()).as_deref(), Some("$0.003"));
/// assert_eq!(Usd::dollars(12).to_string(), "$12.00");
/// # Ok::<(), stroma::UsdError>(())
/// ```
///
/// # Text
/// Shown with a dollar sign and at least two decimals, or as many as the precision asks for; nothing is rounded away. As JSON
/// and other text it is a string without the sign, in binary formats the number of picodollars.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, postcard_schema::Schema)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The most that there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// So many picodollars.
    pub const fn picodollars(picodollars: u64) -> Self {
        Self(picodollars)
    }

    /// So many dollars; [`MAX`](Self::MAX) where that is more.
    pub const fn dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(DOLLAR))
    }

    /// So many cents; [`MAX`](Self::MAX) where that is more.
    pub const fn cents(cents: u64) -> Self {
        Self(cents.saturating_mul(CENT))
    }

    /// The number of picodollars.
    pub const fn as_picodollars(self) -> u64 {
        self.0
    }

    /// The sum, or `None` where it is more than [`MAX`](Self::MAX).
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` where it is negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// So many times as much, or `None` where that is more than [`MAX`](Self::MAX).
    pub const fn checked_mul(self, times: u64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(product) => Some(Self(product)),
            None => None,
        }
    }

    /// The sum, at most [`MAX`](Self::MAX).
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Usd {
    type Err = UsdError;

    /// Reads a decimal number exactly, with a dollar sign before it or not, with an exponent (`1.5e-7`) or not.
    fn from_str(text: &str) -> Result<Self, UsdError> {
        scaled(text, DECIMALS).map(Self)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Text::<40>::empty();
        let least = f.precision().unwrap_or(2);
        write!(text, "${}", Decimal { units: self.0, decimals: DECIMALS as usize, least })?;
        // Not `pad`, to which the precision is a length to cut at.
        f.pad_integral(true, "", text.as_str())
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() {
            to.collect_str(&Decimal { units: self.0, decimals: DECIMALS as usize, least: 2 })
        } else {
            to.serialize_newtype_struct("Usd", &self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Usd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("dollars as a decimal number in quotes, such as \"0.05\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Usd, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Usd, D::Error> {
                u64::deserialize(from).map(Usd)
            }
        }

        if from.is_human_readable() {
            from.deserialize_str(Visitor)
        } else {
            from.deserialize_newtype_struct("Usd", Visitor)
        }
    }
}
