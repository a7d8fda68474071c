//! Streams: blocks as they are in memory, ids, groups with what is pending.

use crate::error::Error;
use crate::length::write_len;
use crate::read::Reader;
use crate::write::{Version, Writer};
use datatypes::stream::{Group, Restored, StreamId};
use datatypes::{Large, Object, Stream};

/// `entries_read` of a group that does not know it.
const UNKNOWN: u64 = u64::MAX;

impl Writer<'_> {
    /// Whether type 3, with the consumers' active times, is to be written: if the version has it, or if something would
    /// be lost without.
    pub(crate) fn needs_active_times(&self, stream: &Stream) -> bool {
        let differs = |group: &Group| {
            group.consumers().any(|consumer| consumer.active_ms.is_none_or(|at| at != consumer.seen_ms))
        };
        self.version >= Version::V11 || stream.groups().any(|(_, group)| differs(group))
    }

    pub(crate) fn stream(&mut self, stream: &Stream) {
        let active = self.needs_active_times(stream);
        if active {
            self.need(Version::V11);
        }
        let log = stream.log();
        self.len(log.block_count());
        for (id, bytes) in log.blocks() {
            self.out.push(16);
            self.out.extend_from_slice(&id.to_bytes());
            self.string(bytes);
        }
        write_len(self.out, log.len());
        for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
            self.id(id);
        }
        write_len(self.out, log.entries_added());
        self.len(stream.group_len());
        for (name, group) in stream.groups() {
            self.string(name);
            self.group(group, active);
        }
    }

    fn id(&mut self, id: StreamId) {
        write_len(self.out, id.ms);
        write_len(self.out, id.seq);
    }

    fn group(&mut self, group: &Group, active: bool) {
        self.id(group.last_id);
        write_len(self.out, group.entries_read.map_or(UNKNOWN, |read| read as u64));
        self.len(group.pending_len());
        for (id, pending) in group.pending_from(StreamId::MIN) {
            self.out.extend_from_slice(&id.to_bytes());
            self.out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
            write_len(self.out, pending.deliveries);
        }
        self.len(group.consumer_len());
        for consumer in group.consumers() {
            self.string(consumer.name());
            self.out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
            if active {
                self.out.extend_from_slice(&consumer.active_ms.unwrap_or(-1).to_le_bytes());
            }
            self.len(consumer.pending_len());
            for id in consumer.pending(StreamId::MIN) {
                self.out.extend_from_slice(&id.to_bytes());
            }
        }
    }
}

impl Reader<'_> {
    /// A stream of format 1 (Redis 5), 2 (7.0: first and highest deleted id, counters) or 3 (7.2: active times).
    pub(crate) fn stream(&mut self, format: u8) -> Result<Object, Error> {
        let mut stream = Stream::default();
        for _ in 0..self.input.count(16)? {
            let id = self.input.string()?;
            let id = <[u8; 16]>::try_from(&id[..]).ok();
            let id = StreamId::from_bytes(self.input.good(id, "id of a stream's block")?);
            let bytes = self.input.string()?.into_owned();
            let restored = stream.log_mut().restore_block(id, bytes).ok();
            self.input.good(restored, "block of a stream")?;
        }
        let len = self.input.len()?;
        let last_id = self.id()?;
        let (mut first_id, mut max_deleted_id, mut entries_added) = (None, StreamId::MIN, None);
        if format >= 2 {
            first_id = Some(self.id()?);
            max_deleted_id = self.id()?;
            entries_added = Some(self.input.len()?);
        }
        let restored = Restored { len, first_id, last_id, max_deleted_id, entries_added };
        if !stream.log_mut().restored(&restored) {
            return Err(self.input.bad("stream"));
        }
        for _ in 0..self.input.count(4)? {
            self.group(&mut stream, format)?;
        }
        Ok(Object::Large(Box::new(Large::Stream(stream))))
    }

    fn id(&mut self) -> Result<StreamId, Error> {
        let (ms, seq) = (self.input.len()?, self.input.len()?);
        Ok(StreamId { ms, seq })
    }

    fn raw_id(&mut self) -> Result<StreamId, Error> {
        self.input.array().map(StreamId::from_bytes)
    }

    fn group(&mut self, stream: &mut Stream, format: u8) -> Result<(), Error> {
        let name = self.input.string()?;
        let last_id = self.id()?;
        // Redis 5 did not count what groups had read: it is told from their last ids where that can be done.
        let entries_read = if format >= 2 {
            Some(self.input.len()?).filter(|&read| read != UNKNOWN)
        } else {
            stream.log().reads_until(last_id)
        };
        let entries_read = entries_read.map(|read| read as i64);
        if !stream.create_group(&name, Group::new(last_id, entries_read)) {
            return Err(self.input.bad("group: its name comes twice"));
        }
        let (_, mut group) = stream.group_mut(&name).expect("it was just made");
        for _ in 0..self.input.count(16 + 8 + 1)? {
            let id = self.raw_id()?;
            let (delivered_ms, deliveries) = (self.input.millis()?, self.input.len()?);
            if !group.restore_pending(id, delivered_ms, deliveries) {
                return Err(self.input.bad("group: an id is pending twice"));
            }
        }
        for _ in 0..self.input.count(1 + 8 + 1)? {
            let name = self.input.string()?;
            let seen_ms = self.input.millis()?;
            let active_ms = if format >= 3 { self.input.millis()? } else { seen_ms };
            let consumer = group.create_consumer(&name, seen_ms);
            let consumer = self.input.good(consumer, "consumer: its name comes twice")?;
            group.consumer_mut(consumer).active_ms = (active_ms >= 0).then_some(active_ms);
            for _ in 0..self.input.count(16)? {
                let id = self.raw_id()?;
                if !group.restore_owner(consumer, id) {
                    return Err(self.input.bad("consumer: an id is not pending, or for another"));
                }
            }
        }
        if group.is_whole() { Ok(()) } else { Err(self.input.bad("group: an id is pending for nobody")) }
    }
}
