//! Values that are stored as they were in memory, in one string: read into elements.

use crate::build::{empty_set, field, rank};
use crate::error::Error;
use crate::kinds;
use crate::legacy;
use crate::length::{Input, Text};
use datatypes::listpack::Listpack;
use datatypes::{Element, Kind, Limits, Object, SetMut, list};
use stdx::UnixMs;

/// A packed encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packed {
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

/// Reads a value of a type that is one string. Errors: `Kind` for all others.
pub(crate) fn value(kind: u8, input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    match kind {
        kinds::LIST_ZIPLIST => {
            let mut list = list::Builder::default();
            list_node(Packed::Ziplist, &mut list, input)?;
            if list.is_empty() {
                return Err(Error::Empty { at: input.at() });
            }
            Ok(list.finish(limits))
        }
        kinds::SET_INTSET => set_intset(input, limits),
        kinds::SET_LISTPACK => each(Packed::Listpack, input, 1, Kind::Set, |object, elements, input| {
            if SetMut::new(object, limits).add_element(elements[0]) {
                Ok(())
            } else {
                Err(input.bad("set: a member comes twice"))
            }
        }),
        kinds::ZSET_ZIPLIST => zset(Packed::Ziplist, input, limits),
        kinds::ZSET_LISTPACK => zset(Packed::Listpack, input, limits),
        kinds::HASH_ZIPMAP => hash_zipmap(input, limits),
        kinds::HASH_ZIPLIST => hash(Packed::Ziplist, input, limits),
        kinds::HASH_LISTPACK => hash(Packed::Listpack, input, limits),
        kinds::HASH_LISTPACK_EX => {
            // The first expiry, which the fields tell too.
            input.millis()?;
            hash_with_expiries(input, limits)
        }
        kinds::HASH_LISTPACK_EX_EARLY => hash_with_expiries(input, limits),
        kind => Err(Error::Kind { kind }),
    }
}

/// The elements of a node of a list. One that has none is passed over, as by Redis, whose versions of before 7 have written such nodes.
pub(crate) fn list_node(
    packed: Packed,
    list: &mut list::Builder,
    input: &mut Input<'_>,
) -> Result<(), Error> {
    let text = input.text()?;
    let bytes = blob(&text, packed, input)?;
    // An integer may be kept as text.
    let mut push = |element: Element<'_>| match element {
        Element::Bytes(bytes) => list.push(Element::of(bytes)),
        int => list.push(int),
    };
    match packed {
        Packed::Ziplist => {
            let elements = input.good(legacy::ziplist(bytes), packed.name())?;
            elements.iter().for_each(|element| push(*element));
        }
        Packed::Listpack => {
            let listpack = input.good(Listpack::check(bytes).ok(), packed.name())?;
            listpack.iter().for_each(push);
        }
    }
    Ok(())
}

/// The bytes of a packed encoding; an integer is none.
fn blob<'b>(text: &'b Text<'_>, packed: Packed, input: &Input<'_>) -> Result<&'b [u8], Error> {
    match text {
        Text::Bytes(bytes) => Ok(bytes),
        Text::Unpacked(bytes) => Ok(bytes),
        Text::Int(_) => Err(input.bad(packed.name())),
    }
}

/// Makes a value of the elements of a packed encoding: at least one, `N` at a time, in groups of `stride`.
fn each(
    packed: Packed,
    input: &mut Input<'_>,
    stride: usize,
    kind: Kind,
    mut put: impl FnMut(&mut Object, &[Element<'_>], &Input<'_>) -> Result<(), Error>,
) -> Result<Object, Error> {
    let text = input.text()?;
    let bytes = blob(&text, packed, input)?;
    let mut object = Object::new(kind);
    match packed {
        Packed::Ziplist => {
            let elements = input.good(legacy::ziplist(bytes), packed.name())?;
            groups(elements.into_iter(), stride, input, packed, |group| put(&mut object, group, input))?;
        }
        Packed::Listpack => {
            let listpack = input.good(Listpack::check(bytes).ok(), packed.name())?;
            groups(listpack.iter(), stride, input, packed, |group| put(&mut object, group, input))?;
        }
    }
    Ok(object)
}

fn groups<'e>(
    mut elements: impl Iterator<Item = Element<'e>>,
    stride: usize,
    input: &Input<'_>,
    packed: Packed,
    mut put: impl FnMut(&[Element<'e>]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut group = [Element::Int(0); STRIDE_MAX];
    let mut some = false;
    while let Some(first) = elements.next() {
        group[0] = first;
        for place in &mut group[1..stride] {
            *place = input.good(elements.next(), packed.name())?;
        }
        put(&group[..stride])?;
        some = true;
    }
    if some { Ok(()) } else { Err(Error::Empty { at: input.at() }) }
}

/// Field, value, expiry.
const STRIDE_MAX: usize = 3;

fn set_intset(input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    let bytes = input.string()?;
    let ints = input.good(legacy::intset(&bytes), "intset")?;
    let mut object = empty_set(ints.len() as u64, limits);
    for int in ints {
        SetMut::new(&mut object, limits).add_element(Element::Int(int));
    }
    Ok(object)
}

fn zset(packed: Packed, input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    each(packed, input, 2, Kind::ZSet, |object, pair, input| {
        let score = match pair[1] {
            Element::Int(int) => int as f64,
            Element::Bytes(bytes) => input.good(double(bytes), "score")?,
        };
        rank(object, pair[0].text(&mut itoa::Buffer::new()), score, input, limits)
    })
}

fn hash_zipmap(input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    let bytes = input.string()?;
    let parts = input.good(legacy::zipmap(&bytes), "zipmap")?;
    if parts.is_empty() {
        return Err(Error::Empty { at: input.at() });
    }
    let mut object = Object::new(Kind::Hash);
    for pair in parts.chunks_exact(2) {
        field(&mut object, pair[0], pair[1], None, input, limits)?;
    }
    Ok(object)
}

fn hash(packed: Packed, input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    each(packed, input, 2, Kind::Hash, |object, pair, input| {
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        field(object, pair[0].text(&mut name), pair[1].text(&mut value), None, input, limits)
    })
}

fn hash_with_expiries(input: &mut Input<'_>, limits: &Limits) -> Result<Object, Error> {
    each(Packed::Listpack, input, 3, Kind::Hash, |object, one, input| {
        let Element::Int(at @ 0..) = one[2] else {
            return Err(input.bad("expiry of a field"));
        };
        let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
        let expiry = (at != 0).then_some(UnixMs(at));
        field(object, one[0].text(&mut name), one[1].text(&mut value), expiry, input, limits)
    })
}

fn double(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
