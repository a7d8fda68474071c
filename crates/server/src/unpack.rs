//! A zstd frame, unpacked as it comes.

use zstd::stream::raw::{Decoder, Operation};

/// See the module's comment.
pub(crate) struct Unpacker {
    decoder: Decoder<'static>,
    out: Vec<u8>,
    /// There may be more to be had from what it was given.
    is_full: bool,
    /// The frame was ended, and nothing followed.
    is_over: bool,
}

impl Unpacker {
    /// Of a frame from its first byte. `None`: there is no memory for it.
    pub(crate) fn new() -> Option<Self> {
        let decoder = Decoder::new().ok()?;
        Some(Self { decoder, out: vec![0; OUT_BYTES], is_full: false, is_over: false })
    }

    /// Unpacks something, of these bytes, which are taken off, or of those before. `None`: more is to come first.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<&[u8]>, String> {
        if bytes.is_empty() && !self.is_full {
            return Ok(None);
        }
        let status = self.decoder.run_on_buffers(bytes, &mut self.out);
        let status = status.map_err(|error| format!("its zstd frame is damaged: {error}"))?;
        *bytes = &bytes[status.bytes_read..];
        self.is_full = status.bytes_written == self.out.len();
        self.is_over = status.remaining == 0;
        Ok(Some(&self.out[..status.bytes_written]))
    }

    /// It has come to its end. Errors: that is missing.
    pub(crate) fn end(&self) -> Result<(), String> {
        if self.is_over { Ok(()) } else { Err("its zstd frame is not ended".to_owned()) }
    }
}

/// What a zstd frame begins with.
pub(crate) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const OUT_BYTES: usize = 256 << 10;
