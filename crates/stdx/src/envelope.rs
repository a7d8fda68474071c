//! Small files that must be whole or be known not to be: a value between a magic and a checksum.
//!
//! Owns the frame and the encoding of the value. Values are encoded by `bincode`, with integers of fixed width, least
//! significant byte first, so that a struct's fields are the format; lists and texts have their length, 8 bytes, in front.
//!
//! ```text
//!  0        8      12        14        16              20          20+n     24+n
//!  ┌────────┬──────┬─────────┬─────────┬───────────────┬───────────┬────────┐
//!  │LACEWING│ kind │ version │ 0       │ n = length    │ value     │ crc32c │
//!  └────────┴──────┴─────────┴─────────┴───────────────┴───────────┴────────┘
//!                                                        the checksum is of all before it
//! ```
//!
//! Never reads or writes a file. Source: docs/formats/directory.md.

pub use bincode;
pub use bincode::{Decode, Encode};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use crc32c::crc32c;
use std::fmt;

/// What an envelope holds, told by four letters and a version.
pub trait Content: Encode + Decode<()> {
    /// Four letters that no other content has.
    const KIND: [u8; 4];
    /// The only version that is read and written.
    const VERSION: u16;
}

/// Why bytes are not what they should be. Nothing of them is to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer bytes than the envelope says, or than any envelope has.
    Short {
        /// How many there are.
        got: usize,
        /// How many it takes, at least.
        want: usize,
    },
    /// More bytes than the envelope says.
    Long {
        /// How many there are.
        got: usize,
        /// How many it takes.
        want: usize,
    },
    /// Another file, or a damaged one.
    Magic,
    /// Some other content.
    Kind {
        /// The letters found.
        got: [u8; 4],
        /// Those of the content asked for.
        want: [u8; 4],
    },
    /// Written by a version that this one does not know.
    Version {
        /// The version found.
        got: u16,
        /// The one that is read.
        want: u16,
    },
    /// Damaged.
    Checksum {
        /// What the file says.
        got: u32,
        /// What its bytes have.
        want: u32,
    },
    /// The checksum is right and the value is none: a bug in who wrote it.
    Value,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { got, want } => write!(f, "too short: {got} bytes, want {want}"),
            Self::Long { got, want } => write!(f, "too long: {got} bytes, want {want}"),
            Self::Magic => f.write_str("bad magic"),
            Self::Kind { got, want } => {
                write!(f, "bad kind: got {}, want {}", got.escape_ascii(), want.escape_ascii())
            }
            Self::Version { got, want } => write!(f, "version {got} is not known, this server reads {want}"),
            Self::Checksum { got, want } => write!(f, "bad crc32c: got {got:08x}, want {want:08x}"),
            Self::Value => f.write_str("the value makes no sense"),
        }
    }
}

impl std::error::Error for Error {}

/// `value` in its envelope. Panics when it takes more than [`VALUE_BYTES_MAX`].
pub fn seal<T: Content>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&T::KIND);
    out.extend_from_slice(&T::VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    bincode::encode_into_std_write(value, &mut out, ENCODING).expect("a Vec takes all");
    let len = out.len() - HEAD;
    assert!(len <= VALUE_BYTES_MAX, "an envelope holds {VALUE_BYTES_MAX} bytes at most, not {len}");
    out[LENGTH_AT..HEAD].copy_from_slice(&(len as u32).to_le_bytes());
    let crc = crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The value in `bytes`, which must be one envelope and nothing more.
pub fn open<T: Content>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() < HEAD + TAIL {
        return Err(Error::Short { got: bytes.len(), want: HEAD + TAIL });
    }
    if &bytes[..MAGIC.len()] != MAGIC {
        return Err(Error::Magic);
    }
    let len = u32::from_le_bytes(bytes[LENGTH_AT..HEAD].try_into().expect("four bytes")) as usize;
    let want = HEAD + len + TAIL;
    if bytes.len() < want {
        return Err(Error::Short { got: bytes.len(), want });
    }
    if bytes.len() > want {
        return Err(Error::Long { got: bytes.len(), want });
    }
    let (body, tail) = bytes.split_at(HEAD + len);
    let (got, want) = (u32::from_le_bytes(tail.try_into().expect("four bytes")), crc32c(body));
    if got != want {
        return Err(Error::Checksum { got, want });
    }
    let kind: [u8; 4] = bytes[8..12].try_into().expect("four bytes");
    if kind != T::KIND {
        return Err(Error::Kind { got: kind, want: T::KIND });
    }
    let version = u16::from_le_bytes([bytes[12], bytes[13]]);
    if version != T::VERSION {
        return Err(Error::Version { got: version, want: T::VERSION });
    }
    match bincode::decode_from_slice(&body[HEAD..], ENCODING) {
        Ok((value, used)) if used == len => Ok(value),
        _ => Err(Error::Value),
    }
}

const MAGIC: &[u8; 8] = b"LACEWING";
const LENGTH_AT: usize = 16;
const HEAD: usize = 20;
const TAIL: usize = 4;

/// The most that a value takes: a manifest of 65,536 files has room.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

const ENCODING: Configuration<LittleEndian, Fixint, Limit<VALUE_BYTES_MAX>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<VALUE_BYTES_MAX>();

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, bincode::Encode, bincode::Decode)]
    struct Note {
        number: u64,
        text: String,
        list: Vec<u16>,
    }

    impl Content for Note {
        const KIND: [u8; 4] = *b"note";
        const VERSION: u16 = 3;
    }

    fn note() -> Note {
        Note { number: 7, text: "seven".to_owned(), list: vec![1, 2] }
    }

    #[test]
    fn what_is_sealed_opens_to_itself() {
        let bytes = seal(&note());
        assert_eq!(open::<Note>(&bytes), Ok(note()));
        assert_eq!(&bytes[..20], b"LACEWINGnote\x03\0\0\0\x21\0\0\0");
        assert_eq!(bytes.len(), 20 + 33 + 4);
    }

    #[test]
    fn any_flipped_bit_and_any_other_length_is_found() {
        let bytes = seal(&note());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open::<Note>(&bad).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(matches!(open::<Note>(&bytes[..len]), Err(Error::Short { .. })), "{len} bytes");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(matches!(open::<Note>(&longer), Err(Error::Long { .. })));
    }

    #[test]
    fn another_kind_and_another_version_are_told_apart() {
        let resealed = |at: usize, byte: u8| {
            let mut bytes = seal(&note());
            bytes[at] = byte;
            let body = bytes.len() - 4;
            let crc = crc32c(&bytes[..body]);
            bytes[body..].copy_from_slice(&crc.to_le_bytes());
            open::<Note>(&bytes)
        };
        assert_eq!(resealed(8, b'v'), Err(Error::Kind { got: *b"vote", want: *b"note" }));
        assert_eq!(resealed(12, 4), Err(Error::Version { got: 4, want: 3 }));
        assert_eq!(resealed(28, 99), Err(Error::Value), "a text longer than its envelope");
    }
}
