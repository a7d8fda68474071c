//! Bytes into values.

use crate::error::Error;
use crate::kinds;
use crate::legacy;
use crate::length::Input;
use datatypes::hash::KeepExpiry;
use datatypes::listpack::Listpack;
use datatypes::zset::{self, AddRule};
use datatypes::{Element, HashMut, Kind, Limits, Object, SetMut, Value, ZSetMut, list};
use std::borrow::Cow;
use stdx::UnixMs;

/// Takes values from a buffer, front to back. It trusts nothing in it; after an error it is not to be used any more.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(crate) input: Input<'a>,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; `limits` decide which of the values are compact.
    pub fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self { input: Input::new(bytes), limits }
    }

    /// How far it has come, in bytes.
    pub fn at(&self) -> usize {
        self.input.at()
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.input.left()
    }

    /// A type's number.
    pub fn kind(&mut self) -> Result<u8, Error> {
        self.input.byte()
    }

    /// A string, such as a key.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        self.input.string()
    }

    /// A value of the type of this number. Errors: `Kind` for what is no value; all others for what is no whole one. A
    /// value that is empty, which no server keeps, is `Bad` too.
    pub fn value(&mut self, kind: u8) -> Result<Value, Error> {
        let object = match kind {
            kinds::STRING => return Ok(Value::String(self.input.string()?.into_owned())),
            kinds::LIST => self.list()?,
            kinds::LIST_ZIPLIST => self.list_ziplist()?,
            kinds::LIST_QUICKLIST => self.quicklist(false)?,
            kinds::LIST_QUICKLIST_2 => self.quicklist(true)?,
            kinds::SET => self.set()?,
            kinds::SET_INTSET => self.set_intset()?,
            kinds::SET_LISTPACK => self.set_listpack()?,
            kinds::ZSET => self.zset(Input::double_text)?,
            kinds::ZSET_2 => self.zset(Input::double)?,
            kinds::ZSET_ZIPLIST => self.zset_packed(Packed::Ziplist)?,
            kinds::ZSET_LISTPACK => self.zset_packed(Packed::Listpack)?,
            kinds::HASH => self.hash()?,
            kinds::HASH_ZIPMAP => self.hash_zipmap()?,
            kinds::HASH_ZIPLIST => self.hash_packed(Packed::Ziplist)?,
            kinds::HASH_LISTPACK => self.hash_packed(Packed::Listpack)?,
            kinds::HASH_METADATA => self.hash_metadata(true)?,
            kinds::HASH_METADATA_EARLY => self.hash_metadata(false)?,
            kinds::HASH_LISTPACK_EX => self.hash_listpack_ex(true)?,
            kinds::HASH_LISTPACK_EX_EARLY => self.hash_listpack_ex(false)?,
            kinds::STREAM => self.stream(1)?,
            kinds::STREAM_2 => self.stream(2)?,
            kinds::STREAM_3 => self.stream(3)?,
            kind => return Err(Error::Kind { kind }),
        };
        Ok(Value::Object(object))
    }

    /// The elements of a packed encoding that is stored as a string: at least one, in groups of `stride`.
    fn packed<R>(
        &mut self,
        packed: Packed,
        stride: usize,
        then: impl FnOnce(&Self, &[Element<'_>]) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let bytes = self.input.string()?;
        let elements = match packed {
            Packed::Ziplist => legacy::ziplist(&bytes),
            Packed::Listpack => Listpack::check(&bytes).ok().map(|listpack| listpack.iter().collect()),
        };
        let elements = self.input.good(elements, packed.name())?;
        if elements.is_empty() || elements.len() % stride != 0 {
            return Err(self.input.bad(packed.name()));
        }
        then(self, &elements)
    }

    fn list(&mut self) -> Result<Object, Error> {
        let count = self.some(1)?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.input.string()?);
        }
        Ok(list::build(elements.iter().map(|element| &element[..]), self.limits))
    }

    fn list_ziplist(&mut self) -> Result<Object, Error> {
        let mut texts = Vec::new();
        self.packed(Packed::Ziplist, 1, |_, elements| {
            texts.extend(elements.iter().map(|element| text(*element)));
            Ok(())
        })?;
        Ok(list::build(texts.iter().map(|text| &text[..]), self.limits))
    }

    fn quicklist(&mut self, plain_nodes: bool) -> Result<Object, Error> {
        let nodes = self.some(1)?;
        let mut texts: Vec<Vec<u8>> = Vec::new();
        for _ in 0..nodes {
            let container = if plain_nodes { self.input.len()? } else { kinds::NODE_PACKED };
            match container {
                kinds::NODE_PLAIN => texts.push(self.input.string()?.into_owned()),
                kinds::NODE_PACKED => {
                    let packed = if plain_nodes { Packed::Listpack } else { Packed::Ziplist };
                    self.packed(packed, 1, |_, elements| {
                        texts.extend(elements.iter().map(|element| text(*element)));
                        Ok(())
                    })?;
                }
                _ => return Err(self.input.bad("node of a list")),
            }
        }
        Ok(list::build(texts.iter().map(|text| &text[..]), self.limits))
    }

    fn set(&mut self) -> Result<Object, Error> {
        let count = self.some(1)?;
        let mut object = Object::new(Kind::Set);
        for _ in 0..count {
            let member = self.input.string()?;
            if !SetMut::new(&mut object, self.limits).add(&member) {
                return Err(self.input.bad("set: a member comes twice"));
            }
        }
        Ok(object)
    }

    fn set_intset(&mut self) -> Result<Object, Error> {
        let bytes = self.input.string()?;
        let ints = self.input.good(legacy::intset(&bytes), "intset")?;
        let mut object = Object::new(Kind::Set);
        for int in ints {
            SetMut::new(&mut object, self.limits).add_element(Element::Int(int));
        }
        Ok(object)
    }

    fn set_listpack(&mut self) -> Result<Object, Error> {
        self.packed(Packed::Listpack, 1, |reader, members| {
            let mut object = Object::new(Kind::Set);
            for member in members {
                if !SetMut::new(&mut object, reader.limits).add_element(*member) {
                    return Err(reader.input.bad("set: a member comes twice"));
                }
            }
            Ok(object)
        })
    }

    fn zset(&mut self, score: fn(&mut Input<'a>) -> Result<f64, Error>) -> Result<Object, Error> {
        let count = self.some(2)?;
        let mut object = Object::new(Kind::ZSet);
        let limits = self.limits;
        // It becomes compact, as in Redis, when all of it is known: a compact set has no -0.
        ZSetMut::new(&mut object, limits).expect(usize::MAX, 0);
        let mut longest = 0;
        for _ in 0..count {
            let member = self.input.string()?;
            let score = score(&mut self.input)?;
            self.rank(&mut object, &member, score)?;
            longest = longest.max(member.len());
        }
        if count > limits.zset_max_listpack_entries || longest > limits.zset_max_listpack_value {
            return Ok(object);
        }
        let members: Vec<_> =
            ZSetMut::new(&mut object, limits).get().iter().map(|(m, s)| (text(m), s)).collect();
        let members = members.iter().map(|(member, score)| (&member[..], *score));
        Ok(zset::collect(members, count, longest, limits))
    }

    fn zset_packed(&mut self, packed: Packed) -> Result<Object, Error> {
        self.packed(packed, 2, |reader, elements| {
            let mut object = Object::new(Kind::ZSet);
            for pair in elements.chunks_exact(2) {
                let score = match pair[1] {
                    Element::Int(int) => int as f64,
                    Element::Bytes(bytes) => reader.input.good(double(bytes), "score")?,
                };
                reader.rank(&mut object, pair[0].text(&mut itoa::Buffer::new()), score)?;
            }
            Ok(object)
        })
    }

    fn rank(&self, object: &mut Object, member: &[u8], score: f64) -> Result<(), Error> {
        let mut zset = ZSetMut::new(object, self.limits);
        if score.is_nan() || zset.get().score(member).is_some() {
            return Err(self.input.bad("sorted set: a member comes twice, or its score is no number"));
        }
        zset.add(member, score, AddRule::default()).map_err(|_| self.input.bad("score"))?;
        Ok(())
    }

    fn hash(&mut self) -> Result<Object, Error> {
        let count = self.some(2)?;
        let mut object = Object::new(Kind::Hash);
        for _ in 0..count {
            let (name, value) = (self.input.string()?, self.input.string()?);
            self.field(&mut object, &name, &value, None)?;
        }
        Ok(object)
    }

    fn hash_zipmap(&mut self) -> Result<Object, Error> {
        let bytes = self.input.string()?;
        let parts = self.input.good(legacy::zipmap(&bytes), "zipmap")?;
        if parts.is_empty() {
            return Err(self.input.bad("zipmap"));
        }
        let mut object = Object::new(Kind::Hash);
        for pair in parts.chunks_exact(2) {
            self.field(&mut object, pair[0], pair[1], None)?;
        }
        Ok(object)
    }

    fn hash_packed(&mut self, packed: Packed) -> Result<Object, Error> {
        self.packed(packed, 2, |reader, elements| {
            let mut object = Object::new(Kind::Hash);
            for pair in elements.chunks_exact(2) {
                reader.field(&mut object, &text(pair[0]), &text(pair[1]), None)?;
            }
            Ok(object)
        })
    }

    fn hash_metadata(&mut self, relative: bool) -> Result<Object, Error> {
        let first = if relative { self.input.millis()? } else { 0 };
        let count = self.some(3)?;
        let mut object = Object::new(Kind::Hash);
        for _ in 0..count {
            let ahead = self.input.len()?;
            let since = if relative { first.saturating_sub(1) } else { 0 };
            let at = i64::try_from(ahead).ok().and_then(|ahead| since.checked_add(ahead));
            let at = self.input.good(at.filter(|at| *at >= 0), "expiry of a field")?;
            let (name, value) = (self.input.string()?, self.input.string()?);
            self.field(&mut object, &name, &value, (ahead != 0).then_some(UnixMs(at)))?;
        }
        Ok(object)
    }

    fn hash_listpack_ex(&mut self, has_first: bool) -> Result<Object, Error> {
        if has_first {
            self.input.millis()?;
        }
        self.packed(Packed::Listpack, 3, |reader, elements| {
            let mut object = Object::new(Kind::Hash);
            for one in elements.chunks_exact(3) {
                let Element::Int(at @ 0..) = one[2] else {
                    return Err(reader.input.bad("expiry of a field"));
                };
                let expiry = (at != 0).then_some(UnixMs(at));
                reader.field(&mut object, &text(one[0]), &text(one[1]), expiry)?;
            }
            Ok(object)
        })
    }

    fn field(
        &self,
        object: &mut Object,
        name: &[u8],
        value: &[u8],
        expiry: Option<UnixMs>,
    ) -> Result<(), Error> {
        let mut hash = HashMut::new(object, self.limits);
        if !hash.set(name, value, KeepExpiry::No) {
            return Err(self.input.bad("hash: a field comes twice"));
        }
        if expiry.is_some() {
            hash.set_expiry(name, expiry);
        }
        Ok(())
    }

    /// A count that is not 0, of things of at least `least` bytes each.
    fn some(&mut self, least: usize) -> Result<usize, Error> {
        let count = self.input.count(least)?;
        if count == 0 { Err(self.input.bad("count")) } else { Ok(count) }
    }
}

/// A packed encoding that is stored as it was in memory.
#[derive(Clone, Copy, Debug)]
enum Packed {
    Ziplist,
    Listpack,
}

impl Packed {
    fn name(self) -> &'static str {
        match self {
            Self::Ziplist => "ziplist",
            Self::Listpack => "listpack",
        }
    }
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.text(&mut itoa::Buffer::new()).to_vec()
}

fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
