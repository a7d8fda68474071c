//! Large hashes: a table of fields, and beside it the order in which those expire that do.

use super::{Dues, Field};
use crate::Element;
use crate::hash::KeepExpiry;
use crate::item;
use crate::object::LargeValue;
use crate::table::{Item, Place, Table};
use stdx::size::good_size;
use stdx::{Rng, UnixMs};

/// A large hash.
#[derive(Clone, Debug, Default)]
pub struct Hash {
    fields: Table<item::Field>,
    /// The fields that expire; `None` until one does.
    dues: Option<Box<Dues>>,
}

impl Hash {
    /// A hash of these fields, whose names differ.
    pub(super) fn of<'f>(fields: impl Iterator<Item = Field<'f>>) -> Self {
        let mut hash = Self::default();
        for Field { name, value, expiry } in fields {
            let (mut name_room, mut value_room) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (name, value) = (name.text(&mut name_room), value.text(&mut value_room));
            hash.fields.insert(name, || item::Field::new(name, value, expiry));
            if let Some(at) = expiry {
                hash.dues.get_or_insert_default().insert(at, name);
            }
        }
        hash
    }

    #[inline]
    pub(super) fn field(&self, name: &[u8]) -> Option<Field<'_>> {
        self.fields.find(name).map(read)
    }

    /// See [`Table::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, name: &[u8]) {
        self.fields.prefetch(name);
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().map(read)
    }

    /// Visits fields from a place on, as [`Table::visit_from`] does.
    pub fn visit_from<'a>(&'a self, place: Place, mut visit: impl FnMut(Field<'a>) -> bool) -> Option<Place> {
        self.fields.visit_from(place, |item| visit(read(item)))
    }

    pub(super) fn random(&self, rng: &mut Rng) -> Option<Field<'_>> {
        self.fields.random(rng).map(read)
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Field<'_>)) -> u64 {
        self.fields.scan(cursor, count, |item| visit(read(item)))
    }

    #[inline]
    pub(super) fn next_due(&self) -> Option<UnixMs> {
        self.dues.as_ref()?.next_due()
    }

    pub(super) fn due_len(&self, now: UnixMs) -> usize {
        self.dues.as_ref().map_or(0, |dues| dues.due_len(now))
    }

    #[inline]
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], keep: KeepExpiry) -> bool {
        let mut gone = None;
        let change = |item: &mut item::Field| {
            item.set_value(value);
            if keep == KeepExpiry::No {
                gone = item.expiry();
                item.set_expiry(None);
            }
        };
        let made = self.fields.upsert(name, change, || item::Field::new(name, value, None));
        if let Some(at) = gone {
            self.forget(at, name);
        }
        made
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(item) = self.fields.remove(name) else { return false };
        if let Some(at) = item.expiry() {
            self.forget(at, name);
        }
        true
    }

    pub(super) fn set_expiry(&mut self, name: &[u8], expiry: Option<UnixMs>) -> bool {
        let Some(mut item) = self.fields.find_mut(name) else { return false };
        let old = item.expiry();
        if old == expiry {
            return true;
        }
        item.set_expiry(expiry);
        drop(item);
        if let Some(at) = old {
            self.forget(at, name);
        }
        if let Some(at) = expiry {
            self.dues.get_or_insert_default().insert(at, name);
        }
        true
    }

    pub(super) fn remove_due(&mut self, now: UnixMs, max: usize, removed: &mut dyn FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < max {
            let Some(name) = self.dues.as_mut().and_then(|dues| dues.pop_due(now)) else { break };
            let item = self.fields.remove(&name);
            assert!(item.is_some(), "a field is due that is not there");
            removed(&name);
            count += 1;
        }
        count
    }

    /// Takes a field out of the order.
    #[cold]
    fn forget(&mut self, at: UnixMs, name: &[u8]) {
        let there = self.dues.as_mut().is_some_and(|dues| dues.remove(at, name));
        assert!(there, "a field that expires is not in its order");
    }
}

impl LargeValue for Hash {
    fn memory(&self) -> usize {
        self.fields.memory()
            + self.dues.as_ref().map_or(0, |dues| good_size(size_of::<Dues>()) + dues.memory())
    }

    fn len(&self) -> usize {
        self.fields.len()
    }

    fn dismantle(&mut self, budget: usize) -> bool {
        if self.dues.as_mut().is_some_and(|dues| dues.dismantle(budget.max(1))) {
            return true;
        }
        self.dues = None;
        self.fields.dismantle(budget)
    }
}

fn read(item: &item::Field) -> Field<'_> {
    Field { name: Element::Bytes(item.key()), value: Element::Bytes(item.value()), expiry: item.expiry() }
}
