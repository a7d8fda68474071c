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

#[test]
fn only_who_asks_is_given_long_strings_beside_the_reply() {
    let mut core = core();
    let long = "x".repeat(commands::long::LONG_BYTES);
    run(&mut core, &["SET", "long", &long]);
    run(&mut core, &["SET", "almost", &long[1..]]);
    let whole = format!("${}\r\n{long}\r\n", long.len());
    let around = format!("${}\r\n\r\n", long.len());
    let parts = |core: &mut Core| -> Vec<usize> {
        let parts = core.long.take();
        assert!(parts.iter().all(|part| *part.bytes == long.as_bytes()));
        parts.iter().map(|part| part.at).collect()
    };
    assert!(run(&mut core, &["GET", "long"]) == whole && core.long.is_empty(), "not asked for");
    let head = around.len() - 2;
    for command in
        [&["GET", "long"][..], &["GETEX", "long"], &["SET", "long", &long, "GET"], &["GETSET", "long", &long]]
    {
        core.long.ask();
        assert_eq!(run(&mut core, command), around);
        assert_eq!(parts(&mut core), [head]);
        assert!(run(&mut core, &["GET", "long"]) == whole, "asked once");
    }
    core.long.ask();
    let short = run(&mut core, &["GET", "almost"]);
    assert!(short.len() > long.len() && core.long.is_empty(), "it is not long");
    core.long.ask();
    assert_eq!(run(&mut core, &["MGET", "long", "none", "long"]), format!("*3\r\n{around}$-1\r\n{around}"));
    assert_eq!(parts(&mut core), [4 + head, 4 + around.len() + 5 + head]);
    core.long.ask();
    assert_eq!(run(&mut core, &["GETRANGE", "long", "0", "1"]), "$2\r\nxx\r\n");
    core.long.ask();
    core.config.maxmemory = 1;
    assert_eq!(run(&mut core, &["GETSET", "long", "new"]), format!("-{}\r\n", crate::OUT_OF_MEMORY));
    assert!(
        core.long.is_empty() && run(&mut core, &["GET", "long"]) == whole,
        "what is refused asks no more"
    );
    core.config.maxmemory = 0;
    core.long.ask();
    assert_eq!(run(&mut core, &["GETDEL", "long"]), around);
    assert_eq!(parts(&mut core), [head]);
    assert_eq!(run(&mut core, &["EXISTS", "long"]), ":0\r\n");
}
