use super::*;

#[test]
fn a_checkpoint_is_its_header_its_payload_and_its_checksum() {
    let mut buffer = [0; 64];
    let len = encode(&(1_u8, 300_u32), &mut buffer).unwrap_or_default();
    assert_eq!(len, encoded_len(&(1_u8, 300_u32)).unwrap_or_default());
    let bytes = &buffer[..len];
    assert_eq!(bytes[0], FORMAT_VERSION);
    assert_eq!(bytes[1..9], <(u8, u32)>::SCHEMA_KEY.to_le_bytes());
    assert_eq!(bytes[9..len - 4], [1, 0xac, 0x02]);
    assert_eq!(decode::<(u8, u32)>(bytes), Ok((1, 300)));
}

#[test]
fn every_flipped_bit_and_every_missing_byte_is_found() {
    let mut buffer = [0; 64];
    let value = (7_u8, [3_u32; 4]);
    let len = encode(&value, &mut buffer).unwrap_or_default();
    for bit in 0..len * 8 {
        let mut flipped = buffer;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(decode::<(u8, [u32; 4])>(&flipped[..len]).is_err(), "bit {bit}");
    }
    for short in 0..len {
        assert!(decode::<(u8, [u32; 4])>(&buffer[..short]).is_err(), "{short} bytes");
    }
}

#[test]
fn another_schema_is_named_with_both_keys() {
    let mut buffer = [0; 64];
    let len = encode(&7_u32, &mut buffer).unwrap_or_default();
    assert_eq!(
        decode::<u64>(&buffer[..len]),
        Err(CheckpointFault::Schema { stored: u32::SCHEMA_KEY, expected: u64::SCHEMA_KEY })
    );
}

#[test]
fn an_input_knows_its_pipeline_and_its_value() {
    let mut buffer = [0; 64];
    let len = Value { value: &9_u64, shape: NonZeroU64::new(0xfeed) }.encode(&mut buffer).unwrap_or_default();
    let bytes = &buffer[..len];
    assert_eq!(input_fingerprint(bytes), Ok(0xfeed));
    assert_eq!(decode_input::<u64>(bytes), Ok(9));
    assert_eq!(check_input(bytes, &9_u64), Ok(true));
    assert_eq!(check_input(bytes, &10_u64), Ok(false));
    assert_eq!(check_input(bytes, &900_u64), Ok(false));
}

#[test]
fn a_value_that_does_not_fit_says_so() {
    let mut buffer = [0; 13];
    assert_eq!(encode(&7_u64, &mut buffer), Err(EncodeError::NoRoom));
}
