//! Replaying the effects of random list commands on an empty keyspace gives the same lists.

use crate::testing::World;
use stdx::Rng;
use stdx::args::OwnedArgs;

/// Commands per seed.
const COMMANDS: usize = 400;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

pub(crate) fn command(rng: &mut Rng) -> Vec<String> {
    let word = |text: &str| text.to_owned();
    let key = |rng: &mut Rng| word(rng.pick::<&str>(&KEYS));
    let end = |rng: &mut Rng| word(rng.pick::<&str>(&["LEFT", "RIGHT"]));
    let index = |rng: &mut Rng| (rng.below(60) as i64 - 30).to_string();
    let element = |rng: &mut Rng| match rng.below(6) {
        0 => "x".repeat(rng.index(9000)),
        1 => "y".repeat(rng.index(100)),
        _ => rng.below(10).to_string(),
    };
    match rng.below(10) {
        0..=3 => {
            let name = word(rng.pick::<&str>(&["LPUSH", "RPUSH", "RPUSHX"]));
            let mut words = vec![name, key(rng)];
            (0..=rng.below(8)).for_each(|_| words.push(element(rng)));
            words
        }
        4 => vec![word(rng.pick::<&str>(&["LPOP", "RPOP"])), key(rng), rng.below(5).to_string()],
        5 => vec![word("LMPOP"), word("2"), key(rng), key(rng), end(rng), word("COUNT"), word("3")],
        6 => vec![word("LMOVE"), key(rng), key(rng), end(rng), end(rng)],
        7 => vec![word("LINSERT"), key(rng), word("BEFORE"), element(rng), element(rng)],
        8 => vec![word("LSET"), key(rng), index(rng), element(rng)],
        _ => match rng.below(4) {
            0 => vec![word("LTRIM"), key(rng), word("1"), word("-2")],
            1 => vec![word("RPOPLPUSH"), key(rng), key(rng)],
            2 => vec![word("SORT"), key(rng), word("ALPHA"), word("STORE"), key(rng)],
            _ => vec![word("LREM"), key(rng), (rng.below(5) as i64 - 2).to_string(), element(rng)],
        },
    }
}

fn lists(world: &mut World) -> Vec<String> {
    KEYS.iter().map(|key| world.run(&format!("LRANGE {key} 0 -1"))).collect()
}

#[test]
fn effects_make_the_same_lists() {
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let (mut world, mut copy) = (World::new(1), World::new(1));
        crate::effects::listen(&mut world.cores[0], true, 0);
        for _ in 0..COMMANDS {
            world.run_args(&OwnedArgs::new(&command(&mut rng)));
            for effect in world.cores[0].effects.take() {
                let reply = copy.run_args(&effect.args);
                assert_ne!(reply.first(), Some(&b'-'), "seed {seed}: {effect:?}");
            }
        }
        assert_eq!(lists(&mut world), lists(&mut copy), "seed {seed}");
    }
}
