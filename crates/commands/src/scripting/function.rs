//! FUNCTION LOAD, DELETE and FLUSH.

use super::script::is_flush_mode;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::{Args, ShardId};

/// FUNCTION LOAD [REPLACE] function-code: the library's name.
pub(super) fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !keeps_libraries(ctx) {
        return Ok(Outcome::Done);
    }
    let code = args.len() - 1;
    let mut replace = false;
    for option in args.part(2, code - 2).iter() {
        if !option.eq_ignore_ascii_case(b"replace") {
            let option = String::from_utf8_lossy(option);
            return Err(format!("ERR Unknown option given: {option}").into());
        }
        replace = true;
    }
    let name = ctx.core.scripts.load_library(args.at(code), replace).map_err(coded)?;
    libraries_changed(ctx, args);
    ctx.out.bulk(name.as_bytes());
    Ok(Outcome::Done)
}

/// FUNCTION DELETE library-name
pub(super) fn delete(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !keeps_libraries(ctx) {
        return Ok(Outcome::Done);
    }
    let name = std::str::from_utf8(args.at(2)).unwrap_or_default();
    if !ctx.core.shared.scripts.delete(name) {
        return Err("ERR Library not found".into());
    }
    libraries_changed(ctx, args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// FUNCTION FLUSH [ASYNC | SYNC]
pub(super) fn flush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !keeps_libraries(ctx) {
        return Ok(Outcome::Done);
    }
    if args.len() > 3 {
        return Err(CommandError::subcommand("FUNCTION", args.at(1)));
    }
    if !is_flush_mode(args) {
        return Err("ERR FUNCTION FLUSH only supports SYNC|ASYNC option".into());
    }
    ctx.core.shared.scripts.flush_libraries();
    libraries_changed(ctx, args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// A command has changed what libraries there are.
pub(super) fn libraries_changed(ctx: &mut Ctx<'_>, args: Args<'_>) {
    ctx.core.keyspace.stats.dirty += 1;
    ctx.effect_everywhere(args);
}

/// Whether this shard is the one that changes the libraries, which all cores share: the first. The others stand by with their
/// locks, and say nothing.
pub(super) fn keeps_libraries(ctx: &Ctx<'_>) -> bool {
    ctx.core.id == ShardId(0)
}

/// What the engine says is wrong, as an error reply.
pub(super) fn coded(text: String) -> CommandError {
    format!("ERR {text}").into()
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    const LIBRARY: &str = "\"#!lua name=lib\\nredis.register_function('f', function(k, a) return a[1] end)\"";

    #[test]
    fn libraries_are_loaded_and_deleted() {
        let mut world = World::new(1);
        world.check(&[&format!("FUNCTION LOAD {LIBRARY}")], "$3 lib");
        world.check(&["FCALL f 0 x"], "$1 x");
        world.check(&["FCALL F 1 k x"], "$1 x");
        world.check(&[&format!("FUNCTION LOAD {LIBRARY}")], "-ERR Library 'lib' already exists");
        world.check(&[&format!("FUNCTION LOAD replace {LIBRARY}")], "$3 lib");
        world.check(&["FUNCTION DELETE lib"], "+OK");
        world.check(&["FCALL f 0 x"], "-ERR Function not found");
        world.check(&["FUNCTION DELETE lib"], "-ERR Library not found");
        world.check(
            &[&format!("FUNCTION LOAD {LIBRARY}"), "FUNCTION FLUSH ASYNC", "FCALL f 0"],
            "-ERR Function not found",
        );
    }

    #[test]
    fn changes_of_libraries_are_effects() {
        let mut world = World::new(1);
        world.check_effects(&["FUNCTION FLUSH"], "FUNCTION FLUSH");
        let code = "#!lua name=l\\nredis.register_function('f', function() end)";
        let effect = r"FUNCTION LOAD #!lua name=l\nredis.register_function(\'f\', function() end)";
        world.check_effects(&[&format!("FUNCTION LOAD \"{code}\"")], effect);
        world.check_effects(&["FUNCTION DELETE l"], "FUNCTION DELETE l");
        world.check_effects(&["FUNCTION DELETE l"], "");
        assert_eq!(world.cores[0].keyspace.stats.dirty, 3, "and changes");
    }

    #[test]
    fn wrong_forms_are_refused() {
        check(&["FUNCTION LOAD x y"], "-ERR Unknown option given: x");
        check(&["FUNCTION LOAD 'return 1'"], "-ERR Missing library metadata");
        check(&["FUNCTION FLUSH x"], "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        check(
            &["FUNCTION FLUSH sync x"],
            "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
        );
        let mut world = World::new(1);
        world.run(&format!("FUNCTION LOAD {LIBRARY}"));
        world.check(&["FCALL f x"], "-ERR Bad number of keys provided");
        world.check(&["FCALL f 1"], "-ERR Number of keys can't be greater than number of args");
        world.check(&["FCALL f -1"], "-ERR Number of keys can't be negative");
        world.check(&["FCALL_RO f 0"], "-ERR Can not execute a script with write flag using *_ro command.");
    }
}
