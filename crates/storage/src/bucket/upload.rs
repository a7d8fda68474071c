//! A file on its way to the store, in parts of one size.
//!
//! ```text
//!              part that fills        part on its way
//!  write ──►  ┌───────────────┐ full ┌───────────────┐ answered: the next may go
//!        │    └───────▲───────┘ ───► └───────────────┘
//!        │            │ a part at a time
//!        └──►  spool: a file without a name, while the store is slower than the writer
//! ```
//!
//! Behind the writer there may be commands that wait for room, so only the end of a file waits for the network.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use durable::DiskError;
use durable::store::{Sink, StoreFault, StoreTrouble};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt, PutPayload};
use tokio::sync::Mutex;

use crate::bucket::Shared;
use crate::bucket::engine::{Pending, attempt};
use crate::bucket::spool::Spool;

/// Dropped unfinished it is taken back, if the store can be reached; else the store's own rules for uploads that were not
/// completed must clean up. Neither is ever an object.
pub(super) struct Upload {
    shared: Arc<Shared>,
    path: Path,
    /// The part that fills. Full while there is anything in the spool, which comes behind it.
    part: Vec<u8>,
    spool: Option<Spool>,
    bytes: u64,
    /// Held by the request that is under way. There is one once it has more than one part.
    id: Arc<Mutex<Option<MultipartId>>>,
    sent: Vec<PartId>,
    on_its_way: Option<Pending<PartId>>,
}

impl Upload {
    /// `spool`: the directory for what the store is too slow for; without one the writer waits.
    pub(super) fn new(shared: Arc<Shared>, path: Path, spool: Option<PathBuf>) -> Self {
        let spool = spool.map(Spool::new);
        Self {
            shared,
            path,
            part: Vec::new(),
            spool,
            bytes: 0,
            id: Arc::default(),
            sent: Vec::new(),
            on_its_way: None,
        }
    }

    fn error(&self, fault: StoreFault) -> DiskError {
        self.shared.error("write", &self.path, fault)
    }

    fn part_bytes(&self) -> usize {
        self.shared.place.part_bytes
    }

    /// Waits until no part is on its way.
    fn settle(&mut self) -> Result<(), StoreFault> {
        if let Some(pending) = self.on_its_way.take() {
            self.sent.push(pending.wait()?);
        }
        Ok(())
    }

    /// Whether no part is on its way.
    fn is_settled(&mut self) -> Result<bool, StoreFault> {
        match self.on_its_way.take().map(Pending::poll) {
            None => Ok(true),
            Some(Ok(ended)) => {
                self.sent.push(ended?);
                Ok(true)
            }
            Some(Err(pending)) => {
                self.on_its_way = Some(pending);
                Ok(false)
            }
        }
    }

    /// Sends the part that has filled. No part is on its way.
    fn send(&mut self) -> Result<(), StoreFault> {
        if self.sent.len() == PARTS_MAX {
            let said = format!("it has more than {PARTS_MAX} parts; give the place a larger 'part-mb'");
            return Err(StoreFault { trouble: StoreTrouble::Unusable, said });
        }
        let (shared, path, id) = (Arc::clone(&self.shared), self.path.clone(), Arc::clone(&self.id));
        let (index, payload) = (self.sent.len(), payload(&mut self.part));
        self.on_its_way = Some(self.shared.engine.spawn(async move {
            let (policy, parts) = (shared.engine.policy(), &shared.parts);
            let mut id = id.lock().await;
            let id = match &*id {
                Some(id) => id,
                None => id.insert(attempt(policy, || parts.create_multipart(&path)).await?),
            };
            attempt(policy, || parts.put_part(&path, id, index, payload.clone())).await
        }));
        Ok(())
    }

    /// Fills the part from the spool.
    fn refill(&mut self) -> Result<(), DiskError> {
        let part_bytes = self.part_bytes();
        self.spool.as_mut().map_or(Ok(()), |spool| spool.take(&mut self.part, part_bytes))
    }

    fn has_spooled(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    /// Sends the full part, if that needs no waiting. Without a spool there is nothing but waiting.
    fn has_sent(&mut self) -> Result<bool, DiskError> {
        let is_settled = match self.spool {
            Some(_) => self.is_settled(),
            None => self.settle().map(|()| true),
        };
        if !is_settled.map_err(|fault| self.error(fault))? {
            return Ok(false);
        }
        self.send().map_err(|fault| self.error(fault))?;
        self.refill()?;
        Ok(true)
    }

    /// A file of one part.
    fn put(&mut self) -> Result<(), StoreFault> {
        let (objects, path, policy) =
            (Arc::clone(&self.shared.objects), self.path.clone(), self.shared.engine.policy());
        let payload = payload(&mut self.part);
        // Its name is this writer's alone, so that writing it twice does no harm.
        self.shared
            .engine
            .run(async move { attempt(policy, || objects.put(&path, payload.clone())).await.map(|_| ()) })
    }

    fn complete(&mut self) -> Result<(), StoreFault> {
        let (shared, path, bytes) = (Arc::clone(&self.shared), self.path.clone(), self.bytes);
        let (parts, id) = (std::mem::take(&mut self.sent), Arc::clone(&self.id));
        self.shared.engine.run(async move {
            let policy = shared.engine.policy();
            let mut guard = id.lock().await;
            let id = guard.clone().expect("parts were sent");
            let ended =
                match attempt(policy, || shared.parts.complete_multipart(&path, &id, parts.clone())).await {
                    // An attempt whose answer was lost has ended the upload.
                    Err(fault) if fault.trouble == StoreTrouble::NoObject => {
                        match attempt(policy, || shared.objects.head(&path)).await {
                            Ok(object) if object.size == bytes => Ok(()),
                            _ => Err(fault),
                        }
                    }
                    other => other.map(|_| ()),
                };
            if ended.is_ok() {
                *guard = None;
            }
            ended
        })
    }

    fn has_parts(&self) -> bool {
        self.on_its_way.is_some() || !self.sent.is_empty()
    }
}

impl Sink for Upload {
    fn write(&mut self, mut bytes: &[u8]) -> Result<(), DiskError> {
        let part_bytes = self.part_bytes();
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            // A part goes only when there is more, so that a file of one part needs no others.
            if self.part.len() == part_bytes && (!self.has_sent()? || self.has_spooled()) {
                let spool = self.spool.as_mut().expect("without one it has sent");
                return spool.append(bytes);
            }
            let taken = bytes.len().min(part_bytes - self.part.len());
            if self.has_parts() {
                self.part.reserve_exact(part_bytes - self.part.len());
            }
            self.part.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), DiskError> {
        while self.has_spooled() {
            self.settle().map_err(|fault| self.error(fault))?;
            self.send().map_err(|fault| self.error(fault))?;
            self.refill()?;
        }
        let ended = if self.has_parts() {
            let settled = self.settle().and_then(|()| self.send()).and_then(|()| self.settle());
            settled.and_then(|()| self.complete())
        } else {
            self.put()
        };
        ended.map_err(|fault| self.error(fault))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (shared, path, id) = (Arc::clone(&self.shared), self.path.clone(), Arc::clone(&self.id));
        // Nobody waits for it. What is under way ends first; if it was whole, there is no upload any more.
        drop(self.shared.engine.spawn(async move {
            let Some(id) = id.lock().await.take() else { return Ok(()) };
            let policy = shared.engine.policy();
            attempt(policy, || shared.parts.abort_multipart(&path, &id)).await
        }));
    }
}

fn payload(part: &mut Vec<u8>) -> PutPayload {
    PutPayload::from_bytes(Bytes::from(std::mem::take(part)))
}

/// S3's bound, and the lowest of all.
const PARTS_MAX: usize = 10_000;
