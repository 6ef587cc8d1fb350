//! Decimal numbers, read and shown exactly.

use core::fmt;

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
