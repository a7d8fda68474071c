//! Redis Cluster's key slots: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384.
//! Source: the Redis Cluster specification, "Key distribution model".

/// How many slots there are.
pub const SLOTS: usize = 16384;

/// A key's slot, 0 to 16383.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slot(u16);

impl Slot {
    /// The slot of `key`: of the bytes between its first `{` and the next `}` when there are any between them.
    #[inline]
    pub fn of(key: &[u8]) -> Self {
        Self(crc16(hash_tag(key)) & (SLOTS as u16 - 1))
    }

    /// Slot number `index`; panics above 16383.
    pub fn new(index: u16) -> Self {
        assert!((index as usize) < SLOTS, "slot {index} is past 16383");
        Self(index)
    }

    /// As a number, 0 to 16383.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The part of `key` that decides its slot.
#[inline]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    if has_open_brace(key) { tag_in_braces(key) } else { key }
}

/// Whether `key` has a `{`, eight bytes at a time. Nearly every key has none, and the answer is all that matters
/// then, so the last word may overlap the one before it.
#[inline]
fn has_open_brace(key: &[u8]) -> bool {
    let Some(last) = key.last_chunk::<8>() else { return key.contains(&b'{') };
    let (words, _) = key.as_chunks::<8>();
    words.iter().fold(zero_bytes(last), |found, word| found | zero_bytes(word)) != 0
}

/// Not zero if and only if one of the bytes of `word` is `{`.
#[inline]
fn zero_bytes(word: &[u8; 8]) -> u64 {
    let differences = u64::from_le_bytes(*word) ^ (ONES * b'{' as u64);
    differences.wrapping_sub(ONES) & !differences & (ONES << 7)
}

#[cold]
fn tag_in_braces(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        Some(len) if len > 0 => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, no reflection.
#[inline]
pub fn crc16(bytes: &[u8]) -> u16 {
    let (words, tail) = bytes.as_chunks::<8>();
    let mut crc = 0;
    for word in words {
        crc = step8(crc, word);
    }
    let (half, tail) = tail.as_chunks::<4>();
    if let [half] = half {
        crc = step4(crc, half);
    }
    for &byte in tail {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// Eight bytes at once: each byte's contribution depends on nothing but itself and how many bytes follow it.
#[inline]
fn step8(crc: u16, word: &[u8; 8]) -> u16 {
    TABLES[7][usize::from(word[0] ^ (crc >> 8) as u8)]
        ^ TABLES[6][usize::from(word[1] ^ crc as u8)]
        ^ TABLES[5][usize::from(word[2])]
        ^ TABLES[4][usize::from(word[3])]
        ^ TABLES[3][usize::from(word[4])]
        ^ TABLES[2][usize::from(word[5])]
        ^ TABLES[1][usize::from(word[6])]
        ^ TABLES[0][usize::from(word[7])]
}

#[inline]
fn step4(crc: u16, word: &[u8; 4]) -> u16 {
    TABLES[3][usize::from(word[0] ^ (crc >> 8) as u8)]
        ^ TABLES[2][usize::from(word[1] ^ crc as u8)]
        ^ TABLES[1][usize::from(word[2])]
        ^ TABLES[0][usize::from(word[3])]
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// `TABLES[n][b]` is the CRC of byte `b` followed by `n` zero bytes.
static TABLES: [[u16; 256]; 8] = tables();

const fn tables() -> [[u16; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut table = 0;
        while table < 8 {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 != 0 { (crc << 1) ^ POLYNOMIAL } else { crc << 1 };
                bit += 1;
            }
            tables[table][byte] = crc;
            table += 1;
        }
        byte += 1;
    }
    tables
}

const POLYNOMIAL: u16 = 0x1021;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crc16_by_bits(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, &byte| {
            (0..8).fold(crc ^ (u16::from(byte) << 8), |c, _| {
                if c & 0x8000 != 0 { (c << 1) ^ POLYNOMIAL } else { c << 1 }
            })
        })
    }

    #[test]
    fn crc16_has_the_check_value_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots_are_those_that_redis_gives() {
        let check = |key: &str, slot: usize| assert_eq!(Slot::of(key.as_bytes()).index(), slot, "{key}");
        check("", 0);
        check("foo", 12182);
        check("bar", 5061);
        check("hello", 866);
        check("123456789", 12739);
        check("{user1000}.following", 3443);
        check("{user1000}.followers", 3443);
        check("somekey", 11058);
        check("foo{hash_tag}", 2515);
    }

    #[test]
    fn hash_tag_is_between_the_first_open_brace_and_the_next_closing_one() {
        let check = |key: &str, tag: &str| {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes(), "{key}");
            let long = format!("{key}, and some more bytes behind it");
            let tag = if tag == key { &long } else { tag };
            assert_eq!(hash_tag(long.as_bytes()), tag.as_bytes(), "{long}");
        };
        check("", "");
        check("plain", "plain");
        check("{a}", "a");
        check("foo{}{bar}", "foo{}{bar}");
        check("foo{{bar}}zap", "{bar");
        check("foo{bar}{zap}", "bar");
        check("}{", "}{");
        check("a}b{c}d", "c");
        check("open{only", "open{only");
        check("z|y|x", "z|y|x");
    }

    proptest! {
        #[test]
        fn crc16_is_the_bitwise_one(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            prop_assert_eq!(crc16(&bytes), crc16_by_bits(&bytes));
        }

        #[test]
        fn hash_tag_is_found_wherever_it_lies(key in prop::collection::vec(prop::sample::select(&b"{}ab\xfb\x7c\x00"[..]), 0..40)) {
            prop_assert_eq!(hash_tag(&key), tag_in_braces(&key));
        }
    }
}
