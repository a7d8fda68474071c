//! The logs of a generation run together, without doing what they say: whether every transaction over several shards has its
//! record and its markers, and every cut stands in all logs.

use std::sync::Arc;

use aof::meeting::{Head, Meeting, Step};
use aof::{Lsn, Scanner, SegmentName};

use crate::disk::{Attempt, Disk, File, read_full_at};
use crate::recover::Replay;
use crate::refusal::Refusal;
use stdx::ShardId;

/// Runs what is to be replayed of a generation through [`Meeting`]. Errors: the logs do not fit each other, or a file has
/// changed since it was read.
pub(super) fn meet(disk: &dyn Disk, replay: &Replay) -> Result<(), Refusal> {
    let mut logs: Vec<Log> = (0..replay.shards).map(|shard| Log::new(replay, ShardId(shard))).collect();
    let mut meeting = Meeting::new(replay.shards);
    let misfit = |error: aof::MeetingError| Refusal::LogDamaged {
        generation: replay.generation,
        what: error.to_string(),
    };
    while let Some(step) = meeting.next() {
        match step {
            Step::Read(shard) => {
                let (lsn, head) = logs[shard.index()].next(disk, replay)?;
                meeting.stand(shard, lsn, head).map_err(misfit)?;
            }
            Step::Run { tx, home } => meeting.ran(tx, home).map_err(misfit)?,
            Step::Cut(_) => {}
            Step::Done => return Ok(()),
        }
    }
    unreachable!("every log stands at its end at last")
}

/// One log, read from its start to its end.
struct Log {
    shard: ShardId,
    scanner: Scanner,
    segments: std::vec::IntoIter<(SegmentName, String)>,
    open: Option<Open>,
    buffer: Vec<u8>,
    end: Lsn,
}

/// The segment that is read.
struct Open {
    file: Arc<dyn File>,
    path: String,
    at: u64,
    size: u64,
}

impl Log {
    fn new(replay: &Replay, shard: ShardId) -> Self {
        let (start, end) = (replay.starts[shard.index()], replay.ends[shard.index()]);
        let segments: Vec<_> = replay.segments_of(shard).collect();
        Self {
            shard,
            scanner: Scanner::new(replay.log(shard), start).until(end),
            segments: segments.into_iter(),
            open: None,
            buffer: vec![0; READ_BYTES],
            end,
        }
    }

    /// What the log stands at next, and where.
    fn next(&mut self, disk: &dyn Disk, replay: &Replay) -> Result<(Lsn, Head), Refusal> {
        let generation = replay.generation;
        let changed =
            |what: &str| Refusal::LogDamaged { generation, what: format!("{what}: it has changed") };
        let refused = |error| Refusal::scan(generation, self.shard, error);
        loop {
            while let Some(record) = self.scanner.next().map_err(refused)? {
                if let Some(head) = Head::of(&record) {
                    return Ok((record.lsn, head));
                }
            }
            let Some(open) = &mut self.open else {
                match self.segments.next() {
                    None if self.scanner.is_done() || self.end == replay.starts[self.shard.index()] => {
                        return Ok((self.end, Head::End { orderly: false }));
                    }
                    None => return Err(changed(&format!("the log of shard {} is shorter", self.shard.0))),
                    Some((name, path)) => {
                        let file = disk.open(&path).trying("open", &path)?;
                        let size = file.size().trying("measure", &path)?;
                        self.scanner.segment(name.base, size).map_err(refused)?;
                        self.open = Some(Open { file, path, at: 0, size });
                        continue;
                    }
                }
            };
            if open.at == open.size {
                self.open = None;
                continue;
            }
            let want = self.buffer.len().min((open.size - open.at) as usize);
            let got = read_full_at(open.file.as_ref(), open.at, &mut self.buffer[..want])
                .trying("read", &open.path)?;
            if got < want {
                return Err(changed(&format!("{} is shorter", open.path)));
            }
            self.scanner.feed(&self.buffer[..got]);
            open.at += got as u64;
        }
    }
}

const READ_BYTES: usize = 256 << 10;
