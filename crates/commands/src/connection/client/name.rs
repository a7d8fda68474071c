//! CLIENT ID, GETNAME, SETNAME and SETINFO.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use stdx::Args;

/// CLIENT ID
pub(super) fn id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.int(ctx.caller.id.0 as i64);
    Ok(Outcome::Done)
}

/// CLIENT GETNAME
pub(super) fn get_name(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let name = ctx.client().name.clone();
    match name.is_empty() {
        true => ctx.out.null(),
        false => ctx.out.bulk(name.as_bytes()),
    }
    Ok(Outcome::Done)
}

/// CLIENT SETNAME connection-name
pub(super) fn set_name(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let name = checked_name(args.at(2))?;
    set_client_name(ctx, name);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// CLIENT SETINFO LIB-NAME name | LIB-VER version
pub(super) fn set_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (attribute, value) = (args.at(2), args.at(3));
    let lower = String::from_utf8_lossy(attribute).to_ascii_lowercase();
    let client = ctx.client();
    let field = match lower.as_str() {
        "lib-name" => &mut client.lib_name,
        "lib-ver" => &mut client.lib_ver,
        _ => {
            return Err(CommandError::set_info_option(attribute));
        }
    };
    if !is_printable(value) {
        return Err(CommandError::set_info_value(&lower));
    }
    *field = text(value);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// `name` when it can be a client's name: it must not break the lines of CLIENT LIST.
pub(in crate::connection) fn checked_name(name: &[u8]) -> Result<&[u8], CommandError> {
    if is_printable(name) { Ok(name) } else { Err(CommandError::CLIENT_NAME) }
}

/// Names the calling client; the name was checked.
pub(in crate::connection) fn set_client_name(ctx: &mut Ctx<'_>, name: &[u8]) {
    ctx.client().name = text(name);
}

fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_graphic)
}

fn text(printable: &[u8]) -> String {
    String::from_utf8_lossy(printable).into_owned()
}

#[cfg(test)]
pub(in crate::connection) mod tests {
    use crate::testing::{World, check};

    pub(in crate::connection) const BAD_NAME: &str =
        "-ERR Client names cannot contain spaces, newlines or special characters.";

    #[test]
    fn ids_are_the_connections_own() {
        let mut world = World::new(1);
        world.check(&["CLIENT ID"], ":1");
        world.client = world.connect(0);
        world.check(&["CLIENT ID"], ":2");
    }

    #[test]
    fn a_name_is_kept_until_it_is_set_to_nothing() {
        check(&["CLIENT GETNAME"], "$-1");
        check(&["HELLO 3", "CLIENT GETNAME"], "_");
        check(&["CLIENT SETNAME me", "CLIENT GETNAME"], "$2 me");
        check(&["CLIENT SETNAME me", "CLIENT SETNAME ''", "CLIENT GETNAME"], "$-1");
        check(&["CLIENT SETNAME 'a b'"], BAD_NAME);
        check(&["CLIENT SETNAME \"a\\n\""], BAD_NAME);
    }

    #[test]
    fn libraries_tell_their_name_and_version() {
        let mut world = World::new(1);
        world.check(&["CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO lib-ver 5.0.1"], "+OK");
        let client = world.client();
        assert_eq!((client.lib_name.as_str(), client.lib_ver.as_str()), ("redis-py", "5.0.1"));
        let bad = "-ERR lib-ver cannot contain spaces, newlines or special characters.";
        world.check(&["CLIENT SETINFO LIB-VER '5 0'"], bad);
        world.check(&["CLIENT SETINFO colour red"], "-ERR Unrecognized option 'colour'");
    }
}
