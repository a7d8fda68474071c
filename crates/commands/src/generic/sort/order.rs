//! The elements that are sorted, and their order.

use super::Load;
use super::options::Options;
use crate::error::CommandError;
use datatypes::{Element, ValueRef};
use std::cmp::Ordering;
use std::ops::Range;
use stdx::number::{parse_f64, strtod_underflows};

/// Elements with what they are sorted by. Their texts are in one buffer.
#[derive(Debug, Default)]
pub(super) struct Items {
    texts: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    text: Range<usize>,
    score: f64,
    /// For ALPHA with BY: where the weight is in the buffer.
    weight: Option<Range<usize>>,
}

/// How many elements a value has. Errors: `WrongType` if it cannot be sorted.
pub(super) fn len(value: ValueRef<'_>) -> Result<usize, CommandError> {
    match value {
        ValueRef::List(list) => Ok(list.len()),
        ValueRef::Set(set) => Ok(set.len()),
        ValueRef::ZSet(zset) => Ok(zset.len()),
        _ => Err(CommandError::WrongType),
    }
}

impl Items {
    /// The elements of a value. Errors: `WrongType` if it cannot be sorted.
    pub(super) fn of(value: ValueRef<'_>, load: &Load) -> Result<Self, CommandError> {
        let len = len(value)?;
        let range = load.range.clone().unwrap_or(0..len);
        let desc = load.desc && load.range.is_some();
        let mut items = Self { texts: Vec::new(), items: Vec::with_capacity(range.len()) };
        match value {
            ValueRef::List(list) if desc => {
                list.iter_rev().skip(range.start).take(range.len()).for_each(|element| items.add(element));
            }
            ValueRef::List(list) => list.walk(range.start, range.len(), |element| items.add(element)),
            ValueRef::Set(set) => set.iter().for_each(|element| items.add(element)),
            ValueRef::ZSet(zset) => {
                let ranks = if desc { len - range.end..len - range.start } else { range };
                zset.each(ranks, desc, |member, _| items.add(member));
            }
            _ => return Err(CommandError::WrongType),
        }
        Ok(items)
    }

    fn add(&mut self, element: Element<'_>) {
        let start = self.texts.len();
        element.append_to(&mut self.texts);
        self.items.push(Item { text: start..self.texts.len(), score: 0.0, weight: None });
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn text(&self, index: usize) -> &[u8] {
        &self.texts[self.items[index].text.clone()]
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.text(index))
    }

    /// Sorts an element by its own number; false if it is none.
    pub(super) fn weigh_by_itself(&mut self, index: usize) -> bool {
        let score = number(self.text(index));
        self.items[index].score = score.unwrap_or(0.0);
        score.is_some()
    }

    /// Sorts an element by `weight`, as a text or as a number; false if it should be a number and is none.
    pub(super) fn weigh(&mut self, index: usize, weight: &[u8], alpha: bool) -> bool {
        if alpha {
            let start = self.texts.len();
            self.texts.extend_from_slice(weight);
            self.items[index].weight = Some(start..self.texts.len());
            return true;
        }
        let score = number(weight);
        self.items[index].score = score.unwrap_or(0.0);
        score.is_some()
    }

    /// Puts the elements in order. Where only those of `range` are wanted, the others may be in any.
    pub(super) fn sort(&mut self, options: &Options<'_>, range: &Range<usize>) {
        let texts = &self.texts;
        let text = |range: &Range<usize>| &texts[range.clone()];
        // Numbers that are equal are ordered by their texts, so that the order is one.
        let by_number = |one: &Item, other: &Item| {
            let order = one.score.partial_cmp(&other.score).expect("no score is a nan");
            order.then_with(|| text(&one.text).cmp(text(&other.text)))
        };
        let is_stored = options.store.is_some();
        let by_text = |one: &Item, other: &Item| collate(text(&one.text), text(&other.text), is_stored);
        let by_weight = |one: &Item, other: &Item| match (&one.weight, &other.weight) {
            (Some(one), Some(other)) => collate(text(one), text(other), is_stored),
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        let desc = options.desc;
        let items = &mut self.items;
        // Texts and weights may be equal of elements that are not. A stable sort leaves these in their order.
        match (options.alpha, options.by.is_some()) {
            (false, _) => sort_part(items, range, desc, by_number),
            (true, false) => items.sort_by(|one, other| directed(by_text(one, other), desc)),
            (true, true) => items.sort_by(|one, other| directed(by_weight(one, other), desc)),
        }
    }
}

fn directed(order: Ordering, desc: bool) -> Ordering {
    if desc { order.reverse() } else { order }
}

/// Sorts so that the elements of `range` are where they belong.
fn sort_part(
    items: &mut [Item],
    range: &Range<usize>,
    desc: bool,
    compare: impl Fn(&Item, &Item) -> Ordering,
) {
    let compare = |one: &Item, other: &Item| directed(compare(one, other), desc);
    if range.len() >= items.len() / PARTS_MIN {
        return items.sort_by(compare);
    }
    if range.is_empty() {
        return;
    }
    items.select_nth_unstable_by(range.end - 1, compare);
    let head = &mut items[..range.end];
    if range.start > 0 {
        head.select_nth_unstable_by(range.start, compare);
    }
    head[range.start..].sort_by(compare);
}

/// A part that is not a fraction like this of the whole is not looked for: all is sorted.
const PARTS_MIN: usize = 2;

/// The order of two texts: all their bytes where the result is stored, else as C strings, which end at a NUL.
fn collate(one: &[u8], other: &[u8], is_stored: bool) -> Ordering {
    if is_stored { one.cmp(other) } else { c_text(one).cmp(c_text(other)) }
}

fn c_text(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|&byte| byte == 0).unwrap_or(text.len())]
}

/// A number as C's `strtod` reads it from a C string: nothing is 0, blanks may stand before it. One that is too close to 0
/// to be kept as precisely as others is refused: `strtod` says so, and Redis minds.
fn number(text: &[u8]) -> Option<f64> {
    let text = c_text(text);
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    if text.is_empty() {
        return Some(0.0);
    }
    let text = &text[blanks..];
    parse_f64(text)
        .filter(|value| *value == 0.0 || value.abs() > f64::MIN_POSITIVE || !strtod_underflows(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, expected) in [
            ("", Some(0.0)),
            (" \t\n1.5", Some(1.5)),
            ("1\0x", Some(1.0)),
            ("\0x", Some(0.0)),
            ("0x10", Some(16.0)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("+3e2", Some(300.0)),
            ("1 ", None),
            (" ", None),
            ("abc", None),
            ("nan", None),
            ("2.2250738585072014e-308", Some(f64::MIN_POSITIVE)),
            ("1e-310", None),
            (" -5e-324", None),
            ("0x1p-1074", Some(5e-324)),
            ("0e-400", Some(0.0)),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }
}
