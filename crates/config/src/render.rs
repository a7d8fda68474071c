//! The table in prose: the example configuration, the page of parameters, and texts of the command line's help.

use std::fmt::Write;

use crate::{Change, Group, Kind, Param, Shape, table};

/// The text of deploy/lacewing.conf: every parameter with its explanation and default. Those that do nothing, or may
/// only be off, are commented out as `#name value`.
pub fn example_conf() -> String {
    let mut out = String::from(
        "# Lacewing's configuration: every parameter, what it does, and its default.\n\
         #\n\
         # A line is a name and its values, as in redis.conf. Amounts of memory: 1k is 1000 bytes, 1kb 1024, and so on\n\
         # with m and g. 'include FILE' reads another file in its place; 'include DIR/*.conf' all that match. Options on\n\
         # the command line (--name value) win over this file. An unknown name or a wrong value keeps the server from\n\
         # starting.\n\
         #\n\
         # Parameters marked 'at start' change with a restart; the others with CONFIG SET too, and CONFIG REWRITE saves\n\
         # them here. Keep this file unreadable for others once it has a password.\n",
    );
    for group in table::GROUPS {
        write!(out, "\n{}\n# {}\n", "#".repeat(80), group.title).expect("a String takes all");
        for param in group.params {
            push_param(&mut out, param);
        }
    }
    out
}

/// The text of docs/operations/parameters.md.
pub fn parameters_md() -> String {
    let mut out = String::from(
        "# Parameters\n\n\
         Every parameter, in the syntax of redis.conf: `name value` in a file, `--name value` on the command line, CONFIG\n\
         SET at run time. An unknown name or a wrong value keeps the server from starting, with the file, the line and\n\
         the nearest name.\n\n\
         **Changes**: *run time* with CONFIG SET; *protected* with CONFIG SET by those whom `enable-protected-configs`\n\
         lets; *start* only by a restart. CONFIG REWRITE saves what was changed into the file that the server was\n\
         started with; put `include` lines first there, since a later line wins.\n\n\
         Parameters that promise something this version does not have (persistence, replication, cluster, TLS) can only\n\
         be off; anything else is refused, not ignored. Parameters of Redis that promise nothing of importance here are\n\
         accepted and have no effect, which the log says when one is changed.\n",
    );
    for group in table::GROUPS {
        push_group(&mut out, group);
    }
    out.push_str("\nThis page is printed from the table; `BLESS=1 cargo test -p config` writes it anew.\n");
    out
}

/// What may stand after a parameter's name: `bytes`, `yes|no`.
pub(crate) fn value_form(param: &Param) -> String {
    match &param.kind {
        Kind::Plain(shape, _) | Kind::Inert(shape, _) => shape_form(*shape, param.unit),
        Kind::Special(special) => special.form.into(),
        Kind::Fixed(accepted, _) => accepted[0].into(),
    }
}

/// The help for the command line, wrapped to `width` columns: what it does, what it may be, its default.
pub(crate) fn help_text(param: &Param, width: usize) -> String {
    let mut lines = wrap(param.help, width);
    if let Kind::Plain(shape @ (Shape::Choice(_) | Shape::Int(..) | Shape::Memory(1.., _)), _) = param.kind {
        lines.extend(wrap(&format!("[{}]", bounds(shape)), width));
    }
    lines.push(format!("[default: {}]", param.default));
    lines.join("\n")
}

fn shape_form(shape: Shape, unit: &str) -> String {
    match shape {
        Shape::Bool => "yes|no".into(),
        Shape::Int(..) if unit.is_empty() => "number".into(),
        Shape::Int(..) => unit.into(),
        Shape::Octal(_) => "octal".into(),
        Shape::Memory(..) => "bytes".into(),
        Shape::MemoryOrPercent => "bytes|percent%".into(),
        Shape::Choice(names) if names.len() <= 5 => names.join("|"),
        Shape::Choice(_) => "name".into(),
        Shape::OomScores => "3 numbers".into(),
        Shape::Text => "text".into(),
    }
}

fn push_param(out: &mut String, param: &Param) {
    out.push('\n');
    let mut help = param.help.to_string();
    if let Some(why) = param.inert_because() {
        write!(help, " No effect: {why}.").expect("a String takes all");
    }
    for line in wrap(&help, 100) {
        writeln!(out, "# {line}").expect("a String takes all");
    }
    for line in wrap(&facts(param), 100) {
        writeln!(out, "# {line}").expect("a String takes all");
    }
    let off = if matches!(param.kind, Kind::Plain(..) | Kind::Special(_)) { "" } else { "#" };
    writeln!(out, "{off}{} {}", param.name, param.default).expect("a String takes all");
}

/// One line of what the parameter may be, and when it changes.
fn facts(param: &Param) -> String {
    let bounds = match &param.kind {
        Kind::Plain(shape, _) | Kind::Inert(shape, _) => bounds(*shape),
        Kind::Special(special) => special.form.into(),
        Kind::Fixed(..) => return format!("Changes: {}.", change(param)),
    };
    let unit = if param.unit.is_empty() { String::new() } else { format!(" {}", param.unit) };
    let alias = param.alias.map(|alias| format!(" Also called {alias}.")).unwrap_or_default();
    format!("Values: {bounds}{unit}; changes: {}.{alias}", change(param))
}

fn bounds(shape: Shape) -> String {
    match shape {
        Shape::Bool => "yes, no".into(),
        Shape::Int(min, i64::MAX) => format!("{min} or more"),
        Shape::Int(min, max) if max == i64::from(i32::MAX) && min >= -1 => format!("{min} or more"),
        Shape::Int(min, max) => format!("{min} to {max}"),
        Shape::Octal(max) => format!("0 to {max:o}, octal"),
        Shape::Memory(0 | 1, _) => "an amount of memory".into(),
        Shape::Memory(min, _) => {
            format!("an amount of memory, {} or more", crate::memory::format_memory(min))
        }
        Shape::MemoryOrPercent => "an amount of memory, or a percentage of maxmemory".into(),
        Shape::Choice(names) => names.join(", "),
        Shape::OomScores => "three numbers between -2000 and 2000".into(),
        Shape::Text => "text".into(),
    }
}

fn change(param: &Param) -> &'static str {
    match param.change {
        Change::Runtime => "run time",
        Change::Protected => "protected",
        Change::Start | Change::Restart => "at start",
    }
}

fn push_group(out: &mut String, group: &Group) {
    write!(
        out,
        "\n## {}\n\n| Parameter | Default | Values | Changes | Meaning |\n|---|---|---|---|---|\n",
        group.title
    )
    .expect("a String takes all");
    for param in group.params {
        let name = match param.alias {
            Some(alias) => format!("`{}` (`{alias}`)", param.name),
            None => format!("`{}`", param.name),
        };
        let values = match &param.kind {
            Kind::Plain(shape, _) | Kind::Inert(shape, _) if param.unit.is_empty() => bounds(*shape),
            Kind::Plain(shape, _) | Kind::Inert(shape, _) => format!("{} {}", bounds(*shape), param.unit),
            Kind::Special(special) => format!("`{}`", special.form),
            Kind::Fixed(..) => "only the default".into(),
        };
        let change = change(param).trim_start_matches("at ");
        let without = param.inert_because().map(|why| format!(" *No effect: {why}.*")).unwrap_or_default();
        let cells =
            [name, format!("`{}`", param.default), values, change.into(), format!("{}{without}", param.help)];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(out, "| {} |", cells.join(" | ")).expect("a String takes all");
    }
}

/// Breaks a text at blanks into lines of at most `width` columns.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::file::apply_file;
    use crate::file::tests::Files;
    use crate::{Config, exit_codes_md};

    /// The file `path` of the repository is what the table prints; with BLESS=1 in the environment it is written.
    fn check(path: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{} is stale: run BLESS=1 cargo test -p config", path.display());
    }

    #[test]
    fn files_printed_from_the_table_are_up_to_date() {
        check("deploy/lacewing.conf", &example_conf());
        check("docs/operations/parameters.md", &parameters_md());
        check("docs/operations/exit-codes.md", &exit_codes_md());
    }

    fn parse(text: &str) -> Config {
        let mut config = Config::default();
        apply_file(&mut config, "lacewing.conf", &mut Files(&[("lacewing.conf", text)])).unwrap();
        config
    }

    #[test]
    fn the_example_has_every_parameter_at_its_default() {
        let text = example_conf();
        assert_eq!(parse(&text), Config::default());
        let all: Vec<&str> = text.lines().map(uncommented).collect();
        assert_eq!(parse(&all.join("\n")), Config::default());
        for param in table::params() {
            let count = all.iter().filter(|line| line.split(' ').next() == Some(param.name)).count();
            assert_eq!(count, 1, "{}", param.name);
        }
    }

    /// Takes the mark off `#name value`, and leaves prose.
    fn uncommented(line: &str) -> &str {
        match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => rest,
            _ => line,
        }
    }

    #[test]
    fn texts_are_wrapped_at_blanks() {
        assert_eq!(wrap("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(wrap("abcdefg h", 5), ["abcdefg", "h"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
