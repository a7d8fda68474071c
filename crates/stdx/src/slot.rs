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
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    match key[open + 1..].iter().position(|&byte| byte == b'}') {
        Some(len) if len > 0 => &key[open + 1..open + 1 + len],
        _ => key,
    }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, no reflection.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |c, _| if c & 0x8000 != 0 { (c << 1) ^ 0x1021 } else { c << 1 },
        )
    })
}
