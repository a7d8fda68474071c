//! One data directory, and the servers that have it one after the other.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use stdx::rng::Rng;
use tempfile::TempDir;

use super::damage::Damage;
use super::look::look;
use super::shared::{Banker, Porter, Shared};
use super::writer::{Shift, Writer};
use super::{Report, damage, operator};
use crate::{Client, Server, show};

/// A data directory from its first server on.
pub(super) struct Life {
    rng: Rng,
    dir: Arc<TempDir>,
    settings: Vec<String>,
    writers: Vec<Writer>,
    bankers: Vec<Banker>,
    porters: Vec<Porter>,
    shared: Shared,
    /// Whether snapshots are taken: what they hold is no longer lost with the log.
    is_operated: bool,
    /// How long the last start took until it served.
    start_time: Duration,
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Kill,
    Signal(&'static str),
    Command(&'static str),
}

impl Life {
    pub(super) fn new(mut rng: Rng, settings: &[String]) -> Self {
        let dir = tempfile::Builder::new().prefix("lacewing-crash").tempdir();
        let (writers, bankers, porters) = (1 + rng.index(WRITERS_MAX), 1 + rng.index(3), rng.index(3));
        Self {
            dir: Arc::new(dir.expect("a temporary directory can be made")),
            settings: settings.to_vec(),
            writers: (0..writers).map(|number| Writer::new(number, rng.fork())).collect(),
            bankers: (0..bankers).map(|number| Banker::new(number, rng.fork())).collect(),
            porters: (0..porters).map(|_| Porter::new(rng.fork())).collect(),
            shared: Shared::default(),
            is_operated: true,
            start_time: Duration::from_millis(20),
            rng,
        }
    }

    /// So many ends, each followed by a start and a comparison.
    pub(super) fn live(
        &mut self,
        rounds: u64,
        report: &mut Report,
        tell: &mut impl FnMut(&Report),
    ) -> Result<(), String> {
        let mut server = self.begin()?;
        for _ in 0..rounds {
            let (end, length) = (self.draw_end(), self.draw_length());
            self.work(&mut server, end, length).map_err(|what| with_log(&what, &server))?;
            drop(server);
            while self.rng.one_in(3) {
                self.start_and_kill();
                report.early_kills += 1;
            }
            server = self.start()?;
            self.compare(&server).map_err(|what| with_log(&what, &server))?;
            report.rounds += 1;
            report.orderly += u64::from(end != End::Kill);
            report.calls +=
                self.writers.iter_mut().map(|writer| std::mem::take(&mut writer.answered)).sum::<u64>();
            tell(report);
        }
        Ok(())
    }

    /// One crash, then damage by hand: the next start is refused, or has not what it must have.
    pub(super) fn damaged(&mut self, damage: Damage, report: &mut Report) -> Result<(), String> {
        self.is_operated = false;
        let mut server = self.begin()?;
        self.work(&mut server, End::Kill, Duration::from_millis(400))
            .map_err(|what| with_log(&what, &server))?;
        drop(server);
        damage::plant(damage, self.dir.path(), &mut self.rng)?;
        report.rounds += 1;
        match self.start() {
            Err(_) => report.refused += 1,
            Ok(server) => match self.compare(&server) {
                Err(_) => report.found += 1,
                Ok(()) => return Err(with_log(&format!("{damage:?} was not found"), &server)),
            },
        }
        Ok(())
    }

    /// Leaves the directory where it is.
    pub(super) fn keep(self) -> PathBuf {
        let path = self.dir.path().to_owned();
        if let Some(dir) = Arc::into_inner(self.dir) {
            return dir.keep();
        }
        path
    }

    fn begin(&mut self) -> Result<Server, String> {
        let server = self.start()?;
        Shared::begin(&mut server.client())?;
        Ok(server)
    }

    fn arguments(&mut self) -> Vec<String> {
        let cores = 1 + self.rng.below(CORES_MAX);
        let policy = *self.rng.pick(&["everysec", "everysec", "always", "no"]);
        let segment = *self.rng.pick(&["4096", "16384", "65536", "1048576"]);
        let (databases, keep) = (Writer::databases(WRITERS_MAX), 1 + self.rng.below(2));
        let fixed = format!(
            "--appendonly yes --pin no --cores {cores} --appendfsync {policy} --log-segment-size {segment} --databases {databases} --snapshot-keep {keep}"
        );
        fixed.split(' ').map(str::to_owned).chain(self.settings.iter().cloned()).collect()
    }

    /// Starts a server and waits until it serves. Errors: it does not.
    fn start(&mut self) -> Result<Server, String> {
        let began = Instant::now();
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let server = Server::try_on(Arc::clone(&self.dir), &arguments)
            .map_err(|log| format!("the server did not start with {arguments:?}:\n{log}"))?;
        self.start_time = began.elapsed();
        Ok(server)
    }

    /// Starts a server and kills it at some moment before it serves, or not long after.
    fn start_and_kill(&mut self) {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let within = self.start_time.mul_f64(1.3 * self.rng.unit());
        // One that refuses says the same to the next start, which is looked at.
        if let Ok(mut server) = Server::starting(Arc::clone(&self.dir), &arguments) {
            wait(within);
            server.kill();
        }
    }

    fn draw_end(&mut self) -> End {
        match self.rng.below(12) {
            0 => End::Signal("TERM"),
            1 => End::Signal("INT"),
            2 => End::Command(COMMANDS[self.rng.index(COMMANDS.len())]),
            _ => End::Kill,
        }
    }

    /// Mostly short: much happens at the beginning.
    fn draw_length(&mut self) -> Duration {
        Duration::from_secs_f64(LENGTH_MAX.as_secs_f64() * self.rng.unit().powi(3))
    }

    /// Has all clients work for so long, and then ends the server so.
    fn work(&mut self, server: &mut Server, end: End, length: Duration) -> Result<(), String> {
        let (addr, shift) = (server.addr(), &Shift::alone(server.addr()));
        let operator = (self.is_operated && self.rng.one_in(2)).then(|| self.rng.fork());
        let Self { writers, bankers, porters, .. } = self;
        let results: Vec<Result<(), String>> = thread::scope(|scope| {
            let mut clients: Vec<thread::ScopedJoinHandle<'_, Result<(), String>>> = Vec::new();
            clients.extend(writers.iter_mut().map(|writer| scope.spawn(move || writer.work(shift))));
            clients.extend(bankers.iter_mut().map(|banker| scope.spawn(move || banker.work(shift))));
            clients.extend(porters.iter_mut().map(|porter| scope.spawn(move || porter.work(shift))));
            clients.extend(operator.map(|rng| scope.spawn(move || operator::operate(rng, shift))));
            wait(length);
            let ended = carry_out(server, end, addr);
            // Whatever has become of it, it does not live on: the clients end with it.
            server.kill();
            let clients = clients.into_iter().map(|client| client.join().expect("clients do not panic"));
            clients.chain([ended]).collect()
        });
        self.writers.iter_mut().for_each(Writer::ended);
        results.into_iter().collect()
    }

    fn compare(&mut self, server: &Server) -> Result<(), String> {
        let mut client = Client::connect(server.addr());
        let (seen, when) = look(&mut client, Writer::databases(self.writers.len()))?;
        self.shared.check(&seen[0], &mut self.bankers)?;
        self.writers.iter_mut().try_for_each(|writer| writer.check(&seen, when))
    }
}

fn carry_out(server: &mut Server, end: End, addr: SocketAddr) -> Result<(), String> {
    match end {
        End::Kill => {
            server.kill();
            return Ok(());
        }
        End::Signal(name) => server.signal(name),
        End::Command(line) => ask_to_end(server, line, addr)?,
    }
    match server.wait() {
        status if status.success() => Ok(()),
        status => Err(format!("after {end:?} the server ended with {status}")),
    }
}

/// Has a client say it, again for as long as an operator gives up the snapshot before the end: with that the end is taken back.
fn ask_to_end(server: &Server, line: &str, addr: SocketAddr) -> Result<(), String> {
    let mut answer = String::new();
    for _ in 0..ASKS_MAX {
        let mut client = Client::try_connect(addr).map_err(|error| format!("cannot connect: {error}"))?;
        client.send_line(line);
        answer = match client.read_any() {
            Ok(Some(value)) => show(&value),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(format!("{line}: no end")),
            _ => return Ok(()),
        };
        let log = server.log();
        let mut failures = log.lines().filter(|line| line.contains("the snapshot before the end failed"));
        if !failures.all(|line| line.contains("it was cancelled")) {
            break;
        }
    }
    Err(format!("{line} was answered {answer}"))
}

fn with_log(what: &str, server: &Server) -> String {
    format!("{what}\n--- the server's output ---\n{}", server.log())
}

fn wait(length: Duration) {
    let until = Instant::now() + length;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

const COMMANDS: [&str; 4] = ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW", "SHUTDOWN SAVE"];
/// A snapshot before the end is given up so often at most, by an operator who gives one command in nine to that.
const ASKS_MAX: u32 = 20;
const WRITERS_MAX: usize = 5;
/// Cores are drawn anew at every start, also more than the machine has.
const CORES_MAX: u64 = 3;
const LENGTH_MAX: Duration = Duration::from_millis(900);
