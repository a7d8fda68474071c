//! The tools of the server's binary: `lacewing check`, on data that no server has open.

use clap::{Arg, ArgAction, Command};

use crate::ConfigError;
use crate::command_line::Invocation;

/// What is asked for instead of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Look at data: what is there, and whether it is whole.
    Check(Check),
}

/// `lacewing check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// A data directory, a file of one, or files of Redis.
    pub path: String,
    /// Whether a torn tail is cut off.
    pub repair: bool,
    /// Whether programs read what is found.
    pub json: bool,
}

/// The names of the tools, as first words of a command line.
pub(crate) const NAMES: [&str; 1] = ["check"];

/// Reads the command line of a tool, with its name as the first word.
pub(crate) fn from_args(args: &[String]) -> Result<Invocation, ConfigError> {
    match command().try_get_matches_from(args.iter()) {
        Ok(found) => {
            let path = found.get_one::<String>("PATH").expect("it is required").clone();
            let (repair, json) = (found.get_flag("repair"), found.get_flag("json"));
            Ok(Invocation::Tool(Tool::Check(Check { path, repair, json })))
        }
        Err(error) if !error.use_stderr() => Ok(Invocation::Print(error.render().to_string())),
        Err(error) => Err(ConfigError::Usage(usage_error(&error))),
    }
}

fn command() -> Command {
    Command::new("check")
        .bin_name("lacewing check")
        .about("Looks at data that no server has open: reads all of it, and says what is there and whether it is whole")
        .arg(Arg::new("PATH").required(true).help(
            "A data directory of Lacewing; a file of one; a snapshot set's directory; a place of snapshots as snapshot-dir has it \
             (a directory, s3://bucket/prefix, gs://.., az://..); an RDB file; an append-only file of Redis, or its directory",
        ))
        .arg(Arg::new("repair").long("repair").action(ArgAction::SetTrue).help(
            "Cut a torn tail off the log, after a copy into quarantine, and say what was dropped; nothing else is repaired",
        ))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"))
        .after_help(
            "Ends with 0 if all is well, else with the code that a server would end with that finds this;\n\
             101: there is a torn tail, and a start would leave it out.",
        )
}

/// One line, as all errors of the command line are.
fn usage_error(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let first = first.join(" ");
    format!("check: {}; see lacewing check --help", first.strip_prefix("error: ").unwrap_or(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Invocation, ConfigError> {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        from_args(&args)
    }

    #[track_caller]
    fn check(line: &str, path: &str, repair: bool, json: bool) {
        match parse(line) {
            Ok(Invocation::Tool(tool)) => {
                assert_eq!(tool, Tool::Check(Check { path: path.to_owned(), repair, json }));
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_may_stand_anywhere() {
        check("check data", "data", false, false);
        check("check --repair data", "data", true, false);
        check("check data --json --repair", "data", true, true);
        check("check -- --data", "--data", false, false);
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let error = |line| parse(line).err().unwrap().to_string();
        assert_eq!(
            error("check"),
            "check: the following required arguments were not provided: <PATH>; see lacewing check --help"
        );
        assert_eq!(
            error("check data --fix"),
            "check: unexpected argument '--fix' found; see lacewing check --help"
        );
    }

    #[test]
    fn help_is_printed() {
        let Ok(Invocation::Print(text)) = parse("check --help") else { panic!("no help") };
        assert!(text.contains("--repair") && text.contains("lacewing check"), "{text}");
        command().debug_assert();
    }
}
