//! Replaying the effects of random commands on strings and keys on an empty keyspace gives the same data, whatever the
//! time there: its clock stands still, so what expires goes because an effect says so.

use crate::effects;
use crate::testing::World;
use stdx::args::OwnedArgs;
use stdx::{DbIndex, Rng};

const COMMANDS: usize = 400;
const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const DATABASES: u16 = 3;

/// `<key>`, `<n>` and `<v>` stand for random keys, small numbers and values.
const TEMPLATES: &[&str] = &[
    "SET <key> <v>",
    "SET <key> <v> PX <n>",
    "SET <key> <v> EX <n> GET",
    "SET <key> <v> KEEPTTL",
    "SET <key> <v> NX",
    "SET <key> <v> XX EXAT 1700000100",
    "SETNX <key> <v>",
    "SETEX <key> <n> <v>",
    "PSETEX <key> <n> <v>",
    "GETSET <key> <v>",
    "GETDEL <key>",
    "GETEX <key> PX <n>",
    "GETEX <key> PERSIST",
    "GETEX <key> PXAT <n>",
    "MSET <key> <v> <key> <v>",
    "MSETNX <key> <v> <key> <v>",
    "INCR <key>",
    "DECRBY <key> <n>",
    "INCRBYFLOAT <key> 0.1",
    "APPEND <key> <v>",
    "SETRANGE <key> <n> <v>",
    "SETBIT <key> <n> 1",
    "SETBIT <key> <n> 0",
    "BITOP XOR <key> <key> <key>",
    "BITOP NOT <key> <key>",
    "BITFIELD <key> INCRBY u5 <n> 7 OVERFLOW FAIL SET i3 <n> <n>",
    "PFADD <key> <v> <n>",
    "PFCOUNT <key>",
    "PFMERGE <key> <key> <key>",
    "PFDEBUG TODENSE <key>",
    "DEL <key> <key>",
    "UNLINK <key>",
    "EXPIRE <key> <n>",
    "PEXPIRE <key> <n> NX",
    "EXPIREAT <key> 1700000050 GT",
    "PEXPIREAT <key> <n>",
    "PERSIST <key>",
    "RENAME <key> <key>",
    "RENAMENX <key> <key>",
    "COPY <key> <key> REPLACE",
    "COPY <key> <key> DB 1",
    "MOVE <key> 2",
    "SWAPDB 0 1",
    "FLUSHDB",
];

pub(crate) fn command(rng: &mut Rng) -> Vec<String> {
    // Whole databases go seldom, or there would be nothing to compare.
    let count = if rng.one_in(50) { TEMPLATES.len() } else { TEMPLATES.len() - 1 };
    let template = TEMPLATES[rng.index(count)];
    let word = |word: &str| match word {
        "<key>" => (*rng.pick::<&str>(&KEYS)).to_owned(),
        "<n>" => (1 + rng.below(400)).to_string(),
        "<v>" if rng.one_in(2) => (rng.below(1000)).to_string(),
        "<v>" => "v".repeat(rng.index(60)),
        other => other.to_owned(),
    };
    template.split(' ').map(word).collect()
}

/// Every value with its expiry.
fn reading(world: &mut World) -> Vec<String> {
    let mut read = Vec::new();
    for db in 0..DATABASES {
        world.client().db = DbIndex(db);
        read.push(world.run("DBSIZE"));
        read.extend(
            KEYS.iter()
                .flat_map(|key| [world.run(&format!("PEXPIRETIME {key}")), world.run(&format!("GET {key}"))]),
        );
    }
    read
}

fn replay(world: &mut World, copy: &mut World) {
    for effect in world.cores[0].effects.take() {
        copy.client().db = effect.db;
        copy.run_args(&effect.args);
    }
}

#[test]
fn replayed_effects_give_the_same_strings() {
    let mut values = 0;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let (mut world, mut copy) = (World::new(1), World::new(1));
        effects::listen(&mut world.cores[0], true, 0);
        for _ in 0..COMMANDS {
            world.client().db = DbIndex(rng.below(DATABASES.into()) as u16);
            world.run_args(&OwnedArgs::new(&command(&mut rng)));
            replay(&mut world, &mut copy);
            world.wait_ms(rng.below(20) as i64);
        }
        // What has expired is told when it is looked for.
        reading(&mut world);
        replay(&mut world, &mut copy);
        let read = reading(&mut world);
        assert_eq!(read, reading(&mut copy), "seed {seed}");
        values += read.iter().filter(|reply| reply.starts_with('$') && *reply != "$-1").count();
    }
    assert!(values > 200, "hardly anything was there to compare: {values}");
}
