//! Random commands on sorted sets and places, and their effects replayed on an empty server: both then hold the same.

use crate::effects;
use crate::testing::World;
use stdx::Rng;
use stdx::args::OwnedArgs;

const KEYS: &[&str] = &["a", "b", "c", "d", "e"];

fn score(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => (*rng.pick(&["inf", "-inf", "0", "1e300"])).to_owned(),
        1 => format!("{:e}", f64::from_bits(rng.next_u64() >> 2)),
        2 | 3 => format!("{}", rng.unit() * 100.0),
        _ => (rng.below(40) as i64 - 20).to_string(),
    }
}

fn member(rng: &mut Rng) -> String {
    match rng.below(8) {
        0 => "x".repeat(1 + rng.index(80)),
        1 => (rng.next_u64() as i64 >> rng.below(64)).to_string(),
        _ => format!("m{}", rng.below(300)),
    }
}

/// Many, now and then: enough to pass the threshold of what is kept small.
fn members(rng: &mut Rng, of: impl Fn(&mut Rng) -> String) -> String {
    let count = if rng.one_in(8) { rng.index(1200) } else { rng.index(5) };
    (0..=count).map(|_| of(rng)).collect::<Vec<_>>().join(" ")
}

fn place(rng: &mut Rng) -> String {
    format!("{} {} {}", 13.0 + rng.unit(), 38.0 + rng.unit(), member(rng))
}

pub(crate) fn command(rng: &mut Rng) -> String {
    let mut key = || *rng.pick(KEYS);
    let (one, two, three) = (key(), key(), key());
    match rng.below(24) {
        0..=4 => format!("ZADD {one} {}", members(rng, |rng| format!("{} {}", score(rng), member(rng)))),
        5 => format!("ZADD {one} GT CH {} {}", score(rng), member(rng)),
        6 => format!("ZADD {one} XX INCR {} {}", score(rng), member(rng)),
        7 => format!("ZINCRBY {one} {} {}", score(rng), member(rng)),
        8 => format!("ZREM {one} {}", members(rng, member)),
        9 => format!("ZREMRANGEBYSCORE {one} {} {}", score(rng), score(rng)),
        10 => format!("ZREMRANGEBYRANK {one} {} -2", rng.below(20)),
        11 => format!("ZPOPMAX {one} {}", rng.below(5)),
        12 => format!("ZMPOP 2 {one} {two} MIN COUNT {}", 1 + rng.below(300)),
        13 => format!("ZRANGESTORE {one} {two} 0 {}", rng.below(300)),
        14 => format!("ZUNIONSTORE {one} 2 {two} {three} WEIGHTS {} 0.1", score(rng)),
        15 => format!("ZINTERSTORE {one} 2 {two} {three} AGGREGATE MAX"),
        16 => format!("ZDIFFSTORE {one} 2 {two} {three}"),
        17 => format!("GEOADD {one} {}", members(rng, place)),
        18 => format!("GEOSEARCHSTORE {one} {two} FROMLONLAT 13.5 38.5 BYBOX 80 60 km STOREDIST"),
        19 => format!("GEORADIUS {one} 13.5 38.5 50 km STORE {two}"),
        20 => format!("GEORADIUSBYMEMBER {one} {} 50 km COUNT 3 STOREDIST {two}", member(rng)),
        21 => format!("SADD {one} {}", members(rng, member)),
        22 => format!("PEXPIRE {one} {}", 1 + rng.below(50)),
        _ => format!("DEL {one}"),
    }
}

/// All keys, with what they hold, how they are kept and when they expire.
fn reading(world: &mut World) -> Vec<[String; 4]> {
    let read = |key: &&str| {
        let holds = match world.run(&format!("TYPE {key}")).as_str() {
            "+set" => {
                let mut members = world.run(&format!("SMEMBERS {key}"));
                let mut words: Vec<&str> = members.split(' ').collect();
                words.sort_unstable();
                members = words.join(" ");
                members
            }
            "+zset" => world.run(&format!("ZRANGE {key} 0 -1 WITHSCORES")),
            other => other.to_owned(),
        };
        let asked = ["TYPE", "PEXPIRETIME", "OBJECT ENCODING"];
        let [kind, expires, encoding] = asked.map(|what| world.run(&format!("{what} {key}")));
        [holds, kind, expires, encoding]
    };
    KEYS.iter().map(read).collect()
}

#[test]
fn replayed_effects_give_the_same_sorted_sets() {
    let mut read = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let (mut world, mut other) = (World::new(1), World::new(1));
        effects::listen(&mut world.cores[0], true, 0);
        for step in 0..200 {
            let line = command(&mut rng);
            world.run(&line);
            for effect in world.cores[0].effects.take() {
                let words: Vec<&[u8]> = effect.args.as_args().iter().collect();
                let reply = other.run_args(&OwnedArgs::new(&words));
                assert_ne!(reply[0], b'-', "seed {seed}, step {step}: {line}");
            }
            world.wait_ms(1);
            other.wait_ms(1);
        }
        let before = reading(&mut world);
        assert_eq!(before, reading(&mut other), "seed {seed}");
        read += before.iter().map(|[holds, ..]| holds.len()).sum::<usize>();
    }
    assert!(read > 50_000, "hardly anything was there to compare: {read} bytes");
}
