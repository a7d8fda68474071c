//! Values of any kind: owned, borrowed, and what the large ones have in common.

use crate::place::{Place, Stored};
use crate::{Form, Hash, HashRef, Kind, List, ListRef, Set, SetRef, Stream, ZSet, ZSetRef};
use std::fmt::Debug;
use stdx::size::good_size;

/// A string value as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    /// The canonical decimal form of an i64, kept as the number (encoding "int").
    Int(i64),
    /// Bytes (encodings "embstr" up to 44 bytes, "raw" above or after APPEND and SETRANGE).
    Bytes(&'a [u8]),
}

/// What every large structure can do.
pub trait LargeValue: Debug + Clone {
    /// Bytes of memory that it takes beyond its own `size_of`, in whole blocks of the allocator
    /// ([`good_size`]); kept up to date, so that asking costs nothing.
    fn memory(&self) -> usize;

    /// How many elements it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many elements and parts beside them are to be freed.
    fn pieces(&self) -> usize {
        self.len()
    }

    /// Frees about `budget` elements, and says whether there are any left. What it holds after the first call is of
    /// no use any more.
    fn dismantle(&mut self, budget: usize) -> bool;
}

/// A value in a structure of its own.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "boxed wherever it is kept, and each box holds one kind for good"
)]
pub enum Large {
    /// A list of many or of long elements.
    List(List),
    /// A hash of many or of long fields.
    Hash(Hash),
    /// A set of many or of long members.
    Set(Set),
    /// A sorted set of many or of long members.
    ZSet(ZSet),
    /// A stream.
    Stream(Stream),
}

macro_rules! each {
    ($large:expr, $value:ident => $then:expr) => {
        match $large {
            Large::List($value) => $then,
            Large::Hash($value) => $then,
            Large::Set($value) => $then,
            Large::ZSet($value) => $then,
            Large::Stream($value) => $then,
        }
    };
}

impl Large {
    /// Its form.
    pub fn form(&self) -> Form {
        match self {
            Self::List(_) => Form::List,
            Self::Hash(_) => Form::Hash,
            Self::Set(_) => Form::Set,
            Self::ZSet(_) => Form::ZSet,
            Self::Stream(_) => Form::Stream,
        }
    }

    /// Bytes of memory that it takes in a box.
    pub fn memory(&self) -> usize {
        const BOX_BYTES: usize = good_size(size_of::<Large>());
        BOX_BYTES + each!(self, value => value.memory())
    }

    /// How many elements it holds.
    pub fn len(&self) -> usize {
        each!(self, value => value.len())
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fetches the field of a hash, the member of a set, or both ends of a list into the cache, for it will be looked for soon.
    #[inline]
    pub fn prefetch(&self, element: &[u8]) {
        match self {
            Self::Hash(hash) => hash.prefetch(element),
            Self::Set(set) => set.members().prefetch(element),
            Self::List(list) => list.prefetch_ends(),
            Self::ZSet(_) | Self::Stream(_) => {}
        }
    }

    /// See [`LargeValue::pieces`].
    pub fn pieces(&self) -> usize {
        each!(self, value => value.pieces())
    }

    /// See [`LargeValue::dismantle`].
    pub fn dismantle(&mut self, budget: usize) -> bool {
        each!(self, value => value.dismantle(budget))
    }
}

/// An owned value that is not a string.
#[derive(Clone, Debug)]
pub enum Object {
    /// A run of bytes, which the form gives a meaning.
    Compact(Form, Vec<u8>),
    /// A structure of its own.
    Large(Box<Large>),
}

impl Object {
    /// An empty value of a kind that is not String.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::String => panic!("a string is no object"),
            Kind::Stream => Self::Large(Box::new(Large::Stream(Default::default()))),
            kind => Self::Compact(kind.into(), Vec::new()),
        }
    }
}

impl Place for Object {
    fn stored(&self) -> Stored<'_> {
        match self {
            Self::Compact(form, bytes) => Stored::Compact(*form, bytes),
            Self::Large(large) => Stored::Large(large),
        }
    }

    fn gap(&mut self, at: usize, remove: usize, insert: usize) -> &mut [u8] {
        let Self::Compact(_, bytes) = self else { panic!("a gap in a large value") };
        open_gap(bytes, at, remove, insert)
    }

    fn large_mut(&mut self) -> &mut Large {
        match self {
            Self::Large(large) => large,
            Self::Compact(form, _) => panic!("a compact {form:?} is not large"),
        }
    }

    fn set_compact(&mut self, form: Form, bytes: &[u8]) {
        match self {
            Self::Compact(old_form, old) => {
                *old_form = form;
                old.clear();
                old.extend_from_slice(bytes);
            }
            Self::Large(_) => *self = Self::Compact(form, bytes.to_vec()),
        }
    }

    fn set_large(&mut self, large: Large) -> Option<Box<Large>> {
        match std::mem::replace(self, Self::Large(Box::new(large))) {
            Self::Large(old) => Some(old),
            Self::Compact(..) => None,
        }
    }
}

/// [`Place::gap`] for bytes in a vector.
pub fn open_gap(bytes: &mut Vec<u8>, at: usize, remove: usize, insert: usize) -> &mut [u8] {
    let (len, tail) = (bytes.len(), at + remove);
    assert!(tail <= len, "a gap past the end: {at} + {remove} of {len}");
    if insert > remove {
        bytes.resize(len + (insert - remove), 0);
        bytes.copy_within(tail..len, at + insert);
    } else {
        bytes.copy_within(tail..len, at + insert);
        bytes.truncate(len - (remove - insert));
    }
    &mut bytes[at..at + insert]
}

/// An owned value of any kind: what RESTORE reads.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// Anything else.
    Object(Object),
}

impl Value {
    /// Borrows it.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Self::Object(object) => ValueRef::of(object.stored()),
        }
    }
}

/// A value of any kind, read only.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A list.
    List(ListRef<'a>),
    /// A set.
    Set(SetRef<'a>),
    /// A sorted set.
    ZSet(ZSetRef<'a>),
    /// A hash.
    Hash(HashRef<'a>),
    /// A stream.
    Stream(&'a Stream),
}

impl<'a> ValueRef<'a> {
    /// The value that is stored so.
    #[inline]
    pub fn of(stored: Stored<'a>) -> Self {
        match stored {
            Stored::Compact(form, bytes) => match form {
                Form::String => Self::String(StringRef::Bytes(bytes)),
                Form::List => Self::List(ListRef::Compact(bytes)),
                Form::Set => Self::Set(SetRef::Packed(bytes)),
                Form::IntSet => Self::Set(SetRef::Ints(bytes)),
                Form::ZSet => Self::ZSet(ZSetRef::Compact(bytes)),
                Form::Hash => Self::Hash(HashRef::Compact(bytes)),
                Form::HashTtl => Self::Hash(HashRef::CompactTtl(bytes)),
                Form::Stream => unreachable!("a stream is always large"),
            },
            Stored::Large(large) => match large {
                Large::List(list) => Self::List(ListRef::Large(list)),
                Large::Set(set) => Self::Set(SetRef::Large(set)),
                Large::ZSet(zset) => Self::ZSet(ZSetRef::Large(zset)),
                Large::Hash(hash) => Self::Hash(HashRef::Large(hash)),
                Large::Stream(stream) => Self::Stream(stream),
            },
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::ZSet(_) => Kind::ZSet,
            Self::Hash(_) => Kind::Hash,
            Self::Stream(_) => Kind::Stream,
        }
    }
}
