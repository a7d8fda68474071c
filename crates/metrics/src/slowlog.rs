//! The slow log: the last commands that took long. A ring per core; the numbers of its entries are drawn from one
//! counter of the process, so that the rings of all cores can be merged in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use stdx::Args;

/// How many arguments of a command are kept, the note of how many are missing included.
pub const ARGS_MAX: usize = 32;
/// How many bytes of an argument are kept.
pub const ARG_BYTES_MAX: usize = 128;

/// The slow commands of one core, newest first.
#[derive(Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<SlowEntry>,
    next_id: Arc<AtomicU64>,
}

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// Its number; rises over all cores.
    pub id: u64,
    /// When it ended, in seconds since the Unix epoch.
    pub time_s: i64,
    /// How long it ran.
    pub micros: u64,
    /// Its arguments, cut at [`ARGS_MAX`] and [`ARG_BYTES_MAX`].
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub addr: String,
    /// The client's name.
    pub name: String,
}

impl Slowlog {
    /// An empty log whose entries take their numbers from `next_id`.
    pub fn new(next_id: Arc<AtomicU64>) -> Self {
        Self { entries: VecDeque::new(), next_id }
    }

    /// Adds a command and drops the oldest ones past `len_max` (slowlog-max-len).
    pub fn push(&mut self, args: Args<'_>, time_s: i64, micros: u64, client: (&str, &str), len_max: usize) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (addr, name) = (client.0.to_owned(), client.1.to_owned());
        self.entries.push_front(SlowEntry { id, time_s, micros, args: shortened(args), addr, name });
        self.entries.truncate(len_max);
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// Forgets all entries (SLOWLOG RESET); numbers go on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

/// A command's arguments as the log keeps them: at most 32, of at most 128 bytes each, with a note of what is missing.
fn shortened(args: Args<'_>) -> Vec<Vec<u8>> {
    let kept = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut short: Vec<Vec<u8>> = args.iter().take(kept).map(shortened_arg).collect();
    if kept < args.len() {
        short.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    short
}

fn shortened_arg(arg: &[u8]) -> Vec<u8> {
    let mut short = arg[..arg.len().min(ARG_BYTES_MAX)].to_vec();
    if short.len() < arg.len() {
        short.extend_from_slice(format!("... ({} more bytes)", arg.len() - short.len()).as_bytes());
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::args::OwnedArgs;

    fn push(log: &mut Slowlog, parts: &[&[u8]], len_max: usize) {
        log.push(OwnedArgs::new(parts).as_args(), 1, 2, ("127.0.0.1:5", "me"), len_max);
    }

    #[test]
    fn numbers_are_drawn_from_one_counter_and_the_oldest_entries_go() {
        let ids = Arc::new(AtomicU64::new(0));
        let (mut here, mut there) = (Slowlog::new(ids.clone()), Slowlog::new(ids));
        push(&mut here, &[b"a"], 2);
        push(&mut there, &[b"b"], 2);
        push(&mut here, &[b"c"], 2);
        push(&mut here, &[b"d"], 2);
        assert_eq!(here.iter().map(|entry| entry.id).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(there.iter().map(|entry| entry.id).collect::<Vec<_>>(), [1]);
        push(&mut there, &[b"e"], 0);
        assert_eq!(there.iter().len(), 0);
    }

    #[test]
    fn long_commands_are_cut_with_a_note() {
        let mut log = Slowlog::default();
        push(&mut log, &[b"x".as_slice(); 33], 10);
        push(&mut log, &[b"set", &[b'y'; 130]], 10);
        push(&mut log, &[b"x".as_slice(); 32], 10);
        let args: Vec<_> = log.iter().map(|entry| entry.args.clone()).collect();
        assert_eq!(args[0].len(), 32);
        assert_eq!(args[1][1], [&[b'y'; 128][..], b"... (2 more bytes)"].concat());
        assert_eq!((args[2].len(), &args[2][31][..]), (32, &b"... (2 more arguments)"[..]));
    }
}
