//! One replica, as its master sees it: what it has said of itself, and how far it is.
//!
//! ```text
//!             PSYNC: from the backlog
//!  Greeting ───────────────────────────────────────────────────────► Online
//!     │ PSYNC: everything            payload begins    all sent, and   ▲
//!     └────────────► Waiting ───────────────────► Sending ─────────────┘
//!                                                     the replica has read it (its first ACK),
//!                                                     if nothing but a mark ended the payload
//! ```

use aof::{Generation, Lsn};
use stdx::number::parse_i64;

use crate::backlog::Backlog;
use crate::flow::hello::CAPABILITY;
use crate::flow::place::{FlowPlaces, Place};
use crate::ids::{Position, ReplId};
use crate::psync::ask::SAFE_PLACES;

/// What a master knows of one of its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The port on which it serves clients; 0 if it has not told.
    pub listening_port: u16,
    /// Its address, if it has told.
    pub ip_address: Option<String>,
    /// Whether it understands payloads that a mark ends.
    pub takes_marked: bool,
    /// Whether it understands that a history has a new name.
    pub takes_new_ids: bool,
    /// Whether it can be sent logs, a flow for each shard.
    pub takes_flows: bool,
    /// Who it is, if it is a Lacewing.
    pub lacewing: Option<ReplId>,
    /// Whether it reads what Valkey 9.0 writes, if it says so.
    reads_valkey: bool,
    /// Whether it wants the payload alone.
    pub payload_only: bool,
    /// What alone the payload is to hold, if not everything.
    pub filter: Option<Filter>,
    phase: Phase,
    acknowledged: u64,
    /// Up to where it has the stream on its disk, if it tells.
    safe: Option<u64>,
    /// The same of the logs that it is sent.
    safe_places: Option<FlowPlaces>,
    heard_ms: u64,
}

/// What a payload holds that does not hold everything (`REPLCONF rdb-filter-only`): keys it never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Libraries of functions.
    pub functions: bool,
}

impl Filter {
    /// Reads the words of the option; without any nothing is wanted.
    fn parse(words: &[u8]) -> Result<Self, ReplconfError> {
        let mut filter = Self::default();
        for word in words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            if !word.eq_ignore_ascii_case(b"functions") {
                return Err(ReplconfError::Filter(String::from_utf8_lossy(word).into_owned()));
            }
            filter.functions = true;
        }
        Ok(filter)
    }
}

/// In whose words a payload is where their formats differ: in hashes with fields that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// RDB 12.
    Redis,
    /// RDB 80, of Valkey 9.0, which refuses RDB 12.
    Valkey,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not asked for anything yet.
    Greeting,
    /// It waits for a payload to be made.
    Waiting,
    /// A payload is sent; the stream goes on behind this position.
    Sending {
        /// The cut's.
        from: Position,
        /// Whether a mark ends the payload, so that the stream waits for the first ACK.
        is_marked: bool,
    },
    /// All of the payload was sent, and its end has not been seen yet.
    Ending,
    /// It is sent the stream.
    Online,
}

/// The words of INFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerState {
    /// `wait_bgsave`.
    WaitBgsave,
    /// `send_bulk`.
    SendBulk,
    /// `online`.
    Online,
}

impl FollowerState {
    /// As INFO writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WaitBgsave => "wait_bgsave",
            Self::SendBulk => "send_bulk",
            Self::Online => "online",
        }
    }
}

/// What REPLCONF is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replconf {
    /// `+OK`.
    Ok,
    /// Nothing.
    Silence,
    /// Nothing; the node's own position is to be acknowledged to its master at once.
    AckNow,
    /// `+LACEWING`, this node's name and those of its masters.
    Names,
    /// It can be sent logs: [`CAPABLE`](crate::flow::hello::CAPABLE) if this node can do so, else `+OK`.
    Flows,
}

/// Why REPLCONF is refused; the text is Redis's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplconfError {
    /// An option without a value.
    #[error("ERR syntax error")]
    Syntax,
    /// A value that is no number.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// A value that is neither 0 nor 1.
    #[error("ERR value is out of range, must be in the range 0 to 1")]
    NotBool,
    /// An address that is none.
    #[error("ERR REPLCONF ip-address provided by replica instance is too long: {0} bytes")]
    TooLong(usize),
    /// Something that no payload is made of alone.
    #[error("ERR Unsupported rdb-filter-only option: {0}")]
    Filter(String),
    /// An option that there is not.
    #[error("ERR Unrecognized REPLCONF option: {0}")]
    Unrecognized(String),
}

/// What PSYNC is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Psync {
    /// This line, and then the backlog from this offset on.
    Continue {
        /// `+CONTINUE`.
        line: String,
        /// The first byte that the replica does not have, counted from 0.
        from: u64,
    },
    /// A full sync: [`Follower::begins`] gives the line once there is a cut.
    Full,
    /// `-NOMASTERLINK`: this node is a replica itself, and has no data to give now.
    NoMasterLink,
}

impl Follower {
    /// One that has just connected.
    pub fn new(now_ms: u64) -> Self {
        Self {
            listening_port: 0,
            ip_address: None,
            takes_marked: false,
            takes_new_ids: false,
            takes_flows: false,
            lacewing: None,
            reads_valkey: false,
            payload_only: false,
            filter: None,
            phase: Phase::Greeting,
            acknowledged: 0,
            safe: None,
            safe_places: None,
            heard_ms: now_ms,
        }
    }

    /// `REPLCONF <option> <value> ..`, without its first word.
    pub fn replconf(&mut self, args: &[&[u8]], now_ms: u64) -> Result<Replconf, ReplconfError> {
        if !args.len().is_multiple_of(2) {
            return Err(ReplconfError::Syntax);
        }
        let mut reply = Replconf::Ok;
        for pair in args.chunks_exact(2) {
            let (option, value) = (pair[0].to_ascii_lowercase(), pair[1]);
            match option.as_slice() {
                b"listening-port" => {
                    let port = parse_i64(value).ok_or(ReplconfError::NotInteger)?;
                    self.listening_port = u16::try_from(port).map_err(|_| ReplconfError::NotInteger)?;
                }
                b"ip-address" => match str::from_utf8(value) {
                    Ok(address) if value.len() < HOST_BYTES_MAX => self.ip_address = Some(address.to_owned()),
                    _ => return Err(ReplconfError::TooLong(value.len())),
                },
                b"capa" => match value.to_ascii_lowercase().as_slice() {
                    b"eof" => self.takes_marked = true,
                    b"psync2" => self.takes_new_ids = true,
                    capability if capability == CAPABILITY.as_bytes() => {
                        self.takes_flows = true;
                        reply = Replconf::Flows;
                    }
                    // What a newer one can do besides.
                    _ => {}
                },
                b"ack" => {
                    if let Some(offset) = offset(value) {
                        self.acknowledge(offset, now_ms);
                    }
                    reply = Replconf::Silence;
                }
                // Behind ACK.
                b"fack" => {
                    if let Some(offset) = offset(value).filter(|_| self.is_online()) {
                        self.safe = self.safe.max(Some(offset));
                    }
                    reply = Replconf::Silence;
                }
                option if option == SAFE_PLACES.as_bytes() => {
                    if let Some(Place::Flows(places)) = Place::parse(value) {
                        self.safe_places = Some(places);
                    }
                    reply = Replconf::Silence;
                }
                b"getack" => return Ok(Replconf::AckNow),
                // Valkey's, since 8.
                b"version" => self.reads_valkey = major(value).is_some_and(|major| major >= VALKEY_SINCE),
                b"rdb-only" => match parse_i64(value).ok_or(ReplconfError::NotInteger)? {
                    0 => self.payload_only = false,
                    1 => self.payload_only = true,
                    _ => return Err(ReplconfError::NotBool),
                },
                b"rdb-filter-only" => self.filter = Some(Filter::parse(value)?),
                b"lacewing-id" => {
                    let id = ReplId::parse(value).ok_or(ReplconfError::Syntax)?;
                    self.lacewing = Some(id);
                    reply = Replconf::Names;
                }
                _ => return Err(ReplconfError::Unrecognized(String::from_utf8_lossy(pair[0]).into_owned())),
            }
        }
        Ok(reply)
    }

    /// `PSYNC <replid> <offset>`. `has_data` says whether this node has what its own master has, if it has one.
    pub fn psync(&mut self, replid: &[u8], offset: i64, backlog: &Backlog, has_data: bool) -> Psync {
        if !has_data {
            return Psync::NoMasterLink;
        }
        let asked = ReplId::parse(replid).zip(u64::try_from(offset).ok());
        match asked.and_then(|(replid, next)| backlog.resume(replid, next)) {
            Some(from) if !self.payload_only => {
                self.phase = Phase::Online;
                (self.acknowledged, self.safe) = (from, None);
                let line = if self.takes_new_ids {
                    format!("+CONTINUE {}\r\n", backlog.replid())
                } else {
                    "+CONTINUE\r\n".to_owned()
                };
                Psync::Continue { line, from }
            }
            _ => {
                self.phase = Phase::Waiting;
                Psync::Full
            }
        }
    }

    /// What its payload is to be in. A Lacewing reads either, and names a version of Valkey's to masters of that kind alone.
    pub fn words(&self) -> Words {
        if self.reads_valkey && self.lacewing.is_none() { Words::Valkey } else { Words::Redis }
    }

    /// A payload is there to be sent, of the instant at `from`. Returns the line that announces it.
    pub fn begins(&mut self, from: Position, is_marked: bool) -> String {
        assert_eq!(self.phase, Phase::Waiting, "a payload is sent to who waits for one");
        self.phase = Phase::Sending { from, is_marked };
        // What is sent is not yet there: it may fail to come whole, or to be loaded.
        (self.acknowledged, self.safe) = (0, None);
        format!("+FULLRESYNC {} {}\r\n", from.replid, from.offset)
    }

    /// All of the payload was sent.
    pub fn ends(&mut self, now_ms: u64) {
        let Phase::Sending { is_marked, .. } = self.phase else { panic!("no payload was sent: {self:?}") };
        self.phase = if is_marked { Phase::Ending } else { Phase::Online };
        self.heard_ms = now_ms;
    }

    /// It has read and applied the stream up to `offset`.
    pub fn acknowledge(&mut self, offset: u64, now_ms: u64) {
        self.heard(now_ms);
        if matches!(self.phase, Phase::Ending) {
            self.phase = Phase::Online;
        }
        if self.phase == Phase::Online {
            self.acknowledged = self.acknowledged.max(offset);
        }
    }

    /// The same as one who has acknowledged that: for who is shown in another count.
    #[must_use]
    pub fn shown_at(self, offset: u64) -> Self {
        Self { acknowledged: offset, ..self }
    }

    /// It has said something, if only an empty line.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What INFO says of it; nothing before it has asked for data.
    pub fn state(&self) -> Option<FollowerState> {
        match self.phase {
            Phase::Greeting => None,
            Phase::Waiting => Some(FollowerState::WaitBgsave),
            Phase::Sending { .. } | Phase::Ending => Some(FollowerState::SendBulk),
            Phase::Online => Some(FollowerState::Online),
        }
    }

    /// Whether it is to be sent the stream.
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Up to where it has acknowledged the stream.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether it has the stream up to `offset` on its disk, as far as it has told.
    pub fn is_safe(&self, offset: u64) -> bool {
        self.is_online() && self.safe.is_some_and(|safe| safe >= offset)
    }

    /// The same of places in the logs of a generation, by flow.
    pub fn is_safe_in_flows(&self, generation: Generation, lsns: &[Lsn]) -> bool {
        let places = self.safe_places.as_ref().filter(|places| places.log.generation == generation);
        let has_all = |places: &FlowPlaces| {
            let mut pairs = places.flows.iter().zip(lsns);
            places.flows.len() == lsns.len() && pairs.all(|(place, lsn)| place.lsn >= *lsn)
        };
        self.is_online() && places.is_some_and(has_all)
    }

    /// Milliseconds since it has said anything.
    pub fn lag_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard_ms)
    }

    /// Whether it has been silent for longer than a replica may be. One that is sent a payload says nothing.
    pub fn is_lost(&self, now_ms: u64, timeout_ms: u64) -> bool {
        matches!(self.phase, Phase::Online | Phase::Ending) && self.lag_ms(now_ms) > timeout_ms
    }
}

fn offset(value: &[u8]) -> Option<u64> {
    parse_i64(value).and_then(|offset| u64::try_from(offset).ok())
}

/// The first number of a version.
fn major(version: &[u8]) -> Option<i64> {
    version.split(|&byte| byte == b'.').next().and_then(parse_i64)
}

/// The first Valkey that reads and writes RDB 80: 9.0.0.
const VALKEY_SINCE: i64 = 9;
/// Bytes of an address, as Redis has it.
const HOST_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::place::{FlowLog, FlowPlace};

    fn id(byte: u8) -> ReplId {
        ReplId::parse(&[byte; 40]).unwrap()
    }

    #[test]
    fn replconf_is_answered_as_redis_does() {
        let check = |args: &[&str], expected: Result<Replconf, &str>| {
            let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
            let got = Follower::new(0).replconf(&args, 1).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{args:?}");
        };
        check(&["listening-port", "6380"], Ok(Replconf::Ok));
        check(&["LISTENING-PORT", "x"], Err("ERR value is not an integer or out of range"));
        check(&["capa", "eof", "capa", "psync2", "capa", "whatever"], Ok(Replconf::Ok));
        check(&["capa", "eof", "capa", "lacewing-flows"], Ok(Replconf::Flows));
        check(&["ip-address", "10.0.0.1"], Ok(Replconf::Ok));
        check(&["ack", "12"], Ok(Replconf::Silence));
        check(&["getack", "*"], Ok(Replconf::AckNow));
        check(&["capa"], Err("ERR syntax error"));
        check(&["version", "8.0.1"], Ok(Replconf::Ok));
        check(&["rdb-filter-only", ""], Ok(Replconf::Ok));
        check(&["rdb-only", "1", "rdb-filter-only", " functions"], Ok(Replconf::Ok));
        check(&["rdb-filter-only", "functions keys"], Err("ERR Unsupported rdb-filter-only option: keys"));
        check(&["nonsense", "1"], Err("ERR Unrecognized REPLCONF option: nonsense"));
        check(&["lacewing-id", id(b'a').as_str()], Ok(Replconf::Names));
        check(&["lacewing-id", "x"], Err("ERR syntax error"));
    }

    #[test]
    fn a_payload_is_in_the_words_that_its_replica_has_said_it_reads() {
        let check = |said: &[&[&str]], expected: Words| {
            let mut follower = Follower::new(0);
            for args in said {
                let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
                follower.replconf(&args, 1).expect("it is known");
            }
            assert_eq!(follower.words(), expected, "{said:?}");
        };
        let id = id(b'a');
        let lacewing = ["lacewing-id", id.as_str()];
        check(&[], Words::Redis);
        check(&[&["listening-port", "6380"], &["capa", "eof", "capa", "psync2"]], Words::Redis);
        for older in ["8.1.8", "7.2.4", "", "x", ".9", "-9.0.0"] {
            check(&[&["version", older]], Words::Redis);
        }
        for newer in ["9.0.0", "9.1.2", "10.0.0", "9"] {
            check(&[&["version", newer]], Words::Valkey);
            check(&[&["version", newer], &["version", "8.1.8"]], Words::Redis);
            check(&[&["version", newer], &lacewing], Words::Redis);
            check(&[&lacewing, &["version", newer]], Words::Redis);
        }
    }

    #[test]
    fn a_full_sync_with_a_mark_is_over_with_the_first_ack() {
        let mut follower = Follower::new(0);
        let backlog = Backlog::new(id(b'a'), 100, 64);
        assert_eq!(follower.psync(b"?", -1, &backlog, true), Psync::Full);
        assert_eq!(follower.state(), Some(FollowerState::WaitBgsave));
        let line = follower.begins(Position { replid: id(b'a'), offset: 100 }, true);
        assert_eq!(line, format!("+FULLRESYNC {} 100\r\n", id(b'a')));
        follower.ends(5);
        assert!(!follower.is_online());
        follower.acknowledge(100, 6);
        assert!(follower.is_online());
        assert_eq!((follower.acknowledged(), follower.lag_ms(9)), (100, 3));
        follower.acknowledge(90, 9);
        assert_eq!(follower.acknowledged(), 100, "it does not go back");
    }

    #[test]
    fn what_was_sent_of_a_full_sync_is_not_acknowledged_yet() {
        let mut follower = Follower::new(0);
        let backlog = Backlog::new(id(b'a'), 100, 64);
        assert_eq!(follower.psync(b"?", -1, &backlog, true), Psync::Full);
        follower.begins(Position { replid: id(b'a'), offset: 100 }, false);
        follower.ends(5);
        assert_eq!((follower.is_online(), follower.acknowledged()), (true, 0));
        follower.acknowledge(100, 6);
        assert_eq!(follower.acknowledged(), 100);
    }

    #[test]
    fn what_it_has_on_its_disk_is_what_it_says() {
        let mut follower = Follower::new(0);
        let backlog = Backlog::new(id(b'a'), 100, 64);
        assert!(matches!(
            follower.psync(id(b'a').as_str().as_bytes(), 101, &backlog, true),
            Psync::Continue { .. }
        ));
        assert!(!follower.is_safe(0), "it has not told");
        let mut say = |words: &str| {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            assert_eq!(follower.replconf(&words, 1), Ok(Replconf::Silence));
            (follower.acknowledged(), follower.is_safe(120), follower.is_safe(121))
        };
        assert_eq!(say("ACK 130"), (130, false, false));
        assert_eq!(say("ACK 130 FACK 120"), (130, true, false));
        assert_eq!(say("ACK 140 FACK 110"), (140, true, false), "it does not go back");
        assert_eq!(say("ACK 140 FACK x"), (140, true, false));
        assert_eq!(say("ACK 140 fack 121"), (140, true, true));
    }

    #[test]
    fn of_logs_it_has_what_each_flow_has() {
        let mut follower = Follower::new(0);
        let backlog = Backlog::new(id(b'a'), 100, 64);
        assert_eq!(follower.psync(b"?", -1, &backlog, true), Psync::Full);
        let _ = follower.begins(Position { replid: id(b'a'), offset: 0 }, false);
        follower.ends(1);
        let log = FlowLog { node: aof::NodeId::default(), generation: Generation(4), birth: 9, base: 0 };
        let flow = |lsn| FlowPlace { lsn: Lsn(lsn), ..FlowPlace::default() };
        let places = Place::Flows(FlowPlaces { log, flows: vec![flow(5), flow(6)] });
        let text = places.to_string();
        assert_eq!(
            follower.replconf(&[b"ACK", b"11", b"FACK", b"11", SAFE_PLACES.as_bytes(), text.as_bytes()], 2),
            Ok(Replconf::Silence)
        );
        assert!(follower.is_safe_in_flows(Generation(4), &[Lsn(5), Lsn(6)]));
        assert!(!follower.is_safe_in_flows(Generation(4), &[Lsn(5), Lsn(7)]));
        assert!(!follower.is_safe_in_flows(Generation(5), &[Lsn(5), Lsn(6)]));
        assert!(!follower.is_safe_in_flows(Generation(4), &[Lsn(5)]));
    }

    #[test]
    fn a_silent_replica_is_lost_and_one_that_takes_a_payload_is_not() {
        let mut follower = Follower::new(0);
        let backlog = Backlog::new(id(b'a'), 0, 64);
        assert_eq!(follower.psync(b"?", -1, &backlog, true), Psync::Full);
        follower.begins(Position { replid: id(b'a'), offset: 0 }, false);
        assert!(!follower.is_lost(100_000, 60_000));
        follower.ends(100_000);
        assert!(!follower.is_lost(160_000, 60_000));
        assert!(follower.is_lost(160_001, 60_000));
    }

    #[test]
    fn who_has_no_data_gives_none() {
        let backlog = Backlog::new(id(b'a'), 0, 64);
        assert_eq!(Follower::new(0).psync(b"?", -1, &backlog, false), Psync::NoMasterLink);
    }
}
