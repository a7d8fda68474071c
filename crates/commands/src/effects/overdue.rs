//! Commands that meet keys whose time is over and which are still there: their effects, run elsewhere, make the same data. What was
//! removed comes before what was made.

use crate::effects;
use crate::testing::{START, World};
use stdx::UnixMs;

/// Keys that are there beside the one that is overdue.
const OTHERS: &[&str] = &[
    "SET str v",
    "RPUSH list v w",
    "SADD set v",
    "ZADD zset 1 v",
    "GEOADD geo 1 1 v",
    "PFADD hll v",
    "HSET hash f v",
    "XADD stream 1-1 f v",
];

/// One of each type.
const OLD: &[&str] = &[
    "SET k 1",
    "RPUSH k old",
    "SADD k old",
    "ZADD k 7 old",
    "HSET k old 1",
    "XADD k 9-9 old 1",
    "PFADD k old",
];

const LINES: &[&str] = &[
    "XADD k 5-1 a b",
    "XADD k * a b",
    "XADD k MAXLEN ~ 10 5-1 a b",
    "XADD k MAXLEN 10 5-1 a b",
    "XADD k MINID 1 5-1 a b",
    "XADD k NOMKSTREAM 5-1 a b",
    "XGROUP CREATE k g 0 MKSTREAM",
    "XGROUP SETID k g 0",
    "XSETID k 5-5",
    "XTRIM k MAXLEN 0",
    "XDEL k 9-9",
    "SET k v",
    "SETNX k v",
    "SET k v NX",
    "SET k v XX",
    "SET k v GET",
    "SET k v KEEPTTL",
    "SETEX k 10 v",
    "GETSET k v",
    "GETDEL k",
    "GETEX k PERSIST",
    "APPEND k v",
    "INCR k",
    "DECRBY k 5",
    "INCRBYFLOAT k 1.5",
    "SETRANGE k 2 v",
    "SETBIT k 7 1",
    "BITFIELD k SET u8 0 5",
    "BITFIELD k INCRBY u8 0 5",
    "BITOP OR k str",
    "BITOP OR k k",
    "MSET k v str w",
    "MSETNX k v new v",
    "LPUSH k v",
    "LPUSHX k v",
    "RPUSH k v",
    "LINSERT k BEFORE a b",
    "LSET k 0 v",
    "LPOP k",
    "LMOVE list k LEFT RIGHT",
    "LMOVE k list LEFT RIGHT",
    "RPOPLPUSH list k",
    "LMPOP 2 k list LEFT",
    "SADD k v",
    "SPOP k",
    "SMOVE set k v",
    "SMOVE k set v",
    "SUNIONSTORE k set",
    "SUNIONSTORE k k set",
    "SINTERSTORE k set set",
    "SDIFFSTORE k set k",
    "ZADD k 1 v",
    "ZADD k NX 1 v",
    "ZADD k XX 1 v",
    "ZADD k INCR 1 v",
    "ZINCRBY k 1 v",
    "ZPOPMIN k",
    "ZUNIONSTORE k 1 zset",
    "ZUNIONSTORE k 2 k zset",
    "ZINTERSTORE k 1 zset",
    "ZRANGESTORE k zset 0 -1",
    "GEOADD k 1 1 v",
    "GEOSEARCHSTORE k geo FROMLONLAT 1 1 BYRADIUS 100 km",
    "HSET k f v",
    "HSETNX k f v",
    "HSETEX k EX 10 FIELDS 1 f v",
    "HINCRBY k f 1",
    "HINCRBYFLOAT k f 1.5",
    "HEXPIRE k 10 FIELDS 1 old",
    "HGETDEL k FIELDS 1 old",
    "PFADD k v",
    "PFMERGE k hll",
    "PFMERGE k k hll",
    "RENAME str k",
    "RENAMENX str k",
    "RENAME k str",
    "COPY str k",
    "COPY str k REPLACE",
    "COPY k str REPLACE",
    "MOVE k 1",
    "SORT list ALPHA STORE k",
    "EXPIRE k 100",
    "PERSIST k",
    "DEL k",
    "UNLINK k",
];

/// Every key, with all that it has and when it goes.
fn reading(world: &mut World) -> Vec<String> {
    let keys = world.run("KEYS *");
    let mut keys: Vec<&str> = keys.split(' ').filter(|word| !word.starts_with(['*', '$'])).collect();
    keys.sort_unstable();
    let mut read = Vec::new();
    for key in keys {
        read.push(format!(
            "{key} {} {}",
            world.run(&format!("DUMP {key}")),
            world.run(&format!("PEXPIRETIME {key}"))
        ));
    }
    read
}

#[test]
fn what_is_overdue_goes_before_the_command_that_meets_it() {
    for (old, line) in OLD.iter().flat_map(|old| LINES.iter().map(move |line| (old, line))) {
        // The copy's clock stands before all times, so that nothing goes there but what effects take away.
        let (mut world, mut copy) = (World::new(1), World::new(1));
        copy.now = UnixMs(START.0 - 1_000_000);
        effects::listen(&mut world.cores[0], true, 0);
        for line in OTHERS.iter().chain([old, &"PEXPIRE k 10"]) {
            world.run(line);
        }
        world.wait_ms(20);
        world.run(line);
        // What nobody has met is met by who reads it, and told behind all.
        let read = reading(&mut world);
        for effect in world.cores[0].effects.take() {
            let reply = copy.run_args(&effect.args);
            assert_ne!(reply[0], b'-', "{old}, {line}: {:?}", effect.args);
        }
        assert!(read.len() >= OTHERS.len() - 1);
        assert_eq!(read, reading(&mut copy), "{old}, {line}");
    }
}
