//! DUMP's envelope: type, value, version (u16), CRC64 of all before it, both little-endian.

use crate::error::Error;
use crate::kinds::Family;
use crate::read::Reader;
use crate::write::{Version, Writer};
use crc_fast::CrcAlgorithm;
use datatypes::{Limits, Value, ValueRef};

const FOOTER_BYTES: usize = 10;

/// CRC64 as Redis computes it (Jones, reflected).
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

/// A value in DUMP's envelope, appended to `out`: in the oldest version that has words for it, so that it can be
/// restored in as many servers as possible. `compress` says whether long strings are compressed (LZF).
pub fn dump(value: ValueRef<'_>, compress: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let mut writer = Writer::new(out, Version::V10, compress);
    writer.kind(value);
    writer.value(value);
    let version = writer.needed() as u16;
    close(start, version, out);
}

/// The value in an envelope; what is between it and the envelope's end is passed over, as by Redis. Errors: `Version` and
/// `Checksum`, or `Short` for less than an envelope, when the payload is not for this server; everything else when the bytes in it
/// do not begin with a whole value.
pub fn restore(payload: &[u8], limits: &Limits) -> Result<Value, Error> {
    let (body, family) = opened(payload)?;
    let mut reader = Reader::of(family, body, limits);
    let kind = reader.kind()?;
    reader.value(kind)
}

/// Puts what has been appended to `out` since `start` into an envelope.
pub(crate) fn close(start: usize, version: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&version.to_le_bytes());
    let crc = crc64(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// What is in an envelope, and whose numbers its types have. Errors: as of [`restore`], but for what is in it.
pub(crate) fn opened(payload: &[u8]) -> Result<(&[u8], Family), Error> {
    let Some(end) = payload.len().checked_sub(FOOTER_BYTES) else {
        return Err(Error::Short { at: payload.len() });
    };
    let (body, footer) = payload.split_at(end);
    let version = u16::from_le_bytes(footer[..2].try_into().expect("two bytes"));
    let family = match version {
        // As Redis, which has never looked whether it is too low.
        0 => Family::Redis,
        _ => Family::of(version.into()).ok_or(Error::Version { version })?,
    };
    let got = u64::from_le_bytes(footer[2..].try_into().expect("eight bytes"));
    let want = crc64(&payload[..end + 2]);
    // A checksum of 0 means in a file that there is none; in a payload it means nothing but 0.
    if got != want {
        return Err(Error::Checksum { got, want });
    }
    Ok((body, family))
}
