//! DEBUG POPULATE count [prefix] [size]: many strings, for tests that need them quickly.

use crate::ctx::Ctx;
use crate::error::CommandError;
use keyspace::{NewString, Ttl};
use stdx::Args;

/// One shard's part: of the keys `prefix:0` to `prefix:count-1` those that belong here and are not there yet. Their values
/// are `value:` and the number, cut or filled with zero bytes to `size`. Errors: a count or size that is none.
pub(super) fn populate(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let positive = |at: usize| {
        let number = args.get(at).map_or(Some(0), crate::ctx::parse_int);
        number.and_then(|number| usize::try_from(number).ok()).ok_or(CommandError::NOT_POSITIVE)
    };
    let (count, size) = (positive(2)?, positive(4)?);
    if size > SIZE_MAX {
        return Err(CommandError::NOT_POSITIVE);
    }
    let prefix = args.get(3).unwrap_or(b"key");
    let (db, now) = (ctx.db(), ctx.now);
    let (mut name, mut value, mut room) = (Vec::new(), Vec::new(), itoa::Buffer::new());
    for number in 0..count {
        let number = room.format(number).as_bytes();
        name.clear();
        name.extend_from_slice(prefix);
        name.push(b':');
        name.extend_from_slice(number);
        let key = keyspace::Key::new(&name);
        if !ctx.core.keyspace.owns(key.slot) || ctx.core.keyspace.peek(db, key, now).is_some() {
            continue;
        }
        value.clear();
        value.extend_from_slice(b"value:");
        value.extend_from_slice(number);
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.core.keyspace.set_string(db, key, NewString::Bytes(&value), Ttl::Clear, now);
        ctx.effect(&name, &[b"SET", &name, &value]);
    }
    Ok(())
}

/// The largest size of a value.
const SIZE_MAX: usize = 512 << 20;

#[cfg(test)]
mod tests {
    use crate::testing::World;

    #[test]
    fn its_effects_are_those_of_set() {
        let mut world = World::new(1);
        world.cores[0].config.enable_debug_command = config::Access::Local;
        world.check_effects(&["SET key:0 mine", "DEBUG POPULATE 2"], "SET key:1 value:1");
    }

    #[test]
    fn keys_are_made_where_they_belong() {
        let mut world = World::new(3);
        world.cores.iter_mut().for_each(|core| core.config.enable_debug_command = config::Access::Local);
        world.run("SET key:7 mine");
        world.check(&["DEBUG POPULATE 100"], "+OK");
        world.check(&["DBSIZE"], ":100");
        world.check(&["GET key:0"], "$7 value:0");
        world.check(&["GET key:7"], "$4 mine");
        world.check(&["DEBUG POPULATE 2 pre 10", "GET pre:1"], "$10 value:1\\x00\\x00\\x00");
        world.check(&["DEBUG POPULATE 2 cut 3", "GET cut:1"], "$3 val");
        for wrong in ["x", "-1", "1 pre -1", "1 pre x"] {
            world
                .check(&[&format!("DEBUG POPULATE {wrong}")], "-ERR value is out of range, must be positive");
        }
    }
}
