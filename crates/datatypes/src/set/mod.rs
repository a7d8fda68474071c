//! Sets.
//!
//! A small set of integers only is a sorted array ([`ints`]), another small set is its members packed in the order they
//! came, and a large one is a [`Table`].

pub mod algebra;
mod edit;
pub mod ints;
mod read;

pub use edit::SetMut;
pub use read::{Members, SetRef};

use crate::element::Element;
use crate::item::Member;
use crate::object::LargeValue;
use crate::place::{Place, Stored};
use crate::table::Table;

/// A large set.
#[derive(Clone, Debug, Default)]
pub struct Set {
    members: Table<Member>,
}

impl LargeValue for Set {
    fn memory(&self) -> usize {
        self.members.memory()
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn dismantle(&mut self, budget: usize) -> bool {
        self.members.dismantle(budget)
    }
}

impl Set {
    /// Its members.
    #[inline]
    pub fn members(&self) -> &Table<Member> {
        &self.members
    }

    /// Adds a member; false when it was there.
    #[inline]
    pub fn insert(&mut self, member: &[u8]) -> bool {
        self.members.insert(member, || Member::new(member))
    }
}

impl<'a> FromIterator<&'a [u8]> for Set {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(members: I) -> Self {
        let mut set = Self::default();
        for member in members {
            set.insert(member);
        }
        set
    }
}

/// The bytes of a compact value.
fn compact(place: &dyn Place) -> &[u8] {
    match place.stored() {
        Stored::Compact(_, bytes) => bytes,
        Stored::Large(_) => panic!("a large value where a compact one was"),
    }
}

/// A member that may be the text of an integer as what it is kept as in a compact set.
fn normal(member: Element<'_>) -> Element<'_> {
    match member {
        Element::Bytes(bytes) => Element::of(bytes),
        int => int,
    }
}
