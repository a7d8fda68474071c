//! The replica's process: its role, its shards, their logs and sets.

use std::collections::VecDeque;

use durable::manifest::SetFile;
use durable::read_full_at;
use durable::sets::FileWriter;
use durable::staging::Staging;
use replication::role::{History, Output, Piece, Report, Role};
use replication::{Attempt, Position, ReplId, ResyncGrant};
use stdx::{Rng, ShardId, UnixMs};

use crate::disk::Lie as DiskLie;
use crate::pair::logs::{Logs, db_keys};
use crate::pair::process::{Failed, options};
use crate::replicas::deal::{Deal, Next};
use crate::replicas::past::{part, shard_of};
use crate::replicas::start::Started;
use crate::replicas::toy::{self, Command, Data};

/// A mistake made on purpose, which the checks must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The payload is taken as it is.
    DoesNotVerify,
    /// A shard's position is a record of its own, behind that of its commands.
    PositionsApart,
    /// The master is told of what no log has.
    AcknowledgesBeforeWriting,
    /// What follows a replacement goes to the old data's log.
    GoesOnInTheOldLog,
    /// The stream goes on from the highest of the shards' positions.
    ResumesFromTheHighest,
    /// A replica that becomes a master drops what it has not run.
    PromotesBeforeItHasRun,
    /// A shard runs again what it has run.
    ForgetsWhatItRan,
    /// An empty master counts.
    AcceptsLess,
    /// The staged files are not synced.
    FilesAreNotSynced,
    /// The manifest is not synced before it gets its name.
    ManifestIsNotSynced,
    /// The set's names are not synced.
    NamesAreNotSynced,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DoesNotVerify,
        Self::PositionsApart,
        Self::AcknowledgesBeforeWriting,
        Self::GoesOnInTheOldLog,
        Self::ResumesFromTheHighest,
        Self::PromotesBeforeItHasRun,
        Self::ForgetsWhatItRan,
        Self::AcceptsLess,
        Self::FilesAreNotSynced,
        Self::ManifestIsNotSynced,
        Self::NamesAreNotSynced,
    ];

    pub(super) fn lie(self) -> Option<DiskLie> {
        Some(match self {
            Self::FilesAreNotSynced => DiskLie::File("sync/"),
            Self::ManifestIsNotSynced => DiskLie::File("manifest"),
            Self::NamesAreNotSynced => DiskLie::Directory("snapshots"),
            _ => return None,
        })
    }
}

/// What is done some time after it was asked for.
#[derive(Debug)]
enum Job {
    Verify(Attempt),
    Replace(ResyncGrant),
    Drain(Attempt),
}

/// A process.
pub(super) struct Node {
    logs: Logs,
    pub(super) data: Data,
    pub(super) positions: Vec<Option<Position>>,
    pub(super) role: Role,
    deal: Option<Deal>,
    staged: Option<Staged>,
    jobs: VecDeque<Job>,
    planted: Option<Planted>,
    rng: Rng,
}

struct Staged {
    staging: Staging,
    writer: Option<FileWriter>,
    file: Option<SetFile>,
}

/// What the node wants of the world around it.
#[derive(Debug)]
pub(super) enum Wants {
    Connect(Attempt),
    Send(Vec<u8>),
    Close,
    /// A history of its own begins, on the data as it is; then [`Node::adopt`].
    Adopt(Position),
    /// Its data is about to be replaced by that of this position; and the step that says that it was.
    Replaces(Position),
    Replaced(Position),
    /// An attempt has failed.
    Failed,
    Resumed,
}

impl Node {
    pub(super) fn new(started: Started, planted: Option<Planted>, mut rng: Rng) -> Self {
        let Started { logs, data, positions, .. } = started;
        let me = ReplId::random(&mut rng);
        let options = options(me, planted == Some(Planted::AcceptsLess));
        let history = History { current: common(&positions, planted), second: None };
        let role = Role::new(options, history, rng.fork());
        Self { logs, data, positions, role, deal: None, staged: None, jobs: VecDeque::new(), planted, rng }
    }

    /// Where all of it stands, if that is one place.
    pub(super) fn position(&self) -> Option<Position> {
        self.role.history().current
    }

    /// Carries out what the role wants, as far as it can be done at once. The rest is for the world.
    pub(super) fn settle(&mut self, wants: &mut Vec<Wants>) -> Result<(), Failed> {
        while let Some(output) = self.role.poll() {
            match output {
                Output::Connect { attempt, .. } => wants.push(Wants::Connect(attempt)),
                Output::Send { bytes, .. } => wants.push(Wants::Send(bytes)),
                Output::Close { .. } => wants.push(Wants::Close),
                Output::Stage { .. } => {
                    let staging = Staging::begin(&self.logs.places, &mut self.rng)?;
                    let writer = Some(staging.files().file(ShardId(0), false)?);
                    self.staged = Some(Staged { staging, writer, file: None });
                }
                Output::Verify { attempt } => self.jobs.push_back(Job::Verify(attempt)),
                Output::Discard { .. } => {
                    self.jobs.retain(|job| !matches!(job, Job::Verify(_)));
                    if let Some(staged) = self.staged.take() {
                        drop(staged.writer);
                        staged.staging.discard()?;
                    }
                }
                Output::Replace(grant) => {
                    wants.push(Wants::Replaces(grant.position()));
                    self.jobs.push_back(Job::Replace(grant));
                }
                Output::Follow { position, is_resumed, is_renamed, .. } => {
                    assert!(!is_renamed, "no master of this world renames its history");
                    self.deal = Some(Deal::begin(position, self.positions.len()));
                    if is_resumed {
                        wants.push(Wants::Resumed);
                    }
                }
                Output::Drain { attempt } => self.jobs.push_back(Job::Drain(attempt)),
                Output::Promoted { replid, history } => {
                    let offset = history.current.map_or(0, |current| current.offset);
                    self.deal = None;
                    wants.push(Wants::Adopt(Position { replid, offset }));
                }
                Output::HandedOver | Output::NotHandedOver { .. } => {
                    unreachable!("nothing is handed over here")
                }
                Output::Open { .. } => unreachable!("no flows are wanted"),
                Output::Failed { .. } => wants.push(Wants::Failed),
            }
        }
        Ok(())
    }

    /// Bytes come from the master; says how many were taken.
    pub(super) fn receive(&mut self, attempt: Attempt, bytes: &[u8], now_ms: u64) -> Result<usize, Failed> {
        let mut failed = None;
        let (staged, deal) = (&mut self.staged, &mut self.deal);
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Payload(bytes) => {
                let staged = staged.as_mut().expect("it was to be staged");
                let writer = staged.writer.as_mut().expect("it is not finished");
                failed = failed.take().or(writer.write(bytes).err());
            }
            Piece::Stream(bytes) => deal.as_mut().expect("it was to follow").feed(bytes),
        };
        let used = self.role.receive(attempt, bytes, &mut sink, now_ms);
        failed.map_or(Ok(used), |error| Err(error.into()))
    }

    /// Does something of what there is to do; says if there was anything.
    pub(super) fn work(&mut self, now_ms: u64, wants: &mut Vec<Wants>) -> Result<bool, Failed> {
        if self.jobs.front().is_some_and(|_| self.rng.one_in(2)) {
            match self.jobs.pop_front().expect("there is one") {
                Job::Verify(attempt) => self.verify(attempt, now_ms)?,
                Job::Replace(grant) => self.replace(grant, now_ms, wants)?,
                Job::Drain(attempt) => self.drain(attempt, now_ms)?,
            }
            return Ok(true);
        }
        let attempt = self.role.facts(now_ms).attempt;
        if self.rng.one_in(2) && self.deal_on(attempt, now_ms)? {
            return Ok(true);
        }
        let busy = self.deal.as_ref().map(Deal::busy).unwrap_or_default();
        if !busy.is_empty() {
            let shard = *self.rng.pick(&busy);
            self.run_queue(shard)?;
            self.report(attempt);
            return Ok(true);
        }
        Ok(!self.jobs.is_empty())
    }

    /// Runs what has come of the stream, to its last whole command.
    fn drain(&mut self, attempt: Attempt, now_ms: u64) -> Result<(), Failed> {
        let told = self.position().map_or(0, |position| position.offset);
        if self.planted == Some(Planted::PromotesBeforeItHasRun) {
            let offset = self.deal.take().map_or(told, |deal| deal.dealt());
            self.role.drained(attempt, offset, now_ms);
            return Ok(());
        }
        if let Some(deal) = &mut self.deal {
            deal.end();
        }
        while self.deal_on(attempt, now_ms)? {}
        self.run_queues()?;
        let offset = self.deal.take().map_or(told, |deal| deal.run());
        self.role.drained(attempt, offset, now_ms);
        Ok(())
    }

    /// Tells the role how far the stream was applied.
    fn report(&mut self, attempt: Attempt) {
        let told = self.position().map_or(0, |position| position.offset);
        if let Some(deal) = self.deal.as_ref().filter(|deal| deal.run() > told) {
            self.role.applied(attempt, deal.run());
        }
    }

    /// Deals one command.
    fn deal_on(&mut self, attempt: Attempt, now_ms: u64) -> Result<bool, Failed> {
        let Some(deal) = &mut self.deal else { return Ok(false) };
        let none = vec![None; self.positions.len()];
        let forgets = self.planted == Some(Planted::ForgetsWhatItRan);
        let next = deal.next(if forgets { &none } else { &self.positions });
        match next {
            Next::Nothing => return Ok(false),
            Next::Queued => {}
            Next::Torn => {
                deal.end();
                self.role.stream_failed(attempt, "no command", now_ms);
            }
            Next::Wide(shards, end, command) => {
                for shard in &shards {
                    while self.run_queue(*shard)? {}
                }
                let replid = self.deal.as_ref().expect("it is dealt").position(0).replid;
                self.run_at(&shards, Position { replid, offset: end }, command)?;
            }
        }
        if self.planted == Some(Planted::AcknowledgesBeforeWriting)
            && let Some(deal) = &self.deal
        {
            self.role.applied(attempt, deal.dealt());
        } else {
            self.report(attempt);
        }
        Ok(true)
    }

    fn run_queues(&mut self) -> Result<(), Failed> {
        for shard in 0..self.positions.len() {
            while self.run_queue(shard)? {}
        }
        Ok(())
    }

    fn run_queue(&mut self, shard: usize) -> Result<bool, Failed> {
        let Some(deal) = &mut self.deal else { return Ok(false) };
        let replid = deal.position(shard).replid;
        let (commands, end) = deal.take(shard, 1 + self.rng.index(3));
        if commands.is_empty() {
            return Ok(false);
        }
        let position = Position { replid, offset: end };
        commands.iter().for_each(|command| command.run(&mut self.data));
        if self.planted == Some(Planted::PositionsApart) {
            self.log(&[shard], None, &commands)?;
            self.log(&[shard], Some(position), &[])?;
        } else {
            self.log(&[shard], Some(position), &commands)?;
        }
        self.positions[shard] = Some(position);
        Ok(true)
    }

    fn run_at(&mut self, shards: &[usize], at: Position, command: Command) -> Result<(), Failed> {
        command.run(&mut self.data);
        self.log(shards, Some(at), &[command])?;
        shards.iter().for_each(|shard| self.positions[*shard] = Some(at));
        Ok(())
    }

    /// A client of this node writes, which is a master. `at` is the position behind the command.
    pub(super) fn write(&mut self, command: Command, at: Position) -> Result<(), Failed> {
        let shards = self.positions.len();
        let mut own: Vec<usize> = command.keys().map(|key| shard_of(key, shards)).collect();
        own.sort_unstable();
        own.dedup();
        self.run_at(&own, at, command)
    }

    /// All shards stand at this position from here on; what they have is the same.
    pub(super) fn adopt(&mut self, at: Position) -> Result<(), Failed> {
        for shard in 0..self.positions.len() {
            self.log(&[shard], Some(at), &[])?;
            self.positions[shard] = Some(at);
        }
        self.cut(UnixMs(1))?;
        Ok(())
    }

    fn log(&mut self, shards: &[usize], at: Option<Position>, commands: &[Command]) -> Result<(), Failed> {
        self.logs.write(shards, &toy::record(at, commands), &mut self.rng)
    }

    /// A cut, on the disk in all logs, with where each shard stands.
    pub(super) fn cut(&mut self, now: UnixMs) -> Result<durable::manifest::Position, Failed> {
        for shard in 0..self.positions.len() {
            if let Some(deal) = &self.deal {
                let at = deal.position(shard);
                let is_ahead =
                    self.positions[shard].is_none_or(|own| own.replid == at.replid && own.offset < at.offset);
                if is_ahead {
                    self.log(&[shard], Some(at), &[])?;
                    self.positions[shard] = Some(at);
                }
            }
        }
        self.logs.cut(now)
    }

    /// A set of its own.
    pub(super) fn snapshot(&mut self, now: UnixMs) -> Result<(), Failed> {
        let position = self.cut(now)?;
        let shards = self.positions.len();
        let file = |shard: usize| {
            let data = part(&self.data, shard, shards);
            (toy::shard_file(self.positions[shard], &data), data.len() as u64)
        };
        let contents: Vec<(Vec<u8>, u64)> = (0..shards).map(file).collect();
        self.logs.snapshot(position, &contents, now, &mut self.rng)
    }

    fn verify(&mut self, attempt: Attempt, now_ms: u64) -> Result<(), Failed> {
        let staged = self.staged.as_mut().expect("something was staged");
        let writer = staged.writer.take().expect("it is not finished");
        // What was written is read again: what counts is what is on the disk.
        let keys = Vec::new();
        let mut file = writer.finish(keys)?;
        let source = staged.staging.files().open(&file)?;
        let mut bytes = vec![0; file.bytes as usize];
        read_full_at(source.as_ref(), 0, &mut bytes)?;
        let opened = match self.planted {
            Some(Planted::DoesNotVerify) => Ok(toy::open_unverified(&bytes)),
            _ => toy::open(&bytes),
        };
        match opened {
            Ok(data) => {
                file.keys = db_keys(data.len() as u64);
                staged.file = Some(file);
                let report =
                    Report { keys: data.len() as u64, own_keys: self.data.len() as u64, ..Report::default() };
                self.role.verified(attempt, report, now_ms);
            }
            Err(why) => self.role.rejected(attempt, &why, now_ms),
        }
        Ok(())
    }

    /// The step that a crash cannot split, and what follows it.
    fn replace(&mut self, grant: ResyncGrant, now_ms: u64, wants: &mut Vec<Wants>) -> Result<(), Failed> {
        let Staged { staging, file, .. } = self.staged.take().expect("something was staged");
        let file = file.expect("it was verified");
        let at = grant.position();
        let now = UnixMs(now_ms as i64);
        let (contents, next) = self.logs.replace(staging, vec![file], (at, None), now)?;
        self.data = match self.planted {
            Some(Planted::DoesNotVerify) => toy::open_unverified(&contents[0]),
            _ => toy::open(&contents[0]).map_err(Failed)?,
        };
        self.positions = vec![Some(at); self.positions.len()];
        if self.planted != Some(Planted::GoesOnInTheOldLog) {
            self.logs.go_on_in(next)?;
        }
        wants.push(Wants::Replaced(at));
        self.role.replaced(grant.attempt(), now_ms);
        Ok(())
    }
}

/// From where a stream can go on for all shards: the lowest of their positions, if they are of one history.
fn common(positions: &[Option<Position>], planted: Option<Planted>) -> Option<Position> {
    let known: Option<Vec<Position>> = positions.iter().copied().collect();
    let known = known?;
    let is_one = known.iter().all(|position| position.replid == known[0].replid);
    let lowest = match planted {
        Some(Planted::ResumesFromTheHighest) => known.iter().max(),
        _ => known.iter().min(),
    };
    lowest.copied().filter(|_| is_one)
}
