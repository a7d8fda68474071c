//! Commands with secrets in them, as SLOWLOG and MONITOR may show them.

use crate::table::CommandRef;
use stdx::Args;
use stdx::args::OwnedArgs;

/// `args` with `(redacted)` for each secret, or `None` when there is none.
pub fn redacted(command: CommandRef, args: Args<'_>) -> Option<OwnedArgs> {
    let secret: fn(Args<'_>, usize) -> bool = match command.full_name {
        "auth" => |_, at| at >= 1,
        "hello" => |args, at| {
            is_word(args, at.wrapping_sub(1), b"AUTH") || is_word(args, at.wrapping_sub(2), b"AUTH")
        },
        "config|set" => |args, at| at >= 3 && at % 2 == 1 && config::is_sensitive(args.at(at - 1)),
        _ => return None,
    };
    let mut copy = OwnedArgs::default();
    let mut found = false;
    for (at, arg) in args.iter().enumerate() {
        let hide = secret(args, at);
        found |= hide;
        copy.push(if hide { b"(redacted)" } else { arg });
    }
    found.then_some(copy)
}

fn is_word(args: Args<'_>, at: usize, word: &[u8]) -> bool {
    at >= 2 && args.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<&str>) {
        let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
        let command = crate::table::lookup(args.as_args()).expect("a command");
        let got = redacted(command, args.as_args()).map(|copy| {
            copy.as_args()
                .iter()
                .map(|arg| String::from_utf8_lossy(arg).into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        });
        assert_eq!(got.as_deref(), expected);
    }

    #[test]
    fn passwords_are_hidden_and_nothing_else() {
        check("PING hello", None);
        check("HELLO 3 SETNAME me", None);
        check("CONFIG SET maxmemory 1", None);
        check("AUTH pass", Some("AUTH (redacted)"));
        check("AUTH user pass", Some("AUTH (redacted) (redacted)"));
        check("HELLO 3 AUTH user pass SETNAME me", Some("HELLO 3 AUTH (redacted) (redacted) SETNAME me"));
        check("CONFIG SET hz 10 requirepass pass", Some("CONFIG SET hz 10 requirepass (redacted)"));
    }
}
