//! From packed bytes to the disk: the thread that a file has from its beginning to its end.

use super::pack::{self, FIRST_PIECES, Hunger, Left, Packed, Packer, pack_aside};
use super::{How, Piece, Returns};
use durable::DiskError;
use durable::manifest::{DbKeys, SetFile};
use durable::sets::FileWriter;
use reactor::cores;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// The thread. `None` when the file was given up.
pub(super) fn write_all(
    file: FileWriter,
    how: How,
    pieces: Receiver<Piece>,
    returns: &Returns,
) -> Result<Option<SetFile>, DiskError> {
    let mut hunger = Hunger::new();
    write_while(file, how, pieces, returns, pack::is_scarce, move || !hunger.is_starving())
}

/// The same. Unless `is_scarce` after the first pieces, another thread packs the rest for as long as `goes_on` says, which it asks after
/// each piece.
pub(super) fn write_while(
    file: FileWriter,
    how: How,
    mut pieces: Receiver<Piece>,
    returns: &Returns,
    is_scarce: impl FnOnce() -> bool,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Option<SetFile>, DiskError> {
    let mut body = Body { file, sync_bytes: how.sync_bytes, synced: 0 };
    let Ok(Piece::Head(head)) = pieces.recv() else { return Ok(None) };
    let mut packer = Box::new(Packer::new(&head, how));
    let mut first = if how.compresses_files { FIRST_PIECES } else { usize::MAX };
    let is_of_the_first = || {
        first -= 1;
        first > 0
    };
    let mut left = packer.run(&pieces, returns, |bytes| body.take(bytes), is_of_the_first)?;
    if matches!(left, Left::Rest) {
        if !is_scarce() {
            match follow(&mut body, packer, pieces, returns, goes_on)? {
                Followed::End(keys) => return body.file.finish(keys).map(Some),
                Followed::Rest(begun, rest) => (packer, pieces) = (begun, rest),
                Followed::Unwanted => return Ok(None),
            }
        }
        left = packer.run(&pieces, returns, |bytes| body.take(bytes), || true)?;
    }
    match left {
        Left::Nothing(keys) => body.file.finish(keys).map(Some),
        Left::Rest => unreachable!("nobody else would do it"),
        Left::Unwanted => Ok(None),
    }
}

enum Followed {
    End(Vec<DbKeys>),
    Rest(Box<Packer>, Receiver<Piece>),
    Unwanted,
}

/// Writes what another thread packs.
fn follow(
    body: &mut Body,
    packer: Box<Packer>,
    pieces: Receiver<Piece>,
    returns: &Returns,
    goes_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Followed, DiskError> {
    let (give, packed) = sync_channel(PACKED_MAX);
    let returns = returns.clone();
    let aside = move || pack_aside(packer, pieces, &returns, &give, goes_on);
    if let Err(source) = thread::Builder::new().name("lacewing-pack".to_owned()).spawn(aside) {
        return Err(DiskError { action: "start a thread for", path: "a snapshot".to_owned(), source });
    }
    while let Ok(next) = packed.recv() {
        match next {
            Packed::Bytes(mut bytes) => body.take(&mut bytes)?,
            Packed::End(keys) => return Ok(Followed::End(keys)),
            Packed::Rest(packer, pieces) => return Ok(Followed::Rest(packer, pieces)),
        }
    }
    Ok(Followed::Unwanted)
}

/// A file, which the disk follows early if it is to.
struct Body {
    file: FileWriter,
    sync_bytes: Option<u64>,
    /// Bytes that the disk has, or was told to take.
    synced: u64,
}

impl Body {
    /// Writes these bytes, which are gone then.
    fn take(&mut self, bytes: &mut Vec<u8>) -> Result<(), DiskError> {
        for part in bytes.chunks(WRITE_BYTES) {
            self.file.write(part)?;
            cores::offer_cpu();
        }
        bytes.clear();
        let unsynced = self.file.bytes() - self.synced;
        if self.sync_bytes.is_some_and(|bytes| unsynced >= bytes) {
            self.synced = self.file.bytes();
            self.file.sync()?;
        }
        Ok(())
    }
}

/// Buffers of packed bytes that lie between the threads.
const PACKED_MAX: usize = 4;
const WRITE_BYTES: usize = 64 << 10;
