//! Values of every kind and form, and all that is in one, as text.
#![allow(dead_code, reason = "each test uses some of it")]

use datatypes::hash::KeepExpiry;
use datatypes::stream::{Group, StreamId};
use datatypes::zset::AddRule;
use datatypes::{
    HashMut, Kind, Large, Limits, Object, Place, SetMut, StringRef, Value, ValueRef, ZSetMut, list,
};
use stdx::UnixMs;
use stdx::args::OwnedArgs;

/// All that a value holds, in an order that does not depend on its form.
pub(crate) fn reading(value: ValueRef<'_>) -> Vec<String> {
    let shown =
        |element: datatypes::Element<'_>| element.text(&mut itoa::Buffer::new()).escape_ascii().to_string();
    let mut lines: Vec<String> = Vec::new();
    match value {
        ValueRef::String(StringRef::Int(int)) => lines.push(int.to_string()),
        ValueRef::String(StringRef::Bytes(bytes)) => lines.push(bytes.escape_ascii().to_string()),
        ValueRef::List(list) => {
            lines.extend(list.iter(0).map(shown));
            lines.push(list.encoding().to_owned());
            return lines;
        }
        ValueRef::Set(set) => {
            lines.extend(set.iter().map(shown));
            lines.push(set.encoding().to_owned());
        }
        ValueRef::ZSet(zset) => {
            lines.extend(
                zset.iter().map(|(member, score)| format!("{} {:x}", shown(member), score.to_bits())),
            );
            lines.push(zset.encoding().to_owned());
        }
        ValueRef::Hash(hash) => {
            let line = |field: datatypes::hash::Field<'_>| {
                format!("{} {} {:?}", shown(field.name), shown(field.value), field.expiry)
            };
            lines.extend(hash.iter().map(line));
            lines.push(hash.encoding().to_owned());
        }
        ValueRef::Stream(stream) => {
            let log = stream.log();
            lines.push(format!("{:?} {:?} {:?}", log.last_id(), log.first_id(), log.max_deleted_id()));
            lines.push(format!("{} {}", log.len(), log.entries_added()));
            lines.extend(log.blocks().map(|(id, bytes)| format!("{id:?} {}", bytes.escape_ascii())));
            lines.extend(stream.groups().map(|(name, group)| format!("{} {group:?}", name.escape_ascii())));
            return lines;
        }
    }
    lines.sort();
    lines
}

pub(crate) fn list_of(count: usize, len: usize) -> Value {
    let elements: Vec<Vec<u8>> =
        (0..count).map(|i| [i.to_string().into_bytes(), vec![b'x'; len]].concat()).collect();
    Value::Object(list::build(elements.iter().map(Vec::as_slice), &Limits::default()))
}

pub(crate) fn set_of(members: impl Iterator<Item = String>) -> Value {
    let (mut object, members) = (Object::new(Kind::Set), members.collect::<Vec<_>>());
    // As SADD does: integers become an array.
    SetMut::new(&mut object, &Limits::default()).expect(members[0].as_bytes(), members.len());
    for member in members {
        assert!(SetMut::new(&mut object, &Limits::default()).add(member.as_bytes()));
    }
    Value::Object(object)
}

pub(crate) fn zset_of(scores: impl Iterator<Item = f64>) -> Value {
    let mut object = Object::new(Kind::ZSet);
    for (index, score) in scores.enumerate() {
        let member = format!("m{index}");
        ZSetMut::new(&mut object, &Limits::default()).add(member.as_bytes(), score, AddRule::ALWAYS).unwrap();
    }
    Value::Object(object)
}

pub(crate) fn hash_of(fields: usize, expiring: usize) -> Value {
    let mut object = Object::new(Kind::Hash);
    for index in 0..fields {
        let (name, value) = (format!("f{index}"), (index * 1000).to_string());
        let limits = Limits::default();
        let mut hash = HashMut::new(&mut object, &limits);
        assert!(hash.set(name.as_bytes(), value.as_bytes(), KeepExpiry::No));
        if index < expiring {
            hash.set_expiry(name.as_bytes(), Some(UnixMs(1_700_000_000_000 + 77 * index as i64)));
        }
    }
    Value::Object(object)
}

pub(crate) fn stream_of(entries: u64, active: bool) -> Value {
    let mut object = Object::new(Kind::Stream);
    let Large::Stream(stream) = object.large_mut() else { panic!("a stream") };
    for seq in 1..=entries {
        let pairs = OwnedArgs::new(&["field", &seq.to_string(), "name", "value"]);
        stream.log_mut().append(StreamId { ms: 5, seq }, pairs.as_args(), &Limits::default()).unwrap();
    }
    stream.log_mut().delete(StreamId { ms: 5, seq: 1 });
    assert!(stream.create_group(b"group", Group::new(StreamId { ms: 5, seq: 2 }, Some(2))));
    assert!(stream.create_group(b"idle", Group::new(StreamId::MIN, None)));
    let (_, mut group) = stream.group_mut(b"group").unwrap();
    let consumer = group.create_consumer(b"consumer", 1_700_000_000_000).unwrap();
    group.consumer_mut(consumer).active_ms = active.then_some(1_700_000_000_000);
    assert!(group.restore_pending(StreamId { ms: 5, seq: 2 }, 1_700_000_000_001, 3));
    assert!(group.restore_owner(consumer, StreamId { ms: 5, seq: 2 }));
    drop(group);
    Value::Object(object)
}

pub(crate) fn samples() -> Vec<Value> {
    let mut samples: Vec<Value> =
        ["", "hello", "12", "-129", "70000", "12345678901"].map(|text| Value::String(text.into())).into();
    samples.push(Value::String(vec![b'a'; 5000]));
    samples.extend([list_of(1, 0), list_of(20, 5), list_of(3000, 5), list_of(3, 20_000)]);
    for width in [0i64, 100_000, 1 << 40] {
        samples.push(set_of((0..20).map(|i| (i * 7 - 50 - width).to_string())));
    }
    samples.push(set_of((0..1000).map(|i| i.to_string())));
    samples.extend([10, 1000].map(|count| set_of((0..count).map(|i| format!("member {i}")))));
    let scores =
        [0.0, -0.0, 1.5, 1e300, -1e-300, f64::INFINITY, f64::NEG_INFINITY, 0.1, 4_503_599_627_370_497.5];
    samples.push(zset_of(scores.into_iter()));
    samples.push(zset_of((0..1000).map(|i| f64::from(i) / 3.0)));
    samples.push(zset_of((0..1000).map(|i| if i < 500 { 1.0 } else { -0.0 })));
    samples.extend([hash_of(10, 0), hash_of(10, 4), hash_of(500, 0), hash_of(500, 100)]);
    samples.extend([stream_of(3, true), stream_of(250, true), stream_of(3, false)]);
    samples
}
