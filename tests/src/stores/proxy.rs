//! A proxy in front of the store that does what networks and stores do to requests.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is answered with this status and code.
    Answer(u16, &'static str),
    /// It is never answered.
    Silence,
    /// The connection is closed before the request was read to its end.
    Hangup,
    /// The store does it, and the connection is closed before it has said so.
    AnswerLost,
    /// So many bytes of the answer come, and then the connection is closed.
    AnswerCut(usize),
    /// The store does it without the header of this name.
    Without(&'static str),
}

/// What happens to which requests.
#[derive(Clone, Debug)]
struct Rule {
    method: &'static str,
    /// Part of the path.
    path: String,
    /// So often.
    times: usize,
    fate: Fate,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    /// Method and path of every request.
    seen: Vec<String>,
    /// Connections whose requests are not answered.
    silent: Vec<TcpStream>,
}

/// A proxy, until the process ends.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of `store`.
    pub fn start(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let address = listener.local_addr().expect("it is bound");
        let state: Arc<Mutex<State>> = Arc::default();
        let shared =
            Shared { store: store.to_owned(), state: Arc::clone(&state), conditional: Arc::default() };
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Every request from now on.
    pub fn always(&self, fate: Fate) {
        self.next("", "", usize::MAX, fate);
    }

    /// The next `times` requests of this method, or any if it is "", whose path has `path` in it.
    pub fn next(&self, method: &'static str, path: &str, times: usize, fate: Fate) {
        self.state().rules.push(Rule { method, path: path.to_owned(), times, fate });
    }

    /// Nothing happens to requests any more.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// Closes the connections whose requests were met with [`Fate::Silence`].
    pub fn let_go(&self) {
        for stream in self.state().silent.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many requests of this method there were whose path has `path` in it.
    pub fn seen(&self, method: &str, path: &str) -> usize {
        let is_it = |seen: &&String| seen.starts_with(method) && seen.contains(path);
        self.state().seen.iter().filter(is_it).count()
    }

    /// How often the planted faults may still happen.
    pub fn left(&self) -> usize {
        self.state().rules.iter().map(|rule| rule.times).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

#[derive(Clone)]
struct Shared {
    store: String,
    state: Arc<Mutex<State>>,
    /// Moto looks and writes in two steps; a store does both in one.
    conditional: Arc<Mutex<()>>,
}

impl Shared {
    /// One request; the connection closes behind its answer.
    fn serve(&self, mut client: TcpStream) {
        let Ok((head, body_so_far)) = read_head(&mut client) else { return };
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let fate = self.fate(method, path, &client);
        match fate {
            Some(Fate::Hangup) => return,
            Some(Fate::Silence) => return Self::stay_silent(client),
            _ => {}
        }
        let Ok(body) = read_body(&mut client, &text, body_so_far) else { return };
        if let Some(Fate::Answer(status, code)) = fate {
            let body = format!("<Error><Code>{code}</Code><Message>planted</Message></Error>");
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Planted\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes());
            return;
        }
        let without = if let Some(Fate::Without(header)) = fate { header } else { "connection" };
        let Ok(mut answer) = self.forward(&text, without, &body) else { return };
        match fate {
            Some(Fate::AnswerLost) => return,
            Some(Fate::AnswerCut(bytes)) => answer.truncate(bytes),
            _ => {}
        }
        let _ = client.write_all(&answer);
    }

    /// Until the other side gives up, or [`Proxy::let_go`].
    fn stay_silent(mut client: TcpStream) {
        let _ = client.set_read_timeout(Some(SILENCE_MAX));
        let _ = io::copy(&mut client, &mut io::sink());
        // There is another handle of it.
        let _ = client.shutdown(Shutdown::Both);
    }

    fn fate(&self, method: &str, path: &str, client: &TcpStream) -> Option<Fate> {
        let mut state = self.state.lock().expect("nobody panics with it");
        state.seen.push(format!("{method} {path}"));
        let is_it = |rule: &&mut Rule| {
            rule.times > 0 && (rule.method.is_empty() || rule.method == method) && path.contains(&rule.path)
        };
        let rule = state.rules.iter_mut().find(is_it)?;
        rule.times -= 1;
        let fate = rule.fate.clone();
        if let (Fate::Silence, Ok(client)) = (&fate, client.try_clone()) {
            state.silent.push(client);
        }
        Some(fate)
    }

    fn forward(&self, head: &str, without: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let is_kept = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            name != "connection" && name != without
        };
        let mut lines: Vec<&str> = head.trim_end().split("\r\n").filter(is_kept).collect();
        lines.push("Connection: close\r\n\r\n");
        let is_conditional = lines.iter().any(|line| line.to_ascii_lowercase().starts_with("if-none-match"));
        let _one_by_one = is_conditional.then(|| self.conditional.lock());
        let mut store = TcpStream::connect(&self.store)?;
        store.write_all(&[lines.join("\r\n").as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The head of a request, and what came of its body behind it.
fn read_head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = client.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((bytes, body));
        }
    }
}

fn read_body(client: &mut TcpStream, head: &str, mut body: Vec<u8>) -> io::Result<Vec<u8>> {
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
    });
    let have = body.len();
    body.resize(length.unwrap_or(0).max(have), 0);
    client.read_exact(&mut body[have..])?;
    Ok(body)
}

const SILENCE_MAX: Duration = Duration::from_secs(60);
