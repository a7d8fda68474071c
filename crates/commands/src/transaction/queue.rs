//! The commands that a client has queued since MULTI: their bytes one after the other, as they came.

use crate::row::Flags;
use crate::table::CommandRef;
use stdx::{Args, ShardId, Slot, Span};

/// A queue of commands, in order. What its clients may put in is bounded by client-query-buffer-limit.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    commands: Vec<Entry>,
    flags: Flags,
    reach: Reach,
    has_session: bool,
}

/// Where one command ends in the buffers of its queue; it begins where the one before it ends.
#[derive(Clone, Copy, Debug)]
struct Entry {
    command: CommandRef,
    place: Place,
    bytes_end: usize,
    spans_end: usize,
}

/// One command of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Queued<'a> {
    /// Which.
    pub command: CommandRef,
    /// Where it goes.
    pub place: Place,
    /// With its name.
    pub args: Args<'a>,
}

/// Where a queued command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It runs where the client is connected and touches no key.
    Home,
    /// All its keys are on one shard; the slot is that of the first, when it is by that alone that it was routed.
    Shard(ShardId, Option<Slot>),
    /// Its keys are on several shards.
    Shards,
    /// It looks at every shard, or asks something of the server, or reads keys that it does not name.
    Special,
}

/// The shards that a queue's commands have keys on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// No command has a key.
    #[default]
    Nowhere,
    /// All keys are on this one.
    One(ShardId),
    /// More than one.
    Several,
}

impl Reach {
    /// With another shard.
    #[inline]
    pub fn with(self, shard: ShardId) -> Self {
        match self {
            Self::Nowhere => Self::One(shard),
            Self::One(one) if one == shard => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}

impl Queue {
    /// Adds a command.
    #[inline]
    pub fn push(&mut self, command: CommandRef, args: Args<'_>, place: Place) {
        // One copy of all that lies between the first argument and the last, whatever stands between them. (A large one
        // may lie before the others.)
        let start = args.spans().iter().map(|span| span.start).min().unwrap_or(0);
        let end = args.spans().iter().map(|span| span.start + span.len).max().unwrap_or(0);
        self.bytes.extend_from_slice(&args.buf()[start as usize..end as usize]);
        self.spans.extend(args.spans().iter().map(|span| Span { start: span.start - start, ..*span }));
        let (bytes_end, spans_end) = (self.bytes.len(), self.spans.len());
        self.commands.push(Entry { command, place, bytes_end, spans_end });
        self.flags = self.flags.or(command.row.flags);
        match place {
            Place::Home => self.has_session = true,
            Place::Shard(shard, _) => self.reach = self.reach.with(shard),
            Place::Shards | Place::Special => {
                self.reach = Reach::Several;
            }
        }
    }

    /// How many commands there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The flags of all commands together.
    #[inline]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Where the commands have their keys.
    #[inline]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether one of them runs where the client is connected.
    #[inline]
    pub fn has_session(&self) -> bool {
        self.has_session
    }

    /// Command `index`, from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Queued<'_> {
        let entry = self.commands[index];
        let (bytes, spans) = match index.checked_sub(1).map(|before| self.commands[before]) {
            None => (0, 0),
            Some(before) => (before.bytes_end, before.spans_end),
        };
        let args = Args::new(&self.bytes[bytes..entry.bytes_end], &self.spans[spans..entry.spans_end]);
        Queued { command: entry.command, place: entry.place, args }
    }

    /// The commands, in order.
    pub fn iter(&self) -> impl Iterator<Item = Queued<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Takes all commands out. The memory is kept for the next ones, unless it is much.
    #[inline]
    pub fn clear(&mut self) {
        if self.memory() > KEPT_BYTES {
            return *self = Self::default();
        }
        self.bytes.clear();
        self.spans.clear();
        self.commands.clear();
        (self.flags, self.reach, self.has_session) = (Flags::NONE, Reach::Nowhere, false);
    }

    /// Bytes of the commands, as the client sent them, about: what client-query-buffer-limit counts.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory that it takes.
    #[inline]
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.commands.capacity() * size_of::<Entry>()
    }
}

/// How much memory an empty queue keeps at most, in bytes.
const KEPT_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::by_name;
    use stdx::args::OwnedArgs;

    fn queue(lines: &[(&str, Place)]) -> Queue {
        let mut queue = Queue::default();
        for (line, place) in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let command = by_name(words[0].as_bytes()).expect("a command");
            queue.push(command, OwnedArgs::new(&words).as_args(), *place);
        }
        queue
    }

    const HERE: Place = Place::Shard(ShardId(1), None);

    #[test]
    fn commands_come_out_as_they_went_in() {
        let lines = ["set k v", "ping", "mset a 1 b 2", "get k"];
        let queue = queue(&lines.map(|line| (line, HERE)));
        let shown: Vec<String> = queue
            .iter()
            .map(|queued| {
                let args: Vec<_> = queued.args.iter().map(String::from_utf8_lossy).collect();
                assert_eq!(queued.command.full_name, args[0]);
                args.join(" ")
            })
            .collect();
        assert_eq!(shown, lines);
    }

    #[test]
    fn arguments_are_taken_from_the_middle_of_a_buffer() {
        let resp = b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n*1\r\n$4\r\nping\r\n";
        let spans = |spans: &[(u32, u32)]| -> Vec<Span> {
            spans.iter().map(|&(start, len)| Span { start, len }).collect()
        };
        let mut queue = Queue::default();
        let (get, ping) = (spans(&[(8, 3), (17, 1)]), spans(&[(28, 4)]));
        queue.push(by_name(b"get").unwrap(), Args::new(resp, &get), HERE);
        queue.push(by_name(b"ping").unwrap(), Args::new(resp, &ping), Place::Home);
        let args: Vec<Vec<&[u8]>> = queue.iter().map(|queued| queued.args.iter().collect()).collect();
        assert_eq!(args, [vec![&b"get"[..], b"k"], vec![b"ping"]]);
    }

    #[track_caller]
    fn check_reach(places: &[Place], reach: Reach, has_session: bool) {
        let lines: Vec<(&str, Place)> = places.iter().map(|place| ("get k", *place)).collect();
        let queue = queue(&lines);
        assert_eq!((queue.reach(), queue.has_session()), (reach, has_session), "{places:?}");
    }

    #[test]
    fn the_reach_is_that_of_all_commands_together() {
        let there = Place::Shard(ShardId(2), None);
        check_reach(&[], Reach::Nowhere, false);
        check_reach(&[Place::Home], Reach::Nowhere, true);
        check_reach(&[HERE, HERE], Reach::One(ShardId(1)), false);
        check_reach(&[HERE, Place::Home], Reach::One(ShardId(1)), true);
        check_reach(&[HERE, there, HERE], Reach::Several, false);
        check_reach(&[HERE, Place::Shards], Reach::Several, false);
        check_reach(&[Place::Special], Reach::Several, false);
    }

    #[test]
    fn flags_add_up_and_clearing_forgets_all() {
        let mut queue = queue(&[("get k", HERE), ("lpush l v", HERE)]);
        assert!(queue.flags().has(Flags::WRITE.or(Flags::READONLY).or(Flags::DENYOOM)));
        assert!(queue.bytes() == 11 && queue.memory() >= queue.bytes());
        queue.clear();
        assert_eq!((queue.len(), queue.bytes(), queue.flags()), (0, 0, Flags::NONE));
        assert_eq!(queue.reach(), Reach::Nowhere);
    }

    #[test]
    fn a_large_queue_gives_its_memory_back() {
        let long = format!("set k {}", "v".repeat(2 * KEPT_BYTES));
        let mut queue = queue(&[(&long, HERE)]);
        queue.clear();
        assert_eq!(queue.memory(), 0);
    }
}
