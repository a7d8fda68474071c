//! For the tests beside handlers: commands in, the bytes of the last reply out.
//!
//! A [`World`] is a server without its surroundings: some cores, and one client connected to the first. It runs
//! commands as the server does, without crossing shards: what is [`Crossing::Global`] runs on every core, what has keys
//! where its first key belongs (its others must too), all else at the client's.

use crate::client::{Client, ClientFlags, ClientSlot};
use crate::core::{Core, Shared};
use crate::ctx::{Caller, Ctx, Outcome};
use crate::effects::{self, Event};
use crate::error::CommandError;
use crate::parking::Parking;
use crate::row::{Crossing, Merge};
use crate::table::{CommandRef, keys_of, lookup};
use config::Config;
use keyspace::Keyspace;
use std::sync::Arc;
use stdx::args::OwnedArgs;
use stdx::{Args, SLOTS, ShardId, Slot, UnixMs};

/// When tests begin: 2023-11-14, 22:13:20 UTC.
pub(crate) const START: UnixMs = UnixMs(1_700_000_000_000);

/// Some cores and a client.
pub(crate) struct World {
    pub(crate) cores: Vec<Core>,
    pub(crate) client: ClientSlot,
    pub(crate) now: UnixMs,
    /// The wait of the last command, if it parked its client.
    pub(crate) parking: Option<Parking>,
}

/// Runs `commands` on one core and compares the last reply, its line ends shown as spaces: `$1 v`, `*2 :1 :2`.
#[track_caller]
pub(crate) fn check(commands: &[&str], expected: &str) {
    World::new(1).check(commands, expected);
}

/// Runs `commands` on one core and compares the effects of the last: see [`World::check_effects`].
#[track_caller]
pub(crate) fn check_effects(commands: &[&str], expected: &str) {
    World::new(1).check_effects(commands, expected);
}

/// Runs `commands` on one core and compares the events of the last: see [`World::check_events`].
#[track_caller]
pub(crate) fn check_events(commands: &[&str], expected: &str) {
    World::new(1).check_events(commands, expected);
}

impl World {
    /// A server of `cores` cores with a client at the first.
    pub(crate) fn new(cores: u16) -> Self {
        let shared = Arc::new(Shared {
            run_id: "f".repeat(40),
            started: START,
            saves: crate::saves::Saves::new(cores.into(), START),
            ..Shared::default()
        });
        let slot_at = |core: u16| (SLOTS * core as usize / cores as usize) as u16;
        let core = |id: u16| {
            let keyspace = Keyspace::new(slot_at(id)..slot_at(id + 1), 16, 7);
            Core::new(ShardId(id), cores, keyspace, Config::default(), shared.clone())
        };
        let mut world =
            Self { cores: (0..cores).map(core).collect(), client: ClientSlot(0), now: START, parking: None };
        world.client = world.connect(0);
        world
    }

    /// Connects another client to a core.
    pub(crate) fn connect(&mut self, core: usize) -> ClientSlot {
        let id = self.cores[0].shared.new_client_id();
        let addr = format!("127.0.0.1:{}", 50_000 + id.0);
        let mut client = Client::new(id, addr, "127.0.0.1:7000".into(), 8, self.now);
        client.flags.set(ClientFlags::LOCAL, true);
        client.home = ShardId(core as u16);
        self.cores[core].clients.insert(client)
    }

    /// The core that a key belongs to.
    pub(crate) fn owner(&self, key: impl AsRef<[u8]>) -> usize {
        let slot = Slot::of(key.as_ref());
        self.cores.iter().position(|core| core.keyspace.owns(slot)).expect("every slot has an owner")
    }

    /// The client that calls.
    pub(crate) fn client(&mut self) -> &mut Client {
        self.cores[0].clients.get_mut(self.client).expect("the client is connected")
    }

    /// Runs `commands` on this world and compares the effects of the last, one line each: `SET k v | DEL x`.
    #[track_caller]
    pub(crate) fn check_effects(&mut self, commands: &[&str], expected: &str) {
        self.cores.iter_mut().for_each(|core| effects::listen(core, true, 0));
        for command in commands {
            self.cores.iter_mut().for_each(|core| drop(core.effects.take()));
            self.run(command);
        }
        let taken = self.cores.iter_mut().flat_map(|core| core.effects.take());
        let line = |effect: effects::Effect| {
            let words: Vec<_> =
                effect.args.as_args().iter().map(|arg| arg.escape_ascii().to_string()).collect();
            words.join(" ")
        };
        let lines: Vec<String> = taken.map(line).collect();
        assert_eq!(lines.join(" | "), expected, "{commands:?}");
    }

    /// Runs `commands` on this world and compares the events of the last: `lpush:k del:k`.
    #[track_caller]
    pub(crate) fn check_events(&mut self, commands: &[&str], expected: &str) {
        self.cores.iter_mut().for_each(|core| effects::listen(core, false, Event::ALL.0));
        for command in commands {
            self.cores.iter_mut().for_each(|core| drop(core.effects.take_fired()));
            self.run(command);
        }
        let taken = self.cores.iter_mut().flat_map(|core| core.effects.take_fired());
        let named: Vec<String> =
            taken.map(|fired| format!("{}:{}", fired.name, fired.key.escape_ascii())).collect();
        assert_eq!(named.join(" "), expected, "{commands:?}");
    }

    /// Lets time pass.
    pub(crate) fn wait_ms(&mut self, ms: i64) {
        self.now.0 += ms;
    }

    /// Runs `commands` and compares the last reply.
    #[track_caller]
    pub(crate) fn check(&mut self, commands: &[&str], expected: &str) {
        let replies: Vec<String> = commands.iter().map(|command| self.run(command)).collect();
        assert_eq!(replies.last().map(String::as_str), Some(expected), "{commands:?}");
    }

    /// Runs one command line; quotes keep words together. The reply's line ends are shown as spaces.
    pub(crate) fn run(&mut self, line: &str) -> String {
        let reply = self.run_args(&OwnedArgs::new(&words(line)));
        shown(&reply)
    }

    /// Runs one command and returns its reply as bytes.
    pub(crate) fn run_args(&mut self, args: &OwnedArgs) -> Vec<u8> {
        let mut out = Vec::new();
        let args = args.as_args();
        let ran = match lookup(args) {
            Ok(command) => self.execute(command, args, &mut out),
            Err(misfit) => Err(misfit.error()),
        };
        if let Err(error) = ran {
            out.clear();
            resp::Reply::new(&mut out, resp::Proto::Resp2).error(&error.text());
        }
        out
    }

    fn execute(
        &mut self,
        command: CommandRef,
        args: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let now = self.now;
        let slot = self.client;
        let client = self.client();
        client.last_command = command.full_name;
        client.last_active = now;
        let home = Caller::of(client, slot);
        let handler = command.row.handler;
        let Crossing::Global(_, merge) = command.row.crossing else {
            let mut keys = Vec::new();
            keys_of(command, args, &mut keys);
            let owner = keys.first().map_or(0, |key| self.owner(args.at(*key as usize)));
            let slot = home.slot.filter(|_| owner == 0);
            let core = &mut self.cores[owner];
            let mark = effects::begin(core);
            let mut ctx = Ctx::new(core, Caller { slot, ..home }, out, now);
            let ran = handler(&mut ctx, args);
            effects::end(core, mark, command, &home, args);
            self.client().forgets_caching(Some(command));
            let core = &mut self.cores[owner];
            if ran? == Outcome::Park {
                let parking = core.parking.take().expect("who parks says what for");
                let Parking { until, keys, wanted, .. } = &parking;
                out.extend_from_slice(format!("(waits for {keys:?} until {until:?}: {wanted:?})").as_bytes());
                self.parking = Some(parking);
            }
            return Ok(());
        };
        let mut parts = vec![Vec::new(); self.cores.len()];
        for (core, part) in self.cores.iter_mut().zip(&mut parts) {
            let slot = home.slot.filter(|_| core.id == ShardId(0));
            let mark = effects::begin(core);
            let ran = handler(&mut Ctx::new(core, Caller { slot, ..home }, part, now), args).map(done);
            effects::end(core, mark, command, &home, args);
            ran?;
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let mut ctx = Ctx::new(&mut self.cores[0], home, out, now);
        match merge {
            Merge::Custom(merge) => merge(&mut ctx, args, &parts)?,
            _ if parts.len() == 1 => ctx.out.raw(parts[0]),
            Merge::First => ctx.out.raw(parts[0]),
            Merge::Sum => ctx.out.int(parts.iter().map(|part| integer(part)).sum()),
            Merge::PerKey | Merge::Concat => unreachable!("tested where shards are crossed"),
        }
        Ok(())
    }
}

fn done(outcome: Outcome) {
    assert_eq!(outcome, Outcome::Done, "nothing blocks here");
}

fn integer(part: &[u8]) -> i64 {
    let text = std::str::from_utf8(part).expect("an integer is text");
    text.trim_start_matches(':').trim_end().parse().expect("an integer")
}

/// Splits a line into words; single or double quotes keep blanks, and `\r`, `\n`, `\xHH` in double quotes are bytes.
fn words(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut rest) = (Vec::new(), line.trim_start());
    while let Some(first) = rest.chars().next() {
        let quoted = first == '"' || first == '\'';
        let body = if quoted { &rest[1..] } else { rest };
        let end = if quoted { body.find(first) } else { body.find(' ') }.unwrap_or(body.len());
        let word = &body[..end];
        words.push(if first == '"' { unescaped(word) } else { word.as_bytes().to_vec() });
        rest = body.get(end + 1..).unwrap_or_default().trim_start();
    }
    words
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = word.split('\\');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (byte, rest) = match part.as_bytes().first() {
            Some(b'r') => (b'\r', &part[1..]),
            Some(b'n') => (b'\n', &part[1..]),
            Some(b'x') => (u8::from_str_radix(&part[1..3], 16).expect("two hexadecimal digits"), &part[3..]),
            _ => (b'\\', part),
        };
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// A reply with spaces for its line ends; bytes that are not text as `\xHH`.
pub(crate) fn shown(reply: &[u8]) -> String {
    let mut shown = String::new();
    let mut rest = reply.strip_suffix(b"\r\n").unwrap_or(reply);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\r' if after.first() == Some(&b'\n') => {
                shown.push(' ');
                rest = &after[1..];
            }
            b' '..=b'~' | b'\n' => shown.push(byte as char),
            _ => shown.push_str(&format!("\\x{byte:02x}")),
        }
    }
    shown
}
