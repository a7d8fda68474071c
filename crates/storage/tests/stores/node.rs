//! A server as far as it writes sets and finds them again, without being one.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use aof::{BootId, Generation, NodeId};
use durable::manifest::{DbKeys, Manifest, Position};
use durable::recover::{self, Options, Plan, Recovered};
use durable::sets::{Commit, CommitError, Draft, Loaded};
use durable::{Disk, Identity, Places, Refusal, SetStore};
use stdx::{Rng, ShardId, UnixMs};
use storage::{Bucket, Directory, Place};

use lacewing_tests::stores;

pub(crate) const BOOT: BootId = BootId([3; 16]);
pub(crate) const NOW: UnixMs = UnixMs(1_000);

/// A node with a data directory of its own, and with sets elsewhere.
pub(crate) struct Node {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) places: Places,
    pub(crate) identity: Identity,
    pub(crate) loaded: Loaded,
    pub(crate) rng: Rng,
}

/// A fresh data directory with `elsewhere` as the place of sets.
pub(crate) fn fresh(elsewhere: Arc<dyn SetStore>) -> (tempfile::TempDir, Places) {
    let scratch = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Directory::open(scratch.path()).unwrap());
    (scratch, Places::with(disk, elsewhere))
}

/// What a start makes of `places`, having read all of it.
pub(crate) fn start(places: &Places) -> Result<Recovered, Refusal> {
    recover::recover_verified(places, &mut Options::new(BOOT))
}

/// The refusal of a start with a fresh data directory; it must have this code.
#[track_caller]
pub(crate) fn refused(elsewhere: Arc<dyn SetStore>, code: u8) -> String {
    let (_scratch, places) = fresh(elsewhere);
    refused_at(&places, code)
}

#[track_caller]
pub(crate) fn refused_at(places: &Places, code: u8) -> String {
    let refusal = start(places).expect_err("a start is refused");
    assert_eq!(refusal.exit_code(), code, "{refusal}");
    refusal.to_string()
}

/// The plan of a start with a fresh data directory.
#[track_caller]
pub(crate) fn loads(elsewhere: Arc<dyn SetStore>) -> Box<Plan> {
    let (_scratch, places) = fresh(elsewhere);
    match start(&places) {
        Ok(Recovered::Whole(plan)) => plan,
        other => panic!("there are sets: {other:?}"),
    }
}

impl Node {
    /// One that begins with nothing, which is proven.
    #[track_caller]
    pub(crate) fn begin(elsewhere: Arc<dyn SetStore>, node: u8) -> Self {
        let (scratch, places) = fresh(elsewhere);
        let Ok(Recovered::Empty(empty)) = start(&places) else { panic!("there is nothing") };
        let (identity, loaded) = empty.accept(&places, NodeId([node; 20]), NOW).unwrap();
        Self { scratch, places, identity, loaded, rng: Rng::new(u64::from(node)) }
    }

    /// Writes a set of one file for each of `files`.
    pub(crate) fn save(&mut self, files: &[&[u8]]) -> Result<Manifest, CommitError> {
        let draft = Draft::begin(&self.places, &self.loaded, &mut self.rng)?;
        self.fill(draft, files)
    }

    pub(crate) fn fill(&mut self, draft: Draft, files: &[&[u8]]) -> Result<Manifest, CommitError> {
        let mut written = Vec::new();
        for (shard, bytes) in files.iter().enumerate() {
            let mut file = draft.file(ShardId(shard as u16), false)?;
            for piece in bytes.chunks(100_000) {
                file.write(piece)?;
            }
            written.push(file.finish(vec![DbKeys { db: 0, keys: 1 }])?);
        }
        draft.commit(self.commit(), written, &mut self.identity, &mut self.loaded)
    }

    pub(crate) fn commit(&self) -> Commit {
        let position = Position { generation: Generation(1), cut: 0, lsns: Vec::new() };
        Commit { node: self.identity.node, version: "test".to_owned(), cut: NOW, now: NOW, position }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

/// A bucket, and the proxy on the way to it.
pub(crate) struct Far(stores::Far);

impl Deref for Far {
    type Target = stores::Far;

    fn deref(&self) -> &stores::Far {
        &self.0
    }
}

impl Far {
    /// A new one; `None` without the server.
    pub(crate) fn new() -> Option<Self> {
        stores::Far::new().map(Self)
    }

    pub(crate) fn store(&self) -> Arc<dyn SetStore> {
        open(&self.place("retry=20&timeout=10"))
    }

    /// The same bucket with another prefix.
    pub(crate) fn store_of(&self, prefix: &str) -> Arc<dyn SetStore> {
        open(&self.place("retry=20&timeout=10").replace("/data?", &format!("/{prefix}?")))
    }

    /// One that gives up soon.
    pub(crate) fn impatient(&self) -> Arc<dyn SetStore> {
        open(&self.place("retry=1&timeout=1"))
    }
}

/// The bucket at a place.
pub(crate) fn open(place: &str) -> Arc<dyn SetStore> {
    let Ok(Place::Bucket(place)) = Place::parse(place) else { panic!("{place} is a bucket") };
    Arc::new(Bucket::open(&place, Some(std::env::temp_dir()), || {}).unwrap())
}

/// Bytes that no other number gives.
pub(crate) fn bytes(number: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(number);
    (0..length.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).take(length).collect()
}
