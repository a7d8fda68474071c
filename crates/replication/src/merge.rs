//! One stream out of the journals of all shards: what a master's replicas of Redis are sent.
//!
//! ```text
//!  journal of shard 0 ──► queue ─┐
//!  journal of shard 1 ──► queue ─┼─► aof::Meeting ──► one stream, in an order that fits all of them
//!  journal of shard n ──► queue ─┘
//! ```
//!
//! Plain records go out as they come. A transaction over several shards goes out whole, between MULTI and EXEC, when every journal that
//! has a part in it is at its marker; all that it depends on is before it then, and all that depends on it behind (`aof::meeting`). A cut is a
//! place in the stream too: the data at the cut is what the stream up to there makes of it, so a full sync goes on from there.
//!
//! The journals begin behind one cut, at which all shards were locked. Whatever is taken in begins and ends in database 0; what goes out
//! says SELECT when the database is another one than before, and behind each cut ([`wording`]).

mod wording;

use std::collections::VecDeque;

use aof::{Head, Lsn, Meeting, MeetingError, Step, TxNumber};
use stdx::ShardId;

use wording::Wording;

/// The merging of the journals of shards 0 to n - 1.
#[derive(Debug)]
pub struct Merge {
    meeting: Meeting,
    journals: Vec<Journal>,
    wording: Wording,
}

/// One shard's journal, as far as it came and was not merged.
#[derive(Debug, Default)]
struct Journal {
    queue: VecDeque<Entry>,
    /// Entries that went before: each has its number for a place.
    merged: u64,
    /// The meeting lets it go on.
    is_read: bool,
    /// The commands of the transaction at whose whole record it stands.
    whole: Vec<u8>,
}

/// What a shard has journalled. Commands are RESP, and begin and end in database 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What commands of this shard alone did; what belongs together is between MULTI and EXEC.
    Plain(Vec<u8>),
    /// What a transaction over several shards did, whose home this shard is.
    Whole {
        /// Its number.
        tx: TxNumber,
        /// The other shards that take part.
        participants: Box<[ShardId]>,
        /// All of it; between MULTI and EXEC if it is more than one command.
        commands: Vec<u8>,
    },
    /// The place of such a transaction at another shard.
    Marker {
        /// Its number.
        tx: TxNumber,
        /// Where the whole record is.
        home: ShardId,
    },
    /// A cut, which all shards have.
    Cut(u64),
}

/// What was merged: bytes for the stream, and where in them a cut is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The stream goes on with this.
    pub bytes: Vec<u8>,
    /// Numbers of cuts, each with how many of the bytes are before it.
    pub cuts: Vec<(u64, usize)>,
}

impl Merge {
    /// Of so many shards: at least one.
    pub fn new(shards: u16) -> Self {
        Self {
            meeting: Meeting::new(shards),
            journals: (0..shards).map(|_| Journal::default()).collect(),
            wording: Wording::default(),
        }
    }

    /// A shard has journalled this, behind all that it has before.
    pub fn take(&mut self, shard: ShardId, entry: Entry) {
        self.journals[shard.index()].queue.push_back(entry);
    }

    /// Bytes that were taken in and have to wait for what others have to say.
    pub fn waiting_bytes(&self) -> usize {
        let bytes = |entry: &Entry| match entry {
            Entry::Plain(commands) | Entry::Whole { commands, .. } => commands.len(),
            Entry::Marker { .. } | Entry::Cut(_) => 0,
        };
        let of = |journal: &Journal| journal.whole.len() + journal.queue.iter().map(bytes).sum::<usize>();
        self.journals.iter().map(of).sum()
    }

    /// How many entries of a shard were ever taken in.
    pub fn taken(&self, shard: ShardId) -> u64 {
        let journal = &self.journals[shard.index()];
        journal.merged + journal.queue.len() as u64
    }

    /// Whether what the first `count` entries of a shard say has gone out.
    pub fn has_merged(&self, shard: ShardId, count: u64) -> bool {
        let journal = &self.journals[shard.index()];
        // The one at which it stands has to meet others first.
        count <= if journal.is_read { journal.merged } else { journal.merged.saturating_sub(1) }
    }

    /// Merges as much as can be, behind what `merged` has. Errors: the journals do not fit each other, which is a defect of who has
    /// written them; the stream must not go on.
    pub fn merge(&mut self, merged: &mut Merged) -> Result<(), MeetingError> {
        loop {
            while let Some(step) = self.meeting.next() {
                match step {
                    Step::Read(shard) => self.journals[shard.index()].is_read = true,
                    Step::Run { tx, home } => {
                        let commands = std::mem::take(&mut self.journals[home.index()].whole);
                        self.wording.add_unit(&commands, &mut merged.bytes);
                        self.meeting.ran(tx, home)?;
                    }
                    Step::Cut(number) => {
                        merged.cuts.push((number, merged.bytes.len()));
                        self.wording.forget_selected();
                    }
                    Step::Done => unreachable!("journals that are written have no end"),
                }
            }
            if !self.read_on(&mut merged.bytes)? {
                return Ok(());
            }
        }
    }

    /// Takes from all journals that may go on what is plain, up to what is to be met for. False if there was nothing.
    fn read_on(&mut self, out: &mut Vec<u8>) -> Result<bool, MeetingError> {
        let mut moved = false;
        for index in 0..self.journals.len() {
            while self.journals[index].is_read {
                let journal = &mut self.journals[index];
                let Some(entry) = journal.queue.pop_front() else { break };
                let place = Lsn(journal.merged);
                journal.merged += 1;
                moved = true;
                let head = match entry {
                    Entry::Plain(commands) => {
                        self.wording.add(&commands, out);
                        continue;
                    }
                    Entry::Whole { tx, participants, commands } => {
                        journal.whole = commands;
                        Head::Whole { tx, participants }
                    }
                    Entry::Marker { tx, home } => Head::Marker { tx, home },
                    Entry::Cut(number) => Head::Cut(number),
                };
                journal.is_read = false;
                self.meeting.stand(ShardId(index as u16), place, head)?;
            }
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp::encode_command;
    use stdx::Rng;

    pub(super) fn bytes(lines: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let lines = lines.split(" | ").filter(|line| !line.is_empty());
        lines.for_each(|line| encode_command(&line.split(' ').collect::<Vec<_>>(), &mut out));
        out
    }

    pub(super) use aof::text;

    fn plain(lines: &str) -> Entry {
        Entry::Plain(bytes(lines))
    }

    fn whole(tx: u64, participants: &[u16], lines: &str) -> Entry {
        let participants = participants.iter().map(|&shard| ShardId(shard)).collect();
        Entry::Whole { tx: TxNumber(tx), participants, commands: bytes(lines) }
    }

    fn marker(tx: u64, home: u16) -> Entry {
        Entry::Marker { tx: TxNumber(tx), home: ShardId(home) }
    }

    /// What is merged of entries that come in this order.
    #[track_caller]
    fn check(shards: u16, entries: &[(u16, Entry)], expected: &str) {
        let (mut merge, mut merged) = (Merge::new(shards), Merged::default());
        for (shard, entry) in entries {
            merge.take(ShardId(*shard), entry.clone());
            merge.merge(&mut merged).expect("they fit");
        }
        assert_eq!(text(&merged.bytes), expected);
    }

    #[test]
    fn what_is_of_one_shard_goes_out_as_it_comes() {
        check(
            2,
            &[(0, plain("SET a 1")), (1, plain("SET b 1")), (0, plain("INCR a"))],
            "SELECT 0 | SET a 1 | SET b 1 | INCR a",
        );
    }

    #[test]
    fn a_transaction_that_is_a_unit_already_is_no_unit_within_a_unit() {
        let unit = "MULTI | SELECT 3 | SET a 2 | SET b 2 | EXEC | SELECT 0";
        let said = "MULTI | SELECT 3 | SET a 2 | SET b 2 | EXEC";
        check(2, &[(0, whole(7, &[1], unit)), (1, marker(7, 0))], said);
    }

    #[test]
    fn a_transaction_is_whole_and_waits_for_all_that_take_part() {
        let whole = whole(7, &[1], "SET a 2 | SET b 2");
        check(2, &[(0, whole.clone()), (0, plain("INCR a")), (1, plain("SET b 1"))], "SELECT 0 | SET b 1");
        check(
            2,
            &[
                (0, whole),
                (0, plain("INCR a")),
                (1, plain("SET b 1")),
                (1, marker(7, 0)),
                (1, plain("INCR b")),
            ],
            "SELECT 0 | SET b 1 | MULTI | SET a 2 | SET b 2 | EXEC | INCR a | INCR b",
        );
    }

    #[test]
    fn markers_that_stand_crosswise_do_not_hold_each_other_up() {
        let entries = [
            (0, whole(7, &[2], "SET a 1 | SET c 1")),
            (1, whole(8, &[2], "SET b 1 | SET d 1")),
            (2, marker(8, 1)),
            (2, marker(7, 0)),
            (2, plain("INCR c")),
        ];
        check(
            3,
            &entries,
            "MULTI | SELECT 0 | SET a 1 | SET c 1 | EXEC | MULTI | SET b 1 | SET d 1 | EXEC | INCR c",
        );
    }

    #[test]
    fn a_cut_is_a_place_in_the_stream() {
        let (mut merge, mut merged) = (Merge::new(2), Merged::default());
        merge.take(ShardId(0), plain("SET a 1"));
        merge.take(ShardId(0), Entry::Cut(5));
        merge.take(ShardId(0), plain("SET a 2"));
        merge.merge(&mut merged).expect("they fit");
        assert!(merged.cuts.is_empty(), "the other is not there");
        assert_eq!(merge.waiting_bytes(), bytes("SET a 2").len());
        merge.take(ShardId(1), plain("SET b 1"));
        merge.take(ShardId(1), Entry::Cut(5));
        merge.merge(&mut merged).expect("they fit");
        assert_eq!(text(&merged.bytes), "SELECT 0 | SET a 1 | SET b 1 | SELECT 0 | SET a 2");
        assert_eq!(merged.cuts, [(5, bytes("SELECT 0 | SET a 1 | SET b 1").len())]);
        assert_eq!(merge.waiting_bytes(), 0);
    }

    #[test]
    fn the_servers_own_commands_are_no_unit() {
        let alone = whole(3, &[1], "lacewing.position t 0 2 ? -1 0 | lacewing.position u 1 2 ? -1 0");
        check(2, &[(0, alone), (1, marker(3, 0)), (1, plain("SET b 1"))], "SELECT 0 | SET b 1");
    }

    #[test]
    fn journals_that_do_not_fit_are_an_error() {
        let (mut merge, mut merged) = (Merge::new(2), Merged::default());
        merge.take(ShardId(0), Entry::Cut(5));
        merge.take(ShardId(1), Entry::Cut(6));
        assert!(merge.merge(&mut merged).is_err());
    }

    /// Shards that run counters, alone and together, as a server does: locks, numbers with all locks held, markers before the
    /// locks go. What was merged, in whatever pieces and order the journals came, gives the same counts, and each transaction is whole.
    #[test]
    fn the_stream_makes_the_same_data_however_the_journals_come() {
        const SHARDS: u16 = 3;
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let (mut counts, mut journals) = ([0u64; 3], vec![Vec::new(); 3]);
            for tx in 1..=rng.below(40) {
                let home = rng.index(3);
                if rng.index(2) == 0 {
                    counts[home] += 1;
                    journals[home].push(plain(&format!("SET k{home} {}", counts[home])));
                    continue;
                }
                let others: Vec<u16> =
                    (0..SHARDS).filter(|&shard| shard as usize != home && rng.index(2) == 0).collect();
                if others.is_empty() {
                    continue;
                }
                let all = others.iter().map(|&shard| shard as usize).chain([home]);
                let lines: Vec<String> = all
                    .map(|shard| {
                        counts[shard] += 1;
                        format!("SET k{shard} {}", counts[shard])
                    })
                    .collect();
                journals[home].push(whole(tx, &others, &lines.join(" | ")));
                others.iter().for_each(|&shard| journals[shard as usize].push(marker(tx, home as u16)));
            }
            let (mut merge, mut merged) = (Merge::new(SHARDS), Merged::default());
            let mut left: Vec<VecDeque<Entry>> = journals.into_iter().map(VecDeque::from).collect();
            while left.iter().any(|journal| !journal.is_empty()) {
                let shard = rng.index(3);
                for _ in 0..rng.index(4) {
                    let Some(entry) = left[shard].pop_front() else { break };
                    merge.take(ShardId(shard as u16), entry);
                }
                merge.merge(&mut merged).expect("they fit");
            }
            let (mut last, mut depth) = ([0u64; 3], 0);
            for line in text(&merged.bytes).split(" | ").filter(|line| !line.is_empty()) {
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["MULTI"] => depth += 1,
                    ["EXEC"] => depth -= 1,
                    ["SELECT", "0"] => {}
                    ["SET", key, value] => {
                        let shard: usize = key[1..].parse().expect("a shard");
                        let value: u64 = value.parse().expect("a count");
                        assert_eq!(value, last[shard] + 1, "seed {seed}: {key} in its order");
                        last[shard] = value;
                    }
                    _ => panic!("{line}"),
                }
                assert!((0..=1).contains(&depth), "seed {seed}");
            }
            assert_eq!((last, depth), (counts, 0), "seed {seed}");
        }
    }
}
