//! Reading a log: segments in, piece by piece; records out; and in the end what there was.
//!
//! ```text
//!            ┌────────┐ sound   ┌─────────┐ zeros   ┌───────┐
//!  segment ─►│ Header ├────────►│ Records ├────────►│ Zeros │
//!            └───┬────┘ (skip)  └────┬────┘         └───┬───┘
//!                │ damaged           │ damaged          │ something behind them
//!                ▼                   ▼                  ▼
//!            ┌───────────────────────────────────────────────┐
//!            │ Search: does a later record prove that it was │  for the rest of the log, segment by segment
//!            │ synced what is not there?                     │
//!            └───────────────────────────────────────────────┘
//! ```
//!
//! The log's valid records end at the first place at which there is no valid record, and nothing behind it is ever given
//! out: unsynced sectors may land in any order, so a hole with sound records behind it is what a loss of power leaves. Whether
//! it may be that is decided by [`crate::ends`], from the proofs that were found on the way ([`Summary::must`]).

mod summary;

use std::ops::Range;

use memchr::memchr;
use stdx::UnixMs;

pub use self::summary::{Behind, CUTS_MAX, Cut, Cuts, Damage, Summary};
use crate::ids::{BootId, LogId, Lsn};
use crate::record::{Head, Kind, MAGIC, RECORD_HEADER_LEN, Record, RecordError};
use crate::segment::{HEADER_LEN, Header, HeaderError};

/// Reads one log, from a position on.
#[derive(Debug)]
pub struct Scanner {
    log: LogId,
    seed: u32,
    until: Option<Lsn>,
    /// Bytes that were fed and are not done with, from `read` on.
    buf: Vec<u8>,
    read: usize,
    /// Bytes of the segment that were not fed.
    unfed: u64,
    phase: Phase,
    /// The position of the byte at `read`, where that is in the records.
    at: Lsn,
    /// The base of the last segment.
    base: Option<Lsn>,
    is_started: bool,
    summary: Summary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// In the header of the segment with this base.
    Header(Lsn),
    /// Before the start, by so many bytes.
    Skip(u64),
    Records,
    Zeros,
    Search,
}

/// What must not be taken for a torn tail: nothing of the log is to be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The first segment begins behind the start: earlier ones are missing.
    #[error("the log should be read from {start} on, and its first segment begins at {base}")]
    Missing {
        /// Where to start.
        start: Lsn,
        /// Where the segment begins.
        base: Lsn,
    },
    /// A segment begins before the end of the one before it.
    #[error("a segment begins at {base}, and the one before it ends at {end}")]
    Overlap {
        /// Where the segment begins.
        base: Lsn,
        /// Where the one before ends.
        end: Lsn,
    },
    /// A segment of another log, or of another place in it.
    #[error(
        "the segment at {base} belongs elsewhere: it says that it is that of shard {} of {} in generation {}, at {}, of node {}",
        .found.log.shard.0, .found.log.shards, .found.log.generation, .found.base, .found.log.node
    )]
    Foreign {
        /// Where it was given.
        base: Lsn,
        /// Its header.
        found: Box<Header>,
    },
    /// Segments of one generation were made in different boots of the machine.
    #[error("the segment at {base} was made in boot {found}, those before it in {boot}")]
    Boots {
        /// The segment.
        base: Lsn,
        /// Its boot.
        found: BootId,
        /// That of the others.
        boot: BootId,
    },
    /// A format to come.
    #[error("the segment at {base} has format version {version}, which is not known")]
    Version {
        /// The segment.
        base: Lsn,
        /// Its version.
        version: u16,
    },
    /// A record whose checksum is right, and which cannot be.
    #[error("the record at {lsn} cannot be: {error}")]
    Impossible {
        /// The record.
        lsn: Lsn,
        /// What is wrong with it.
        error: RecordError,
    },
}

impl Scanner {
    /// Reads `log` from `start` on, which is the beginning of a record, or the end. Give it the log's segments, in order, from
    /// the one that has `start`.
    pub fn new(log: LogId, start: Lsn) -> Self {
        Self {
            log,
            seed: log.seed(),
            until: None,
            buf: Vec::new(),
            read: 0,
            unfed: 0,
            phase: Phase::Zeros,
            at: start,
            base: None,
            is_started: false,
            summary: Summary::empty(log, start),
        }
    }

    /// Gives out no record from `end` on; as [`crate::ends`] has found it.
    #[must_use]
    pub fn until(mut self, end: Lsn) -> Self {
        self.until = Some(end);
        self
    }

    /// Keeps only cuts that are not after `time`, for recovery until then.
    #[must_use]
    pub fn cuts_until(mut self, time: UnixMs) -> Self {
        self.summary.cuts.until = Some(time);
        self
    }

    /// Keeps only cuts whose numbers are not above `number`: when [`crate::ends`] asks for older ones.
    #[must_use]
    pub fn cuts_up_to(mut self, number: u64) -> Self {
        self.summary.cuts.up_to = number;
        self
    }

    /// Begins the segment with this base (by its name) and this length in bytes (of its file). Panics unless the one before
    /// it was fed to its last byte.
    pub fn segment(&mut self, base: Lsn, len: u64) -> Result<(), ScanError> {
        self.close();
        let (start, end) = (self.summary.start, self.summary.end);
        match self.base {
            None if base > start => return Err(ScanError::Missing { start, base }),
            Some(last) if base <= last => return Err(ScanError::Overlap { base, end: last }),
            _ if self.is_started && !self.is_damaged() && base < end => {
                return Err(ScanError::Overlap { base, end });
            }
            _ => {}
        }
        if self.base.is_some() && base > end && (self.is_started || base > start) {
            self.is_started = true;
            self.damaged(Damage::Gap { next: base });
        }
        self.base = Some(base);
        (self.unfed, self.phase) = (len, Phase::Header(base));
        Ok(())
    }

    /// More bytes of the segment, at most those that are left of it: panics past them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unfed = self
            .unfed
            .checked_sub(bytes.len() as u64)
            .expect("no more bytes than the segment was said to have");
        if self.read == self.buf.len() {
            self.buf.clear();
            self.buf.shrink_to(KEPT_BYTES_MAX);
            self.read = 0;
        } else if self.read >= KEPT_BYTES_MAX / 4 {
            self.buf.drain(..self.read);
            self.read = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// The next record, or `None`: feed more, or begin the next segment, or finish.
    #[allow(clippy::should_implement_trait)] // it lends
    pub fn next(&mut self) -> Result<Option<Record<'_>>, ScanError> {
        let Some((head, range)) = self.advance()? else { return Ok(None) };
        let impossible = |error| ScanError::Impossible { lsn: head.lsn, error };
        let record = head.record(&self.buf[range], &self.log).map_err(impossible)?;
        let contradiction = |what| Err(impossible(RecordError::Contradiction { what }));
        if self.summary.orderly.is_some() {
            return contradiction("it is behind the end");
        }
        if self.until.is_some_and(|until| record.end() > until) {
            return contradiction("the log should end within it");
        }
        if let (Kind::Cut { number, .. }, Some(newest)) = (record.kind, self.summary.cuts.newest())
            && number <= newest.number
        {
            return contradiction("a cut with a number that is not above the last");
        }
        self.summary.note(&record);
        Ok(Some(record))
    }

    /// Whether all that is wanted was given out. If the log is over and this is not so, its files have changed since it was
    /// scanned.
    pub fn is_done(&self) -> bool {
        self.until.is_some_and(|until| self.summary.end >= until)
    }

    /// What there was. Panics unless the last segment was fed to its last byte and [`Scanner::next`] has said `None`.
    pub fn finish(mut self) -> Summary {
        self.close();
        if self.base.is_some() && !self.is_started {
            self.damaged(Damage::Start);
        }
        self.summary
    }

    fn is_damaged(&self) -> bool {
        self.summary.damage.is_some()
    }

    /// The segment is over.
    fn close(&mut self) {
        if let Phase::Header(base) = self.phase
            && self.base.is_some()
            && self.rest() == 0
        {
            // Nobody had to ask for records of an empty file.
            self.header(base).expect("no bytes say nothing that is wrong");
        }
        assert!(self.unfed == 0, "{} bytes of the segment were not fed", self.unfed);
        assert!(self.read == self.buf.len(), "records of the segment were not taken");
    }

    /// Up to the next record: its head, and where its bytes lie.
    fn advance(&mut self) -> Result<Option<(Head, Range<usize>)>, ScanError> {
        loop {
            let goes_on = match self.phase {
                Phase::Header(base) => self.header(base)?,
                Phase::Skip(bytes) => self.skip(bytes),
                Phase::Records => match self.record() {
                    Ok(Some(found)) => return Ok(Some(found)),
                    Ok(None) => self.phase != Phase::Records,
                    Err(damage) => {
                        self.damaged(damage);
                        true
                    }
                },
                Phase::Zeros => self.zeros(),
                Phase::Search => self.search(),
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    /// Bytes of the segment from `read` on, fed or not.
    fn rest(&self) -> u64 {
        (self.buf.len() - self.read) as u64 + self.unfed
    }

    fn header(&mut self, base: Lsn) -> Result<bool, ScanError> {
        let bytes = &self.buf[self.read..];
        if bytes.len() < HEADER_LEN && self.unfed > 0 {
            return Ok(false);
        }
        let used = bytes.len().min(HEADER_LEN);
        match Header::decode(&bytes[..used]) {
            Ok(header) => self.trust(base, header)?,
            Err(HeaderError::Version { version }) => return Err(ScanError::Version { base, version }),
            Err(error) => {
                self.begin(base);
                self.damaged(Damage::Header(error));
            }
        }
        self.read += used;
        Ok(true)
    }

    fn trust(&mut self, base: Lsn, header: Header) -> Result<(), ScanError> {
        if header.log != self.log || header.base != base {
            return Err(ScanError::Foreign { base, found: Box::new(header) });
        }
        let boot = *self.summary.boot.get_or_insert(header.boot);
        if boot != header.boot {
            return Err(ScanError::Boots { base, found: header.boot, boot });
        }
        self.summary.created.get_or_insert(header.created);
        self.summary.must = self.summary.must.max(header.synced);
        self.begin(base);
        Ok(())
    }

    /// The first record of the segment is next, or what is before the start.
    fn begin(&mut self, base: Lsn) {
        self.at = base;
        self.phase = if self.is_damaged() {
            Phase::Search
        } else if self.is_started || base == self.summary.start {
            self.is_started = true;
            Phase::Records
        } else {
            Phase::Skip(self.summary.start.since(base))
        };
    }

    fn skip(&mut self, bytes: u64) -> bool {
        let skipped = bytes.min((self.buf.len() - self.read) as u64);
        self.read += skipped as usize;
        self.at = self.at.plus(skipped);
        self.phase = Phase::Skip(bytes - skipped);
        if skipped == bytes {
            self.is_started = true;
            self.phase = Phase::Records;
        }
        skipped == bytes
    }

    /// The record at `read`, or `None` if more bytes are needed, or the phase is another now.
    fn record(&mut self) -> Result<Option<(Head, Range<usize>)>, Damage> {
        if self.is_done() {
            self.read = self.buf.len();
            return Ok(None);
        }
        let (bytes, rest) = (&self.buf[self.read..], self.rest());
        let Some(head) = bytes.first_chunk::<RECORD_HEADER_LEN>() else {
            if self.unfed == 0 && !bytes.is_empty() {
                self.phase = Phase::Zeros;
            }
            return Ok(None);
        };
        if head.iter().all(|byte| *byte == 0) {
            self.phase = Phase::Zeros;
            return Ok(None);
        }
        let head = Head::read(head, self.at).map_err(Damage::Record)?;
        if head.len > rest {
            return Err(Damage::Record(RecordError::Short { have: rest, need: head.len }));
        }
        let Some(record) = bytes.get(..head.len as usize) else { return Ok(None) };
        head.check(record, self.seed).map_err(Damage::Record)?;
        let range = self.read..self.read + head.len as usize;
        self.read = range.end;
        self.at = self.at.plus(head.len);
        Ok(Some((head, range)))
    }

    /// Behind the records nothing but zeros should be.
    fn zeros(&mut self) -> bool {
        let bytes = &self.buf[self.read..];
        let zeros = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let is_over = zeros == bytes.len();
        self.read += zeros;
        self.at = self.at.plus(zeros as u64);
        if !is_over {
            self.damaged(Damage::Record(RecordError::Magic));
        }
        !is_over
    }

    fn damaged(&mut self, damage: Damage) {
        self.summary.damage.get_or_insert(damage);
        self.phase = Phase::Search;
    }

    /// Looks for records behind the damage, for what they prove. `true` when one was found.
    fn search(&mut self) -> bool {
        let bytes = &self.buf[self.read..];
        let Some(found) = memchr(MAGIC[0], bytes) else {
            self.pass(bytes.len());
            return false;
        };
        self.pass(found);
        let (bytes, rest) = (&self.buf[self.read..], self.rest());
        let Some(head) = bytes.first_chunk::<RECORD_HEADER_LEN>() else {
            if self.unfed == 0 {
                self.pass(bytes.len());
            }
            return false;
        };
        let Some(head) = Head::read(head, self.at).ok().filter(|head| head.len <= rest) else {
            self.pass(1);
            return true;
        };
        let Some(record) = bytes.get(..head.len as usize) else { return false };
        if head.check(record, self.seed).is_err() {
            self.pass(1);
            return true;
        }
        if let Ok(record) = head.record(record, &self.log) {
            self.summary.note_behind(&record);
        }
        self.pass(head.len as usize);
        true
    }

    fn pass(&mut self, bytes: usize) {
        self.summary.behind.bytes +=
            self.buf[self.read..self.read + bytes].iter().filter(|byte| **byte != 0).count() as u64;
        self.read += bytes;
        self.at = self.at.plus(bytes as u64);
    }
}

/// A larger buffer is given back when it is empty.
const KEPT_BYTES_MAX: usize = 4 << 20;

impl Summary {
    fn note(&mut self, record: &Record<'_>) {
        self.end = record.end();
        self.records += 1;
        self.must = self.must.max(record.synced);
        if record.always {
            self.always = Some((self.end, self.records));
        }
        match record.kind {
            Kind::Cut { number, at, durable } => {
                self.durable_cut = self.durable_cut.max(durable);
                self.cuts.push(Cut { number, at, end: self.end, records: self.records });
            }
            Kind::End { at } => self.orderly = Some(at),
            Kind::Plain { .. } | Kind::Whole { .. } | Kind::Marker { .. } => {}
        }
    }

    fn note_behind(&mut self, record: &Record<'_>) {
        self.behind.records += 1;
        self.must = self.must.max(record.synced);
        if let Kind::Cut { durable, .. } = record.kind {
            self.durable_cut = self.durable_cut.max(durable);
        }
    }
}

#[cfg(test)]
mod tests;
