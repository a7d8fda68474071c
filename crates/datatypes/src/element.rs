//! One element of a compact value: a string or an integer, with a header that tells its size.
//!
//! ```text
//!  0xxxxxxx                  integer 0 to 127
//!  10llllll                  string of up to 63 bytes, which follow
//!  110xxxxx xxxxxxxx         integer of 13 bits, signed
//!  1110llll llllllll         string of up to 4095 bytes
//!  11110000 + u32            string, length little-endian
//!  11110001..11110100 + 2, 3, 4, 8 bytes    integer, little-endian
//! ```
//! Source: the element encodings of Redis's listpack (without its back-length), so that what is kept here goes into RDB
//! payloads as it is. A string that is the canonical form of an i64 is kept as the integer, as there.

use stdx::number::parse_i64;

/// An element's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// The canonical decimal form of this number.
    Int(i64),
    /// These bytes, which are not the canonical form of an i64.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element that stands for `bytes`.
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Self {
        let number = if bytes.len() <= INT_LEN_MAX { parse_i64(bytes) } else { None };
        number.map_or(Self::Bytes(bytes), Self::Int)
    }

    /// The element at the beginning of `bytes`, and the bytes after it. Panics on what no [`Element::write`] wrote.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let first = bytes[0];
        if first < 0x80 {
            return (Self::Int(i64::from(first)), &bytes[1..]);
        }
        if first < 0xC0 {
            let (text, rest) = bytes[1..].split_at((first & 0x3F) as usize);
            return (Self::Bytes(text), rest);
        }
        Self::read_long(bytes)
    }

    fn read_long(bytes: &'a [u8]) -> (Self, &'a [u8]) {
        let first = bytes[0];
        match first {
            0xC0..=0xDF => {
                let raw = u16::from(first & 0x1F) << 8 | u16::from(bytes[1]);
                (Self::Int(i64::from(((raw << 3) as i16) >> 3)), &bytes[2..])
            }
            0xE0..=0xEF => {
                let len = usize::from(first & 0x0F) << 8 | usize::from(bytes[1]);
                let (text, rest) = bytes[2..].split_at(len);
                (Self::Bytes(text), rest)
            }
            0xF0 => {
                let len = u32::from_le_bytes(bytes[1..5].try_into().expect("four bytes"));
                let (text, rest) = bytes[5..].split_at(len as usize);
                (Self::Bytes(text), rest)
            }
            0xF1..=0xF4 => {
                let size = INT_SIZES[(first - 0xF1) as usize];
                let mut wide = [0; 8];
                wide[8 - size..].copy_from_slice(&bytes[1..=size]);
                let number = i64::from_le_bytes(wide) >> (64 - 8 * size);
                (Self::Int(number), &bytes[1 + size..])
            }
            other => unreachable!("an element that begins with {other:#x}"),
        }
    }

    /// Bytes that [`Element::write`] writes.
    #[inline]
    pub fn size(self) -> usize {
        match self {
            Self::Int(0..=127) => 1,
            Self::Int(-4096..=4095) => 2,
            Self::Int(int) => 1 + int_size(int),
            Self::Bytes(bytes) => match bytes.len() {
                len @ ..=63 => 1 + len,
                len @ ..=4095 => 2 + len,
                len => 5 + len,
            },
        }
    }

    /// Writes the element into `place`, which has exactly [`Element::size`] bytes. Panics on strings of 4 GiB and more.
    #[inline]
    pub fn write(self, place: &mut [u8]) {
        match self {
            Self::Int(int @ 0..=127) => place[0] = int as u8,
            Self::Int(int @ -4096..=4095) => {
                place[0] = 0xC0 | ((int >> 8) as u8 & 0x1F);
                place[1] = int as u8;
            }
            Self::Int(int) => {
                let size = int_size(int);
                let code = INT_SIZES.iter().position(|&one| one == size).expect("one of the sizes");
                place[0] = 0xF1 + code as u8;
                place[1..].copy_from_slice(&int.to_le_bytes()[..size]);
            }
            Self::Bytes(bytes) => {
                let (head, body) = place.split_at_mut(place.len() - bytes.len());
                match bytes.len() {
                    len @ ..=63 => head[0] = 0x80 | len as u8,
                    len @ ..=4095 => {
                        head[0] = 0xE0 | (len >> 8) as u8;
                        head[1] = len as u8;
                    }
                    len => {
                        head[0] = 0xF0;
                        let len = u32::try_from(len).expect("an element of less than 4 GiB");
                        head[1..5].copy_from_slice(&len.to_le_bytes());
                    }
                }
                body.copy_from_slice(bytes);
            }
        }
    }

    /// Its text in decimal or as it is, in `room` when it has to be written down.
    #[inline]
    pub fn text<'b>(self, room: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Int(int) => room.format(int).as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Length of its text, in bytes.
    pub fn text_len(self) -> usize {
        match self {
            Self::Int(int) => itoa::Buffer::new().format(int).len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Appends its text.
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text(&mut itoa::Buffer::new()));
    }
}

/// Sizes of the wide integers, in the order of their codes.
const INT_SIZES: [usize; 4] = [2, 3, 4, 8];
/// Bytes of the longest i64 in decimal.
const INT_LEN_MAX: usize = 20;

/// Bytes of an integer beyond 13 bits.
fn int_size(int: i64) -> usize {
    match int {
        -0x8000..=0x7FFF => 2,
        -0x80_0000..=0x7F_FFFF => 3,
        -0x8000_0000..=0x7FFF_FFFF => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], encoded: &[u8]) {
        let element = Element::of(bytes);
        let mut place = vec![0; element.size()];
        element.write(&mut place);
        assert_eq!(place, encoded);
        place.push(0xFF);
        assert_eq!(Element::read(&place), (element, &[0xFF][..]));
        assert_eq!(element.text(&mut itoa::Buffer::new()), bytes);
        assert_eq!(element.text_len(), bytes.len());
    }

    #[test]
    fn elements_are_encoded_as_in_a_listpack() {
        check(b"0", &[0]);
        check(b"127", &[127]);
        check(b"128", &[0xC0, 128]);
        check(b"-1", &[0xDF, 0xFF]);
        check(b"-4096", &[0xD0, 0]);
        check(b"4095", &[0xCF, 0xFF]);
        check(b"4096", &[0xF1, 0, 16]);
        check(b"-32768", &[0xF1, 0, 0x80]);
        check(b"32768", &[0xF2, 0, 0x80, 0]);
        check(b"8388608", &[0xF3, 0, 0, 0x80, 0]);
        check(b"2147483648", &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0]);
        check(b"", &[0x80]);
        check(b"ab", &[0x82, b'a', b'b']);
        check(b"007", &[0x83, b'0', b'0', b'7']);
        let long = [b'x'; 64];
        check(&long, &[&[0xE0, 64][..], &long].concat());
        let longer = [b'x'; 4096];
        check(&longer, &[&[0xF0, 0, 16, 0, 0][..], &longer].concat());
    }

    proptest! {
        #[test]
        fn integers_come_back(int: i64) {
            let text = int.to_string();
            let element = Element::of(text.as_bytes());
            prop_assert_eq!(element, Element::Int(int));
            let mut place = vec![0; element.size()];
            element.write(&mut place);
            prop_assert_eq!(Element::read(&place), (element, &[][..]));
        }
    }
}
