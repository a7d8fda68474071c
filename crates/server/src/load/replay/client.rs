//! Commands of a log whose keys may be anywhere: they go the way of clients' commands, through a connection of this core with
//! itself, which is let in while everybody else is told to wait.

use super::Misrun;
use super::direct::refused;
use crate::connection::own;
use crate::node::Node;
use crate::wait;
use commands::ClientFlags;
use commands::following::is_recorded;
use reactor::net::Socket;
use resp::{Decoder, Limits, Parsed, Parser, Value, encode_command};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use stdx::{Args, DbIndex, Span};

/// The far end of a connection with this core.
pub(in crate::load) struct Client {
    socket: Socket,
    decoder: Decoder,
    parser: Parser,
    spans: Vec<Span>,
    /// What is selected there.
    db: DbIndex,
    /// What is to be sent, and how much of it was.
    out: Vec<u8>,
    sent: usize,
    /// Replies that are still to come to what is in `out`, and how many have come.
    awaited: usize,
    answered: usize,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects this core with itself. Errors: no descriptors to be had.
    pub(in crate::load) fn connect(node: &Rc<Node>) -> io::Result<Self> {
        let (socket, _) = own::connect(node, "replay", ClientFlags::REPLAYS)?;
        Ok(Self {
            socket,
            decoder: Decoder::default(),
            parser: Parser::new(Limits::WRITTEN),
            spans: Vec::new(),
            db: DbIndex(0),
            out: Vec::new(),
            sent: 0,
            awaited: 0,
            answered: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    /// The database that is selected.
    pub(in crate::load) fn db(&self) -> DbIndex {
        self.db
    }

    /// Runs commands, the first of which is for `db`, and waits until all have run.
    pub(in crate::load) async fn run(
        &mut self,
        node: &Node,
        db: DbIndex,
        commands: &[u8],
    ) -> Result<(), Misrun> {
        self.select(node, db)?;
        let mut at = 0;
        while at < commands.len() {
            at += self.take(node, &commands[at..])?;
            if self.out.len() >= CHUNK_BYTES {
                self.exchange(node).await?;
            }
        }
        self.exchange(node).await
    }

    fn select(&mut self, node: &Node, db: DbIndex) -> Result<(), Misrun> {
        if db.0 >= node.state.borrow().core.keyspace.databases() {
            return Err(Misrun::Database(db.0));
        }
        if self.db != db {
            self.db = db;
            encode_command(&["SELECT", &db.0.to_string()], &mut self.out);
            self.awaited += 1;
        }
        Ok(())
    }

    /// Adds the first of these commands to what is to be sent; says how long it is. The brackets around what belongs together are
    /// left out: nobody sees half of it.
    fn take(&mut self, node: &Node, bytes: &[u8]) -> Result<usize, Misrun> {
        let Ok(Parsed::Command { len }) = self.parser.parse(bytes, &mut self.spans) else {
            return Err(Misrun::Refused { command: "?".to_owned(), why: "it is no command".to_owned() });
        };
        let args = Args::new(bytes, &self.spans);
        let command = commands::lookup(args).map_err(|misfit| refused(args, &misfit.error().text()))?;
        match command.full_name {
            "multi" | "exec" => {}
            "select" => {
                let db = stdx::number::parse_i64(args.at(1)).and_then(|db| u16::try_from(db).ok());
                let db = db.ok_or_else(|| refused(args, b"it is no number of a database"))?;
                self.select(node, DbIndex(db))?;
            }
            _ if !is_recorded(command) => return Err(refused(args, b"it changes no data, so no log has it")),
            _ if wait::may_park(command, args) => return Err(refused(args, b"it waits, so no log has it")),
            _ => {
                self.out.extend_from_slice(&bytes[..len]);
                self.awaited += 1;
            }
        }
        Ok(len)
    }

    /// Sends what is to be sent, and waits for all replies.
    async fn exchange(&mut self, node: &Node) -> Result<(), Misrun> {
        let commands = self.awaited as u64;
        let done = poll_fn(|cx| self.poll(cx)).await;
        match done {
            Ok(()) => {}
            // Its other end goes when the server ends.
            Err(_) if node.stopping.get() => return Err(Misrun::Stopped),
            Err(Answer::Lost(error)) => return Err(Misrun::System(error)),
            Err(Answer::Refused(why)) => return Err(self.find(&why)),
        }
        self.out.clear();
        self.out.shrink_to(2 * CHUNK_BYTES);
        (self.sent, self.answered) = (0, 0);
        crate::load::ran(node, commands).await;
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Answer>> {
        loop {
            let mut moved = false;
            if self.sent < self.out.len() {
                match self.socket.poll_write(cx, &self.out[self.sent..]) {
                    Poll::Ready(Ok(sent)) => {
                        self.sent += sent;
                        moved = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Answer::Lost(error))),
                    Poll::Pending => {}
                }
            }
            if self.awaited == 0 {
                return Poll::Ready(Ok(()));
            }
            match self.socket.poll_read(cx, &mut self.buffer) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(Answer::Lost(io::ErrorKind::UnexpectedEof.into())));
                }
                Poll::Ready(Ok(got)) => {
                    self.decoder.feed(&self.buffer[..got]);
                    moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Answer::Lost(error))),
                Poll::Pending => {}
            }
            if let Err(answer) = self.read() {
                return Poll::Ready(Err(answer));
            }
            if self.awaited == 0 && self.sent == self.out.len() {
                return Poll::Ready(Ok(()));
            }
            if !moved {
                return Poll::Pending;
            }
        }
    }

    fn read(&mut self) -> Result<(), Answer> {
        while let Some(reply) = self.decoder.next().map_err(|error| Answer::Lost(io::Error::other(error)))? {
            if let Value::Error(why) = reply {
                return Err(Answer::Refused(why));
            }
            self.awaited -= 1;
            self.answered += 1;
        }
        Ok(())
    }

    /// The command behind those that were answered was refused.
    fn find(&mut self, why: &[u8]) -> Misrun {
        let (mut at, mut left) = (0, self.answered);
        loop {
            let bytes = &self.out[at..];
            let Ok(Parsed::Command { len }) = self.parser.parse(bytes, &mut self.spans) else {
                unreachable!("what was sent was parsed before")
            };
            if left == 0 {
                return refused(Args::new(bytes, &self.spans), why);
            }
            (at, left) = (at + len, left - 1);
        }
    }
}

/// Why there are no more answers.
enum Answer {
    Lost(io::Error),
    Refused(Vec<u8>),
}

/// So many bytes of commands are sent together.
const CHUNK_BYTES: usize = 64 * 1024;
const BUFFER_BYTES: usize = 16 * 1024;
