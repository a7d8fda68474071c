//! How replies look on the way to a client: little-endian words.

use crate::history::{Key, Lists};

/// One reply: operation, whether it was cancelled, what it read.
pub(crate) fn encode(buf: &mut Vec<u8>, op: usize, never: bool, reads: &Lists) {
    let mut put = |word: u32| buf.extend_from_slice(&word.to_le_bytes());
    put(op as u32);
    put(u32::from(never));
    put(reads.len() as u32);
    for (&key, list) in reads {
        put(key);
        put(list.len() as u32);
        list.iter().for_each(|&value| put(value));
    }
}

/// A reply as its client reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Whose it is.
    pub(crate) op: usize,
    /// Promised not to have happened.
    pub(crate) never: bool,
    /// What it read.
    pub(crate) reads: Lists,
}

/// All replies in `bytes`; panics when they end in the middle of one.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Decoded> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "replies are words");
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
    let mut decoded = Vec::new();
    while let Some(op) = words.next() {
        let mut next = || words.next().expect("a whole reply");
        let (never, lists) = (next() == 1, next());
        let reads = (0..lists)
            .map(|_| {
                let (key, len) = (next() as Key, next());
                (key, (0..len).map(|_| next()).collect())
            })
            .collect();
        decoded.push(Decoded { op: op as usize, never, reads });
    }
    decoded
}
