//! A master's own stream: what its shards have journalled, merged, in the ring, under the name of its history.
//!
//! ```text
//!        start: behind a cut                        stop: nobody follows
//!  Off ─────────────────────► On ── journals ──► Merge ──► Backlog ────────► Off
//!                                                  └─► cuts: places of full syncs
//! ```
//!
//! While nobody follows nothing is journalled for this, and the stream does not tell of what is written; so it goes on under a
//! new name, and nobody resumes across the gap.

use std::collections::VecDeque;

use aof::{Commands, MeetingError};
use stdx::ShardId;

use crate::backlog::Backlog;
use crate::ids::{Position, ReplId};
use crate::merge::{Entry, Merge, Merged};

/// See the module's comment.
#[derive(Debug)]
pub struct Source {
    backlog: Backlog,
    /// While journals come.
    merge: Option<Merge>,
    merged: Merged,
    /// The newest cuts, each with the offset behind all that is before it.
    cuts: VecDeque<(u64, u64)>,
    /// When something was last put in for its own sake.
    last_ping_ms: u64,
}

impl Source {
    /// One that is off. `backlog` is what it goes on behind.
    pub fn new(backlog: Backlog) -> Self {
        Self { backlog, merge: None, merged: Merged::default(), cuts: VecDeque::new(), last_ping_ms: 0 }
    }

    /// The stream, as replicas read it.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Its size, its name.
    pub fn backlog_mut(&mut self) -> &mut Backlog {
        &mut self.backlog
    }

    /// Whether journals come.
    pub fn is_on(&self) -> bool {
        self.merge.is_some()
    }

    /// The journals of all shards come from now on, behind one cut. What was written before is of a history that had another name.
    pub fn start(&mut self, shards: u16, replid: ReplId, now_ms: u64) {
        assert!(!self.is_on(), "journals come once");
        // One further, as Redis does: an offset of the old history is none of the new one's.
        self.backlog.reset(Position { replid, offset: self.backlog.end() + 1 });
        self.merge = Some(Merge::new(shards));
        self.cuts.clear();
        self.last_ping_ms = now_ms;
    }

    /// No more journals come, and what has not been merged of them is nobody's.
    pub fn stop(&mut self) {
        self.merge = None;
        self.cuts.clear();
    }

    /// A shard has journalled this, behind all that it has before. What comes while it is off was on its way.
    pub fn take(&mut self, shard: ShardId, entry: Entry) {
        if let Some(merge) = &mut self.merge {
            merge.take(shard, entry);
        }
    }

    /// How much of a shard's journal was taken in: see [`Source::has_merged`]. Nothing while it is off.
    pub fn taken(&self, shard: ShardId) -> u64 {
        self.merge.as_ref().map_or(0, |merge| merge.taken(shard))
    }

    /// Whether so much of a shard's journal is in the stream.
    pub fn has_merged(&self, shard: ShardId, count: u64) -> bool {
        self.merge.as_ref().is_none_or(|merge| merge.has_merged(shard, count))
    }

    /// Bytes that wait for what others have to say.
    pub fn waiting_bytes(&self) -> usize {
        self.merge.as_ref().map_or(0, Merge::waiting_bytes)
    }

    /// Puts into the stream what can be, as [`Source::merge`] does. Of the stream all that is behind `keep` stays, if any, as far as
    /// a ring of `bytes_max` holds that.
    pub fn merge_keeping(&mut self, keep: Option<u64>, bytes_max: usize) -> Result<bool, MeetingError> {
        self.merge_by(|backlog, more| {
            let Some(keep) = keep.filter(|keep| *keep >= backlog.start()) else { return };
            let needed = ((backlog.end() - keep) as usize).saturating_add(more);
            if needed > backlog.capacity() && backlog.capacity() < bytes_max {
                backlog.resize(needed.next_power_of_two().min(bytes_max));
            }
        })
    }

    /// Puts into the stream what can be. Says whether there is more of it than before. Errors: the journals do not fit each other; it
    /// is off then, and whoever follows must begin anew.
    pub fn merge(&mut self) -> Result<bool, MeetingError> {
        self.merge_by(|_, _| {})
    }

    /// The same; `make_room` comes before so many bytes are put in.
    fn merge_by(&mut self, make_room: impl FnOnce(&mut Backlog, usize)) -> Result<bool, MeetingError> {
        let Some(merge) = &mut self.merge else { return Ok(false) };
        if let Err(error) = merge.merge(&mut self.merged) {
            self.stop();
            self.merged = Merged::default();
            return Err(error);
        }
        let start = self.backlog.end();
        make_room(&mut self.backlog, self.merged.bytes.len());
        self.backlog.append(&self.merged.bytes);
        for (number, bytes) in self.merged.cuts.drain(..) {
            self.cuts.push_back((number, start + bytes as u64));
        }
        while self.cuts.len() > CUTS_MAX {
            self.cuts.pop_front();
        }
        self.merged.bytes.clear();
        self.merged.bytes.shrink_to(KEPT_BYTES);
        Ok(self.backlog.end() > start)
    }

    /// Where in the stream a cut is: who has the data of the cut goes on from there. `None` if not all journals were merged up to
    /// it, or it is long ago.
    pub fn place_of(&self, cut: u64) -> Option<Position> {
        let (_, offset) = self.cuts.iter().find(|(number, _)| *number == cut)?;
        Some(Position { replid: self.backlog.replid(), offset: *offset })
    }

    /// Has replicas hear from their master at least every `each_ms` (`repl-ping-replica-period`). Returns when to call it again.
    pub fn ping(&mut self, each_ms: u64, now_ms: u64) -> u64 {
        if self.is_on() && now_ms >= self.last_ping_ms + each_ms {
            self.last_ping_ms = now_ms;
            self.append(&[b"PING"]);
        }
        self.last_ping_ms + each_ms
    }

    /// Asks all replicas how far they are.
    pub fn ask(&mut self) {
        if self.is_on() {
            self.append(&[b"REPLCONF", b"GETACK", b"*"]);
        }
    }

    fn append(&mut self, words: &[&[u8]]) {
        let mut bytes = Vec::new();
        Commands::new(&mut bytes).command(words.iter().copied());
        self.backlog.append(&bytes);
    }
}

/// Clients that wait until so many replicas have what they had written (WAIT); `T` is who.
#[derive(Debug)]
pub struct Waits<T>(Vec<Wait<T>>);

#[derive(Debug)]
struct Wait<T> {
    who: T,
    offset: u64,
    replicas: usize,
    until_ms: Option<u64>,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Waits<T> {
    /// Somebody waits for so many replicas to have the stream up to `offset`, for ever without `until_ms`.
    pub fn add(&mut self, who: T, offset: u64, replicas: usize, until_ms: Option<u64>) {
        self.0.push(Wait { who, offset, replicas, until_ms });
    }

    /// Those of whom this is true wait no longer, and are not served: who they are.
    pub fn forget(&mut self, is: impl Fn(&T) -> bool) -> Vec<T> {
        self.0.extract_if(.., |wait| is(&wait.who)).map(|wait| wait.who).collect()
    }

    /// All who wait.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|wait| &mut wait.who)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next time at which somebody waits no longer.
    pub fn deadline(&self) -> Option<u64> {
        self.0.iter().filter_map(|wait| wait.until_ms).min()
    }

    /// Who waits no longer, with how many replicas there are that have it: enough of them, or the time is up. `acknowledged`: how far
    /// each replica says that it is.
    pub fn served(&mut self, acknowledged: &[u64], now_ms: u64) -> Vec<(T, usize)> {
        let have = |_: &T, offset| acknowledged.iter().filter(|have| **have >= offset).count();
        self.served_by(have, |_| true, now_ms)
    }

    /// The same; `have` says how many replicas have what somebody waits for, up to this offset, and `is_ready` whether there is what is waited
    /// for besides.
    pub fn served_by(
        &mut self,
        have: impl Fn(&T, u64) -> usize,
        is_ready: impl Fn(&T) -> bool,
        now_ms: u64,
    ) -> Vec<(T, usize)> {
        let is_over = |wait: &mut Wait<T>| {
            (is_ready(&wait.who) && have(&wait.who, wait.offset) >= wait.replicas)
                || wait.until_ms.is_some_and(|until| until <= now_ms)
        };
        let over: Vec<Wait<T>> = self.0.extract_if(.., is_over).collect();
        over.into_iter()
            .map(|wait| {
                let count = have(&wait.who, wait.offset);
                (wait.who, count)
            })
            .collect()
    }
}

/// Cuts whose places are remembered.
const CUTS_MAX: usize = 64;
/// Bytes of a buffer that are kept when it is empty.
const KEPT_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ReplId {
        ReplId::parse(&[byte; 40]).expect("an id")
    }

    fn source() -> Source {
        Source::new(Backlog::new(id(b'a'), 100, 1024))
    }

    fn plain(word: &str) -> Entry {
        let mut bytes = Vec::new();
        Commands::new(&mut bytes).command([&b"DEL"[..], word.as_bytes()].into_iter());
        Entry::Plain(bytes)
    }

    const LINE: u64 = "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n".len() as u64;
    /// Behind a cut it has its database before it.
    const SELECT: u64 = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".len() as u64;

    #[test]
    fn what_is_journalled_is_in_the_ring_and_cuts_have_their_places() {
        let mut source = source();
        source.take(ShardId(0), plain("k"));
        assert_eq!(source.merge(), Ok(false), "it is off");
        source.start(2, id(b'b'), 0);
        assert_eq!((source.backlog().replid(), source.backlog().end()), (id(b'b'), 101));
        source.take(ShardId(0), plain("k"));
        assert_eq!(source.merge(), Ok(true));
        source.take(ShardId(0), Entry::Cut(7));
        source.take(ShardId(0), plain("k"));
        assert_eq!(source.merge(), Ok(false), "the other's cut has not come");
        assert_eq!(source.place_of(7), None);
        source.take(ShardId(1), plain("k"));
        source.take(ShardId(1), Entry::Cut(7));
        assert_eq!(source.merge(), Ok(true));
        let place = Position { replid: id(b'b'), offset: 101 + SELECT + 2 * LINE };
        assert_eq!(source.place_of(7), Some(place));
        assert_eq!(source.backlog().end(), 101 + 2 * SELECT + 3 * LINE);
        assert_eq!(source.place_of(6), None);
    }

    #[test]
    fn the_ring_grows_for_who_reads_slowly_and_to_its_bound_alone() {
        let mut source = source();
        source.start(1, id(b'b'), 0);
        let first = source.backlog().end();
        for _ in 0..198 {
            source.take(ShardId(0), plain("k"));
            source.merge_keeping(Some(first), 4000).expect("they fit");
        }
        assert_eq!(source.backlog().capacity(), 4000);
        assert_eq!(source.backlog().start(), first);
        source.take(ShardId(0), plain("k"));
        source.merge_keeping(Some(first), 4000).expect("they fit");
        assert_eq!(source.backlog().start(), first + SELECT + 199 * LINE - 4000);
        source.take(ShardId(0), plain("k"));
        source.merge_keeping(None, 9000).expect("they fit");
        assert_eq!(source.backlog().capacity(), 4000, "nobody reads");
    }

    #[test]
    fn what_has_to_meet_others_has_not_gone_out() {
        let mut source = source();
        assert!(source.has_merged(ShardId(1), 5), "it is off");
        source.start(2, id(b'b'), 0);
        source.take(ShardId(0), plain("k"));
        let whole =
            Entry::Whole { tx: aof::TxNumber(1), participants: [ShardId(1)].into(), commands: Vec::new() };
        source.take(ShardId(0), whole);
        source.merge().expect("they fit");
        assert_eq!((source.taken(ShardId(0)), source.taken(ShardId(1))), (2, 0));
        assert!(source.has_merged(ShardId(0), 1) && !source.has_merged(ShardId(0), 2));
        source.take(ShardId(1), Entry::Marker { tx: aof::TxNumber(1), home: ShardId(0) });
        source.merge().expect("they fit");
        assert!(source.has_merged(ShardId(0), 2) && source.has_merged(ShardId(1), 1));
    }

    #[test]
    fn nobody_resumes_across_a_gap() {
        let mut source = source();
        source.start(1, id(b'b'), 0);
        source.take(ShardId(0), plain("k"));
        source.merge().expect("they fit");
        let end = source.backlog().end();
        assert_eq!(source.backlog().resume(id(b'b'), end + 1), Some(end));
        source.stop();
        source.take(ShardId(0), plain("k"));
        source.start(1, id(b'c'), 0);
        assert_eq!(source.backlog().resume(id(b'b'), end + 1), None);
        assert_eq!(source.backlog().end(), end + 1);
    }

    #[test]
    fn journals_that_do_not_fit_end_it() {
        let mut source = source();
        source.start(2, id(b'b'), 0);
        source.take(ShardId(0), Entry::Cut(1));
        source.take(ShardId(1), Entry::Cut(2));
        assert!(source.merge().is_err() && !source.is_on());
        assert_eq!(source.merge(), Ok(false));
    }

    #[test]
    fn replicas_hear_from_their_master_though_nothing_is_written() {
        let mut source = source();
        assert_eq!(source.ping(10_000, 50_000), 10_000, "nobody is there to hear it");
        source.start(1, id(b'b'), 50_000);
        let end = source.backlog().end();
        assert_eq!(source.ping(10_000, 59_999), 60_000);
        assert_eq!(source.backlog().end(), end);
        assert_eq!(source.ping(10_000, 60_000), 70_000);
        assert_eq!(source.backlog().read(end), Ok(&b"*1\r\n$4\r\nPING\r\n"[..]));
        source.ask();
        assert!(source.backlog().end() > end + 14);
    }

    #[test]
    fn who_waits_is_served_when_enough_have_it_or_the_time_is_up() {
        let mut waits = Waits::default();
        waits.add("one", 100, 1, Some(5000));
        waits.add("two", 200, 2, Some(3000));
        waits.add("ever", 200, 3, None);
        assert_eq!(waits.deadline(), Some(3000));
        assert!(waits.served(&[99, 50], 0).is_empty());
        assert_eq!(waits.served(&[100, 50], 0), [("one", 1)]);
        assert!(waits.served(&[200, 199], 2999).is_empty());
        assert_eq!(waits.served(&[200, 199], 3000), [("two", 1)]);
        assert_eq!((waits.deadline(), waits.is_empty()), (None, false));
        waits.add("gone", 0, 0, None);
        assert_eq!(waits.forget(|who| *who == "gone"), ["gone"]);
        assert_eq!(waits.served(&[200, 200, 300], u64::MAX), [("ever", 3)]);
        assert!(waits.is_empty());
        waits.add("own disk", 0, 0, Some(50));
        assert!(waits.served_by(|_, _| 1, |_| false, 49).is_empty());
        assert_eq!(waits.served_by(|_, _| 1, |_| false, 50), [("own disk", 1)]);
    }
}
