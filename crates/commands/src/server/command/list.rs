//! COMMAND COUNT and COMMAND LIST.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::server::acl;
use crate::table::{self, Registered};
use stdx::{Args, glob};

/// COMMAND COUNT: a container counts once.
pub(in crate::server) fn count(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.int(table::all().iter().filter(|command| command.container.is_none()).count() as i64);
    Ok(Outcome::Done)
}

/// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern], subcommands too.
pub(in crate::server) fn list(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let filter = Filter::parse(args)?;
    let names: Vec<&str> =
        table::all().iter().filter(|command| filter.has(command)).map(|command| command.full_name).collect();
    ctx.out.array(names.len());
    names.iter().for_each(|name| ctx.out.bulk(name.as_bytes()));
    Ok(Outcome::Done)
}

enum Filter<'a> {
    None,
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        if args.len() == 2 {
            return Ok(Self::None);
        }
        if args.len() != 5 || !args.at(2).eq_ignore_ascii_case(b"FILTERBY") {
            return Err(CommandError::Syntax);
        }
        let value = args.at(4);
        match args.at(3).to_ascii_uppercase().as_slice() {
            b"MODULE" => Ok(Self::Module),
            b"ACLCAT" => Ok(Self::Category(value)),
            b"PATTERN" => Ok(Self::Pattern(value)),
            _ => Err(CommandError::Syntax),
        }
    }

    fn has(&self, command: &Registered) -> bool {
        match self {
            Self::None => true,
            Self::Module => false,
            Self::Category(name) => {
                acl::categories(command.row).any(|category| name.eq_ignore_ascii_case(category.as_bytes()))
            }
            Self::Pattern(pattern) => glob::matches(pattern, command.full_name.as_bytes(), true),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn filters_choose_commands() {
        check(
            &["COMMAND LIST FILTERBY PATTERN 'slowlog|*e*'"],
            "*4 $11 slowlog|get $11 slowlog|len $13 slowlog|reset $12 slowlog|help",
        );
        check(&["HELLO 3", "COMMAND LIST FILTERBY PATTERN PIN?"], "*1 $4 ping");
        check(&["COMMAND LIST FILTERBY ACLCAT nope"], "*0");
        check(&["COMMAND LIST FILTERBY MODULE x"], "*0");
        let connection = World::new(1).run("COMMAND LIST FILTERBY ACLCAT CONNECTION");
        assert!(connection.contains(" $4 ping") && connection.contains(" $9 client|id"), "{connection}");
        assert!(World::new(1).run("COMMAND LIST").contains(" $9 client|id"));
    }

    #[test]
    fn wrong_filters_are_refused() {
        for line in ["COMMAND LIST a", "COMMAND LIST FILTERBY PATTERN", "COMMAND LIST FILTERBY foo x"] {
            check(&[line], "-ERR syntax error");
        }
    }
}
