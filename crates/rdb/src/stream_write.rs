//! Streams: blocks as they are in memory, ids, groups with what is pending.

use crate::cursor::{At, Cursor, Left, StreamAt};
use crate::length::write_len;
use crate::stream_read::UNKNOWN;
use crate::write::{Format, Keeps, Version};
use datatypes::Stream;
use datatypes::stream::{Consumer, Group, StreamId};

impl Format {
    /// Whether type 3, with the consumers' active times, is to be written: if the version has it, or if something would
    /// be lost without that is to be kept.
    pub(crate) fn has_active_times(&self, stream: &Stream, keeps: Keeps) -> bool {
        let differs = |group: &Group| {
            group.consumers().any(|consumer| consumer.active_ms.is_none_or(|at| at != consumer.seen_ms))
        };
        self.version >= Version::V11
            || (keeps == Keeps::All && stream.groups().any(|(_, group)| differs(group)))
    }

    /// Appends more of a stream; true when that was the rest.
    pub(crate) fn stream(
        &mut self,
        out: &mut Vec<u8>,
        stream: &Stream,
        cursor: &mut Cursor,
        left: &mut Left,
    ) -> bool {
        let active = self.has_active_times(stream, self.keeps());
        let mut at = match std::mem::take(&mut cursor.at) {
            At::Begin => {
                if active {
                    self.need(Version::V11);
                }
                write_len(out, stream.log().block_count() as u64);
                StreamAt::Block(StreamId::MIN)
            }
            At::Stream(at) => at,
            _ => unreachable!("a cursor of another value"),
        };
        loop {
            match self.stream_part(out, stream, at, active, &mut cursor.step.text, left) {
                Part::Done(next) => at = next,
                Part::Stopped(here) => {
                    cursor.at = At::Stream(here);
                    return false;
                }
                Part::Over => return true,
            }
        }
    }

    fn stream_part(
        &mut self,
        out: &mut Vec<u8>,
        stream: &Stream,
        at: StreamAt,
        active: bool,
        text: &mut usize,
        left: &mut Left,
    ) -> Part {
        match at {
            StreamAt::Block(from) => {
                for (id, bytes) in stream.log().blocks_from(from) {
                    if !left.take(out, 1) || !self.block(out, id, bytes, text, left) {
                        return Part::Stopped(StreamAt::Block(id));
                    }
                }
                Part::Done(StreamAt::Totals)
            }
            StreamAt::Totals => {
                let log = stream.log();
                write_len(out, log.len());
                for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
                    write_id(out, id);
                }
                write_len(out, log.entries_added());
                write_len(out, stream.group_len() as u64);
                Part::Done(StreamAt::Group(Vec::new()))
            }
            StreamAt::Group(from) => {
                let Some((name, group)) = stream.groups_from(&from).next() else { return Part::Over };
                if !left.take(out, 1) || !self.text(out, name, text, left) {
                    return Part::Stopped(StreamAt::Group(name.to_vec()));
                }
                write_id(out, group.last_id);
                write_len(out, group.entries_read.map_or(UNKNOWN, |read| read as u64));
                write_len(out, group.pending_len() as u64);
                Part::Done(StreamAt::Pending(name.to_vec(), StreamId::MIN))
            }
            StreamAt::Pending(name, from) => {
                let group = group_of(stream, &name);
                for (id, pending) in group.pending_from(from) {
                    if !left.take(out, 1) {
                        return Part::Stopped(StreamAt::Pending(name, id));
                    }
                    out.extend_from_slice(&id.to_bytes());
                    out.extend_from_slice(&pending.delivered_ms.to_le_bytes());
                    write_len(out, pending.deliveries);
                }
                write_len(out, group.consumer_len() as u64);
                Part::Done(StreamAt::Consumer(name, Vec::new()))
            }
            StreamAt::Consumer(name, from) => {
                let Some(consumer) = group_of(stream, &name).consumers_from(&from).next() else {
                    return Part::Done(StreamAt::Group(after(name)));
                };
                let own = consumer.name().to_vec();
                if !left.take(out, 1) || !self.text(out, &own, text, left) {
                    return Part::Stopped(StreamAt::Consumer(name, own));
                }
                write_consumer(out, consumer, active);
                Part::Done(StreamAt::Owned(name, own, StreamId::MIN))
            }
            StreamAt::Owned(name, own, from) => {
                let consumer = group_of(stream, &name).consumers_from(&own).next();
                for id in consumer.expect("a consumer that is being written").pending(from) {
                    if !left.take(out, 1) {
                        return Part::Stopped(StreamAt::Owned(name, own, id));
                    }
                    out.extend_from_slice(&id.to_bytes());
                }
                Part::Done(StreamAt::Consumer(name, after(own)))
            }
        }
    }

    fn block(
        &mut self,
        out: &mut Vec<u8>,
        id: StreamId,
        bytes: &[u8],
        text: &mut usize,
        left: &Left,
    ) -> bool {
        if *text == 0 {
            out.push(16);
            out.extend_from_slice(&id.to_bytes());
        }
        self.text(out, bytes, text, left)
    }
}

/// What became of a part of a stream.
enum Part {
    /// It is written, and this is next.
    Done(StreamAt),
    /// The budget ended before this.
    Stopped(StreamAt),
    /// It was the last.
    Over,
}

fn group_of<'a>(stream: &'a Stream, name: &[u8]) -> &'a Group {
    stream.group(name).expect("a group that is being written")
}

fn write_consumer(out: &mut Vec<u8>, consumer: &Consumer, active: bool) {
    out.extend_from_slice(&consumer.seen_ms.to_le_bytes());
    if active {
        out.extend_from_slice(&consumer.active_ms.unwrap_or(-1).to_le_bytes());
    }
    write_len(out, consumer.pending_len() as u64);
}

fn write_id(out: &mut Vec<u8>, id: StreamId) {
    write_len(out, id.ms);
    write_len(out, id.seq);
}

/// The least name greater than this one.
fn after(mut name: Vec<u8>) -> Vec<u8> {
    name.push(0);
    name
}
