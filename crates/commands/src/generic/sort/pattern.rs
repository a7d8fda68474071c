//! Patterns of BY and GET: `weight_*` is a string's key, `object_*->field` a field of a hash, with the element for the
//! star.

use keyspace::{EntryRef, StringRef};
use stdx::UnixMs;

/// A pattern, taken apart.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    before: &'a [u8],
    /// `None`: there is no star.
    after: Option<&'a [u8]>,
    field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    /// As Redis reads it, which looks for the star and for the arrow up to the first NUL only.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let Some(star) = text[..end].iter().position(|&byte| byte == b'*') else {
            return Self { before: text, after: None, field: None };
        };
        let arrow = text[star + 1..end].windows(2).position(|two| two == b"->").map(|at| star + 1 + at);
        let (after, field) = match arrow.filter(|arrow| arrow + 2 < end) {
            Some(arrow) => (&text[star + 1..arrow], Some(&text[arrow + 2..])),
            None => (&text[star + 1..], None),
        };
        Self { before: &text[..star], after: Some(after), field }
    }

    /// Whether an element has a place in it. Without one it names no key.
    pub(super) fn has_place(&self) -> bool {
        self.after.is_some()
    }

    /// Makes the key for `element`.
    pub(super) fn key(&self, element: &[u8], key: &mut Vec<u8>) {
        key.clear();
        for part in [self.before, element, self.after.unwrap_or_default()] {
            key.extend_from_slice(part);
        }
    }

    /// Calls `then` with what the pattern means at its key, if that is there and of the right kind.
    pub(super) fn value<R>(
        &self,
        entry: Option<EntryRef<'_>>,
        now: UnixMs,
        then: impl FnOnce(Option<&[u8]>) -> R,
    ) -> R {
        let Some(entry) = entry else { return then(None) };
        let mut room = itoa::Buffer::new();
        match self.field {
            Some(field) => {
                let value = entry.hash().and_then(|hash| hash.get(field, now));
                then(value.map(|value| value.text(&mut room)))
            }
            None => match entry.string() {
                Some(StringRef::Int(int)) => then(Some(room.format(int).as_bytes())),
                Some(StringRef::Bytes(bytes)) => then(Some(bytes)),
                None => then(None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &[u8], key: Option<&[u8]>, field: Option<&[u8]>) {
        let pattern = Pattern::new(pattern);
        let mut made = Vec::new();
        pattern.key(b"E", &mut made);
        assert_eq!((pattern.has_place().then_some(&made[..]), pattern.field), (key, field));
    }

    #[test]
    fn the_first_star_and_the_arrow_behind_it() {
        check(b"w_*", Some(b"w_E"), None);
        check(b"*", Some(b"E"), None);
        check(b"a*b*c", Some(b"aEb*c"), None);
        check(b"h_*->f", Some(b"h_E"), Some(b"f"));
        check(b"h_*_x->f->g", Some(b"h_E_x"), Some(b"f->g"));
        check(b"h->*", Some(b"h->E"), None);
        check(b"h_*->", Some(b"h_E->"), None);
        check(b"nosort", None, None);
        check(b"a\0*", None, None);
        check(b"a*\0->f", Some(b"aE\0->f"), None);
        check(b"a*->f\0g", Some(b"aE"), Some(b"f\0g"));
    }
}
