//! The connection of core 0 with itself through which a master's commands go: one transaction, and then its replies.

use super::unit::Unit;
use crate::connection::own;
use crate::node::Node;
use aof::CommandReader;
use commands::{ClientFlags, following};
use reactor::net::Socket;
use replication::psync::readable;
use resp::{Decoder, Value, encode_command};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use stdx::{ClientId, DbIndex};

/// The far end of it.
pub(crate) struct Channel {
    socket: Socket,
    /// Who the near end is.
    id: ClientId,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// What is selected there.
    db: DbIndex,
}

/// What became of commands.
pub(crate) enum Said {
    /// They ran.
    Done,
    /// None of them did.
    Refused(String),
    /// They ran, and one of them was answered with an error.
    Misran(String),
}

impl Channel {
    /// Connects. `None`: there are no descriptors to be had.
    pub(crate) fn connect(node: &Rc<Node>) -> Option<Self> {
        match own::connect(node, "master", ClientFlags::FOLLOWS) {
            Ok((socket, id)) => Some(Self {
                socket,
                id,
                decoder: Decoder::default(),
                buffer: vec![0; BUFFER_BYTES],
                db: DbIndex(0),
            }),
            Err(error) => {
                tracing::warn!(%error, "what the master sends has to wait");
                None
            }
        }
    }

    /// Who it is among the clients.
    pub(crate) fn id(&self) -> ClientId {
        self.id
    }

    /// Runs a transaction. Errors: the connection was lost; it may run yet.
    pub(crate) async fn run(&mut self, unit: &Unit) -> io::Result<Said> {
        if self.db != unit.db {
            let mut select = Vec::new();
            encode_command(&["SELECT", &unit.db.0.to_string()], &mut select);
            if let Some(why) = self.ask(&select, 1).await?.iter().find_map(error) {
                return Ok(Said::Refused(why));
            }
            self.db = unit.db;
        }
        // MULTI, what is queued, EXEC.
        let mut replies = self.ask(&unit.bytes, unit.commands + 2).await?;
        let exec = replies.pop();
        let why = replies.iter().find_map(error);
        let answers = match exec {
            Some(Value::Array(answers)) if why.is_none() => answers,
            // That a command could not be queued says more than that there was none to run.
            other => return Ok(Said::Refused(why.or(other.as_ref().and_then(error)).unwrap_or_default())),
        };
        self.db = unit.last_db;
        if !answers.iter().any(|answer| error(answer).is_some()) {
            return Ok(Said::Done);
        }
        Ok(misran(unit, &answers).map_or(Said::Done, Said::Misran))
    }

    /// The data is nobody's but ours: its place is nowhere in a stream, nor in these of so many flows.
    pub(crate) async fn forget(&mut self, flows: impl Iterator<Item = u16>, of: u16) -> io::Result<Said> {
        let mut unit = Unit::new(self.db);
        unit.select(self.db);
        let mut words = vec![following::stream_words(None).to_vec()];
        words.extend(flows.map(|flow| following::flow_words(flow, of, None)));
        unit.close(&words);
        self.run(&unit).await
    }

    /// Sends commands, and waits for all replies.
    async fn ask(&mut self, commands: &[u8], count: usize) -> io::Result<Vec<Value>> {
        let (mut sent, mut replies) = (0, Vec::with_capacity(count));
        poll_fn(|cx| self.poll_ask(cx, commands, &mut sent, count, &mut replies)).await?;
        Ok(replies)
    }

    fn poll_ask(
        &mut self,
        cx: &mut Context<'_>,
        commands: &[u8],
        sent: &mut usize,
        count: usize,
        replies: &mut Vec<Value>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut moved = false;
            if *sent < commands.len()
                && let Poll::Ready(written) = self.socket.poll_write(cx, &commands[*sent..])
            {
                *sent += written?;
                moved = true;
            }
            if let Poll::Ready(read) = self.socket.poll_read(cx, &mut self.buffer) {
                let read = read?;
                if read == 0 {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                self.decoder.feed(&self.buffer[..read]);
                moved = true;
            }
            while let Some(reply) = self.decoder.next().map_err(io::Error::other)? {
                replies.push(reply);
            }
            if replies.len() >= count {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }
}

fn error(value: &Value) -> Option<String> {
    match value {
        Value::Error(why) => Some(String::from_utf8_lossy(why).into_owned()),
        _ => None,
    }
}

/// The first command that the master has run and this node could not, with what it was told. A script that ends with an error has done
/// so there as well, and what it did before counts.
fn misran(unit: &Unit, answers: &[Value]) -> Option<String> {
    let mut reader = CommandReader::default();
    let (_, mut at) = reader.first(&unit.bytes).expect("it was run");
    for answer in answers {
        let (args, len) = reader.first(&unit.bytes[at..]).expect("it was run");
        at += len;
        let name = args.at(0);
        let is_script = SCRIPTS.iter().any(|script| name.eq_ignore_ascii_case(script));
        if let Some(why) = error(answer)
            && (!is_script || why.starts_with("NOSCRIPT"))
        {
            return Some(format!("'{}' was answered: {why}", readable(name)));
        }
    }
    None
}

const SCRIPTS: [&[u8]; 3] = [b"EVAL", b"EVALSHA", b"FCALL"];
const BUFFER_BYTES: usize = 16 << 10;
