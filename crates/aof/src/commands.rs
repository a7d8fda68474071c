//! Effects as the log has them: RESP arrays of bulk strings.

use resp::{Limits, Parsed, Parser, Proto, Reply};
use stdx::{Args, DbIndex, Span};

/// Appends commands to a buffer, as clients send them and replicas read them. Bytes that already are such commands may as
/// well be appended as they are.
#[derive(Debug)]
pub struct Commands<'a> {
    out: Reply<'a>,
}

impl<'a> Commands<'a> {
    /// Appends to `buf`.
    #[inline]
    pub fn new(buf: &'a mut Vec<u8>) -> Self {
        Self { out: Reply::new(buf, Proto::Resp2) }
    }

    /// One command of these arguments.
    #[inline]
    pub fn command<'b>(&mut self, args: impl ExactSizeIterator<Item = &'b [u8]>) {
        self.begin(args.len());
        args.for_each(|arg| self.arg(arg));
    }

    /// Opens a command of `args` arguments, its name included, which the caller appends next.
    #[inline]
    pub fn begin(&mut self, args: usize) {
        self.out.array(args);
    }

    /// One argument.
    #[inline]
    pub fn arg(&mut self, bytes: &[u8]) {
        self.out.bulk(bytes);
    }

    /// One argument, a number in decimal digits.
    #[inline]
    pub fn int(&mut self, value: i64) {
        self.out.bulk_int(value);
    }

    /// `SELECT db`.
    pub fn select(&mut self, db: DbIndex) {
        self.begin(2);
        self.arg(b"SELECT");
        self.int(i64::from(db.0));
    }

    /// `MULTI`.
    pub fn multi(&mut self) {
        self.out.raw(b"*1\r\n$5\r\nMULTI\r\n");
    }

    /// `EXEC`.
    pub fn exec(&mut self) {
        self.out.raw(b"*1\r\n$4\r\nEXEC\r\n");
    }

    /// Bytes that are whole commands already.
    #[inline]
    pub fn raw(&mut self, commands: &[u8]) {
        self.out.raw(commands);
    }
}

/// Reads commands where they lie, one after the other. Has buffers, for those that are read next.
#[derive(Debug)]
pub struct CommandReader {
    parser: Parser,
    spans: Vec<Span>,
}

impl Default for CommandReader {
    fn default() -> Self {
        Self { parser: Parser::new(Limits::WRITTEN), spans: Vec::new() }
    }
}

impl CommandReader {
    /// The command that `bytes` begin with, and how many of them it is; `None` if there is none, or not all of it.
    #[inline]
    pub fn first<'a>(&'a mut self, bytes: &'a [u8]) -> Option<(Args<'a>, usize)> {
        match self.parser.parse(bytes, &mut self.spans) {
            Ok(Parsed::Command { len }) => Some((Args::new(bytes, &self.spans), len)),
            _ => None,
        }
    }
}

/// How many whole commands there are, and nothing else. Errors: at so many bytes none begins, or one is not whole.
pub fn count_commands(bytes: &[u8]) -> Result<u64, usize> {
    let (mut reader, mut at, mut count) = (CommandReader::default(), 0, 0);
    while at < bytes.len() {
        let (_, len) = reader.first(&bytes[at..]).ok_or(at)?;
        at += len;
        count += 1;
    }
    Ok(count)
}

/// Commands as people read them, up to what is none: words parted by spaces, commands by ` | `.
pub fn text(commands: &[u8]) -> String {
    let (mut reader, mut lines, mut at) = (CommandReader::default(), Vec::new(), 0);
    while let Some((args, len)) = reader.first(&commands[at..]) {
        lines.push(args.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>().join(" "));
        at += len;
    }
    lines.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_commands_are_counted_and_anything_else_is_found() {
        let command = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
        let check = |text: String, expected| assert_eq!(count_commands(text.as_bytes()), expected, "{text}");
        check(String::new(), Ok(0));
        check(command.repeat(3), Ok(3));
        check(format!("{command}{}", &command[..19]), Err(command.len()));
        check(format!("{command}PING\r\n"), Err(command.len()));
        check(format!("{command}\r\n"), Err(command.len()));
        check("*-1\r\n".to_owned(), Err(0));
    }

    #[test]
    fn text_is_for_people() {
        let mut out = Vec::new();
        Commands::new(&mut out).select(DbIndex(1));
        Commands::new(&mut out).command([&b"SET"[..], b"k", b"\xff"].into_iter());
        assert_eq!(text(&out), "SELECT 1 | SET k \u{fffd}");
        assert_eq!(text(&out[..out.len() - 1]), "SELECT 1");
        assert_eq!(text(b""), "");
    }

    #[track_caller]
    fn check(write: impl Fn(&mut Commands<'_>), expected: &str) {
        let mut out = b"before".to_vec();
        write(&mut Commands::new(&mut out));
        assert_eq!(String::from_utf8_lossy(&out), format!("before{expected}"));
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        check(
            |to| to.command([&b"SET"[..], b"k", b""].into_iter()),
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
        );
        check(|to| to.select(DbIndex(12)), "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n");
        check(
            |to| {
                to.begin(2);
                to.arg(b"x");
                to.int(i64::MIN);
            },
            "*2\r\n$1\r\nx\r\n$20\r\n-9223372036854775808\r\n",
        );
        check(
            |to| {
                to.multi();
                to.exec();
            },
            "*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nEXEC\r\n",
        );
        check(|to| to.raw(b"*0\r\n"), "*0\r\n");
    }
}
