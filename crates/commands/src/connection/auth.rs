//! AUTH and HELLO.

use super::client::name::{checked_name, set_client_name};
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use resp::{Proto, Reply};
use stdx::Args;

/// The one user there is until ACL users come.
pub(crate) const DEFAULT_USER: &str = "default";

/// AUTH [username] password
pub(super) fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    match args.len() {
        2 if !needs_password(ctx) => return Err(CommandError::NO_PASSWORD_SET),
        2 => log_in(ctx, DEFAULT_USER.as_bytes(), args.at(1))?,
        3 => log_in(ctx, args.at(1), args.at(2))?,
        _ => return Err(CommandError::Syntax),
    }
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// HELLO [protover [AUTH username password] [SETNAME clientname]]
pub(super) fn hello(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let wanted = Greeting::parse(args)?;
    if let Some((user, password)) = wanted.login {
        log_in(ctx, user, password)?;
    }
    if !ctx.client().authenticated {
        return Err(CommandError::HELLO_NEEDS_AUTH);
    }
    if let Some(name) = wanted.name {
        set_client_name(ctx, name);
    }
    if let Some(proto) = wanted.proto {
        ctx.client().proto = proto;
    }
    let proto = ctx.client().proto;
    let mut reply = Vec::new();
    let role: &[u8] = if ctx.core.shared.replica.is_replica() { b"replica" } else { b"master" };
    greet(&mut Reply::new(&mut reply, proto), proto, ctx.caller.id.0 as i64, role);
    ctx.out.raw(&reply);
    Ok(Outcome::Done)
}

/// Whether the default user has a password, so that new connections have to log in.
pub(super) fn needs_password(ctx: &Ctx<'_>) -> bool {
    !ctx.core.config.requirepass.is_empty()
}

fn greet(reply: &mut Reply<'_>, proto: Proto, id: i64, role: &[u8]) {
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(if proto == Proto::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(id);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(role);
    reply.bulk(b"modules");
    reply.array(0);
}

fn log_in(ctx: &mut Ctx<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let required = &ctx.core.config.requirepass;
    let right = required.is_empty() || same(required.reveal().as_bytes(), password);
    if user != DEFAULT_USER.as_bytes() || !right {
        return Err(CommandError::WRONG_PASSWORD);
    }
    ctx.client().authenticated = true;
    Ok(())
}

/// Compares without telling by its duration where the first difference is.
fn same(want: &[u8], got: &[u8]) -> bool {
    let differences =
        want.iter().enumerate().fold(0, |seen, (at, byte)| seen | (byte ^ got.get(at).unwrap_or(&0)));
    differences == 0 && want.len() == got.len()
}

/// HELLO's arguments.
#[derive(Default)]
struct Greeting<'a> {
    proto: Option<Proto>,
    login: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Greeting<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut greeting = Self::default();
        let Some(version) = args.get(1) else { return Ok(greeting) };
        greeting.proto = Some(match crate::ctx::parse_int(version) {
            Some(2) => Proto::Resp2,
            Some(3) => Proto::Resp3,
            Some(_) => return Err(CommandError::UNKNOWN_PROTOCOL),
            None => return Err(CommandError::PROTOCOL_NOT_INTEGER),
        });
        let mut rest = args.from(2);
        while let Some(option) = rest.get(0) {
            if option.eq_ignore_ascii_case(b"AUTH") && rest.len() > 2 {
                greeting.login = Some((rest.at(1), rest.at(2)));
                rest = rest.from(3);
            } else if option.eq_ignore_ascii_case(b"SETNAME") && rest.len() > 1 {
                greeting.name = Some(checked_name(rest.at(1))?);
                rest = rest.from(2);
            } else {
                return Err(CommandError::hello_option(option));
            }
        }
        Ok(greeting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    fn error(error: CommandError) -> String {
        format!("-{error}")
    }

    /// A server with a password and a client that has not logged in.
    fn guarded() -> World {
        let mut world = World::new(1);
        world.cores[0].config.requirepass = config::Secret::new("s3cret".into());
        world.client().authenticated = false;
        world
    }

    #[test]
    fn auth_without_a_password_set() {
        check(&["AUTH x"], &error(CommandError::NO_PASSWORD_SET));
        check(&["AUTH default anything"], "+OK");
        check(&["AUTH other x"], &error(CommandError::WRONG_PASSWORD));
        check(&["AUTH a b c"], "-ERR syntax error");
    }

    #[test]
    fn auth_with_a_password_set() {
        for wrong in ["AUTH no", "AUTH s3cre", "AUTH s3crett", "AUTH ''", "AUTH default no", "AUTH me s3cret"]
        {
            let mut world = guarded();
            world.check(&[wrong], &error(CommandError::WRONG_PASSWORD));
            assert!(!world.client().authenticated, "{wrong}");
        }
        for right in ["AUTH s3cret", "AUTH default s3cret", "HELLO 2 AUTH default s3cret"] {
            let mut world = guarded();
            world.run(right);
            assert!(world.client().authenticated, "{right}");
        }
    }

    #[test]
    fn hello_answers_in_the_version_it_chose() {
        check(
            &["HELLO"],
            "*14 $6 server $5 redis $7 version $5 7.2.5 $5 proto :2 $2 id :1 $4 mode $10 standalone \
             $4 role $6 master $7 modules *0",
        );
        check(
            &["HELLO 3"],
            "%7 $6 server $5 redis $7 version $5 7.2.5 $5 proto :3 $2 id :1 $4 mode $10 standalone \
             $4 role $6 master $7 modules *0",
        );
        let mut world = World::new(1);
        world.run("HELLO 3 SETNAME me");
        assert_eq!((world.client().proto, world.client().name.as_str()), (Proto::Resp3, "me"));
    }

    #[test]
    fn a_wrong_hello_changes_nothing() {
        let unknown = |option: &str| format!("-ERR Syntax error in HELLO option '{option}'");
        check(&["HELLO 4"], "-NOPROTO unsupported protocol version");
        check(&["HELLO abc"], "-ERR Protocol version is not an integer or out of range");
        check(&["HELLO 3 FOO"], &unknown("FOO"));
        check(&["HELLO 3 AUTH a"], &unknown("AUTH"));
        check(&["HELLO 3 SETNAME"], &unknown("SETNAME"));
        let mut world = guarded();
        world.check(&["HELLO 3"], &error(CommandError::HELLO_NEEDS_AUTH));
        world.check(&["HELLO 3 AUTH default no SETNAME me"], &error(CommandError::WRONG_PASSWORD));
        world.check(&["HELLO 3 SETNAME 'a b'"], crate::connection::client::name::tests::BAD_NAME);
        assert_eq!((world.client().proto, world.client().name.as_str()), (Proto::Resp2, ""));
    }
}
