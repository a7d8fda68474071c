//! Values of every kind and form: written, read back, and read from damaged bytes.

mod samples;

use datatypes::stream::StreamId;
use datatypes::{Kind, Large, Limits, Object, Place, Stored, Value, ValueRef};
use proptest::prelude::*;
use rdb::{Error, Reader, Version, Writer, dump, restore};
use samples::*;
use stdx::args::OwnedArgs;

#[test]
fn values_come_back_whatever_their_form_and_version() {
    let limits = Limits::default();
    for value in samples() {
        let mut payload = Vec::new();
        dump(value.as_ref(), false, &mut payload);
        let restored = restore(&payload, &limits).unwrap();
        assert_eq!(reading(restored.as_ref()), reading(value.as_ref()));
        for (version, compress) in [(Version::V10, true), (Version::V11, false), (Version::V12, true)] {
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes, version, compress);
            writer.kind(value.as_ref());
            writer.value(value.as_ref());
            let mut reader = Reader::new(&bytes, &limits);
            let kind = reader.kind().unwrap();
            let read = reader.value(kind).unwrap();
            assert_eq!((reading(read.as_ref()), reader.left()), (reading(value.as_ref()), 0), "{version:?}");
        }
    }
}

#[test]
fn a_dump_says_the_oldest_version_that_can_hold_it() {
    let version = |value: Value| {
        let mut payload = Vec::new();
        dump(value.as_ref(), false, &mut payload);
        payload[payload.len() - 10]
    };
    assert_eq!(version(Value::String(b"text".to_vec())), 10);
    assert_eq!(version(set_of((0..5).map(|i| format!("member {i}")))), 10);
    assert_eq!(version(hash_of(10, 0)), 10);
    assert_eq!(version(hash_of(10, 1)), 12);
    assert_eq!(version(hash_of(500, 1)), 12);
    assert_eq!(version(stream_of(3, true)), 10);
    assert_eq!(version(stream_of(3, false)), 11, "a consumer that never got anything");
}

#[test]
fn an_envelope_is_checked_before_what_is_in_it() {
    let limits = Limits::default();
    let mut payload = Vec::new();
    dump(list_of(20, 5).as_ref(), false, &mut payload);
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        let error = restore(&damaged, &limits).unwrap_err();
        assert!(matches!(error, Error::Checksum { .. } | Error::Version { .. }), "{at}: {error}");
    }
    assert!(matches!(restore(b"short", &limits), Err(Error::Short { .. })));
}

#[test]
fn what_is_behind_the_value_is_passed_over() {
    let limits = Limits::default();
    let mut payload = b"\x00\x01abehind\x0a\x00".to_vec();
    payload.extend_from_slice(&rdb::crc64(&payload).to_le_bytes());
    let value = restore(&payload, &limits).unwrap();
    assert!(matches!(value, Value::String(bytes) if bytes == b"a"));
}

/// What Valkey 9.1 says of a hash of `f` `v`, which expires, `stays` `w` and `n` 17.
const OF_VALKEY: &[u8] = b"\x16\x03\x01f\x01v{@\x94R\xa3\x03\x00\x00\x05stays\x01w\xff\xff\xff\xff\xff\xff\xff\xff\x01n\xc0\x11\xff\xff\xff\xff\xff\xff\xff\xffP\x00\xa1\x05.\x0b\x96\x1a\xa2\x0e";

#[test]
fn fields_that_expire_are_read_from_what_valkey_says() {
    let limits = Limits::default();
    let value = restore(OF_VALKEY, &limits).unwrap();
    let ValueRef::Hash(hash) = value.as_ref() else { panic!("a hash") };
    let mut fields: Vec<String> = hash
        .iter()
        .map(|field| {
            let (mut name, mut value) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (name, value) = (field.name.text(&mut name), field.value.text(&mut value));
            format!("{} {} {:?}", name.escape_ascii(), value.escape_ascii(), field.expiry.map(|at| at.0))
        })
        .collect();
    fields.sort();
    assert_eq!(fields, ["f v Some(4000000000123)", "n 17 None", "stays w None"]);

    let of_version = |version: u8| {
        let mut payload = OF_VALKEY[..OF_VALKEY.len() - 10].to_vec();
        payload.extend_from_slice(&[version, 0]);
        payload.extend_from_slice(&rdb::crc64(&payload).to_le_bytes());
        restore(&payload, &limits)
    };
    assert!(of_version(80).is_ok());
    for version in [13, 79, 81] {
        assert_eq!(of_version(version).unwrap_err(), Error::Version { version: version.into() });
    }
    assert!(of_version(12).is_err(), "the number is that of another type there");
    // What Redis has beyond it, Valkey has not.
    let mut payload = b"\x18\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01f\x01vP\x00".to_vec();
    payload.extend_from_slice(&rdb::crc64(&payload).to_le_bytes());
    assert_eq!(restore(&payload, &limits).unwrap_err(), Error::Kind { kind: 24 });
}

#[test]
fn values_of_nothing_are_told_from_damaged_ones() {
    for value in OF_NOTHING {
        // What is behind it is where the next thing in a file is.
        let bytes = [value, &b"behind"[..]].concat();
        let limits = Limits::default();
        let mut reader = Reader::new(&bytes, &limits);
        let kind = reader.kind().unwrap();
        let error = reader.value(kind).unwrap_err();
        assert_eq!(error, Error::Empty { at: value.len() }, "{}", value.escape_ascii());
    }
}

/// Values without elements, each with its type.
const OF_NOTHING: &[&[u8]] = &[
    b"\x01\x00",                                                                         // a list
    b"\x02\x00",                                                                         // a set
    b"\x03\x00",                                                                         // a sorted set
    b"\x05\x00",                                                 // one with scores as doubles
    b"\x04\x00",                                                 // a hash
    b"\x09\x02\x00\xff",                                         // a zipmap
    b"\x0a\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",     // a list in a ziplist
    b"\x0c\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",     // a sorted set
    b"\x0d\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",     // a hash
    b"\x0e\x00",                                                 // a list of no nodes
    b"\x0e\x01\x0b\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff", // a node of nothing
    b"\x10\x07\x07\x00\x00\x00\x00\x00\xff",                     // a hash in a listpack
    b"\x11\x07\x07\x00\x00\x00\x00\x00\xff",                     // a sorted set
    b"\x12\x02\x02\x07\x07\x00\x00\x00\x00\x00\xff\x02\x07\x07\x00\x00\x00\x00\x00\xff", // nodes of nothing
    b"\x14\x07\x07\x00\x00\x00\x00\x00\xff",                     // a set in a listpack
    b"\x18\x01\x00\x00\x00\x00\x00\x00\x00\x00",                 // a hash with fields that expire
];

#[test]
fn nothing_twice_and_nothing_damaged_is_read() {
    let limits = Limits::default();
    let cases: &[&[u8]] = &[
        b"\x02\x02\x01a\x01a",                            // a member twice
        b"\x04\x02\x01a\x01b\x01a\x01c",                  // a field twice
        b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f", // a score that is NaN
        b"\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00",      // an array of no integers
        b"\x06\x01a",                                     // a module's value
        b"\x02\xc3\x01\x01a",                             // a length that is a string
    ];
    for bytes in cases {
        let mut reader = Reader::new(bytes, &limits);
        let kind = reader.kind().unwrap();
        let error = reader.value(kind).unwrap_err();
        assert!(!matches!(error, Error::Empty { .. }), "{}", bytes.escape_ascii());
    }
}

#[test]
fn nodes_of_nothing_are_passed_over_in_lists_of_something() {
    const NOTHING: &[u8] = b"\x02\x07\x07\x00\x00\x00\x00\x00\xff";
    const A: &[u8] = b"\x02\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff";
    let limits = Limits::default();
    for nodes in [[NOTHING, A], [A, NOTHING]] {
        let bytes = [&b"\x12\x02"[..], nodes[0], nodes[1]].concat();
        let mut reader = Reader::new(&bytes, &limits);
        let kind = reader.kind().unwrap();
        let value = reader.value(kind).unwrap();
        assert_eq!(reading(value.as_ref()), reading(list_of_a().as_ref()));
    }
}

fn list_of_a() -> Value {
    Value::Object(datatypes::list::build([&b"a"[..]].into_iter(), &Limits::default()))
}

#[test]
fn groups_of_old_streams_know_what_they_read() {
    let mut stream = Object::new(Kind::Stream);
    let Large::Stream(made) = stream.large_mut() else { panic!("a stream") };
    for seq in 1..=3 {
        let pairs = OwnedArgs::new(&["f", "v"]);
        made.log_mut().append(StreamId { ms: 0, seq }, pairs.as_args(), &Limits::default()).unwrap();
    }
    let (id, block) = made.log().blocks().next().expect("a block");
    let mut bytes = vec![15, 1, 16];
    bytes.extend_from_slice(&id.to_bytes());
    bytes.push(block.len() as u8);
    bytes.extend_from_slice(block);
    // Three entries, the last 0-3, and four groups that are at 0-0, 0-1, 0-2 and 0-3.
    bytes.extend_from_slice(&[3, 0, 3, 4]);
    for seq in 0..4 {
        bytes.extend_from_slice(&[1, b'a' + seq, 0, seq, 0, 0]);
    }
    let limits = Limits::default();
    let mut reader = Reader::new(&bytes, &limits);
    let kind = reader.kind().unwrap();
    let value = reader.value(kind).unwrap();
    let ValueRef::Stream(stream) = value.as_ref() else { panic!("a stream") };
    let read: Vec<Option<i64>> = stream.groups().map(|(_, group)| group.entries_read).collect();
    assert_eq!(read, [Some(0), Some(1), None, Some(3)]);
}

fn read_all(bytes: &[u8]) {
    let limits = Limits::default();
    let mut reader = Reader::new(bytes, &limits);
    if let Ok(kind) = reader.kind()
        && let Ok(value) = reader.value(kind)
    {
        // What was accepted can be used.
        reading(value.as_ref());
        if let Value::Object(object) = &value {
            assert!(!matches!(object.stored(), Stored::Compact(_, [])));
        }
        let mut again = Vec::new();
        dump(value.as_ref(), false, &mut again);
        let restored = restore(&again, &limits).expect("what was accepted can be dumped and restored");
        assert_eq!(reading(restored.as_ref()), reading(value.as_ref()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_values_are_errors_or_values(sample in 0usize..25, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index) {
        let samples = samples();
        let mut bytes = Vec::new();
        dump(samples[sample % samples.len()].as_ref(), false, &mut bytes);
        bytes.truncate(bytes.len() - 10);
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        read_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_all(&bytes);
    }

    #[test]
    fn garbage_of_every_type_is_an_error_or_a_value(kind in 0u8..26, bytes: Vec<u8>) {
        read_all(&[&[kind][..], &bytes].concat());
    }
}
