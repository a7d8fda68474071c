//! What is applied at once: units of the stream that follow each other, as one transaction with the position behind them.

use super::absolute::Absolute;
use super::unit::Unit;
use commands::following;
use replication::stream::{self, Kind};
use replication::{Position, Stream, StreamPosition};
use stdx::{DbIndex, UnixMs};

/// Units that follow each other.
pub(super) struct Batch {
    /// They.
    pub(super) unit: Unit,
    /// Where it ends.
    pub(super) end: StreamPosition,
    /// The master has asked behind it how far this node is.
    pub(super) was_asked: bool,
    /// Why nothing can follow.
    pub(super) fault: Option<String>,
}

/// Takes what has come, up to the bounds; `None` if no whole unit has. `reached`: where the stream is. `databases`: how many there are.
/// `now`: when it has come.
pub(super) fn take(
    stream: &mut Stream,
    reached: StreamPosition,
    databases: u16,
    now: UnixMs,
) -> Option<Batch> {
    let mut absolute = Absolute::new(now);
    let mut batch = Batch { unit: Unit::new(reached.db), end: reached, was_asked: false, fault: None };
    while batch.unit.len() < BYTES && batch.unit.commands() < COMMANDS && !batch.was_asked {
        match stream.next_unit() {
            Ok(Some(unit)) => {
                if unit.db.0 >= databases && unit.kind != Kind::Idle {
                    batch.fault = Some(format!("at offset {}: there is no database {}", unit.end, unit.db.0));
                    break;
                }
                batch.add(&unit, &mut absolute);
            }
            Ok(None) => break,
            Err(error) => {
                batch.fault = Some(error.to_string());
                break;
            }
        }
    }
    if batch.end == reached && batch.fault.is_none() {
        return None;
    }
    batch.close();
    Some(batch)
}

impl Batch {
    /// Bytes of it.
    pub(super) fn len(&self) -> usize {
        self.unit.len()
    }

    fn add(&mut self, unit: &stream::Unit<'_>, absolute: &mut Absolute) {
        match unit.kind {
            Kind::Command(command) => self.push(unit.db, command, 1, absolute),
            Kind::Transaction { commands, count } => {
                self.push(unit.db, commands, count, absolute);
                self.unit.last_db = unit.next_db;
            }
            Kind::Idle => {}
            Kind::GetAck => self.was_asked = true,
        }
        let at = Position { replid: self.end.at.replid, offset: unit.end };
        self.end = StreamPosition { at, db: unit.next_db };
    }

    fn push(&mut self, db: DbIndex, commands: &[u8], count: usize, absolute: &mut Absolute) {
        self.unit.select(db);
        absolute.append(commands, &mut self.unit.bytes);
        self.unit.commands += count;
    }

    fn close(&mut self) {
        if !self.unit.is_empty() {
            self.unit.close(&[following::stream_words(Some(self.end)).to_vec()]);
        }
    }
}

/// A batch takes no further unit when it has so many bytes, or commands: others have their turn, and its locks do not last.
const BYTES: usize = 256 << 10;
const COMMANDS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use replication::ReplId;
    use resp::encode_command;

    fn at(offset: u64, db: u16) -> StreamPosition {
        let replid = ReplId::parse(&[b'a'; 40]).expect("an id");
        StreamPosition { at: Position { replid, offset }, db: DbIndex(db) }
    }

    /// A stream of these lines from offset 1000 on, where database 1 of 4 is selected.
    fn stream(lines: &[&str]) -> Stream {
        let (mut stream, mut bytes) = (Stream::new(1000, DbIndex(1)), Vec::new());
        lines.iter().for_each(|line| encode_command(&line.split(' ').collect::<Vec<_>>(), &mut bytes));
        stream.feed(&bytes);
        stream
    }

    fn text(commands: &[u8]) -> String {
        aof::text(commands).replace(&format!("lacewing.position  {} ", "a".repeat(40)), "AT ")
    }

    #[track_caller]
    fn check(lines: &[&str], expected: &str) {
        let batch = take(&mut stream(lines), at(1000, 1), 4, UnixMs(0)).expect("something has come");
        assert_eq!(text(&batch.unit.bytes), expected, "{lines:?}");
        let between = expected.split(" | ").count().saturating_sub(2);
        assert_eq!(batch.unit.commands, between, "{lines:?}");
    }

    #[test]
    fn units_are_one_transaction_with_the_position_behind_them() {
        check(&["INCR a"], "MULTI | INCR a | AT 1021 1 | EXEC");
        check(&["INCR a", "PING", "INCR b"], "MULTI | INCR a | INCR b | AT 1056 1 | EXEC");
        check(
            &["MULTI", "INCR a", "SELECT 2", "INCR b", "EXEC", "INCR c"],
            "MULTI | INCR a | SELECT 2 | INCR b | INCR c | AT 1115 2 | EXEC",
        );
        check(&["INCR a", "SELECT 0", "INCR b"], "MULTI | INCR a | SELECT 0 | INCR b | AT 1065 0 | EXEC");
    }

    #[test]
    fn what_has_nothing_to_run_moves_the_position() {
        let batch = take(&mut stream(&["SELECT 3", "PING"]), at(1000, 1), 4, UnixMs(0)).expect("it has come");
        assert!(batch.unit.is_empty() && batch.unit.commands == 0);
        assert_eq!(batch.end, at(1037, 3));
    }

    #[test]
    fn a_question_ends_a_batch() {
        let mut stream = stream(&["INCR a", "REPLCONF GETACK *", "INCR b"]);
        let first = take(&mut stream, at(1000, 1), 4, UnixMs(0)).expect("it has come");
        assert!(first.was_asked && text(&first.unit.bytes).starts_with("MULTI | INCR a | AT"));
        let second = take(&mut stream, first.end, 4, UnixMs(0)).expect("it has come");
        assert!(!second.was_asked && text(&second.unit.bytes).starts_with("MULTI | INCR b | AT"));
        assert!(take(&mut stream, second.end, 4, UnixMs(0)).is_none());
    }

    #[test]
    fn what_is_before_a_fault_is_applied() {
        for wrong in [&["INCR a", "EXEC"][..], &["INCR a", "SELECT 4", "INCR b"]] {
            let batch = take(&mut stream(wrong), at(1000, 1), 4, UnixMs(0)).expect("it has come");
            assert!(batch.fault.is_some(), "{wrong:?}");
            assert!(text(&batch.unit.bytes).starts_with("MULTI | INCR a | AT"), "{wrong:?}");
        }
    }

    #[test]
    fn a_batch_has_a_bound() {
        let mut stream = stream(&vec!["INCR a"; COMMANDS + 1]);
        let batch = take(&mut stream, at(1000, 1), 4, UnixMs(0)).expect("it has come");
        assert_eq!(batch.unit.commands, COMMANDS + 1, "the position is one more");
        assert!(take(&mut stream, batch.end, 4, UnixMs(0)).is_some());
    }
}
