//! An entry as the place of a value that is not a string: compact bytes move with the entry's allocation.

use super::block::Value;
use super::layout::{Encoding, INLINE_MAX};
use super::{Entry, Links};
use datatypes::{Form, Large, Place, Stored, open_gap};
use stdx::size::good_size;

/// An entry whose value may be edited. `links` is the list of its database.
#[derive(Debug)]
pub(crate) struct EntryPlace<'a> {
    pub(crate) entry: &'a mut Entry,
    pub(crate) links: &'a mut Links,
}

impl EntryPlace<'_> {
    fn rebuild(&mut self, form: Form, value: Value<'_>) {
        let expiry = self.entry.expiry();
        self.entry.rebuild(self.links, form, value, false, expiry);
    }

    fn gap_inline(&mut self, at: usize, remove: usize, insert: usize) {
        let block = self.entry.block();
        let header = block.header();
        let len = header.value_len() - remove + insert;
        if len <= INLINE_MAX {
            let new = header.with_value_len(len);
            let key_len = block.key_len();
            if new.block_size(key_len) == header.block_size(key_len) {
                return block.move_tail(new, at, remove, insert);
            }
        }
        let bytes = block.bytes_mut(header);
        let (head, tail) = (&bytes[..at], &bytes[at + remove..]);
        let value = if len <= INLINE_MAX {
            Value::Gapped(head, insert, tail)
        } else {
            let mut buffer = Vec::with_capacity(good_size(len));
            buffer.extend_from_slice(head);
            buffer.resize(at + insert, 0);
            buffer.extend_from_slice(tail);
            Value::Buffer(buffer)
        };
        self.rebuild(header.form(), value);
    }

    fn gap_buffer(&mut self, at: usize, remove: usize, insert: usize) {
        let edited = self.entry.with_buffer(|buffer| {
            let len = buffer.len() - remove + insert;
            if len > buffer.capacity() {
                buffer.reserve_exact(good_size(len) - buffer.len());
            }
            open_gap(buffer, at, remove, insert);
            if len < buffer.capacity() / 2 {
                buffer.shrink_to(good_size(len));
            }
        });
        assert!(edited.is_some(), "a gap is opened in bytes");
    }
}

impl Place for EntryPlace<'_> {
    fn stored(&self) -> Stored<'_> {
        self.entry.stored()
    }

    fn gap(&mut self, at: usize, remove: usize, insert: usize) -> &mut [u8] {
        match self.entry.block().header().encoding() {
            Encoding::Inline => self.gap_inline(at, remove, insert),
            _ => self.gap_buffer(at, remove, insert),
        }
        let block = self.entry.block();
        &mut block.bytes_mut(block.header())[at..at + insert]
    }

    fn large_mut(&mut self) -> &mut Large {
        let mut large = self.entry.block().large().expect("a value is not used while it is away");
        // SAFETY: the pointer is that of a box that this entry owns, which is borrowed mutably.
        unsafe { large.as_mut() }
    }

    fn set_compact(&mut self, form: Form, bytes: &[u8]) {
        let value = if bytes.len() <= INLINE_MAX {
            Value::Inline(bytes)
        } else {
            Value::Buffer(super::buffer_of(bytes))
        };
        self.rebuild(form, value);
    }

    fn set_large(&mut self, large: Large) -> Option<Box<Large>> {
        let block = self.entry.block();
        let old = if block.header().encoding() == Encoding::Boxed { block.take_large() } else { None };
        self.rebuild(large.form(), Value::Boxed(Box::new(large)));
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Parts;
    use crate::hash::Random;
    use datatypes::Object;
    use stdx::UnixMs;

    fn bytes(place: &dyn Place) -> Vec<u8> {
        match place.stored() {
            Stored::Compact(_, bytes) => bytes.to_vec(),
            Stored::Large(large) => panic!("a compact value became {large:?}"),
        }
    }

    fn entry(expiry: Option<UnixMs>) -> Entry {
        let parts =
            Parts { key: b"key", form: Form::Hash, value: Value::Inline(&[]), raw: false, expiry, clock: 9 };
        Entry::new(7, parts)
    }

    /// Random gaps in an entry and in a vector: short values, values that pass INLINE_MAX, and back.
    fn edit_like_a_vector(expiry: Option<UnixMs>, seed: u64) {
        let (mut entry, mut links, mut random) = (entry(expiry), Links::default(), Random(seed));
        if expiry.is_some() {
            links.insert(&mut entry);
        }
        let mut place = EntryPlace { entry: &mut entry, links: &mut links };
        let mut model = Object::Compact(Form::Hash, Vec::new());
        for step in 0..2000 {
            let len = bytes(&model).len();
            let at = random.next() as usize % (len + 1);
            let remove = random.next() as usize % (len - at + 1).min(300);
            let insert = random.next() as usize % if step % 400 < 250 { 400 } else { 20 };
            let fill = random.next() as u8;
            place.gap(at, remove, insert).fill(fill);
            model.gap(at, remove, insert).fill(fill);
            assert_eq!(bytes(&place), bytes(&model), "seed {seed}, step {step}");
        }
        assert_eq!((entry.key(), entry.tag(), entry.clock()), (&b"key"[..], 7, 9));
        assert_eq!(entry.expiry(), expiry);
        links.remove(&mut entry);
    }

    #[test]
    fn gaps_do_what_they_do_in_a_vector() {
        for seed in 1..=20 {
            edit_like_a_vector(None, seed);
            edit_like_a_vector(Some(UnixMs(5)), seed);
        }
    }

    #[test]
    fn large_values_come_go_and_are_lent() {
        let (mut entry, mut links) = (entry(None), Links::default());
        let mut place = EntryPlace { entry: &mut entry, links: &mut links };
        place.gap(0, 0, 3).copy_from_slice(b"abc");
        assert!(place.set_large(Large::Stream(Default::default())).is_none());
        assert!(place.set_large(Large::List(Default::default())).is_some());
        assert_eq!(place.large_mut().form(), Form::List);
        let memory = entry.memory();
        let loan = entry.lend();
        assert!(entry.memory() < memory && loan.memory() == memory, "the value went with the loan");
        entry.end_loan(&mut links, Some(loan));
        assert_eq!(entry.memory(), memory);
        let copy = entry.duplicate().renamed(3, b"another key");
        assert!(matches!(copy.stored(), Stored::Large(Large::List(_))));
        let mut place = EntryPlace { entry: &mut entry, links: &mut links };
        place.set_compact(Form::List, b"xy");
        assert!(matches!(place.stored(), Stored::Compact(Form::List, b"xy")));
    }
}
