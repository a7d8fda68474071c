//! HELP of every container, from its rows.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command};
use std::fmt::Write;
use stdx::Args;

/// CLIENT HELP, CONFIG HELP...: a line for each subcommand, and one that says what it does.
pub(crate) fn help(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let container = crate::table::by_name(args.at(0)).expect("the container's subcommand was found").row;
    ctx.out.array(1 + container.subcommands.len() * 2);
    let title = format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.name.to_ascii_uppercase()
    );
    ctx.out.simple(&title);
    for subcommand in container.subcommands {
        ctx.out.simple(&syntax(subcommand));
        ctx.out.simple(&format!("    {}", subcommand.summary));
    }
    Ok(Outcome::Done)
}

/// A command's syntax as documentation has it: `LIST [TYPE <NORMAL | MASTER>] [ID client-id [client-id ...]]`.
pub fn syntax(command: &Command) -> String {
    let mut text = command.name.to_ascii_uppercase();
    for arg in command.args {
        text.push(' ');
        push_arg(&mut text, arg);
    }
    text
}

fn push_arg(text: &mut String, arg: &Arg) {
    let mut one = String::new();
    push_value(&mut one, arg);
    if arg.multiple && arg.token.is_empty() {
        one = format!("{one} [{one} ...]");
    } else if arg.multiple {
        let bare = one.strip_prefix(arg.token).unwrap_or(&one).trim_start();
        one = if arg.multiple_token { format!("{one} [{one} ...]") } else { format!("{one} [{bare} ...]") };
    }
    let (open, close) = if arg.optional { ("[", "]") } else { ("", "") };
    write!(text, "{open}{one}{close}").expect("a String takes what is written");
}

fn push_value(text: &mut String, arg: &Arg) {
    if arg.kind == "pure-token" {
        return text.push_str(arg.token);
    }
    if !arg.token.is_empty() {
        text.push_str(arg.token);
        text.push(' ');
    }
    let (separator, brackets) = match arg.kind {
        "oneof" => (" | ", !arg.optional || !arg.token.is_empty()),
        "block" => (" ", false),
        _ => return text.push_str(arg.name),
    };
    let members = arg.args.iter().map(|member| {
        let mut one = String::new();
        push_arg(&mut one, member);
        one
    });
    let members = members.collect::<Vec<_>>().join(separator);
    text.push_str(&if brackets { format!("<{members}>") } else { members });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        assert_eq!(syntax(crate::table::by_name(name.as_bytes()).expect("a command").row), expected);
    }

    #[test]
    fn syntax_follows_from_the_arguments() {
        check("ping", "PING [message]");
        check(
            "client|list",
            "LIST [TYPE <normal | master | replica | pubsub>] [ID client-id [client-id ...]]",
        );
        check("hello", "HELLO [protover [AUTH username password] [SETNAME clientname]]");
        check("config|set", "SET parameter value [parameter value ...]");
    }

    #[test]
    fn help_names_every_subcommand() {
        let reply = crate::testing::World::new(1).run("MODULE HELP");
        let lines = "+MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +LIST \
                     +    Answers the loaded modules. +HELP +    Lists the subcommands.";
        assert_eq!(reply, format!("*5 {lines}"));
    }
}
