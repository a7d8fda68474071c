//! Whole files: written, in slices and not; read back in pieces; damaged.

mod samples;

use datatypes::hash::KeepExpiry;
use datatypes::{HashMut, Kind, Limits, Object, StringRef, Value, ValueRef};
use rdb::file::{
    Access, Attributes, Base, End, Error, Event, Joiner, Loaded, Options, Problem, Reader, Sum, Writer,
};
use rdb::{Budget, Version};
use samples::{hash_of, reading, samples};
use stdx::{DbIndex, Rng, UnixMs};

/// A key as it is written.
#[derive(Clone)]
struct Written {
    db: u16,
    key: Vec<u8>,
    attributes: Attributes,
    value: Value,
}

/// Some keys of every kind and form.
fn keys() -> Vec<Written> {
    let written = |(index, value): (usize, Value)| Written {
        db: (index / 10) as u16,
        key: match index {
            0 => Vec::new(),
            1 => b"17".to_vec(),
            2 => vec![b'k'; 100_000],
            _ => format!("key:{index}").into_bytes(),
        },
        attributes: Attributes {
            expiry: (index % 3 == 0).then_some(UnixMs(1_800_000_000_123 + index as i64)),
            access: [Access::Unknown, Access::Idle(1 << 20), Access::Freq(255)][index % 3],
        },
        value,
    };
    samples().into_iter().enumerate().map(written).collect()
}

fn begun(version: Version) -> Writer {
    let mut writer = Writer::new(version, true);
    writer.base(&Base { redis_version: "7.2.0", used_memory: 1 << 40, ..Base::default() });
    writer.library(b"#!lua name=lib\n");
    writer
}

fn whole(keys: &[Written], version: Version) -> Vec<u8> {
    let mut writer = begun(version);
    writer.keys().resize_db(DbIndex(0), 10, 4);
    for Written { db, key, attributes, value } in keys {
        writer.keys().key(DbIndex(*db), key, *attributes, value.as_ref());
    }
    writer.end().0
}

fn line(db: u16, key: &[u8], attributes: Attributes, value: ValueRef<'_>) -> String {
    format!("{db} {} {attributes:?} {:?}", key.escape_ascii(), reading(value))
}

fn lines(keys: &[Written]) -> Vec<String> {
    keys.iter().map(|one| line(one.db, &one.key, one.attributes, one.value.as_ref())).collect()
}

/// What was read.
#[derive(Debug, Default, PartialEq)]
struct Read {
    keys: Vec<String>,
    others: Vec<String>,
    end: Option<End>,
}

/// Reads a file that comes in pieces of up to `piece` bytes; `known` says whether its size is told.
fn read(bytes: &[u8], known: bool, mut piece: impl FnMut() -> usize) -> Result<Read, Error> {
    let size = known.then_some(bytes.len() as u64);
    let mut reader = Reader::new(Options { size, ..Options::default() });
    let mut read = Read::default();
    let mut at = 0;
    loop {
        match reader.next()? {
            Some(Event::Key(key)) => {
                let access = match (key.idle_s, key.freq) {
                    (Some(seconds), _) => Access::Idle(seconds),
                    (_, Some(counter)) => Access::Freq(counter),
                    _ => Access::Unknown,
                };
                let value = match key.value {
                    Loaded::Int(int) => Value::String(int.to_string().into_bytes()),
                    Loaded::String(bytes) => Value::String(bytes.into_owned()),
                    Loaded::Object(object) => Value::Object(object),
                };
                let attributes = Attributes { expiry: key.expiry, access };
                read.keys.push(line(key.db.0, &key.key, attributes, value.as_ref()));
            }
            Some(Event::End(end)) => {
                read.end = Some(end);
                return Ok(read);
            }
            Some(event) => read.others.push(format!("{event:?}")),
            None if at < bytes.len() => {
                let next = (at + piece().max(1)).min(bytes.len());
                reader.feed(&bytes[at..next]);
                at = next;
            }
            None => reader.ended(),
        }
    }
}

#[test]
fn keys_of_nothing_are_passed_over_and_told() {
    let mut file = b"REDIS0010\xfe\x00".to_vec();
    // A time and an idle time, which are not those of the key behind.
    file.extend_from_slice(b"\xfc\x01\x02\x03\x04\x05\x06\x07\x00\xf8\x05\x02\x07nothing\x00");
    file.extend_from_slice(b"\x00\x04some\x05value");
    // A list of two nodes of nothing.
    file.extend_from_slice(
        b"\x12\x04list\x02\x02\x07\x07\x00\x00\x00\x00\x00\xff\x02\x07\x07\x00\x00\x00\x00\x00\xff",
    );
    file.push(0xff);
    file.extend_from_slice(&rdb::crc64(&file).to_le_bytes());
    for piece in [1, 2, 7, file.len()] {
        for known in [false, true] {
            let read = read(&file, known, || piece).unwrap();
            let some = StringRef::Bytes(b"value");
            let some = line(0, b"some", Attributes::default(), ValueRef::String(some));
            assert_eq!(read.keys, [some], "pieces of {piece}");
            let told = read.others.iter().filter(|event| event.starts_with("Empty")).count();
            assert_eq!((told, read.end.map(|end| end.keys)), (2, Some(1)), "{:?}", read.others);
        }
    }
}

/// A file of Valkey 9.1, with a hash that has a field that expires, one that has none, and a string.
const OF_VALKEY: &[u8] = b"VALKEY080\xfa\x0avalkey-ver\x059.1.2\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2\x36\x45\x03\x6b\
\xfa\x08used-mem\xc2\xd0\x05\x11\x00\xfa\x08aof-base\xc0\x00\xfe\x00\xfb\x03\x00\x16\x01h\x03\x01f\x01v\x7b\x40\x94\x52\xa3\x03\x00\x00\
\x05stays\x01w\xff\xff\xff\xff\xff\xff\xff\xff\x01n\xc0\x11\xff\xff\xff\xff\xff\xff\xff\xff\x10\x05plain\x0d\x0d\x00\x00\x00\x02\x00\
\x81f\x02\x81v\x02\xff\x00\x01s\x04text\xff\x1a\x19\x52\xc0\x0e\x4e\x39\x08";

#[test]
fn a_file_of_valkey_is_read_and_one_of_a_version_to_come_is_refused() {
    for piece in [1, 2, 7, 100, OF_VALKEY.len()] {
        for known in [false, true] {
            let read = read(OF_VALKEY, known, || piece).unwrap();
            let begins: Vec<&str> =
                read.keys.iter().map(|key| key.split(' ').nth(1).expect("a key")).collect();
            assert_eq!(begins, ["h", "plain", "s"], "pieces of {piece}");
            assert!(read.keys[0].contains("4000000000123"), "{}", read.keys[0]);
            assert!(matches!(read.end.expect("an end").sum, Sum::Verified(_)));
        }
    }
    for (header, problem) in [
        (b"VALKEY081", Problem::Valkey { version: 81 }),
        (b"VALKEY011", Problem::Valkey { version: 11 }),
        (b"REDIS0080", Problem::Version { version: 80 }),
        (b"REDIS0013", Problem::Version { version: 13 }),
    ] {
        let file = [header, &OF_VALKEY[9..]].concat();
        assert_eq!(read(&file, true, || 50).unwrap_err().problem, problem);
    }
}

#[test]
fn what_was_written_is_read_in_pieces_of_any_size() {
    let keys = keys();
    for version in [Version::V10, Version::V11, Version::V12] {
        let bytes = whole(&keys, version);
        let mut rng = Rng::new(5);
        for (known, max) in
            [(true, usize::MAX), (false, usize::MAX), (true, 70_000), (false, 5000), (true, 300)]
        {
            let read = read(&bytes, known, || 1 + rng.index(max)).unwrap();
            let end = read.end.expect("an end");
            assert!(matches!(end.sum, Sum::Verified(_)));
            assert_eq!((end.bytes, end.keys), (bytes.len() as u64, keys.len() as u64));
            // Version 10 has no words for when a consumer was active.
            let differ = read.keys.iter().zip(lines(&keys)).filter(|(a, b)| *a != b).count();
            assert_eq!(differ, if version == Version::V10 { 1 } else { 0 }, "{version:?} {max}");
            assert!(read.others.iter().any(|other| other.contains("Library")), "{:?}", read.others);
        }
    }
}

fn joined_for_valkey(files: &[Vec<u8>], step: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let mut joiner = Joiner::begin_for_valkey(&mut out);
    for file in files {
        file.chunks(step).try_for_each(|piece| joiner.feed(piece, &mut out))?;
        joiner.end_file()?;
    }
    joiner.end(&mut out);
    Ok(out)
}

/// Hashes of every form, with and without fields that expire, among all else that there is.
#[test]
fn what_was_written_is_read_from_valkeys_words() {
    let mut keys = keys();
    for (index, (fields, expiring)) in
        [(1, 1), (10, 0), (10, 1), (10, 10), (3000, 0), (3000, 1), (3000, 3000)].into_iter().enumerate()
    {
        let attributes = Attributes { expiry: Some(UnixMs(1_900_000_000_000)), access: Access::Freq(7) };
        let key = format!("hash:{index}").into_bytes();
        keys.push(Written { db: 15, key, attributes, value: hash_of(fields, expiring) });
    }
    // One that is compact, and too large to be written as one string.
    let limits = Limits { hash_max_listpack_entries: 9000, ..Limits::default() };
    let mut object = Object::new(Kind::Hash);
    for index in 0..9000 {
        let mut hash = HashMut::new(&mut object, &limits);
        let name = format!("field:{index}").into_bytes();
        assert!(hash.set(&name, b"value", KeepExpiry::No));
        hash.set_expiry(&name, (index % 2 == 0).then_some(UnixMs(4_000_000_000_000 - index)));
    }
    let value = Value::Object(object);
    keys.push(Written { db: 15, key: b"compact".to_vec(), attributes: Attributes::default(), value });
    let without = keys.iter().filter(|one| !has_expiring_fields(&one.value)).cloned().collect::<Vec<_>>();
    assert!(without.len() < keys.len() - 4);

    let whole_read = |file: &[u8]| {
        let mut read = read(file, true, || 100_000).unwrap();
        assert!(matches!(read.end.expect("an end").sum, Sum::Verified(_)));
        read.keys.sort();
        read.keys
    };
    for version in [Version::V11, Version::V12] {
        let file = whole(&keys, version);
        for step in [1, 2, 7, 1000, 70_000, file.len()] {
            let valkey = joined_for_valkey(std::slice::from_ref(&file), step).unwrap();
            assert_eq!(&valkey[..9], b"VALKEY080");
            assert_eq!(whole_read(&valkey), whole_read(&file), "{version:?}, pieces of {step}");
        }
        // Where nothing expires there is another header, and nothing else.
        let file = whole(&without, version);
        let valkey = joined_for_valkey(std::slice::from_ref(&file), 1000).unwrap();
        assert!(valkey[9..valkey.len() - 8] == file[9..file.len() - 8], "{version:?}");
    }
    let files =
        [whole(&keys[..20], Version::V12), whole(&[], Version::V12), whole(&keys[20..], Version::V10)];
    let valkey = joined_for_valkey(&files, 4096).unwrap();
    assert_eq!(whole_read(&valkey).len(), keys.len());
}

fn has_expiring_fields(value: &Value) -> bool {
    matches!(value.as_ref(), ValueRef::Hash(hash) if hash.next_due().is_some())
}

/// The same of each of the two types in which such hashes are written.
#[test]
fn fields_that_expire_are_said_as_valkey_says_them() {
    let check = |value: &Value, kind: u8, expected: &[u8]| {
        let mut writer = Writer::new(Version::V12, false);
        writer.keys().key(DbIndex(0), b"h", Attributes::default(), value.as_ref());
        let file = writer.end().0;
        assert_eq!(file[11], kind);
        let valkey = joined_for_valkey(&[file], 3).unwrap();
        assert_eq!(
            valkey[11..valkey.len() - 9].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    };
    const EXPIRY: [u8; 8] = 1_700_000_000_000i64.to_le_bytes();
    let never = &b"\x02f1\xc1\xe8\x03\xff\xff\xff\xff\xff\xff\xff\xff"[..];
    check(&hash_of(2, 1), 25, &[&b"\x16\x01h\x02\x02f0\xc0\x00"[..], &EXPIRY, never].concat());
    let limits = Limits { hash_max_listpack_entries: 0, ..Limits::default() };
    let mut large = Object::new(Kind::Hash);
    let mut hash = HashMut::new(&mut large, &limits);
    assert!(hash.set(b"f0", b"text", KeepExpiry::No));
    hash.set_expiry(b"f0", Some(UnixMs(1_700_000_000_000)));
    check(&Value::Object(large), 24, &[&b"\x16\x01h\x01\x02f0\x04text"[..], &EXPIRY].concat());
}

#[test]
fn what_is_not_written_here_is_not_translated() {
    let check = |between: &[u8], expected: fn(Problem) -> bool| {
        let file = [b"REDIS0012", between, &[0xff; 9]].concat();
        for step in [1, 5, file.len()] {
            let problem = joined_for_valkey(std::slice::from_ref(&file), step).unwrap_err().problem;
            assert!(expected(problem), "{}: {problem}", between.escape_ascii());
        }
    };
    let is_kind = |problem| matches!(problem, Problem::Kind { .. });
    let is_bad = |problem| matches!(problem, Problem::Bad { .. });
    let is_truncated = |problem| matches!(problem, Problem::Truncated { .. });
    for code in [3, 6, 7, 9, 10, 12, 13, 14, 15, 22, 23, 26, 243, 244, 246, 247, 253, 255] {
        check(&[code, 1, b'k', 1, b'v'], is_kind);
    }
    check(b"\x00\x01k\xc5", is_bad);
    check(b"\x04\x01k\xc0\x01", is_bad);
    check(b"\x19\x01k\x01\x00\x00\x00\x00\x00\x00\x00\x01x", is_bad);
    check(b"\x18\x01k\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x03\x01f\x01v", is_bad);
    for between in [&b"\x00"[..], b"\x00\x05key", b"\x04\x01k\x02\x01f\x01v", b"\xfe", b"\xfc\x01"] {
        check(between, is_truncated);
    }
}

#[test]
fn slices_are_what_is_written_as_a_whole() {
    let keys = keys();
    let budgets = [(1, 1), (100, 7), (5000, 1000), (1 << 20, 3), (usize::MAX, usize::MAX)];
    for (bytes, elements) in budgets {
        let mut writer = begun(Version::V11);
        writer.keys().resize_db(DbIndex(0), 10, 4);
        let mut file = Vec::new();
        for Written { db, key, attributes, value } in &keys {
            let value = value.as_ref();
            let mut slices = writer.keys().begin(DbIndex(*db), *attributes, value);
            let mut done = false;
            while !done {
                let before = writer.len();
                done = writer.keys().slice(&mut slices, key, value, Budget { bytes, elements });
                // It stops soon after the budget: the key and one element more.
                assert!(done || writer.len() - before <= 2 * bytes.max(4096) + 2 * 64 * 1024 + 20_000);
                if writer.len() > 10_000 {
                    file.append(&mut writer.take(Vec::new()));
                }
            }
        }
        file.append(&mut writer.end().0);
        assert!(file == whole(&keys, Version::V11), "{bytes} {elements}");
    }
}

/// Reads a file to its end without looking at what it says; it comes in pieces of `piece` bytes.
fn end_of(bytes: &[u8], piece: usize) -> Result<End, Error> {
    let mut reader = Reader::new(Options { size: Some(bytes.len() as u64), ..Options::default() });
    let mut pieces = bytes.chunks(piece);
    loop {
        match reader.next()? {
            Some(Event::End(end)) => return Ok(end),
            Some(_) => {}
            None => match pieces.next() {
                Some(piece) => reader.feed(piece),
                None => reader.ended(),
            },
        }
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_an_error_and_says_where() {
    let file = whole(&keys(), Version::V12);
    let mut rng = Rng::new(11);
    let edges = (0..300).chain(file.len() - 300..file.len());
    let places: Vec<usize> = edges.chain((0..500).map(|_| rng.index(file.len()))).collect();
    for cut in places {
        let error = end_of(&file[..cut], 1 + rng.index(1 << 17)).expect_err("not the whole file");
        // With the size known, a length that goes beyond it is wrong as soon as it is read.
        let problem = error.problem;
        assert!(matches!(problem, Problem::Truncated { .. } | Problem::Bad { .. }), "{cut}: {error}");
        assert!(error.at <= cut as u64, "{cut}: {error}");
    }
}

#[test]
fn no_damage_goes_unnoticed() {
    let file = whole(&keys(), Version::V11);
    assert!(end_of(&file, 1 << 16).is_ok());
    let mut rng = Rng::new(12);
    for round in 0..800 {
        let mut damaged = file.clone();
        for _ in 0..1 + round % 3 {
            // Every tenth round in the header, where there is least to notice it by.
            let at = if round % 10 == 0 { rng.index(200) } else { rng.index(file.len()) };
            damaged[at] ^= 1 << rng.index(8);
        }
        if damaged == file {
            continue;
        }
        if let Ok(end) = end_of(&damaged, 1 + rng.index(1 << 17)) {
            // It says to be of a version without checksum: then the checksum is no part of it.
            assert_eq!((end.sum, end.bytes), (Sum::None, file.len() as u64 - 8), "round {round}");
        }
    }
}
