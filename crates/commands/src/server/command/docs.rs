//! COMMAND DOCS.

use super::info::registered;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command};
use crate::table::{self, Registered};
use resp::Reply;
use stdx::Args;

/// COMMAND DOCS [command...]: what is not known is left out.
pub(in crate::server) fn docs(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let commands: Vec<&Registered> = if args.len() == 2 {
        table::all().iter().filter(|command| command.container.is_none()).collect()
    } else {
        args.from(2).iter().filter_map(table::by_name).collect()
    };
    ctx.out.map(commands.len());
    for command in commands {
        document(&mut ctx.out, command);
    }
    Ok(Outcome::Done)
}

/// A pair: the command's name and its documentation.
fn document(out: &mut Reply<'_>, command: &Registered) {
    let row = command.row;
    out.bulk(command.full_name.as_bytes());
    let optional = [
        !row.complexity.is_empty(),
        row.deprecated.is_some() || row.is_internal,
        row.deprecated.is_some(),
        row.deprecated.is_some(),
        !row.history.is_empty(),
        !row.args.is_empty(),
        !row.subcommands.is_empty(),
    ];
    out.map(3 + optional.iter().filter(|there| **there).count());
    text(out, "summary", row.summary);
    text(out, "since", row.since);
    text(out, "group", row.group);
    if !row.complexity.is_empty() {
        text(out, "complexity", row.complexity);
    }
    let flags = [(row.deprecated.is_some(), "deprecated"), (row.is_internal, "syscmd")];
    let flags: Vec<&str> = flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)).collect();
    if !flags.is_empty() {
        out.bulk(b"doc_flags");
        out.set(flags.len());
        flags.iter().for_each(|flag| out.simple(flag));
    }
    if let Some((since, instead)) = row.deprecated {
        text(out, "deprecated_since", since);
        text(out, "replaced_by", instead);
    }
    if !row.history.is_empty() {
        history(out, row.history);
    }
    if !row.args.is_empty() {
        arguments(out, row.args);
    }
    if !row.subcommands.is_empty() {
        subcommands(out, row);
    }
}

fn history(out: &mut Reply<'_>, history: &[(&str, &str)]) {
    out.bulk(b"history");
    out.set(history.len());
    for (version, change) in history {
        out.array(2);
        out.bulk(version.as_bytes());
        out.bulk(change.as_bytes());
    }
}

fn subcommands(out: &mut Reply<'_>, row: &Command) {
    out.bulk(b"subcommands");
    out.map(row.subcommands.len());
    for subcommand in row.subcommands {
        document(out, registered(row, subcommand));
    }
}

fn arguments(out: &mut Reply<'_>, args: &[Arg]) {
    out.bulk(b"arguments");
    out.array(args.len());
    args.iter().for_each(|arg| argument(out, arg));
}

fn argument(out: &mut Reply<'_>, arg: &Arg) {
    let flags: Vec<&str> =
        [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")]
            .into_iter()
            .filter_map(|(there, name)| there.then_some(name))
            .collect();
    let shown = !matches!(arg.kind, "oneof" | "block");
    let optional = [
        shown,
        arg.key_spec.is_some(),
        !arg.token.is_empty(),
        !arg.since.is_empty(),
        !flags.is_empty(),
        !arg.args.is_empty(),
    ];
    out.map(2 + optional.iter().filter(|there| **there).count());
    text(out, "name", arg.name);
    text(out, "type", arg.kind);
    if shown {
        text(out, "display_text", if arg.display.is_empty() { arg.name } else { arg.display });
    }
    if let Some(spec) = arg.key_spec {
        out.bulk(b"key_spec_index");
        out.int(spec.into());
    }
    if !arg.token.is_empty() {
        text(out, "token", arg.token);
    }
    if !arg.since.is_empty() {
        text(out, "since", arg.since);
    }
    if !flags.is_empty() {
        out.bulk(b"flags");
        out.set(flags.len());
        flags.iter().for_each(|flag| out.simple(flag));
    }
    if !arg.args.is_empty() {
        arguments(out, arg.args);
    }
}

fn text(out: &mut Reply<'_>, name: &str, value: &str) {
    out.bulk(name.as_bytes());
    out.bulk(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use crate::table;
    use crate::testing::{World, check};

    #[test]
    fn a_command_is_documented() {
        check(
            &["HELLO 3", "COMMAND DOCS select nope"],
            "%1 $6 select %5 $7 summary $50 Chooses the database that the connection works on. $5 since $5 1.0.0 \
             $5 group $10 connection $10 complexity $4 O(1) $9 arguments *1 %3 $4 name $5 index $4 type $7 integer \
             $12 display_text $5 index",
        );
    }

    #[test]
    fn commands_of_servers_among_themselves_are_told_apart() {
        for internal in ["debug", "pfdebug", "pfselftest"] {
            let docs = World::new(1).run(&format!("COMMAND DOCS {internal}"));
            assert!(docs.contains("$9 doc_flags *1 +syscmd"), "{docs}");
        }
    }

    #[test]
    fn history_deprecation_and_subcommands_are_told() {
        let quit = World::new(1).run("COMMAND DOCS quit");
        assert!(quit.contains("$9 doc_flags *1 +deprecated $16 deprecated_since $5 7.2.0"), "{quit}");
        let slowlog = World::new(1).run("COMMAND DOCS slowlog");
        assert!(slowlog.contains("$11 subcommands *8 $11 slowlog|get *"), "{slowlog}");
        assert!(slowlog.contains("$7 history *1 *2 $5 4.0.0 $"), "{slowlog}");
    }

    #[test]
    fn every_row_is_documented() {
        for command in table::all() {
            let row = command.row;
            let told = !row.summary.is_empty() && !row.since.is_empty() && !row.group.is_empty();
            assert!(told, "{} lacks documentation", command.full_name);
        }
    }
}
