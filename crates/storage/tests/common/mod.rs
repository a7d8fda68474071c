//! A data directory with a server that writes logs and sets into it, without being one.
#![allow(dead_code, missing_docs, reason = "each test binary uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use aof::{BootId, Commands, Encoder, Lsn, NodeId, Stamp};
use durable::check::{Contents, Report, Watch};
use durable::generation::{self, Beginning, Past};
use durable::log::LogWriter;
use durable::manifest::{DbKeys, Manifest, Position};
use durable::recover::{self, OnLoadFailure, Options, Plan, Recovered};
use durable::sets::{Commit, Draft, Loaded};
use durable::store::Places;
use durable::{Begin, Disk, Identity, Refusal};
use stdx::{DbIndex, Rng, ShardId, UnixMs};
use storage::Directory;

pub(crate) const BOOT: BootId = BootId([3; 16]);
pub(crate) const NOW: UnixMs = UnixMs(1_000);

/// A directory with a server of two shards that has just begun.
pub(crate) struct Server {
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) places: Places,
    pub(crate) identity: Identity,
    pub(crate) loaded: Loaded,
    pub(crate) generation: aof::Generation,
    pub(crate) logs: Vec<LogWriter>,
    pub(crate) encoders: Vec<Encoder>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(Places::local)
    }

    pub(crate) fn start_with(places: impl FnOnce(Arc<dyn Disk>) -> Places) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let places = places(Arc::new(Directory::open(scratch.path()).unwrap()));
        let Recovered::Empty(empty) = recover::recover(&places, &Options::new(BOOT)).unwrap() else {
            panic!("it is empty")
        };
        let (identity, loaded) = empty.accept(&places, NodeId([5; 20]), NOW).unwrap();
        Self::go_on(scratch, places, identity, loaded, Past::default())
    }

    /// One that has loaded what was there, `past`.
    pub(crate) fn go_on(
        scratch: tempfile::TempDir,
        places: Places,
        mut identity: Identity,
        loaded: Loaded,
        past: Past,
    ) -> Self {
        let (begin, logs) = generation::begin(&places, beginning(past, NOW), &mut identity, &loaded).unwrap();
        let encoders = logs.iter().map(|log| Encoder::new(*log.log(), Lsn(0))).collect();
        Self { scratch, places, identity, loaded, generation: begin.generation, logs, encoders }
    }

    /// Begins another generation, with nothing.
    pub(crate) fn begin_again(&mut self, now: UnixMs) -> (Begin, Vec<LogWriter>) {
        generation::begin(&self.places, beginning(Past::default(), now), &mut self.identity, &self.loaded)
            .unwrap()
    }

    pub(crate) fn write(&mut self, shard: usize, text: &str) {
        let mut buf = Vec::new();
        self.encoders[shard].begin_plain(&mut buf, DbIndex(0));
        Commands::new(&mut buf).command([&b"APPEND"[..], b"text", text.as_bytes()].into_iter());
        let stamp = Stamp { synced: self.logs[shard].synced(), always: false };
        self.encoders[shard].seal(&mut buf, stamp);
        self.logs[shard].append(&buf, NOW).unwrap();
    }

    pub(crate) fn cut(&mut self, number: u64, at: UnixMs) {
        for (log, encoder) in self.logs.iter_mut().zip(&mut self.encoders) {
            let mut buf = Vec::new();
            encoder.cut(&mut buf, number, at, 0, Stamp::default());
            log.append(&buf, NOW).unwrap();
        }
    }

    pub(crate) fn sync(&mut self) {
        for log in &mut self.logs {
            if let Some(job) = log.sync_job() {
                let done = job.run();
                log.sync_done(done).unwrap();
            }
        }
    }

    /// A set of the data so far; `with_log` says whether its cut is one of the log's.
    pub(crate) fn save(&mut self, text: &str, with_log: bool) -> Manifest {
        let lsns = if with_log { self.logs.iter().map(LogWriter::written).collect() } else { Vec::new() };
        let generation = if with_log { self.generation } else { generation::next(&self.places).unwrap() };
        self.save_as(text, Position { generation, cut: 0, lsns })
    }

    /// A set of the data at a cut that was the last thing written.
    pub(crate) fn save_at(&mut self, text: &str, cut: u64) -> Manifest {
        let lsns = self.logs.iter().map(LogWriter::written).collect();
        self.save_as(text, Position { generation: self.generation, cut, lsns })
    }

    fn save_as(&mut self, text: &str, position: Position) -> Manifest {
        let mut rng = Rng::new(self.scratch.path().as_os_str().len() as u64);
        let draft = Draft::begin(&self.places, &self.loaded, &mut rng).unwrap();
        let file = |shard| {
            let mut file = draft.file(ShardId(shard), false).unwrap();
            file.write(format!("{text} of shard {shard}").as_bytes()).unwrap();
            file.finish(vec![DbKeys { db: 0, keys: 1 }]).unwrap()
        };
        let files = vec![file(0), file(1)];
        let commit =
            Commit { node: self.identity.node, version: "test".to_owned(), cut: NOW, now: NOW, position };
        draft.commit(commit, files, &mut self.identity, &mut self.loaded).unwrap()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join(path)
    }

    pub(crate) fn recover(&self, on_load_failure: OnLoadFailure) -> Result<Recovered, Refusal> {
        let mut options = Options { on_load_failure, ..Options::new(BOOT) };
        recover::recover_verified(&self.places, &mut options)
    }

    #[track_caller]
    pub(crate) fn whole(&self, on_load_failure: OnLoadFailure) -> Plan {
        match self.recover(on_load_failure) {
            Ok(Recovered::Whole(plan)) => *plan,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: u8) -> Refusal {
        let refusal = self.recover(OnLoadFailure::Refuse).expect_err("it must not start");
        assert_eq!(refusal.exit_code(), code, "{refusal}");
        let text = refusal.to_string();
        assert!(text.contains(". "), "no remedy: {text}");
        refusal
    }
}

fn beginning(past: Past, now: UnixMs) -> Beginning {
    Beginning { boot: BOOT, version: "test".to_owned(), now, shards: 2, past, segment_bytes: 4096 }
}

pub(crate) fn set_file(server: &Server, manifest: &Manifest, shard: usize) -> PathBuf {
    server.path(&format!("{}/{}", durable::layout::set(manifest.number), manifest.files[shard].name))
}

pub(crate) fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn first_segment(server: &Server, shard: u16) -> PathBuf {
    let name = aof::SegmentName { shard: ShardId(shard), base: Lsn(0) };
    server.path(&durable::layout::segment(server.generation, name))
}

/// What a check finds. Nothing of it is shown to anybody, and what is in sets is not looked at.
pub(crate) fn looked_at(server: &Server) -> Report {
    struct Nobody;
    impl Watch for Nobody {
        fn phase(&mut self, _: &'static str, _: u64, _: &Arc<AtomicU64>) {}
        fn contents(&mut self, _: &str, _: u64) -> Option<Box<dyn Contents>> {
            None
        }
    }
    durable::check::check(&server.places, BOOT, &mut Nobody).unwrap()
}
