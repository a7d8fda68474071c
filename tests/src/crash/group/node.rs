//! One member of a group: a data directory, the servers that have it one after the other, and the proxy in front of them.

use std::net::SocketAddr;
use std::ops::DerefMut;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Client, Process, Proxy, RedisServer, Server, show};

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Lacewing,
    Redis,
}

/// One member.
pub(super) struct Node {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) dir: Arc<TempDir>,
    /// Whom it is to follow.
    pub(super) follows: Option<usize>,
    /// What the others reach it by.
    pub(super) proxy: Proxy,
    pub(super) place: Arc<Place>,
    settings: Vec<String>,
    process: Option<Box<dyn DerefMut<Target = Process>>>,
    is_stopped: bool,
    /// What its earlier servers have printed.
    printed: String,
}

/// Where clients reach a member, while it runs.
#[derive(Default)]
pub(super) struct Place(Mutex<Option<SocketAddr>>);

impl Place {
    pub(super) fn get(&self) -> Option<SocketAddr> {
        *self.0.lock().expect("nobody panics with it")
    }

    fn set(&self, addr: Option<SocketAddr>) {
        *self.0.lock().expect("nobody panics with it") = addr;
    }
}

impl Node {
    /// A member that does not run yet. Its directory is within `root`.
    pub(super) fn new(number: usize, kind: Kind, root: &Path, settings: Vec<String>) -> Self {
        // It goes, or is kept, with the root.
        let dir =
            tempfile::Builder::new().prefix(&format!("node{number}-")).disable_cleanup(true).tempdir_in(root);
        Self {
            number,
            kind,
            dir: Arc::new(dir.expect("a temporary directory can be made")),
            follows: None,
            proxy: Proxy::to(0),
            place: Arc::default(),
            settings,
            process: None,
            is_stopped: false,
            printed: String::new(),
        }
    }

    /// Starts it. `more` are settings of this start alone; it follows `master` from the beginning, the port of a proxy.
    pub(super) fn start(&mut self, master: Option<u16>, more: &[String]) -> Result<(), String> {
        let mut words: Vec<String> = self.settings.iter().chain(more).cloned().collect();
        words.extend(["--replica-announce-port".to_owned(), self.proxy.port.to_string()]);
        if let Some(port) = master {
            words.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), port.to_string()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let dir = Arc::clone(&self.dir);
        let process: Box<dyn DerefMut<Target = Process>> = match self.kind {
            Kind::Lacewing => Box::new(
                Server::try_on(dir, &words)
                    .map_err(|log| format!("node {} did not start with {words:?}:\n{log}", self.number))?,
            ),
            Kind::Redis => Box::new(RedisServer::on(dir, &words).ok_or("there is no redis-server")?),
        };
        self.proxy.aim(process.port());
        self.place.set(Some(process.addr()));
        self.process = Some(process);
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.place.set(None);
        self.is_stopped = false;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill();
        self.put_down(&process)
    }

    /// Asks it to end, which it must do in time and with success.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        self.go_on();
        self.place.set(None);
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal("TERM");
        let ended = process.ends_within(END_MAX);
        self.put_down(&process)?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("node {} ended with {status} when it was asked to end", self.number)),
            None => Err(format!("node {} did not end within {END_MAX:?}", self.number)),
        }
    }

    /// Stops it where it is, until [`Node::go_on`].
    pub(super) fn freeze(&mut self) {
        if let Some(process) = &self.process {
            process.signal("STOP");
            self.is_stopped = true;
        }
    }

    pub(super) fn go_on(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| std::mem::take(&mut self.is_stopped)) {
            process.signal("CONT");
        }
    }

    /// One command on a connection of its own. Errors: there is no answer.
    pub(super) fn line(&self, command: &str) -> Result<String, String> {
        let told = |what: &str| format!("node {}: {command}: {what}", self.number);
        let addr = self.place.get().ok_or_else(|| told("it does not run"))?;
        let mut client =
            Client::try_connect(addr).map_err(|error| told(&format!("no connection: {error}")))?;
        client.timeout(Some(ANSWER_MAX)).map_err(|error| told(&error.to_string()))?;
        let words: Vec<&str> = command.split(' ').collect();
        let mut bytes = Vec::new();
        resp::encode_command(&words, &mut bytes);
        client.try_send_bytes(&bytes).map_err(|error| told(&error.to_string()))?;
        match client.read_any() {
            Ok(Some(reply)) => Ok(show(&reply)),
            Ok(None) => Err(told("the connection was closed")),
            Err(error) => Err(told(&format!("no answer: {error}"))),
        }
    }

    /// A field of INFO replication, or nothing.
    pub(super) fn field(&self, name: &str) -> Result<Option<String>, String> {
        let info = self.line("INFO replication")?;
        let line = info.split("\\r\\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.map(str::to_owned))
    }

    /// Whether it says itself that it follows somebody.
    pub(super) fn is_replica(&self) -> Result<bool, String> {
        Ok(self.field("role")?.as_deref() == Some("slave"))
    }

    /// Whether what it has printed so far speaks of a fault of its own.
    pub(super) fn check_log(&self) -> Result<(), String> {
        self.process.as_ref().map_or(Ok(()), |process| check_log(self.number, &process.log()))
    }

    /// All that its servers have printed.
    pub(super) fn log(&self) -> String {
        let now = self.process.as_ref().map_or_else(String::new, |process| process.log());
        format!("{}{now}\n", self.printed)
    }

    fn put_down(&mut self, process: &Process) -> Result<(), String> {
        let log = process.log();
        let checked = check_log(self.number, &log);
        self.printed += &format!("{log}\n--- the end of this server ---\n");
        checked
    }
}

fn check_log(number: usize, log: &str) -> Result<(), String> {
    let fault = log.lines().find(|line| FAULTS.iter().any(|fault| line.contains(fault)));
    fault.map_or(Ok(()), |line| Err(format!("node {number} has a fault: {line}")))
}

/// Of a server's words, those that it says of its own faults.
const FAULTS: [&str; 5] = ["panicked at", "SERVER BUG", "server bug", " LOST", "BUG REPORT"];
/// How long an answer to an operator may take, on a machine that is busy.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long an orderly end may take: it waits ten seconds for replicas.
const END_MAX: Duration = Duration::from_secs(25);
