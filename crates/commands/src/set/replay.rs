//! Random set commands, and their effects replayed on an empty server: both then hold the same.

use crate::effects;
use crate::testing::World;
use std::collections::BTreeSet;
use stdx::Rng;
use stdx::args::OwnedArgs;

const KEYS: &[&str] = &["a", "b", "c", "d", "e"];

pub(crate) fn command(rng: &mut Rng) -> String {
    let mut key = || (*rng.pick(KEYS)).to_owned();
    let (one, two, three) = (key(), key(), key());
    let member = |rng: &mut Rng| match rng.below(6) {
        0 => "x".repeat(rng.index(80)).replace("", "y"),
        1 | 2 => format!("m{}", rng.below(300)),
        _ => (rng.next_u64() as i64 >> rng.below(64)).to_string(),
    };
    let members = |rng: &mut Rng| {
        let count = if rng.one_in(6) { rng.index(700) } else { rng.index(5) };
        (0..=count).map(|_| member(rng)).collect::<Vec<_>>().join(" ")
    };
    match rng.below(16) {
        0..=5 => format!("SADD {one} {}", members(rng)),
        6 => format!("SREM {one} {}", members(rng)),
        7 => format!("SPOP {one}"),
        8 => format!("SPOP {one} {}", rng.below(400)),
        9 => format!("SMOVE {one} {two} {}", member(rng)),
        10 => format!("SINTERSTORE {one} {two} {three}"),
        11 | 12 => format!("SUNIONSTORE {one} {two} {three}"),
        13 => format!("SDIFFSTORE {one} {two} {three}"),
        14 => format!("PEXPIRE {one} {}", 1 + rng.below(50)),
        _ => format!("SET {one} v"),
    }
}

/// All keys, with what they hold and when they expire.
fn reading(world: &mut World) -> Vec<(String, BTreeSet<String>)> {
    let read = |key: &&str| {
        let all = world.run(&format!("SMEMBERS {key}"));
        let mut set: BTreeSet<String> = all.split(' ').skip(2).step_by(2).map(str::to_owned).collect();
        set.insert(world.run(&format!("PEXPIRETIME {key}")));
        set.insert(world.run(&format!("TYPE {key}")));
        ((*key).to_owned(), set)
    };
    KEYS.iter().map(read).collect()
}

#[test]
fn replayed_effects_give_the_same_sets() {
    let mut members = 0;
    for seed in 0..30 {
        let mut rng = Rng::new(seed);
        let (mut world, mut other) = (World::new(1), World::new(1));
        effects::listen(&mut world.cores[0], true, 0);
        for step in 0..150 {
            let line = command(&mut rng);
            world.run(&line);
            for effect in world.cores[0].effects.take() {
                let reply =
                    other.run_args(&OwnedArgs::new(&effect.args.as_args().iter().collect::<Vec<_>>()));
                assert_ne!(reply[0], b'-', "seed {seed}, step {step}: {line}");
            }
            world.wait_ms(1);
            other.wait_ms(1);
        }
        // What has expired is told when it is found.
        let before = reading(&mut world);
        assert_eq!(before, reading(&mut other), "seed {seed}");
        members += before.iter().map(|(_, set)| set.len()).sum::<usize>();
    }
    assert!(members > 5000, "hardly anything was there to compare: {members}");
}
