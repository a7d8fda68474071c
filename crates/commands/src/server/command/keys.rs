//! COMMAND GETKEYS and COMMAND GETKEYSANDFLAGS.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::Flags;
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
        let flags = flags_of(command, args.from(2), position);
        ctx.out.array(2);
        ctx.out.bulk(args.at(position as usize + 2));
        ctx.out.set(flags.len());
        flags.iter().for_each(|flag| ctx.out.simple(flag));
    }
    Ok(Outcome::Done)
}

/// The command and where its keys are. Errors: no such command, it has no keys, the arguments do not fit it.
fn keys(args: Args<'_>) -> Result<(CommandRef, Vec<u32>), CommandError> {
    let command = match table::lookup(args) {
        // Keys are found without the last one's value, too.
        Ok(command) | Err(Misfit::HalfGroup(command)) => command,
        Err(Misfit::Arity(_)) => return Err(CommandError::GETKEYS_ARITY),
        Err(Misfit::Unknown(_)) => return Err(CommandError::GETKEYS_COMMAND),
    };
    if command.row.keys.is_empty() && command.row.get_keys.is_none() {
        return Err(CommandError::GETKEYS_NONE);
    }
    let mut positions = Vec::new();
    table::keys_of(command, args, &mut positions);
    if positions.is_empty() && !command.row.flags.has(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::GETKEYS_ARGUMENTS);
    }
    Ok((command, positions))
}

/// What is done to the key at `position`: the words of the specification that finds it, or of the first.
fn flags_of(command: CommandRef, args: Args<'_>, position: u32) -> &'static [&'static str] {
    let finds = |spec: &&crate::row::KeySpec| {
        let mut found = Vec::new();
        crate::key_specs::positions(spec, args, &mut found);
        found.contains(&position)
    };
    let specs = command.row.keys;
    specs.iter().find(finds).or(specs.first()).map_or(&[], |spec| spec.flags)
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
    }
}
