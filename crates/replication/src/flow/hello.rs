//! What two Lacewings say to each other before there are flows, as commands and lines.
//!
//! ```text
//!  replica, on its link                              master
//!  REPLCONF capa eof capa psync2 capa lacewing-flows ──►  +OK lacewing-flows | +OK: PSYNC it is
//!  LACEWING.SYNC <node> <generation> <birth> <lsn,lsn,..> <offset>
//!    or LACEWING.SYNC ? 0 0 ? 0                      ──►  +RESUME .. | +FULL .., when the snapshot is there; empty lines meanwhile
//!                                                         -NOFLOWS ..: PSYNC it is, on this connection
//!                                                         -OLDER ..: the replica has more of this history
//!                                                         -LOADING .. and kin: later
//!  REPLCONF ACK <offset>, each second                ──►  PING, now and then; when the link ends, all flows end
//!
//!  replica, on a connection for each flow            master
//!  AUTH ..
//!  LACEWING.FLOW <session> <flow>                    ──►  +OK, and from the next byte on frames in both directions | -ERR ..
//! ```
//!
//! Offsets are for people and for Sentinel, which takes the replica with the highest: the master says which one the place has where its flows
//! go on, and the replica counts the bytes of log that it applies from there, over all flows.

use aof::{Generation, Lsn, NodeId};
use resp::encode_command;

use crate::flow::resume::Stands;
use crate::ids::offset_of;
use crate::psync::readable;

/// What begins a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Where the replica stands; `None`: it wants everything.
    pub stands: Option<Stands>,
    /// The offset of that place as the replica counts, 0 if it does not know.
    pub offset: u64,
}

/// What begins a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// Of which session.
    pub session: SessionId,
    /// Which flow of it.
    pub flow: u16,
}

/// Drawn by the master for each session; the checksums of its frames begin with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

/// What the master answers to [`Sync`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All flows go on where the replica stands.
    Resume(Session),
    /// All data comes, a file for each flow.
    Full {
        /// The session.
        session: Session,
        /// The data.
        payload: Announced,
        /// Why nothing is resumed, for people.
        reason: String,
    },
    /// The master has less of this history than the replica, in its words.
    Older(String),
    /// It has no log, or does not want to: PSYNC works.
    NoFlows(String),
    /// Not now, for a reason that passes.
    Later(String),
    /// Another error, in the master's words.
    Refused(String),
    /// Nothing that a master answers.
    Garbage(String),
}

/// What both sides know of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// How many flows it has: the shards of the generation whose log comes first.
    pub flows: u16,
    /// Bytes of payload or log that each flow may have on its way.
    pub window: u32,
    /// Whose log it is.
    pub node: NodeId,
    /// The offset of the place where it begins.
    pub offset: u64,
}

/// A payload that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// In which generation the log goes on.
    pub generation: Generation,
    /// What tells it from another with its number.
    pub birth: u64,
    /// The number of the set at the master.
    pub set: u64,
    /// Bytes of all its files.
    pub bytes: u64,
}

impl Sync {
    /// As a command.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Some(Stands { node, generation, birth, lsns }) = &self.stands else {
            return encode_command(&[SYNC, "?", "0", "0", "?", "0"], out);
        };
        let lsns: Vec<String> = lsns.iter().map(|lsn| lsn.0.to_string()).collect();
        let (node, generation, birth) = (node.to_string(), generation.to_string(), birth.to_string());
        encode_command(&[SYNC, &node, &generation, &birth, &lsns.join(","), &self.offset.to_string()], out);
    }

    /// Reads the command's words behind the first. `None` if they are none.
    pub fn parse(words: &[&[u8]]) -> Option<Self> {
        let &[node, generation, birth, lsns, offset] = words else { return None };
        let offset = offset_of(number(offset)?)?;
        if node == b"?" {
            return Some(Self { stands: None, offset });
        }
        let (node, generation) = (NodeId(hex(node)?), Generation(number(generation)?));
        let birth = number(birth)?;
        let lsns: Option<Vec<Lsn>> =
            lsns.split(|byte| *byte == b',').map(|lsn| number(lsn).map(Lsn)).collect();
        let lsns = lsns.filter(|lsns| lsns.len() <= usize::from(u16::MAX))?;
        Some(Self { stands: Some(Stands { node, generation, birth, lsns }), offset })
    }
}

impl Join {
    /// As a command.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_command(&[FLOW, &self.session.to_string(), &self.flow.to_string()], out);
    }

    /// Reads the command's words behind the first. `None` if they are none.
    pub fn parse(words: &[&[u8]]) -> Option<Self> {
        let &[session, flow] = words else { return None };
        Some(Self { session: SessionId(hex(session)?), flow: number(flow)?.try_into().ok()? })
    }
}

impl Answer {
    /// The line, with its end. Whatever is an error of the command's own is not said here.
    pub fn line(&self) -> String {
        match self {
            Self::Resume(session) => format!("+RESUME {session}\r\n"),
            Self::Full { session, payload: Announced { generation, birth, set, bytes }, reason } => {
                format!("+FULL {session} {generation} {birth} {set} {bytes} {}\r\n", plain(reason))
            }
            Self::Older(text) => format!("-OLDER {}\r\n", plain(text)),
            Self::NoFlows(text) => format!("-NOFLOWS {}\r\n", plain(text)),
            Self::Later(text) | Self::Refused(text) | Self::Garbage(text) => format!("-{}\r\n", plain(text)),
        }
    }

    /// Reads a line that is not empty, without its end.
    pub fn parse(line: &[u8]) -> Self {
        let text = || readable(line);
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        match (words[0], &words[1..]) {
            (b"+RESUME", words) => Session::parse(words).map_or_else(|| Self::Garbage(text()), Self::Resume),
            (b"+FULL", words) => Self::parse_full(words).unwrap_or_else(|| Self::Garbage(text())),
            (b"-OLDER", _) => Self::Older(text()),
            (b"-NOFLOWS", _) => Self::NoFlows(text()),
            (b"-NOMASTERLINK" | b"-LOADING" | b"-BUSY" | b"-MASTERDOWN", _) => Self::Later(text()),
            (first, _) if first.first() == Some(&b'-') => Self::Refused(text()),
            _ => Self::Garbage(text()),
        }
    }

    fn parse_full(words: &[&[u8]]) -> Option<Self> {
        let (session, rest) = words.split_at_checked(SESSION_WORDS)?;
        let &[generation, birth, set, bytes, ref reason @ ..] = rest else { return None };
        let payload = Announced {
            generation: Generation(number(generation)?),
            birth: number(birth)?,
            set: number(set)?,
            bytes: number(bytes)?,
        };
        let reason = readable(&reason.join(&b' '));
        Some(Self::Full { session: Session::parse(session)?, payload, reason })
    }
}

impl Session {
    fn parse(words: &[&[u8]]) -> Option<Self> {
        let &[id, flows, window, node, offset] = words else { return None };
        let flows = u16::try_from(number(flows)?).ok().filter(|flows| *flows > 0)?;
        let window = u32::try_from(number(window)?).ok().filter(|window| *window > 0)?;
        Some(Self {
            id: SessionId(hex(id)?),
            flows,
            window,
            node: NodeId(hex(node)?),
            offset: offset_of(number(offset)?)?,
        })
    }
}

impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, flows, window, node, offset } = self;
        write!(f, "{id} {flows} {window} {node} {offset}")
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Decimal digits, and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// Two hexadecimal digits for each byte.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// One line of text.
fn plain(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// The internal commands.
pub const SYNC: &str = "LACEWING.SYNC";
/// See [`SYNC`].
pub const FLOW: &str = "LACEWING.FLOW";
/// What a replica says that it can do (`REPLCONF capa`), and how a master that can do it as well answers that.
pub const CAPABILITY: &str = "lacewing-flows";
/// See [`CAPABILITY`].
pub const CAPABLE: &str = "OK lacewing-flows";
/// Words of a session in an answer.
const SESSION_WORDS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use resp::{Limits, Parsed, Parser};
    use stdx::{Args, Rng};

    const ID: SessionId = SessionId([0xab; 16]);

    fn session() -> Session {
        Session { id: ID, flows: 3, window: 4 << 20, node: NodeId([0x1f; 20]), offset: 77 }
    }

    /// The words of a command behind the first.
    fn words(command: &[u8]) -> Vec<Vec<u8>> {
        let (mut parser, mut spans) = (Parser::new(Limits::default()), Vec::new());
        let Ok(Parsed::Command { len }) = parser.parse(command, &mut spans) else { panic!("one command") };
        assert_eq!(len, command.len());
        Args::new(command, &spans).from(1).iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn commands_are_read_as_they_are_written() {
        let stands = |lsns: &[u64]| Stands {
            node: NodeId([7; 20]),
            generation: Generation(9),
            birth: u64::MAX,
            lsns: lsns.iter().map(|lsn| Lsn(*lsn)).collect(),
        };
        for stands in [None, Some(stands(&[0])), Some(stands(&[1, u64::MAX, 3]))] {
            let asked = Sync { offset: stands.as_ref().map_or(0, |_| 5), stands };
            let mut out = Vec::new();
            asked.encode(&mut out);
            let words = words(&out);
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            assert_eq!(Sync::parse(&words), Some(asked));
        }
        let join = Join { session: ID, flow: 2 };
        let mut out = Vec::new();
        join.encode(&mut out);
        let words = words(&out);
        assert_eq!(Join::parse(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()), Some(join));
    }

    #[test]
    fn commands_that_make_no_sense_are_refused() {
        let node = "07".repeat(20);
        for text in
            ["", "?", "? 0 0 ?", "x 1 1 1 1", "? 0 0 ? x", "? 0 0 ? 0 0", &format!("{node} 1 1 1,,2 0")]
        {
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            assert_eq!(Sync::parse(&words), None, "{text}");
        }
        for text in [format!("{ID} 65536"), format!("{ID}"), "abc 1".to_owned(), format!("{ID} -1")] {
            let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
            assert_eq!(Join::parse(&words), None, "{text}");
        }
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        let check = |answer: Answer, read: Answer| {
            let line = answer.line();
            assert_eq!(Answer::parse(line.trim_end().as_bytes()), read, "{line}");
        };
        let same = |answer: Answer| check(answer.clone(), answer);
        same(Answer::Resume(session()));
        let payload = Announced { generation: Generation(4), birth: 8, set: 12, bytes: 99 };
        same(Answer::Full { session: session(), payload, reason: "the replica has nothing".to_owned() });
        same(Answer::Full { session: session(), payload, reason: String::new() });
        check(Answer::Older("a\r\nb".to_owned()), Answer::Older("-OLDER a  b".to_owned()));
        check(Answer::NoFlows("no log".to_owned()), Answer::NoFlows("-NOFLOWS no log".to_owned()));
        check(Answer::Later("LOADING x".to_owned()), Answer::Later("-LOADING x".to_owned()));
        check(Answer::Refused("ERR x".to_owned()), Answer::Refused("-ERR x".to_owned()));
    }

    #[test]
    fn what_no_master_answers_is_garbage() {
        let line = Answer::Resume(session()).line();
        let line = line.trim_end();
        let zero = line.replace(" 3 ", " 0 ");
        for line in ["+OK", "+RESUME", "+FULL", "$5", &line[..line.len() - 3], &format!("{line} 1"), &zero] {
            assert!(matches!(Answer::parse(line.as_bytes()), Answer::Garbage(_)), "{line}");
        }
        let mut rng = Rng::new(5);
        for _ in 0..2000 {
            let mut bytes = line.as_bytes().to_vec();
            let at = rng.index(bytes.len());
            bytes[at] = rng.below(256) as u8;
            let _ = Answer::parse(&bytes);
        }
    }
}
