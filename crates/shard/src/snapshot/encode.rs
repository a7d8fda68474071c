//! Entries as they stand in an RDB file.

use keyspace::{Captured, Encode, Recency};
use rdb::Budget;
use rdb::file::{Access, Attributes, Keys, Slices};

/// Writes captured entries as the keys of an RDB file. What stands around them, header, libraries, end and checksum, is for
/// whoever takes the bytes.
#[derive(Debug)]
pub struct RdbKeys {
    keys: Keys,
    /// Whether it is written when or how often keys were used.
    keeps_access: bool,
    /// The entry that was begun.
    slices: Option<Slices>,
}

impl RdbKeys {
    /// Writes to a file that `keys` belongs to. `keeps_access`: a policy of eviction is in force that asks when or how often keys were used.
    pub fn new(keys: Keys, keeps_access: bool) -> Self {
        Self { keys, keeps_access, slices: None }
    }

    fn attributes(&self, entry: Captured<'_>) -> Attributes {
        let access = match entry.recency {
            _ if !self.keeps_access => Access::Unknown,
            Recency::IdleSeconds(seconds) => Access::Idle(seconds),
            Recency::Frequency(counter) => Access::Freq(counter),
        };
        Attributes { expiry: entry.expiry(), access }
    }
}

impl Encode for RdbKeys {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        let attributes = self.attributes(entry);
        std::mem::swap(self.keys.buffer(), out);
        self.keys.key(entry.db, entry.key(), attributes, entry.value());
        std::mem::swap(self.keys.buffer(), out);
    }

    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, budget: usize) -> bool {
        let attributes = self.attributes(entry);
        let budget = Budget { bytes: budget, elements: Budget::SLICE.elements };
        std::mem::swap(self.keys.buffer(), out);
        let begun = self.slices.take();
        let mut slices = begun.unwrap_or_else(|| self.keys.begin(entry.db, attributes, entry.value()));
        let is_whole = self.keys.slice(&mut slices, entry.key(), entry.value(), budget);
        std::mem::swap(self.keys.buffer(), out);
        self.slices = Some(slices).filter(|_| !is_whole);
        is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::tests::{World, args};
    use datatypes::{Element, StringRef, ValueRef};
    use keyspace::{Budget as Slice, Left};
    use rdb::Version;
    use rdb::file::{Event, Loaded, Options, Reader};
    use std::collections::BTreeMap;
    use stdx::{Rng, UnixMs};

    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    /// A value whatever the order of its elements in memory.
    fn shown(value: ValueRef<'_>) -> Vec<String> {
        let text = |element: Element<'_>| match element {
            Element::Int(int) => int.to_string(),
            Element::Bytes(bytes) => bytes.escape_ascii().to_string(),
        };
        let mut shown = Vec::new();
        match value {
            ValueRef::String(StringRef::Int(int)) => shown.push(int.to_string()),
            ValueRef::String(StringRef::Bytes(bytes)) => shown.push(bytes.escape_ascii().to_string()),
            ValueRef::List(list) => list.walk(0, usize::MAX, |element| shown.push(text(element))),
            ValueRef::Set(set) => shown.extend(set.iter().map(text)),
            ValueRef::ZSet(zset) => {
                shown.extend(zset.iter().map(|(member, score)| format!("{} {score}", text(member))));
            }
            ValueRef::Hash(hash) => shown.extend(
                hash.iter()
                    .map(|field| format!("{} {} {:?}", text(field.name), text(field.value), field.expiry)),
            ),
            ValueRef::Stream(_) => {
                let mut bytes = Vec::new();
                rdb::dump(value, false, &mut bytes);
                shown.push(bytes.escape_ascii().to_string());
            }
        }
        if matches!(value, ValueRef::Set(_) | ValueRef::Hash(_)) {
            shown.sort();
        }
        shown
    }

    type Entries = BTreeMap<(u16, Vec<u8>), (Vec<String>, Option<UnixMs>, Option<u64>)>;

    /// What a file says.
    fn read(bytes: &[u8]) -> Entries {
        let mut reader = Reader::new(Options::default());
        reader.feed(bytes);
        reader.ended();
        let mut entries = Entries::new();
        loop {
            match reader.next().expect("a file without faults").expect("a whole file") {
                Event::Key(key) => {
                    let value = match &key.value {
                        Loaded::Int(int) => shown(ValueRef::String(StringRef::Int(*int))),
                        Loaded::String(bytes) => shown(ValueRef::String(StringRef::Bytes(bytes))),
                        Loaded::Object(object) => shown(ValueRef::of(datatypes::Place::stored(object))),
                    };
                    let name = (key.db.0, key.key.to_vec());
                    assert!(entries.insert(name, (value, key.expiry, key.idle_s)).is_none());
                }
                Event::End(end) => break assert_eq!(end.keys, entries.len() as u64),
                _ => {}
            }
        }
        entries
    }

    fn filled() -> World {
        let mut world = World::new();
        let many = |prefix: &str, each: &dyn Fn(u32) -> String| {
            (0..400).fold(prefix.to_owned(), |line, number| line + " " + &each(number))
        };
        for line in [
            "SET short value".to_owned(),
            "SET int 12 PXAT 1800000000000".to_owned(),
            format!("SET long {}", "x".repeat(9000)),
            many("RPUSH list", &|number| format!("element{number}")),
            many("SADD set", &|number| format!("member{number}")),
            many("SADD ints", &|number| number.to_string()),
            many("ZADD zset", &|number| format!("{number} member{number}")),
            many("HSET hash", &|number| format!("field{number} {number}")),
            "HSET small:hash a 1 b 2".to_owned(),
            "HPEXPIREAT hash 1800000000000 FIELDS 2 field1 field2".to_owned(),
            "ZADD small:zset 1 a 2.5 b".to_owned(),
            "RPUSH small:list a b c".to_owned(),
            "XGROUP CREATE stream g 0 MKSTREAM".to_owned(),
        ] {
            world.execute(&args(&line));
        }
        for number in 1..200 {
            world.execute(&args(&format!("XADD stream {number} f {number}")));
            world.execute(&args(&format!("SET key:{number} {number}")));
        }
        for line in
            ["XREADGROUP GROUP g c COUNT 50 STREAMS stream >", "COPY list list DB 3", "COPY hash hash DB 1"]
        {
            world.execute(&args(line));
        }
        world
    }

    /// The file that a capture makes while such commands run.
    fn written(
        world: &mut World,
        large_bytes: usize,
        slice: Slice,
        during: &mut dyn FnMut(&mut World),
    ) -> Entries {
        let mut file = rdb::file::Writer::new(Version::V12, true);
        let mut bytes = file.take(Vec::new());
        let keys = Keys::new(Version::V12, true);
        let encode = Box::new(RdbKeys::new(keys, true));
        world.core.keyspace.open_capture(encode, large_bytes, NOW);
        while world.core.keyspace.capture_slice(slice) == Left::More {
            during(world);
        }
        bytes.append(world.core.keyspace.capture_output().expect("it is open"));
        world.core.keyspace.close_capture().expect("as many keys as there were");
        // The end, and a checksum that says that there is none.
        bytes.extend_from_slice(&[0xFF, 0, 0, 0, 0, 0, 0, 0, 0]);
        read(&bytes)
    }

    #[test]
    fn a_file_holds_what_was_there_whatever_happened_while_it_was_written() {
        let slice = Slice { keys: usize::MAX, bytes: usize::MAX };
        let wanted = written(&mut filled(), usize::MAX, slice, &mut |_| {});
        assert_eq!(wanted.len(), 199 + 14);
        assert_eq!(wanted[&(0, b"list".to_vec())].0.len(), 400);
        assert_eq!(wanted[&(1, b"hash".to_vec())].0[1], "field1 1 Some(UnixMs(1800000000000))");
        assert!(wanted.values().all(|(_, _, idle)| *idle == Some(0)));
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let large_bytes = *rng.pick(&[0, 300, 3000]);
            let slice = Slice { keys: 1 + rng.index(5), bytes: 1 + rng.index(3000) };
            let mut world = filled();
            let got = written(&mut world, large_bytes, slice, &mut |world| {
                let name = *rng.pick(&["list", "set", "ints", "zset", "hash", "long", "stream", "short"]);
                let lines = [
                    format!("RPUSH {name} more"),
                    format!("SADD {name} more"),
                    format!("ZADD {name} 7 more"),
                    format!("HSET {name} more 1"),
                    format!("HDEL {name} field1 field100"),
                    format!("XADD {name} * f v"),
                    format!("APPEND {name} more"),
                    format!("PEXPIRE {name} 100000"),
                    format!("DEL {name}"),
                    format!("RENAME {name} key:7"),
                    "SWAPDB 0 3".to_owned(),
                    format!("SET key:{} new", rng.below(250)),
                ];
                world.execute(&args(rng.pick::<String>(&lines)));
            });
            for (name, entry) in &wanted {
                let key = name.1.escape_ascii();
                assert_eq!(got.get(name), Some(entry), "seed {seed}: {key} of database {}", name.0);
            }
            assert_eq!(got.len(), wanted.len(), "seed {seed}");
        }
    }

    #[test]
    fn no_access_is_written_where_no_policy_asks_for_it() {
        let mut world = World::new();
        world.execute(&args("SET a 1"));
        let encode = RdbKeys::new(Keys::new(Version::V11, false), false);
        world.core.keyspace.open_capture(Box::new(encode), 1000, NOW);
        while world.core.keyspace.capture_slice(Slice { keys: 1, bytes: 1 }) == Left::More {}
        let out = std::mem::take(world.core.keyspace.capture_output().expect("it is open"));
        assert_eq!(out, b"\xfe\x00\x00\x01a\xc0\x01");
        world.core.keyspace.close_capture().expect("one key");
    }
}
