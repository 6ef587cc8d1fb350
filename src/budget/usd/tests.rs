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
