//! Streams against a plain model: a map of entries, and groups as lists of who has what.

use super::*;
use crate::{LargeValue, Limits};
use proptest::prelude::*;
use std::collections::BTreeMap;
use stdx::args::OwnedArgs;

type Pairs = Vec<Vec<u8>>;

fn read(entry: Entry<'_>) -> (StreamId, Pairs) {
    let mut pairs = Pairs::new();
    for (field, value) in entry.fields() {
        pairs.extend([field, value].map(|one| one.text(&mut itoa::Buffer::new()).to_vec()));
    }
    assert_eq!(pairs.len(), entry.len() * 2);
    (entry.id, pairs)
}

fn add(log: &mut Log, ms: u64, pairs: &[&str], limits: &Limits) {
    log.append(StreamId::new(ms, 0), OwnedArgs::new(pairs).as_args(), limits).expect("a greater id");
}

/// Everything that is kept beside the blocks is counted anew, and the blocks are read as if they came from a stranger.
fn audit(log: &Log) {
    let mut again = Log::default();
    for (id, bytes) in log.blocks() {
        again.restore_block(id, bytes.to_vec()).expect("a sound block");
    }
    let whole = again.restored(&Restored {
        len: log.len(),
        first_id: None,
        last_id: log.last_id(),
        max_deleted_id: log.max_deleted_id(),
        entries_added: None,
    });
    assert!(whole, "{log:?}");
    assert_eq!(again.block_count(), log.block_count());
    assert_eq!(again.radix_nodes(), log.radix_nodes());
    assert_eq!(again.first_id(), log.first_id());
    let kept = |log: &Log| log.range(StreamId::MIN, StreamId::MAX).map(read).collect::<Vec<_>>();
    assert_eq!(kept(&again), kept(log));
    let tail = log.tail.capacity();
    let closed: usize = log.closed.values().map(|bytes| good_size(bytes.len()) + 64).sum();
    assert_eq!(log.memory(), closed + if tail == 0 { 0 } else { good_size(tail) });
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64, Pairs),
    Delete(prop::sample::Index),
    Trim(Trim),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = prop_oneof![
        (-200i64..200).prop_map(|int| int.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..9),
        (0usize..150).prop_map(|len| vec![b'x'; len]),
    ];
    let field = prop_oneof![4 => Just(b"f".to_vec()), 1 => Just(b"7".to_vec()), 1 => text.clone()];
    let pairs = prop::collection::vec((field, text), 1..4)
        .prop_map(|pairs| pairs.into_iter().flat_map(|(field, value)| [field, value]).collect());
    let to = prop_oneof![
        (0u64..30).prop_map(TrimTo::Len),
        (0u64..3000).prop_map(|ms| TrimTo::Id(StreamId::new(ms, 0)))
    ];
    let trim = (to, any::<bool>(), 0u64..20).prop_map(|(to, approximate, limit)| Trim {
        to,
        approximate,
        limit: if approximate { limit } else { 0 },
    });
    let step = prop_oneof![
        8 => (1u64..60, pairs).prop_map(|(ms, pairs)| Step::Add(ms, pairs)),
        3 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => trim.prop_map(Step::Trim),
    ];
    prop::collection::vec(step, 1..120)
}

/// Trims the model as the log said it did, after a look at whether it was allowed to.
fn trim_model(model: &mut BTreeMap<StreamId, Pairs>, trim: &Trim, removed: u64) {
    let due = |model: &BTreeMap<StreamId, Pairs>| match trim.to {
        TrimTo::Len(len) => (model.len() as u64).saturating_sub(len),
        TrimTo::Id(id) => model.range(..id).count() as u64,
    };
    assert!(removed <= due(model));
    assert!(trim.approximate || removed == due(model), "exact trimming leaves nothing");
    assert!(trim.limit == 0 || removed <= trim.limit);
    for _ in 0..removed {
        model.pop_first();
    }
}

proptest! {
    #[test]
    fn a_log_behaves_like_a_map(steps in steps(), entries_max in 1usize..12, bytes_max in 50usize..600) {
        let limits =
            Limits { stream_node_max_entries: entries_max, stream_node_max_bytes: bytes_max, ..Limits::default() };
        let (mut log, mut model, mut ms) = (Log::default(), BTreeMap::new(), 0);
        for step in steps {
            match step {
                Step::Add(more, pairs) => {
                    ms += more;
                    let id = StreamId::new(ms, more % 3);
                    log.append(id, OwnedArgs::new(&pairs).as_args(), &limits).expect("a greater id");
                    model.insert(id, pairs);
                }
                Step::Delete(index) if !model.is_empty() => {
                    let id = *model.keys().nth(index.index(model.len())).expect("within");
                    let first = log.first_id() == id;
                    prop_assert!(log.delete(id) && !log.delete(id));
                    log.note_deleted(id, first);
                    model.remove(&id);
                }
                Step::Delete(_) => prop_assert!(!log.delete(StreamId::new(ms, 0))),
                Step::Trim(trim) => trim_model(&mut model, &trim, log.trim(&trim)),
            }
            prop_assert_eq!(log.len() as usize, model.len());
        }
        audit(&log);
        let entries: Vec<_> = model.clone().into_iter().collect();
        let (from, to) = (StreamId::new(ms / 4, 1), StreamId::new(ms / 2, 1));
        let within: Vec<_> = model.range(from..=to).map(|(id, pairs)| (*id, pairs.clone())).collect();
        prop_assert_eq!(log.range(StreamId::MIN, StreamId::MAX).map(read).collect::<Vec<_>>(), &entries[..]);
        prop_assert_eq!(log.range(from, to).map(read).collect::<Vec<_>>(), &within[..]);
        let backward = |start, end| {
            let mut entries: Vec<_> = log.range_backward(start, end).map(read).collect();
            entries.reverse();
            entries
        };
        prop_assert_eq!(backward(StreamId::MIN, StreamId::MAX), entries);
        prop_assert_eq!(backward(from, to), within);
    }

    #[test]
    fn damaged_blocks_are_refused_or_walked_without_a_panic(
        steps in steps(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut log, mut ms) = (Log::default(), 0);
        for step in steps {
            if let Step::Add(more, pairs) = step {
                ms += more;
                let args = OwnedArgs::new(&pairs);
                log.append(StreamId::new(ms, 0), args.as_args(), &Limits::default()).expect("a greater id");
            }
        }
        let mut again = Log::default();
        for (id, bytes) in log.blocks() {
            let mut bytes = bytes.to_vec();
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if again.restore_block(id, bytes).is_ok() {
                let entries: Vec<_> = again.range(StreamId::MIN, StreamId::MAX).map(read).collect();
                prop_assert_eq!(again.range_backward(StreamId::MIN, StreamId::MAX).count(), entries.len());
                for (id, _) in entries {
                    prop_assert!(again.delete(id));
                }
            }
        }
    }

    #[test]
    fn a_group_behaves_like_a_list(steps in prop::collection::vec((0u8..4, 0u64..20, 0usize..4), 1..200)) {
        let mut stream = Stream::default();
        let empty = stream.memory();
        prop_assert!(stream.create_group(b"g", Group::new(StreamId::MIN, None)));
        prop_assert!(!stream.create_group(b"g", Group::new(StreamId::MIN, None)));
        let bare = stream.memory();
        let names: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let mut model: BTreeMap<u64, usize> = BTreeMap::new();
        for (kind, ms, who) in steps {
            let (_, mut group) = stream.group_mut(b"g").expect("the group");
            let id = StreamId::new(ms, 0);
            match kind {
                0 | 1 => {
                    let created = group.create_consumer(names[who], 1);
                    let consumer = created.or(group.find_consumer(names[who])).expect("there or made");
                    group.assign(id, Pending { consumer, delivered_ms: 0, deliveries: 1 });
                    model.insert(ms, who);
                }
                2 => prop_assert_eq!(group.acknowledge(id).is_some(), model.remove(&ms).is_some()),
                _ => {
                    let had = model.values().filter(|owner| **owner == who).count();
                    prop_assert_eq!(group.remove_consumer(names[who]).unwrap_or(0), had);
                    model.retain(|_, owner| *owner != who);
                }
            }
            let owned: Vec<(u64, &[u8])> = group
                .pending_from(StreamId::MIN)
                .map(|(id, pending)| (id.ms, group.consumer(pending.consumer).name()))
                .collect();
            prop_assert_eq!(&owned, &model.iter().map(|(ms, who)| (*ms, names[*who])).collect::<Vec<_>>());
            let span = owned.first().zip(owned.last()).map(|(first, last)| (first.0, last.0));
            prop_assert_eq!(group.pending_span().map(|(first, last)| (first.ms, last.ms)), span);
            prop_assert_eq!(group.pending_len(), model.len());
            for consumer in group.consumers() {
                let had = model.iter().filter(|(_, who)| names[**who] == consumer.name());
                let had: Vec<StreamId> = had.map(|(ms, _)| StreamId::new(*ms, 0)).collect();
                prop_assert_eq!(consumer.pending(StreamId::MIN).collect::<Vec<_>>(), had);
            }
        }
        for name in names {
            stream.group_mut(b"g").expect("the group").1.remove_consumer(name);
        }
        // What was pending is swept out by and by.
        (0..20).for_each(|_| drop(stream.group_mut(b"g")));
        prop_assert_eq!(stream.memory(), bare);
        prop_assert!(stream.remove_group(b"g").is_some() && stream.remove_group(b"g").is_none());
        prop_assert!(stream.memory() < bare && stream.memory() > empty);
    }
}

#[test]
fn blocks_end_where_redis_ends_them() {
    let limits = Limits { stream_node_max_entries: 3, stream_node_max_bytes: 60, ..Limits::default() };
    let mut log = Log::default();
    for ms in 1..=4 {
        add(&mut log, ms, &["f", "v"], &limits);
    }
    assert_eq!(log.blocks().map(|(id, _)| id.ms).collect::<Vec<_>>(), [1, 4]);
    let first = log.blocks().next().expect("a block").1.len();
    add(&mut log, 5, &["f", &"x".repeat(60 - first)], &limits);
    assert_eq!(log.block_count(), 2);
    add(&mut log, 6, &["f", &"x".repeat(40)], &limits);
    assert_eq!(log.block_count(), 3);
}

#[test]
fn the_last_block_grows_again_when_it_is_the_last_again() {
    let limits = Limits { stream_node_max_entries: 2, ..Limits::default() };
    let mut log = Log::default();
    for ms in 1..=3 {
        add(&mut log, ms, &["f", "v"], &limits);
    }
    assert!(log.delete(StreamId::new(3, 0)));
    assert_eq!(log.block_count(), 1);
    audit(&log);
    let wider = Limits { stream_node_max_entries: 5, ..limits };
    add(&mut log, 4, &["f", "v"], &wider);
    assert_eq!(log.block_count(), 1);
    audit(&log);
}

#[test]
fn ids_must_grow_and_entries_have_a_bound() {
    let (mut log, limits) = (Log::default(), Limits::default());
    add(&mut log, 5, &["f", "v"], &limits);
    let args = OwnedArgs::new(&["f", "v"]);
    assert_eq!(log.append(StreamId::new(5, 0), args.as_args(), &limits), Err(AppendError::NotGreater));
    assert_eq!((log.len(), log.entries_added()), (1, 1));
}

#[test]
fn a_block_of_bytes_known_from_redis() {
    let mut log = Log::default();
    add(&mut log, 1, &["a", "1"], &Limits::default());
    add(&mut log, 2, &["a", "x"], &Limits::default());
    add(&mut log, 300, &["b", "x"], &Limits::default());
    log.delete(StreamId::new(2, 0));
    let (_, bytes) = log.blocks().next().expect("a block");
    let expected = [
        &[67, 0, 0, 0, 23, 0][..],
        &[2, 1, 1, 1, 1, 1, 0x81, b'a', 2, 0, 1],
        &[2, 1, 0, 1, 0, 1, 1, 1, 4, 1],
        &[3, 1, 1, 1, 0, 1, 0x81, b'x', 2, 4, 1],
        &[0, 1, 0xC1, 43, 2, 0, 1, 1, 1, 0x81, b'b', 2, 0x81, b'x', 2, 6, 1],
        &[0xFF],
    ];
    let expected = expected.concat();
    assert_eq!(bytes[6..], expected[6..]);
    assert_eq!(bytes.len(), bytes[0] as usize);
}

#[test]
fn a_stream_is_dismantled_in_slices() {
    let limits = Limits { stream_node_max_entries: 1, ..Limits::default() };
    let mut stream = Stream::default();
    for ms in 1..=10 {
        add(stream.log_mut(), ms, &["f", "v"], &limits);
    }
    let mut group = Group::new(StreamId::MIN, None);
    let consumer = group.create_consumer(b"c", 0).expect("none yet");
    for ms in 1..=10 {
        group.assign(StreamId::new(ms, 0), Pending { consumer, delivered_ms: 0, deliveries: 1 });
    }
    stream.create_group(b"g", group);
    let slices = (1..).take_while(|_| stream.dismantle(4)).count();
    assert!((7..9).contains(&slices), "{slices}");
    assert_eq!((stream.log().block_count(), stream.group_len()), (0, 0));
}
