//! How replies look on the way to a client: little-endian words.

use crate::history::{Access, Key, Trace};

/// One reply: operation, whether it did nothing, what it saw and did.
pub(crate) fn encode(buf: &mut Vec<u8>, op: usize, never: bool, trace: &Trace) {
    let mut put = |word: u32| buf.extend_from_slice(&word.to_le_bytes());
    put(op as u32);
    put(u32::from(never));
    put(trace.len() as u32);
    for access in trace {
        match access {
            Access::List(key, list) => {
                [LIST, *key, list.len() as u32].into_iter().for_each(&mut put);
                list.iter().for_each(|&value| put(value));
            }
            Access::Append(key, value) => [APPEND, *key, *value].into_iter().for_each(&mut put),
            Access::Set(..) | Access::Get(..) => unreachable!("the store holds lists"),
        }
    }
}

const LIST: u32 = 0;
const APPEND: u32 = 1;

/// A reply as its client reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Whose it is.
    pub(crate) op: usize,
    /// Promised not to have happened.
    pub(crate) never: bool,
    /// What it saw and did.
    pub(crate) trace: Trace,
}

/// All replies in `bytes`; panics when they end in the middle of one.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Decoded> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "replies are words");
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
    let mut decoded = Vec::new();
    while let Some(op) = words.next() {
        let mut next = || words.next().expect("a whole reply");
        let (never, accesses) = (next() == 1, next());
        let trace = (0..accesses).map(|_| decode_access(&mut next)).collect();
        decoded.push(Decoded { op: op as usize, never, trace });
    }
    decoded
}

fn decode_access(next: &mut impl FnMut() -> u32) -> Access {
    match (next(), next() as Key, next()) {
        (LIST, key, len) => Access::List(key, (0..len).map(|_| next()).collect()),
        (APPEND, key, value) => Access::Append(key, value),
        (tag, ..) => unreachable!("no access is tagged {tag}"),
    }
}
