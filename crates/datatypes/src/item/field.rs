//! A field of a hash, with its value and perhaps the time it expires.
//!
//! ```text
//!  u8 length of the field (low 7 bits, 127: wide), top bit: expires | u8 length of the value, 255: wide
//!  | u64 length of the field if wide | u64 length of the value if wide | i64 expiry in ms if it expires
//!  | field | value
//! ```

use super::{LengthHeader, Thin, element};
use crate::table::Item;
use std::fmt;
use stdx::UnixMs;
use stdx::size::good_size;

/// A field, its value, and when it expires.
pub struct Field(Thin);

const FIELD_LENGTH: LengthHeader = LengthHeader { short: 127 };
const VALUE_LENGTH: LengthHeader = LengthHeader { short: 255 };
/// The bit beside the field's length.
const EXPIRES: u8 = 0x80;

// SAFETY: it owns its allocation, plain bytes that only change through `&mut`.
unsafe impl Send for Field {}
// SAFETY: as above.
unsafe impl Sync for Field {}

/// What is where.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    field_len: usize,
    value_len: usize,
    expires: bool,
}

impl Shape {
    #[inline]
    fn field_is_wide(self) -> bool {
        FIELD_LENGTH.is_wide(self.field_len)
    }

    #[inline]
    fn value_is_wide(self) -> bool {
        VALUE_LENGTH.is_wide(self.value_len)
    }

    #[inline]
    fn value_len_at(self) -> usize {
        2 + if self.field_is_wide() { 8 } else { 0 }
    }

    #[inline]
    fn expiry_at(self) -> usize {
        self.value_len_at() + if self.value_is_wide() { 8 } else { 0 }
    }

    #[inline]
    fn field_at(self) -> usize {
        self.expiry_at() + if self.expires { 8 } else { 0 }
    }

    #[inline]
    fn value_at(self) -> usize {
        self.field_at() + self.field_len
    }

    #[inline]
    fn size(self) -> usize {
        self.value_at() + self.value_len
    }
}

impl Field {
    /// The field with this value and expiry.
    #[inline]
    pub fn new(field: &[u8], value: &[u8], expiry: Option<UnixMs>) -> Self {
        let shape = Shape { field_len: field.len(), value_len: value.len(), expires: expiry.is_some() };
        let mut thin = Thin::alloc(shape.size());
        let expires = if shape.expires { EXPIRES } else { 0 };
        // SAFETY: `size` is the sum of the parts written here, each at its place.
        unsafe {
            thin.write(0, FIELD_LENGTH.byte(field.len()) | expires);
            thin.write(1, VALUE_LENGTH.byte(value.len()));
            if shape.field_is_wide() {
                thin.write(2, field.len() as u64);
            }
            if shape.value_is_wide() {
                thin.write(shape.value_len_at(), value.len() as u64);
            }
            if let Some(at) = expiry {
                thin.write(shape.expiry_at(), at.0);
            }
            thin.put(shape.field_at(), field);
            thin.put(shape.value_at(), value);
        }
        Self(thin)
    }

    #[inline]
    fn shape(&self) -> Shape {
        // SAFETY: `new` wrote these headers.
        unsafe {
            let [first, second] = self.0.read::<[u8; 2]>(0);
            let (mut field_len, mut value_len) = (usize::from(first & !EXPIRES), usize::from(second));
            let mut at = 2;
            if field_len == usize::from(FIELD_LENGTH.short) {
                field_len = self.0.read::<u64>(at) as usize;
                at += 8;
            }
            if value_len == usize::from(VALUE_LENGTH.short) {
                value_len = self.0.read::<u64>(at) as usize;
            }
            Shape { field_len, value_len, expires: first & EXPIRES != 0 }
        }
    }

    /// The field's name.
    #[inline]
    pub fn field(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: `new` wrote so many bytes there.
        unsafe { self.0.bytes(shape.field_at(), shape.field_len) }
    }

    /// Its value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let shape = self.shape();
        // SAFETY: `new` or `set_value` wrote so many bytes there.
        unsafe { self.0.bytes(shape.value_at(), shape.value_len) }
    }

    /// When it expires, if it does.
    #[inline]
    pub fn expiry(&self) -> Option<UnixMs> {
        let shape = self.shape();
        // SAFETY: a field that expires has this number.
        shape.expires.then(|| UnixMs(unsafe { self.0.read(shape.expiry_at()) }))
    }

    /// Replaces the value; the expiry stays. In place where the size class stays the same.
    #[inline]
    pub fn set_value(&mut self, value: &[u8]) {
        let old = self.shape();
        let new = Shape { value_len: value.len(), ..old };
        if new.value_is_wide() || old.value_is_wide() || good_size(new.size()) != good_size(old.size()) {
            self.replace(Self::new(self.field(), value, self.expiry()));
            return;
        }
        // SAFETY: the allocation is of a class that the new size is of too, and what is before the value stays.
        unsafe {
            self.0.write(1, VALUE_LENGTH.byte(value.len()));
            self.0.put(new.value_at(), value);
        }
    }

    /// Sets the time it expires, or takes it away.
    pub fn set_expiry(&mut self, expiry: Option<UnixMs>) {
        let shape = self.shape();
        match expiry {
            // SAFETY: there is such a number already.
            Some(at) if shape.expires => unsafe { self.0.write(shape.expiry_at(), at.0) },
            None if !shape.expires => {}
            expiry => self.replace(Self::new(self.field(), self.value(), expiry)),
        }
    }

    /// Takes another allocation in place of this one.
    fn replace(&mut self, mut new: Self) {
        new.0.set_tag(self.0.tag());
        *self = new;
    }
}

impl Field {
    #[inline]
    fn size(&self) -> usize {
        self.shape().size()
    }
}

element!(Field, field);

impl Clone for Field {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.field(), self.value(), self.expiry());
        clone.set_tag(self.tag());
        clone
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Field({}: {}", self.field().escape_ascii(), self.value().escape_ascii())?;
        match self.expiry() {
            Some(at) => write!(f, ", expires {})", at.0),
            None => write!(f, ")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &Field, expected: (&[u8], &[u8], Option<UnixMs>)) {
        assert_eq!((field.field(), field.value(), field.expiry()), expected);
        assert_eq!(field.tag(), 0xABCD);
        let clone = field.clone();
        assert_eq!((clone.field(), clone.value(), clone.expiry()), expected);
        assert_eq!((clone.tag(), clone.memory()), (0xABCD, field.memory()));
    }

    #[test]
    fn values_and_expiries_change_and_the_rest_stays() {
        let lens = [0, 1, 3, 20, 126, 127, 128, 254, 255, 256, 5000];
        for name_len in lens {
            let name = vec![b'f'; name_len];
            let mut field = Field::new(&name, b"", None);
            field.set_tag(0xABCD);
            check(&field, (&name, b"", None));
            for (round, value_len) in lens.into_iter().chain(lens.into_iter().rev()).enumerate() {
                let value = vec![b'a' + round as u8; value_len];
                field.set_value(&value);
                check(&field, (&name, &value, None));
                field.set_expiry(Some(UnixMs(5)));
                check(&field, (&name, &value, Some(UnixMs(5))));
                field.set_expiry(Some(UnixMs(-6)));
                field.set_value(&name);
                check(&field, (&name, &name, Some(UnixMs(-6))));
                field.set_expiry(None);
                check(&field, (&name, &name, None));
            }
        }
    }
}
