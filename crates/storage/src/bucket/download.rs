//! A file that is read from the store, in pieces, the next of which is fetched while one is used.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use durable::store::{StoreFault, StoreTrouble};
use durable::{DiskError, Source};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use crate::bucket::Shared;
use crate::bucket::engine::{Pending, attempt};

pub(super) struct Download {
    shared: Arc<Shared>,
    path: Path,
    size: u64,
    /// What tells this object from another of its name.
    tag: Option<String>,
    window: Mutex<Window>,
}

/// What is here of the file.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Bytes,
    /// The piece that begins where this one ends.
    next: Option<Pending<Bytes>>,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Download {
    pub(super) fn open(shared: &Arc<Shared>, path: Path) -> Result<Self, DiskError> {
        let (objects, policy, own) = (Arc::clone(&shared.objects), shared.engine.policy(), path.clone());
        let head = shared.engine.run(async move { attempt(policy, || objects.head(&own)).await });
        let head = head.map_err(|fault| shared.error("open", &path, fault))?;
        let window = Mutex::new(Window::default());
        Ok(Self { shared: Arc::clone(shared), path, size: head.size, tag: head.e_tag, window })
    }

    /// The piece that begins at `start`.
    fn fetch(&self, start: u64) -> Pending<Bytes> {
        let range = start..self.size.min(start + PIECE_BYTES);
        let (objects, policy) = (Arc::clone(&self.shared.objects), self.shared.engine.policy());
        let (path, tag) = (self.path.clone(), self.tag.clone());
        self.shared.engine.spawn(async move {
            let got = attempt(policy, || piece(objects.as_ref(), &path, range.clone())).await;
            let (bytes, found) = got?;
            if found != tag {
                let said = "it was replaced while it was read".to_owned();
                return Err(StoreFault { trouble: StoreTrouble::Unusable, said });
            }
            Ok(bytes)
        })
    }
}

async fn piece(
    objects: &dyn ObjectStore,
    path: &Path,
    range: Range<u64>,
) -> object_store::Result<(Bytes, Option<String>)> {
    let bytes = range.end - range.start;
    let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    let result = objects.get_opts(path, options).await?;
    let tag = result.meta.e_tag.clone();
    let piece = result.bytes().await?;
    if piece.len() as u64 == bytes {
        return Ok((piece, tag));
    }
    let source = format!("it has {} bytes of {bytes} asked for", piece.len()).into();
    Err(object_store::Error::Generic { store: "answer", source })
}

impl Source for Download {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size || into.is_empty() {
            return Ok(0);
        }
        let mut window = self.window.lock().expect("no reader panics");
        if !(window.start..window.end()).contains(&offset) {
            let next = window.next.take().filter(|_| offset == window.end());
            let bytes = next.unwrap_or_else(|| self.fetch(offset)).wait()?;
            let end = offset + bytes.len() as u64;
            // Whoever reads a second piece in order will read on.
            let goes_on = offset == window.end() && end < self.size;
            *window = Window { start: offset, bytes, next: goes_on.then(|| self.fetch(end)) };
        }
        let here = &window.bytes[(offset - window.start) as usize..];
        let read = here.len().min(into.len());
        into[..read].copy_from_slice(&here[..read]);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }
}

/// Large enough that the time to ask does not matter, small enough to have two of them for every file.
const PIECE_BYTES: u64 = 8 << 20;
