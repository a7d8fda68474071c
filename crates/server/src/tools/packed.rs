//! An RDB file in a zstd frame.

use crate::tools::rdb_part::RdbPart;
use crate::unpack::Unpacker;
use durable::check::Contents;
use durable::manifest::DbKeys;

/// Unpacks on the way.
pub(super) struct Packed {
    unpacker: Unpacker,
    part: Box<RdbPart>,
}

impl Packed {
    /// Of a file from its first byte. `None`: there is no memory for it.
    pub(super) fn new() -> Option<Self> {
        Some(Self { unpacker: Unpacker::new()?, part: Box::new(RdbPart::new(None)) })
    }
}

impl Contents for Packed {
    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let Some(unpacked) = self.unpacker.next(&mut bytes)? {
            self.part.feed(unpacked)?;
        }
        Ok(())
    }

    fn end(self: Box<Self>) -> Result<Vec<DbKeys>, String> {
        self.unpacker.end()?;
        self.part.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datatypes::{StringRef, ValueRef};
    use rdb::Version;
    use rdb::file::{Attributes, Writer};
    use stdx::DbIndex;

    fn file() -> Vec<u8> {
        let mut writer = Writer::new(Version::V10, false);
        for number in 0..100_000_u32 {
            let value = ValueRef::String(StringRef::Int(number.into()));
            writer.keys().key(DbIndex(3), &number.to_be_bytes(), Attributes::default(), value);
        }
        zstd::encode_all(&writer.end().0[..], 1).unwrap()
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<DbKeys>, String> {
        let mut packed = Box::new(Packed::new().unwrap());
        bytes.chunks(piece).try_for_each(|piece| packed.feed(piece))?;
        packed.end()
    }

    #[test]
    fn what_is_packed_is_read_to_its_last_key() {
        let bytes = file();
        for piece in [1000, 65_536, bytes.len()] {
            assert_eq!(read(&bytes, piece), Ok(vec![DbKeys { db: 3, keys: 100_000 }]));
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_or_damaged_is_told() {
        let bytes = file();
        assert_eq!(read(&bytes[..bytes.len() - 1], 1000), Err("its zstd frame is not ended".to_owned()));
        assert!(read(&bytes[4..], 1000).unwrap_err().starts_with("its zstd frame is damaged"));
        assert!(read(&[], 1).is_err());
    }
}
