//! A keyspace over a plain map: what the real one must be like from the outside.

use keyspace::{Key, NewString, Ttl};
use std::collections::{BTreeMap, HashSet};
use stdx::{DbIndex, UnixMs};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) int: bool,
    pub(crate) expiry: Option<UnixMs>,
}

pub(crate) type Name = (u16, Vec<u8>);

#[derive(Debug, Default)]
pub(crate) struct Naive {
    pub(crate) items: BTreeMap<Name, Item>,
    pub(crate) lent: HashSet<Name>,
    pub(crate) dirty: u64,
    pub(crate) expired: u64,
    /// Keys changed since the set was last emptied.
    pub(crate) changed: HashSet<Name>,
    /// Every removal, in order.
    pub(crate) removed: Vec<Name>,
}

pub(crate) fn is_int(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    text.parse::<i64>().is_ok_and(|int| int.to_string() == text)
}

impl Naive {
    pub(crate) fn find(&mut self, name: &Name, now: UnixMs) -> Option<&Item> {
        let due = self.items.get(name).is_some_and(|item| item.expiry.is_some_and(|at| at <= now));
        if due && !self.lent.contains(name) {
            self.expire(name);
        }
        self.items.get(name)
    }

    pub(crate) fn expire(&mut self, name: &Name) {
        assert!(self.delete(name).is_some());
        self.expired += 1;
        self.changed.insert(name.clone());
    }

    fn delete(&mut self, name: &Name) -> Option<Item> {
        self.removed.push(name.clone());
        self.items.remove(name)
    }

    fn store(&mut self, name: &Name, item: Item) {
        self.items.insert(name.clone(), item);
        self.change(name);
    }

    fn change(&mut self, name: &Name) {
        self.dirty += 1;
        self.changed.insert(name.clone());
    }

    pub(crate) fn set(&mut self, name: &Name, value: NewString<'_>, ttl: Ttl, now: UnixMs) {
        let old = self.find(name, now).and_then(|item| item.expiry);
        let expiry = match ttl {
            Ttl::Clear => None,
            Ttl::Keep => old,
            Ttl::At(at) => Some(at),
        };
        let (value, int) = match value {
            NewString::Int(int) => (int.to_string().into_bytes(), true),
            NewString::Bytes(bytes) => (bytes.to_vec(), is_int(bytes)),
            NewString::Text(bytes) => (bytes.to_vec(), false),
        };
        self.store(name, Item { int, value, expiry });
    }

    pub(crate) fn append(&mut self, name: &Name, bytes: &[u8], now: UnixMs) -> usize {
        let old = self.find(name, now).cloned();
        let int = old.is_none() && is_int(bytes);
        let (mut value, expiry) = old.map_or((Vec::new(), None), |item| (item.value, item.expiry));
        value.extend_from_slice(bytes);
        let len = value.len();
        self.store(name, Item { value, int, expiry });
        len
    }

    pub(crate) fn set_range(&mut self, name: &Name, offset: usize, bytes: &[u8], now: UnixMs) -> usize {
        let old = self.find(name, now).cloned();
        let (mut value, expiry) = old.map_or((Vec::new(), None), |item| (item.value, item.expiry));
        value.resize(value.len().max(offset + bytes.len()), 0);
        value[offset..offset + bytes.len()].copy_from_slice(bytes);
        let len = value.len();
        self.store(name, Item { value, int: false, expiry });
        len
    }

    pub(crate) fn remove(&mut self, name: &Name, now: UnixMs) -> bool {
        let there = self.find(name, now).is_some();
        if there {
            self.delete(name);
            self.change(name);
        }
        there
    }

    pub(crate) fn set_expiry(&mut self, name: &Name, expiry: Option<UnixMs>, now: UnixMs) -> bool {
        if self.find(name, now).is_none() {
            return false;
        }
        if expiry.is_some_and(|at| at <= now) {
            return self.remove(name, now);
        }
        self.items.get_mut(name).unwrap().expiry = expiry;
        self.change(name);
        true
    }

    pub(crate) fn take(&mut self, name: &Name, now: UnixMs) -> Option<Item> {
        self.find(name, now)?;
        self.changed.insert(name.clone());
        self.delete(name)
    }

    pub(crate) fn put(&mut self, name: &Name, item: Item, now: UnixMs) {
        self.find(name, now);
        self.store(name, item);
    }

    pub(crate) fn give_back(&mut self, name: &Name, item: Option<Item>, changed: bool) {
        assert!(self.lent.remove(name));
        match (changed, item) {
            (true, Some(item)) => self.store(name, item),
            (true, None) => {
                self.delete(name);
                self.change(name);
            }
            (false, _) => {}
        }
    }

    pub(crate) fn swap(&mut self, a: u16, b: u16) {
        let items = std::mem::take(&mut self.items);
        for ((db, key), item) in items {
            for changed in [a, b] {
                if db == a || db == b {
                    self.changed.insert((changed, key.clone()));
                }
            }
            let db = if db == a {
                b
            } else if db == b {
                a
            } else {
                db
            };
            self.items.insert((db, key), item);
        }
    }

    pub(crate) fn flush(&mut self, db: u16) -> usize {
        let names: Vec<Name> = self.items.keys().filter(|name| name.0 == db).cloned().collect();
        for name in &names {
            self.delete(name);
            self.change(name);
        }
        names.len()
    }

    pub(crate) fn len(&self, db: u16) -> usize {
        self.items.keys().filter(|name| name.0 == db).count()
    }

    pub(crate) fn expiring(&self, db: u16) -> usize {
        self.items.iter().filter(|(name, item)| name.0 == db && item.expiry.is_some()).count()
    }
}

pub(crate) fn key(name: &Name) -> Key<'_> {
    Key::new(&name.1)
}

pub(crate) fn db(name: &Name) -> DbIndex {
    DbIndex(name.0)
}
