//! One server's lives.

mod relog;

use std::collections::VecDeque;
use std::sync::Arc;

use aof::{BootId, Encoder, Lsn, NodeId, Stamp, TxNumber};
use durable::generation::{self, Beginning, Past};
use durable::identity::Identity;
use durable::log::{LogError, LogWriter, Room, Spare, SpareJob};
use durable::manifest::{DbKeys, Position};
use durable::recover::{self, Recovered};
use durable::sets::{Commit, Draft, Loaded};
use durable::{DiskError, Places, lock};
use stdx::{DbIndex, Rng, ShardId, UnixMs};

use crate::crash::history::{Data, History, Violation};
use crate::crash::{Report, replay};
use crate::disk::{Crash, DiskFault, Lie, MemDisk};

/// A mistake made on purpose, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Participants write their markers and let go before home has the whole record.
    ReleasesBeforeWhole,
    /// Under `always` clients are told before the sync.
    AcknowledgesBeforeSync,
    /// Under `always` participants let go before home's record is synced.
    ReleasesBeforeSync,
    /// A sync that failed is tried again, and believed.
    TriesSyncAgain,
    /// A cut is taken for synced before it is.
    CutsAreNotSynced,
    /// The policy becomes `always` without a cut that is synced first.
    SwitchesWithoutCut,
    /// The log is cut back before the set is there.
    PrunesBeforeCommit,
    /// Files of a set are not synced before its manifest.
    FilesAreNotSynced,
    /// The directory of a set is not synced.
    SetNamesAreNotSynced,
    /// The manifest is not synced before it gets its name.
    ManifestIsNotSynced,
    /// Directories of the log are not synced.
    LogNamesAreNotSynced,
    /// The beginning of a generation is not synced before it gets its name.
    BeginIsNotSynced,
    /// Logs are never synced.
    LogsAreNotSynced,
    /// Clients are told of what is in a log that has not begun.
    WaitingLogsCount,
}

impl Planted {
    /// All of them.
    pub const ALL: [Planted; 14] = [
        Planted::ReleasesBeforeWhole,
        Planted::AcknowledgesBeforeSync,
        Planted::ReleasesBeforeSync,
        Planted::TriesSyncAgain,
        Planted::CutsAreNotSynced,
        Planted::SwitchesWithoutCut,
        Planted::PrunesBeforeCommit,
        Planted::FilesAreNotSynced,
        Planted::SetNamesAreNotSynced,
        Planted::ManifestIsNotSynced,
        Planted::LogNamesAreNotSynced,
        Planted::BeginIsNotSynced,
        Planted::LogsAreNotSynced,
        Planted::WaitingLogsCount,
    ];

    /// What the disk has to do with it.
    pub(super) fn lie(self) -> Option<Lie> {
        Some(match self {
            Self::FilesAreNotSynced => Lie::File(".rdb"),
            Self::SetNamesAreNotSynced => Lie::Directory("snapshots"),
            Self::ManifestIsNotSynced => Lie::File("manifest"),
            Self::LogNamesAreNotSynced => Lie::Directory("log"),
            Self::BeginIsNotSynced => Lie::File("begin"),
            Self::LogsAreNotSynced => Lie::File(".log"),
            _ => return None,
        })
    }
}

/// The disk, the past, and the server of the moment.
pub struct World {
    disk: MemDisk,
    rng: Rng,
    history: History,
    planted: Option<Planted>,
    faults: u64,
    step: u64,
    now: i64,
    boot: u8,
    last_crash: Crash,
    report: Report,
}

/// A server that runs.
struct Server {
    places: Places,
    identity: Identity,
    loaded: Loaded,
    generation: aof::Generation,
    logs: Vec<LogWriter>,
    encoders: Vec<Encoder>,
    data: Data,
    policy: Policy,
    cut: u64,
    durable_cut: u64,
    next_tx: u64,
    /// Records that an append did not take, by shard.
    stalled: Vec<Vec<u8>>,
    /// By shard, the thread that makes room ahead.
    spares: Vec<Spares>,
    /// While the log has not begun: what clients are to be told of when it has.
    untold: Option<Vec<u64>>,
    /// None could be begun.
    has_no_log: bool,
}

/// A thread that makes room ahead.
#[derive(Default)]
struct Spares {
    jobs: VecDeque<SpareJob>,
    /// What it has done, and nobody has heard of.
    made: VecDeque<Result<Spare, DiskError>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Always,
    Everysec,
}

/// Why a step was not carried out: the process has ended, or the disk failed.
#[derive(Debug)]
struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl World {
    /// Before the first start.
    pub(super) fn new(disk: MemDisk, rng: Rng, planted: Option<Planted>, faults: u64) -> Self {
        Self {
            disk,
            rng,
            history: History::default(),
            planted,
            faults,
            step: 0,
            now: 1_000_000,
            boot: 1,
            last_crash: Crash::Kill,
            report: Report::default(),
        }
    }

    /// What was done.
    pub(super) fn report(&self) -> Report {
        Report { calls: self.disk.calls(), ..self.report }
    }

    /// The process or the machine ends.
    pub(super) fn end(&mut self, crash: Crash) {
        self.disk.syncs_fail(false);
        self.disk.crash(crash);
        self.boot += u8::from(crash == Crash::Power);
        self.last_crash = if crash == Crash::Power { crash } else { self.last_crash };
    }

    /// One life, from its start to its end; false if it could not start, which faults of the disk excuse.
    pub(super) fn live(&mut self) -> Result<bool, Violation> {
        let places = Places::local(Arc::new(self.disk.clone()));
        let Ok(_lock) = lock::take(places.disk(), "a server") else { return Ok(true) };
        let mut options = recover::Options::new(BootId([self.boot; 16]));
        let recovered = match recover::recover_verified(&places, &mut options) {
            Ok(recovered) => recovered,
            Err(_) if self.disk.is_dead() => return Ok(true),
            Err(refusal) if self.disk.faults_hit() == 0 => {
                return Err(Violation::Refused(refusal.to_string()));
            }
            Err(_) => {
                self.report.refusals += 1;
                return Ok(false);
            }
        };
        let started = self.start(places, recovered)?;
        let mut server = match started {
            Ok(server) => server,
            Err(_) if self.disk.is_dead() || self.disk.faults_hit() > 0 => return Ok(true),
            Err(Failed(why)) => return Err(Violation::Stuck(why)),
        };
        for _ in 0..STEPS {
            self.plan_faults();
            match self.step(&mut server) {
                Ok(()) => {}
                Err(_) if self.disk.is_dead() => return Ok(true),
                Err(Failed(why)) if self.disk.faults_hit() == 0 => return Err(Violation::Stuck(why)),
                // A snapshot that failed is tried again some time; a log that does not get well ends the process.
                Err(_) if server.is_well().is_ok() => {}
                Err(_) => return Ok(true),
            }
        }
        Ok(true)
    }

    fn start(&mut self, places: Places, recovered: Recovered) -> Result<Result<Server, Failed>, Violation> {
        self.report.recoveries += 1;
        let now = self.now();
        let (data, past, accepted) = match recovered {
            Recovered::Empty(empty) => {
                let node = NodeId([7; 20]);
                let accepted = empty.accept(&places, node, now).map_err(Failed::from);
                (Data::new(), Past::default(), accepted)
            }
            Recovered::Whole(plan) => {
                let (data, keys) = match replay::load(&self.disk, &plan) {
                    Ok(loaded) => loaded,
                    Err(_) if self.disk.is_dead() => return Ok(Err(Failed(String::new()))),
                    Err(error) => return Err(Violation::Replay(error)),
                };
                let accepted = plan.accept(&places, &keys, now).map_err(Failed::from);
                (data, plan.past(), accepted)
            }
        };
        self.history.check(&data, self.last_crash)?;
        // What was found may be lost again until the next generation has begun, but not to a kill.
        let (mut identity, loaded) = match accepted {
            Ok(accepted) => accepted,
            Err(failed) => return Ok(Err(failed)),
        };
        let shards = 1 + self.rng.below(3) as u16;
        let beginning = self.beginning(shards, past);
        let begun = generation::begin(&places, beginning, &mut identity, &loaded);
        let (begin, logs) = match begun {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error.into())),
        };
        self.history.restart(data.clone());
        self.last_crash = Crash::Kill;
        let policy = if self.rng.one_in(2) { Policy::Always } else { Policy::Everysec };
        let encoders = logs.iter().map(|log| Encoder::new(*log.log(), Lsn(0))).collect();
        let stalled = vec![Vec::new(); logs.len()];
        let spares = logs.iter().map(|_| Spares::default()).collect();
        Ok(Ok(Server {
            places,
            identity,
            loaded,
            generation: begin.generation,
            logs,
            encoders,
            data,
            policy,
            cut: 0,
            durable_cut: 0,
            next_tx: 1,
            stalled,
            spares,
            untold: None,
            has_no_log: false,
        }))
    }

    fn beginning(&mut self, shards: u16, past: Past) -> Beginning {
        let boot = BootId([self.boot; 16]);
        let now = self.now();
        Beginning { boot, version: "sim".to_owned(), now, shards, past, segment_bytes: SEGMENT_BYTES }
    }

    fn now(&mut self) -> UnixMs {
        self.now += 1 + self.rng.below(50) as i64;
        UnixMs(self.now)
    }

    fn plan_faults(&mut self) {
        if self.faults > 0 && self.rng.below(1000) < self.faults * 8 {
            let fault = if self.rng.one_in(2) { DiskFault::Device } else { DiskFault::Full };
            self.disk.fault_at(self.disk.calls() + self.rng.below(12), fault);
        }
    }

    fn step(&mut self, server: &mut Server) -> Result<(), Failed> {
        self.make_spares(server);
        match self.rng.below(20) {
            0..=8 => self.write(server),
            9..=12 => self.transaction(server),
            13..=14 => self.cut(server).map(|_| ()),
            15..=16 => {
                let shard = self.rng.index(server.logs.len());
                self.sync(server, shard)
            }
            17..=18 => self.snapshot(server),
            _ if self.rng.one_in(3) => self.relog(server),
            _ => self.switch(server),
        }
    }

    /// Room for segments is asked for, made, and heard of at any time.
    fn make_spares(&mut self, server: &mut Server) {
        let shard = self.rng.index(server.logs.len());
        let (log, Spares { jobs, made }) = (&mut server.logs[shard], &mut server.spares[shard]);
        if self.rng.one_in(2) {
            let room = if server.policy == Policy::Always { Room::Filled } else { Room::Reserved };
            jobs.extend(log.spare_job(room));
        }
        if self.rng.one_in(2)
            && let Some(job) = jobs.pop_front()
        {
            made.push_back(job.run());
        }
        if self.rng.one_in(2)
            && let Some(made) = made.pop_front()
        {
            log.spare(made);
        }
    }

    /// A write of one key.
    fn write(&mut self, server: &mut Server) -> Result<(), Failed> {
        let key = self.rng.below(KEYS) as u32;
        self.write_key(server, key)
    }

    fn write_key(&mut self, server: &mut Server, key: u32) -> Result<(), Failed> {
        let shard = server.shard(key);
        let step = self.next_step();
        server.data.insert(key, step);
        self.history.wrote(step, &[key], server.policy == Policy::Always);
        let payload = self.payload(&[(key, step)]);
        server.record(shard, |encoder, buf| {
            encoder.begin_plain(buf, DbIndex(0));
            buf.extend_from_slice(&payload);
        })?;
        self.acknowledge(server, step, &[shard])
    }

    /// Sometimes with others behind it that change nothing, so that records go over several sectors.
    fn payload(&mut self, pairs: &[(u32, u64)]) -> Vec<u8> {
        let repeat = if self.rng.one_in(4) { 40 } else { 1 };
        let one = replay::encode(pairs.iter().copied());
        one.repeat(repeat)
    }

    fn next_step(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    fn acknowledge(&mut self, server: &mut Server, step: u64, shards: &[usize]) -> Result<(), Failed> {
        if server.policy == Policy::Always && self.planted != Some(Planted::AcknowledgesBeforeSync) {
            for shard in shards {
                self.sync(server, *shard)?;
            }
        }
        self.tell(server, step);
        Ok(())
    }

    fn sync(&mut self, server: &mut Server, shard: usize) -> Result<(), Failed> {
        let log = &mut server.logs[shard];
        let Some(job) = log.sync_job() else { return Ok(()) };
        let mut done = job.run();
        if self.planted == Some(Planted::TriesSyncAgain) && !done.is_good() {
            done = done.believed();
        }
        match log.sync_done(done) {
            Ok(_) => Ok(()),
            // Whoever waits for the sync waits until what was in doubt was written anew.
            Err(_) => server.heal(),
        }
    }

    /// A transaction over some keys, usually on several shards.
    fn transaction(&mut self, server: &mut Server) -> Result<(), Failed> {
        let keys: Vec<u32> = {
            let first = self.rng.below(KEYS) as u32;
            let mut keys = vec![first, (first + 1) % KEYS as u32, (first + 2) % KEYS as u32];
            keys.truncate(2 + self.rng.index(2));
            keys
        };
        let mut shards: Vec<usize> = keys.iter().map(|key| server.shard(*key)).collect();
        shards.sort_unstable();
        shards.dedup();
        let home = *self.rng.pick(&shards);
        let participants: Vec<usize> = shards.iter().copied().filter(|shard| *shard != home).collect();
        let step = self.next_step();
        let pairs: Vec<(u32, u64)> = keys.iter().map(|key| (*key, step)).collect();
        self.history.wrote(step, &keys, server.policy == Policy::Always);
        server.data.extend(pairs.iter().copied());
        let payload = self.payload(&pairs);
        let tx = TxNumber(server.next_tx);
        server.next_tx += 1;
        let releases_first = self.planted == Some(Planted::ReleasesBeforeWhole);
        if releases_first {
            self.release(server, tx, home, &participants, &keys)?;
        }
        server.record(home, |encoder, buf| {
            if participants.is_empty() {
                encoder.begin_plain(buf, DbIndex(0));
            } else {
                let ids: Vec<ShardId> = participants.iter().map(|shard| ShardId(*shard as u16)).collect();
                encoder.begin_whole(buf, tx, &ids, DbIndex(0));
            }
            buf.extend_from_slice(&payload);
        })?;
        // The rule of leaving: the message to the participants waits for the journal.
        if server.policy == Policy::Always && self.planted != Some(Planted::ReleasesBeforeSync) {
            self.sync(server, home)?;
        }
        if !releases_first {
            // Others go on meanwhile, on keys that are not locked.
            for _ in 0..self.rng.below(3) {
                let key = self.rng.below(KEYS) as u32;
                if !keys.contains(&key) {
                    self.write_key(server, key)?;
                }
            }
            self.release(server, tx, home, &participants, &keys)?;
        }
        self.acknowledge(server, step, &shards)
    }

    /// Participants write their markers, let go, and somebody uses what they let go.
    fn release(
        &mut self,
        server: &mut Server,
        tx: TxNumber,
        home: usize,
        participants: &[usize],
        keys: &[u32],
    ) -> Result<(), Failed> {
        for shard in participants {
            let (home, stamp) = (ShardId(home as u16), server.stamp(*shard));
            server.append(*shard, |encoder, buf| _ = encoder.marker(buf, tx, home, stamp))?;
            let own = keys.iter().find(|key| server.shard(**key) == *shard).copied();
            if let Some(key) = own.filter(|_| self.rng.one_in(2)) {
                self.write_key(server, key)?;
            }
        }
        Ok(())
    }

    /// A cut, synced in all logs. Returns its position.
    fn cut(&mut self, server: &mut Server) -> Result<Position, Failed> {
        server.is_well()?;
        server.cut += 1;
        let (number, durable, at) = (server.cut, server.durable_cut, self.now());
        for shard in 0..server.logs.len() {
            let stamp = server.stamp(shard);
            server.append(shard, |encoder, buf| _ = encoder.cut(buf, number, at, durable, stamp))?;
        }
        if self.planted != Some(Planted::CutsAreNotSynced) {
            for shard in 0..server.logs.len() {
                self.sync(server, shard)?;
            }
        }
        server.durable_cut = number;
        self.history.made_safe(self.step);
        let lsns = server.logs.iter().map(LogWriter::written).collect();
        Ok(Position { generation: server.generation, cut: number, lsns })
    }

    /// A set, while writes go on, and then retention.
    fn snapshot(&mut self, server: &mut Server) -> Result<(), Failed> {
        let position = self.cut(server)?;
        if self.planted == Some(Planted::PrunesBeforeCommit) {
            self.prune_early(server, &position)?;
        }
        self.write_set(server, position)?;
        self.report.sets += 1;
        if self.rng.one_in(2) {
            let keep = 1 + self.rng.index(2);
            server.loaded.prune(&server.places, keep)?;
            server.loaded.sweep(&server.places, None)?;
        }
        Ok(())
    }

    fn write_set(&mut self, server: &mut Server, position: Position) -> Result<u64, Failed> {
        let captured: Vec<Data> = (0..server.logs.len()).map(|shard| server.data_of(shard)).collect();
        let at = self.now();
        let draft = Draft::begin(&server.places, &server.loaded, &mut self.rng)?;
        let mut files = Vec::new();
        for (shard, data) in captured.iter().enumerate() {
            let mut file = draft.file(ShardId(shard as u16), false)?;
            file.write(&replay::encode(data.iter().map(|(key, value)| (*key, *value))))?;
            let keys = data.len() as u64;
            files.push(file.finish(if keys == 0 { Vec::new() } else { vec![DbKeys { db: 0, keys }] })?);
            if server.is_well().is_ok() && self.rng.one_in(2) {
                self.write(server)?;
            }
        }
        if self.rng.one_in(8) {
            draft.abort()?;
            return Ok(0);
        }
        let (node, version, now) = (server.identity.node, "sim".to_owned(), self.now());
        let commit = Commit { node, version, cut: at, now, position };
        let manifest = draft.commit(commit, files, &mut server.identity, &mut server.loaded)?;
        Ok(manifest.number)
    }

    fn prune_early(&mut self, server: &mut Server, position: &Position) -> Result<(), Failed> {
        for name in durable::log::segments(server.places.disk(), position.generation)? {
            if name.base < position.lsns[name.shard.index()] {
                let path = durable::layout::segment(position.generation, name);
                server.places.disk().remove(&path)?;
            }
        }
        Ok(())
    }

    /// The policy changes at a cut that is synced.
    fn switch(&mut self, server: &mut Server) -> Result<(), Failed> {
        let to = if server.policy == Policy::Always { Policy::Everysec } else { Policy::Always };
        if self.planted != Some(Planted::SwitchesWithoutCut) {
            self.cut(server)?;
        }
        server.policy = to;
        Ok(())
    }
}

impl Server {
    fn shard(&self, key: u32) -> usize {
        key as usize % self.logs.len()
    }

    fn data_of(&self, shard: usize) -> Data {
        let own = self.data.iter().filter(|(key, _)| self.shard(**key) == shard);
        own.map(|(key, value)| (*key, *value)).collect()
    }

    fn stamp(&self, shard: usize) -> Stamp {
        Stamp { synced: self.logs[shard].synced(), always: self.policy == Policy::Always }
    }

    fn is_well(&self) -> Result<(), Failed> {
        let failed = self.logs.iter().find_map(LogWriter::failure);
        let is_stalled = self.stalled.iter().any(|bytes| !bytes.is_empty());
        match failed {
            _ if self.has_no_log => Err(Failed("there is no log".to_owned())),
            Some(why) => Err(Failed(why.to_string())),
            None if is_stalled => Err(Failed("stalled".to_owned())),
            None => Ok(()),
        }
    }

    fn record(&mut self, shard: usize, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) -> Result<(), Failed> {
        let stamp = self.stamp(shard);
        self.append(shard, |encoder, buf| {
            write(encoder, buf);
            encoder.seal(buf, stamp);
        })
    }

    /// What is encoded must get into the log, now or later.
    fn append(&mut self, shard: usize, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) -> Result<(), Failed> {
        let buf = &mut self.stalled[shard];
        write(&mut self.encoders[shard], buf);
        self.flush(shard)
    }

    fn flush(&mut self, shard: usize) -> Result<(), Failed> {
        // Whoever wrote it waits until it is in the log: nothing that depends on it leaves the core before.
        match self.try_flush(shard) {
            Ok(()) => Ok(()),
            Err(_) => self.heal(),
        }
    }

    fn try_flush(&mut self, shard: usize) -> Result<(), LogError> {
        if !self.stalled[shard].is_empty() {
            self.logs[shard].append(&self.stalled[shard], UnixMs(1))?;
            self.stalled[shard].clear();
        }
        Ok(())
    }

    /// After the disk has failed: tries what may make the logs well again, until they are.
    fn heal(&mut self) -> Result<(), Failed> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_heal() {
                Ok(()) => return Ok(()),
                Err(failed) => last = Some(failed),
            }
        }
        Err(last.expect("it was tried"))
    }

    fn try_heal(&mut self) -> Result<(), Failed> {
        for shard in 0..self.logs.len() {
            self.logs[shard].mend()?;
            self.try_flush(shard)?;
        }
        Ok(())
    }
}

const STEPS: usize = 40;
const KEYS: u64 = 12;
const ATTEMPTS: usize = 20;
/// Small, so that there are many.
const SEGMENT_BYTES: u64 = 2048;
