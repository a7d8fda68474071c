//! Playing rounds of commands on two servers.

use std::net::SocketAddr;
use std::time::Duration;

use lacewing_tests::{Client, show};
use resp::Value;

use super::compare::{Rule, seventeen_digits, sorted};
use super::generate::{Command, Generator};
use super::watcher::Watcher;

/// Some commands from empty databases.
#[derive(Clone)]
pub(super) struct Round {
    pub(super) resp3: bool,
    /// Commands sent at once.
    pub(super) batch: usize,
    pub(super) commands: Vec<Command>,
}

/// What two servers did not agree on.
pub(super) struct Difference {
    /// The place of the command in its round; `None` when the keyspace differed afterwards.
    pub(super) at: Option<usize>,
    pub(super) what: String,
}

/// One of the two servers.
pub(super) struct Peer {
    name: &'static str,
    addr: SocketAddr,
    client: Client,
    /// Subscribed to all that happens to keys.
    listener: Option<Client>,
    watcher: Option<Watcher>,
    instead: Option<fn(&mut Command)>,
}

pub(super) struct Pair {
    peers: [Peer; 2],
    /// Sends no command before the last is answered.
    pub(super) one_by_one: bool,
    /// What both have queued since MULTI.
    queued: Vec<Command>,
}

impl Round {
    pub(super) fn generate(generator: &mut Generator, len: usize) -> Self {
        let resp3 = generator.rng().one_in(2);
        let batch = if generator.rng().one_in(2) { 1 } else { 1 + generator.rng().index(40) };
        Self { resp3, batch, commands: (0..len).map(|_| generator.next()).collect() }
    }
}

impl Peer {
    pub(super) fn new(name: &'static str, addr: SocketAddr) -> Self {
        Self { name, addr, client: Client::connect(addr), listener: None, watcher: None, instead: None }
    }

    /// Every command goes through `instead` before this server gets it: a fault on purpose.
    pub(super) fn with_other_commands(mut self, instead: fn(&mut Command)) -> Self {
        self.instead = Some(instead);
        self
    }

    /// Has what happens to keys told, and listens to it.
    pub(super) fn listening(mut self) -> Self {
        let reply = self.client.line("CONFIG SET notify-keyspace-events KEAmn");
        assert_eq!(reply, "+OK", "{} tells what happens to keys", self.name);
        let mut listener = Client::connect(self.addr);
        listener.send(&["PSUBSCRIBE", "*"]);
        listener.read_push();
        self.listener = Some(listener);
        self
    }

    /// Has every key told that changes.
    pub(super) fn watched(mut self) -> Self {
        self.watcher = Some(Watcher::new(self.addr));
        self
    }

    /// What has happened to keys since the last time: `channel message`, but for what happens at a time of its own.
    fn events(&mut self) -> Result<Vec<String>, String> {
        // The client may be one that has chosen RESP3, or was closed.
        let reply = Client::connect(self.addr).call(&["PUBLISH", SENTINEL, ""]);
        assert_eq!(reply, Value::Int(1), "{} publishes", self.name);
        let mut events = Vec::new();
        loop {
            match self.next_event()? {
                event if event.contains(SENTINEL) => return Ok(events),
                event => events.push(event),
            }
        }
    }

    /// As many events as `count`, and in no order: over several cores that of different keys is not kept.
    fn some_events(&mut self, count: usize) -> Result<Vec<String>, String> {
        let mut events = (0..count).map(|_| self.next_event()).collect::<Result<Vec<_>, _>>()?;
        events.sort();
        Ok(events)
    }

    fn next_event(&mut self) -> Result<String, String> {
        let listener = self.listener.as_mut().expect("it listens");
        loop {
            let Ok(Some(Value::Array(parts))) = listener.read_any() else {
                return Err(format!("{} tells no more", self.name));
            };
            let event = parts[2..].iter().map(show).collect::<Vec<_>>().join(" ");
            let is_expiry = event.contains("@") && event.contains("expired");
            if !is_expiry {
                return Ok(event);
            }
        }
    }

    fn send(&mut self, commands: &[Command]) {
        let mut bytes = Vec::new();
        for command in commands {
            let mut command = command.clone();
            if let Some(instead) = self.instead {
                instead(&mut command);
            }
            resp::encode_command(&command, &mut bytes);
        }
        // A server that has closed the connection is found out when its reply is read.
        let _ = self.client.try_send_bytes(&bytes);
    }

    /// The next reply, or why there is none.
    fn read(&mut self) -> Result<Value, String> {
        match self.client.read_any() {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(format!("{} closed the connection", self.name)),
            Err(error) => Err(format!("{} gave no reply: {error}", self.name)),
        }
    }

    /// One command and its reply.
    fn run(&mut self, command: &Command) -> Result<Value, String> {
        self.send(std::slice::from_ref(command));
        self.read()
    }

    fn reset(&mut self, resp3: bool) {
        let hello = ["HELLO", if resp3 { "3" } else { "2" }];
        self.client = Client::connect(self.addr);
        self.client.timeout(Some(REPLY_MAX)).expect("a connection takes a timeout");
        let reply = self.client.call(&hello);
        assert!(!reply.is_error(), "{} answers HELLO with {}", self.name, show(&reply));
        let reply = self.client.call(&["FLUSHALL"]);
        assert_eq!(reply, Value::Simple(b"OK".to_vec()), "{} answers FLUSHALL", self.name);
    }
}

/// Whether two replies to EXEC are the same, each of them as its own command's are compared.
fn exec_holds(queued: &[Command], one: &Value, other: &Value) -> bool {
    let (Value::Array(one), Value::Array(other)) = (one, other) else { return Rule::Same.holds(one, other) };
    let replies = || queued.iter().zip(one).zip(other);
    one.len() == other.len()
        && queued.len() == one.len()
        && replies().all(|((command, one), other)| Rule::of(command).holds(one, other))
}

impl Pair {
    pub(super) fn new(one: Peer, other: Peer) -> Self {
        Self { peers: [one, other], one_by_one: false, queued: Vec::new() }
    }

    /// Whether both servers know lists, and so perhaps other types than strings.
    pub(super) fn both_have_other_types(&mut self) -> bool {
        self.peers.iter_mut().all(|peer| {
            peer.reset(false);
            peer.client.call(&["LPUSH", "list", "element"]) == Value::Int(1)
        })
    }

    /// Plays a round from empty databases and says what differed first.
    pub(super) fn play(&mut self, round: &Round) -> Option<Difference> {
        self.peers.iter_mut().for_each(|peer| peer.reset(round.resp3));
        self.queued.clear();
        let batch_len = if self.one_by_one { 1 } else { round.batch };
        for (index, batch) in round.commands.chunks(batch_len).enumerate() {
            if let Err((at, what)) = self.exchange(batch) {
                return Some(Difference { at: Some(index * batch_len + at), what });
            }
        }
        // They may be in MULTI still.
        if let Err((_, what)) = self.exchange(&[vec![b"DISCARD".to_vec()]]) {
            return Some(Difference { at: None, what });
        }
        self.compare_keyspaces().err().map(|what| Difference { at: None, what })
    }

    /// Sends commands to both and compares the replies; `Err` with the first command whose replies differ, and how.
    fn exchange(&mut self, batch: &[Command]) -> Result<Vec<Value>, (usize, String)> {
        let [one, other] = &mut self.peers;
        one.send(batch);
        other.send(batch);
        let mut replies = Vec::with_capacity(batch.len());
        for (at, command) in batch.iter().enumerate() {
            let [one, other] = &mut self.peers;
            let (a, b) = (one.read().map_err(|what| (at, what))?, other.read().map_err(|what| (at, what))?);
            let names = [one.name, other.name];
            let rule = Rule::of(command);
            let queued = self.queue(command, &a);
            if !queued.as_ref().map_or_else(|| rule.holds(&a, &b), |queued| exec_holds(queued, &a, &b)) {
                let what = format!("{}: {}\n  {}: {}", names[0], cut(&show(&a)), names[1], cut(&show(&b)));
                return Err((at, what));
            }
            let cursor = command.get(Rule::cursor_at(command));
            let from_the_start = cursor.is_some_and(|cursor| cursor == b"0");
            if rule == Rule::Page && from_the_start && batch.len() == 1 && matches!(a, Value::Array(_)) {
                self.compare_scans(command, a.clone(), b).map_err(|what| (at, what))?;
                return Ok(vec![a]);
            }
            replies.push(a);
        }
        self.compare_events().map_err(|what| (batch.len() - 1, what))?;
        Ok(replies)
    }

    /// Compares what both tell of what has happened to keys, if anybody listens.
    fn compare_events(&mut self) -> Result<(), String> {
        let [one, other] = &mut self.peers;
        if let (Some(one), Some(other)) = (&mut one.watcher, &mut other.watcher) {
            let (a, b) = (one.changed()?, other.changed()?);
            if a != b {
                return Err(format!("redis says that {a:?} have changed,\n  lacewing {b:?}"));
            }
        }
        if one.listener.is_none() {
            return Ok(());
        }
        let mut a = one.events()?;
        let b = if self.one_by_one { other.some_events(a.len())? } else { other.events()? };
        if self.one_by_one {
            a.sort();
        }
        if a == b {
            return Ok(());
        }
        Err(format!("{} tells {}\n  {} tells {}", one.name, a.join(", "), other.name, b.join(", ")))
    }

    /// Follows what is queued: at EXEC, gives it.
    fn queue(&mut self, command: &Command, reply: &Value) -> Option<Vec<Command>> {
        if *reply == Value::Simple(b"QUEUED".to_vec()) {
            self.queued.push(command.clone());
        }
        let is = |name: &[u8]| command[0].eq_ignore_ascii_case(name);
        let ends = is(b"exec") || (is(b"discard") && command.len() == 1);
        let queued = ends.then(|| std::mem::take(&mut self.queued));
        queued.filter(|_| is(b"exec"))
    }

    /// Follows both scans to their ends: each key must have been seen by both or by none.
    fn compare_scans(&mut self, command: &Command, one: Value, other: Value) -> Result<(), String> {
        let mut seen = Vec::new();
        for (peer, page) in self.peers.iter_mut().zip([one, other]) {
            if page.is_error() {
                return Ok(());
            }
            let mut keys = peer.scan(command, page)?;
            if command[0].eq_ignore_ascii_case(b"zscan") {
                keys.iter_mut().for_each(|key| *key = seventeen_digits(key));
            }
            keys.sort_unstable();
            keys.dedup();
            seen.push(keys);
        }
        if seen[0] == seen[1] {
            return Ok(());
        }
        let keys = |keys: &[Vec<u8>]| keys.iter().map(|key| quote(key)).collect::<Vec<_>>().join(" ");
        Err(format!(
            "{}: {}\n  {}: {}",
            self.peers[0].name,
            keys(&seen[0]),
            self.peers[1].name,
            keys(&seen[1])
        ))
    }

    fn compare_keyspaces(&mut self) -> Result<(), String> {
        for db in ["0", "1", "2", "15"] {
            self.ask(&["SELECT".into(), db.into()])?;
            self.ask(&["DBSIZE".into()])?;
            let Value::Array(keys) = self.ask(&["KEYS".into(), "*".into()])? else { continue };
            for key in sorted(&keys).into_iter().flatten() {
                let Value::Simple(kind) = self.ask(&["TYPE".into(), key.into()])? else { continue };
                self.read_whole(&kind, key)?;
                self.ask(&["PTTL".into(), key.into()])?;
                self.ask(&["OBJECT".into(), "ENCODING".into(), key.into()])?;
                self.trade(&kind, key)?;
            }
        }
        Ok(())
    }

    fn read_whole(&mut self, kind: &[u8], key: &[u8]) -> Result<(), String> {
        self.ask(&reading(kind, key))?;
        if kind == b"stream" {
            self.ask(&["XINFO".into(), "GROUPS".into(), key.into()])?;
        }
        Ok(())
    }

    /// Each server takes what the other dumps of a key, and both must read the same of it.
    fn trade(&mut self, kind: &[u8], key: &[u8]) -> Result<(), String> {
        let [one, other] = &mut self.peers;
        let dump: Command = vec![b"DUMP".to_vec(), key.to_vec()];
        let (Value::Bulk(ours), Value::Bulk(theirs)) = (one.run(&dump)?, other.run(&dump)?) else {
            // It has expired meanwhile.
            return Ok(());
        };
        // What Redis 7.0 has no words for, its RESTORE does not take.
        let (ours, theirs) = if version_of(&ours) == version_of(&theirs) {
            (ours, theirs)
        } else if version_of(&ours) < version_of(&theirs) {
            (ours.clone(), ours)
        } else {
            (theirs.clone(), theirs)
        };
        for (peer, payload) in [(one, theirs), (other, ours)] {
            let reply = peer.run(&vec![b"RESTORE".to_vec(), COPY.to_vec(), b"0".to_vec(), payload])?;
            if reply != Value::Simple(b"OK".to_vec()) {
                let (name, reply) = (peer.name, show(&reply));
                return Err(format!(
                    "afterwards, {name} takes the other's dump of {} with {reply}",
                    quote(key)
                ));
            }
        }
        let read = self.read_whole(kind, COPY);
        read.map_err(|what| format!("{what}\n  of the other's dump of {}", quote(key)))?;
        self.ask(&["DEL".into(), COPY.into()]).map(drop)
    }

    fn ask(&mut self, command: &[Vec<u8>]) -> Result<Value, String> {
        let reply = self.exchange(&[command.to_vec()]);
        let reply = reply.map_err(|(_, what)| format!("afterwards, {}\n  {what}", line(command)))?;
        Ok(reply.into_iter().next().expect("one command has one reply"))
    }
}

/// The version of the format that a dump says.
fn version_of(dump: &[u8]) -> u16 {
    let bytes = dump.len().checked_sub(10).map(|at| [dump[at], dump[at + 1]]);
    u16::from_le_bytes(bytes.expect("a dump ends with ten bytes of version and checksum"))
}

/// The command that answers a whole value of a kind.
fn reading(kind: &[u8], key: &[u8]) -> Command {
    let words: &[&[u8]] = match kind {
        b"list" => &[b"LRANGE", key, b"0", b"-1"],
        b"set" => &[b"SMEMBERS", key],
        b"zset" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        b"hash" => &[b"HGETALL", key],
        b"stream" => &[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"],
        _ => &[b"GET", key],
    };
    words.iter().map(|word| word.to_vec()).collect()
}

impl Peer {
    fn scan(&mut self, command: &Command, first: Value) -> Result<Vec<Vec<u8>>, String> {
        let mut keys = Vec::new();
        let mut page = first;
        for _ in 0..PAGES_MAX {
            let Value::Array(parts) = &page else {
                return Err(format!("{}: no page: {}", self.name, show(&page)));
            };
            let [Value::Bulk(cursor), Value::Array(found)] = parts.as_slice() else {
                return Err(format!("{}: no page: {}", self.name, show(&page)));
            };
            keys.extend(found.iter().filter_map(Value::as_bytes).map(<[u8]>::to_vec));
            if cursor == b"0" {
                return Ok(keys);
            }
            let mut command = command.clone();
            let at = Rule::cursor_at(&command);
            command[at].clone_from(cursor);
            self.send(&[command]);
            page = self.read()?;
        }
        Err(format!("{}: the scan does not end within {PAGES_MAX} pages", self.name))
    }
}

/// A command as redis-cli takes it.
pub(super) fn line(command: &[Vec<u8>]) -> String {
    command.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

fn quote(word: &[u8]) -> String {
    let plain =
        !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-*_:".contains(byte));
    let shown = &word[..word.len().min(SHOWN_MAX)];
    let cut = if shown.len() < word.len() { format!("... of {} bytes", word.len()) } else { String::new() };
    let text = shown.escape_ascii().to_string();
    if plain && cut.is_empty() { text } else { format!("\"{text}\"{cut}") }
}

/// A reply as shown, which may be long; all of it is ASCII.
fn cut(text: &str) -> String {
    match text.get(..REPLY_SHOWN_MAX) {
        Some(start) if start.len() < text.len() => format!("{start}... ({} bytes)", text.len()),
        _ => text.to_owned(),
    }
}

/// How long a reply may take: to the largest command here, on a busy machine.
const REPLY_MAX: Duration = Duration::from_secs(10);

/// The channel of the message that ends what has happened so far.
const SENTINEL: &str = "the end of the events";

/// Where what the other server dumps is restored.
const COPY: &[u8] = b"what the other has dumped";

/// Bytes of a reply that are shown.
const REPLY_SHOWN_MAX: usize = 2000;

/// Bytes of a word that are shown.
const SHOWN_MAX: usize = 2000;

/// No round has nearly as many keys.
const PAGES_MAX: usize = 10_000;
