//! Packed encodings of older servers, which RDB files hold as they were in memory: read into elements, with every byte
//! checked.

use datatypes::Element;

/// The elements of a ziplist (Redis before 7), or `None` when it is not a whole one.
///
/// ```text
///  u32 bytes | u32 offset of the last entry | u16 entries, 0xFFFF for too many | entries | 0xFF
///  entry: length of the one before (u8, or 254 + u32) | encoding | bytes
/// ```
pub(crate) fn ziplist(bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let total = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let tail = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let count = u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?) as usize;
    if total != bytes.len() || *bytes.last()? != 0xFF || bytes.len() <= ZIPLIST_HEADER {
        return None;
    }
    let end = bytes.len() - 1;
    let (mut at, mut previous, mut last) = (ZIPLIST_HEADER, 0, ZIPLIST_HEADER);
    let mut elements = Vec::new();
    while at < end {
        let start = at;
        if bytes[at] == 254 {
            let told = u32::from_le_bytes(bytes.get(at + 1..at + 5)?.try_into().ok()?) as usize;
            at += 5;
            if told != previous {
                return None;
            }
        } else {
            if bytes[at] as usize != previous {
                return None;
            }
            at += 1;
        }
        let (element, size) = ziplist_value(bytes.get(at..end)?)?;
        elements.push(element);
        at += size;
        (previous, last) = (at - start, start);
    }
    let counted = elements.len() == count || (count == 0xFFFF && elements.len() >= count);
    (at == end && counted && tail == last).then_some(elements)
}

const ZIPLIST_HEADER: usize = 10;

/// The value at the beginning of `bytes`, and its size with the encoding.
fn ziplist_value(bytes: &[u8]) -> Option<(Element<'_>, usize)> {
    let first = *bytes.first()?;
    let text = |at: usize, len: usize| Some((Element::of(bytes.get(at..at.checked_add(len)?)?), at + len));
    let int = |size: usize| {
        let mut wide = [0; 8];
        wide[8 - size..].copy_from_slice(bytes.get(1..1 + size)?);
        Some((Element::Int(i64::from_le_bytes(wide) >> (64 - 8 * size)), 1 + size))
    };
    match first {
        0..=0x3F => text(1, first as usize),
        0x40..=0x7F => text(2, usize::from(first & 0x3F) << 8 | usize::from(*bytes.get(1)?)),
        0x80 => text(5, u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize),
        0xC0 => int(2),
        0xD0 => int(4),
        0xE0 => int(8),
        0xF0 => int(3),
        0xFE => int(1),
        0xF1..=0xFD => Some((Element::Int(i64::from(first & 0x0F) - 1), 1)),
        _ => None,
    }
}

/// The fields and values of a zipmap (Redis before 2.6), in turn.
///
/// ```text
///  u8 pairs, 254 for too many | pairs | 0xFF
///  pair: length, field, length, u8 unused bytes, value, unused bytes;  length: u8, or 254 + u32
/// ```
pub(crate) fn zipmap(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let count = *bytes.first()? as usize;
    let mut at = 1;
    let mut parts = Vec::new();
    loop {
        if *bytes.get(at)? == 0xFF {
            break;
        }
        let (len, size) = zipmap_len(bytes.get(at..)?)?;
        at += size;
        parts.push(bytes.get(at..at.checked_add(len)?)?);
        at += len;
        let (len, size) = zipmap_len(bytes.get(at..)?)?;
        let unused = *bytes.get(at + size)? as usize;
        at += size + 1;
        parts.push(bytes.get(at..at.checked_add(len)?)?);
        at = at.checked_add(len + unused)?;
    }
    let counted = parts.len() / 2 == count || count == 254;
    (at + 1 == bytes.len() && counted).then_some(parts)
}

fn zipmap_len(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        255 => None,
        254 => Some((u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize, 5)),
        len => Some((len as usize, 1)),
    }
}

/// The members of an intset: u32 size of each (2, 4, 8), u32 count, members in rising order.
pub(crate) fn intset(bytes: &[u8]) -> Option<Vec<i64>> {
    let size = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let count = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize;
    let body = &bytes[8..];
    if !matches!(size, 2 | 4 | 8) || count == 0 || count.checked_mul(size)? != body.len() {
        return None;
    }
    let wide = |one: &[u8]| {
        let mut wide = [0; 8];
        wide[8 - size..].copy_from_slice(one);
        i64::from_le_bytes(wide) >> (64 - 8 * size)
    };
    let members: Vec<i64> = body.chunks_exact(size).map(wide).collect();
    members.is_sorted_by(|a, b| a < b).then_some(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_ziplist_is_read() {
        // As Redis 6 wrote RPUSH l hello 12 1024 -70000 5000000000.
        let bytes = [
            &[37, 0, 0, 0, 27, 0, 0, 0, 5, 0][..],
            b"\x00\x05hello",
            &[7, 0xFD],
            &[2, 0xC0, 0, 4],
            &[4, 0xF0, 0x90, 0xEE, 0xFE],
            &[5, 0xE0, 0, 0xF2, 5, 0x2A, 1, 0, 0, 0],
        ]
        .concat();
        let mut whole = bytes;
        whole.push(0xFF);
        whole[0] = whole.len() as u8;
        let last = (whole.len() - 1 - 10) as u8;
        whole[4] = last;
        let ints = [12, 1024, -70_000, 5_000_000_000].map(Element::Int);
        let expected = [&[Element::Bytes(b"hello")][..], &ints].concat();
        assert_eq!(ziplist(&whole), Some(expected));
        for len in 0..whole.len() {
            assert_eq!(ziplist(&whole[..len]), None, "cut at {len}");
        }
    }

    #[test]
    fn a_zipmap_is_read() {
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
        assert_eq!(zipmap(bytes), Some(vec![&b"foo"[..], b"bar", b"hello", b"world"]));
        for len in 0..bytes.len() {
            assert_eq!(zipmap(&bytes[..len]), None, "cut at {len}");
        }
    }

    #[test]
    fn an_intset_is_sorted() {
        assert_eq!(intset(&[2, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 1, 0]), Some(vec![-1, 1]));
        assert_eq!(intset(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0xFF, 0xFF]), None);
        assert_eq!(intset(&[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]), None);
        assert_eq!(intset(&[2, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = (ziplist(&bytes), zipmap(&bytes), intset(&bytes));
        }
    }
}
