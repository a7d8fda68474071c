//! SHA-1, by which scripts are called.

/// A script's digest.
pub type Sha = [u8; 20];

/// The digest of `bytes`.
pub fn of(bytes: &[u8]) -> Sha {
    sha1_smol::Sha1::from(bytes).digest().bytes()
}

/// The digest of `bytes` as 40 hexadecimal digits.
pub fn hex(bytes: &[u8]) -> [u8; 40] {
    to_hex(&of(bytes))
}

/// A digest as 40 hexadecimal digits in lower case.
pub fn to_hex(sha: &Sha) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(sha) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// 40 hexadecimal digits, in any case, as a digest.
pub fn from_hex(text: &[u8]) -> Option<Sha> {
    if text.len() != 40 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut sha = [0; 20];
    for (byte, pair) in sha.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        let check = |text: &str, expected: &str| {
            assert_eq!(std::str::from_utf8(&hex(text.as_bytes())), Ok(expected), "{text}");
            assert_eq!(from_hex(expected.to_uppercase().as_bytes()), Some(of(text.as_bytes())));
        };
        check("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        check("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "a9993e", &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(from_hex(text.as_bytes()), None, "{text}");
        }
    }
}
