//! Random commands of all families while the keyspace is captured: the capture holds what was there at its opening.

use crate::testing::{START, World};
use crate::{hash, list, set, sorted_set, string};
use config::MaxmemoryPolicy;
use keyspace::{Budget, Captured, Encode, Left};
use std::collections::BTreeMap;
use stdx::args::OwnedArgs;
use stdx::{DbIndex, Rng, UnixMs};

/// Writes what DUMP would, large values in pieces.
#[derive(Debug, Default)]
struct Recorder {
    written: usize,
}

impl Encode for Recorder {
    fn whole(&mut self, out: &mut Vec<u8>, entry: Captured<'_>) {
        out.extend_from_slice(&record(entry.db, entry.key(), entry.expiry(), entry.value()));
    }

    fn part(&mut self, out: &mut Vec<u8>, entry: Captured<'_>, budget: usize) -> bool {
        let bytes = record(entry.db, entry.key(), entry.expiry(), entry.value());
        let end = bytes.len().min(self.written + budget);
        out.extend_from_slice(&bytes[self.written..end]);
        self.written = if end == bytes.len() { 0 } else { end };
        end == bytes.len()
    }
}

fn record(db: DbIndex, key: &[u8], expiry: Option<UnixMs>, value: datatypes::ValueRef<'_>) -> Vec<u8> {
    let mut value_bytes = Vec::new();
    rdb::dump(value, false, &mut value_bytes);
    let at = expiry.map_or(-1, |at| at.0);
    let mut bytes = Vec::new();
    for part in [&db.0.to_le_bytes()[..], key, &at.to_le_bytes(), &value_bytes] {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Each record by database and key.
fn read(bytes: &[u8]) -> Records {
    let mut records = BTreeMap::new();
    let mut rest = bytes;
    let mut part = || {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at(u32::from_le_bytes(*len) as usize);
        rest = after;
        Some(part)
    };
    while let (Some(db), Some(key), Some(at), Some(value)) = (part(), part(), part(), part()) {
        let twice = records.insert([db, key].concat(), [at, value].concat());
        assert!(twice.is_none(), "{} was captured twice", key.escape_ascii());
    }
    records
}

/// All that is there, keys whose time has come included.
fn dump_all(world: &mut World) -> Records {
    let mut bytes = Vec::new();
    let keyspace = &mut world.cores[0].keyspace;
    for db in (0..keyspace.databases()).map(DbIndex) {
        let mut cursor = 0;
        loop {
            cursor = keyspace.scan(db, cursor, 1000, UnixMs(0), &mut |entry| {
                bytes.extend_from_slice(&record(db, entry.key(), entry.expiry(), entry.value()));
            });
            if cursor == 0 {
                break;
            }
        }
    }
    read(&bytes)
}

/// What the families' own tests do not do: `<key>` a key, `<n>` a small number.
const TEMPLATES: &[&str] = &[
    "XADD <key> * f <n>",
    "XADD <key> MAXLEN 5 * g <n>",
    "XADD <key> * f <n>",
    "XTRIM <key> MAXLEN <n>",
    "XGROUP CREATE <key> g 0 MKSTREAM",
    "XREADGROUP GROUP g c COUNT 3 STREAMS <key> >",
    "XAUTOCLAIM <key> g d 0 0 COUNT 2",
    "XSETID <key> 1800000000000-<n>",
    "SORT <key> ALPHA STORE <key>",
    "SORT <key> BY nosort STORE <key>",
    "MOVE <key> 1",
    "MOVE <key> 2",
    "COPY <key> <key> DB 1",
    "COPY <key> <key> REPLACE",
    "RENAME <key> <key>",
    "RENAMENX <key> <key>",
    "EVAL \"return redis.call('RPUSH',KEYS[1],ARGV[1])\" 1 <key> <n>",
    "EVAL \"redis.call('DEL','a') redis.call('APPEND','b',ARGV[1]) redis.call('HSET','c','f',1)\" 0 <n>",
    "PEXPIRE <key> <n>",
    "PERSIST <key>",
    "UNLINK <key>",
    "TOUCH <key>",
    "OBJECT FREQ <key>",
    "SETRANGE <key> <n>0 x",
    "APPEND <key> <n>",
];

/// Whole databases go seldom, or there would be little to capture.
const WIDE: &[&str] = &["FLUSHDB", "FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1", "SWAPDB 1 2"];

fn command(rng: &mut Rng, now: UnixMs) -> String {
    let template = |rng: &mut Rng, templates: &[&str]| {
        let line = (*rng.pick(templates)).replace("<n>", &(1 + rng.below(50)).to_string());
        let parts: Vec<&str> = line.split("<key>").collect();
        let mut line = parts[0].to_owned();
        for part in &parts[1..] {
            line.push_str(rng.pick::<&str>(&["a", "b", "c", "d", "e", "f", "s", "t"]));
            line.push_str(part);
        }
        line
    };
    match rng.below(14) {
        0 | 1 => string::replay::command(rng).join(" "),
        2 | 3 => list::replay::command(rng).join(" "),
        4 | 5 => set::replay::command(rng),
        6 | 7 => sorted_set::replay::command(rng),
        8 | 9 => hash::replay::command(rng, now),
        10 if rng.one_in(20) => template(rng, WIDE),
        _ => template(rng, TEMPLATES),
    }
}

/// Something that no client asked for.
fn by_itself(world: &mut World, rng: &mut Rng) {
    let (now, core) = (world.now, &mut world.cores[0]);
    match rng.below(6) {
        0 => drop(core.keyspace.expire_cycle(now, 1, &mut || true)),
        1 => drop(core.keyspace.expire_fields_cycle(now, &mut || true)),
        2 => drop(core.keyspace.reclaim(&mut || true)),
        3 => drop(core.keyspace.random_key(DbIndex(rng.below(3) as u16), now, rng.next_u64())),
        _ => {
            let policies =
                [MaxmemoryPolicy::AllKeysRandom, MaxmemoryPolicy::AllKeysLru, MaxmemoryPolicy::VolatileTtl];
            core.keyspace.evict(*rng.pick(&policies), 3, now, rng.next_u64());
        }
    }
}

/// A DUMP, and its payload restored under another key.
fn restore(world: &mut World, rng: &mut Rng) {
    let name = |rng: &mut Rng| *rng.pick::<&str>(&["a", "b", "c", "d", "e", "f", "s", "t"]);
    let reply = world.run_args(&OwnedArgs::new(&["DUMP", name(rng)]));
    let Some(start) = reply.windows(2).position(|pair| pair == b"\r\n").filter(|_| reply[1] != b'-') else {
        return;
    };
    let payload = &reply[start + 2..reply.len() - 2];
    world.run_args(&OwnedArgs::new(&[&b"RESTORE"[..], name(rng).as_bytes(), b"0", payload, b"REPLACE"]));
}

fn step(world: &mut World, rng: &mut Rng) {
    world.client().db = DbIndex(rng.below(3) as u16);
    match rng.below(12) {
        0 => by_itself(world, rng),
        1 => restore(world, rng),
        _ => drop(world.run(&command(rng, world.now))),
    }
    world.wait_ms(rng.below(20) as i64);
}

#[test]
fn a_capture_holds_what_was_there_when_it_was_opened() {
    let (mut captures, mut keys, mut kept) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut rng = Rng::new(seed);
        let mut world = World::new(1);
        let mut config = world.cores[0].config.clone();
        (config.hash_max_listpack_entries, config.zset_max_listpack_entries) = (8, 8);
        (config.list_max_listpack_size, config.stream_node_max_entries) = (8, 4);
        world.cores[0].keyspace.set_limits(&config);
        for _ in 0..300 {
            step(&mut world, &mut rng);
        }
        while world.now.0 < START.0 + 12_000 {
            let wanted = dump_all(&mut world);
            let large = *rng.pick(&[0, 100, 500, 4000, 1 << 30]);
            let now = world.now;
            world.cores[0].keyspace.open_capture(Box::<Recorder>::default(), large, now);
            let most = *rng.pick(&[3, 20, 100, 2000]);
            loop {
                for _ in 0..rng.below(6) {
                    step(&mut world, &mut rng);
                }
                let keyspace = &mut world.cores[0].keyspace;
                kept += usize::from(keyspace.capture_progress().kept_bytes > 0);
                let budget = Budget { keys: 1 + rng.index(2), bytes: 1 + rng.index(most) };
                if keyspace.capture_slice(budget) == Left::Nothing {
                    break;
                }
            }
            let keyspace = &mut world.cores[0].keyspace;
            let written = std::mem::take(keyspace.capture_output().expect("it is open"));
            keyspace.close_capture().expect("as many keys as there were");
            keyspace.audit();
            let got = read(&written);
            for (name, record) in &wanted {
                assert!(
                    got.get(name) == Some(record),
                    "seed {seed}: {} is another",
                    name[2..].escape_ascii()
                );
            }
            assert_eq!(got.len(), wanted.len(), "seed {seed}");
            (captures, keys) = (captures + 1, keys + wanted.len());
        }
    }
    assert!(
        captures > 100 && keys > 1000 && kept > 100,
        "{captures} captures, {keys} keys, {kept} times kept"
    );
}

/// Each is some 1,500 commands and a dozen captures.
const SEEDS: u64 = 40;
