//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::key_specs::{fits_count, in_order};
use crate::row::{FindKeys, Flags, KeySpec};
use crate::table::{self, CommandRef, Misfit};
use stdx::Args;

/// COMMAND GETKEYS command [arg...]
pub(in crate::server) fn get_keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (_, positions) = keys(args.from(2))?;
    ctx.out.array(positions.len());
    positions.iter().for_each(|position| ctx.out.bulk(args.at(*position as usize + 2)));
    Ok(Outcome::Done)
}

/// COMMAND GETKEYSANDFLAGS command [arg...]
pub(in crate::server) fn get_keys_and_flags(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
) -> Result<Outcome, CommandError> {
    let (command, positions) = keys(args.from(2))?;
    ctx.out.array(positions.len());
    for position in positions {
        let flags: Vec<&str> = in_order(table::key_flags(command, args.from(2), position)).collect();
        ctx.out.array(2);
        ctx.out.bulk(args.at(position as usize + 2));
        ctx.out.set(flags.len());
        flags.iter().for_each(|flag| ctx.out.simple(flag));
    }
    Ok(Outcome::Done)
}

/// The command and where its keys are. Errors: no such command, it has no keys, the arguments do not fit it.
fn keys(args: Args<'_>) -> Result<(CommandRef, Vec<u32>), CommandError> {
    let (command, fits) = match table::lookup(args) {
        // Keys are found without the last one's value, too.
        Ok(command) | Err(Misfit::HalfGroup(command)) => (command, true),
        Err(Misfit::Arity(command)) => (command, false),
        Err(Misfit::Unknown(_)) => return Err(CommandError::GETKEYS_COMMAND),
    };
    if command.row.keys.is_empty() && command.row.get_keys.is_none() {
        return Err(CommandError::GETKEYS_NONE);
    }
    if !fits {
        return Err(CommandError::GETKEYS_ARITY);
    }
    let positions = positions(command, args);
    if positions.is_empty() && !command.row.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::GETKEYS_ARGUMENTS);
    }
    Ok((command, positions))
}

/// Where the keys are as Redis tells: by the row's specifications if they tell all there is, by what the command itself
/// looks at if not. A count of keys that does not fit the arguments leaves none of them, those elsewhere included.
fn positions(command: CommandRef, args: Args<'_>) -> Vec<u32> {
    let is_vague = |spec: &KeySpec| {
        matches!(spec.find, FindKeys::Unknown)
            || spec.flags.iter().any(|flag| matches!(*flag, "incomplete" | "variable_flags"))
    };
    let specs = command.row.keys.iter().filter(|spec| !spec.flags.contains(&"not_key"));
    let mut positions = Vec::new();
    if command.keys_simple || command.row.keys.iter().any(is_vague) {
        table::keys_of(command, args, &mut positions);
    } else if specs.clone().all(|spec| fits_count(spec, args)) {
        specs.for_each(|spec| crate::key_specs::positions(spec, args, &mut positions));
    }
    positions
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn keys_are_found() {
        check(&["COMMAND GETKEYS get a"], "*1 $1 a");
        check(&["COMMAND GETKEYS memory usage a"], "*1 $1 a");
        check(&["COMMAND GETKEYSANDFLAGS get a"], "*1 *2 $1 a *2 +RO +access");
    }

    #[test]
    fn what_is_done_to_a_key_may_be_for_the_arguments_to_say() {
        let check =
            |line: &str, expected: &str| check(&[&format!("COMMAND GETKEYSANDFLAGS {line}")], expected);
        check("set k v", "*1 *2 $1 k *2 +OW +update");
        check("set k v EX 10 NX", "*1 *2 $1 k *2 +OW +update");
        check("set k v NX get", "*1 *2 $1 k *3 +RW +access +update");
        check("bitfield k", "*1 *2 $1 k *2 +RO +access");
        check("bitfield k get u8 0 overflow sat GET i5 #1", "*1 *2 $1 k *2 +RO +access");
        check("bitfield k get u8 0 set u8 0 1", "*1 *2 $1 k *3 +RW +access +update");
        check("bitfield k get u8", "*1 *2 $1 k *3 +RW +access +update");
        check("bitfield k incrby u8 0 1", "*1 *2 $1 k *3 +RW +access +update");
        check("sort k", "*1 *2 $1 k *2 +RO +access");
        check("sort k LIMIT 0 1 STORE d", "*2 *2 $1 k *2 +RO +access *2 $1 d *2 +OW +update");
        check("sort_ro k", "*1 *2 $1 k *2 +RO +access");
    }

    #[test]
    fn a_wrong_count_leaves_no_keys() {
        const WRONG: &str = "-ERR Invalid arguments specified for command";
        for line in ["d 5 a b", "d x a b", "d 0 a", "d -1 a", "d 99999999999999999999 a"] {
            check(&[&format!("COMMAND GETKEYS zunionstore {line}")], WRONG);
        }
        check(&["COMMAND GETKEYS zunion 3 a b"], WRONG);
        check(&["COMMAND GETKEYS sintercard 0 a"], WRONG);
        check(&["COMMAND GETKEYS zinterstore d 2 a b c"], "*3 $1 d $1 a $1 b");
        check(&["COMMAND GETKEYS zunionstore d 2 a b WEIGHTS 1 2"], "*3 $1 d $1 a $1 b");
    }

    #[test]
    fn streams_without_their_ids_are_told_by_halves() {
        check(&["COMMAND GETKEYS xread count 2 streams a b 1"], "*1 $1 a");
        check(&["COMMAND GETKEYS xread count 2 streams a b 1 2"], "*2 $1 a $1 b");
        check(&["COMMAND GETKEYS xreadgroup group g c streams a b c"], "*1 $1 a");
        check(&["COMMAND GETKEYS xread count 2 x"], "-ERR Invalid arguments specified for command");
    }

    #[test]
    fn the_last_key_of_mset_needs_no_value() {
        check(&["COMMAND GETKEYS mset a b c"], "*2 $1 a $1 c");
        check(&["COMMAND GETKEYS msetnx a b c d e"], "*3 $1 a $1 c $1 e");
        check(&["COMMAND GETKEYSANDFLAGS mset a b c"], "*2 *2 $1 a *2 +OW +update *2 $1 c *2 +OW +update");
        check(&["COMMAND GETKEYS mset a"], "-ERR Invalid number of arguments specified for command");
    }

    #[test]
    fn what_has_no_keys_is_refused() {
        check(&["COMMAND GETKEYS nope a"], "-ERR Invalid command specified");
        check(&["COMMAND GETKEYS get"], "-ERR Invalid number of arguments specified for command");
        check(&["COMMAND GETKEYS echo a"], "-ERR The command has no key arguments");
        check(&["COMMAND GETKEYS echo"], "-ERR The command has no key arguments");
    }
}
