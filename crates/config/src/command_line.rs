//! The command line: `lacewing [FILE] [--NAME VALUE ...]`, as redis-server takes it; or a [`Tool`].

use std::ffi::OsString;
use std::io::{self, Read as _};

use clap::{Arg, Command};

use crate::file::{apply, apply_file, shown};
use crate::render::{help_text, value_form};
use crate::{Config, ConfigError, Kind, Place, Source, Tool, table, tool};
use stdx::words;

/// What the process was asked to do.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// Print this text and end well: help or the version.
    Print(String),
    /// Serve.
    Serve(Box<Startup>),
    /// Use a tool.
    Tool(Tool),
}

/// What to serve with.
#[derive(Clone, Debug)]
pub struct Startup {
    /// The configuration.
    pub config: Config,
    /// The configuration file as given, for CONFIG REWRITE and INFO.
    pub file: Option<String>,
}

/// Reads the command line, without the program's name, and the files that it names. Later settings win: first the file,
/// then standard input, then the options in order.
///
/// A setting is `--name`, its values up to the next word with `--`, or `--name=value`. `-` as the first or last word
/// reads settings from standard input. A first word that is the name of a tool stands for it; a configuration file of that
/// name is `./check`. Errors: as [`ConfigError`]; nothing else was done.
pub fn from_args(args: &[String], source: &mut dyn Source) -> Result<Invocation, ConfigError> {
    match args.first().map(String::as_str) {
        Some("-h" | "--help") => return Ok(Invocation::Print(command().render_long_help().to_string())),
        Some("-v" | "-V" | "--version") => return Ok(Invocation::Print(command().render_version())),
        Some(name) if tool::NAMES.contains(&name) => return tool::from_args(args),
        _ => {}
    }
    let request = Request::parse(args)?;
    let mut config = Config::default();
    if let Some(path) = &request.file {
        apply_file(&mut config, path, source)?;
    }
    if request.stdin {
        apply_file(&mut config, "-", source)?;
    }
    for setting in &request.settings {
        apply(&mut config, setting).map_err(|reason| refused(&setting_text(setting), reason))?;
    }
    if config.listens_nowhere() {
        let text = "there is nothing to listen on: port is 0 or bind is empty, and there is no unixsocket";
        return Err(ConfigError::Contradiction(text.into()));
    }
    Ok(Invocation::Serve(Box::new(Startup { config, file: request.file })))
}

/// As [`from_args`], with files and standard input of this machine.
pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, ConfigError> {
    let text = |arg: OsString| {
        let not_text =
            |arg: OsString| refused(&shown(&arg.to_string_lossy()), "argument must be valid UTF-8".into());
        arg.into_string().map_err(not_text)
    };
    let args: Vec<String> = args.into_iter().map(text).collect::<Result<_, _>>()?;
    from_args(&args, &mut Machine)
}

/// The files of this machine.
struct Machine;

impl Source for Machine {
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        if path != "-" {
            return std::fs::read(path);
        }
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&mut self, directory: &str) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(directory)?;
        names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

/// The words of the command line, sorted out.
#[derive(Debug, Default)]
struct Request {
    file: Option<String>,
    stdin: bool,
    settings: Vec<Vec<String>>,
}

impl Request {
    fn parse(args: &[String]) -> Result<Self, ConfigError> {
        let mut request = Self::default();
        for (index, arg) in args.iter().enumerate() {
            let edge = index == 0 || index + 1 == args.len();
            if arg == "-" && edge {
                request.stdin = true;
            } else if let Some(option) = arg.strip_prefix("--") {
                request.settings.push(option_words(option).ok_or_else(|| {
                    refused(&shown(arg), "an option is --name, with its values after it".into())
                })?);
            } else if let Some(setting) = request.settings.last_mut() {
                setting.push(arg.clone());
            } else if index == 0 && !arg.starts_with('-') {
                request.file = Some(arg.clone());
            } else {
                let reason = "not an option; usage: lacewing [FILE] [--NAME VALUE ...] [-]";
                return Err(refused(&shown(arg), reason.into()));
            }
        }
        Ok(request)
    }
}

/// `name`, `name=value`, or as redis-server allows in one argument, `name value`.
fn option_words(option: &str) -> Option<Vec<String>> {
    if let Some((name, value)) = option.split_once('=')
        && !name.contains(char::is_whitespace)
    {
        return Some(vec![name.into(), value.into()]);
    }
    words::texts(option).filter(|words| !words.is_empty())
}

/// A setting as it would be typed, without secrets.
fn setting_text(setting: &[String]) -> String {
    let words: Vec<String> = setting.iter().map(|word| words::quote_if_needed(word)).collect();
    shown(&format!("--{}", words.join(" ")))
}

fn refused(line: &str, reason: String) -> ConfigError {
    ConfigError::Refused { place: Place::CommandLine, line: line.into(), reason }
}

/// The command as clap describes it, for help. Parameters that do nothing, or may only be off, are left out.
fn command() -> Command {
    let file =
        Arg::new("FILE").help("A configuration file; every option below is a line of it without the '--'");
    let mut command = Command::new("lacewing")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A Redis-compatible in-memory database: one shard and one io_uring reactor per core")
        .override_usage("lacewing [FILE] [--NAME VALUE ...] [-]\n       lacewing check PATH [--repair] [--json]")
        .after_help(
            "Options win over the file; '-' reads more settings from standard input. Parameters of Redis that are \
             accepted\nand do nothing here are in docs/operations/parameters.md, exit codes in \
             docs/operations/exit-codes.md.",
        )
        .next_line_help(true)
        .arg(file);
    for group in table::GROUPS {
        for param in group.params {
            if matches!(param.kind, Kind::Plain(..) | Kind::Special(_)) {
                let help = help_text(param, 100);
                let arg = Arg::new(param.name).long(param.name).value_name(value_form(param)).help(help);
                command = command.arg(arg.help_heading(group.title));
            }
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::Files;

    const FILES: Files<'static> =
        Files(&[("l.conf", "port 1\nhz 11\ntimeout 1"), ("-", "port 2\nhz 12"), ("bad.conf", "hz x")]);

    fn serve(args: &[&str]) -> Result<Startup, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).into()).collect();
        match from_args(&args, &mut Files(FILES.0)) {
            Ok(Invocation::Serve(startup)) => Ok(*startup),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The parameters `names` after the command line `args`.
    fn check(args: &[&str], names: &[&str], expected: &str) {
        let config = serve(args).unwrap().config;
        let values: Vec<String> = config.get(names).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values.join("|"), expected, "{args:?}");
    }

    #[test]
    fn options_are_taken_as_redis_server_takes_them() {
        check(&[], &["port"], "6379");
        check(&["--port", "7000", "--bind", "127.0.0.1", "-::1"], &["port", "bind"], "7000|127.0.0.1 -::1");
        check(&["--save", "", "--hz", "20"], &["save", "hz"], "|20");
        check(&["--save", "--hz", "20"], &["save", "hz"], "|20");
        check(&["--slowlog-log-slower-than", "-1"], &["slowlog-log-slower-than"], "-1");
        check(&["--hz 20", "--timeout", "3"], &["hz", "timeout"], "20|3");
        check(&["--hz=20", "--requirepass=--a=b"], &["hz", "requirepass"], "20|--a=b");
        check(&["--HZ", "20", "--hz", "30"], &["hz"], "30");
        check(&["--replicaof", "no", "one", "--slaveof", "no one"], &["replicaof"], "");
        let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 1048576 10";
        check(
            &["--client-output-buffer-limit", "pubsub 1mb 1mb 10"],
            &["client-output-buffer-limit"],
            limits,
        );
        check(
            &["--client-output-buffer-limit", "pubsub", "1mb", "1mb", "10"],
            &["client-output-buffer-limit"],
            limits,
        );
        check(
            &["--latency-tracking-info-percentiles", "50 99"],
            &["latency-tracking-info-percentiles"],
            "50 99",
        );
    }

    #[test]
    fn the_file_comes_first_then_standard_input_then_options() {
        let names = ["port", "hz", "timeout"];
        check(&["l.conf"], &names, "1|11|1");
        check(&["l.conf", "-"], &names, "2|12|1");
        check(&["l.conf", "--hz", "13", "-"], &names, "2|13|1");
        check(&["-", "--hz", "13"], &names, "2|13|0");
        check(&["l.conf", "--port", "3"], &names, "3|11|1");
        assert_eq!(serve(&["l.conf"]).unwrap().file.as_deref(), Some("l.conf"));
        assert_eq!(serve(&["--hz", "10"]).unwrap().file, None);
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        let check = |args: &[&str], expected: &str| assert_eq!(serve(args).map(|_| ()), Err(expected.into()));
        check(
            &["--maxmemroy", "1gb"],
            "command line: '--maxmemroy 1gb': unknown parameter; did you mean 'maxmemory'?",
        );
        check(&["--port"], "command line: '--port': wrong number of arguments");
        check(&["--port", "1", "2"], "command line: '--port 1 2': wrong number of arguments");
        check(&["--requirepass", "a", "b"], "command line: 'requirepass ***': wrong number of arguments");
        check(
            &["--requirpass=hunter2"],
            "command line: 'requirpass ***': unknown parameter; did you mean 'requirepass'?",
        );
        check(&["-x"], "command line: '-x': not an option; usage: lacewing [FILE] [--NAME VALUE ...] [-]");
        check(
            &["l.conf", "port", "7"],
            "command line: 'port': not an option; usage: lacewing [FILE] [--NAME VALUE ...] [-]",
        );
        check(&["--"], "command line: '--': an option is --name, with its values after it");
        check(&["no.conf"], "cannot read the configuration no.conf: entity not found");
        check(&["bad.conf"], "bad.conf, line 1: 'hz x': argument couldn't be parsed into an integer");
        check(
            &["--port", "0"],
            "there is nothing to listen on: port is 0 or bind is empty, and there is no unixsocket",
        );
    }

    #[test]
    fn help_and_version_are_printed() {
        let print = |arg: &str| match from_args(&[arg.into()], &mut Files::<str>(&[])) {
            Ok(Invocation::Print(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(print("--version").trim(), format!("lacewing {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(print("-v"), print("--version"));
        let help = print("--help");
        assert_eq!(help, print("-h"));
        for part in
            ["lacewing [FILE]", "Network:", "--maxmemory <bytes>", "--timeout <seconds>", "[default: 6379]"]
        {
            assert!(help.contains(part), "{part} in\n{help}");
        }
        assert!(!help.contains("--io-threads"));
        assert!(help.lines().all(|line| line.len() <= 120), "{help}");
    }

    #[test]
    fn clap_accepts_its_description() {
        command().debug_assert();
    }
}
