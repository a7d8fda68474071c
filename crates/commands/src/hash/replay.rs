//! Effects and events of hash commands; and random commands, whose effects replayed on an empty server give the same.

use crate::effects;
use crate::testing::{START, World, check_effects, check_events, shown};
use stdx::args::OwnedArgs;
use stdx::{Rng, UnixMs};

#[test]
fn effects_say_what_became_of_fields() {
    check_effects(&["HSET h a 1 b 2"], "HSET h a 1 b 2");
    check_effects(&["HSETNX h a 1", "HSETNX h a 2"], "");
    check_effects(&["HSET h a 1", "HINCRBY h a 5"], "HINCRBY h a 5");
    check_effects(&["HSET h a 1", "HINCRBYFLOAT h a 0.50"], "HSET h a 1.5");
    check_effects(&["HSET h a 1", "HDEL h a x"], "HDEL h a x");
    check_effects(&["HSET h a 1", "HDEL h x"], "");
    check_effects(&["HSET h a 1 b 2", "HGETDEL h FIELDS 3 a x a"], "HDEL h a");
    check_effects(&["HSET h a 1", "HGETDEL h FIELDS 1 x"], "");
}

#[test]
fn effects_have_absolute_times() {
    const SET: &str = "HSET h a 1 b 2";
    const AT: &str = "HPEXPIREAT h 1700000010000 FIELDS";
    check_effects(&[SET, "HEXPIRE h 10 FIELDS 2 a b"], &format!("{AT} 2 a b"));
    check_effects(&[SET, "HPEXPIRE h 10000 FIELDS 2 x b"], &format!("{AT} 1 b"));
    check_effects(&[SET, "HEXPIREAT h 1700000010 NX FIELDS 1 a"], &format!("{AT} 1 a"));
    check_effects(&[SET, "HEXPIRE h 10 XX FIELDS 1 a"], "");
    check_effects(&[SET, "HEXPIRE h 0 FIELDS 2 x b"], "HDEL h b");
    check_effects(&[SET, "HGETEX h EX 10 FIELDS 2 a x"], &format!("{AT} 1 a"));
    check_effects(&[SET, "HGETEX h PXAT 1 FIELDS 2 a b"], "HDEL h a b");
    check_effects(&[SET, "HGETEX h FIELDS 1 a"], "");
    check_effects(&[SET, "HGETEX h PERSIST FIELDS 1 a"], "");
    let expire = "HEXPIRE h 10 FIELDS 1 a";
    check_effects(&[SET, expire, "HGETEX h PERSIST FIELDS 2 b a"], "HPERSIST h FIELDS 1 a");
    check_effects(&[SET, expire, "HPERSIST h FIELDS 2 b a"], "HPERSIST h FIELDS 2 b a");
    check_effects(&[SET, expire, "HINCRBYFLOAT h a 1"], &format!("HSET h a 2 | {AT} 1 a"));
    check_effects(&[SET, expire, "HSETEX h KEEPTTL FIELDS 2 a 5 b 6"], &format!("HSET h a 5 b 6 | {AT} 1 a"));
    check_effects(&["HSETEX h FNX FIELDS 1 a 1"], "HSET h a 1");
    check_effects(&["HSETEX h EX 10 FIELDS 1 a 1"], &format!("HSET h a 1 | {AT} 1 a"));
    check_effects(&[SET, "HSETEX h FXX KEEPTTL FIELDS 1 a 1"], "HSET h a 1");
    check_effects(&[SET, "HSETEX h PXAT 1 FIELDS 1 a 1"], "HDEL h a");
    check_effects(&[SET, "HSETEX h FXX FIELDS 1 x 1"], "");
}

/// RESTORE takes times that no command of theirs does: a log that said one could not be run again.
#[test]
fn a_time_that_no_command_says_is_kept_and_not_said() {
    let mut payload = vec![24];
    payload.extend_from_slice(&(1_i64 << 47).to_le_bytes());
    payload.extend_from_slice(b"\x01\x01\x01a\x011\x0c\x00");
    payload.extend_from_slice(&rdb::crc64(&payload).to_le_bytes());
    let mut world = World::new(1);
    let restored = world.run_args(&OwnedArgs::new(&[&b"RESTORE"[..], b"h", b"0", &payload]));
    assert_eq!(shown(&restored), "+OK");
    world.check_effects(&["HINCRBYFLOAT h a 1"], "HSETEX h KEEPTTL FIELDS 1 a 2");
    world.check_effects(&["HSETEX h KEEPTTL FIELDS 2 a 3 b 4"], "HSETEX h KEEPTTL FIELDS 2 a 3 b 4");
    world.check(&["HPEXPIRETIME h FIELDS 2 a b"], "*2 :140737488355328 :-1");
}

#[test]
fn due_fields_are_told_before_the_command_that_met_them() {
    for (line, expected) in [
        ("HGET h a", "HDEL h a"),
        ("HMGET h a b c", "HDEL h a b"),
        ("HINCRBY h a 1", "HDEL h a | HINCRBY h a 1"),
        ("HSETNX h b 1", "HDEL h b | HSETNX h b 1"),
        ("HEXPIRE h 10 FIELDS 2 a c", "HDEL h a | HPEXPIREAT h 1700000010010 FIELDS 1 c"),
        ("HRANDFIELD h", "HDEL h b a"),
        ("HGETALL h", ""),
    ] {
        let mut world = World::new(1);
        world.run("HSET h a 1 b 2 c 3");
        world.run("HPEXPIRE h 10 FIELDS 2 a b");
        world.wait_ms(10);
        world.check_effects(&[line], expected);
    }
}

#[test]
fn events_are_those_of_redis() {
    const SET: &str = "HSET h a 1 b 2";
    check_events(&[SET], "hset:h");
    check_events(&["HMSET h a 1"], "hset:h");
    check_events(&["HSETNX h a 1"], "hset:h");
    check_events(&[SET, "HSETNX h a 1"], "");
    check_events(&["HINCRBY h a 1"], "hincrby:h");
    check_events(&["HINCRBYFLOAT h a 1"], "hincrbyfloat:h");
    check_events(&[SET, "HDEL h a"], "hdel:h");
    check_events(&[SET, "HDEL h a b"], "hdel:h del:h");
    check_events(&[SET, "HGETDEL h FIELDS 2 a b"], "hdel:h del:h");
    check_events(&[SET, "HEXPIRE h 10 FIELDS 1 a"], "hexpire:h");
    check_events(&[SET, "HEXPIRE h 0 FIELDS 1 a"], "hdel:h");
    check_events(&[SET, "HEXPIRE h 0 FIELDS 2 a b"], "hdel:h del:h");
    check_events(&[SET, "HEXPIRE h 10 FIELDS 1 x"], "");
    check_events(&[SET, "HEXPIRE h 10 FIELDS 1 a", "HPERSIST h FIELDS 1 a"], "hpersist:h");
    check_events(&[SET, "HGETEX h EX 10 FIELDS 1 a"], "hexpire:h");
    check_events(&[SET, "HSETEX h FIELDS 1 a 1"], "hset:h");
    check_events(&["HSETEX h EX 10 FIELDS 1 a 1"], "hset:h hexpire:h");
    check_events(&[SET, "HSETEX h PXAT 1 FIELDS 2 a 1 b 2"], "hset:h hdel:h del:h");
    let mut world = World::new(1);
    world.run(SET);
    world.run("HPEXPIRE h 10 FIELDS 2 a b");
    world.wait_ms(10);
    world.check_events(&["HGET h a"], "hexpired:h");
    world.check_events(&["HGET h b"], "hexpired:h del:h");
}

/// `<n>` is a number, `<ms>` some milliseconds, `<at>` an instant not far away, `<f>` a field, `<v>` a value.
const TEMPLATES: &[&str] = &[
    "HSET <key> <f> <v>",
    "HSET <key> <f> <n> <f> <n> <f> <v>",
    "HSET <key> <f> <n>",
    "HSETNX <key> <f> <n>",
    "HINCRBY <key> <f> <n>",
    "HINCRBY <key> <f> <n>",
    "HINCRBYFLOAT <key> <f> 0.25",
    "HDEL <key> <f> <f>",
    "HEXPIRE <key> 1 FIELDS 2 <f> <f>",
    "HPEXPIRE <key> <ms> FIELDS 3 <f> <f> <f>",
    "HPEXPIRE <key> <ms> GT FIELDS 2 <f> <f>",
    "HPEXPIREAT <key> <at> FIELDS 2 <f> <f>",
    "HPEXPIREAT <key> <at> LT FIELDS 2 <f> <f>",
    "HPERSIST <key> FIELDS 2 <f> <f>",
    "HGETEX <key> PX <ms> FIELDS 2 <f> <f>",
    "HGETEX <key> PXAT <at> FIELDS 2 <f> <f>",
    "HGETEX <key> PERSIST FIELDS 2 <f> <f>",
    "HSETEX <key> PX <ms> FIELDS 2 <f> <n> <f> <v>",
    "HSETEX <key> FNX PXAT <at> FIELDS 1 <f> <n>",
    "HSETEX <key> FXX KEEPTTL FIELDS 1 <f> <n>",
    "HSETEX <key> FIELDS 1 <f> <n>",
    "HGETDEL <key> FIELDS 2 <f> <f>",
    "HGET <key> <f>",
    "HMGET <key> <f> <f>",
    "HRANDFIELD <key>",
    "COPY <key> <key> REPLACE",
    "RENAME <key> <key>",
    "PEXPIRE <key> <ms>",
    "PERSIST <key>",
    "DEL <key>",
];

const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const FIELDS: u64 = 30;
const COMMANDS: usize = 400;

pub(crate) fn command(rng: &mut Rng, now: UnixMs) -> String {
    // Keys go and come seldom, or there would be nothing to compare.
    let count = if rng.one_in(4) { TEMPLATES.len() } else { TEMPLATES.len() - 5 };
    let template = TEMPLATES[rng.index(count)];
    let mut word = |word: &str| match word {
        "<key>" => (*rng.pick::<&str>(&KEYS)).to_owned(),
        "<f>" => format!("f{}", rng.below(FIELDS)),
        "<n>" => rng.below(1000).to_string(),
        "<ms>" => rng.below(500).to_string(),
        "<at>" => (now.0 - 50 + rng.below(500) as i64).to_string(),
        "<v>" => "v".repeat(1 + rng.index(70)),
        other => other.to_owned(),
    };
    template.split(' ').map(&mut word).collect::<Vec<_>>().join(" ")
}

/// Every hash, its fields and their expiries.
fn reading(world: &mut World) -> Vec<String> {
    let mut read = Vec::new();
    for key in KEYS {
        read.push(world.run(&format!("PEXPIRETIME {key}")));
        for field in 0..FIELDS {
            read.push(world.run(&format!("HGET {key} f{field}")));
            read.push(world.run(&format!("HPEXPIRETIME {key} FIELDS 1 f{field}")));
        }
    }
    read
}

fn replay(world: &mut World, copy: &mut World) {
    for effect in world.cores[0].effects.take() {
        let reply = copy.run_args(&effect.args);
        assert_ne!(reply[0], b'-', "{:?}", effect.args);
    }
}

/// The copy's clock stands before all times, so that nothing goes there but what effects take away.
#[test]
fn replayed_effects_give_the_same_hashes() {
    let (mut values, mut expiring) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let (mut world, mut copy) = (World::new(1), World::new(1));
        copy.now = UnixMs(START.0 - 1_000_000);
        effects::listen(&mut world.cores[0], true, 0);
        for _ in 0..COMMANDS {
            let line = command(&mut rng, world.now);
            world.run(&line);
            replay(&mut world, &mut copy);
            world.wait_ms(rng.below(10) as i64);
            if rng.one_in(20) {
                let now = world.now;
                world.cores[0].keyspace.expire_fields_cycle(now, &mut || true);
            }
        }
        // What has expired is told when it is looked for.
        reading(&mut world);
        replay(&mut world, &mut copy);
        let read = reading(&mut world);
        assert_eq!(read, reading(&mut copy), "seed {seed}");
        values += read.iter().filter(|reply| reply.starts_with('$') && *reply != "$-1").count();
        expiring += read.iter().filter(|reply| reply.starts_with("*1 :1")).count();
        world.cores[0].keyspace.audit();
    }
    assert!(values > 500 && expiring > 50, "hardly anything to compare: {values} fields, {expiring} expire");
}
