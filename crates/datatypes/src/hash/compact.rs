//! Compact hashes: packed field and value in turn ([`Form::Hash`]), or field, value and expiry ([`Form::HashTtl`]).
//!
//! An expiry is an integer, in milliseconds since the Unix epoch; 0 stands for none. Fields that expire come first, the
//! soonest first, and the others follow in the order in which they came, as in Redis's listpackex: what is due is at
//! the beginning.

use super::Field;
use crate::packed::{skip, splice};
use crate::place::{Place, Stored};
use crate::{Element, Form};
use std::ops::Range;
use stdx::UnixMs;

/// The bytes of a compact hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether expiries are kept.
    pub(super) timed: bool,
}

impl<'a> Run<'a> {
    /// The run that `place` holds. Panics on a large value and on another kind.
    #[inline]
    pub(super) fn of(place: &'a dyn Place) -> Self {
        match place.stored() {
            Stored::Compact(Form::Hash, bytes) => Self { bytes, timed: false },
            Stored::Compact(Form::HashTtl, bytes) => Self { bytes, timed: true },
            other => panic!("no compact hash: {other:?}"),
        }
    }

    /// Where field `name` begins; `Err` with the number of fields when it is none of them.
    #[inline]
    pub(super) fn locate(self, name: Element<'_>) -> Result<usize, usize> {
        let mut room = [0; NAME_MAX];
        let size = name.size();
        if size > NAME_MAX {
            return self.locate_where(|rest| Element::read(rest).0 == name);
        }
        // No element is the beginning of another, so where these bytes are, the element is. Names of one hash often
        // begin alike: the last byte tells most of them apart.
        name.write(&mut room[..size]);
        let (name, last) = (&room[..size], room[size - 1]);
        self.locate_where(|rest| rest.get(size - 1) == Some(&last) && rest.starts_with(name))
    }

    #[inline]
    fn locate_where(self, found: impl Fn(&[u8]) -> bool) -> Result<usize, usize> {
        let (mut rest, mut fields) = (self.bytes, 0);
        while !rest.is_empty() {
            if found(rest) {
                return Ok(self.bytes.len() - rest.len());
            }
            rest = &rest[skip(rest)..];
            rest = &rest[skip(rest)..];
            if self.timed {
                rest = &rest[skip(rest)..];
            }
            fields += 1;
        }
        Err(fields)
    }

    /// The field that begins at `at`, and where the next one does.
    #[inline]
    pub(super) fn field_at(self, at: usize) -> (Field<'a>, usize) {
        let (name, rest) = Element::read(&self.bytes[at..]);
        let (value, rest) = Element::read(rest);
        let (expiry, rest) = if self.timed { Element::read(rest) } else { (Element::Int(0), rest) };
        (Field { name, value, expiry: expiry_of(expiry) }, self.bytes.len() - rest.len())
    }

    /// Where the value of the field that begins at `at` is.
    #[inline]
    pub(super) fn value_at(self, at: usize) -> Range<usize> {
        let start = at + skip(&self.bytes[at..]);
        start..start + skip(&self.bytes[start..])
    }

    /// How many fields there are.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.locate_where(|_| false).unwrap_or_else(|fields| fields)
    }

    /// The fields in order.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields { run: self, at: 0 }
    }

    /// When the next field is due.
    #[inline]
    pub(super) fn next_due(self) -> Option<UnixMs> {
        if !self.timed || self.bytes.is_empty() {
            return None;
        }
        self.field_at(0).0.expiry
    }

    /// Where a field that expires at `at` belongs: before the others that expire then.
    fn place_of(self, at: Option<UnixMs>) -> usize {
        let Some(at) = at else { return self.bytes.len() };
        let mut start = 0;
        while start < self.bytes.len() {
            let (field, next) = self.field_at(start);
            if field.expiry.is_none_or(|other| other >= at) {
                break;
            }
            start = next;
        }
        start
    }
}

/// Walks over the fields of a run.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    run: Run<'a>,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.at == self.run.bytes.len() {
            return None;
        }
        let (field, next) = self.run.field_at(self.at);
        self.at = next;
        Some(field)
    }
}

/// Appends a field that does not expire.
pub(super) fn append(place: &mut dyn Place, name: Element<'_>, value: Element<'_>) {
    let Run { bytes, timed } = Run::of(place);
    let end = bytes.len();
    let elements = [name, value, Element::Int(0)];
    splice(place, end, 0, &elements[..if timed { 3 } else { 2 }]);
}

/// Removes the field that begins at `at`.
pub(super) fn remove(place: &mut dyn Place, at: usize) {
    let (_, next) = Run::of(place).field_at(at);
    place.gap(at, next - at, 0);
}

/// Removes the field that begins at `at` and puts it in again with another expiry, where it then belongs. The run must
/// keep expiries.
pub(super) fn set_expiry(place: &mut dyn Place, at: usize, expiry: Option<UnixMs>) {
    let run = Run::of(place);
    assert!(run.timed, "a run that keeps no expiries");
    let (_, next) = run.field_at(at);
    let pair = run.bytes[at..run.value_at(at).end].to_vec();
    place.gap(at, next - at, 0);
    let expiry_element = Element::Int(expiry.map_or(0, |at| at.0));
    let to = Run::of(place).place_of(expiry);
    let gap = place.gap(to, 0, pair.len() + expiry_element.size());
    let (front, back) = gap.split_at_mut(pair.len());
    front.copy_from_slice(&pair);
    expiry_element.write(back);
}

/// Gives every field of a run without expiries room for one.
pub(super) fn keep_expiries(place: &mut dyn Place) {
    let run = Run::of(place);
    if run.timed {
        return;
    }
    let mut bytes = Vec::with_capacity(run.bytes.len() + run.len());
    let mut at = 0;
    while at < run.bytes.len() {
        let end = run.value_at(at).end;
        bytes.extend_from_slice(&run.bytes[at..end]);
        bytes.push(0);
        at = end;
    }
    place.set_compact(Form::HashTtl, &bytes);
}

/// The size of the fields that begin the run and are due at `now`, at most `max` of them, and how many they are.
pub(super) fn due(run: Run<'_>, now: UnixMs, max: usize) -> (usize, usize) {
    let (mut at, mut fields) = (0, 0);
    while run.timed && at < run.bytes.len() && fields < max {
        let (field, next) = run.field_at(at);
        if !field.due(now) {
            break;
        }
        (at, fields) = (next, fields + 1);
    }
    (at, fields)
}

fn expiry_of(element: Element<'_>) -> Option<UnixMs> {
    match element {
        Element::Int(0) => None,
        Element::Int(at) => Some(UnixMs(at)),
        Element::Bytes(_) => panic!("an expiry that is no number"),
    }
}

/// Packed names up to this size are compared as bytes: all that fit Redis's default threshold.
const NAME_MAX: usize = 72;
