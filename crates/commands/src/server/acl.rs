//! ACL WHOAMI, USERS and CAT, and a command's ACL categories.

use crate::connection::DEFAULT_USER;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Command, Flags};
use crate::table;
use stdx::Args;

/// All categories, in ACL CAT's order.
pub const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// A command's categories, in the order of [`CATEGORIES`]: those of its row, and those that follow from its flags.
pub fn categories(row: &Command) -> impl Iterator<Item = &'static str> {
    CATEGORIES.into_iter().filter(|category| {
        let follows = match *category {
            "read" => row.flags.has(Flags::READONLY) && !row.categories.contains(&"scripting"),
            "write" => row.flags.has(Flags::WRITE) && !row.categories.contains(&"scripting"),
            "admin" | "dangerous" => row.flags.has(Flags::ADMIN),
            "pubsub" => row.flags.has(Flags::PUBSUB),
            "fast" => row.flags.has(Flags::FAST),
            "slow" => !row.flags.has(Flags::FAST),
            "blocking" => row.flags.has(Flags::BLOCKING),
            _ => false,
        };
        follows || row.categories.contains(category)
    })
}

/// ACL CAT [category]
pub(super) fn cat(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    match args.get(2) {
        None => {
            ctx.out.array(CATEGORIES.len());
            CATEGORIES.iter().for_each(|category| ctx.out.bulk(category.as_bytes()));
        }
        Some(_) if args.len() > 3 => {
            return Err(CommandError::subcommand("ACL", args.at(1)));
        }
        Some(word) => {
            let named = |category: &&str| word.eq_ignore_ascii_case(category.as_bytes());
            let unknown = || CommandError::acl_category(word);
            let category = CATEGORIES.into_iter().find(named).ok_or_else(unknown)?;
            let commands =
                table::all().iter().filter(|command| categories(command.row).any(|own| own == category));
            let names: Vec<&str> = commands.map(|command| command.full_name).collect();
            ctx.out.array(names.len());
            names.iter().for_each(|name| ctx.out.bulk(name.as_bytes()));
        }
    }
    Ok(Outcome::Done)
}

/// ACL USERS
pub(super) fn users(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.array(1);
    ctx.out.bulk(DEFAULT_USER.as_bytes());
    Ok(Outcome::Done)
}

/// ACL WHOAMI
pub(super) fn who_am_i(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.out.bulk(DEFAULT_USER.as_bytes());
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    #[test]
    fn there_is_one_user() {
        check(&["ACL WHOAMI"], "$7 default");
        check(&["ACL USERS"], "*1 $7 default");
    }

    #[test]
    fn categories_and_their_commands() {
        assert!(World::new(1).run("ACL CAT").starts_with("*21 $8 keyspace $4 read $5 write $3 set"));
        let connection = World::new(1).run("ACL CAT connection");
        for name in ["$4 ping", "$11 client|kill", "$5 hello"] {
            assert!(connection.contains(name), "{connection}");
        }
        check(&["ACL CAT foo"], "-ERR Unknown category 'foo'");
    }

    #[test]
    fn every_category_of_a_row_is_known() {
        for command in table::all() {
            for category in command.row.categories {
                assert!(CATEGORIES.contains(category), "{}: {category}", command.full_name);
            }
        }
    }
}
