//! DEBUG RELOAD: every value goes through the bytes of an RDB file and comes back from them.

use crate::ctx::Ctx;
use crate::error::CommandError;
use keyspace::{Key, Ttl};
use stdx::{Args, DbIndex, UnixMs};

/// The options, checked before any core does anything. Errors: Redis's, and for NOSAVE that there is no file to read.
fn check(options: Args<'_>) -> Result<(), CommandError> {
    let has = |word: &[u8]| options.iter().any(|option| option.eq_ignore_ascii_case(word));
    let known = |option: &[u8]| {
        [&b"MERGE"[..], b"NOFLUSH", b"NOSAVE"].iter().any(|word| option.eq_ignore_ascii_case(word))
    };
    if !options.iter().all(known) {
        return Err(CommandError::RELOAD_OPTIONS);
    }
    if has(b"NOSAVE") {
        return Err(CommandError::RELOAD_NOSAVE);
    }
    // What is loaded is there already, which only MERGE allows.
    if has(b"NOFLUSH") && !has(b"MERGE") {
        return Err(CommandError::RELOAD_FAILED);
    }
    Ok(())
}

/// One shard's part. Errors: of the options; `RELOAD_FAILED` when a value does not come back, which then stays as it was.
pub(super) fn reload(ctx: &mut Ctx<'_>, options: Args<'_>) -> Result<(), CommandError> {
    check(options)?;
    let now = ctx.now;
    for db in (0..ctx.core.keyspace.databases()).map(DbIndex) {
        let mut keys: Vec<(Box<[u8]>, Option<UnixMs>)> = Vec::with_capacity(ctx.core.keyspace.len(db));
        ctx.core.keyspace.scan(db, 0, usize::MAX, now, &mut |entry| {
            keys.push((entry.key().into(), entry.expiry()));
        });
        let mut payload = Vec::new();
        for (bytes, expiry) in keys {
            let key = Key::new(&bytes);
            let Some(entry) = ctx.core.keyspace.peek(db, key, now) else { continue };
            payload.clear();
            rdb::dump(entry.value(), ctx.core.config.rdbcompression, &mut payload);
            let value = rdb::restore(&payload, &ctx.core.keyspace.limits())
                .map_err(|_| CommandError::RELOAD_FAILED)?;
            ctx.core.keyspace.store(db, key, value, expiry.map_or(Ttl::Clear, Ttl::At), now);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::World;

    fn world() -> World {
        let mut world = World::new(2);
        world.cores.iter_mut().for_each(|core| core.config.enable_debug_command = config::Access::Local);
        world
    }

    /// Sets a parameter as the server does after CONFIG SET.
    fn set(world: &mut World, parameter: &str) {
        world.check(&[&format!("CONFIG SET {parameter}")], "+OK");
        world.cores.iter_mut().for_each(|core| core.keyspace.set_limits(&core.config));
    }

    #[test]
    fn all_is_as_it_was() {
        let mut world = world();
        let data = [
            "SET a 1 PX 5000",
            "RPUSH b x y z",
            "HSET c f v",
            "HPEXPIRE c 700 FIELDS 1 f",
            "SELECT 2",
            "ZADD d 1.5 m",
        ];
        data.iter().for_each(|command| drop(world.run(command)));
        let before = world.run("DEBUG DIGEST");
        world.check(&["DEBUG RELOAD", "DEBUG RELOAD NOFLUSH merge"], "+OK");
        assert_eq!(world.run("DEBUG DIGEST"), before);
        world.check(&["SELECT 0", "PTTL a"], ":5000");
        world.check(&["HPTTL c FIELDS 1 f"], "*1 :700");
    }

    #[test]
    fn thresholds_that_have_changed_apply() {
        let mut world = world();
        world.run("HSET c f v");
        set(&mut world, "hash-max-listpack-entries 0");
        world.check(&["OBJECT ENCODING c"], "$8 listpack");
        world.check(&["DEBUG RELOAD", "OBJECT ENCODING c"], "$9 hashtable");
    }

    #[test]
    fn a_set_of_integers_is_an_array_of_integers() {
        let mut world = world();
        world.check(&["SADD few 3 1 2", "DEBUG RELOAD", "OBJECT ENCODING few"], "$6 intset");
        set(&mut world, "set-max-intset-entries 2");
        world.check(&["DEBUG RELOAD", "OBJECT ENCODING few"], "$9 hashtable");
        set(&mut world, "set-max-intset-entries 512");
        world.check(&["DEBUG RELOAD", "OBJECT ENCODING few"], "$6 intset");
        world.check(&["SADD few x", "DEBUG RELOAD", "OBJECT ENCODING few"], "$8 listpack");
    }

    #[test]
    fn what_needs_a_file_is_refused() {
        let mut world = world();
        world.check(
            &["DEBUG RELOAD NOFLUSH"],
            "-ERR Error trying to load the RDB dump, check server logs for more information",
        );
        world.check(
            &["DEBUG RELOAD now"],
            "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
        );
        world.check(&["DEBUG RELOAD NOSAVE"], &format!("-{}", crate::CommandError::RELOAD_NOSAVE));
    }
}
