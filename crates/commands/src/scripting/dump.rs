//! FUNCTION DUMP and RESTORE.

use super::function::{coded, keeps_libraries, libraries_changed};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use rdb::FunctionsError;
use script::RestorePolicy;
use stdx::Args;

/// FUNCTION DUMP: all libraries, in Redis's format.
pub(super) fn dump(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let (libraries, _) = ctx.core.shared.scripts.libraries();
    let mut payload = Vec::new();
    let codes = libraries.iter().map(|library| &*library.code);
    rdb::dump_functions(codes, ctx.core.config.rdbcompression, &mut payload);
    ctx.out.bulk(&payload);
    Ok(Outcome::Done)
}

/// FUNCTION RESTORE serialized-value [FLUSH | APPEND | REPLACE]
pub(super) fn restore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if !keeps_libraries(ctx) {
        return Ok(Outcome::Done);
    }
    if args.len() > 4 {
        return Err(CommandError::subcommand("FUNCTION", args.at(1)));
    }
    let policy = match args.get(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => RestorePolicy::Append,
        Some(b"replace") => RestorePolicy::Replace,
        Some(b"flush") => RestorePolicy::Flush,
        Some(_) => {
            return Err(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.".into()
            );
        }
    };
    let codes = rdb::restore_functions(args.at(2)).map_err(refusal)?;
    let codes: Vec<&[u8]> = codes.iter().map(|code| &**code).collect();
    ctx.core.scripts.restore_libraries(&codes, policy).map_err(coded)?;
    libraries_changed(ctx, args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn refusal(error: FunctionsError) -> CommandError {
    match error {
        FunctionsError::Foreign(_) => CommandError::PAYLOAD_FOREIGN,
        FunctionsError::OtherKind(_) => "ERR given type is not a function".into(),
        FunctionsError::BeforeRelease => "ERR Pre-GA function format not supported".into(),
        FunctionsError::Bad(_) => "ERR failed loading the given functions payload".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};
    use stdx::args::OwnedArgs;

    fn library(name: &str, function: &str) -> String {
        format!(
            "FUNCTION LOAD \"#!lua name={name}\\nredis.register_function('{function}', function() return '{name}' end)\""
        )
    }

    fn dump(world: &mut World) -> Vec<u8> {
        let reply = world.run_args(&OwnedArgs::new(&["FUNCTION", "DUMP"]));
        let start = reply.iter().position(|&byte| byte == b'\n').expect("a bulk string") + 1;
        reply[start..reply.len() - 2].to_vec()
    }

    fn restore(world: &mut World, payload: &[u8], policy: &str) -> String {
        let reply =
            world.run_args(&OwnedArgs::new(&[b"FUNCTION", &b"RESTORE"[..], payload, policy.as_bytes()]));
        crate::testing::shown(&reply)
    }

    #[test]
    fn libraries_come_back_by_every_policy() {
        let mut world = World::new(1);
        world.run(&library("a", "f"));
        let payload = dump(&mut world);
        assert_eq!(restore(&mut world, &payload, "APPEND"), "-ERR Library a already exists");
        assert_eq!(restore(&mut world, &payload, "REPLACE"), "+OK");
        world.check(&["FUNCTION FLUSH", &library("b", "g")], "$1 b");
        assert_eq!(restore(&mut world, &payload, "append"), "+OK");
        world.check(&["FCALL f 0"], "$1 a");
        world.check(&["FCALL g 0"], "$1 b");
        assert_eq!(restore(&mut world, &payload, "flush"), "+OK");
        world.check(&["FCALL g 0"], "-ERR Function not found");
        world.check(&["FUNCTION FLUSH", &library("b", "f")], "$1 b");
        assert_eq!(restore(&mut world, &payload, "replace"), "-ERR Function f already exists");
        assert_eq!(
            restore(&mut world, &payload, "x"),
            "-ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
        );
    }

    #[test]
    fn what_is_no_payload_is_refused() {
        check(&["FUNCTION RESTORE x"], "-ERR DUMP payload version or checksum are wrong");
        let mut world = World::new(1);
        world.run("SET k v");
        let reply = world.run_args(&OwnedArgs::new(&["DUMP", "k"]));
        let payload = reply[5..reply.len() - 2].to_vec();
        assert_eq!(restore(&mut world, &payload, "FLUSH"), "-ERR given type is not a function");
    }
}
