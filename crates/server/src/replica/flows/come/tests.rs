use super::*;
use aof::{Encoder, Generation, LogId, Lsn, NodeId, Stamp, TxNumber};
use replication::flow::come::{COMMANDS, Came};
use replication::flow::hello::{Session, SessionId};
use replication::flow::meet::{Head, Piece};
use resp::encode_command;
use stdx::ShardId;

const GENERATION: Generation = Generation(3);
const AT: Lsn = Lsn(100);

fn session() -> Session {
    Session { id: SessionId([1; 16]), flows: 3, window: 1 << 20, node: NodeId([7; 20]), offset: 0 }
}

/// What has come of a flow, and the buffers for it.
struct Come {
    come: replication::flow::come::Come,
    reader: Reader,
}

fn come() -> Come {
    let come = replication::flow::come::Come::new(session(), 1, GENERATION, AT);
    Come { come, reader: Reader::default() }
}

impl Come {
    fn take_in(&mut self, generation: Generation, lsn: Lsn, bytes: &[u8]) -> Result<(), String> {
        self.come.take_in(generation, lsn, bytes)
    }

    fn tell(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.come.tell(bytes, |told| self.reader.whole(told))
    }

    fn take(&mut self, is_alone: bool, databases: u16, router: Router) -> Result<Came<Unit>, String> {
        self.come.take(is_alone, &mut self.reader.loading(databases, router))
    }
}

/// A log that is written from [`AT`] on.
struct Log {
    encoder: Encoder,
    bytes: Vec<u8>,
}

impl Log {
    fn new(generation: Generation, at: Lsn) -> Self {
        let log = LogId { node: NodeId([7; 20]), generation, shard: ShardId(1), shards: 3 };
        Self { encoder: Encoder::new(log, at), bytes: Vec::new() }
    }

    fn run(&mut self, lines: &[&str]) {
        for line in lines {
            encode_command(&line.split(' ').collect::<Vec<_>>(), &mut self.bytes);
        }
        self.encoder.seal(&mut self.bytes, Stamp::default());
    }

    fn plain(mut self, db: u16, lines: &[&str]) -> Self {
        self.encoder.begin_plain(&mut self.bytes, DbIndex(db));
        self.run(lines);
        self
    }

    fn whole(mut self, tx: u64, lines: &[&str]) -> Self {
        let others = [ShardId(0), ShardId(2)];
        self.encoder.begin_whole(&mut self.bytes, TxNumber(tx), &others, DbIndex(0));
        self.run(lines);
        self
    }

    fn marker(mut self, tx: u64) -> Self {
        self.encoder.marker(&mut self.bytes, TxNumber(tx), ShardId(2), Stamp::default());
        self
    }

    fn end(mut self) -> Self {
        self.encoder.end(&mut self.bytes, stdx::UnixMs(1), Stamp::default());
        self
    }

    fn next(&self) -> Lsn {
        self.encoder.next_lsn()
    }
}

/// A unit in words.
fn text(unit: &Unit) -> String {
    aof::text(unit.bytes())
}

/// What is taken, in words, and where it ends.
#[track_caller]
fn take(come: &mut Come, is_alone: bool) -> (Vec<String>, Lsn) {
    match come.take(is_alone, 4, Router::new(2)).expect("it makes sense") {
        Came::Plain { load, end } => (vec![format!("alone: {}", text(&load))], end),
        Came::Pieces { pieces, .. } => {
            let end = pieces.last().expect("there is one").end;
            let words = |piece: &Piece<Unit>| match &piece.head {
                None => text(&piece.load),
                Some(Head::Whole { tx, participants }) => {
                    format!("{tx} of {participants:?}: {}", text(&piece.load))
                }
                Some(Head::Marker { tx, home }) => format!("{tx} at {home}"),
                Some(Head::Border { next, birth }) => format!("to {next} of {birth}"),
            };
            (pieces.iter().map(words).collect(), end)
        }
        Came::Nothing => (Vec::new(), AT),
    }
}

#[test]
fn plain_records_are_one_unit_without_brackets_and_without_the_masters_own_place() {
    let log = Log::new(GENERATION, AT)
        .plain(0, &["SET a 1"])
        .plain(2, &["MULTI", "SET b 2", "SELECT 1", "SET c 3", "EXEC"])
        .plain(1, &["lacewing.position x ? -1 0", "DEL d"]);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    let all = "alone: MULTI | SET a 1 | SELECT 2 | SET b 2 | SELECT 1 | SET c 3 | DEL d";
    assert_eq!(take(&mut come, true), (vec![all.to_owned()], log.next()));
    assert!(come.come.is_taken_to(log.next()));
    assert_eq!(take(&mut come, true).0, [""; 0]);
}

#[test]
fn what_is_to_be_met_for_is_lent_with_all_that_is_around_it() {
    let log = Log::new(GENERATION, AT)
        .plain(0, &["SET a 1"])
        .whole(7, &["SET b 2", "SET c 3"])
        .marker(9)
        .plain(0, &["SET d 4"])
        .plain(0, &["SET e 5"]);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    let expected =
        ["MULTI | SET a 1", "7 of [0, 2]: MULTI | SET b 2 | SET c 3", "9 at 2", "MULTI | SET d 4 | SET e 5"];
    assert_eq!(take(&mut come, true), (expected.map(str::to_owned).to_vec(), log.next()));
}

#[test]
fn what_each_shard_can_do_by_itself_is_a_command_for_each() {
    // Slots: a 15495, b 3300, c 7365, of two shards.
    let lines = ["MSET a 1 b 2 c 3", "MSET b 1 c 2", "DEL a b", "RENAME a b"];
    let log = Log::new(GENERATION, AT).whole(7, &lines);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    let expected = "MULTI | MSET b 2 c 3 | MSET a 1 | MSET b 1 c 2 | DEL b | DEL a | RENAME a b";
    assert_eq!(take(&mut come, true).0, [format!("7 of [0, 2]: {expected}")]);
}

fn command(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
    bytes
}

#[test]
fn what_is_told_beside_the_log_is_run_at_its_place() {
    let first = Log::new(GENERATION, AT).plain(2, &["SET a 1"]);
    let (middle, len) = (first.next(), first.bytes.len());
    let all = first.marker(9).plain(0, &["SET b 2"]);
    let fill = || {
        let mut come = come();
        come.take_in(GENERATION, AT, &all.bytes[..len]).expect("it follows");
        come.tell(&command("PUBLISH c 1")).expect("it changes nothing");
        come.tell(&command("PUBLISH c 2")).expect("it changes nothing");
        come.take_in(GENERATION, middle, &all.bytes[len..]).expect("it follows");
        come.tell(&command("SPUBLISH c 3")).expect("it changes nothing");
        come
    };
    let expected =
        ["MULTI | SET a 1 | PUBLISH c 1 | PUBLISH c 2", "9 at 2", "MULTI | SET b 2 | SPUBLISH c 3"];
    let expected = expected.map(str::to_owned);
    for is_alone in [true, false] {
        let mut come = fill();
        assert_eq!(take(&mut come, is_alone), (expected.to_vec(), all.next()), "{is_alone}");
        let told = ["PUBLISH c 1", "PUBLISH c 2", "SPUBLISH c 3"].map(|line| command(line).len() as u64);
        assert_eq!(come.come.take_credit(), told.iter().sum::<u64>());
        assert_eq!(come.come.take_credit(), 0);
    }
}

#[test]
fn what_is_told_alone_waits_until_what_is_before_it_was_run() {
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]);
    let mut come = come();
    let message = command("PUBLISH c 1");
    // It may be cut anywhere.
    come.tell(&message[..7]).expect("a part of it");
    assert!(take(&mut come, true).0.is_empty());
    come.tell(&message[7..]).expect("the rest");
    assert!(take(&mut come, false).0.is_empty(), "what is before it was lent, and not run");
    assert_eq!(take(&mut come, true), (vec!["alone: MULTI | PUBLISH c 1".to_owned()], AT));
    assert!(come.come.is_taken_to(AT));
    // It is lent in front of what comes next.
    come.tell(&message).expect("it changes nothing");
    come.take_in(GENERATION, AT, &log.bytes[..10]).expect("it follows");
    assert!(take(&mut come, false).0.is_empty());
    come.take_in(GENERATION, AT.plus(10), &log.bytes[10..]).expect("it follows");
    assert_eq!(take(&mut come, false), (vec!["MULTI | PUBLISH c 1 | SET a 1".to_owned()], log.next()));
    for wrong in ["SET a 1", "NOSUCH", "GET a"] {
        assert!(come.tell(&command(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn a_border_waits_for_what_is_told_before_it() {
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]).end();
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    assert_eq!(take(&mut come, false).0, ["MULTI | SET a 1"]);
    come.tell(&command("PUBLISH c 1")).expect("it changes nothing");
    come.come.cross((GENERATION, log.next()), (Generation(4), 5)).expect("it follows");
    assert!(take(&mut come, false).0.is_empty());
    assert_eq!(take(&mut come, true), (vec!["alone: MULTI | PUBLISH c 1".to_owned()], log.next()));
    assert_eq!(take(&mut come, true).0, ["to 4 of 5"]);
}

#[test]
fn plain_records_are_lent_while_what_is_before_them_is() {
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    assert_eq!(take(&mut come, false), (vec!["MULTI | SET a 1".to_owned()], log.next()));
}

#[test]
fn frames_may_cut_records_anywhere() {
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]).whole(7, &["SET b 2"]).end();
    for size in [1, 7, 40] {
        let (mut come, mut at, mut taken) = (come(), AT, Vec::new());
        for bytes in log.bytes.chunks(size) {
            come.take_in(GENERATION, at, bytes).expect("it follows");
            at = at.plus(bytes.len() as u64);
            taken.extend(take(&mut come, false).0);
        }
        assert_eq!(taken, ["MULTI | SET a 1", "7 of [0, 2]: MULTI | SET b 2", ""], "{size}");
        assert!(come.take_in(GENERATION, AT, b"x").is_err(), "it does not follow");
    }
}

#[test]
fn a_taking_has_a_bound() {
    let line = ["SET a 1"; COMMANDS];
    let log = Log::new(GENERATION, AT).plain(0, &line).marker(9);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    assert!(take(&mut come, true).0[0].starts_with("alone: "), "what is beyond the bound is not looked at");
    assert_eq!(take(&mut come, true).0, ["9 at 2"]);
}

#[test]
fn nothing_is_taken_over_a_border_before_it_is_crossed() {
    let (next, at) = (Generation(4), Lsn(0));
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]).end();
    let later = Log::new(next, at).plain(0, &["SET b 2"]);
    let mut come = come();
    come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
    come.come.cross((GENERATION, log.next()), (next, 5)).expect("it follows");
    come.take_in(next, at, &later.bytes).expect("it follows");
    assert_eq!(take(&mut come, true).0, ["alone: MULTI | SET a 1"]);
    assert_eq!(take(&mut come, true), (vec!["to 4 of 5".to_owned()], log.next()));
    assert!(take(&mut come, true).0.is_empty() && !come.come.is_taken_to(log.next()));
    come.come.crossed();
    assert_eq!(take(&mut come, true), (vec!["alone: MULTI | SET b 2".to_owned()], later.next()));
}

#[test]
fn what_makes_no_sense_is_found() {
    let fails = |log: &Log, databases| {
        let mut come = come();
        come.take_in(GENERATION, AT, &log.bytes).expect("it follows");
        come.take(true, databases, Router::new(2)).is_err()
    };
    assert!(fails(&Log::new(Generation(9), AT).plain(0, &["SET a 1"]), 4), "of another log");
    assert!(fails(&Log::new(GENERATION, AT).plain(4, &["SET a 1"]), 4), "for a database that is not there");
    let log = Log::new(GENERATION, AT).plain(0, &["SET a 1"]);
    assert!(!fails(&log, 4));
    let mut come = come();
    let (part, end) = (&log.bytes[..20], AT.plus(20));
    come.take_in(GENERATION, AT, part).expect("it follows");
    come.come.cross((GENERATION, end), (Generation(4), 5)).expect("it follows");
    assert!(come.take(true, 4, Router::new(2)).is_err(), "it ends within a record");
}
