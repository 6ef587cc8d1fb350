//! Money as whole picodollars.

use core::{
    fmt::{self, Write},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

/// Why a text is not an amount of dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsdError {
    /// There is no text.
    #[error("the amount is empty: give a decimal number such as `0.05`")]
    Empty,
    /// It is not a decimal number.
    #[error("the amount is not a decimal number: write it as `0.05`, `$12` or `1.5e-7`")]
    NotANumber,
    /// It is below zero.
    #[error("the amount is negative: money here is only ever spent")]
    Negative,
    /// It is infinite, or `NaN`.
    #[error("the amount is not finite: give a decimal number such as `0.05`")]
    NotFinite,
    /// It has a digit that is worth less than a picodollar.
    #[error("the amount is finer than a picodollar (0.000000000001 dollars): round it")]
    TooFine,
    /// It does not fit.
    #[error("the amount is more than $18,446,744: no amount here is")]
    TooLarge,
}

/// A number as a decimal with so many places, shown with at least so many of them.
pub(super) struct Decimal {
    pub(super) units: u64,
    pub(super) decimals: usize,
    pub(super) least: usize,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.saturating_pow(u32::try_from(self.decimals).unwrap_or(u32::MAX));
        let (whole, mut part, mut places) = (self.units / scale, self.units % scale, self.decimals);
        while places > self.least && part.is_multiple_of(10) {
            (part, places) = (part / 10, places - 1);
        }
        match places {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{part:0places$}"),
        }
    }
}

/// The decimal number in `text` times ten to the power of `decimals`, exactly.
pub(super) fn scaled(text: &str, decimals: u32) -> Result<u64, UsdError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(UsdError::Empty);
    }
    // The sign stands on either side of the dollar.
    let minus = |text: &str| text.starts_with('-');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = unsigned.strip_prefix('$').unwrap_or(unsigned);
    let inner_minus = unsigned.len() == text.len() && plain.len() < unsigned.len() && minus(plain);
    let plain = if inner_minus { plain.strip_prefix('-').unwrap_or(plain) } else { plain };
    if ["nan", "inf", "infinity"].iter().any(|word| plain.eq_ignore_ascii_case(word)) {
        return Err(UsdError::NotFinite);
    }
    match magnitude(plain, decimals) {
        Err(UsdError::NotANumber) => Err(UsdError::NotANumber),
        _ if inner_minus || minus(text) => Err(UsdError::Negative),
        read => read,
    }
}

fn magnitude(text: &str, decimals: u32) -> Result<u64, UsdError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, exponent(power)?),
        None => (text, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(part.bytes());
    if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
        return Err(UsdError::NotANumber);
    }
    // The power of ten that the first digit counts.
    let whole = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    let mut power = exponent.saturating_add(i64::from(decimals)).saturating_add(whole).saturating_sub(1);
    let mut sum = 0_u64;
    for digit in digits() {
        if digit != b'0' {
            if power < 0 {
                return Err(UsdError::TooFine);
            }
            let unit = u32::try_from(power).ok().and_then(|power| 10_u64.checked_pow(power));
            let value = unit.and_then(|unit| unit.checked_mul(u64::from(digit - b'0')));
            sum = value.and_then(|value| sum.checked_add(value)).ok_or(UsdError::TooLarge)?;
        }
        power = power.saturating_sub(1);
    }
    Ok(sum)
}

fn exponent(text: &str) -> Result<i64, UsdError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(UsdError::NotANumber);
    }
    let size =
        digits.bytes().fold(0_i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Ok(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::ToString};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, picodollars) in [
            ("0", 0),
            ("0.05", 50_000_000_000),
            ("$0.05", 50_000_000_000),
            (" 12 ", 12_000_000_000_000),
            ("+1", 1_000_000_000_000),
            ("1.5e-7", 150_000),
            ("1.5E+2", 150_000_000_000_000),
            (".5", 500_000_000_000),
            ("5.", 5_000_000_000_000),
            ("0.000000000001", 1),
            ("0.0000000000010000000000000000", 1),
            ("1000000000000000000000000e-36", 1),
            ("0e999999999999999999999999", 0),
            ("0e-999999999999999999999999", 0),
            ("0000000000000000000000000000001", 1_000_000_000_000),
            ("18446744.073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Usd(picodollars)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_the_reason() {
        use UsdError::{Empty, Negative, NotANumber, NotFinite, TooFine, TooLarge};
        for (text, error) in [
            ("", Empty),
            ("  ", Empty),
            ("$", NotANumber),
            ("-", NotANumber),
            (".", NotANumber),
            ("e5", NotANumber),
            ("1e", NotANumber),
            ("1e+", NotANumber),
            ("1e5.5", NotANumber),
            ("1.2.3", NotANumber),
            ("1,000", NotANumber),
            ("1_000", NotANumber),
            ("0x10", NotANumber),
            ("--1", NotANumber),
            ("-$-1", NotANumber),
            ("$$1", NotANumber),
            ("ten", NotANumber),
            ("١", NotANumber),
            ("-1", Negative),
            ("-$1", Negative),
            ("$-1", Negative),
            ("-0.00", Negative),
            ("-1e99", Negative),
            ("NaN", NotFinite),
            ("-inf", NotFinite),
            ("$Infinity", NotFinite),
            ("0.0000000000001", TooFine),
            ("1e-13", TooFine),
            ("1e-99999999999999999999", TooFine),
            ("18446744.073709551616", TooLarge),
            ("1e8", TooLarge),
            ("1e99999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Usd>(), Err(error), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_exactly() {
        for (usd, text) in [
            (Usd::ZERO, "$0.00"),
            (Usd::cents(5), "$0.05"),
            (Usd::dollars(12), "$12.00"),
            (Usd::picodollars(2_500_000), "$0.0000025"),
            (Usd::picodollars(1), "$0.000000000001"),
            (Usd::MAX, "$18446744.073709551615"),
        ] {
            assert_eq!(usd.to_string(), text);
        }
        let usd = Usd::cents(50);
        assert_eq!(format!("{usd:>8}|{usd:<8}|{usd:^8}|{usd:8}"), "   $0.50|$0.50   | $0.50  |   $0.50");
        assert_eq!(format!("{usd:.0} {usd:.1} {usd:.4} {:.0} {:.99}", Usd::dollars(3), Usd::ZERO), {
            "$0.5 $0.5 $0.5000 $3 $0.000000000000"
        });
        assert_eq!(format!("{usd:?}"), "Usd($0.50)");
    }

    #[test]
    fn no_arithmetic_wraps() {
        assert_eq!(Usd::dollars(u64::MAX), Usd::MAX);
        assert_eq!(Usd::cents(u64::MAX), Usd::MAX);
        assert_eq!(Usd::MAX.checked_add(Usd(1)), None);
        assert_eq!(Usd::ZERO.checked_sub(Usd(1)), None);
        assert_eq!(Usd(1 << 63).checked_mul(2), None);
        assert_eq!(Usd::MAX.saturating_add(Usd(1)), Usd::MAX);
        assert_eq!(Usd::ZERO.saturating_sub(Usd(1)), Usd::ZERO);
        assert_eq!(Usd(5).checked_sub(Usd(2)).and_then(|usd| usd.checked_add(Usd(4))), Some(Usd(7)));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(picodollars in any::<u64>(), shift in 0_u32..64) {
            let usd = Usd(picodollars >> shift);
            prop_assert_eq!(usd.to_string().parse(), Ok(usd));
            prop_assert_eq!(format!("{}e-12", usd.0).parse(), Ok(usd));
            let mut bytes = [0; 16];
            let bytes = postcard::to_slice(&usd, &mut bytes).unwrap();
            prop_assert_eq!(postcard::from_bytes(bytes), Ok(usd));
        }

        #[test]
        fn no_text_panics(text in "[-+$]{0,2}[0-9.eE_na ]{0,40}", any in ".{0,20}") {
            let _ = text.parse::<Usd>();
            let _ = any.parse::<Usd>();
        }

        #[test]
        fn digits_mean_what_they_say(whole in 0_u64..18_446_744, part in 0_u64..DOLLAR, zeros in 0_usize..30) {
            let text = format!("{}{whole}.{part:012}{}", "0".repeat(zeros), "0".repeat(zeros));
            prop_assert_eq!(text.parse(), Ok(Usd(whole * DOLLAR + part)));
        }
    }
}
