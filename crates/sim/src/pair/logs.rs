//! A node's own logs and sets, on a disk that crashes: real ones, but for what is written in them.

use std::sync::Arc;

use aof::{BootId, Encoder, Generation, Lsn, NodeId, Stamp, TxNumber};
use durable::generation::{self, Beginning, Past as LogPast, Waiting};
use durable::layout::SetNumber;
use durable::log::LogWriter;
use durable::manifest::{DbKeys, Position as LogPosition, SetFile};
use durable::recover::{self, Recovered};
use durable::sets::{Commit, Draft, Loaded};
use durable::staging::{self, Source, Staging};
use durable::{Identity, Places, read_full_at};
use replication::Position;
use stdx::{DbIndex, Rng, ShardId, UnixMs};

use crate::crash::replay::{Takes, load_into};
use crate::disk::MemDisk;
use crate::pair::process::Failed;

/// See the module's comment. One log for each shard.
pub(crate) struct Logs {
    pub(crate) places: Places,
    identity: Identity,
    loaded: Loaded,
    boot: BootId,
    generation: Generation,
    writers: Vec<LogWriter>,
    encoders: Vec<Encoder>,
    cut: u64,
    durable_cut: u64,
    next_tx: u64,
}

/// What a start found on the disk, whose data was taken by somebody else.
pub(crate) struct Found {
    identity: Identity,
    loaded: Loaded,
    past: LogPast,
}

/// The logs behind a replacement, which are there before it.
pub(crate) struct Next {
    waiting: Waiting,
    set: SetNumber,
    writers: Vec<LogWriter>,
}

pub(crate) fn places(disk: &MemDisk) -> Places {
    Places::local(Arc::new(disk.clone()))
}

/// Recovers what the disk has. Its data goes to `finds`.
pub(crate) fn recover(
    disk: &MemDisk,
    boot: u8,
    now: UnixMs,
    finds: &mut impl Takes,
) -> Result<Found, Failed> {
    let places = places(disk);
    let mut options = recover::Options::new(BootId([boot; 16]));
    match recover::recover_verified(&places, &mut options)? {
        Recovered::Empty(empty) => {
            let (identity, loaded) = empty.accept(&places, NodeId([7; 20]), now)?;
            Ok(Found { identity, loaded, past: LogPast::default() })
        }
        Recovered::Whole(plan) => {
            let keys = load_into(disk, &plan, finds).map_err(Failed)?;
            let past = plan.past();
            let (identity, loaded) = plan.accept(&places, &keys, now)?;
            Ok(Found { identity, loaded, past })
        }
    }
}

fn beginning(boot: BootId, shards: u16, past: LogPast, now: UnixMs) -> Beginning {
    Beginning { boot, version: "sim".to_owned(), now, shards, past, segment_bytes: SEGMENT_BYTES }
}

fn encoders(writers: &[LogWriter]) -> Vec<Encoder> {
    writers.iter().map(|log| Encoder::new(*log.log(), Lsn(0))).collect()
}

/// What a file has, all of it in one database.
pub(crate) fn db_keys(keys: u64) -> Vec<DbKeys> {
    if keys == 0 { Vec::new() } else { vec![DbKeys { db: 0, keys }] }
}

impl Logs {
    /// Begins a generation of `shards` logs behind what was found.
    pub(crate) fn begin(
        disk: &MemDisk,
        found: Found,
        boot: u8,
        shards: u16,
        now: UnixMs,
    ) -> Result<Self, Failed> {
        let Found { mut identity, loaded, past } = found;
        let (places, boot) = (places(disk), BootId([boot; 16]));
        let beginning = beginning(boot, shards, past, now);
        let (begin, writers) = generation::begin(&places, beginning, &mut identity, &loaded)?;
        staging::sweep(places.disk())?;
        let (generation, encoders) = (begin.generation, encoders(&writers));
        Ok(Self {
            places,
            identity,
            loaded,
            boot,
            generation,
            writers,
            encoders,
            cut: 0,
            durable_cut: 0,
            next_tx: 1,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.writers.len()
    }

    /// What these shards do together, or one alone.
    pub(crate) fn write(&mut self, shards: &[usize], payload: &[u8], rng: &mut Rng) -> Result<(), Failed> {
        let home = *rng.pick(shards);
        let others: Vec<ShardId> =
            shards.iter().filter(|shard| **shard != home).map(|shard| ShardId(*shard as u16)).collect();
        let tx = TxNumber(self.next_tx);
        self.next_tx += u64::from(!others.is_empty());
        self.append(home, |encoder, buf, stamp| {
            match &others[..] {
                [] => encoder.begin_plain(buf, DbIndex(0)),
                others => encoder.begin_whole(buf, tx, others, DbIndex(0)),
            }
            buf.extend_from_slice(payload);
            _ = encoder.seal(buf, stamp);
        })?;
        for shard in others {
            let home = ShardId(home as u16);
            self.append(shard.index(), |encoder, buf, stamp| _ = encoder.marker(buf, tx, home, stamp))?;
        }
        Ok(())
    }

    fn append(
        &mut self,
        shard: usize,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>, Stamp),
    ) -> Result<(), Failed> {
        let stamp = Stamp { synced: self.writers[shard].synced(), always: false };
        let mut buf = Vec::new();
        write(&mut self.encoders[shard], &mut buf, stamp);
        self.writers[shard].append(&buf, UnixMs(1))?;
        Ok(())
    }

    /// A cut, on the disk in all logs.
    pub(crate) fn cut(&mut self, now: UnixMs) -> Result<LogPosition, Failed> {
        self.cut += 1;
        let (number, durable) = (self.cut, self.durable_cut);
        for shard in 0..self.count() {
            self.append(shard, |encoder, buf, stamp| _ = encoder.cut(buf, number, now, durable, stamp))?;
        }
        for log in &mut self.writers {
            if let Some(job) = log.sync_job() {
                let done = job.run();
                log.sync_done(done)?;
            }
        }
        self.durable_cut = number;
        let lsns = self.writers.iter().map(LogWriter::written).collect();
        Ok(LogPosition { generation: self.generation, cut: number, lsns })
    }

    /// A set of its own, as of a cut: by shard a file's bytes, and how many keys they are. Now and then older ones go.
    pub(crate) fn snapshot(
        &mut self,
        position: LogPosition,
        contents: &[(Vec<u8>, u64)],
        now: UnixMs,
        rng: &mut Rng,
    ) -> Result<(), Failed> {
        let draft = Draft::begin(&self.places, &self.loaded, rng)?;
        let mut files = Vec::new();
        for (shard, (bytes, keys)) in (0..).zip(contents) {
            let mut file = draft.file(ShardId(shard), false)?;
            file.write(bytes)?;
            files.push(file.finish(db_keys(*keys))?);
        }
        let commit = Commit { node: self.identity.node, version: "sim".to_owned(), cut: now, now, position };
        draft.commit(commit, files, &mut self.identity, &mut self.loaded)?;
        if rng.one_in(2) {
            self.loaded.prune(&self.places, 1)?;
            self.loaded.sweep(&self.places, None)?;
        }
        Ok(())
    }

    /// What was staged takes the place of all there is, in one step; returns what its files have, and the logs that are to go on behind it.
    pub(crate) fn replace(
        &mut self,
        staging: Staging,
        files: Vec<SetFile>,
        (at, flows): (Position, Option<String>),
        now: UnixMs,
    ) -> Result<(Vec<Vec<u8>>, Next), Failed> {
        // The log that goes on behind it is made before, so that there is room for it.
        let beginning = beginning(self.boot, self.count() as u16, LogPast::default(), now);
        let (waiting, writers) = generation::begin_later(&self.places, beginning, &self.identity)?;
        let source = Source {
            node: self.identity.node,
            version: "sim".to_owned(),
            now,
            log: Some(waiting.generation()),
            replid: at.replid.as_str().as_bytes().try_into().expect("40 characters"),
            offset: at.offset,
            db: 0,
            flows,
        };
        let manifest = staging.commit(source, files, &mut self.identity, &mut self.loaded)?;
        let own = self.places.own();
        let mut contents = Vec::new();
        for file in &manifest.files {
            let source = own.open(manifest.number, &file.name)?;
            let mut bytes = vec![0; file.bytes as usize];
            read_full_at(source.as_ref(), 0, &mut bytes)?;
            contents.push(bytes);
        }
        Ok((contents, Next { waiting, set: manifest.number, writers }))
    }

    /// All that follows goes to these.
    pub(crate) fn go_on_in(&mut self, next: Next) -> Result<(), Failed> {
        let Next { mut waiting, set, writers } = next;
        waiting.begin(&self.places, set, &mut self.identity)?;
        (self.generation, self.encoders, self.writers) = (waiting.generation(), encoders(&writers), writers);
        (self.cut, self.durable_cut, self.next_tx) = (0, 0, 1);
        Ok(())
    }
}

const SEGMENT_BYTES: u64 = 2048;
