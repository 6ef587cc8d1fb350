//! FNV-1a, the hash of names: small, without tables, and fixed for ever by its published constants.
//!
//! Source: Fowler, Noll, Vo; the 64-bit parameters are those of RFC 9923.

/// The 64-bit offset basis.
pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hash of `bytes`, going on from `state`.
pub(crate) const fn fnv1a(mut state: u64, bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        state = (state ^ *byte as u64).wrapping_mul(FNV_PRIME);
        rest = tail;
    }
    state
}

#[cfg(test)]
mod tests {
    #[test]
    fn published_test_vectors() {
        assert_eq!(super::fnv1a(super::FNV_START, b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::fnv1a(super::FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(super::fnv1a(super::FNV_START, b"foobar"), 0x8594_4171_f739_67e8);
    }
}
