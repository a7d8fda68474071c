//! Streams that are being read.

use crate::error::Error;
use crate::length::Input;
use datatypes::stream::{ConsumerId, Group, Restored, StreamId};
use datatypes::{Large, Object, Stream};

/// `entries_read` of a group that does not know it.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// A stream of which a beginning was read.
#[derive(Debug)]
pub(crate) struct StreamBuild {
    /// 1 (Redis 5), 2 (7.0: first and highest deleted id, counters) or 3 (7.2: active times).
    format: u8,
    stream: Stream,
    next: Next,
    /// How many of what comes next are missing.
    left: u64,
    groups_left: u64,
    /// The group that is being read.
    name: Vec<u8>,
    consumers_left: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Blocks,
    /// What is known besides the blocks.
    Totals,
    Group,
    Pending,
    Consumers,
    Consumer,
    /// What is pending for a consumer.
    Owned(ConsumerId),
}

impl StreamBuild {
    pub(crate) fn new(format: u8, input: &mut Input<'_>) -> Result<Self, Error> {
        let left = input.count(16)?;
        Ok(Self {
            format,
            stream: Stream::default(),
            next: Next::Blocks,
            left,
            groups_left: 0,
            name: Vec::new(),
            consumers_left: 0,
        })
    }

    /// Reads a block, a group's beginning, or as many of its ids as are there. The stream, when it is whole.
    pub(crate) fn step(&mut self, input: &mut Input<'_>) -> Result<Option<Object>, Error> {
        match self.next {
            Next::Blocks if self.left == 0 => self.next = Next::Totals,
            Next::Blocks => self.block(input)?,
            Next::Totals => self.totals(input)?,
            Next::Group if self.groups_left == 0 => {
                return Ok(Some(Object::Large(Box::new(Large::Stream(std::mem::take(&mut self.stream))))));
            }
            Next::Group => self.group(input)?,
            Next::Pending if self.left == 0 => self.next = Next::Consumers,
            Next::Pending => self.pending(input)?,
            Next::Consumers => {
                self.consumers_left = input.count(1 + 8 + 1)?;
                self.next = Next::Consumer;
            }
            Next::Consumer if self.consumers_left == 0 => {
                let whole = self.stream.group(&self.name).is_some_and(Group::is_whole);
                input.good(whole.then_some(()), "group: an id is pending for nobody")?;
                self.groups_left -= 1;
                self.next = Next::Group;
            }
            Next::Consumer => self.consumer(input)?,
            Next::Owned(_) if self.left == 0 => {
                self.consumers_left -= 1;
                self.next = Next::Consumer;
            }
            Next::Owned(consumer) => self.owned(consumer, input)?,
        }
        Ok(None)
    }

    fn block(&mut self, input: &mut Input<'_>) -> Result<(), Error> {
        let id = input.string()?;
        let id = <[u8; 16]>::try_from(&id[..]).ok();
        let id = StreamId::from_bytes(input.good(id, "id of a stream's block")?);
        let bytes = input.string()?.into_owned();
        let restored = self.stream.log_mut().restore_block(id, bytes).ok();
        self.left -= 1;
        input.good(restored, "block of a stream")
    }

    fn totals(&mut self, input: &mut Input<'_>) -> Result<(), Error> {
        let len = input.len()?;
        let last_id = id(input)?;
        let (mut first_id, mut max_deleted_id, mut entries_added) = (None, StreamId::MIN, None);
        if self.format >= 2 {
            first_id = Some(id(input)?);
            max_deleted_id = id(input)?;
            entries_added = Some(input.len()?);
        }
        self.groups_left = input.count(4)?;
        let restored = Restored { len, first_id, last_id, max_deleted_id, entries_added };
        let whole = self.stream.log_mut().restored(&restored);
        self.next = Next::Group;
        input.good(whole.then_some(()), "stream")
    }

    fn group(&mut self, input: &mut Input<'_>) -> Result<(), Error> {
        let name = input.string()?;
        let last_id = id(input)?;
        // Redis 5 did not count what groups had read: it is told from their last ids where that can be done.
        let entries_read = if self.format >= 2 {
            Some(input.len()?).filter(|&read| read != UNKNOWN)
        } else {
            self.stream.log().reads_until(last_id)
        };
        self.left = input.count(16 + 8 + 1)?;
        let entries_read = entries_read.map(|read| read as i64);
        let made = self.stream.create_group(&name, Group::new(last_id, entries_read));
        self.name = name.into_owned();
        self.next = Next::Pending;
        input.good(made.then_some(()), "group: its name comes twice")
    }

    fn pending(&mut self, input: &mut Input<'_>) -> Result<(), Error> {
        let (_, mut group) = self.stream.group_mut(&self.name).expect("the group that was made");
        let first = input.at();
        while self.left > 0 {
            let one = |input: &mut Input<'_>| Ok((raw_id(input)?, input.millis()?, input.len()?));
            let Some((id, delivered_ms, deliveries)) = next(first, input, one)? else { return Ok(()) };
            let new = group.restore_pending(id, delivered_ms, deliveries);
            input.good(new.then_some(()), "group: an id is pending twice")?;
            self.left -= 1;
        }
        Ok(())
    }

    fn consumer(&mut self, input: &mut Input<'_>) -> Result<(), Error> {
        let name = input.string()?;
        let seen_ms = input.millis()?;
        let active_ms = if self.format >= 3 { input.millis()? } else { seen_ms };
        let left = input.count(16)?;
        let (_, mut group) = self.stream.group_mut(&self.name).expect("the group that was made");
        let consumer = group.create_consumer(&name, seen_ms);
        let consumer = input.good(consumer, "consumer: its name comes twice")?;
        group.consumer_mut(consumer).active_ms = (active_ms >= 0).then_some(active_ms);
        self.left = left;
        self.next = Next::Owned(consumer);
        Ok(())
    }

    fn owned(&mut self, consumer: ConsumerId, input: &mut Input<'_>) -> Result<(), Error> {
        let (_, mut group) = self.stream.group_mut(&self.name).expect("the group that was made");
        let first = input.at();
        while self.left > 0 {
            let Some(id) = next(first, input, raw_id)? else { return Ok(()) };
            let restored = group.restore_owner(consumer, id);
            input.good(restored.then_some(()), "consumer: an id is not pending, or for another")?;
            self.left -= 1;
        }
        Ok(())
    }
}

/// The next of several that one step reads from `first` on. `None` when the bytes end within it and there was one
/// before: the step ends in front of it. Errors: `Short` if it is the first.
fn next<T>(
    first: usize,
    input: &mut Input<'_>,
    read: impl FnOnce(&mut Input<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mark = input.at();
    match read(input) {
        Err(Error::Short { .. }) if mark > first => {
            input.rewind(mark);
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn id(input: &mut Input<'_>) -> Result<StreamId, Error> {
    let (ms, seq) = (input.len()?, input.len()?);
    Ok(StreamId { ms, seq })
}

fn raw_id(input: &mut Input<'_>) -> Result<StreamId, Error> {
    input.array().map(StreamId::from_bytes)
}
