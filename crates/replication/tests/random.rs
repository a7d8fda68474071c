//! Random events in any order: what may never happen, does not.
//!
//! The machine is fed with answers of good and bad masters, cut anywhere, with results of steps that were asked for and of
//! steps that were not, now and of attempts long over. Beside it stands a judge who reads what the machine was given and knows nothing of
//! its states: each grant must have been earned by the bytes of its own attempt.

mod pair;

use std::collections::BTreeMap;

use pair::{COMMAND_LEN, MARK, endpoint, id, open, options, payload};
use replication::role::{History, Options, Output, Piece, Report};
use replication::{Attempt, Endpoint, Position, Role};
use stdx::Rng;

const KEYS: &[u8] = b"keys and more keys";

struct World {
    role: Role,
    rng: Rng,
    now_ms: u64,
    /// What each attempt was given, as far as it took it.
    heard: BTreeMap<Attempt, Vec<u8>>,
    staged: Option<(Attempt, Vec<u8>)>,
    verified: Option<Attempt>,
    to_verify: Option<Attempt>,
    replacing: Option<Attempt>,
    draining: Option<Attempt>,
    link: Option<Attempt>,
    /// What the master is going to say.
    script: Vec<u8>,
    stream: u64,
    granted: Vec<Attempt>,
    own_keys: u64,
    follows: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let role = Role::new(options(), History::default(), rng.fork());
        Self {
            role,
            rng,
            now_ms: 0,
            heard: BTreeMap::new(),
            staged: None,
            verified: None,
            to_verify: None,
            replacing: None,
            draining: None,
            link: None,
            script: Vec::new(),
            stream: 0,
            granted: Vec::new(),
            own_keys: 5,
            follows: 0,
        }
    }

    fn step(&mut self) {
        self.now_ms += self.rng.below(3000);
        let attempt = self.some_attempt();
        match self.rng.below(40) {
            0 => {
                let port = self.rng.below(2) as u16;
                self.role.replicaof(Endpoint { port, ..endpoint() }, self.role.history(), self.now_ms);
            }
            1 if self.rng.one_in(4) => self.role.no_one(self.now_ms),
            2..=5 => self.role.connected(attempt, self.now_ms),
            6 if self.rng.one_in(3) => {
                self.link = self.link.filter(|link| *link != attempt);
                self.role.lost(attempt, "gone", self.now_ms);
            }
            7..=24 => self.hear(attempt),
            25..=27 => self.verify(attempt),
            28 if self.rng.one_in(4) => self.role.rejected(attempt, "bad", self.now_ms),
            29 if self.rng.one_in(4) => self.role.staging_failed(attempt, "no room", self.now_ms),
            30..=32 => self.end_replacement(),
            33..=34 => {
                if let Some(attempt) = self.draining.take() {
                    let end = self.stream - self.stream % COMMAND_LEN as u64;
                    self.role.drained(attempt, end.max(self.applied()), self.now_ms);
                }
            }
            35 => {
                let accepts_less = self.rng.one_in(2);
                self.role.set_options(Options { accepts_less, ..options() }, self.now_ms);
            }
            36 if self.rng.one_in(20) => self.role.stream_failed(attempt, "no command", self.now_ms),
            _ => self.role.tick(self.now_ms),
        }
        self.settle();
        if let Some(deadline) = self.role.deadline() {
            assert!(deadline < self.now_ms + 100_000, "a wait without end");
        } else {
            let waits = self.role.is_master() || self.draining.is_some() || self.to_verify.is_some();
            assert!(waits || self.replacing.is_some(), "nothing will ever happen: {:?}", self.role);
        }
    }

    fn applied(&self) -> u64 {
        self.role.history().current.map_or(0, |current| current.offset)
    }

    /// Mostly the present one.
    fn some_attempt(&mut self) -> Attempt {
        let now = self.role.facts(0).attempt;
        if self.rng.one_in(12) { Attempt(self.rng.below(now.0 + 2)) } else { now }
    }

    fn settle(&mut self) {
        while let Some(output) = self.role.poll() {
            match output {
                Output::Connect { attempt, .. } => {
                    assert_eq!(self.link, None, "one link at a time");
                    assert!(self.replacing.is_none() && self.draining.is_none() && self.staged.is_none());
                    self.link = Some(attempt);
                    self.script = self.draw_script();
                }
                Output::Send { attempt, .. } => assert_eq!(Some(attempt), self.link),
                Output::Close { attempt } => assert_eq!(Some(attempt), self.link.take()),
                Output::Stage { attempt } => self.staged = Some((attempt, Vec::new())),
                Output::Verify { attempt } => self.to_verify = Some(attempt),
                Output::Discard { attempt } => {
                    assert_eq!(self.staged.take().map(|staged| staged.0), Some(attempt));
                    self.to_verify = None;
                }
                Output::Replace(grant) => {
                    let attempt = grant.attempt();
                    let told = earned(&self.heard[&attempt]);
                    let (position, data) = told.expect("a full sync was confirmed and came whole");
                    assert_eq!(position, grant.position());
                    assert_eq!(Some(attempt), self.verified, "it was verified");
                    assert_eq!(open(&self.staged.as_ref().unwrap().1), Ok(data.as_slice()));
                    assert!(!self.granted.contains(&attempt), "one grant for an attempt");
                    self.granted.push(attempt);
                    self.replacing = Some(attempt);
                }
                Output::Follow { attempt, position, .. } => {
                    assert!(self.replacing.is_none());
                    assert_eq!(Some(attempt), self.link);
                    self.stream = position.offset;
                    self.follows += 1;
                }
                Output::Drain { attempt } => self.draining = Some(attempt),
                Output::Promoted { .. } => assert!(self.role.is_master() && self.link.is_none()),
                Output::HandedOver | Output::NotHandedOver { .. } => {
                    unreachable!("nothing is handed over here")
                }
                Output::Open { .. } => unreachable!("no flows are wanted"),
                Output::Failed { .. } => {}
            }
        }
    }

    fn hear(&mut self, attempt: Attempt) {
        if self.link.is_none() || self.script.is_empty() {
            return;
        }
        let len = match self.rng.below(3) {
            0 => 1,
            1 => self.script.len(),
            _ => 1 + self.rng.index(self.script.len()),
        };
        let (staged, stream) = (&mut self.staged, &mut self.stream);
        let mut sink = |piece: Piece<'_>| match piece {
            Piece::Payload(bytes) => staged.as_mut().expect("staged").1.extend_from_slice(bytes),
            Piece::Stream(bytes) => *stream += bytes.len() as u64,
        };
        // What the master says is often what was not asked for yet; a machine takes it as it comes.
        let used = self.role.receive(attempt, &self.script[..len], &mut sink, self.now_ms);
        self.heard.entry(attempt).or_default().extend(self.script.drain(..used));
        self.settle();
        if Some(attempt) == self.link && self.role.is_following() && self.rng.one_in(2) {
            let end = self.stream - self.stream % COMMAND_LEN as u64;
            self.role.applied(attempt, end.max(self.applied()));
        }
    }

    fn verify(&mut self, attempt: Attempt) {
        let Some((staged_of, staged)) = &self.staged else {
            // Nobody asked.
            let report = Report { keys: 1, own_keys: self.own_keys, ..Report::default() };
            if self.rng.one_in(8) {
                self.role.verified(attempt, report, self.now_ms);
            }
            return;
        };
        if self.to_verify.is_some() {
            assert_eq!(self.to_verify, Some(*staged_of));
            let of = *staged_of;
            match open(staged) {
                Ok(data) => {
                    self.verified = Some(of);
                    let report =
                        Report { keys: data.len() as u64, own_keys: self.own_keys, ..Report::default() };
                    self.to_verify = None;
                    self.role.verified(of, report, self.now_ms);
                }
                Err(why) => self.role.rejected(of, &why, self.now_ms),
            }
        } else {
            let report = Report { keys: 9, own_keys: self.own_keys, ..Report::default() };
            self.role.verified(attempt, report, self.now_ms);
        }
    }

    fn end_replacement(&mut self) {
        let Some(attempt) = self.replacing.take() else { return };
        if self.rng.one_in(6) {
            self.role.not_replaced(attempt, "no room", self.now_ms);
        } else {
            let (of, staged) = self.staged.take().expect("staged");
            assert_eq!(of, attempt);
            self.own_keys = open(&staged).expect("verified").len() as u64;
            self.role.replaced(attempt, self.now_ms);
        }
    }

    fn draw_script(&mut self) -> Vec<u8> {
        let mut script = b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n".to_vec();
        let keys = if self.rng.one_in(8) { &b""[..] } else { KEYS };
        let mut body = payload(keys);
        if self.rng.one_in(6) {
            let at = self.rng.index(body.len());
            body[at] ^= 1;
        }
        script.extend_from_slice(
            match self.rng.below(6) {
                0 => b"-ERR Unrecognized REPLCONF option: lacewing-id\r\n".to_vec(),
                1 => format!("+LACEWING {} {}\r\n", id(b'x'), id(b'y')).into_bytes(),
                2 if self.rng.one_in(4) => format!("+LACEWING {}\r\n", id(b'm')).into_bytes(),
                _ => b"-ERR Unrecognized REPLCONF option: lacewing-id\r\n".to_vec(),
            }
            .as_slice(),
        );
        let replid = *self.rng.pick(&[id(b'a'), id(b'b')]);
        let offset = self.rng.below(200);
        let full = format!("+FULLRESYNC {replid} {offset}\r\n");
        let parts: Vec<Vec<u8>> = match self.rng.below(10) {
            0..=3 => vec![
                full.into_bytes(),
                b"\n".to_vec(),
                format!("${}\r\n", body.len()).into_bytes(),
                body,
                b"1234".repeat(20),
            ],
            4..=6 => vec![
                full.into_bytes(),
                [b"$EOF:", &MARK[..], b"\r\n"].concat(),
                body,
                MARK.to_vec(),
                b"1234".repeat(20),
            ],
            7 => vec![format!("+CONTINUE {replid}\r\n").into_bytes(), b"1234".repeat(10), b"12".to_vec()],
            8 => vec![b"-LOADING wait\r\n".to_vec()],
            _ => vec![b"\n\n".to_vec(), b"HTTP/1.1 200 OK\r\n".to_vec()],
        };
        parts.iter().for_each(|part| script.extend_from_slice(part));
        if self.rng.one_in(5) {
            script.truncate(self.rng.index(script.len() + 1));
        }
        script
    }
}

/// What these bytes of a master confirm, and the whole payload behind it, read once more from the beginning.
fn earned(heard: &[u8]) -> Option<(Position, Vec<u8>)> {
    let text = |needle: &[u8], from: usize| {
        heard[from..].windows(needle.len()).position(|part| part == needle).map(|at| from + at)
    };
    let at = text(b"+FULLRESYNC ", 0)?;
    let words = str::from_utf8(heard[at..].split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = words.split(' ').skip(1);
    let replid = replication::ReplId::parse(words.next()?.as_bytes())?;
    let offset = words.next()?.parse().ok()?;
    let head = text(b"$", at)?;
    let body = text(b"\r\n", head)? + 2;
    let body_len = if heard[head..].starts_with(b"$EOF:") {
        text(MARK, body)? - body
    } else {
        str::from_utf8(&heard[head + 1..body - 2]).ok()?.parse().ok()?
    };
    let data = open(heard.get(body..body + body_len)?).ok()?;
    Some((Position { replid, offset }, data.to_vec()))
}

fn seeds(usual: u64) -> u64 {
    std::env::var("LACEWING_LONG_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn no_dataset_is_replaced_but_by_what_a_master_has_confirmed_and_sent_whole() {
    let (mut granted, mut follows) = (0, 0);
    for seed in 0..seeds(400) {
        let run = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..600).for_each(|_| world.step());
            (world.granted.len(), world.follows)
        });
        let (grants, followed) = run.unwrap_or_else(|_| panic!("seed {seed}"));
        granted += grants;
        follows += followed;
    }
    assert!(granted > 200 && follows > 200, "{granted} grants, {follows} streams");
}

#[test]
fn the_judge_is_not_easily_content() {
    let body = payload(KEYS);
    let whole =
        [format!("+PONG\r\n+FULLRESYNC {} 7\r\n${}\r\n", id(b'a'), body.len()).as_bytes(), &body].concat();
    assert!(earned(&whole).is_some());
    for cut in 0..whole.len() {
        assert_eq!(earned(&whole[..cut]), None, "{cut}");
    }
    let mut bad = whole;
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(earned(&bad), None);
}
