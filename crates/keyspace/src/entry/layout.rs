//! Where things lie in an entry's allocation.
//!
//! ```text
//!  offset 0        8              8 or 16              then                    then   then
//!  | header: u64 | [key length] | [expiry, index]    | payload               | key  | value |
//!  |             | u64, if the  | i64 ms + u32, if   | 8: an integer         |      | if    |
//!  |             | header's     | VOLATILE           | 24: a buffer's parts  |      | inline|
//!  |             | says WIDE    |                    | 8: a box's or shared  |      |       |
//!  |             |              |                    |    buffer's pointer   |      |       |
//!  |             |              |                    | 0: an inline value    |      |       |
//!
//!  header, from the low bit: form 4, encoding 4, flags 8, key length 8, clock 24, value length 16
//! ```
//!
//! Everything is native-endian and unaligned: the allocation asks for no alignment, because mimalloc rounds aligned
//! requests above 1 KiB up to the next class.

use datatypes::{Form, Kind};
use stdx::size::good_size;

/// How a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Encoding {
    /// The bytes of a string or of a compact value at the end of the entry, at most [`INLINE_MAX`].
    Inline = 0,
    /// An i64 as payload.
    Int = 1,
    /// The same in a growable buffer of its own; its pointer, capacity and length are the payload.
    Buffer = 2,
    /// A large value in a box; its pointer is the payload, 0 while the value is away or taken.
    Boxed = 3,
    /// A string in a buffer that replies on their way out share; its pointer is the payload, 0 while the value is away or
    /// taken. It is not changed where it is.
    Shared = 4,
}

/// The entry has an expiry and an index into the list of volatile entries.
pub(super) const VOLATILE: u8 = 1;
/// The value is on loan: neither expired nor evicted.
pub(super) const LENT: u8 = 2;
/// The string was made by APPEND or SETRANGE: OBJECT ENCODING says "raw" whatever its length.
pub(super) const RAW: u8 = 4;
/// The value itself went with the loan; an empty buffer stands in for it.
pub(super) const AWAY: u8 = 8;
/// Whether a capture has it is not as its place says: see `capture`.
pub(super) const ODD: u8 = 16;

/// Longer strings get a buffer of their own, so that they can move without a copy and grow cheaply.
pub(crate) const INLINE_MAX: usize = 4096;
/// In the header's key length: the length is in the next eight bytes.
pub(super) const WIDE: u8 = 255;

pub(super) const HEADER_BYTES: usize = 8;
pub(super) const WIDE_BYTES: usize = 8;
pub(super) const VOLATILE_BYTES: usize = 12;

const _: () = assert!(INLINE_MAX <= u16::MAX as usize);

/// The first eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header(pub(super) u64);

impl Header {
    pub(super) fn new(
        form: Form,
        encoding: Encoding,
        flags: u8,
        key_len: usize,
        clock: u32,
        value_len: usize,
    ) -> Self {
        let short = if key_len < WIDE as usize { key_len as u64 } else { u64::from(WIDE) };
        let form_and_encoding = form as u64 | (encoding as u64) << 4;
        Self(form_and_encoding | u64::from(flags) << 8 | short << 16 | (value_len as u64) << 48)
            .with_clock(clock)
    }

    #[inline]
    pub(super) fn form(self) -> Form {
        Form::from_bits((self.0 & 15) as u8)
    }

    #[inline]
    pub(super) fn is_string(self) -> bool {
        self.0 & 15 == Form::String as u64
    }

    #[inline]
    pub(super) fn kind(self) -> Kind {
        self.form().kind()
    }

    #[inline]
    pub(super) fn with_form(self, form: Form) -> Self {
        Self(self.0 & !15 | form as u64)
    }

    #[inline]
    pub(super) fn encoding(self) -> Encoding {
        match (self.0 >> 4) & 15 {
            0 => Encoding::Inline,
            1 => Encoding::Int,
            2 => Encoding::Buffer,
            3 => Encoding::Boxed,
            4 => Encoding::Shared,
            other => unreachable!("an entry with encoding {other}"),
        }
    }

    #[inline]
    pub(super) fn has(self, flag: u8) -> bool {
        self.0 & u64::from(flag) << 8 != 0
    }

    #[inline]
    pub(super) fn flags(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline]
    pub(super) fn with(self, flag: u8, on: bool) -> Self {
        let bit = u64::from(flag) << 8;
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }

    /// The key's length, or [`WIDE`].
    #[inline]
    pub(super) fn short_key_len(self) -> u8 {
        (self.0 >> 16) as u8
    }

    #[inline]
    pub(super) fn clock(self) -> u32 {
        (self.0 >> 24) as u32 & 0xFF_FFFF
    }

    #[inline]
    pub(super) fn with_clock(self, clock: u32) -> Self {
        Self(self.0 & !(0xFF_FFFF << 24) | u64::from(clock & 0xFF_FFFF) << 24)
    }

    /// The length of an inline value.
    #[inline]
    pub(super) fn value_len(self) -> usize {
        (self.0 >> 48) as usize
    }

    #[inline]
    pub(super) fn with_value_len(self, len: usize) -> Self {
        debug_assert!(len <= INLINE_MAX);
        Self(self.0 & !(0xFFFF << 48) | (len as u64) << 48)
    }

    #[inline]
    pub(super) fn expiry_at(self) -> usize {
        HEADER_BYTES + if self.short_key_len() == WIDE { WIDE_BYTES } else { 0 }
    }

    #[inline]
    pub(super) fn payload_at(self) -> usize {
        self.expiry_at() + if self.has(VOLATILE) { VOLATILE_BYTES } else { 0 }
    }

    #[inline]
    pub(super) fn key_at(self) -> usize {
        self.payload_at()
            + match self.encoding() {
                Encoding::Inline => 0,
                Encoding::Int | Encoding::Boxed | Encoding::Shared => 8,
                Encoding::Buffer => 24,
            }
    }

    /// The size of the allocation for a key of `key_len` bytes.
    #[inline]
    pub(super) fn block_size(self, key_len: usize) -> usize {
        good_size(self.key_at() + key_len + self.value_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_do_not_touch_each_other() {
        for (form, encoding) in [
            (Form::String, Encoding::Inline),
            (Form::String, Encoding::Int),
            (Form::List, Encoding::Buffer),
            (Form::Stream, Encoding::Boxed),
            (Form::String, Encoding::Shared),
        ] {
            for (flags, key_len, clock, value_len) in [
                (0, 0, 0, 0),
                (0xFF, 254, 0xFF_FFFF, 4096),
                (VOLATILE | RAW, 255, 0x12_3456, 1),
                (0, 70_000, 1, 0),
            ] {
                let header = Header::new(form, encoding, flags, key_len, clock, value_len);
                assert_eq!(header.form(), form);
                assert_eq!(header.with_form(Form::Hash).with_form(form), header);
                assert_eq!(header.encoding(), encoding);
                assert_eq!(header.flags(), flags);
                assert_eq!(header.short_key_len() as usize, key_len.min(255));
                assert_eq!(header.clock(), clock);
                assert_eq!(header.value_len(), value_len);
                let changed =
                    header.with_clock(7).with_value_len(3).with(LENT, true).with(LENT, flags & LENT != 0);
                assert_eq!(changed, Header::new(form, encoding, flags, key_len, 7, 3));
            }
        }
    }

    #[test]
    fn sixteen_byte_key_and_thirty_two_byte_value_take_fifty_six() {
        assert_eq!(Header::new(Form::String, Encoding::Inline, 0, 16, 0, 32).block_size(16), 56);
        assert_eq!(Header::new(Form::String, Encoding::Int, 0, 16, 0, 0).block_size(16), 32);
    }
}
