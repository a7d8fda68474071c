//! Changing the bytes of a block.

use super::StreamId;
use super::block::{Block, DELETED, Master, SAME_FIELDS};
use crate::element::Element;
use crate::listpack::{COUNT_UNKNOWN, END, HEADER, Writer, entry_size, header_count, push_entry};
use stdx::Args;
use stdx::size::good_size;

/// A block with one entry, whose id is the block's. `pairs` are field and value in turn.
pub(super) fn new_block(pairs: Args<'_>) -> Vec<u8> {
    let fields = pairs.len() / 2;
    let mut writer = Writer::with_capacity(good_size(size_bound(pairs) + MASTER_BOUND));
    writer.push(Element::Int(1));
    writer.push(Element::Int(0));
    writer.push(Element::Int(fields as i64));
    pairs.iter().step_by(2).for_each(|field| writer.push(Element::of(field)));
    [0, SAME_FIELDS, 0, 0].into_iter().for_each(|int| writer.push(Element::Int(int)));
    pairs.iter().skip(1).step_by(2).for_each(|value| writer.push(Element::of(value)));
    writer.push(Element::Int(fields as i64 + 3));
    writer.finish()
}

/// Appends an entry to the block of id `block_id`, whose counts are `master`.
pub(super) fn append(
    bytes: &mut Vec<u8>,
    block_id: StreamId,
    master: &Master,
    id: StreamId,
    pairs: Args<'_>,
) {
    let same = has_fields(bytes, master, pairs);
    let fields = pairs.len() / 2;
    reserve(bytes, size_bound(pairs));
    let (ms, seq) = (id.ms.wrapping_sub(block_id.ms), id.seq.wrapping_sub(block_id.seq));
    replace_int(bytes, HEADER, master.count + 1);
    bytes.pop();
    push_entry(bytes, Element::Int(if same { SAME_FIELDS } else { 0 }));
    push_entry(bytes, Element::Int(ms as i64));
    push_entry(bytes, Element::Int(seq as i64));
    let mut elements = fields + 3;
    if same {
        pairs.iter().skip(1).step_by(2).for_each(|value| push_entry(bytes, Element::of(value)));
    } else {
        elements += fields + 1;
        push_entry(bytes, Element::Int(fields as i64));
        pairs.iter().for_each(|text| push_entry(bytes, Element::of(text)));
    }
    push_entry(bytes, Element::Int(elements as i64));
    bytes.push(END);
    set_total(bytes);
    add_elements(bytes, elements + 1);
}

/// Marks the entry at `at` as deleted; the counts of the master entry are left to [`set_counts`]. Says where the bytes after
/// the entry's flags moved to, as a difference.
pub(super) fn mark_deleted(bytes: &mut Vec<u8>, at: usize, flags: i64) -> isize {
    let before = bytes.len();
    replace_int(bytes, at, flags | DELETED);
    set_total(bytes);
    bytes.len() as isize - before as isize
}

/// Writes how many entries there are that are not deleted, and how many are.
pub(super) fn set_counts(bytes: &mut Vec<u8>, count: i64, deleted: i64) {
    replace_int(bytes, HEADER, count);
    replace_int(bytes, HEADER + entry_size(Element::Int(count)), deleted);
    set_total(bytes);
}

/// Whether `pairs` have the master entry's fields, in its order.
fn has_fields(bytes: &[u8], master: &Master, pairs: Args<'_>) -> bool {
    if pairs.len() != master.fields * 2 {
        return false;
    }
    let block = Block::new(StreamId::MIN, bytes);
    let mut at = master.fields_at;
    pairs.iter().step_by(2).all(|field| {
        let (element, next) = block.listpack.read(at);
        at = next;
        match element {
            Element::Bytes(text) => text == field,
            Element::Int(_) => element == Element::of(field),
        }
    })
}

/// Puts a number in the place of the element at `at`.
fn replace_int(bytes: &mut Vec<u8>, at: usize, int: i64) {
    if (0..=127).contains(&int) && bytes[at] <= 127 {
        bytes[at] = int as u8;
        return;
    }
    let old = Block::new(StreamId::MIN, &bytes[..]).listpack.after(at) - at;
    let mut element = Vec::with_capacity(16);
    push_entry(&mut element, Element::Int(int));
    if element.len() == old {
        bytes[at..at + old].copy_from_slice(&element);
    } else {
        bytes.splice(at..at + old, element);
        set_total(bytes);
    }
}

fn set_total(bytes: &mut [u8]) {
    let total = u32::try_from(bytes.len()).expect("a block of at most 4 GiB");
    bytes[..4].copy_from_slice(&total.to_le_bytes());
}

fn add_elements(bytes: &mut [u8], more: usize) {
    let count = header_count(bytes);
    if count != COUNT_UNKNOWN {
        let count = u16::try_from(usize::from(count) + more).unwrap_or(COUNT_UNKNOWN);
        bytes[4..HEADER].copy_from_slice(&count.to_le_bytes());
    }
}

/// Bytes that an entry with all of its fields takes at most.
fn size_bound(pairs: Args<'_>) -> usize {
    pairs.iter().map(|text| text.len() + ELEMENT_BOUND).sum::<usize>() + ENTRY_BOUND
}

/// Makes room, up to a size class: little is left over while the block grows, and nothing when it is small.
fn reserve(bytes: &mut Vec<u8>, more: usize) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let target = good_size(if needed < GROWS_BY_CLASS { needed } else { needed + needed / 8 });
        bytes.reserve_exact(target - bytes.len());
    }
}

/// Bytes around a string in a listpack, at most, or those of a number that its text does not have.
const ELEMENT_BOUND: usize = 10;
/// Flags, two differences of ids, two counts.
const ENTRY_BOUND: usize = 2 + 10 + 10 + 10 + 10;
/// Header, count, deleted, fields, zero, end: the fields' own are counted with the entry's.
const MASTER_BOUND: usize = HEADER + 20;
/// Larger blocks grow by an eighth.
const GROWS_BY_CLASS: usize = 8192;
