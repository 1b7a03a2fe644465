//! CRC-32 of joined texts from the CRC-32 of their parts (RFC 1952; the method of zlib's `crc32_combine`).
//!
//! The CRC of `ab` is the CRC of `a` moved on by the length of `b`, plus the CRC of `b`. Moving on by n bytes is
//! multiplying by x^(8n) modulo the polynomial, which squaring makes quick.

/// The polynomial of CRC-32, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// Returns the CRC-32 of these bytes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Returns the CRC-32 of two texts in sequence; `length` is that of the second in bytes.
pub(super) fn combine(first: u32, second: u32, length: u64) -> u32 {
    // x^8, then its squares: x^(8·2^k).
    let mut square = ONE >> 8;
    let mut power = ONE;
    let mut rest = length;
    while rest > 0 {
        if rest & 1 == 1 {
            power = multiply(power, square);
        }
        square = multiply(square, square);
        rest >>= 1;
    }
    multiply(first, power) ^ second
}

fn multiply(left: u32, mut right: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        if left >> bit & 1 == 1 {
            product ^= right;
        }
        right = right >> 1 ^ if right & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(first in proptest::collection::vec(any::<u8>(), 0..99), second in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let whole = [first.as_slice(), second.as_slice()].concat();
            prop_assert_eq!(combine(crc32(&first), crc32(&second), second.len() as u64), crc32(&whole));
        }
    }
}
