//! A value that is being read: built up element by element as its bytes come, so that it never exists twice.
//!
//! A step reads one element, or one field with its value, or nothing: when the bytes end within it, it fails with
//! [`Error::Short`] and the input is put back to where the step began. What was built so far stays.

use crate::error::Error;
use crate::kinds::{self, Family};
use crate::length::{Head, Input, Text};
use crate::lzf::Unpacker;
use crate::packed::{self, Packed};
use crate::stream_read::StreamBuild;
use datatypes::hash::KeepExpiry;
use datatypes::zset::{self, AddRule};
use datatypes::{HashMut, Kind, Limits, Object, SetMut, Value, ZSetMut, list};
use stdx::UnixMs;

/// A value of which a beginning was read.
#[derive(Debug)]
pub(crate) struct Build {
    kind: u8,
    family: Family,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing was read.
    Begin,
    /// A string of which so many bytes are missing.
    Text(Vec<u8>, usize),
    /// A compressed string of which so many compressed bytes are missing.
    Unpack(Unpacker, usize),
    /// So many elements, or nodes, are missing.
    List(list::Builder, u64),
    Set(Object, u64),
    ZSet(ZSetBuild),
    Hash(HashBuild),
    Stream(Box<StreamBuild>),
}

#[derive(Debug)]
struct ZSetBuild {
    object: Object,
    left: u64,
    count: u64,
    /// Bytes of the longest member.
    longest: usize,
}

#[derive(Debug)]
struct HashBuild {
    object: Object,
    left: u64,
    expiries: Expiries,
}

/// When fields expire: how that is said.
#[derive(Clone, Copy, Debug)]
enum Expiries {
    None,
    /// Before the field, counted from this; 0 for one that does not.
    Since(i64),
    /// Behind its value, as a time; -1 for one that does not.
    Times,
}

impl Build {
    /// A value of the type that has this number in such a file. Errors: `Kind` for what is no value.
    #[inline]
    pub(crate) fn new(kind: u8, family: Family) -> Result<Self, Error> {
        if !kinds::is_value(kind, family) {
            return Err(Error::Kind { kind });
        }
        Ok(Self { kind, family, state: State::Begin })
    }

    /// Goes on reading. Errors: `Short` when the bytes end before the value does: to be called again with more, from
    /// where the input stands then. All others are final.
    #[inline]
    pub(crate) fn run(&mut self, input: &mut Input<'_>, limits: &Limits) -> Result<Value, Error> {
        loop {
            let mark = input.at();
            match self.step(input, limits) {
                Ok(Some(value)) => return Ok(value),
                Ok(None) => {}
                Err(error) => {
                    if matches!(error, Error::Short { .. }) {
                        input.rewind(mark);
                    }
                    return Err(error);
                }
            }
        }
    }

    #[inline]
    fn step(&mut self, input: &mut Input<'_>, limits: &Limits) -> Result<Option<Value>, Error> {
        let object = match &mut self.state {
            State::Begin => return self.begin(input, limits),
            State::Text(bytes, left) => {
                let some = input.take_some(*left)?;
                bytes.extend_from_slice(some);
                *left -= some.len();
                let whole = (*left == 0).then(|| std::mem::take(bytes));
                return Ok(whole.map(Value::String));
            }
            State::Unpack(unpacker, left) => return unpack(unpacker, left, input),
            State::List(list, 0) if list.is_empty() => return Err(Error::Empty { at: input.at() }),
            State::List(list, 0) => std::mem::take(list).finish(limits),
            State::List(list, left) => {
                list_element(self.kind, list, input)?;
                *left -= 1;
                return Ok(None);
            }
            State::Set(object, 0) => take(object),
            State::Set(object, left) => {
                set_member(object, input, limits)?;
                *left -= 1;
                return Ok(None);
            }
            State::ZSet(zset) if zset.left == 0 => zset.finish(limits),
            State::ZSet(zset) => {
                zset.member(self.kind, input, limits)?;
                return Ok(None);
            }
            State::Hash(hash) if hash.left == 0 => take(&mut hash.object),
            State::Hash(hash) => {
                hash.field(input, limits)?;
                return Ok(None);
            }
            State::Stream(stream) => match stream.step(input)? {
                Some(stream) => stream,
                None => return Ok(None),
            },
        };
        Ok(Some(Value::Object(object)))
    }

    /// Reads the value's beginning: all of it where it is one string.
    fn begin(&mut self, input: &mut Input<'_>, limits: &Limits) -> Result<Option<Value>, Error> {
        let object = match self.kind {
            kinds::STRING => return self.text(input),
            kinds::LIST | kinds::LIST_QUICKLIST | kinds::LIST_QUICKLIST_2 => {
                self.state = State::List(list::Builder::default(), some(input, 1)?);
                return Ok(None);
            }
            kinds::SET => {
                let count = some(input, 1)?;
                self.state = State::Set(empty_set(count, limits), count);
                return Ok(None);
            }
            kinds::ZSET | kinds::ZSET_2 => {
                let count = some(input, 2)?;
                let mut object = Object::new(Kind::ZSet);
                // It becomes compact, as in Redis, when all of it is known: a compact set has no -0.
                ZSetMut::new(&mut object, limits).expect(usize::MAX, 0);
                self.state = State::ZSet(ZSetBuild { object, left: count, count, longest: 0 });
                return Ok(None);
            }
            kinds::HASH_2 if self.family == Family::Valkey => return self.hash(Expiries::Times, input),
            kinds::HASH => return self.hash(Expiries::None, input),
            kinds::HASH_METADATA_EARLY => return self.hash(Expiries::Since(0), input),
            kinds::HASH_METADATA => {
                let since = input.millis()?.saturating_sub(1);
                return self.hash(Expiries::Since(since), input);
            }
            kinds::STREAM | kinds::STREAM_2 | kinds::STREAM_3 => {
                let format = match self.kind {
                    kinds::STREAM => 1,
                    kinds::STREAM_2 => 2,
                    _ => 3,
                };
                self.state = State::Stream(Box::new(StreamBuild::new(format, input)?));
                return Ok(None);
            }
            kind => packed::value(kind, input, limits)?,
        };
        Ok(Some(Value::Object(object)))
    }

    fn hash(&mut self, expiries: Expiries, input: &mut Input<'_>) -> Result<Option<Value>, Error> {
        let least = match expiries {
            Expiries::None => 2,
            Expiries::Since(_) => 3,
            Expiries::Times => 2 + size_of::<i64>() as u64,
        };
        let left = some(input, least)?;
        self.state = State::Hash(HashBuild { object: Object::new(Kind::Hash), left, expiries });
        Ok(None)
    }

    /// A string, or what is there of it.
    #[inline]
    fn text(&mut self, input: &mut Input<'_>) -> Result<Option<Value>, Error> {
        let start = input.at();
        let head = input.head()?;
        let len = match head {
            Head::Int(int) => return Ok(Some(Value::String(int.to_string().into_bytes()))),
            Head::Bytes(len) | Head::Packed { packed: len, .. } => len,
        };
        if len <= input.left() {
            input.rewind(start);
            return Ok(Some(Value::String(input.string()?.into_owned())));
        }
        if input.expected() == 0 {
            return input.take(len).map(|_| None);
        }
        self.state = match head {
            Head::Packed { packed, len } => State::Unpack(Unpacker::new(len), packed),
            // What can follow in a file of known size may be allocated at once, so that it need not be moved.
            _ if input.expected() != u64::MAX => State::Text(Vec::with_capacity(len), len),
            _ => State::Text(Vec::with_capacity(len.min(ROOM_FIRST)), len),
        };
        Ok(None)
    }
}

fn take(object: &mut Object) -> Object {
    std::mem::replace(object, Object::Compact(datatypes::Form::Set, Vec::new()))
}

fn unpack(unpacker: &mut Unpacker, left: &mut usize, input: &mut Input<'_>) -> Result<Option<Value>, Error> {
    let mark = input.at();
    let some = input.take_some(*left)?;
    let used = unpacker.feed(some);
    let used = input.good(used, "compressed string")?;
    if used < some.len() && some.len() == *left {
        return Err(input.bad("compressed string"));
    }
    input.rewind(mark);
    if used == 0 {
        // What is there does not make a byte without what follows.
        return input.take(some.len() + 1).map(|_| None);
    }
    input.take(used)?;
    *left -= used;
    if *left > 0 {
        return Ok(None);
    }
    let whole = std::mem::replace(unpacker, Unpacker::new(0)).finish();
    input.good(whole, "compressed string").map(|bytes| Some(Value::String(bytes)))
}

fn list_element(kind: u8, list: &mut list::Builder, input: &mut Input<'_>) -> Result<(), Error> {
    let container = if kind == kinds::LIST_QUICKLIST_2 { input.len()? } else { kinds::NODE_PACKED };
    match container {
        kinds::NODE_PLAIN => list.push(input.text()?.element()),
        _ if kind == kinds::LIST => list.push(input.text()?.element()),
        kinds::NODE_PACKED => {
            let packed = if kind == kinds::LIST_QUICKLIST_2 { Packed::Listpack } else { Packed::Ziplist };
            packed::list_node(packed, list, input)?;
        }
        _ => return Err(input.bad("node of a list")),
    }
    Ok(())
}

/// A set that `count` members go into: as in Redis an array of integers until another one comes, or large from the
/// beginning.
pub(crate) fn empty_set(count: u64, limits: &Limits) -> Object {
    let mut object = Object::new(Kind::Set);
    let is_large = count > limits.set_max_intset_entries as u64;
    SetMut::new(&mut object, limits).expect(b"0", if is_large { usize::MAX } else { 0 });
    object
}

fn set_member(object: &mut Object, input: &mut Input<'_>, limits: &Limits) -> Result<(), Error> {
    let member = input.text()?;
    if SetMut::new(object, limits).add(member.bytes(&mut itoa::Buffer::new())) {
        Ok(())
    } else {
        Err(input.bad("set: a member comes twice"))
    }
}

impl ZSetBuild {
    fn member(&mut self, kind: u8, input: &mut Input<'_>, limits: &Limits) -> Result<(), Error> {
        let member = input.text()?;
        let score = if kind == kinds::ZSET { input.double_text()? } else { input.double()? };
        let mut room = itoa::Buffer::new();
        let member = member.bytes(&mut room);
        rank(&mut self.object, member, score, input, limits)?;
        self.longest = self.longest.max(member.len());
        self.left -= 1;
        Ok(())
    }

    fn finish(&mut self, limits: &Limits) -> Object {
        let object = take(&mut self.object);
        let (max, value_max) = (limits.zset_max_listpack_entries, limits.zset_max_listpack_value);
        if self.count > max as u64 || self.longest > value_max {
            return object;
        }
        let mut object = object;
        let zset = ZSetMut::new(&mut object, limits);
        let members: Vec<(Vec<u8>, f64)> = zset
            .get()
            .iter()
            .map(|(member, score)| (member.text(&mut itoa::Buffer::new()).to_vec(), score))
            .collect();
        let members = members.iter().map(|(member, score)| (&member[..], *score));
        zset::collect(members, self.count as usize, self.longest, limits)
    }
}

/// Puts a member into a sorted set that is being read.
pub(crate) fn rank(
    object: &mut Object,
    member: &[u8],
    score: f64,
    input: &Input<'_>,
    limits: &Limits,
) -> Result<(), Error> {
    const TWICE: &str = "sorted set: a member comes twice, or its score is no number";
    if score.is_nan() {
        return Err(input.bad(TWICE));
    }
    let only_new = AddRule { only_new: true, ..AddRule::default() };
    match ZSetMut::new(object, limits).add(member, score, only_new) {
        Ok(zset::Added::New(_)) => Ok(()),
        _ => Err(input.bad(TWICE)),
    }
}

impl HashBuild {
    fn field(&mut self, input: &mut Input<'_>, limits: &Limits) -> Result<(), Error> {
        let ahead = match self.expiries {
            Expiries::Since(since) => {
                let ahead = input.len()?;
                let at = i64::try_from(ahead).ok().and_then(|ahead| since.checked_add(ahead));
                let at = input.good(at.filter(|at| *at >= 0 || ahead == 0), EXPIRY)?;
                (ahead != 0).then_some(UnixMs(at))
            }
            Expiries::None | Expiries::Times => None,
        };
        let (name, value) = (input.text()?, input.text()?);
        let expiry = match self.expiries {
            Expiries::Times => {
                let at = input.millis()?;
                input.good((at >= -1).then_some(()), EXPIRY)?;
                (at >= 0).then_some(UnixMs(at))
            }
            Expiries::None | Expiries::Since(_) => ahead,
        };
        set_field(&mut self.object, &name, &value, expiry, input, limits)?;
        self.left -= 1;
        Ok(())
    }
}

fn set_field(
    object: &mut Object,
    name: &Text<'_>,
    value: &Text<'_>,
    expiry: Option<UnixMs>,
    input: &Input<'_>,
    limits: &Limits,
) -> Result<(), Error> {
    let (mut name_room, mut value_room) = (itoa::Buffer::new(), itoa::Buffer::new());
    field(object, name.bytes(&mut name_room), value.bytes(&mut value_room), expiry, input, limits)
}

/// Puts a field into a hash that is being read.
pub(crate) fn field(
    object: &mut Object,
    name: &[u8],
    value: &[u8],
    expiry: Option<UnixMs>,
    input: &Input<'_>,
    limits: &Limits,
) -> Result<(), Error> {
    let mut hash = HashMut::new(object, limits);
    if !hash.set(name, value, KeepExpiry::No) {
        return Err(input.bad("hash: a field comes twice"));
    }
    if expiry.is_some() {
        hash.set_expiry(name, expiry);
    }
    Ok(())
}

/// A count that is not 0, of things of at least `least` bytes each: all that there is of a value without elements.
fn some(input: &mut Input<'_>, least: u64) -> Result<u64, Error> {
    let count = input.count(least)?;
    if count == 0 { Err(Error::Empty { at: input.at() }) } else { Ok(count) }
}

/// What is wrong with a time that is none.
const EXPIRY: &str = "expiry of a field";
/// Bytes that are allocated for a string whose length nothing vouches for.
const ROOM_FIRST: usize = 1 << 20;
