//! Entries and ids, as all of the commands answer them.

use datatypes::Element;
use datatypes::stream::{Entry, IdText};
use datatypes::{Stream, StreamId};
use resp::Reply;

/// An id as a bulk string.
#[inline]
pub(super) fn id(out: &mut Reply<'_>, id: StreamId) {
    out.bulk(id.text(&mut IdText::default()));
}

/// An entry: its id, and its fields and values in turn.
#[inline]
pub(super) fn entry(out: &mut Reply<'_>, entry: &Entry<'_>) {
    out.array(2);
    id(out, entry.id);
    out.array(entry.len() * 2);
    for (field, value) in entry.fields() {
        element(out, field);
        element(out, value);
    }
}

#[inline]
fn element(out: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(int) => out.bulk_int(int),
    }
}

/// A list of at most `count` entries, or all.
pub(super) fn entries<'a>(
    out: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: Option<u64>,
) -> usize {
    let at = out.deferred();
    let mut len = 0;
    for one in entries.take(count.map_or(usize::MAX, |count| count as usize)) {
        entry(out, &one);
        len += 1;
    }
    out.close_array(at, len);
    len
}

/// The entry of this id, if it is there.
pub(super) fn entry_of(out: &mut Reply<'_>, log: &datatypes::stream::Log, id: StreamId) -> bool {
    match log.range(id, id).next() {
        Some(one) => {
            entry(out, &one);
            true
        }
        None => false,
    }
}

/// The first or the last entry, or null.
pub(super) fn edge(out: &mut Reply<'_>, stream: &Stream, last: bool) {
    let (log, all) = (stream.log(), (StreamId::MIN, StreamId::MAX));
    let found = if last { log.range_backward(all.0, all.1).next() } else { log.range(all.0, all.1).next() };
    match found {
        Some(one) => entry(out, &one),
        None => out.null(),
    }
}
