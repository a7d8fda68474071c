//! What survives a master's process: its data, and logs of real records over several generations.

use aof::{Encoder, Generation, LogId, Lsn, NodeId, Stamp, TxNumber};
use replication::flow::resume::{Begun, Kept};
use stdx::{DbIndex, Rng, ShardId, UnixMs};

use crate::flows::past::{Name, Past, Write, shard_of};
use crate::flows::toy::{self, Data, Item};

/// See the module's comment.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) node: NodeId,
    /// By rising number; the last is the present.
    pub(super) generations: Vec<Written>,
    pub(super) data: Data,
    /// Where the present logs are safe from a loss of power, and the offset of the generation's beginning.
    safe: Vec<Lsn>,
    next: u64,
}

/// One generation of its log.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) name: Name,
    pub(super) logs: Vec<Log>,
    /// The offset of its beginning.
    pub(super) base: u64,
    /// The one whose logs it continues, to their ends.
    continues: Option<Generation>,
    tx: u64,
    cuts: u64,
}

#[derive(Clone, Default)]
pub(super) struct Log {
    /// The first byte that is there.
    begin: Lsn,
    bytes: Vec<u8>,
}

impl Log {
    pub(super) fn end(&self) -> Lsn {
        self.begin.plus(self.bytes.len() as u64)
    }

    /// Bytes from there on, if they are there.
    pub(super) fn read(&self, at: Lsn, end: Lsn) -> Option<&[u8]> {
        if at < self.begin {
            return None;
        }
        let index = |lsn: Lsn| lsn.since(self.begin) as usize;
        self.bytes.get(index(at)..index(end))
    }
}

impl Written {
    /// Of a shard's log, where it ends.
    fn encoder(&self, node: NodeId, shard: usize) -> Encoder {
        let shards = self.logs.len() as u16;
        let log = LogId { node, generation: self.name.0, shard: ShardId(shard as u16), shards };
        Encoder::new(log, self.logs[shard].end())
    }

    fn append(&mut self, node: NodeId, shard: usize, write: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        let mut record = Vec::new();
        write(&mut self.encoder(node, shard), &mut record);
        self.logs[shard].bytes.extend_from_slice(&record);
    }

    pub(super) fn ends(&self) -> Vec<Lsn> {
        self.logs.iter().map(Log::end).collect()
    }
}

impl Store {
    /// One that has nothing, and has begun nothing yet.
    pub(super) fn new(node: NodeId, data: Data, next: u64) -> Self {
        Self { node, generations: Vec::new(), data, safe: Vec::new(), next }
    }

    pub(super) fn present(&self) -> &Written {
        self.generations.last().expect("there is always one")
    }

    fn present_mut(&mut self) -> &mut Written {
        self.generations.last_mut().expect("there is always one")
    }

    /// The next generation begins, with so many logs, where the present one ends.
    pub(super) fn begin(&mut self, shards: u16, rng: &mut Rng, past: &mut Past) {
        let name = (Generation(self.next), rng.next_u64());
        self.next += 1 + rng.below(2);
        let (mut base, mut continues) = (0, None);
        if let Some(last) = self.generations.last() {
            let ends = last.ends();
            base = last.base + ends.iter().map(|end| end.0).sum::<u64>();
            continues = Some((last.name, ends));
        }
        past.begin(name, self.data.clone(), continues.clone());
        let continues = continues.map(|((generation, _), _)| generation);
        let logs = vec![Log::default(); shards.into()];
        self.generations.push(Written { name, logs, base, continues, tx: 0, cuts: 0 });
        self.safe = vec![Lsn(0); shards.into()];
    }

    /// What the logs are cut to that power was lost over: all shards at one moment.
    pub(super) fn lose(&mut self, past: &Past) {
        let safe = self.safe.clone();
        let last = self.present_mut();
        let name = last.name;
        for (log, safe) in last.logs.iter_mut().zip(&safe) {
            log.bytes.truncate(safe.since(log.begin) as usize);
        }
        self.data = past.data_at(name, &safe);
    }

    /// All that was begun and is still there.
    pub(super) fn begun(&self) -> Vec<Begun> {
        let begun = |one: &Written| {
            let is_continued = self.generations.iter().any(|next| next.continues == Some(one.name.0));
            Begun { generation: one.name.0, birth: one.name.1, ends: is_continued.then(|| one.ends()) }
        };
        self.generations.iter().map(begun).collect()
    }

    /// What is kept of the generations that lead to the present.
    pub(super) fn kept(&self, edges: &[Lsn]) -> Vec<Kept> {
        let mut kept: Vec<Kept> = Vec::new();
        let mut next = self.generations.last();
        while let Some(one) = next {
            let ends = if kept.is_empty() { edges.to_vec() } else { one.ends() };
            let ranges = one.logs.iter().map(|log| log.begin).zip(ends).collect();
            kept.push(Kept { generation: one.name.0, birth: one.name.1, ranges });
            let earlier = self.generations.iter().find(|earlier| Some(earlier.name.0) == one.continues);
            next = earlier.filter(|earlier| earlier.logs.len() == one.logs.len());
        }
        kept.reverse();
        kept
    }

    /// Writes this to the logs as one transaction, at home with one of its shards.
    pub(super) fn write(&mut self, ops: Vec<(u32, u64)>, rng: &mut Rng, past: &mut Past) {
        let node = self.node;
        let written = self.present_mut();
        let shards = written.logs.len();
        let mut own: Vec<usize> = ops.iter().map(|(key, _)| shard_of(*key, shards)).collect();
        own.sort_unstable();
        own.dedup();
        let home = *rng.pick(&own);
        let others: Vec<ShardId> =
            own.iter().filter(|shard| **shard != home).map(|shard| ShardId(*shard as u16)).collect();
        written.tx += 1;
        let tx = TxNumber(written.tx);
        let items: Vec<Item> =
            ops.iter().map(|(key, amount)| Item::Op { key: *key, amount: *amount }).collect();
        written.append(node, home, |encoder, record| {
            match &others[..] {
                [] => encoder.begin_plain(record, DbIndex(0)),
                others => encoder.begin_whole(record, tx, others, DbIndex(0)),
            }
            record.extend_from_slice(&toy::encode(&items));
            encoder.seal(record, Stamp::default());
        });
        let home_id = ShardId(home as u16);
        for shard in others {
            written.append(node, shard.index(), |encoder, record| {
                encoder.marker(record, tx, home_id, Stamp::default());
            });
        }
        let (name, end) = (written.name, written.logs[home].end());
        ops.iter().for_each(|(key, amount)| toy::apply(&mut self.data, *key, *amount));
        past.wrote(name, Write { home: home_id.0, end, ops });
    }

    /// A cut, of which there is nothing to run.
    pub(super) fn cut(&mut self) {
        let node = self.node;
        let written = self.present_mut();
        written.cuts += 1;
        let cut = written.cuts;
        for shard in 0..written.logs.len() {
            written.append(node, shard, |encoder, record| {
                encoder.cut(record, cut, UnixMs(1), 0, Stamp::default());
            });
        }
    }

    /// All that was written is safe from a loss of power.
    pub(super) fn sync(&mut self) {
        self.safe = self.present().ends();
    }

    /// Some of what is oldest of the logs goes, unless somebody needs that generation.
    pub(super) fn forget(&mut self, is_needed: impl Fn(Generation) -> bool, rng: &mut Rng) {
        let count = self.generations.len();
        let first = &mut self.generations[0];
        if count > 2 && !is_needed(first.name.0) {
            self.generations.remove(0);
        } else if !is_needed(first.name.0) && count > 1 {
            for log in &mut first.logs {
                let gone = rng.index(log.bytes.len() + 1);
                log.bytes.drain(..gone);
                log.begin = log.begin.plus(gone as u64);
            }
        }
    }
}
