//! Putting keys in that a file has: no changes, for what a file says is no news.

use crate::edit::compact_value;
use crate::entry::{Entry, INLINE_MAX, Parts, Value};
use crate::keyspace::Keyspace;
use crate::strings::{canonical_int, new_value};
use crate::types::{Key, NewString, Recency};
use datatypes::{Form, Object};
use stdx::{DbIndex, UnixMs};

/// A value that was read from a file.
#[derive(Debug)]
pub enum LoadedValue<'a> {
    /// A string.
    String(NewString<'a>),
    /// A string in a buffer of its own, which is kept if the string is long. It may be the text of an integer.
    Owned(Vec<u8>),
    /// Anything else. It is not empty, unless it is a stream.
    Object(Object),
}

impl Keyspace {
    /// Puts in a key that is not there yet. It counts as no change, and as no use of the key but what `recency` says. False
    /// when the key is there; it stays as it is then.
    #[inline]
    pub fn load(
        &mut self,
        db: DbIndex,
        key: Key<'_>,
        value: LoadedValue<'_>,
        expiry: Option<UnixMs>,
        recency: Option<Recency>,
        now: UnixMs,
    ) -> bool {
        let short;
        let (form, value) = match value {
            LoadedValue::String(string) => (Form::String, new_value(string)),
            LoadedValue::Owned(bytes) if bytes.len() > INLINE_MAX => (Form::String, Value::Buffer(bytes)),
            LoadedValue::Owned(bytes) => {
                short = bytes;
                (Form::String, canonical_int(&short).map_or(Value::Inline(&short), Value::Int))
            }
            LoadedValue::Object(Object::Compact(form, bytes)) => {
                short = bytes;
                (form, compact_value(&short))
            }
            LoadedValue::Object(Object::Large(large)) => (large.form(), Value::Boxed(large)),
        };
        let hash = self.hasher.hash(key.bytes);
        let clock = self.clock;
        let bits = recency.and_then(|recency| clock.remembered(recency, now));
        let clock = bits.unwrap_or_else(|| clock.fresh(now));
        let before = self.dbs[db.index()].bytes();
        let mut was_there = false;
        self.dbs[db.index()].upsert(
            key,
            hash,
            &self.hasher,
            |_, _, _| was_there = true,
            |tag| Entry::new(tag, Parts { key: key.bytes, form, value, raw: false, expiry, clock }),
        );
        if was_there {
            return false;
        }
        // Nobody is told of a new key.
        self.dbs[db.index()].made = false;
        self.changed(db, key, hash, before, 0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Access;
    use config::MaxmemoryPolicy;
    use datatypes::{HashMut, Kind, Limits, StringRef, ValueRef, hash::KeepExpiry};

    const NOW: UnixMs = UnixMs(1_700_000_000_000);
    const DB: DbIndex = DbIndex(0);

    fn keyspace() -> Keyspace {
        Keyspace::new(0..16384, 2, 7)
    }

    fn load(keyspace: &mut Keyspace, key: &str, value: LoadedValue<'_>) -> bool {
        keyspace.load(DB, Key::new(key.as_bytes()), value, None, None, NOW)
    }

    #[test]
    fn strings_are_kept_as_a_client_would_have_set_them() {
        let mut keyspace = keyspace();
        let long = vec![b'x'; 100_000];
        assert!(load(&mut keyspace, "int", LoadedValue::String(NewString::Bytes(b"12"))));
        assert!(load(&mut keyspace, "owned int", LoadedValue::Owned(b"12".to_vec())));
        assert!(load(&mut keyspace, "text", LoadedValue::Owned(b"012".to_vec())));
        assert!(load(&mut keyspace, "long", LoadedValue::Owned(long.clone())));
        let mut check = |key: &str, expected: StringRef<'_>| {
            let entry =
                keyspace.find(DB, Key::new(key.as_bytes()), NOW, Access::Peek).expect("it was loaded");
            let ValueRef::String(got) = entry.value() else { panic!("{key} is a string") };
            assert_eq!(got, expected, "{key}");
        };
        check("int", StringRef::Int(12));
        check("owned int", StringRef::Int(12));
        check("text", StringRef::Bytes(b"012"));
        check("long", StringRef::Bytes(&long));
        assert_eq!(keyspace.stats.dirty, 0);
        keyspace.audit();
    }

    #[test]
    fn a_key_that_is_there_stays() {
        let mut keyspace = keyspace();
        assert!(load(&mut keyspace, "k", LoadedValue::String(NewString::Int(1))));
        assert!(!load(&mut keyspace, "k", LoadedValue::Owned(vec![b'x'; 10_000])));
        let entry = keyspace.find(DB, Key::new(b"k"), NOW, Access::Peek).expect("it was loaded");
        assert!(matches!(entry.value(), ValueRef::String(StringRef::Int(1))));
        keyspace.audit();
    }

    #[test]
    fn what_is_said_of_a_key_is_kept() {
        let mut keyspace = keyspace();
        keyspace.set_policy(MaxmemoryPolicy::AllKeysLfu, 10, 1);
        let mut object = Object::new(Kind::Hash);
        HashMut::new(&mut object, &Limits::default()).set(b"f", b"v", KeepExpiry::No);
        let (expiry, recency) = (Some(UnixMs(NOW.0 + 5)), Some(Recency::Frequency(77)));
        assert!(keyspace.load(DB, Key::new(b"h"), LoadedValue::Object(object), expiry, recency, NOW));
        let entry = keyspace.find(DB, Key::new(b"h"), NOW, Access::Peek).expect("it was loaded");
        assert_eq!((entry.kind(), entry.expiry(), entry.frequency(NOW)), (Kind::Hash, expiry, 77));
        keyspace.audit();
        assert!(keyspace.find(DB, Key::new(b"h"), UnixMs(NOW.0 + 5), Access::Peek).is_none());
    }
}
