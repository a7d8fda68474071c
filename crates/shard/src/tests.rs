use crate::execute;
use commands::core::Shared;
use commands::{Caller, Core};
use config::Config;
use keyspace::Keyspace;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use stdx::args::OwnedArgs;
use stdx::{SLOTS, ShardId, Slot, UnixMs};

/// One core with all slots.
fn core() -> Core {
    let shared = Shared {
        used_bytes: vec![AtomicUsize::new(0)],
        evictable_keys: vec![AtomicUsize::new(0)],
        ..Shared::default()
    };
    Core::new(ShardId(0), 1, Keyspace::new(0..SLOTS as u16, 16, 1), Config::default(), Arc::new(shared))
}

/// Runs a command as one that came from another core: routed by its first key, its arguments side by side.
fn run(core: &mut Core, line: &[&str]) -> String {
    let args = OwnedArgs::new(line);
    let command = commands::lookup(args.as_args()).expect("a command of the table");
    let slot = line.get(command.first_key as usize).map(|key| Slot::of(key.as_bytes()));
    let mut out = Vec::new();
    execute(core, command, Caller::default(), args.as_args(), slot, &mut out, UnixMs(1));
    String::from_utf8(out).expect("text")
}

#[test]
fn an_empty_key_does_not_lend_its_slot_to_the_key_behind_it() {
    let mut core = core();
    assert_eq!(run(&mut core, &["SET", "b", "1"]), "+OK\r\n");
    assert_eq!(run(&mut core, &["DEL", "", "b"]), ":1\r\n");
}

#[test]
fn a_write_is_refused_when_memory_is_full_and_a_read_is_not() {
    let mut core = core();
    core.config.maxmemory = 1;
    core.keyspace.set_string(
        stdx::DbIndex(0),
        keyspace::Key::new(b"a"),
        keyspace::NewString::Int(1),
        keyspace::Ttl::Clear,
        UnixMs(1),
    );
    let refused = format!("-{}\r\n", crate::OUT_OF_MEMORY);
    assert_eq!(run(&mut core, &["SET", "b", "1"]), refused);
    assert_eq!(run(&mut core, &["GET", "a"]), "$1\r\n1\r\n");
    assert_eq!(run(&mut core, &["DEL", "a"]), ":1\r\n");
}

#[test]
fn a_write_makes_room_for_itself_when_the_policy_lets_it() {
    let mut core = core();
    core.config.maxmemory_policy = config::MaxmemoryPolicy::AllKeysRandom;
    for key in 0..100 {
        run(&mut core, &["SET", &format!("key:{key}"), &"x".repeat(20_000)]);
    }
    core.config.maxmemory = core.keyspace.used_bytes() as u64 / 2;
    // A command evicts a bounded number of keys; a second finds the rest done.
    run(&mut core, &["SET", "one", "1"]);
    assert_eq!(run(&mut core, &["SET", "two", "2"]), "+OK\r\n");
    assert!(core.keyspace.stats.evicted >= 40, "{} keys were evicted", core.keyspace.stats.evicted);
    assert!(core.keyspace.used_bytes() as u64 <= core.config.maxmemory + 30_000);
}
