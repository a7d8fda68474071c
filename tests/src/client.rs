//! A blocking client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use resp::decode::Bounds;
use resp::{Decoder, Value, encode_command};
use stdx::words;

use crate::show::show;
use crate::wait::WAIT_MAX;

/// One connection. Methods panic when the connection fails or answers nothing within [`WAIT_MAX`].
pub struct Client {
    stream: Stream,
    decoder: Decoder,
    pushes: Vec<Value>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    /// Connects over TCP.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"))
    }

    /// Connects over TCP, to a server that may not be there.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, WAIT_MAX)?;
        stream.set_nodelay(true)?;
        Self::on(Stream::Tcp(stream))
    }

    /// Connects over a unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Self {
        let connected = UnixStream::connect(path).and_then(|stream| Self::on(Stream::Unix(stream)));
        connected.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display()))
    }

    fn on(stream: Stream) -> io::Result<Self> {
        let bounds = Bounds { depth_max: DEPTH_MAX, ..Bounds::default() };
        let client = Self { stream, decoder: Decoder::new(bounds), pushes: Vec::new() };
        client.timeout(Some(WAIT_MAX))?;
        Ok(client)
    }

    /// Switches to RESP3.
    #[track_caller]
    pub fn resp3(mut self) -> Self {
        let reply = self.call(&["HELLO", "3"]);
        assert!(matches!(reply, Value::Map(_)), "HELLO 3 was answered {}", show(&reply));
        self
    }

    /// Sends a command and waits for its reply. Push messages that come before it are kept for [`Client::pushes`].
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.send(args);
        self.read()
    }

    /// Sends a command written on one line, with quotes as in redis-cli, and shows its reply as [`show`] does.
    #[track_caller]
    pub fn line(&mut self, command: &str) -> String {
        self.send_line(command);
        show(&self.read())
    }

    /// Sends such a command and does not wait.
    #[track_caller]
    pub fn send_line(&mut self, command: &str) {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        words::split(command.as_bytes(), &mut bytes, &mut spans).expect("quotes in the command balance");
        let args: Vec<&[u8]> = stdx::Args::new(&bytes, &spans).iter().collect();
        self.send(&args);
    }

    /// Sends a command and does not wait.
    #[track_caller]
    pub fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        encode_command(args, &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).unwrap_or_else(|error| panic!("cannot send: {error}"));
    }

    /// As [`Client::send_bytes`], to a server that may have closed the connection.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends all commands at once and waits for all replies.
    #[track_caller]
    pub fn pipeline<C: AsRef<[A]>, A: AsRef<[u8]>>(&mut self, commands: &[C]) -> Vec<Value> {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode_command(command.as_ref(), &mut bytes));
        self.send_bytes(&bytes);
        commands.iter().map(|_| self.read()).collect()
    }

    /// Writes so many MiB to a thousand keys of all shards. The values are small: what an allocator keeps to use again of large ones
    /// that were replaced is tens of MiB for a moment, whatever else a test may measure.
    #[track_caller]
    pub fn fill(&mut self, mib: usize) {
        let value = "x".repeat(1 << 10);
        let commands: Vec<[String; 3]> =
            (0..1024).map(|number| ["SET".to_owned(), format!("k{number}"), value.clone()]).collect();
        for _ in 0..mib {
            self.pipeline(&commands).iter().for_each(|reply| assert_eq!(crate::show(reply), "+OK"));
        }
    }

    /// The next reply; push messages are set aside.
    #[track_caller]
    pub fn read(&mut self) -> Value {
        loop {
            match self.read_any() {
                Ok(Some(push @ Value::Push(_))) => self.pushes.push(push),
                Ok(Some(reply)) => return reply,
                Ok(None) => panic!("the server closed the connection instead of answering"),
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// The next push message, or reply that is taken for one: those set aside first.
    #[track_caller]
    pub fn read_push(&mut self) -> Value {
        if !self.pushes.is_empty() {
            return self.pushes.remove(0);
        }
        match self.read_any() {
            Ok(Some(value)) => value,
            Ok(None) => panic!("the server closed the connection instead of sending a message"),
            Err(error) => panic!("no message: {error}"),
        }
    }

    /// The push messages set aside so far.
    pub fn pushes(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.pushes)
    }

    /// The next value of any kind; `None` when the server has closed the connection, between two replies or because
    /// of bytes that it did not read.
    pub fn read_any(&mut self) -> io::Result<Option<Value>> {
        loop {
            if let Some(value) = self.decoder.next().map_err(io::Error::other)? {
                return Ok(Some(value));
            }
            let mut piece = vec![0; PIECE];
            let len = match self.stream.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                // A process that was stopped, say, and goes on.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            match len {
                0 if self.decoder.is_empty() => return Ok(None),
                0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed inside a reply")),
                len => self.decoder.feed(&piece[..len]),
            }
        }
    }

    /// Waits until the server closes the connection; panics if it sends a value instead.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        match self.read_any() {
            Ok(None) => {}
            Ok(Some(value)) => panic!("the server sent {} instead of closing", show(&value)),
            Err(error) => panic!("the connection is not closed: {error}"),
        }
    }

    /// Tells the server that nothing more will be sent; its replies can still be read.
    #[track_caller]
    pub fn shutdown_write(&mut self) {
        let done = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(std::net::Shutdown::Write),
        };
        done.unwrap_or_else(|error| panic!("cannot close one half: {error}"));
    }

    /// How long reads and writes wait; `None` for ever.
    pub fn timeout(&self, length: Option<Duration>) -> io::Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(length).and(stream.set_write_timeout(length)),
            Stream::Unix(stream) => stream.set_read_timeout(length).and(stream.set_write_timeout(length)),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buf),
            Self::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buf),
            Self::Unix(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Replies may be nested as deeply as a script's table that contains itself.
const DEPTH_MAX: usize = 10_000;
