//! Records that were read and not run yet: those up to the next cut, or as many as there may be.

use aof::{Head, Kind, Lsn, Record, TxNumber};
use std::collections::VecDeque;
use std::ops::Range;
use stdx::DbIndex;

/// Records in their order.
pub(super) struct Ahead {
    records: VecDeque<Kept>,
    bytes: Vec<u8>,
    /// There is room for so many.
    bytes_max: usize,
}

/// One record.
pub(super) struct Kept {
    pub(super) lsn: Lsn,
    pub(super) what: What,
}

/// What it says. Commands are a place in [`Ahead::bytes`].
pub(super) enum What {
    Plain {
        db: DbIndex,
        commands: Range<usize>,
    },
    /// A transaction over several shards that was dealt to them.
    Dealt(TxNumber),
    /// One that was not.
    Whole {
        head: Head,
        db: DbIndex,
        commands: Range<usize>,
    },
    Other(Head),
}

impl Ahead {
    /// For one of so many logs.
    pub(super) fn of(logs: u16) -> Self {
        let bytes_max = (ALL_BYTES_MAX / usize::from(logs)).clamp(BYTES_MIN, BYTES_MAX);
        Self { records: VecDeque::new(), bytes: Vec::new(), bytes_max }
    }

    /// Begins anew. All that was kept was run.
    pub(super) fn begin(&mut self) {
        assert!(self.records.is_empty(), "what was read ahead was run");
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// Keeps a record. `is_dealt`: it is a transaction's whole record, which was dealt.
    pub(super) fn push(&mut self, record: &Record<'_>, is_dealt: bool) {
        if let Kind::Plain { db: DbIndex(0), commands } = record.kind
            && self.join(commands)
        {
            return;
        }
        let what = match record.kind {
            Kind::Plain { db, commands } => What::Plain { db, commands: self.keep(commands) },
            Kind::Whole { tx, .. } if is_dealt => What::Dealt(tx),
            Kind::Whole { db, commands, .. } => What::Whole {
                head: Head::of(record).expect("it is no plain one"),
                db,
                commands: self.keep(commands),
            },
            _ => What::Other(Head::of(record).expect("it is no plain one")),
        };
        self.records.push_back(Kept { lsn: record.lsn, what });
    }

    /// Puts commands for database 0 behind those of the last record, if these are for it too, and leave that selected: a
    /// server's do. A log of small records is run as fast as one of large ones then.
    fn join(&mut self, commands: &[u8]) -> bool {
        let end = self.bytes.len();
        match self.records.back_mut().map(|last| &mut last.what) {
            Some(What::Plain { db: DbIndex(0), commands: last })
                if last.end == end && last.len() < JOINED_BYTES_MAX =>
            {
                self.bytes.extend_from_slice(commands);
                last.end = self.bytes.len();
                true
            }
            _ => false,
        }
    }

    fn keep(&mut self, commands: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(commands);
        start..self.bytes.len()
    }

    /// Whether there is room for no more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= self.bytes_max || self.records.len() >= RECORDS_MAX
    }

    /// Takes out the next. Its commands stay in place until the one after it is taken.
    pub(super) fn pop(&mut self) -> Option<Kept> {
        self.records.pop_front()
    }

    /// The commands at a place.
    pub(super) fn commands(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }
}

/// All logs together, unless that is too little for each. What lies further ahead is not dealt before it is run.
const ALL_BYTES_MAX: usize = 256 << 20;
const BYTES_MIN: usize = 1 << 20;
const BYTES_MAX: usize = 32 << 20;
const RECORDS_MAX: usize = 1 << 20;
/// Records that are longer take no others to them: what is wrong with one is told of the first of them.
const JOINED_BYTES_MAX: usize = 16 << 10;
/// A larger buffer is given back.
const KEPT_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use aof::{Encoder, Generation, LogId, NodeId, Scanner, Stamp};
    use stdx::ShardId;

    /// A log in a word, read ahead: `p` a plain record, `q` one for database 1, `c` a cut. How many records each that is kept has.
    #[track_caller]
    fn check(word: &str, expected: &[&str]) {
        let log = LogId { node: NodeId([5; 20]), generation: Generation(1), shard: ShardId(0), shards: 1 };
        let (mut bytes, mut encoder, stamp) = (Vec::new(), Encoder::new(log, Lsn(0)), Stamp::default());
        for letter in word.chars() {
            if letter == 'c' {
                encoder.cut(&mut bytes, 1, stdx::UnixMs(0), 0, stamp);
                continue;
            }
            encoder.begin_plain(&mut bytes, DbIndex(u16::from(letter == 'q')));
            bytes.push(letter as u8);
            encoder.seal(&mut bytes, stamp);
        }
        let header = aof::Header {
            log,
            boot: aof::BootId([1; 16]),
            base: Lsn(0),
            synced: Lsn(0),
            created: stdx::UnixMs(0),
        };
        let mut scanner = Scanner::new(log, Lsn(0));
        scanner.segment(Lsn(0), (aof::HEADER_LEN + bytes.len()) as u64).unwrap();
        scanner.feed(&header.encode());
        scanner.feed(&bytes);
        let mut ahead = Ahead::of(1);
        while let Some(record) = scanner.next().unwrap() {
            ahead.push(&record, false);
        }
        let mut kept = Vec::new();
        while let Some(one) = ahead.pop() {
            kept.push(match one.what {
                What::Plain { commands, .. } => String::from_utf8(ahead.commands(commands).to_vec()).unwrap(),
                _ => "cut".to_owned(),
            });
        }
        assert_eq!(kept, expected, "{word}");
    }

    #[test]
    fn plain_records_that_follow_each_other_are_joined() {
        check("", &[]);
        check("ppp", &["ppp"]);
        check("ppcp", &["pp", "cut", "p"]);
        check("pqqp", &["p", "q", "q", "p"]);
    }
}
