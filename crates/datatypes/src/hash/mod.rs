//! Hashes: fields with values, some of which may expire.
//!
//! ```text
//!  compact, no expiry     field value field value ...                          OBJECT ENCODING listpack
//!  compact, with expiry   field value expiry field value expiry ...            listpackex
//!  large                  a table of fields, and the order of those that expire   hashtable
//! ```
//! A hash starts as the first, becomes the second with its first expiry, and large when it passes a threshold of
//! [`Limits`](crate::Limits); it never goes back. A field whose time has come is there until it is removed: reading
//! tells its expiry, and whoever asks for it must look ([`Field::due`]).
//!
//! Source of thresholds and order: Redis's `t_hash.c` (7.2; field expiry 7.4).

mod compact;
mod dues;
mod edit;
mod large;

pub use dues::Dues;
pub use edit::{HashMut, KeepExpiry};
pub use large::Hash;

use crate::Element;
use crate::object::LargeValue;
use compact::Run;
use stdx::{Rng, UnixMs};

/// One field of a hash. What a large hash keeps is bytes, even where they spell an integer: compare texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Element<'a>,
    /// Its value.
    pub value: Element<'a>,
    /// When it expires.
    pub expiry: Option<UnixMs>,
}

impl Field<'_> {
    /// Whether its time has come, so that it counts as gone.
    #[inline]
    pub fn due(&self, now: UnixMs) -> bool {
        self.expiry.is_some_and(|at| at <= now)
    }
}

/// A hash, read only.
#[derive(Clone, Copy, Debug)]
pub enum HashRef<'a> {
    /// Packed field and value in turn.
    Compact(&'a [u8]),
    /// Packed field, value and expiry in turn.
    CompactTtl(&'a [u8]),
    /// A structure of its own.
    Large(&'a Hash),
}

impl<'a> HashRef<'a> {
    /// How many fields there are, those included that are due and were not removed yet.
    #[inline]
    pub fn len(self) -> usize {
        match self.view() {
            View::Compact(run) => run.len(),
            View::Large(hash) => hash.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        match self.view() {
            View::Compact(run) => run.bytes.is_empty(),
            View::Large(hash) => hash.len() == 0,
        }
    }

    /// How many fields there are that are not due.
    pub fn live_len(self, now: UnixMs) -> usize {
        match self.view() {
            View::Compact(run) => run.len() - compact::due(run, now, usize::MAX).1,
            View::Large(hash) => hash.len() - hash.due_len(now),
        }
    }

    /// OBJECT ENCODING's word.
    pub fn encoding(self) -> &'static str {
        match self {
            Self::Compact(_) => "listpack",
            Self::CompactTtl(_) => "listpackex",
            Self::Large(_) => "hashtable",
        }
    }

    /// The field of this name, due or not.
    #[inline]
    pub fn field(self, name: &[u8]) -> Option<Field<'a>> {
        match self.view() {
            View::Compact(run) => run.locate(Element::of(name)).ok().map(|at| run.field_at(at).0),
            View::Large(hash) => hash.field(name),
        }
    }

    /// The value of the field of this name, unless it is due.
    #[inline]
    pub fn get(self, name: &[u8], now: UnixMs) -> Option<Element<'a>> {
        self.field(name).filter(|field| !field.due(now)).map(|field| field.value)
    }

    /// All fields, due ones included; compact ones in their order.
    pub fn iter(self) -> impl Iterator<Item = Field<'a>> {
        // One of the two is empty: no dispatch, and no box.
        let (run, hash) = match self.view() {
            View::Compact(run) => (Some(run.fields()), None),
            View::Large(hash) => (None, Some(hash.fields())),
        };
        run.into_iter().flatten().chain(hash.into_iter().flatten())
    }

    /// When the next field is due; `None` when none expires.
    #[inline]
    pub fn next_due(self) -> Option<UnixMs> {
        match self.view() {
            View::Compact(run) => run.next_due(),
            View::Large(hash) => hash.next_due(),
        }
    }

    /// A random field, due ones included; all are equally likely. `None` when there is none.
    pub fn random(self, rng: &mut Rng) -> Option<Field<'a>> {
        match self.view() {
            View::Compact(run) if run.bytes.is_empty() => None,
            View::Compact(run) => run.fields().nth(rng.index(run.len())),
            View::Large(hash) => hash.random(rng),
        }
    }

    /// Visits about `count` fields from `cursor` on, due ones included, and returns where to go on: 0 after the last.
    /// A field that is there from the first call of a scan to the last is visited. A compact hash is visited whole.
    pub fn scan(self, cursor: u64, count: usize, visit: &mut dyn FnMut(Field<'_>)) -> u64 {
        match self.view() {
            View::Compact(run) => {
                run.fields().for_each(visit);
                0
            }
            View::Large(hash) => hash.scan(cursor, count, visit),
        }
    }

    #[inline]
    fn view(self) -> View<'a> {
        match self {
            Self::Compact(bytes) => View::Compact(Run { bytes, timed: false }),
            Self::CompactTtl(bytes) => View::Compact(Run { bytes, timed: true }),
            Self::Large(hash) => View::Large(hash),
        }
    }
}

enum View<'a> {
    Compact(Run<'a>),
    Large(&'a Hash),
}
