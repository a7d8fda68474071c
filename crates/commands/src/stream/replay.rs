//! Effects are the whole truth: run on an empty keyspace, they make the same streams.

use crate::effects;
use crate::testing::World;
use proptest::prelude::*;
use stdx::args::OwnedArgs;

/// A command over a few keys, groups, consumers and ids.
fn command() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("s"), Just("t")];
    let who = (prop_oneof![Just("g"), Just("h")], prop_oneof![Just("c"), Just("d")]);
    (0u8..18, key, who, 1u64..40, 0u64..9).prop_map(|(kind, key, (group, consumer), id, small)| match kind {
        0..=3 => format!("XADD {key} * f {small}"),
        4 => format!("XADD {key} MAXLEN ~ {small} LIMIT 7 * g {id}"),
        5 => format!("XADD {key} MINID {id} {id}-* f x g y"),
        6 => format!("XDEL {key} {id} 1700000000000-{small}"),
        7 => format!("XTRIM {key} MAXLEN ~ {id}"),
        8 => format!("XTRIM {key} MAXLEN {id}"),
        9 => format!("XGROUP CREATE {key} {group} {id} MKSTREAM"),
        10 => format!("XREADGROUP GROUP {group} {consumer} COUNT {small} STREAMS {key} >"),
        11 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT 2 STREAMS {key} >"),
        12 => format!("XREADGROUP GROUP {group} {consumer} STREAMS {key} 0"),
        13 => format!("XACK {key} {group} {id} 1700000000000-{small}"),
        14 => format!("XCLAIM {key} {group} {consumer} {small} {id} 1700000000000-{small} FORCE LASTID {id}"),
        15 => format!("XAUTOCLAIM {key} {group} {consumer} {small} 0 COUNT 2"),
        16 => format!("XGROUP DELCONSUMER {key} {group} {consumer}"),
        _ => format!("XGROUP SETID {key} {group} 1700000000000-{small}"),
    })
}

/// Everything that can be read of the streams but for when consumers were seen, which is not data.
fn reading(world: &mut World) -> Vec<String> {
    let mut readings = Vec::new();
    for key in ["s", "t"] {
        readings.push(world.run(&format!("XRANGE {key} - +")));
        readings.push(world.run(&format!("XINFO GROUPS {key}")));
        let full = world.run(&format!("XINFO STREAM {key} FULL COUNT 0"));
        let mut timeless: Vec<&str> = full.split(' ').collect();
        for at in 0..timeless.len() {
            if matches!(timeless[at], "seen-time" | "active-time") {
                timeless[at + 1] = ":0";
            }
        }
        readings.push(timeless.join(" "));
    }
    readings
}

proptest! {
    #[test]
    fn effects_make_the_same_streams(commands in prop::collection::vec(command(), 1..80)) {
        let (mut world, mut again) = (World::new(1), World::new(1));
        for world in [&mut world, &mut again] {
            let mut config = world.cores[0].config.clone();
            config.stream_node_max_entries = 3;
            world.cores[0].keyspace.set_limits(&config);
        }
        effects::listen(&mut world.cores[0], true, 0);
        for command in &commands {
            world.run(command);
            world.wait_ms(1);
        }
        again.wait_ms(1_000_000);
        let effects = world.cores[0].effects.take();
        for effect in &effects {
            let reply = again.run_args(&OwnedArgs::from(effect.args.as_args()));
            prop_assert!(!reply.starts_with(b"-"), "{effect:?}");
        }
        prop_assert_eq!(reading(&mut again), reading(&mut world), "{:?}", effects);
        world.cores[0].keyspace.audit();
    }
}
